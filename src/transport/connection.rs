//! One connection: TLS if need be, then HTTP/2.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::pin::pin;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::time;

use super::Settings;
use super::rewound::{PREFACE_LEN, Rewound};

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
/// How long a new connection may take to say that it speaks HTTP/2: its TLS handshake and its preface.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// Silent connections are asked for a sign of life this often.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// And closed if they give none for this long.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

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
        match &settings.tls {
            None => serve_http(greeted(async { Ok(stream) }, settings).await?, peer, settings, door).await,
            Some(acceptor) => serve_http(greeted(acceptor.accept(stream), settings).await?, peer, settings, door).await,
        }
    };
    // Whoever is at fault, the peer or the network between: there is nobody left to tell, and nothing to mend.
    if let Err(error) = served.await {
        tracing::debug!(%peer, %error, "a connection ended badly");
    }
}

/// What `connecting` comes to once the peer has said that it speaks HTTP/2. Whoever says nothing holds a place and a
/// file, and nothing after this would send him away.
async fn greeted<S: AsyncRead + Unpin>(
    connecting: impl Future<Output = io::Result<S>>,
    settings: &Settings,
) -> io::Result<Rewound<S>> {
    let greeting = async {
        let mut stream = connecting.await?;
        let mut preface = [0; PREFACE_LEN];
        stream.read_exact(&mut preface).await?;
        Ok(Rewound::new(preface, stream))
    };
    tokio::select! {
        greeted = time::timeout(GREETING_TIMEOUT, greeting) => {
            greeted.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
        }
        () = settings.close.cancelled() => Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
    }
}

async fn serve_http<S, D>(stream: S, peer: SocketAddr, settings: &Settings, door: D) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    D: Door,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let answering = door.answer(request);
        async move { Ok::<_, std::convert::Infallible>(answering.await) }
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
        () = settings.close.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    served.map_err(io::Error::other)
}
