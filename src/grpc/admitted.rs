//! What admission makes of a call: its kind by its method, and a permit that lasts until its answer is sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::codegen::http::Response;

use crate::admission::{Kind, Permit};
use crate::store::ListPlace;

/// What the paths of services begin with that are for callers with a root key.
const GUARDED: &str = "/portcullis.v1.";

/// Whether the call of `path` is for callers with a root key, whatever the settings are.
pub fn is_guarded(path: &str) -> bool {
    path.starts_with(GUARDED)
}

/// The kind of the call of `path`; `None`: a Verify, which nothing may hold up.
pub fn kind(path: &str) -> Option<Kind> {
    let Some((service, method)) = path.strip_prefix(GUARDED).and_then(|path| path.split_once('/')) else {
        return Some(Kind::Other);
    };
    Some(match method {
        "Verify" => return None,
        "CreateApiKey" | "CreateKeyspace" | "UpdateKeyspace" | "DeleteKeyspace" => Kind::Creation,
        "ImportApiKeys" => Kind::Import,
        "UpdateApiKey" | "RotateApiKey" => Kind::Change,
        "RevokeApiKey" | "DeleteApiKey" => Kind::Revocation,
        "BatchVerify" => Kind::Batch,
        _ if service == "VerificationService" => Kind::Other,
        _ if method.starts_with("List") || service == "UsageService" => Kind::List,
        _ => Kind::Read,
    })
}

/// Whether the call of `path` sends a stream of messages: it begins with the first, not once all are there.
pub fn takes_stream(path: &str) -> bool {
    path.ends_with("/VerifyStream") || path.ends_with("/ServerReflectionInfo")
}

/// A page of a list as the response of its handler. The place among lists goes along until the head of the response is sent.
pub fn page<M>(message: M, place: ListPlace) -> tonic::Response<M> {
    let mut response = tonic::Response::new(message);
    response.extensions_mut().insert(Arc::new(place));
    response
}

/// `response` with its only message encoded, here and now, and not on the thread of the connection once that has time.
pub async fn encoded(response: Response<Body>) -> Response<Body> {
    // Most errors are all head.
    if response.body().is_end_stream() {
        return response;
    }
    let (head, mut rest) = response.into_parts();
    let first = rest.frame().await;
    Response::from_parts(head, Body::new(Encoded { first, rest }))
}

/// Returns `response`, which keeps its budget until it is sent or its client is gone. Its place is kept until the head is sent:
/// from then on the message counts as unsent, and a client that takes its time keeps no other from a place.
pub fn held(response: Response<Body>, mut permit: Permit) -> Response<Body> {
    if response.body().is_end_stream() {
        return response;
    }
    let (mut head, body) = response.into_parts();
    if let Some(place) = permit.take_place() {
        head.extensions.insert(Arc::new(place));
    }
    Response::from_parts(head, Body::new(Held { body, _permit: permit }))
}

struct Encoded {
    first: Option<Result<Frame<Bytes>, Status>>,
    rest: Body,
}

impl http_body::Body for Encoded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(first)),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }
}

struct Held {
    body: Body,
    _permit: Permit,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, stream};
    use http_body_util::StreamBody;

    use super::*;
    use crate::admission::{Admission, Settings};
    use crate::clock::{Clock, SystemClock};
    use crate::grpc::json;

    #[test]
    fn streams() {
        for method in json::methods() {
            let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
            assert_eq!(takes_stream(&path), method.is_client_streaming(), "{path}");
        }
        assert!(takes_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"));
    }

    #[test]
    fn one_message_is_encoded_with_a_place_which_ends_with_the_head() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let admission = Admission::new(Settings::default(), &clock);
        let response = |read: Arc<()>| {
            let encode = async move {
                drop(read);
                Ok::<_, Status>(Frame::data(Bytes::from_static(b"message")))
            };
            Response::new(Body::new(StreamBody::new(stream::once(encode))))
        };
        let charge = Arc::new(admission.charge_caller(Kind::Batch, "caller").expect("a budget"));
        let permit = admission.admit(charge).now_or_never().expect("nothing waits").expect("a place");
        let read = Arc::new(());
        let response = encoded(response(read.clone())).now_or_never().expect("it is all there");
        assert_eq!(Arc::strong_count(&read), 1, "it was encoded");
        let (head, body) = held(response, permit).into_parts();
        assert_eq!(admission.running(Kind::Batch), 1);
        drop(head);
        assert_eq!(admission.running(Kind::Batch), 0, "a client that does not read keeps no place");
        assert_eq!(body.collect().now_or_never().expect("it is all there").expect("no error").to_bytes(), "message");
    }

    #[test]
    fn kinds() {
        for (path, expected) in [
            ("/portcullis.v1.VerificationService/Verify", None),
            ("/portcullis.v1.VerificationService/BatchVerify", Some(Kind::Batch)),
            ("/portcullis.v1.VerificationService/VerifyStream", Some(Kind::Other)),
            ("/portcullis.v1.ApiKeyService/CreateApiKey", Some(Kind::Creation)),
            ("/portcullis.v1.ApiKeyService/ListApiKeys", Some(Kind::List)),
            ("/portcullis.v1.ApiKeyService/RevokeApiKey", Some(Kind::Revocation)),
            ("/portcullis.v1.ApiKeyService/VerifyApiKey", Some(Kind::Read)),
            ("/portcullis.v1.UsageService/QueryUsage", Some(Kind::List)),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Some(Kind::Other)),
        ] {
            assert_eq!(kind(path), expected, "{path}");
        }
    }
}
