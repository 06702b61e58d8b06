//! One connection: TLS if need be, then HTTP/2 or HTTP/1.1, whichever it speaks.

use std::future::pending;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, request};
use http_body::Body;
use rand::RngExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::handshakes::Handshakes;
use super::open_connections::OpenConnections;
use super::request_body::RequestBody;
use super::rewound::{Rewound, Spoken};
use super::state::{ConnectionState, EndReason};
use super::{http1, http2, plaintext};

/// How long a new connection may take to say what it speaks: its TLS handshake and its first bytes.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// How long calls may go on at most on a connection whose client was asked to connect anew, see [`age_grace`].
const AGE_GRACE_MAX: Duration = Duration::from_secs(30);
/// A connection is ended whose other end has not been heard of, or has taken nothing of what it was sent, for this long.
const UNHEARD_MAX: Duration = Duration::from_mins(1);
/// How much the system holds for a connection in each direction: left to itself it would hold some MiB for a client that
/// takes nothing, which control groups count as this process's.
const KERNEL_BUFFER_SIZE: usize = 128 * 1024;
/// How much earlier or later than the rest a connection may come of age, so that they do not all return at once.
const AGE_JITTER: f64 = 0.1;

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
    /// Which connections are open, and how many may be.
    pub connections: Arc<OpenConnections>,
    /// Where TLS handshakes run.
    pub handshakes: Arc<Handshakes>,
}

/// What answers requests. A copy of it serves each connection.
pub trait Door: Clone + Send + Sync + 'static {
    /// The body of an answer.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static;
    /// The answer to come.
    type Answering: Future<Output = Response<Self::Body>> + Send + Unpin + 'static;

    /// Answers a request. Runs on a serving thread.
    fn answer(&self, request: Request<RequestBody>) -> Self::Answering;

    /// Returns how long the client of a call waits for its answer, if the call may be refused for coming late; else `None`.
    fn late_patience(&self, request: &Request<RequestBody>) -> Option<Duration>;

    /// Answers `request`, which came too late to be served.
    fn refuse_late(&self, request: &Request<RequestBody>) -> Self::Answering;

    /// Answers a request whose head has too many fields, and of which nothing else is looked at (RFC 6585, 5).
    fn refuse_head(&self, head: &request::Parts) -> Self::Answering;

    /// Whether these headers bear a credential that is good, as far as can be told at once.
    fn is_known(&self, headers: &HeaderMap) -> bool;
}

/// Serves one connection to its end.
pub async fn serve<D: Door>(stream: TcpStream, state: Arc<ConnectionState>, settings: &Settings, door: D) {
    let peer = state.peer();
    let served = async {
        let mut stream = tokio::net::TcpStream::from_std(stream)?;
        // Answers are small and awaited: better many packets than late ones.
        stream.set_nodelay(true)?;
        bounded(&stream)?;
        match &settings.tls {
            None => serve_http(async { Ok(stream) }, state, settings, door).await,
            Some(acceptor) => {
                let connecting = async {
                    plaintext::refuse(&mut stream).await?;
                    settings.handshakes.accept(acceptor.clone(), stream).await
                };
                serve_http(connecting, state, settings, door).await
            }
        }
    };
    // Whoever is at fault, the peer or the network between: there is nobody left to tell, and nothing to mend.
    if let Err(error) = served.await {
        tracing::debug!(%peer, %error, "a connection ended badly");
    }
}

async fn serve_http<S, D>(
    connecting: impl Future<Output = io::Result<S>>,
    state: Arc<ConnectionState>,
    settings: &Settings,
    door: D,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    D: Door,
{
    // A silent client holds a slot and a file descriptor, and no later timeout closes it.
    let greeting = async { Rewound::once_it_speaks(connecting.await?).await };
    let (stream, spoken) = tokio::select! {
        greeted = in_handshake_time(&state, greeting) => greeted?,
        _ = state.ended() => return Ok(()),
        () = settings.close.cancelled() => return Err(io::ErrorKind::ConnectionAborted.into()),
    };
    match spoken {
        Spoken::Http2 => http2::serve(stream, state, settings, door).await,
        Spoken::Http1 => http1::serve(stream, state, settings, door).await,
    }
}

/// Awaits `step` of a connection's handshake. Ends the connection if that takes too long.
pub async fn in_handshake_time<T>(state: &ConnectionState, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    time::timeout(GREETING_TIMEOUT, step).await.unwrap_or_else(|_| {
        state.end(EndReason::HandshakeTimeout);
        Err(io::ErrorKind::TimedOut.into())
    })
}

/// Lets the system end a connection whose other end is gone, or takes nothing that it is sent.
fn bounded(stream: &tokio::net::TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_socket_send_buffer_size(stream, KERNEL_BUFFER_SIZE)?;
    sockopt::set_socket_recv_buffer_size(stream, KERNEL_BUFFER_SIZE)?;
    sockopt::set_socket_keepalive(stream, true)?;
    #[cfg(target_os = "linux")]
    {
        sockopt::set_tcp_keepidle(stream, UNHEARD_MAX / 2)?;
        sockopt::set_tcp_keepintvl(stream, UNHEARD_MAX / 4)?;
        let millis = u32::try_from(UNHEARD_MAX.as_millis()).expect("a minute");
        sockopt::set_tcp_user_timeout(stream, millis)?;
    }
    Ok(())
}

/// How long calls may go on on a connection that was as old as `age` when its client was asked to connect anew. Then streams
/// that last are ended, and a moment later whatever is still open.
pub fn age_grace(age: Duration) -> Duration {
    age.min(AGE_GRACE_MAX)
}

/// Resolves once a connection that begins now is as old as it may get, if there is such an age.
pub async fn of_age(settings: &Settings) {
    let Some(age) = settings.age_max else { return pending().await };
    time::sleep(jittered(age)).await;
}

/// Somewhat more or less than `age`.
pub fn jittered(age: Duration) -> Duration {
    age.mul_f64(rand::rng().random_range(1.0 - AGE_JITTER..=1.0 + AGE_JITTER))
}
