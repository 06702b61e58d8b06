use std::time::{Duration, SystemTime};

use http::StatusCode;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::pb::{Verdict, VerifyResponse};

/// Seconds. After an error that does not say more.
const RETRY_AFTER_DEFAULT: u64 = 1;
/// Seconds. However long an error says.
const RETRY_AFTER_UNAVAILABLE_MAX: u64 = 60;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// No key.
    MissingKey,
    /// More than one credential.
    AmbiguousKey,
    /// No such key.
    InvalidKey,
    /// The key was revoked.
    RevokedKey,
    /// The key has expired.
    ExpiredKey,
    /// The key is switched off.
    DisabledKey,
    /// The key may be used only from some networks.
    IpNotAllowed,
    /// The key lacks scopes.
    InsufficientScope,
    /// A verdict that this client does not know.
    Denied,
    /// The key was used as often as it may be for now.
    RateLimited,
    /// The key has fewer credits left than the cost.
    CreditsExhausted,
    /// Portcullis did not answer, or with an error.
    Unavailable,
}

impl Reason {
    /// As bodies have it, such as `missing_key`.
    pub fn code(self) -> &'static str {
        self.row().0
    }

    /// For people.
    pub fn message(self) -> &'static str {
        self.row().3
    }

    /// The status of the answer over HTTP.
    pub fn http_status(self) -> StatusCode {
        self.row().1
    }

    /// The code of the answer over gRPC.
    pub fn grpc_code(self) -> Code {
        self.row().2
    }

    fn row(self) -> (&'static str, StatusCode, Code, &'static str) {
        const UNAUTHORIZED: (StatusCode, Code) = (StatusCode::UNAUTHORIZED, Code::Unauthenticated);
        const FORBIDDEN: (StatusCode, Code) = (StatusCode::FORBIDDEN, Code::PermissionDenied);
        const EXHAUSTED: (StatusCode, Code) = (StatusCode::TOO_MANY_REQUESTS, Code::ResourceExhausted);
        const UNAVAILABLE: (StatusCode, Code) = (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable);
        let (code, (http, grpc), message) = match self {
            Self::MissingKey => {
                ("missing_key", UNAUTHORIZED, "An API key is needed, as Authorization: Bearer or X-API-Key.")
            }
            Self::AmbiguousKey => ("ambiguous_key", UNAUTHORIZED, "More than one credential was sent."),
            Self::InvalidKey => ("invalid_key", UNAUTHORIZED, "The API key is not valid."),
            Self::RevokedKey => ("revoked_key", UNAUTHORIZED, "The API key was revoked."),
            Self::ExpiredKey => ("expired_key", UNAUTHORIZED, "The API key has expired."),
            Self::DisabledKey => ("disabled_key", UNAUTHORIZED, "The API key is switched off."),
            Self::IpNotAllowed => ("ip_not_allowed", FORBIDDEN, "The API key may not be used from this address."),
            Self::InsufficientScope => ("insufficient_scope", FORBIDDEN, "The API key lacks a scope that this needs."),
            Self::Denied => ("denied", FORBIDDEN, "The API key may not be used for this."),
            Self::RateLimited => ("rate_limited", EXHAUSTED, "The API key was used as often as it may be for now."),
            Self::CreditsExhausted => ("credits_exhausted", EXHAUSTED, "The API key has too few credits left."),
            Self::Unavailable => ("unavailable", UNAVAILABLE, "API keys cannot be checked just now."),
        };
        (code, http, grpc, message)
    }
}

/// A request that is not let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    reason: Reason,
    missing_scopes: Vec<String>,
    retry_after: Option<u64>,
}

impl Refusal {
    /// Why.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Which of the scopes asked for the key lacks; only if it is for that.
    pub fn missing_scopes(&self) -> &[String] {
        &self.missing_scopes
    }

    /// In how many seconds to try again, if that helps: 1 or more.
    pub fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    pub(super) fn new(reason: Reason) -> Self {
        Self { reason, missing_scopes: Vec::new(), retry_after: None }
    }

    /// By a verdict that is not valid.
    pub(super) fn of(verdict: VerifyResponse) -> Self {
        let mut refusal = Self::new(match verdict.verdict() {
            Verdict::Malformed | Verdict::NotFound => Reason::InvalidKey,
            Verdict::Revoked => Reason::RevokedKey,
            Verdict::Expired => Reason::ExpiredKey,
            Verdict::Disabled => Reason::DisabledKey,
            Verdict::IpNotAllowed => Reason::IpNotAllowed,
            Verdict::InsufficientScope => Reason::InsufficientScope,
            Verdict::RateLimited => Reason::RateLimited,
            Verdict::CreditsExhausted => Reason::CreditsExhausted,
            // Also what newer servers send: an unknown number reads as unspecified.
            Verdict::Unspecified | Verdict::Valid => Reason::Denied,
        });
        if refusal.reason == Reason::InsufficientScope {
            refusal.missing_scopes = verdict.missing_scopes;
        }
        if refusal.reason == Reason::RateLimited {
            let next = verdict.rate_limit.and_then(|limit| limit.retry_time);
            let next = next.and_then(|time| SystemTime::try_from(time).ok());
            let wait = next.and_then(|next| next.duration_since(SystemTime::now()).ok());
            refusal.retry_after = Some(whole_seconds(wait.unwrap_or_default()));
        }
        refusal
    }

    /// By an error of the call.
    pub(super) fn unavailable(status: &Status) -> Self {
        let wait = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
        let seconds = wait.map_or(RETRY_AFTER_DEFAULT, whole_seconds);
        Self { retry_after: Some(seconds.min(RETRY_AFTER_UNAVAILABLE_MAX)), ..Self::new(Reason::Unavailable) }
    }
}

/// Rounded up, so that it is not too soon; at least 1.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;
    use crate::pb::RateLimitStatus;

    fn unavailable_after(delay: Duration) -> Option<u64> {
        let details = ErrorDetails::with_retry_info(Some(delay));
        Refusal::unavailable(&Status::with_error_details(Code::Unavailable, "", details)).retry_after()
    }

    #[test]
    fn unavailable_says_when_to_try_again() {
        assert_eq!(Refusal::unavailable(&Status::unavailable("")).retry_after(), Some(1));
        assert_eq!(unavailable_after(Duration::ZERO), Some(1));
        assert_eq!(unavailable_after(Duration::from_millis(2001)), Some(3));
        assert_eq!(unavailable_after(Duration::from_secs(3600)), Some(60));
    }

    #[test]
    fn a_rate_limit_says_when_to_try_again() {
        let after = |wait: Option<i64>| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().cast_signed();
            let retry_time = wait.map(|wait| prost_types::Timestamp { seconds: now + wait, nanos: 0 });
            let rate_limit = Some(RateLimitStatus { retry_time, ..RateLimitStatus::default() });
            let verdict = Verdict::RateLimited.into();
            Refusal::of(VerifyResponse { verdict, rate_limit, ..VerifyResponse::default() }).retry_after()
        };
        assert_eq!(after(None), Some(1));
        assert_eq!(after(Some(-10)), Some(1));
        let hour = after(Some(3600)).unwrap();
        assert!((3000..=3600).contains(&hour), "{hour}");
    }

    #[test]
    fn unknown_verdicts_deny() {
        for number in [0, 1, 99, -1] {
            let refusal = Refusal::of(VerifyResponse { verdict: number, ..VerifyResponse::default() });
            assert_eq!(refusal, Refusal::new(Reason::Denied));
        }
    }
}
