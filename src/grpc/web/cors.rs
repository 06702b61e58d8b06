//! What browsers are told that pages may do (the Fetch standard's CORS protocol).

use std::time::Duration;

use http::{HeaderName, Method, header};
use tower_http::cors::CorsLayer;

use crate::transport::Origins;

/// How long a browser may remember what it was allowed.
const REMEMBERED_FOR: Duration = Duration::from_hours(1);

/// Headers of calls that a page may set.
const SETTABLE: [HeaderName; 7] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    HeaderName::from_static("connect-protocol-version"),
    HeaderName::from_static("connect-timeout-ms"),
    HeaderName::from_static("grpc-timeout"),
    HeaderName::from_static("x-grpc-web"),
    HeaderName::from_static("x-user-agent"),
];

/// Headers of answers that a page may see.
const VISIBLE: [HeaderName; 5] = [
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
];

/// Answers what browsers ask before pages of `origins` call, and marks the answers to calls.
pub fn layer(origins: &Origins) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(origins.as_headers().to_vec())
        .allow_methods([Method::POST])
        .allow_headers(SETTABLE)
        .expose_headers(VISIBLE)
        .max_age(REMEMBERED_FOR)
}
