//! What to run, and what must be reached.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::attack::KINDS;
use crate::fixture::Sizes;

/// Everything beside single kinds of attack.
pub const EVERYTHING: &str = "everything";
pub const BAD_CLIENTS: &str = "bad-clients";
pub const LEDGER: &str = "ledger";
pub const OVERLOAD_VERIFY: &str = "overload-verify";
pub const OVERLOAD_CREATE: &str = "overload-create";
const SHORT_OVER_POSTGRES: [&str; 3] = ["neighbour-skips", "neighbour-unknown-keys", "cancelled-calls"];
const OTHERS: [&str; 5] = [EVERYTHING, BAD_CLIENTS, LEDGER, OVERLOAD_VERIFY, OVERLOAD_CREATE];

/// Attacks a server of its own, beside a bystander who must not notice
#[derive(Clone, Debug, Parser)]
pub struct Options {
    /// What to run; without a name, all
    #[arg(value_parser = known_name)]
    names: Vec<String>,
    /// The program to attack
    #[arg(long, env = "HOSTILE_PROGRAM")]
    pub program: PathBuf,
    /// Runs with all connections, for longer, and holds times against the limits that are documented. Needs a quiet
    /// machine; without it times may be several times as long
    #[arg(long)]
    pub long: bool,
    /// Connections of each attack
    #[arg(long, value_name = "NUMBER")]
    connections: Option<usize>,
    /// How long each attack is measured
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// The memory limit of the server
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    memory_mib: u64,
    /// Stores to attack: sqlite, postgres
    #[arg(long, value_delimiter = ',', default_values = ["sqlite", "postgres"], value_parser = ["sqlite", "postgres"])]
    stores: Vec<String>,
    /// Where the logs of the servers go
    #[arg(long, default_value = "target/hostile")]
    pub logs: PathBuf,
}

/// What says nothing where a debug build shares two cores with others, or what the server does not reach yet: see
/// docs/hostile.md.
const LONG_ONLY: [&str; 3] = ["everything", "overload-create", "overload-verify"];

/// Times that the bystander may wait at most: a multiple of calm, or if that is less, this long.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimit {
    pub times_calm: u32,
    pub at_least: Duration,
}

/// What a bystander may notice.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimits {
    pub warm: TimeLimit,
    pub cold: TimeLimit,
    pub revoke: TimeLimit,
    /// The longest that a new connection may take to its first answer.
    pub connect: Duration,
}

impl Options {
    pub fn includes(&self, name: &str) -> bool {
        if self.names.is_empty() {
            self.long || !LONG_ONLY.contains(&name)
        } else {
            self.names.iter().any(|wanted| wanted == name)
        }
    }

    pub fn has_store(&self, store: &str) -> bool {
        self.stores.iter().any(|wanted| wanted == store)
    }

    /// How many connections a kind has that would have `[short, long]`.
    pub fn connections(&self, [short, long]: [usize; 2]) -> usize {
        self.connections.unwrap_or(if self.long { long } else { short })
    }

    /// How long calm and each attack are measured.
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.unwrap_or(if self.long { 10.0 } else { 0.7 }))
    }

    pub fn memory_bytes(&self) -> u64 {
        self.memory_mib << 20
    }

    /// Whether a kind that is for both stores is run over Postgres too. Short, only those that differ most there; those
    /// that were asked for by name are run in any case.
    pub fn runs_over_postgres(&self, name: &str) -> bool {
        self.long || !self.names.is_empty() || SHORT_OVER_POSTGRES.contains(&name)
    }

    /// Short, most of the time would go into filling the store.
    pub fn sizes(&self) -> Sizes {
        if self.long {
            Sizes {
                small_keys: 30_000,
                large_keys: 16_000,
                cold_keys: 6_000,
                neighbour_keys: 51_000,
                labelled_keys: 1_001,
            }
        } else {
            Sizes { small_keys: 4_000, large_keys: 300, cold_keys: 1_000, neighbour_keys: 2_000, labelled_keys: 40 }
        }
    }

    /// How many calls of the bystander may fail, in percent of each kind of call.
    pub fn errors_percent_max(&self) -> u64 {
        if self.long { 0 } else { 30 }
    }

    /// Where others use the machine too, only what is out of all proportion is an error.
    pub fn time_limits(&self) -> TimeLimits {
        let limit = |times_calm, millis| TimeLimit { times_calm, at_least: Duration::from_millis(millis) };
        if self.long {
            let connect = Duration::from_secs(1);
            TimeLimits { warm: limit(3, 5), cold: limit(5, 50), revoke: limit(3, 50), connect }
        } else {
            let connect = Duration::from_secs(4);
            TimeLimits { warm: limit(10, 2_000), cold: limit(10, 4_000), revoke: limit(10, 4_000), connect }
        }
    }
}

fn known_name(name: &str) -> Result<String, String> {
    let names: Vec<_> = KINDS.iter().map(|kind| kind.name).chain(OTHERS).collect();
    if names.contains(&name) { Ok(name.to_owned()) } else { Err(format!("one of: {}", names.join(", "))) }
}
