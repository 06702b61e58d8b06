//! Several replicas of one database: what is revoked on one stops on all of them, whatever happens to them, to the
//! database, and to the ways between; and what they count together is what was answered.

mod changes;
mod checker;
mod credits;
mod database;
mod load;
mod overshoot;
mod pgbouncer;
mod replicas;
mod rig;
mod traffic;
mod usage;
mod ways;

use std::fmt;
use std::time::Duration;

/// How long changes took, to be printed.
struct Times(Vec<Duration>);

impl Times {
    /// Of what was measured, sorted.
    fn of(sorted: Vec<Duration>) -> Self {
        Self(sorted)
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, median, slowest) = (self.0.len(), median(&self.0), slowest(&self.0));
        write!(f, "{count} changes took {median:.1?} in the median and {slowest:.1?} at most")
    }
}

fn median(sorted: &[Duration]) -> Duration {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn slowest(sorted: &[Duration]) -> Duration {
    sorted.last().copied().unwrap_or_default()
}
