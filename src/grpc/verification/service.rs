//! The methods as tonic serves them: framing, compression, limits and status are its own; messages are taken and given
//! as bytes.

use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut as _, Bytes};
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::{Request as HttpRequest, Response as HttpResponse};
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status, Streaming};
use tower::{Service, service_fn};

use super::request::Asked;
use super::stream::{Answers, answers};
use super::{batch, response, verify};
use crate::grpc::{caller, pb, status};
use crate::transport::ConnectionState;
use crate::verify::Verifier;

/// Its methods by their paths.
pub const VERIFY: &str = "/portcullis.v1.VerificationService/Verify";
const BATCH_VERIFY: &str = "/portcullis.v1.VerificationService/BatchVerify";
const VERIFY_STREAM: &str = "/portcullis.v1.VerificationService/VerifyStream";

/// The service.
#[derive(Clone)]
pub struct Verification {
    verifier: Arc<Verifier>,
    request_size_max: usize,
    closing: CancellationToken,
}

impl Verification {
    /// A service whose verdicts come from `verifier` and whose requests have at most `request_size_max` bytes.
    /// Its streams end once `closing` says so.
    pub fn new(verifier: Arc<Verifier>, request_size_max: usize, closing: CancellationToken) -> Self {
        Self { verifier, request_size_max, closing }
    }

    async fn verify(self, request: Request<Bytes>) -> Result<Response<Vec<u8>>, Status> {
        let caller = caller::of(&request).await?;
        let asked = Asked::read(request.get_ref()).map_err(status::from_malformed)?;
        let verdict = verify(&self.verifier, &caller, &asked).await?;
        Ok(Response::new(response::message(&verdict)))
    }

    async fn batch_verify(self, request: Request<Bytes>) -> Result<Response<Vec<u8>>, Status> {
        let caller = caller::of(&request).await?;
        Ok(Response::new(batch::answer(&self.verifier, &caller, request.get_ref()).await?))
    }

    fn verify_stream(self, request: Request<Streaming<Bytes>>) -> Result<Response<Answers>, Status> {
        let (caller, _) = caller::at_first(&request)?;
        // The stream ends with its connection, of which the server's end is one reason.
        let connection = request.extensions().get::<Arc<ConnectionState>>();
        let connection = connection.cloned();
        let closing = connection.as_ref().map_or(self.closing, |connection| connection.closing().clone());
        Ok(Response::new(answers(self.verifier, caller, request.into_inner(), connection, closing)))
    }

    async fn serve(self, request: HttpRequest<Body>) -> HttpResponse<Body> {
        let mut grpc = Grpc::new(Raw).max_decoding_message_size(self.request_size_max);
        // On the heap: the compiler cannot tell that a nested future may move between threads.
        match request.uri().path() {
            VERIFY => {
                let verify = move |asked| -> BoxFuture<'static, _> { Box::pin(self.clone().verify(asked)) };
                grpc.unary(service_fn(verify), request).await
            }
            BATCH_VERIFY => {
                let verify = move |asked| -> BoxFuture<'static, _> { Box::pin(self.clone().batch_verify(asked)) };
                grpc.unary(service_fn(verify), request).await
            }
            VERIFY_STREAM => {
                let verify = move |asked| ready(self.clone().verify_stream(asked));
                grpc.streaming(service_fn(verify), request).await
            }
            _ => Status::unimplemented("").into_http(),
        }
    }
}

impl NamedService for Verification {
    const NAME: &'static str = pb::verification_service_server::SERVICE_NAME;
}

impl Service<HttpRequest<Body>> for Verification {
    type Response = HttpResponse<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Self::Future {
        let serving = self.clone().serve(request);
        Box::pin(async move { Ok(serving.await) })
    }
}

/// Messages as bytes.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(message.len());
        out.put_slice(&message);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}
