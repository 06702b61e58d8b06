//! The first bytes that a server sends over a connection without TLS: they tell one that speaks TLS there, where the error of
//! the call says no more than that the connection was lost.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::io::InspectReader;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::transport::{Channel, Uri};
use tower::Service;

use super::exit::BoxError;

const LEN_MAX: usize = 32;
/// The head of a TLS alert: its type, and the first of the version's numbers (RFC 8446, 5.1).
const ALERT: [u8; 2] = [21, 3];
/// GOAWAY with INADEQUATE_SECURITY (RFC 9113, 6.8 and 7), which follows an empty SETTINGS.
const GOAWAY: u8 = 7;
const INADEQUATE_SECURITY: [u8; 4] = [0, 0, 0, 0xc];

/// The bytes that have come so far.
#[derive(Clone, Default)]
pub struct FirstBytes(Arc<Mutex<Vec<u8>>>);

impl FirstBytes {
    /// Connects, and keeps the first bytes that come.
    pub async fn connect(self, uri: Uri) -> io::Result<TokioIo<InspectReader<TcpStream, impl FnMut(&[u8])>>> {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?;
        stream.set_nodelay(true)?;
        Ok(TokioIo::new(InspectReader::new(stream, move |read: &[u8]| self.add(read))))
    }

    fn add(&self, bytes: &[u8]) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let more = bytes.len().min(LEN_MAX - first.len());
        first.extend_from_slice(&bytes[..more]);
    }

    fn are_of_tls(&self) -> bool {
        let first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.starts_with(&ALERT)
            || (first.get(12) == Some(&GOAWAY) && first.get(22..26) == Some(&INADEQUATE_SECURITY[..]))
    }
}

/// A channel whose errors say that the server speaks TLS, if it does.
#[derive(Clone)]
pub struct Told {
    /// The channel.
    pub channel: Channel,
    /// What came over it first.
    pub first: FirstBytes,
}

impl Service<Request<Body>> for Told {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let first = self.first.clone();
        self.channel.poll_ready(cx).map_err(|error| told(&first, error.into()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (first, answering) = (self.first.clone(), self.channel.call(request));
        Box::pin(async move { answering.await.map_err(|error| told(&first, error.into())) })
    }
}

fn told(first: &FirstBytes, error: BoxError) -> BoxError {
    if first.are_of_tls() {
        return Status::unavailable("the server speaks TLS there: use https://; nothing was changed").into();
    }
    error
}
