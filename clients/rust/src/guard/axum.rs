//! What axum knows of a request.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;

use super::Identity;

/// The peer's address, where the service was made with connect info.
pub fn peer(head: &Parts) -> Option<IpAddr> {
    head.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip())
}

/// Of a request behind an [`HttpGuard`](super::HttpGuard); 500 where there is none.
impl<S: Sync> FromRequestParts<S> for Identity {
    type Rejection = http::StatusCode;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, http::StatusCode> {
        head.extensions.get::<Self>().cloned().ok_or(http::StatusCode::INTERNAL_SERVER_ERROR)
    }
}
