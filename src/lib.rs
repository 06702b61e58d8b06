//! Portcullis: a self-hosted API-key service.
//!
//! The modules, in the order in which to read them; nothing imports from below itself:
//!
//! - [`clock`]: time as a parameter
//! - [`text_file`]: reading text that people write
//! - [`key`]: what a key is. Pure
//! - [`client_network`]: where clients come from
//! - [`log_sampler`]: log lines of which few are enough
//! - [`low_priority`]: threads for work that may wait
//! - [`security_events`]: who was refused: counted, sampled for the log, told to the audit trail
//! - [`seeded`]: faults that tests put in. In no build but theirs
//! - [`fair_queue`]: fair waiting: keys take turns, and none has all places
//! - [`admission`]: which calls may begin: budgets, places, queues
//! - [`store`]: where keys live: SQLite or Postgres behind one trait
//! - [`fleet`]: replicas agreeing on what changed: log, lease, barrier
//! - [`hashing`]: Argon2id, a bounded number at a time
//! - [`usage`]: what keys did, counted and written behind
//! - [`verify`]: may this key do this?
//! - [`manage`]: the use cases that change and show keys and keyspaces
//! - [`transport`]: connections, and the threads that serve them
//! - [`grpc`]: the wire
//! - [`upkeep`]: what goes on beside answering
//! - [`memory_limit`], [`memory_budget`]: how much memory there is, and for what
//! - [`config`], [`telemetry`], [`lifecycle`]: settings, logs, signals
//! - [`metrics`]: what can be measured
//! - [`server`]: the only wiring
//! - [`cli`]: the program
//!
//! What never happens: a secret is stored, logged, printed by `Debug` or returned twice; a verification writes to the
//! store, but for credits that it takes out before it spends them, or says VALID for what it could not read; a queue, list or page without a limit; expiry stored as a state.

pub mod admission;
pub mod cli;
pub mod client_network;
pub mod clock;
pub mod config;
pub mod fair_queue;
pub mod fleet;
pub mod grpc;
pub mod hashing;
pub mod key;
pub mod lifecycle;
pub mod log_sampler;
pub mod low_priority;
pub mod manage;
pub mod memory_budget;
pub mod memory_limit;
pub mod metrics;
pub mod security_events;
pub mod seeded;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod text_file;
pub mod transport;
pub mod upkeep;
pub mod usage;
pub mod verify;
