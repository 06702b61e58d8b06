//! VerifyResponse, written as it goes out.

use prost::Message as _;

use super::wire::{FRAME_HEAD_LEN, put_bytes, put_message, put_varint};
use crate::clock::Timestamp;
use crate::grpc::{convert, pb};
use crate::key::record::Json;
use crate::verify::CachedKey;
use crate::verify::allowance::RateStanding;
use crate::verify::verdict::Verdict;

/// Room for most verdicts, so that none of them moves while it is written.
const USUAL_SIZE: usize = 256;

/// The claims of a key as [`CachedKey::claims`] keeps them for this: an encoded Struct.
pub fn write_claims(claims: Json) -> Box<[u8]> {
    convert::to_struct(claims).encode_to_vec().into_boxed_slice()
}

/// The number of a verdict.
pub fn number(verdict: &Verdict) -> pb::Verdict {
    match verdict {
        Verdict::Valid(..) => pb::Verdict::Valid,
        Verdict::Malformed => pb::Verdict::Malformed,
        Verdict::NotFound => pb::Verdict::NotFound,
        Verdict::Revoked(_) => pb::Verdict::Revoked,
        Verdict::Expired(_) => pb::Verdict::Expired,
        Verdict::Disabled(_) => pb::Verdict::Disabled,
        Verdict::IpNotAllowed(_) => pb::Verdict::IpNotAllowed,
        Verdict::InsufficientScope { .. } => pb::Verdict::InsufficientScope,
        Verdict::RateLimited(..) => pb::Verdict::RateLimited,
        Verdict::CreditsExhausted(..) => pb::Verdict::CreditsExhausted,
    }
}

/// A VerifyResponse with its frame: the whole body of the answer to a Verify.
pub fn framed(verdict: &Verdict) -> Vec<u8> {
    let mut out = Vec::with_capacity(USUAL_SIZE);
    out.extend_from_slice(&[0; FRAME_HEAD_LEN]);
    write(verdict, &mut out);
    let length = u32::try_from(out.len() - FRAME_HEAD_LEN).expect("a key's limits keep it far below 4 GiB");
    out[1..FRAME_HEAD_LEN].copy_from_slice(&length.to_be_bytes());
    out
}

/// A VerifyResponse.
pub fn message(verdict: &Verdict) -> Vec<u8> {
    let mut out = Vec::with_capacity(USUAL_SIZE);
    write(verdict, &mut out);
    out
}

/// What is said of one of many keys.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A verdict.
    Told(Verdict),
    /// That this key cannot be checked just now: an empty message, which denies.
    Untold,
}

/// A BatchVerifyResponse.
///
/// # Errors
/// It takes more than `size_max` bytes; how many of the entries fit.
pub fn batch(entries: &[Entry], size_max: usize) -> Result<Vec<u8>, usize> {
    let mut out = Vec::with_capacity(entries.len() * USUAL_SIZE);
    for (nth, entry) in entries.iter().enumerate() {
        put_message(1, &mut out, |out| write_entry(entry, out));
        if out.len() > size_max {
            return Err(nth);
        }
    }
    Ok(out)
}

/// A VerifyStreamResponse.
pub fn streamed(correlation_id: &str, entry: &Entry) -> Vec<u8> {
    let mut out = Vec::with_capacity(correlation_id.len() + USUAL_SIZE);
    if !correlation_id.is_empty() {
        put_bytes(1, correlation_id.as_bytes(), &mut out);
    }
    put_message(2, &mut out, |out| write_entry(entry, out));
    out
}

fn write_entry(entry: &Entry, out: &mut Vec<u8>) {
    if let Entry::Told(verdict) = entry {
        write(verdict, out);
    }
}

/// A VerifyResponse.
fn write(verdict: &Verdict, out: &mut Vec<u8>) {
    if let Verdict::Valid(..) = verdict {
        put_varint(1, 1, out);
    }
    put_varint(2, u64::from(number(verdict) as u32), out);
    match verdict {
        Verdict::Malformed | Verdict::NotFound => {}
        Verdict::Revoked(key) | Verdict::Expired(key) | Verdict::Disabled(key) | Verdict::IpNotAllowed(key) => {
            write_identity(key, out);
        }
        Verdict::Valid(key, standing) => {
            write_identity(key, out);
            write_scopes(6, key.scopes(), out);
            if !key.claims().is_empty() {
                put_bytes(7, key.claims(), out);
            }
            if let Some(at) = key.expire_time() {
                put_message(8, out, |out| write_time(at, out));
            }
            if let Some(rate) = &standing.rate {
                put_message(10, out, |out| write_rate(key, rate, out));
            }
            if let Some(left) = standing.credits {
                put_varint(11, left.cast_unsigned(), out);
            }
        }
        Verdict::RateLimited(key, rate) => {
            write_identity(key, out);
            put_message(10, out, |out| write_rate(key, rate, out));
        }
        Verdict::CreditsExhausted(key, left) => {
            write_identity(key, out);
            put_varint(11, left.cast_unsigned(), out);
        }
        Verdict::InsufficientScope { key, missing } => {
            write_identity(key, out);
            write_scopes(6, key.scopes(), out);
            write_scopes(9, missing.iter().map(String::as_str), out);
        }
    }
}

fn write_identity(key: &CachedKey, out: &mut Vec<u8>) {
    put_bytes(3, key.id().as_bytes(), out);
    put_bytes(4, key.keyspace().as_bytes(), out);
    put_bytes(5, key.subject().as_bytes(), out);
}

fn write_scopes<'a>(number: u32, scopes: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) {
    for scope in scopes {
        put_bytes(number, scope.as_bytes(), out);
    }
}

/// A RateLimitStatus. As everywhere in proto3, what is zero or empty is left out.
fn write_rate(key: &CachedKey, rate: &RateStanding, out: &mut Vec<u8>) {
    put_varint(1, rate.limit.into(), out);
    if rate.remaining > 0 {
        put_varint(2, rate.remaining.into(), out);
    }
    put_message(3, out, |out| write_time(rate.at.saturating_add(rate.reset), out));
    if !rate.retry.is_zero() {
        put_message(4, out, |out| write_time(rate.at.saturating_add(rate.retry), out));
    }
    let name = key.limit_name(rate.nth);
    if !name.is_empty() {
        put_bytes(5, name.as_bytes(), out);
    }
}

fn write_time(at: Timestamp, out: &mut Vec<u8>) {
    convert::timestamp(at).encode_raw(out);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::key::id::{KeyId, KeyspaceUid};
    use crate::key::rate_limit::RateLimit;
    use crate::key::record::{ApiKey, object};
    use crate::key::token::PublicPrefix;
    use crate::key::verifier::{self, Verifier};
    use crate::store::Found;
    use crate::verify::allowance::{Allowance, Standing};

    fn key(scopes: Vec<String>, claims: Json, expire_time: Option<i64>) -> (Arc<CachedKey>, ApiKey) {
        let first = PublicPrefix::from_stored("ak_1".into());
        let id = KeyId::from_text("key_1");
        let key = ApiKey::issued(id, "default", "n", "user_1", first, Timestamp::from_micros(0));
        let expire_time = expire_time.map(Timestamp::from_micros);
        let window = Duration::from_hours(24);
        let rate_limits = vec![RateLimit { name: "daily".into(), limit: 10, window, burst: 10 }];
        let key = ApiKey { scopes, claims, expire_time, metadata: BTreeMap::new(), rate_limits, ..key };
        let verifier = Verifier::Sha256(verifier::sha256("secret"));
        let found = Found {
            verifier,
            secret_expire_time: None,
            key: key.clone(),
            wildcards: false,
            default_rate_limits: Vec::new(),
            rates: Vec::new(),
            keyspace_revision: 1,
            keyspace_uid: KeyspaceUid::from_stored(1),
        };
        let allowance_of = |id: &KeyId| Arc::new(Allowance::new(id.clone()));
        let now = Timestamp::from_micros(0);
        (
            Arc::new(
                CachedKey::new("ak_1", found, write_claims, None, allowance_of, (now, Duration::ZERO), Box::default())
                    .unwrap(),
            ),
            key,
        )
    }

    fn standing(left: u32) -> RateStanding {
        let retry = Duration::from_micros(if left == 0 { 500_000 } else { 0 });
        let (at, reset) = (Timestamp::from_micros(1_000_000), Duration::from_secs(2));
        RateStanding { at, nth: 0, limit: 10, remaining: left, reset, retry }
    }

    fn status(left: u32) -> pb::RateLimitStatus {
        pb::RateLimitStatus {
            limit: 10,
            remaining: left.into(),
            reset_time: Some(convert::timestamp(Timestamp::from_micros(3_000_000))),
            retry_time: (left == 0).then(|| convert::timestamp(Timestamp::from_micros(1_500_000))),
            name: "daily".to_owned(),
        }
    }

    /// The response as the table of the contract has it, by generated code.
    fn expected(verdict: &Verdict, key: &ApiKey) -> pb::VerifyResponse {
        let bare = pb::VerifyResponse { verdict: number(verdict).into(), ..Default::default() };
        let identity = pb::VerifyResponse {
            key_id: key.id.to_string(),
            keyspace: key.keyspace.clone(),
            subject: key.subject.clone(),
            ..bare.clone()
        };
        match verdict {
            Verdict::Malformed | Verdict::NotFound => bare,
            Verdict::Revoked(_) | Verdict::Expired(_) | Verdict::Disabled(_) | Verdict::IpNotAllowed(_) => identity,
            Verdict::RateLimited(_, rate) => {
                pb::VerifyResponse { rate_limit: Some(status(rate.remaining)), ..identity }
            }
            Verdict::CreditsExhausted(_, left) => pb::VerifyResponse { credits_remaining: Some(*left), ..identity },
            Verdict::InsufficientScope { missing, .. } => {
                pb::VerifyResponse { scopes: key.scopes.clone(), missing_scopes: missing.clone(), ..identity }
            }
            Verdict::Valid(_, standing) => pb::VerifyResponse {
                valid: true,
                rate_limit: standing.rate.map(|rate| status(rate.remaining)),
                credits_remaining: standing.credits,
                scopes: key.scopes.clone(),
                claims: (!key.claims.is_empty()).then(|| convert::to_struct(key.claims.clone())),
                expire_time: key.expire_time.map(convert::timestamp),
                ..identity
            },
        }
    }

    proptest! {
        #[test]
        fn generated_code_reads_what_is_written(
            scopes in proptest::collection::vec("[a-z][a-z:]{0,60}", 0..40),
            claim in proptest::option::of(".{0,300}"),
            expire_time in proptest::option::of(-1_000_000_000_000_i64..1_000_000_000_000_000),
            correlation_id in ".{0,200}",
            left in 0..i64::MAX,
        ) {
            let claims = claim.map_or_else(Json::new, |claim| object(json!({ "a": claim })));
            let (cached, key) = key(scopes.clone(), claims, expire_time);
            let verdicts = [
                Verdict::Malformed,
                Verdict::NotFound,
                Verdict::Revoked(cached.clone()),
                Verdict::Expired(cached.clone()),
                Verdict::Disabled(cached.clone()),
                Verdict::InsufficientScope { key: cached.clone(), missing: scopes },
                Verdict::IpNotAllowed(cached.clone()),
                Verdict::RateLimited(cached.clone(), standing(0)),
                Verdict::CreditsExhausted(cached.clone(), left),
                Verdict::Valid(cached.clone(), Standing::default()),
                Verdict::Valid(cached.clone(), Standing { rate: Some(standing(3)), credits: None }),
                Verdict::Valid(cached, Standing { rate: Some(standing(0)), credits: Some(left) }),
            ];
            let all: Vec<_> = verdicts.iter().map(|verdict| expected(verdict, &key)).collect();
            for (verdict, expected) in verdicts.iter().zip(&all) {
                prop_assert_eq!(&pb::VerifyResponse::decode(message(verdict).as_slice()), &Ok(expected.clone()));
                let framed = framed(verdict);
                prop_assert_eq!(&framed[..5], &[&[0], &(u32::try_from(framed.len()).unwrap() - 5).to_be_bytes()[..]].concat());
                prop_assert_eq!(&framed[5..], message(verdict));
                let answer = streamed(&correlation_id, &Entry::Told(verdict.clone()));
                let answer = pb::VerifyStreamResponse::decode(answer.as_slice()).unwrap();
                prop_assert_eq!(&answer.correlation_id, &correlation_id);
                prop_assert_eq!(&answer.response.unwrap(), expected);
            }
            let mut entries: Vec<_> = verdicts.into_iter().map(Entry::Told).collect();
            entries.push(Entry::Untold);
            let answer = batch(&entries, usize::MAX).unwrap();
            let responses = all.into_iter().chain([pb::VerifyResponse::default()]).collect();
            prop_assert_eq!(pb::BatchVerifyResponse::decode(answer.as_slice()), Ok(pb::BatchVerifyResponse { responses }));
            prop_assert_eq!(batch(&entries, 5), Err(1));
        }
    }
}
