//! One connection to one replica.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::io::InspectReader;
use tonic::body::Body;
use tonic::{Code, Status};

use super::greeting::{Greeting, greeting};
use super::resolution::Origin;

const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// The body of a request: one that can be sent again, or a stream.
pub type Outgoing = Either<Full<Bytes>, Body>;

/// Ends when the connection does.
pub type Life = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection that takes calls.
#[derive(Clone)]
pub struct Connection {
    sender: SendRequest<Outgoing>,
    scheme: Scheme,
    authority: Authority,
}

/// Why a request has no answer.
pub enum Failure {
    /// The connection had closed, and gives the request back.
    Unsent(Box<Request<Outgoing>>),
    /// The connection closed, or the replica broke the call off.
    Sent(Status),
}

impl Connection {
    /// Connects to the address of an origin, and waits for it to speak. The connection is alive for as long as the
    /// [`Life`] is polled.
    pub async fn open(origin: &Origin, address: SocketAddr) -> Result<(Self, Life), Box<dyn Error + Send + Sync>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, life) = match &origin.tls {
            Some(tls) => handshake(tls.connect(origin, stream).await?, origin).await?,
            None => handshake(stream, origin).await?,
        };
        let scheme = if origin.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let authority = origin.authority.clone();
        Ok((Self { sender, scheme, authority }, life))
    }

    /// Whether it takes no more calls.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a request whose URI is a path.
    pub async fn send(mut self, mut request: Request<Outgoing>) -> Result<Response<Incoming>, Failure> {
        let mut uri = std::mem::take(request.uri_mut()).into_parts();
        uri.scheme = Some(self.scheme);
        uri.authority = Some(self.authority);
        *request.uri_mut() = Uri::from_parts(uri).expect("stubs name a path");
        self.sender.try_send_request(request).await.map_err(|mut error| match error.take_message() {
            Some(unsent) => Failure::Unsent(Box::new(unsent)),
            None => Failure::Sent(status(error.error())),
        })
    }
}

async fn handshake<T>(stream: T, origin: &Origin) -> Result<(SendRequest<Outgoing>, Life), Box<dyn Error + Send + Sync>>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (read, greeted) = greeting();
    let (sender, life) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(InspectReader::new(stream, read)))
        .await?;
    if greeted.await.map_err(|_| "it closed the connection, or does not speak HTTP/2")? == Greeting::TlsAlert {
        return Err(format!("the server at {0} speaks TLS: use https://{0}", origin.authority).into());
    }
    // How it ended, the calls in flight say.
    Ok((sender, Box::pin(async move { drop(life.await) })))
}

/// What a failed connection means for a call: UNAVAILABLE, but where the replica ended just this call, what its reason
/// means by "gRPC over HTTP2".
pub fn status(error: &hyper::Error) -> Status {
    let reset = error.source().and_then(|source| source.downcast_ref::<h2::Error>()).filter(|error| error.is_reset());
    let code = match reset.and_then(h2::Error::reason) {
        None | Some(h2::Reason::REFUSED_STREAM) => Code::Unavailable,
        Some(h2::Reason::CANCEL) => Code::Cancelled,
        Some(h2::Reason::ENHANCE_YOUR_CALM) => Code::ResourceExhausted,
        Some(h2::Reason::INADEQUATE_SECURITY) => Code::PermissionDenied,
        Some(_) => Code::Internal,
    };
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    Status::new(code, message)
}
