//! TLS handshakes, on threads of their own: one with a large RSA key takes milliseconds, which calls on a serving thread
//! would wait for.
//!
//! How many wait is bounded by the places for connections, and how long by their deadline.

use std::io;
use std::thread;

use tokio::net::TcpStream;
use tokio::runtime::{self, Handle};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// How much less often than the serving threads these get a core, as `nice` counts it.
const NICENESS: i32 = 10;

/// The threads for handshakes.
pub struct Handshakes {
    handle: Handle,
    stop: CancellationToken,
}

impl Handshakes {
    /// Starts a thread for every second core.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn start() -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(cores.div_ceil(2))
            .thread_name("handshake")
            .on_thread_start(|| {
                // Where that cannot be had, they are as the others.
                let _ = rustix::process::nice(NICENESS);
            })
            .build()?;
        let (handle, stop) = (runtime.handle().clone(), CancellationToken::new());
        let stopped = stop.clone();
        thread::Builder::new().name("handshakes".to_owned()).spawn(move || {
            runtime.block_on(stopped.cancelled());
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, stop })
    }

    /// Makes the handshake of a connection. The stream stays registered with the thread that calls this: only the work is
    /// done elsewhere.
    ///
    /// # Errors
    /// If it fails.
    pub async fn accept(&self, acceptor: TlsAcceptor, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let handshake = self.handle.spawn(async move { acceptor.accept(stream).await });
        AbortOnDropHandle::new(handshake).await.map_err(io::Error::other)?
    }
}

impl Drop for Handshakes {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
