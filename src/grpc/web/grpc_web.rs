//! gRPC-Web: the frames of gRPC, with the trailers as the last one.

use http::{HeaderValue, Request, Response, header};
use tonic::Status;
use tonic::body::Body;
use tonic_web::GrpcWebLayer;
use tower::{Layer as _, ServiceExt as _};

use super::Calls;
use super::arriving::Arriving;
use crate::grpc::deadline::{Deadline, within};
use crate::grpc::{json, status};

/// Answers `request`, which is of this media type.
pub async fn answer(mut request: Request<Arriving>, media_type: &'static str, calls: impl Calls) -> Response<Body> {
    if json::method(request.uri().path()).is_some_and(|method| method.is_client_streaming()) {
        return error(status::unspoken("browsers cannot send streams: call it over gRPC"));
    }
    let deadline = Deadline::of(request.headers());
    // tonic-web takes it in no other spelling, and looks at what is accepted by the same rule.
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(media_type));
    let call = GrpcWebLayer::new().layer(calls).oneshot(request);
    match within(deadline, call).await {
        Ok(answer) => answer.unwrap_or_else(|never| match never {}),
        Err(over) => error(over),
    }
}

/// The answer that says `status`, which without a message has it in its headers.
pub fn error(status: Status) -> Response<Body> {
    let mut response: Response<Body> = status.into_http();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc-web+proto"));
    response
}
