//! Connections: accepted on one thread, served on one thread a core.
//!
//! Each serving thread runs a scheduler of its own. What arrives on a connection is read, decided and answered on its
//! thread: no call is handed from thread to thread, which costs more than answering it does. A new connection goes to
//! the thread that has the fewest. What waits (the store, Argon2id) is for other threads: a service must hand it over.
//!
//! Until a credential was proved on a connection, it is a stranger's: it may hold little, has little time, and makes place
//! for others when places are scarce.

mod accept;
mod call;
mod caller_turns;
mod connection;
mod connection_metrics;
mod cores;
mod files;
mod frame_meter;
mod handshakes;
mod head_meter;
mod http1;
mod http2;
mod open_connections;
mod origins;
mod patience;
mod plaintext;
mod queue_time;
mod request_body;
mod request_budget;
mod rewound;
mod state;
mod text;
mod tls;
mod traffic;
mod unsent;

pub use accept::serve;
pub use connection::{Door, Settings};
pub use cores::{Cores, StartError};
pub use handshakes::Handshakes;
pub use open_connections::OpenConnections;
pub use origins::{OriginError, Origins, Sender};
pub use request_body::{BodyError, RequestBody};
pub use request_budget::{RequestBudget, RequestBytes};
pub use state::{ConnectionState, Peer};
pub use text::serve_text;
pub use tls::{TlsError, acceptor};
