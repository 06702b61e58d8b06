//! Servers that answer as a test says.

use std::collections::HashMap;
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
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckResponse;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_types::{ErrorDetails, StatusExt as _};

/// Longer than any test takes, however busy the machine.
pub const NEVER: Duration = Duration::from_secs(10 * 60);

/// What a server does with a call.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there are few")]
pub enum Act {
    Verdict(VerifyResponse),
    Health(HealthCheckResponse),
    Error(Code),
    /// With an ErrorInfo of this domain.
    ErrorOf(Code, &'static str),
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

/// What a server says of its readiness.
#[derive(Clone, Copy, Debug)]
pub enum Readiness {
    /// A status of grpc.health.v1.
    Is(ServingStatus),
    Silent,
    NoService,
}

/// The health of a server, and the headers of the calls that ask for it.
#[derive(Debug)]
struct Health {
    readiness: Readiness,
    calls: Vec<HeaderMap>,
}

/// A server on a port of 127.0.0.1, until it is dropped or stopped.
pub struct Played {
    pub address: SocketAddr,
    calls: Arc<Mutex<Vec<HeaderMap>>>,
    health: Arc<Mutex<Health>>,
    accepting: AbortHandle,
    _tasks: JoinSet<()>,
}

type Parts = Arc<(Arc<Mutex<Vec<HeaderMap>>>, Arc<Mutex<Health>>, Acts)>;
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
        let health = Arc::new(Mutex::new(Health { readiness: Readiness::NoService, calls: Vec::new() }));
        let mut tasks = JoinSet::new();
        let played = Arc::new((Arc::clone(&calls), Arc::clone(&health), Arc::new(acts) as Acts));
        let accepting = tasks.spawn(accept(listener, tls, played));
        Self { address, calls, health, accepting, _tasks: tasks }
    }

    /// What it says of its readiness from now on.
    pub fn set_readiness(&self, readiness: Readiness) {
        self.health.lock().unwrap().readiness = readiness;
    }

    /// The headers of the calls about its health so far.
    pub fn health_calls(&self) -> Vec<HeaderMap> {
        self.health.lock().unwrap().calls.clone()
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

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, parts: Parts) {
    // Dropped with the task, and the connections with it.
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (tls, parts) = (tls.clone(), Arc::clone(&parts));
        connections.spawn(async move {
            match tls {
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, parts).await;
                    }
                }
                None => serve(stream, parts).await,
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, parts: Parts) {
    let service = service_fn(|request: Request<Incoming>| {
        let (calls, health, acts) = &*parts;
        let headers = request.headers().clone();
        let act = if request.uri().path() == "/grpc.health.v1.Health/Check" {
            let mut health = health.lock().unwrap();
            health.calls.push(headers);
            health.readiness.act()
        } else {
            let number = {
                let mut calls = calls.lock().unwrap();
                calls.push(headers);
                calls.len() - 1
            };
            acts(number)
        };
        async move {
            drop(request.into_body().collect().await);
            Ok::<_, Infallible>(answer(act).await)
        }
    });
    drop(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await);
}

impl Readiness {
    fn act(self) -> Act {
        match self {
            Self::Is(status) => Act::Health(HealthCheckResponse { status: status.into() }),
            Self::Silent => Act::Hang,
            Self::NoService => Act::Error(Code::Unimplemented),
        }
    }
}

async fn answer(act: Act) -> Response<Body> {
    match act {
        Act::Verdict(verdict) => message(&verdict),
        Act::Health(answer) => message(&answer),
        Act::Error(code) => Status::new(code, "played").into_http(),
        Act::ErrorOf(code, domain) => {
            let details = ErrorDetails::with_error_info("R", domain, HashMap::new());
            Status::with_error_details(code, "played", details).into_http()
        }
        Act::Http(status) => Response::builder().status(status).body(Body::empty()).unwrap(),
        Act::Hang => std::future::pending().await,
        Act::HangWithin => {
            grpc(Body::new(StreamBody::new(tokio_stream::pending::<Result<Frame<Bytes>, Infallible>>())))
        }
    }
}

fn message(message: &impl prost::Message) -> Response<Body> {
    let message = message.encode_to_vec();
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
