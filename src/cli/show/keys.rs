//! Keys.

use super::{lines, pairs, value_name};
use crate::cli::limits;
use crate::cli::list::ListPage;
use crate::cli::output::{self, Shown};
use crate::grpc::json;
use crate::grpc::pb;
use crate::key::keyspace::SYSTEM;

impl Shown for pb::CreateApiKeyResponse {
    const NAME: &'static str = "portcullis.v1.CreateApiKeyResponse";

    fn table(&self) -> String {
        with_secret(self.api_key.as_ref(), &self.secret)
    }

    fn quiet(&self) -> String {
        format!("{}\n", self.secret)
    }

    fn loss(&self) -> Option<String> {
        Some(lost(self.api_key.as_ref()))
    }
}

impl Shown for pb::RotateApiKeyResponse {
    const NAME: &'static str = "portcullis.v1.RotateApiKeyResponse";

    fn table(&self) -> String {
        with_secret(self.api_key.as_ref(), &self.secret)
    }

    fn quiet(&self) -> String {
        format!("{}\n", self.secret)
    }

    fn loss(&self) -> Option<String> {
        Some(lost(self.api_key.as_ref()))
    }
}

/// Answers that are one key.
macro_rules! one_key {
    ($($message:ident)*) => {$(
        impl Shown for pb::$message {
            const NAME: &'static str = concat!("portcullis.v1.", stringify!($message));

            fn table(&self) -> String {
                table(self.api_key.as_ref())
            }

            fn quiet(&self) -> String {
                lines(self.api_key.iter().map(|key| key.id.clone()))
            }
        }
    )*};
}

one_key!(GetApiKeyResponse UpdateApiKeyResponse RevokeApiKeyResponse);

impl Shown for pb::DeleteApiKeyResponse {
    const NAME: &'static str = "portcullis.v1.DeleteApiKeyResponse";

    fn table(&self) -> String {
        "deleted\n".to_owned()
    }

    fn quiet(&self) -> String {
        String::new()
    }
}

impl ListPage for pb::ListApiKeysResponse {
    const NAME: &'static str = "portcullis.v1.ListApiKeysResponse";
    const ENTRIES: &'static str = "keys";
    const HEADER: &'static [&'static str] =
        &["ID", "NAME", "SUBJECT", "STATE", "HINT", "CREATED", "EXPIRES", "LAST USED", "SCOPES"];

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |key: &pb::ApiKey| {
            vec![
                key.id.clone(),
                key.name.clone(),
                key.subject.clone(),
                state(key),
                key.hint.clone(),
                output::time(key.create_time.as_ref(), ""),
                output::time(key.expire_time.as_ref(), "never"),
                output::time(key.last_use_time.as_ref(), "never"),
                abridged(&key.scopes),
            ]
        };
        self.api_keys.iter().map(row).collect()
    }

    fn ids(&self) -> Vec<String> {
        self.api_keys.iter().map(|key| key.id.clone()).collect()
    }

    fn next_page_token(&self) -> &str {
        &self.next_page_token
    }

    fn total(&self) -> Option<String> {
        let or_more = if self.total_size_is_lower_bound { " or more" } else { "" };
        Some(format!("{}{or_more}", thousands(self.total_size)))
    }
}

/// A number with a comma between groups of three digits.
fn thousands(number: i64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join(",")
}

fn with_secret(key: Option<&pb::ApiKey>, secret: &str) -> String {
    format!("{}\n{secret}\n\nThis is the secret. It is shown this once and kept nowhere: store it now.\n", table(key))
}

fn lost(key: Option<&pb::ApiKey>) -> String {
    let id = key.map_or("", |key| &key.id);
    format!("the secret of {id} is lost: `portcullis keys rotate {id}` makes another")
}

/// One key, a field a line.
pub fn table(key: Option<&pb::ApiKey>) -> String {
    let Some(key) = key else { return String::new() };
    let reason = match key.revocation_reason() {
        pb::RevocationReason::Unspecified => "",
        reason => reason.as_str_name().trim_start_matches("REVOCATION_REASON_"),
    };
    output::fields(&[
        ("ID", key.id.clone()),
        ("Name", key.name.clone()),
        ("State", state(key)),
        ("Keyspace", key.keyspace.clone()),
        ("Subject", key.subject.clone()),
        ("Description", key.description.clone()),
        ("Scopes", if key.scopes.is_empty() { "none".to_owned() } else { key.scopes.join(" ") }),
        ("Claims", json::object(key.claims.as_ref())),
        ("Metadata", pairs(&key.metadata)),
        ("Created", output::time(key.create_time.as_ref(), "")),
        ("Created by", key.created_by.clone()),
        ("Updated", output::time(key.update_time.as_ref(), "")),
        ("Expires", output::time(key.expire_time.as_ref(), "never")),
        ("Last used", output::time(key.last_use_time.as_ref(), "never")),
        ("Rate limit", key.rate_limit.as_ref().map_or_else(|| no_rate_limit(key), limits::in_words)),
        ("Credits", key.credits.as_ref().map_or_else(String::new, credits)),
        ("Networks", key.allowed_cidrs.join(" ")),
        ("Revoked", output::time(key.revoke_time.as_ref(), "")),
        ("Reason", reason.to_owned()),
        ("Comment", key.revocation_comment.clone()),
        ("Secrets", secrets(key)),
        ("Etag", key.etag.clone()),
    ])
}

/// The hints of the live secrets, and until when the older one works.
fn secrets(key: &pb::ApiKey) -> String {
    let secret = |secret: &pb::ApiKeySecret| match &secret.expire_time {
        Some(at) => format!("{} (until {})", secret.hint, output::time(Some(at), "")),
        None => secret.hint.clone(),
    };
    key.secrets.iter().map(secret).collect::<Vec<_>>().join(" ")
}

/// What holds for a key without a limit of its own; keys of `system` have none.
fn no_rate_limit(key: &pb::ApiKey) -> String {
    if key.keyspace == SYSTEM { String::new() } else { "as the keyspace says".to_owned() }
}

/// How many there are, and when there will be more.
fn credits(credits: &pb::Credits) -> String {
    let left = format!("{} left", credits.remaining.unwrap_or_default());
    let Some(refill) = &credits.refill else { return left };
    let name = pb::CreditsInterval::try_from(refill.interval).ok().map(|interval| interval.as_str_name());
    let interval = value_name(name, "CREDITS_INTERVAL_", refill.interval).to_lowercase();
    let next = output::time(credits.refill_time.as_ref(), "");
    format!("{left}, {}/{interval}{}{next}", refill.amount, if next.is_empty() { "" } else { " from " })
}

fn state(key: &pb::ApiKey) -> String {
    let name = pb::ApiKeyState::try_from(key.state).ok().map(|state| state.as_str_name());
    value_name(name, "API_KEY_STATE_", key.state)
}

/// The first scopes and how many more there are: a line of a list has no room for a hundred.
fn abridged(scopes: &[String]) -> String {
    const SHOWN: usize = 3;
    let first = scopes[..scopes.len().min(SHOWN)].join(" ");
    match scopes.len().saturating_sub(SHOWN) {
        0 => first,
        more => format!("{first} +{more}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_line_a_key() {
        let key = pb::ApiKey {
            id: "key_1".into(),
            name: "two\nlines".into(),
            state: pb::ApiKeyState::Revoked.into(),
            create_time: Some(prost_types::Timestamp::default()),
            scopes: ["a", "b", "c", "d"].map(str::to_owned).into(),
            ..pb::ApiKey::default()
        };
        let list = pb::ListApiKeysResponse { api_keys: vec![key], total_size: 7, ..pb::ListApiKeysResponse::default() };
        assert_eq!(
            output::Rows::new(pb::ListApiKeysResponse::HEADER).page(list.rows()),
            "ID     NAME        SUBJECT  STATE    HINT  CREATED               EXPIRES  LAST USED  SCOPES\n\
             key_1  two\\nlines           REVOKED        1970-01-01T00:00:00Z  never    never      a b c +1\n"
        );
        assert_eq!((list.ids(), list.total()), (vec!["key_1".to_owned()], Some("7".to_owned())));
        let many = pb::ListApiKeysResponse { total_size: 10_000, total_size_is_lower_bound: true, ..list };
        assert_eq!(many.total().as_deref(), Some("10,000 or more"));
    }

    #[test]
    fn a_key_tells_its_limits() {
        let key = pb::ApiKey {
            rate_limit: Some(limits::rate("100/s:burst=20").unwrap()),
            credits: Some(pb::Credits {
                remaining: Some(7),
                refill: Some(limits::refill("10/month").unwrap()),
                refill_time: Some(prost_types::Timestamp::default()),
            }),
            allowed_cidrs: vec!["10.0.0.0/8".into(), "::1/128".into()],
            ..pb::ApiKey::default()
        };
        let table = table(Some(&key));
        for line in [
            "Rate limit  100/s:burst=20\n",
            "Credits     7 left, 10/month from 1970-01-01T00:00:00Z\n",
            "Networks    10.0.0.0/8 ::1/128\n",
        ] {
            assert!(table.contains(line), "{table}");
        }
        assert_eq!(credits(&pb::Credits { remaining: Some(0), ..pb::Credits::default() }), "0 left");
    }

    #[test]
    fn a_secret_is_shown_and_its_loss_told() {
        let key = pb::ApiKey { id: "key_1".into(), ..pb::ApiKey::default() };
        let made = pb::CreateApiKeyResponse { api_key: Some(key), secret: "ak_s".into() };
        assert_eq!(made.quiet(), "ak_s\n");
        assert!(made.table().contains("\nak_s\n") && made.table().contains("this once"));
        let loss = made.loss().unwrap();
        assert!(loss.contains("keys rotate key_1") && !loss.contains("ak_s"));
    }
}
