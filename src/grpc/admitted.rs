//! What admission makes of a call: its kind by its method, and a permit that lasts until its answer is sent.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body as _, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::codegen::http::Response;

use crate::admission::{Kind, Permit};

/// The kind of the call of `path`; `None`: a Verify, which nothing may hold up.
pub fn kind(path: &str) -> Option<Kind> {
    let Some((service, method)) = path.strip_prefix("/portcullis.v1.").and_then(|path| path.split_once('/')) else {
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

/// `response`, which holds `permit` until it is sent, or nobody wants it any more.
pub fn held(response: Response<Body>, permit: Permit) -> Response<Body> {
    // Most errors are all head.
    if response.body().is_end_stream() {
        response
    } else {
        response.map(|body| Body::new(Held { body, _permit: permit }))
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
    use super::*;
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
