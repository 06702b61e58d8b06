//! Answers to requests that are no calls: a page for people at `/`, and errors that say what was wrong and what to send.
//!
//! Paths of gRPC packages get errors in the form of the Connect protocol, all others `{"errors": […]}`. None has status 200: a
//! client of another kind must not take an error for an answer.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;
use tonic::Status;
use tonic::body::Body;

use super::error;
use crate::grpc::status;

/// What may be sent to a method, as a header.
const ACCEPT_POST: HeaderValue =
    HeaderValue::from_static("application/json, application/proto, application/grpc, application/grpc-web");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// How much of what a client sent is repeated to it, in bytes.
const SHOWN_LEN_MAX: usize = 200;

const PAGE: &str = include_str!("page.html");
/// The page loads nothing, runs nothing, and is in no frame.
const PAGE_HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// Why a request is no call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NoCall {
    /// It asks for the page at `/`.
    Page,
    /// There is nothing at its path.
    Path,
    /// Its method of HTTP is another than its path takes.
    Method,
    /// Its content type is none that is understood.
    ContentType,
    /// It is gRPC over HTTP/1.1, which does not have what gRPC needs.
    Version,
    /// It comes from a web page that may not call.
    Origin,
    /// Its head has more fields than any may.
    Head,
}

impl NoCall {
    /// The answer to `request`.
    pub fn answer<B>(self, request: &Request<B>) -> Response<Body> {
        let (method, path) = (request.method().as_str(), shown(request.uri().path()));
        let is_call = is_call_path(request.uri().path());
        let (refused, http, message): (fn(&str) -> Status, _, _) = match self {
            Self::Page => return page(request.method()),
            Self::Path if is_call => {
                return refusal(StatusCode::NOT_FOUND, error::response(status::method_unknown_at(&path)));
            }
            Self::Path => (status::unspoken, StatusCode::NOT_FOUND, nothing_at(method, &path)),
            Self::Method if is_call => {
                let message = format!("{} is not understood at {path}: send POST", shown(method));
                (status::unspoken, StatusCode::METHOD_NOT_ALLOWED, message)
            }
            Self::Method => {
                let message =
                    format!("{} is not understood at {path}: send GET for a page about this server", shown(method));
                (status::unspoken, StatusCode::METHOD_NOT_ALLOWED, message)
            }
            Self::ContentType => {
                (status::unspoken, StatusCode::UNSUPPORTED_MEDIA_TYPE, content_type_unknown(request.headers()))
            }
            Self::Version => {
                let message = "gRPC needs HTTP/2: send it over HTTP/2, or application/json or application/grpc-web over \
                               HTTP/1.1";
                (status::unspoken, StatusCode::HTTP_VERSION_NOT_SUPPORTED, message.to_owned())
            }
            Self::Origin => (status::origin_unknown, StatusCode::FORBIDDEN, origin_unknown(request.headers())),
            Self::Head => {
                let message = "the head of the request has too many fields: send at most 100";
                let http = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                (status::head_too_large, http, message.to_owned())
            }
        };
        let mut response = if is_call { error::response(refused(&message)) } else { errors(http, &message) };
        let headers = response.headers_mut();
        match self {
            Self::Method => {
                let allowed = if is_call { "POST" } else { "GET, HEAD" };
                headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
            }
            Self::ContentType | Self::Version => {
                headers.insert(HeaderName::from_static("accept-post"), ACCEPT_POST);
            }
            Self::Origin => {
                headers.insert(header::VARY, HeaderValue::from_static("origin"));
            }
            _ => {}
        }
        refusal(http, response)
    }
}

/// Whether `path` belongs to a package of gRPC.
pub fn is_call_path(path: &str) -> bool {
    path.starts_with("/portcullis.v1.") || path.starts_with("/grpc.")
}

fn refusal(http: StatusCode, mut response: Response<Body>) -> Response<Body> {
    *response.status_mut() = http;
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    response
}

fn nothing_at(method: &str, path: &str) -> String {
    format!(
        "there is nothing at {} {path}: a call is POST /portcullis.v1.SERVICE/METHOD, e.g. \
         /portcullis.v1.VerificationService/Verify, with content-type: application/json",
        shown(method)
    )
}

fn content_type_unknown(headers: &HeaderMap) -> String {
    let send = "send application/json, application/proto or application/grpc-web";
    match headers.get(header::CONTENT_TYPE) {
        Some(kind) => {
            format!("content-type {:?} is not understood: {send}", shown(&String::from_utf8_lossy(kind.as_bytes())))
        }
        None => format!("there is no content-type: {send}"),
    }
}

fn origin_unknown(headers: &HeaderMap) -> String {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (Some(origin), None) => {
            let origin = shown(&String::from_utf8_lossy(origin.as_bytes()));
            format!("web pages of {origin:?} may not call: name the origin in --cors-origins")
        }
        _ => "there are several origin headers: send one".to_owned(),
    }
}

/// The beginning of `text`.
fn shown(text: &str) -> String {
    if text.len() <= SHOWN_LEN_MAX {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(SHOWN_LEN_MAX)])
}

/// An error of a path that is no call.
#[derive(Serialize)]
struct Errors<'a> {
    errors: [OneError<'a>; 1],
}

#[derive(Serialize)]
struct OneError<'a> {
    code: &'a str,
    /// In short.
    message: &'a str,
    /// What was wrong, and what to send.
    long_message: &'a str,
}

fn errors(http: StatusCode, long_message: &str) -> Response<Body> {
    let message = http.canonical_reason().unwrap_or_default();
    let code = message.to_ascii_lowercase().replace(' ', "_");
    let errors = Errors { errors: [OneError { code: &code, message, long_message }] };
    let body = serde_json::to_vec(&errors).expect("text can be written");
    let mut response = Response::new(Body::new(Full::from(body)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn page(method: &Method) -> Response<Body> {
    let body = if method == Method::HEAD { Body::empty() } else { Body::new(Full::from(PAGE)) };
    let mut response = Response::new(body);
    response.headers_mut().extend(PAGE_HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_repeated_is_short() {
        assert_eq!(shown("/a"), "/a");
        let long = shown(&"ä".repeat(5_000));
        assert!(long.len() <= SHOWN_LEN_MAX + '…'.len_utf8() && long.ends_with('…'), "{long}");
    }

    #[test]
    fn a_large_request_has_a_small_answer() {
        use http_body::Body as _;
        for path in ["/", "/portcullis.v1."] {
            let request = Request::post(format!("http://x{path}{}", "x".repeat(10_000)))
                .header(header::CONTENT_TYPE, "y".repeat(10_000))
                .header(header::ORIGIN, "z".repeat(10_000));
            let request = request.body(()).unwrap();
            for no_call in
                [NoCall::Path, NoCall::Method, NoCall::ContentType, NoCall::Version, NoCall::Origin, NoCall::Head]
            {
                let answer = no_call.answer(&request);
                assert!(answer.status().is_client_error() || no_call == NoCall::Version, "{no_call:?}");
                assert!(answer.body().size_hint().exact().unwrap() < 1_000, "{no_call:?}");
            }
        }
    }
}
