//! Guards: layers that let a request through if its key may do what it wants.
//!
//! [`HttpGuard`] stands before routes of axum and other HTTP services of tower, [`GrpcGuard`] before servers of tonic.
//! [`Guard`] is what both are made of, for other frameworks.
//!
//! Nothing but a verification that succeeded with `valid` opens. What is refused, and how, is the table in `docs/clients.md`
//! of Portcullis.

#[cfg(feature = "axum")]
mod axum;
mod credential;
mod grpc;
mod http;
mod identity;
mod refusal;
mod rule;

pub use grpc::{GrpcGuard, GrpcGuarded};
pub use http::{HttpGuard, HttpGuarded};
pub use identity::Identity;
pub use refusal::{Reason, Refusal};
pub use rule::Rule;

use std::net::IpAddr;

use ::http::HeaderMap;
use tonic::Code;

use crate::channel::Channel;
use crate::client::Client;
use crate::pb::verification_service_client::VerificationServiceClient;

/// Asks Portcullis about the key in the headers of a request.
#[derive(Clone, Debug)]
pub struct Guard {
    verification: VerificationServiceClient<Channel>,
    allow_when_unavailable: bool,
}

impl Guard {
    /// A guard that asks by `client`.
    pub fn new(client: &Client) -> Self {
        Self { verification: client.verification(), allow_when_unavailable: false }
    }

    /// Whether to let requests with any key through, unverified, while Portcullis is UNAVAILABLE or does not answer
    /// before the deadline. By default not. Each is logged as a warning, and its [`Identity`] is not authenticated.
    pub fn dangerously_allow_when_unavailable(mut self, allow: bool) -> Self {
        self.allow_when_unavailable = allow;
        self
    }

    /// Whose key is in `headers`, if by `rule` it may be used for this from `client_ip`. Costs one call, or none if there
    /// is no string that a key can be.
    pub async fn check(
        &self,
        rule: &Rule,
        headers: &HeaderMap,
        client_ip: Option<IpAddr>,
    ) -> Result<Identity, Refusal> {
        let key = credential::read(headers)?;
        let asked = self.verification.clone().verify(rule.request(key, client_ip)).await;
        match asked.map(tonic::Response::into_inner) {
            Ok(verdict) if verdict.valid => Ok(Identity::of(verdict)),
            Ok(verdict) => Err(Refusal::of(verdict)),
            Err(status) => {
                let is_outage = matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded);
                let (code, error) = (status.code(), status.message());
                if is_outage && self.allow_when_unavailable {
                    tracing::warn!(?code, error, "a request was let through unverified: Portcullis is unavailable");
                    return Ok(Identity::unverified());
                }
                tracing::error!(?code, error, "a key could not be verified");
                Err(Refusal::unavailable(&status))
            }
        }
    }
}
