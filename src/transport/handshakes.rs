//! TLS handshakes, on threads of their own: one with a large RSA key takes milliseconds, which calls on a serving thread
//! would wait for.
//!
//! How many wait is bounded by the places for connections, and how long by their deadline.

use std::io;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use crate::low_priority::LowPriorityThreads;

/// The threads for handshakes.
pub struct Handshakes(LowPriorityThreads);

impl Handshakes {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn start() -> io::Result<Self> {
        LowPriorityThreads::start("handshake").map(Self)
    }

    /// Makes the handshake of a connection. The stream stays registered with the thread that calls this: only the work is
    /// done elsewhere.
    ///
    /// # Errors
    /// If it fails.
    pub async fn accept(&self, acceptor: TlsAcceptor, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let handshake = self.0.handle().spawn(async move { acceptor.accept(stream).await });
        AbortOnDropHandle::new(handshake).await.map_err(io::Error::other)?
    }
}
