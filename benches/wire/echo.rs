//! The server that does nothing: what one gets from `tonic::include_proto!` and `#[tokio::main]`, with every setting and
//! the allocator left as they are. What it takes is what a unary RPC of this size costs with tonic.
//!
//! The service is what tonic-prost-build 0.14 generates for
//! `service Echo { rpc Call(EchoRequest) returns (EchoResponse); }`, trait, boxed futures and all, without the settings
//! that nobody sets. One string each way is the least that a message of that size can be: a verdict, with its seven
//! strings, starts out behind.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::codegen::http::{Request as HttpRequest, Response as HttpResponse};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::Error;
use crate::messages::{EchoRequest, EchoResponse};
use crate::process::Process;

/// Where its method is.
pub const PATH: &str = "/bench.Echo/Call";

/// Starts it as a process of its own, from this program.
pub fn start(response_len: usize) -> Result<Process, Error> {
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.env_clear().arg("--echo").arg(response_len.to_string());
    Process::start(command)
}

/// Serves until it is killed.
#[tokio::main]
pub async fn serve(response_len: usize) -> Result<(), Error> {
    let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into())?;
    // What `Server::serve` does by itself; there one cannot learn the port.
    let incoming = incoming.with_nodelay(Some(true));
    eprintln!("listening on {}", incoming.local_addr()?);
    let constant = Constant { payload: EchoResponse::of_len(response_len).payload };
    Server::builder().add_service(EchoServer { inner: Arc::new(constant) }).serve_with_incoming(incoming).await?;
    Ok(())
}

/// The handler.
struct Constant {
    payload: String,
}

#[tonic::async_trait]
impl Echo for Constant {
    async fn call(&self, request: Request<EchoRequest>) -> Result<Response<EchoResponse>, Status> {
        drop(request.into_inner());
        Ok(Response::new(EchoResponse { valid: true, verdict: 1, payload: self.payload.clone() }))
    }
}

#[tonic::async_trait]
trait Echo: Send + Sync + 'static {
    async fn call(&self, request: Request<EchoRequest>) -> Result<Response<EchoResponse>, Status>;
}

struct EchoServer<T> {
    inner: Arc<T>,
}

impl<T> Clone for EchoServer<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T> NamedService for EchoServer<T> {
    const NAME: &'static str = "bench.Echo";
}

impl<T: Echo> tonic::codegen::Service<HttpRequest<Body>> for EchoServer<T> {
    type Response = HttpResponse<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Self::Future {
        match request.uri().path() {
            PATH => {
                let inner = self.inner.clone();
                Box::pin(async move {
                    let method = CallSvc(inner);
                    let mut grpc = Grpc::new(ProstCodec::default());
                    Ok(grpc.unary(method, request).await)
                })
            }
            _ => Box::pin(async move { Ok(Status::unimplemented("").into_http()) }),
        }
    }
}

struct CallSvc<T>(Arc<T>);

impl<T: Echo> UnaryService<EchoRequest> for CallSvc<T> {
    type Response = EchoResponse;
    type Future = Pin<Box<dyn Future<Output = Result<Response<EchoResponse>, Status>> + Send>>;

    fn call(&mut self, request: Request<EchoRequest>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { <T as Echo>::call(&inner, request).await })
    }
}
