//! Between wire and domain. From the wire nothing is checked here but what only the wire can get wrong; the use cases
//! check the rest, so that all that is bad is said at once.

use std::time::Duration;

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use serde_json::Value as JsonValue;

use super::pb::api_key_import::{Expiration as ImportExpiration, Material as WireMaterial};
use super::pb::{self, create_api_key_request::Expiration as WireExpiration};
use crate::clock::Timestamp;
use crate::fleet::Replica;
use crate::key::credits::Interval;
use crate::key::imported::DigestAlgorithm;
use crate::key::keyspace::{Keyspace, KeyspaceLimits};
use crate::key::rate_card::RateCard;
use crate::key::rate_limit::{LIMITS_MAX, RateLimit};
use crate::key::record::{ApiKey, Json, State};
use crate::key::secret::Secret;
use crate::key::usage::Counted;
use crate::key::verifier::HashPolicy;
use crate::manage::{
    AllowanceFields, Claims, CreateKey, CreditsFields, Expiration, ImportEntry, KeyspaceFields, KeyspaceLimitFields,
    Material, Nanos, RateLimitFields, RefillFields, etag,
};
use crate::store::Event;
use crate::store::usage::UsageRow;

/// The key as it is at `now`.
pub fn api_key(key: ApiKey, now: Timestamp) -> pb::ApiKey {
    let state = match key.state(now) {
        State::Active => pb::ApiKeyState::Active,
        State::Revoked => pb::ApiKeyState::Revoked,
        State::Expired => pb::ApiKeyState::Expired,
        State::Disabled => pb::ApiKeyState::Disabled,
    };
    let secrets = key.live_secrets(now).map(|secret| pb::ApiKeySecret {
        hint: secret.public_prefix.hint(),
        create_time: Some(timestamp(secret.create_time)),
        expire_time: secret.expire_time.map(timestamp),
    });
    let secrets = secrets.collect();
    let (revoke_time, reason, comment) = match key.revocation {
        Some(revocation) => (Some(timestamp(revocation.at)), revocation.reason as i32, revocation.comment),
        None => (None, 0, String::new()),
    };
    pb::ApiKey {
        hint: key.secrets.first().map(|secret| secret.public_prefix.hint()).unwrap_or_default(),
        secrets,
        state: state.into(),
        id: key.id.as_str().to_owned(),
        keyspace: key.keyspace,
        name: key.name,
        description: key.description,
        subject: key.subject,
        scopes: key.scopes,
        claims: (!key.claims.is_empty()).then(|| to_struct(key.claims)),
        metadata: key.metadata,
        enabled: key.enabled,
        created_by: key.created_by,
        create_time: Some(timestamp(key.create_time)),
        update_time: Some(timestamp(key.update_time)),
        expire_time: key.expire_time.map(timestamp),
        revoke_time,
        last_use_time: key.last_use_time.map(timestamp),
        revocation_reason: reason,
        revocation_comment: comment,
        rate_limit: rate_limit(key.rate_limits),
        credits: key.credits.map(|credits| credits.at(now)).map(|credits| pb::Credits {
            remaining: Some(credits.remaining),
            refill: credits.refill.map(|refill| pb::CreditsRefill {
                amount: refill.amount,
                interval: match refill.interval {
                    Interval::Day => pb::CreditsInterval::Day.into(),
                    Interval::Week => pb::CreditsInterval::Week.into(),
                    Interval::Month => pb::CreditsInterval::Month.into(),
                },
            }),
            refill_time: credits.refill_time.map(timestamp),
        }),
        allowed_cidrs: key.allowed_cidrs.iter().map(ToString::to_string).collect(),
        etag: etag(key.revision),
    }
}

/// A key to issue.
pub fn create_key(asked: pb::CreateApiKeyRequest) -> CreateKey {
    CreateKey {
        keyspace: asked.keyspace,
        name: asked.name,
        subject: asked.subject,
        description: asked.description,
        scopes: asked.scopes,
        claims: asked.claims.map_or(Ok(Json::new()), claims),
        metadata: asked.metadata,
        expiration: match asked.expiration {
            None => Expiration::Unset,
            Some(WireExpiration::ExpireTime(at)) => Expiration::At(time_nanos(at)),
            Some(WireExpiration::Ttl(ttl)) => Expiration::In(length_nanos(ttl)),
        },
        created_by: asked.created_by,
        request_id: asked.request_id,
        allowance: allowance(asked.rate_limit, asked.credits, asked.allowed_cidrs),
    }
}

/// Limits, as they are shown: the first holds the others.
fn rate_limit(limits: Vec<RateLimit>) -> Option<pb::RateLimit> {
    let mut limits = limits.into_iter().map(|limit| pb::RateLimit {
        limit: limit.limit.into(),
        window: Some(duration(limit.window)),
        burst: limit.burst.into(),
        name: limit.name,
        also: Vec::new(),
    });
    let first = limits.next()?;
    Some(pb::RateLimit { also: limits.collect(), ..first })
}

/// What a caller may set of how much a key may be used.
pub fn allowance(
    rate_limit: Option<pb::RateLimit>,
    credits: Option<pb::Credits>,
    allowed_cidrs: Vec<String>,
) -> AllowanceFields {
    let credits = credits.map(|credits| CreditsFields {
        remaining: credits.remaining,
        refill: credits.refill.map(|refill| RefillFields {
            amount: refill.amount,
            interval: match pb::CreditsInterval::try_from(refill.interval) {
                Ok(pb::CreditsInterval::Day) => Ok(Interval::Day),
                Ok(pb::CreditsInterval::Week) => Ok(Interval::Week),
                Ok(pb::CreditsInterval::Month) => Ok(Interval::Month),
                Ok(pb::CreditsInterval::Unspecified) | Err(_) => Err(refill.interval),
            },
        }),
    });
    AllowanceFields { rate_limit: rate_limit.map(rate_limit_fields), credits, allowed_cidrs }
}

/// A message holds one in itself as deep as its decoder goes; no deeper than that.
fn rate_limit_fields(asked: pb::RateLimit) -> RateLimitFields {
    RateLimitFields {
        limit: asked.limit,
        window: asked.window.map(length_nanos),
        burst: asked.burst,
        name: asked.name,
        // One more than there may be says that there are too many.
        also: asked.also.into_iter().take(LIMITS_MAX).map(rate_limit_fields).collect(),
    }
}

/// A key to import.
pub fn import_entry(asked: pb::ApiKeyImport) -> ImportEntry {
    let material = match asked.material {
        None => Material::Absent,
        Some(WireMaterial::Plaintext(text)) => Material::Plaintext(Secret::new(text)),
        Some(WireMaterial::Phc(text)) => Material::Phc(Secret::new(text)),
        Some(WireMaterial::Digest(digest)) => Material::Digest {
            algorithm: match pb::DigestAlgorithm::try_from(digest.algorithm) {
                Ok(pb::DigestAlgorithm::Sha256) => Ok(DigestAlgorithm::Sha256),
                Ok(pb::DigestAlgorithm::Sha384) => Ok(DigestAlgorithm::Sha384),
                Ok(pb::DigestAlgorithm::Sha512) => Ok(DigestAlgorithm::Sha512),
                Ok(pb::DigestAlgorithm::Unspecified) | Err(_) => Err(digest.algorithm),
            },
            value: digest.value,
        },
    };
    let key = create_key(pb::CreateApiKeyRequest {
        keyspace: String::new(),
        name: asked.name,
        subject: asked.subject,
        description: asked.description,
        scopes: asked.scopes,
        claims: asked.claims,
        metadata: asked.metadata,
        expiration: asked.expiration.map(|expiration| match expiration {
            ImportExpiration::ExpireTime(at) => WireExpiration::ExpireTime(at),
            ImportExpiration::Ttl(ttl) => WireExpiration::Ttl(ttl),
        }),
        created_by: asked.created_by,
        request_id: asked.request_id,
        rate_limit: asked.rate_limit,
        credits: asked.credits,
        allowed_cidrs: asked.allowed_cidrs,
    });
    ImportEntry { key, material, lookup_prefix: asked.lookup_prefix }
}

/// A keyspace.
pub fn keyspace(keyspace: Keyspace) -> pb::Keyspace {
    let hash_policy = match keyspace.hash_policy {
        HashPolicy::Sha256 => pb::HashPolicy::Sha256,
        HashPolicy::Argon2id => pb::HashPolicy::Argon2id,
    };
    pb::Keyspace {
        id: keyspace.id,
        display_name: keyspace.display_name,
        key_prefix: keyspace.key_prefix.as_str().to_owned(),
        allowed_subject_types: keyspace.allowed_subject_types,
        default_ttl: keyspace.default_ttl.map(duration),
        max_ttl: keyspace.max_ttl.map(duration),
        allow_wildcard_scopes: keyspace.allow_wildcard_scopes,
        hash_policy: hash_policy.into(),
        default_rate_limit: rate_limit(keyspace.default_rate_limits),
        limits: keyspace_limits(keyspace.limits),
        create_time: Some(timestamp(keyspace.create_time)),
        update_time: Some(timestamp(keyspace.update_time)),
        etag: etag(keyspace.revision),
    }
}

fn keyspace_limits(limits: KeyspaceLimits) -> Option<pb::KeyspaceLimits> {
    let calls = |calls: u32| i32::try_from(calls).unwrap_or(i32::MAX);
    (limits != KeyspaceLimits::default()).then(|| pb::KeyspaceLimits {
        calls_max: limits.calls_max.map(calls),
        calls_per_second: limits.calls_per_second.map(calls),
        keys_max: limits.keys_max.map(|keys| i64::try_from(keys).unwrap_or(i64::MAX)),
    })
}

/// What a caller may set of a keyspace.
pub fn keyspace_fields(keyspace: pb::Keyspace) -> KeyspaceFields {
    KeyspaceFields {
        hash_policy: match pb::HashPolicy::try_from(keyspace.hash_policy) {
            Ok(pb::HashPolicy::Unspecified) => Ok(None),
            Ok(pb::HashPolicy::Sha256) => Ok(Some(HashPolicy::Sha256)),
            Ok(pb::HashPolicy::Argon2id) => Ok(Some(HashPolicy::Argon2id)),
            Err(_) => Err(keyspace.hash_policy),
        },
        display_name: keyspace.display_name,
        key_prefix: keyspace.key_prefix,
        allowed_subject_types: keyspace.allowed_subject_types,
        default_ttl: keyspace.default_ttl.map(length_nanos),
        max_ttl: keyspace.max_ttl.map(length_nanos),
        allow_wildcard_scopes: keyspace.allow_wildcard_scopes,
        default_rate_limit: keyspace.default_rate_limit.map(rate_limit_fields),
        limits: keyspace.limits.map(|limits| KeyspaceLimitFields {
            calls_max: limits.calls_max,
            calls_per_second: limits.calls_per_second,
            keys_max: limits.keys_max,
        }),
    }
}

/// An audit event.
pub fn audit_event(event: Event) -> pb::AuditEvent {
    pb::AuditEvent {
        id: event.id,
        time: Some(timestamp(event.at)),
        actor: event.actor,
        action: event.action,
        keyspace: event.keyspace,
        key_id: event.key_id.map(|id| id.as_str().to_owned()).unwrap_or_default(),
        peer: event.peer,
        changes: Some(to_struct(event.changes)),
    }
}

/// A row of usage, and what it costs.
pub fn usage_row(row: UsageRow, rate_card: &RateCard) -> pb::UsageRow {
    let count = |many: u64| i64::try_from(many).unwrap_or(i64::MAX);
    let verdicts = row.counts.iter().filter(|(counted, _)| *counted != Counted::Created);
    pb::UsageRow {
        time: Some(timestamp(row.place.hour.begin())),
        // The numbers of what is counted are those of verdicts.
        counts: verdicts
            .map(|(counted, many)| pb::VerdictCount { verdict: counted as i32, count: count(many) })
            .collect(),
        keys_created: count(row.counts.get(Counted::Created)),
        estimated_cost: rate_card.cost(&row.counts).to_string(),
        group: row.place.group,
    }
}

/// The paths of a mask. An empty one is none, as clients of several languages send it: to change nothing and say OK
/// would let a caller believe that a right was taken away.
pub fn mask(mask: Option<prost_types::FieldMask>) -> Option<Vec<String>> {
    mask.map(|mask| mask.paths).filter(|paths| !paths.is_empty())
}

/// A time on the wire.
pub fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let micros = at.as_micros();
    prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: i32::try_from(micros.rem_euclid(1_000_000) * 1_000).expect("less than a second"),
    }
}

/// A replica as it is listed.
pub fn replica(replica: Replica) -> pb::Replica {
    pb::Replica {
        name: replica.name,
        is_self: replica.is_self,
        lease: replica.lease.map(duration),
        lease_age: replica.lease_age.map(duration),
        applied_seq: replica.applied,
        lag: replica.lag,
        dead: replica.is_dead,
    }
}

fn duration(length: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(length.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(length.subsec_nanos()).expect("less than a second"),
    }
}

/// A time from the wire, since the epoch.
pub fn time_nanos(at: prost_types::Timestamp) -> Nanos {
    Nanos::from(at.seconds) * 1_000_000_000 + Nanos::from(at.nanos)
}

/// A length of time from the wire.
pub fn length_nanos(length: prost_types::Duration) -> Nanos {
    Nanos::from(length.seconds) * 1_000_000_000 + Nanos::from(length.nanos)
}

/// Claims from the wire.
pub fn claims(claims: Struct) -> Claims {
    claims.fields.into_iter().map(|(name, value)| Ok((name, from_value(value)?))).collect()
}

/// Numbers are doubles on the wire; whole ones that a double holds exactly become integers, as people write them.
fn from_value(value: Value) -> Result<JsonValue, String> {
    /// 2^53: up to here a double holds every whole number.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    Ok(match value.kind {
        None | Some(Kind::NullValue(_)) => JsonValue::Null,
        Some(Kind::BoolValue(value)) => value.into(),
        Some(Kind::StringValue(value)) => value.into(),
        #[expect(clippy::cast_possible_truncation, reason = "whole and within the range of i64")]
        Some(Kind::NumberValue(value)) if value.fract() == 0.0 && value.abs() <= EXACT_MAX => (value as i64).into(),
        Some(Kind::NumberValue(value)) => serde_json::Number::from_f64(value)
            .map(JsonValue::Number)
            .ok_or_else(|| format!("must be JSON, which knows no number {value}"))?,
        Some(Kind::ListValue(list)) => list.values.into_iter().map(from_value).collect::<Result<Vec<_>, _>>()?.into(),
        Some(Kind::StructValue(object)) => JsonValue::Object(claims(object)?),
    })
}

/// JSON on the wire.
pub fn to_struct(json: Json) -> Struct {
    Struct { fields: json.into_iter().map(|(name, value)| (name, to_value(value))).collect() }
}

fn to_value(json: JsonValue) -> Value {
    let kind = match json {
        JsonValue::Null => Kind::NullValue(0),
        JsonValue::Bool(value) => Kind::BoolValue(value),
        JsonValue::Number(value) => Kind::NumberValue(value.as_f64().unwrap_or(f64::NAN)),
        JsonValue::String(value) => Kind::StringValue(value),
        JsonValue::Array(items) => Kind::ListValue(ListValue { values: items.into_iter().map(to_value).collect() }),
        JsonValue::Object(object) => Kind::StructValue(to_struct(object)),
    };
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn claims_survive_the_wire() {
        let json = crate::key::record::object(json!({
            "s": "e\u{301}\0", "n": null, "b": true, "i": -7, "f": 1.5, "big": 1e300, "l": [1, {"x": []}], "o": {},
        }));
        assert_eq!(claims(to_struct(json.clone())), Ok(json));
    }

    #[test]
    fn a_number_that_json_does_not_know_is_refused() {
        for number in [f64::NAN, f64::INFINITY] {
            let value = Value { kind: Some(Kind::NumberValue(number)) };
            assert!(claims(Struct { fields: [("a".to_owned(), value)].into() }).is_err());
        }
    }

    #[test]
    fn times_survive_the_wire() {
        for micros in [0, -1, 1, 1_700_000_000_123_456, -62_135_596_800_000_000] {
            let at = Timestamp::from_micros(micros);
            assert_eq!(time_nanos(timestamp(at)), Nanos::from(micros) * 1_000);
        }
    }
}
