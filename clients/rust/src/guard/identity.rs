use std::time::SystemTime;

use prost_types::value::Kind;
use serde_json::{Map, Number, Value};

use crate::pb::{RateLimitStatus, VerifyResponse};

/// Whose key a request carries, as a guard puts it into the request's extensions. The key itself is not in it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Identity {
    /// False for a request that was let through unverified: then nothing else is known.
    pub authenticated: bool,
    /// The key's id.
    pub key_id: Option<String>,
    /// The key's keyspace.
    pub keyspace: Option<String>,
    /// Whom the key acts for.
    pub subject: Option<String>,
    /// The key's scopes.
    pub scopes: Vec<String>,
    /// The JSON that was attached to the key.
    pub claims: Map<String, Value>,
    /// When the key expires; `None` if it never does.
    pub expire_time: Option<SystemTime>,
    /// What is left of the limit that is nearest to its end; `None` for a key without limits.
    pub rate_limit: Option<RateLimitStatus>,
    /// How many credits are left; `None` for a key without credits.
    pub credits_remaining: Option<i64>,
}

impl Identity {
    /// The subject, if it begins with `user_`.
    pub fn user_id(&self) -> Option<&str> {
        self.subject.as_deref().filter(|subject| subject.starts_with("user_"))
    }

    /// The subject, if it begins with `org_`.
    pub fn org_id(&self) -> Option<&str> {
        self.subject.as_deref().filter(|subject| subject.starts_with("org_"))
    }

    pub(super) fn unverified() -> Self {
        Self::default()
    }

    pub(super) fn of(verdict: VerifyResponse) -> Self {
        Self {
            authenticated: true,
            key_id: Some(verdict.key_id),
            keyspace: Some(verdict.keyspace),
            subject: Some(verdict.subject),
            scopes: verdict.scopes,
            claims: verdict.claims.map(object).unwrap_or_default(),
            // A time that the clock of this machine cannot tell is none it will see.
            expire_time: verdict.expire_time.and_then(|time| SystemTime::try_from(time).ok()),
            rate_limit: verdict.rate_limit,
            credits_remaining: verdict.credits_remaining,
        }
    }
}

fn object(object: prost_types::Struct) -> Map<String, Value> {
    object.fields.into_iter().map(|(name, field)| (name, value(field))).collect()
}

fn value(value: prost_types::Value) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(is)) => Value::Bool(is),
        Some(Kind::NumberValue(is)) => number(is),
        Some(Kind::StringValue(is)) => Value::String(is),
        Some(Kind::ListValue(list)) => Value::Array(list.values.into_iter().map(self::value).collect()),
        Some(Kind::StructValue(is)) => Value::Object(object(is)),
    }
}

/// Protobuf has no whole numbers in claims; JSON writes them without a fraction.
fn number(is: f64) -> Value {
    /// Beyond it, not every whole number is a float.
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    if is.fract() == 0.0 && is.abs() <= WHOLE_MAX {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and small enough")]
        return Value::from(is as i64);
    }
    Number::from_f64(is).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_of_claims_are_whole() {
        assert_eq!(number(3.0).to_string(), "3");
        assert_eq!(number(-0.5).to_string(), "-0.5");
        assert_eq!(number(1e300).to_string(), "1e+300");
        assert_eq!(number(f64::NAN), Value::Null);
    }

    #[test]
    fn a_subject_may_be_a_user_or_an_organisation() {
        let of = |subject: &str| Identity { subject: Some(subject.to_owned()), ..Identity::default() };
        assert_eq!((of("user_1").user_id(), of("user_1").org_id()), (Some("user_1"), None));
        assert_eq!((of("org_7").user_id(), of("org_7").org_id()), (None, Some("org_7")));
        assert_eq!((of("svc:a").user_id(), of("svc:a").org_id()), (None, None));
    }
}
