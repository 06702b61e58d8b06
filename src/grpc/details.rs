//! Every error carries details, those too that tonic makes on its own: for a method that does not exist, a request
//! that does not decode or is too large.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};

use super::status;

const ACCEPT_ENCODING: &str = "grpc-accept-encoding";

/// Adds what a bare error lacks.
#[derive(Clone, Copy, Debug, Default)]
pub struct CompleteErrors;

/// See [`CompleteErrors`].
#[derive(Clone, Debug)]
pub struct Completing<S>(S);

impl<S> Layer<S> for CompleteErrors {
    type Service = Completing<S>;

    fn layer(&self, inner: S) -> Completing<S> {
        Completing(inner)
    }
}

impl<S, B> Service<Request<B>> for Completing<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let call = self.0.call(request);
        Box::pin(async move { Ok(complete(call.await?)) })
    }
}

fn complete(response: Response<Body>) -> Response<Body> {
    // An error without a message has its status in the headers; an answer has it behind the body.
    let bare = Status::from_header_map(response.headers()).filter(|status| status.details().is_empty());
    match bare.as_ref().and_then(status::completed) {
        Some(completed) => {
            let mut complete: Response<Body> = completed.into_http();
            // What the client may do instead, where the error is about compression.
            if let Some(accepted) = response.headers().get(ACCEPT_ENCODING) {
                complete.headers_mut().insert(ACCEPT_ENCODING, accepted.clone());
            }
            complete
        }
        None => response,
    }
}
