//! The table, and what a row must hold to pass.

use std::time::Duration;

use crate::bystander::{Action, Record};
use crate::options::{TimeLimit, TimeLimits};

/// Of the memory limit, resident memory stays below.
const RSS_PERCENT_MAX: u64 = 70;

/// What came of one attack.
pub struct Row {
    pub name: String,
    pub connections: usize,
    pub calm: Record,
    pub attack: Record,
    pub rss_peak: u64,
    pub rss_after: u64,
    pub memory_limit: Option<u64>,
    /// How the server ended, if it did.
    pub killed: Option<String>,
    /// When it served a new caller again; `None`: not in time.
    pub back_after: Option<Duration>,
    /// Notices about transactions that Postgres sent meanwhile.
    pub notices: usize,
    pub attackers: String,
    pub attacked: bool,
}

impl Row {
    /// What is wrong whatever the machine does beside this. At most `errors_percent_max` of the calls of a kind may fail.
    pub fn failures(&self, errors_percent_max: u64) -> Vec<String> {
        let mut failures = Vec::new();
        if let Some(killed) = &self.killed {
            failures.push(format!("the server ended: {killed}"));
        }
        if let Some(limit) = self.memory_limit.map(|limit| limit * RSS_PERCENT_MAX / 100)
            && self.rss_peak >= limit
        {
            failures.push(format!("{} MiB resident; less than {} allowed", mib(self.rss_peak), mib(limit)));
        }
        if self.back_after.is_none() && self.killed.is_none() {
            failures.push("no new caller was served within 30 s afterwards".into());
        }
        for action in Action::ALL {
            let errors = self.attack.errors(action);
            let calls = errors + self.attack.count(action);
            if errors * 100 > calls * errors_percent_max {
                failures.push(format!("{errors} of {calls} {} failed", action.name()));
            } else if calls == 0 && self.killed.is_none() && !follows_another(action) {
                failures.push(format!("no {} was answered", action.name()));
            }
        }
        if self.notices > 0 {
            failures.push(format!("{} notices about transactions in the log", self.notices));
        }
        if !self.attacked {
            failures.push("nobody attacked".into());
        }
        failures
    }

    /// What took too long, or did not happen.
    pub fn late(&self, limits: &TimeLimits) -> Vec<String> {
        let mut late = Vec::new();
        let checks = [(Action::Warm, limits.warm), (Action::Cold, limits.cold), (Action::Revoke, limits.revoke)];
        for (action, TimeLimit { times_calm, at_least }) in checks {
            let limit = at_least.max(self.calm.quantile(action, 0.99) * times_calm);
            let took = self.attack.quantile(action, 0.99);
            if took > limit {
                late.push(format!("{} p99 {}, at most {}", action.name(), ms(took), ms(limit)));
            }
        }
        let connect = self.attack.max(Action::Connect);
        if connect > limits.connect {
            late.push(format!("a new caller waited {}, at most {}", ms(connect), ms(limits.connect)));
        }
        late
    }

    /// Prints the row, and what is wrong with it.
    pub fn print(&self, wrong: &[String]) {
        print!("{:26} {:>6} {:>5}", self.name, self.connections, mib(self.rss_peak));
        for action in [Action::Warm, Action::Cold, Action::Create, Action::Revoke, Action::Connect] {
            let quantiles = |record: &Record| {
                if record.count(action) == 0 {
                    return "-".to_owned();
                }
                format!("{}/{}", ms(record.quantile(action, 0.5)), ms(record.quantile(action, 0.99)))
            };
            print!(" {:>11} {:>13}", quantiles(&self.calm), quantiles(&self.attack));
        }
        let back = self.back_after.map_or("never".to_owned(), |back| format!("{:.1} s", back.as_secs_f64()));
        let verdict = if wrong.is_empty() { "pass" } else { "FAIL" };
        println!(" {:>6} {:>6} {back:>6} {verdict}", self.attack.errors_total(), mib(self.rss_after));
        println!("    {}", self.attackers);
        for line in wrong {
            println!("    FAIL: {line}");
        }
        if !wrong.is_empty() {
            for error in &self.attack.shown {
                println!("    e.g. {error}");
            }
        }
    }
}

/// Creates and revocations take turns: while one takes long, there is none of the other. How long it took is counted.
fn follows_another(action: Action) -> bool {
    matches!(action, Action::Create | Action::Revoke)
}

/// Prints what the columns are.
pub fn print_heading() {
    print!("{:26} {:>6} {:>5}", "p50/p99 in ms", "conns", "MiB");
    for name in ["warm", "cold", "create", "revoke", "connect"] {
        print!(" {:>11} {:>13}", "calm", name);
    }
    println!(" {:>6} {:>6} {:>6}", "errors", "after", "back");
}

pub fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

pub fn ms(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    if ms < 10.0 { format!("{ms:.1}") } else { format!("{ms:.0}") }
}
