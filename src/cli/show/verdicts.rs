//! Verdicts.

use super::{keys, value_name};
use crate::cli::json;
use crate::cli::output::{self, Shown};
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

fn verdict(number: i32) -> String {
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
}
