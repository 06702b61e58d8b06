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
pub use rule::{ANY_KEYSPACE, Rule};

use std::net::IpAddr;

use ::http::HeaderMap;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::channel::Channel;
use crate::client::Client;
use crate::pb::verification_service_client::VerificationServiceClient;

/// The domain of the ErrorInfo in every error that Portcullis makes.
const DOMAIN: &str = "portcullis.v1";

/// Asks Portcullis about the key in the headers of a request.
#[derive(Clone, Debug)]
pub struct Guard {
    channel: Channel,
    verification: VerificationServiceClient<Channel>,
    allow_when_unavailable: bool,
}

impl Guard {
    /// A guard that asks by `client`.
    pub fn new(client: &Client) -> Self {
        Self { channel: client.channel(), verification: client.verification(), allow_when_unavailable: false }
    }

    /// Whether to let requests with any key through, unverified, in an outage: while Portcullis cannot be reached, and
    /// where it does not answer before the deadline, or answers UNAVAILABLE, while no replica of it is ready. By default
    /// not. Each is logged as a warning, and its [`Identity`] is not authenticated.
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
                let (code, error) = (status.code(), status.message());
                if self.allow_when_unavailable && self.is_outage(&status) {
                    tracing::warn!(?code, error, "a request was let through unverified: Portcullis is unavailable");
                    return Ok(Identity::unverified());
                }
                tracing::error!(?code, error, "a key could not be verified");
                Err(Refusal::unavailable(&status))
            }
        }
    }

    /// Whether a call failed because Portcullis is away. A caller can make single calls slow, such as by keys that take
    /// long to check: those fail while Portcullis is well.
    fn is_outage(&self, status: &Status) -> bool {
        match status.code() {
            // Of a connection; or else Portcullis itself answered.
            Code::Unavailable => {
                let info = status.get_details_error_info();
                info.is_none_or(|info| info.domain != DOMAIN) || self.channel.report_failure()
            }
            Code::DeadlineExceeded => self.channel.report_failure(),
            _ => false,
        }
    }
}
