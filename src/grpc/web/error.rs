//! Errors as the Connect protocol has them: a status of HTTP, and JSON with the code, the message and the details.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use prost_types::Any;
use serde::Serialize;
use serde_json::Value;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::connect::Form;
use crate::grpc::{json, status};

/// The answer that says `status`.
#[expect(clippy::needless_pass_by_value, reason = "it ends here")]
pub fn response(status: Status) -> Response<Body> {
    let (name, http) = said(status.code());
    let details = status::as_message(&status).details.iter().map(Detail::of).collect();
    let error = Error { code: name, message: status.message(), details };
    let error = serde_json::to_vec(&error).expect("text and JSON can be written");
    let mut response = Response::new(Body::new(Full::from(error)));
    *response.status_mut() = http;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, Form::Json.content_type());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if http == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(after) = status.get_details_retry_info().and_then(|info| info.retry_delay) {
        // In whole seconds, and not too early.
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// An error as a body.
#[derive(Serialize)]
struct Error<'a> {
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail>,
}

#[derive(Serialize)]
struct Detail {
    #[serde(rename = "type")]
    kind: String,
    /// For programs, in bytes.
    value: String,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    debug: Option<Value>,
}

impl Detail {
    fn of(any: &Any) -> Self {
        let kind = any.type_url.rsplit('/').next().unwrap_or_default().to_owned();
        let debug = json::known_from_bytes(&any.value, &kind);
        Self { kind, value: STANDARD_NO_PAD.encode(&any.value), debug }
    }
}

/// How the protocol calls a code, and the status of HTTP that it goes with (Connect protocol, "Error Codes").
fn said(code: Code) -> (&'static str, StatusCode) {
    let (name, http) = match code {
        // An error that is none.
        Code::Ok | Code::Internal => ("internal", 500),
        Code::Cancelled => ("canceled", 499),
        Code::Unknown => ("unknown", 500),
        Code::InvalidArgument => ("invalid_argument", 400),
        Code::DeadlineExceeded => ("deadline_exceeded", 504),
        Code::NotFound => ("not_found", 404),
        Code::AlreadyExists => ("already_exists", 409),
        Code::PermissionDenied => ("permission_denied", 403),
        Code::ResourceExhausted => ("resource_exhausted", 429),
        Code::FailedPrecondition => ("failed_precondition", 400),
        Code::Aborted => ("aborted", 409),
        Code::OutOfRange => ("out_of_range", 400),
        Code::Unimplemented => ("unimplemented", 501),
        Code::Unavailable => ("unavailable", 503),
        Code::DataLoss => ("data_loss", 500),
        Code::Unauthenticated => ("unauthenticated", 401),
    };
    (name, StatusCode::from_u16(http).expect("between 100 and 999"))
}
