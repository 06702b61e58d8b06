//! Connections: accepted on one thread, served on one thread a core.
//!
//! Each serving thread runs a scheduler of its own. What arrives on a connection is read, decided and answered on its
//! thread: no call is handed from thread to thread, which costs more than answering it does. A new connection goes to
//! the thread that has the fewest. What waits (the store, Argon2id) is for other threads: a service must hand it over.

mod accept;
mod connection;
mod cores;
mod files;
mod origins;
mod rewound;
mod text;
mod tls;

use std::time::Duration;

use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub use accept::serve;
pub use connection::{Door, Peer};
pub use cores::{Cores, StartError};
pub use origins::{OriginError, Origins, Sender};
pub use text::serve_text;
pub use tls::{TlsError, acceptor};

/// How connections are served.
#[derive(Clone)]
pub struct Settings {
    /// `None`: in plaintext.
    pub tls: Option<TlsAcceptor>,
    /// How old a connection may get before its client is asked to connect anew; `None`: as old as it likes.
    pub age_max: Option<Duration>,
    /// Once cancelled, clients of HTTP/1.1 are told with each answer to go elsewhere: over it, a connection cannot be closed
    /// without doubt about what is on its way.
    pub ending: CancellationToken,
    /// Once cancelled, no connection is accepted any more, and those that are open end as soon as their calls have.
    pub close: CancellationToken,
}
