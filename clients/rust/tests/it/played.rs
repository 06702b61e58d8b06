//! Servers that answer as a test says.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use portcullis_client::Client;
use portcullis_client::pb::VerifyResponse;
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;
use tonic::{Code, Status};

/// Longer than any test takes, however busy the machine.
pub const NEVER: Duration = Duration::from_secs(10 * 60);

/// What a server does with a call.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there are few")]
pub enum Act {
    Verdict(VerifyResponse),
    Error(Code),
    /// Answers with an HTTP status and no gRPC, as proxies do.
    Http(u16),
    Hang,
    /// Sends the headers of an answer and nothing more.
    HangWithin,
}

impl Act {
    pub fn valid() -> Self {
        let subject = "user_1".to_owned();
        Self::Verdict(VerifyResponse { valid: true, verdict: 1, subject, ..VerifyResponse::default() })
    }
}

/// A server on a port of 127.0.0.1, until it is dropped or stopped.
pub struct Played {
    pub address: SocketAddr,
    calls: Arc<Mutex<Vec<HeaderMap>>>,
    accepting: AbortHandle,
    _tasks: JoinSet<()>,
}

type Acts = Arc<dyn Fn(usize) -> Act + Send + Sync>;

impl Played {
    /// Answers its nth call, from 0, by `acts`.
    pub async fn start(acts: impl Fn(usize) -> Act + Send + Sync + 'static) -> Self {
        Self::listen("127.0.0.1:0", None, acts).await
    }

    pub async fn listen(
        address: impl tokio::net::ToSocketAddrs,
        tls: Option<TlsAcceptor>,
        acts: impl Fn(usize) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let accepting = tasks.spawn(accept(listener, tls, Arc::clone(&calls), Arc::new(acts)));
        Self { address, calls, accepting, _tasks: tasks }
    }

    /// The headers of the calls so far.
    pub fn calls(&self) -> Vec<HeaderMap> {
        self.calls.lock().unwrap().clone()
    }

    /// Closes the port and every connection.
    pub fn stop(&self) {
        self.accepting.abort();
    }

    pub fn client(&self) -> Client {
        client(&[self], NEVER)
    }
}

/// A client of these servers.
pub fn client(servers: &[&Played], timeout: Duration) -> Client {
    let addresses = servers.iter().map(|server| format!("http://{}", server.address));
    Client::builder().addresses(addresses).root_key("root_for_tests").timeout(timeout).build().unwrap()
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, calls: Arc<Mutex<Vec<HeaderMap>>>, acts: Acts) {
    // Dropped with the task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (tls, calls, acts) = (tls.clone(), Arc::clone(&calls), Arc::clone(&acts));
        connections.spawn(async move {
            match tls {
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, calls, acts).await;
                    }
                }
                None => serve(stream, calls, acts).await,
            }
        });
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    calls: Arc<Mutex<Vec<HeaderMap>>>,
    acts: Acts,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let number = {
            let mut calls = calls.lock().unwrap();
            calls.push(request.headers().clone());
            calls.len() - 1
        };
        let act = acts(number);
        async move {
            drop(request.into_body().collect().await);
            Ok::<_, Infallible>(answer(act).await)
        }
    });
    drop(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await);
}

async fn answer(act: Act) -> Response<Body> {
    match act {
        Act::Verdict(verdict) => message(&verdict),
        Act::Error(code) => Status::new(code, "played").into_http(),
        Act::Http(status) => Response::builder().status(status).body(Body::empty()).unwrap(),
        Act::Hang => std::future::pending().await,
        Act::HangWithin => {
            grpc(Body::new(StreamBody::new(tokio_stream::pending::<Result<Frame<Bytes>, Infallible>>())))
        }
    }
}

fn message(verdict: &VerifyResponse) -> Response<Body> {
    let message = verdict.encode_to_vec();
    let mut bytes = vec![0];
    bytes.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    bytes.extend(message);
    let trailers = HeaderMap::from_iter([(Status::GRPC_STATUS, HeaderValue::from_static("0"))]);
    let frames = [Frame::data(Bytes::from(bytes)), Frame::trailers(trailers)];
    grpc(Body::new(StreamBody::new(tokio_stream::iter(frames.map(Ok::<_, Infallible>)))))
}

fn grpc(body: Body) -> Response<Body> {
    Response::builder().header("content-type", "application/grpc").body(body).unwrap()
}
