//! What to measure.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::Error;

/// Measures what a verification costs on the wire.
#[derive(Clone, Debug, Parser)]
pub struct Options {
    /// What to measure; without a mode, all that compare
    #[arg(value_enum, default_values_t = Mode::COMPARISONS)]
    pub modes: Vec<Mode>,
    /// Pairs of runs, one of each side in turn
    #[arg(long, env = "BENCH_PAIRS", default_value_t = 7)]
    pub pairs: usize,
    /// Length of a run
    #[arg(long, env = "BENCH_SECONDS", default_value_t = 3.0)]
    pub seconds: f64,
    /// Calls in flight, over all connections; several numbers are measured one after the other
    #[arg(long, env = "BENCH_IN_FLIGHT", value_delimiter = ',', default_values_t = [128, 1])]
    pub in_flight: Vec<usize>,
    /// Connections; never more than calls in flight
    #[arg(long, env = "BENCH_CONNECTIONS", default_value_t = 4)]
    pub connections: usize,
    /// Threads that make the calls. Where "client" nears 100 % the client is what is measured: give it more
    #[arg(long, env = "BENCH_CLIENT_THREADS", default_value_t = 1)]
    pub client_threads: usize,
    /// Keys to verify, in turn
    #[arg(long, env = "BENCH_KEYS", default_value_t = 1_000)]
    pub keys: usize,
    /// Connections in the pools for PostgreSQL, over all; never more than calls in flight
    #[arg(long, env = "BENCH_POSTGRES_CONNECTIONS", default_value_t = 16)]
    pub postgres_connections: usize,
    /// Keys in each call of BatchVerify
    #[arg(long, env = "BENCH_BATCH", default_value_t = 100)]
    pub batch: usize,
    /// Calls that the bystander of a bad day has in flight
    #[arg(long, env = "BENCH_BYSTANDER_IN_FLIGHT", default_value_t = 2)]
    pub bystander_in_flight: usize,
    /// Keys that the server has not seen
    #[arg(long, env = "BENCH_COLD_KEYS", default_value_t = 100_000)]
    pub cold_keys: u64,
    /// Keys that do not exist
    #[arg(long, env = "BENCH_FLOOD_KEYS", default_value_t = 1_000_000)]
    pub flood_keys: u64,
    /// Connections that verify one key and stay
    #[arg(long, env = "BENCH_OPEN_CONNECTIONS", default_value_t = 10_000)]
    pub open_connections: usize,
    /// Connections that say nothing
    #[arg(long, env = "BENCH_SILENT_CONNECTIONS", default_value_t = 1_000)]
    pub silent_connections: usize,
    /// Keys in the store whose memory is measured
    #[arg(long, env = "BENCH_MEMORY_KEYS", default_value_t = 1_000_000)]
    pub memory_keys: u64,
    /// Keys of the keyspace that is listed
    #[arg(long, env = "BENCH_LIST_KEYS", default_value_t = 2_000_000)]
    pub list_keys: u64,
    /// Calls of each list
    #[arg(long, env = "BENCH_LIST_CALLS", default_value_t = 200)]
    pub list_calls: u32,
    /// Revocations in a second, while they are compared with a commit
    #[arg(long, env = "BENCH_REVOCATIONS", default_value_t = 50)]
    pub revocations: u32,
    /// How long each part of the revocations takes
    #[arg(long, env = "BENCH_REVOKE_SECONDS", default_value_t = 20)]
    pub revoke_seconds: u32,
    /// Replicas that share a PostgreSQL
    #[arg(long, env = "BENCH_REPLICAS", default_value_t = 3)]
    pub replicas: usize,
    /// What the program keeps its keys in, where it is compared; a PostgreSQL is started for it
    #[arg(long, env = "BENCH_OVER", value_enum, default_value_t = Over::Sqlite)]
    pub over: Over,
    /// The program; default: the one beside this
    #[arg(long, env = "BENCH_PROGRAM")]
    pub program: Option<PathBuf>,
    /// Another build of the program, to measure beside it; started twice, so that it is its own control
    #[arg(long, env = "BENCH_BESIDE")]
    pub beside: Option<PathBuf>,
    /// The most that `build` may cost in processor time, as a multiple of the other build. The command fails if the
    /// median ratio is larger than this plus the spread of the control
    #[arg(long, env = "BENCH_AT_MOST")]
    pub at_most: Option<f64>,
    /// Keys that are in use all at once, while their use is written
    #[arg(long, env = "BENCH_ACTIVE_KEYS", default_value_t = 100_000)]
    pub active_keys: u64,
    /// Where the results go as JSON, one line for each run
    #[arg(long, env = "BENCH_JSON", default_value = "target/bench/wire.json")]
    pub json: PathBuf,
    /// Serves as the server that does nothing, with answers of this size
    #[arg(long = "echo", hide = true)]
    pub echo_response_bytes: Option<usize>,
}

impl Options {
    /// The program that is measured.
    pub fn program(&self) -> Result<PathBuf, Error> {
        match &self.program {
            Some(program) => Ok(program.clone()),
            None => Ok(std::env::current_exe()?.with_file_name("portcullis")),
        }
    }
}

/// A store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Over {
    Sqlite,
    Postgres,
}

/// A comparison, or a bad day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Verify beside a stock tonic server that does nothing
    Verify,
    /// Verify beside a SELECT by an indexed digest, prepared and pooled, of a PostgreSQL started for it
    Postgres,
    /// Verify beside a GET of a Redis started for it
    Redis,
    /// BatchVerify beside Verify; skipped if the program has no such method
    Batch,
    /// VerifyStream beside Verify; skipped if the program has no such method
    Stream,
    /// Verify beside Verify of another build, which `--beside` names
    Build,
    /// Verify of keys with a rate limit and credits beside Verify of keys without
    Limits,
    /// Verify of very many keys in turn, whose use is all to be written each second, beside Verify of a few
    Flush,
    /// A bad day: keys that the server has not seen, beside one who verifies some that it has
    Cold,
    /// A bad day: well-formed keys that do not exist, beside one who verifies some that do
    Flood,
    /// A bad day: thousands of connections that stay, and a thousand that say nothing
    Connections,
    /// Revocations that hold on every replica, beside a bare commit; and what one replica costs that is stopped
    Revoke,
    /// A bad day: a restart with a million keys, and the memory they take
    Memory,
    /// Pages of ListApiKeys of a keyspace with very many keys, on both stores: how long a call takes, and what memory
    Lists,
}

impl Mode {
    /// Those that compare Verify with something.
    const COMPARISONS: [Self; 5] = [Self::Verify, Self::Postgres, Self::Redis, Self::Batch, Self::Stream];

    pub fn name(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Batch => "batch",
            Self::Stream => "stream",
            Self::Build => "build",
            Self::Limits => "limits",
            Self::Flush => "flush",
            Self::Cold => "cold",
            Self::Flood => "flood",
            Self::Connections => "connections",
            Self::Memory => "memory",
            Self::Lists => "lists",
            Self::Revoke => "revoke",
        }
    }
}
