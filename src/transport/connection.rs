//! One connection: TLS if need be, then HTTP/2 or HTTP/1.1, whichever it speaks.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderValue, Request, Response, header};
use http_body::Body;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rand::RngExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time;

use super::Settings;
use super::rewound::{Rewound, Spoken};

/// Most calls in flight on one connection; more wait at the client. With the size of a request this bounds what one
/// connection of a caller's can make the server hold.
pub const STREAMS_MAX: u32 = 256;
/// How much of a request's body, and of those of all requests on a connection, may arrive before it is read. A message of
/// a stream is a frame of its own, and h2 takes too many small frames that nobody has read for an attack, on which it
/// closes the connection: more than half the second number, where each counts as 256 bytes less its own. Messages of 40
/// bytes and more, as those with a key are, stay below that on several streams that wait for the store.
const STREAM_WINDOW_SIZE: u32 = 64 * 1024;
/// See [`STREAM_WINDOW_SIZE`].
const CONNECTION_WINDOW_SIZE: u32 = 2 * 1024 * 1024;
/// How long a new connection may take to say what it speaks: its TLS handshake and its first bytes.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// Silent connections are asked for a sign of life this often.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// And closed if they give none for this long.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// HTTP/1.1 has no pings: a connection is closed that sends no whole head of a request for this long.
const HTTP1_IDLE_MAX: Duration = Duration::from_mins(1);
/// Largest head of a request over HTTP/1.1, in bytes: as large as one of HTTP/2 may be.
const HTTP1_HEAD_SIZE_MAX: usize = 16 * 1024;
/// A connection is ended whose other end has not been heard of, or has taken nothing of what it was sent, for this long.
const UNHEARD_MAX: Duration = Duration::from_mins(1);
/// How much earlier or later than the rest a connection may come of age, so that they do not all return at once.
const AGE_JITTER: f64 = 0.1;

/// Where a request came from: among its extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// What answers requests. A copy of it serves each connection.
pub trait Door: Clone + Send + Sync + 'static {
    /// The body of an answer.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static;
    /// The answer to come.
    type Answering: Future<Output = Response<Self::Body>> + Send + 'static;

    /// Answers a request. Runs on a serving thread.
    fn answer(&self, request: Request<Incoming>) -> Self::Answering;
}

/// Serves one connection to its end.
pub async fn serve<D: Door>(stream: TcpStream, peer: SocketAddr, settings: &Settings, door: D) {
    let served = async {
        let stream = tokio::net::TcpStream::from_std(stream)?;
        // Answers are small and awaited: better many packets than late ones.
        stream.set_nodelay(true)?;
        bounded(&stream)?;
        match &settings.tls {
            None => serve_http(async { Ok(stream) }, peer, settings, door).await,
            Some(acceptor) => serve_http(acceptor.accept(stream), peer, settings, door).await,
        }
    };
    // Whoever is at fault, the peer or the network between: there is nobody left to tell, and nothing to mend.
    if let Err(error) = served.await {
        tracing::debug!(%peer, %error, "a connection ended badly");
    }
}

async fn serve_http<S, D>(
    connecting: impl Future<Output = io::Result<S>>,
    peer: SocketAddr,
    settings: &Settings,
    door: D,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    D: Door,
{
    // Whoever says nothing holds a place and a file, and nothing after this would send him away.
    let greeting = async { Rewound::once_it_speaks(connecting.await?).await };
    let (stream, spoken) = tokio::select! {
        greeted = time::timeout(GREETING_TIMEOUT, greeting) => {
            greeted.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??
        }
        () = settings.close.cancelled() => return Err(io::ErrorKind::ConnectionAborted.into()),
    };
    match spoken {
        Spoken::Http2 => serve_http2(stream, peer, settings, door).await,
        Spoken::Http1 => serve_http1(stream, peer, settings, door).await,
    }
}

async fn serve_http2<S, D>(stream: S, peer: SocketAddr, settings: &Settings, door: D) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    D: Door,
{
    let has_begun = Arc::new(AtomicBool::new(false));
    let begins = has_begun.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        begins.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(Peer(peer));
        let answering = door.answer(request);
        async move { Ok::<_, Infallible>(answering.await) }
    });
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .initial_stream_window_size(STREAM_WINDOW_SIZE)
            .initial_connection_window_size(CONNECTION_WINDOW_SIZE)
            .keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .auto_date_header(false)
            .serve_connection(TokioIo::new(stream), service)
    );
    let served = tokio::select! {
        served = connection.as_mut() => served,
        // The client is told to connect anew for what is next; calls in flight end first, however long they take.
        () = of_age(settings) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = settings.close.cancelled() => {
            connection.as_mut().graceful_shutdown();
            until_done(connection, &has_begun).await
        }
    };
    served.map_err(io::Error::other)
}

async fn serve_http1<S, D>(stream: S, peer: SocketAddr, settings: &Settings, door: D) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    D: Door,
{
    let has_begun = Arc::new(AtomicBool::new(false));
    let is_of_age = Arc::new(AtomicBool::new(false));
    let (begins, ends) = (has_begun.clone(), is_of_age.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        begins.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(Peer(peer));
        let (answering, ends) = (door.answer(request), ends.clone());
        async move {
            let mut response = answering.await;
            // Closed with an answer, as no client can tell whether a connection closed between two took its request.
            if ends.load(Ordering::Relaxed) {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HTTP1_IDLE_MAX)
            .max_buf_size(HTTP1_HEAD_SIZE_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    let aging = async {
        tokio::select! {
            () = of_age(settings) => {}
            () = settings.ending.cancelled() => {}
        }
        is_of_age.store(true, Ordering::Relaxed);
        pending::<()>().await;
    };
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = aging => unreachable!("nothing comes after it"),
        () = settings.close.cancelled() => {
            connection.as_mut().graceful_shutdown();
            until_done(connection, &has_begun).await
        }
    };
    served.map_err(io::Error::other)
}

/// Waits until `connection` has answered what it was asked: nothing, if no request has begun on it.
async fn until_done<E>(connection: impl Future<Output = Result<(), E>>, has_begun: &AtomicBool) -> Result<(), E> {
    if has_begun.load(Ordering::Relaxed) { connection.await } else { Ok(()) }
}

/// Lets the system end a connection whose other end is gone, or takes nothing that it is sent.
fn bounded(stream: &tokio::net::TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
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

/// Resolves once a connection that begins now is as old as it may get, if there is such an age.
async fn of_age(settings: &Settings) {
    let Some(age) = settings.age_max else { return pending().await };
    let jitter = rand::rng().random_range(1.0 - AGE_JITTER..=1.0 + AGE_JITTER);
    time::sleep(age.mul_f64(jitter)).await;
}
