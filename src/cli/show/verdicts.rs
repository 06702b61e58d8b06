//! Verdicts.

use super::{keys, value_name};
use crate::cli::output::{self, Shown};
use crate::grpc::json;
use crate::grpc::pb;

/// Nothing for scripts: the exit code says it.
const QUIET: String = String::new();

impl Shown for pb::VerifyResponse {
    const NAME: &'static str = "portcullis.v1.VerifyResponse";

    fn table(&self) -> String {
        output::fields(&[
            ("Verdict", verdict(self.verdict)),
            ("Missing scopes", self.missing_scopes.join(" ")),
            ("Key", self.key_id.clone()),
            ("Keyspace", self.keyspace.clone()),
            ("Subject", self.subject.clone()),
            ("Scopes", self.scopes.join(" ")),
            ("Claims", json::object(self.claims.as_ref())),
            ("Expires", output::time(self.expire_time.as_ref(), if self.valid { "never" } else { "" })),
            ("Rate limit", self.rate_limit.as_ref().map_or_else(String::new, rate_limit)),
            ("Try again", self.rate_limit.as_ref().and_then(retry).unwrap_or_default()),
            ("Credits", self.credits_remaining.map_or_else(String::new, |left| format!("{left} left"))),
        ])
    }

    fn quiet(&self) -> String {
        QUIET
    }
}

impl Shown for pb::VerifyApiKeyResponse {
    const NAME: &'static str = "portcullis.v1.VerifyApiKeyResponse";

    fn table(&self) -> String {
        let verdict =
            output::fields(&[("Verdict", verdict(self.verdict)), ("Missing scopes", self.missing_scopes.join(" "))]);
        match &self.api_key {
            Some(key) => format!("{verdict}\n{}", keys::table(Some(key))),
            None => verdict,
        }
    }

    fn quiet(&self) -> String {
        QUIET
    }
}

/// What is left of a limit, and when all of it is there again.
fn rate_limit(status: &pb::RateLimitStatus) -> String {
    let name = if status.name.is_empty() { String::new() } else { format!("{}: ", status.name) };
    let all = output::time(status.reset_time.as_ref(), "");
    let all = if all.is_empty() { all } else { format!(", all of it at {all}") };
    format!("{name}{} left, limit {}{all}", status.remaining, status.limit)
}

/// To the last digit: a moment earlier is too early.
fn retry(status: &pb::RateLimitStatus) -> Option<String> {
    status.retry_time.map(|at| at.to_string())
}

/// The name of a verdict; its number if this program is older than it.
pub fn verdict(number: i32) -> String {
    value_name(pb::Verdict::try_from(number).ok().map(|verdict| verdict.as_str_name()), "VERDICT_", number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_is_shown() {
        let unknown = pb::VerifyResponse { verdict: pb::Verdict::NotFound.into(), ..pb::VerifyResponse::default() };
        assert_eq!(unknown.table(), "Verdict  NOT_FOUND\n");
        let newer = pb::VerifyResponse { verdict: 99, ..pb::VerifyResponse::default() };
        assert_eq!(newer.table(), "Verdict  99\n");
    }

    #[test]
    fn what_is_left_is_shown() {
        let at = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
        let status = pb::RateLimitStatus { limit: 100, reset_time: at(1, 5), ..pb::RateLimitStatus::default() };
        let limited = pb::RateLimitStatus { retry_time: at(0, 10_000_000), name: "per-day".into(), ..status.clone() };
        let limited = pb::VerifyResponse {
            verdict: pb::Verdict::RateLimited.into(),
            rate_limit: Some(limited),
            ..pb::VerifyResponse::default()
        };
        assert_eq!(
            limited.table(),
            "Verdict     RATE_LIMITED\nRate limit  per-day: 0 left, limit 100, all of it at 1970-01-01T00:00:01Z\n\
             Try again   1970-01-01T00:00:00.010Z\n"
        );
        let valid = pb::VerifyResponse {
            verdict: pb::Verdict::Valid.into(),
            rate_limit: Some(pb::RateLimitStatus { remaining: 99, reset_time: None, ..status }),
            credits_remaining: Some(41),
            ..pb::VerifyResponse::default()
        };
        assert_eq!(valid.table(), "Verdict     VALID\nRate limit  99 left, limit 100\nCredits     41 left\n");
        let spent = pb::VerifyResponse {
            verdict: pb::Verdict::CreditsExhausted.into(),
            credits_remaining: Some(0),
            ..pb::VerifyResponse::default()
        };
        assert_eq!(spent.table(), "Verdict  CREDITS_EXHAUSTED\nCredits  0 left\n");
    }
}
