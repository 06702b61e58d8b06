//! A unary call of the Connect protocol: the message alone as the body, in JSON or binary. It becomes a call of gRPC whose
//! body is translated as it is read: not before the caller has proved who he is.

use std::convert::Infallible;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::stream;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, Response, Version, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use prost_reflect::{MessageDescriptor, MethodDescriptor};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::ServiceExt as _;

use super::arriving::Arriving;
use super::refusal::NoCall;
use super::{Calls, error};
use crate::grpc::deadline::{Deadline, within};
use crate::grpc::request_message::gather;
use crate::grpc::verification::FRAME_HEAD_LEN;
use crate::grpc::{SMALL_REQUEST_SIZE_MAX, json, status};

const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("connect-protocol-version");
const TIMEOUT: HeaderName = HeaderName::from_static("connect-timeout-ms");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
/// Of a timeout (Connect protocol, "Unary-Request").
const TIMEOUT_DIGITS_MAX: usize = 10;
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// See [`aside`].
const LARGE_MAX: usize = 2;
static LARGE: Semaphore = Semaphore::const_new(LARGE_MAX);

/// How messages are written.
#[derive(Clone, Copy, PartialEq)]
pub enum Form {
    /// ProtoJSON.
    Json,
    /// As protobuf does.
    Binary,
}

impl Form {
    /// The content type.
    pub fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json",
            Self::Binary => "application/proto",
        })
    }

    /// The message of type `kind` that stands in `body`.
    async fn read(self, body: Bytes, kind: MessageDescriptor) -> Result<Bytes, Status> {
        match self {
            Self::Binary => Ok(body),
            Self::Json => {
                aside(body.len(), move || {
                    json::to_bytes(&body, &kind).map(Bytes::from).map_err(|misfit| status::misfit(&misfit))
                })
                .await?
            }
        }
    }

    /// `message`, of type `kind`.
    async fn write(self, message: Bytes, kind: MessageDescriptor) -> Result<Bytes, Status> {
        match self {
            Self::Binary => Ok(message),
            Self::Json => {
                aside(message.len(), move || {
                    json::from_bytes(&message, kind).map(Bytes::from).ok_or_else(status::answer_unreadable)
                })
                .await?
            }
        }
    }
}

/// Does `work` on `len` bytes: much of it on a thread of its own and not more than [`LARGE_MAX`] at once, for it takes
/// time and memory, and what keeps the service going runs on these threads.
async fn aside<T: Send + 'static>(len: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
    if len <= SMALL_REQUEST_SIZE_MAX {
        return Ok(work());
    }
    let _place = LARGE.acquire().await.expect("never closed");
    spawn_blocking(work).await.map_err(|error| status::panicked(&error))
}

/// Answers `request`, whose messages have this form.
pub async fn answer(request: Request<Arriving>, form: Form, calls: impl Calls) -> Response<Body> {
    let Some(method) = json::method(request.uri().path()) else { return NoCall::Path.answer(&request) };
    let answered = match translated(request, form, &method) {
        Ok((call, deadline)) => within(deadline, message(calls.oneshot(call))).await.flatten(),
        Err(refused) => Err(refused),
    };
    let written = match answered {
        Ok((message, held)) => {
            let written = form.write(message, method.output()).await;
            // Places that the call has end here: JSON takes more memory than the message.
            drop(held);
            written
        }
        Err(status) => Err(status),
    };
    match written {
        Ok(message) => {
            let mut response = Response::new(Body::new(Full::new(message)));
            response.headers_mut().insert(header::CONTENT_TYPE, form.content_type());
            // It may hold a secret that is shown once.
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(status) => error::response(status),
    }
}

/// The call of gRPC that `request` is, and its deadline.
fn translated(
    request: Request<Arriving>,
    form: Form,
    method: &MethodDescriptor,
) -> Result<(Request<Body>, Option<Deadline>), Status> {
    if method.is_client_streaming() || method.is_server_streaming() {
        return Err(status::unspoken(&format!("{} is a stream: call it over gRPC", method.name())));
    }
    let (mut head, mut body) = request.into_parts();
    let headers = &mut head.headers;
    if headers.get(PROTOCOL_VERSION).is_some_and(|version| version != "1") {
        return Err(status::malformed("connect-protocol-version must be 1"));
    }
    if headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(status::unspoken("a compressed request is not understood: send it with no content-encoding"));
    }
    let deadline = deadline(headers)?;
    // What is said about this body is not true of the one that it becomes.
    for name in [header::CONTENT_ENCODING, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, GRPC_ENCODING] {
        headers.remove(name);
    }
    headers.insert(header::CONTENT_TYPE, GRPC);
    head.version = Version::HTTP_2;
    let kind = method.input();
    let framed = stream::once(async move {
        let message = form.read(gather(&mut body, usize::MAX, |_| Ok(())).await?, kind).await?;
        let mut frame = BytesMut::with_capacity(FRAME_HEAD_LEN + message.len());
        frame.put_u8(0);
        frame.put_u32(u32::try_from(message.len()).map_err(|_| status::request_too_large())?);
        frame.put(message);
        Ok::<_, Status>(Frame::data(frame.freeze()))
    });
    Ok((Request::from_parts(head, Body::new(StreamBody::new(framed))), deadline))
}

fn deadline(headers: &HeaderMap) -> Result<Option<Deadline>, Status> {
    let Some(text) = headers.get(TIMEOUT) else { return Ok(None) };
    let digits = text.to_str().ok().filter(|text| {
        (1..=TIMEOUT_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit())
    });
    let millis = digits.and_then(|digits| digits.parse().ok());
    let millis = millis.ok_or_else(|| status::malformed("connect-timeout-ms must be a number of at most 10 digits"))?;
    Ok(Some(Deadline::after(Duration::from_millis(millis))))
}

/// The one message that a call of gRPC is answered with, and what is held for it, or its error.
async fn message(
    call: impl Future<Output = Result<Response<Body>, Infallible>>,
) -> Result<(Bytes, Extensions), Status> {
    let (head, body) = call.await.unwrap_or_else(|never| match never {}).into_parts();
    if let Some(error) = Status::from_header_map(&head.headers).filter(|status| status.code() != Code::Ok) {
        return Err(error);
    }
    let body = body.collect().await?;
    if let Some(error) = body.trailers().and_then(Status::from_header_map).filter(|status| status.code() != Code::Ok) {
        return Err(error);
    }
    let mut body = body.to_bytes();
    if body.len() < FRAME_HEAD_LEN || body[0] != 0 {
        return Err(status::answer_unreadable());
    }
    Ok((body.split_off(FRAME_HEAD_LEN), head.extensions))
}
