//! Changing a key.

use std::collections::BTreeMap;

use super::allowance::{self, AllowanceFields, CreditsFields};
use super::create::{check_expire_time, check_metadata, check_scopes, refused};
use super::list::clamped;
use super::{Claims, Error, Management, Nanos, Principal, Violations, check_id, claims};
use crate::clock::Timestamp;
use crate::key::credits::{Credits, CreditsPatch};
use crate::key::field;
use crate::key::id::KeyId;
use crate::key::keyspace::Keyspace;
use crate::key::permission::Reach;
use crate::key::record::{ApiKey, Json, Patch};
use crate::store::Refusal;

/// What can be changed about a key.
const PATHS: [&str; 10] = [
    "name",
    "description",
    "scopes",
    "claims",
    "metadata",
    "expire_time",
    "enabled",
    "rate_limit",
    "credits",
    "allowed_cidrs",
];
/// Parts of those that can be changed alone.
const PARTS: [&str; 2] = ["credits.remaining", "credits.refill"];

/// A change of a key, as the caller asked for it.
#[derive(Debug)]
pub struct UpdateKey {
    /// Which key.
    pub id: KeyId,
    /// The etag it must have; empty: any.
    pub etag: String,
    /// What to change; `None`: what is set in `fields`.
    pub mask: Option<Vec<String>>,
    /// The new values.
    pub fields: KeyFields,
}

/// The fields of a key that can be changed, absent ones in their wire default.
#[derive(Debug)]
pub struct KeyFields {
    /// What people call it.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Its rights.
    pub scopes: Vec<String>,
    /// What travels with its verdicts; `None`: absent.
    pub claims: Option<Claims>,
    /// Its labels, all of them.
    pub metadata: BTreeMap<String, String>,
    /// When it expires, since the epoch; `None`: never.
    pub expire_time: Option<Nanos>,
    /// On or off.
    pub enabled: bool,
    /// How much it may be used, and from where.
    pub allowance: AllowanceFields,
}

impl Management {
    /// Changes a key. Changing nothing succeeds.
    pub async fn update(&self, asked: UpdateKey, reach: &Reach, by: Principal<'_>) -> Result<ApiKey, Error> {
        let mut bad = Violations::default();
        let (parts, mask) = split_parts(asked.mask.as_deref());
        let paths = check_mask(mask.as_deref(), &PATHS, |path| asked.fields.is_set(path), &mut bad);
        if !check_id("api_key.id", &asked.id, &mut bad) {
            bad.check()?;
        }
        let key = self.get(&asked.id, reach).await?;
        let keyspace = self.keyspace(&key.keyspace).await?;
        let _charged = self.charge(&keyspace)?;
        let now = self.clock.now();
        let is_named = asked.mask.as_ref().is_some_and(|mask| mask.iter().any(|path| path == "credits"));
        let mut patch = check_fields(&asked.fields, &paths, is_named, &key, (&keyspace, now), &mut bad);
        if !parts.is_empty() {
            check_parts(&parts, &asked.fields, &mut patch, &keyspace, &mut bad);
        }
        bad.check()?;
        let revision = expected_revision(&asked.etag)?;
        let updated = self.store.update_key(&asked.id, &patch, revision, &self.actor_within(reach, by, now)).await?;
        let scopes = patch.scopes.as_deref().unwrap_or_default();
        self.confirmed(updated.map_err(|refusal| refused("api_key.scopes", scopes, refusal))).await
    }
}

impl KeyFields {
    fn is_set(&self, path: &str) -> bool {
        match path {
            "name" => !self.name.is_empty(),
            "description" => !self.description.is_empty(),
            "scopes" => !self.scopes.is_empty(),
            "claims" => self.claims.is_some(),
            "metadata" => !self.metadata.is_empty(),
            "expire_time" => self.expire_time.is_some(),
            "enabled" => self.enabled,
            "rate_limit" => self.allowance.rate_limit.is_some(),
            "credits" => self.allowance.credits.is_some(),
            "allowed_cidrs" => !self.allowance.allowed_cidrs.is_empty(),
            _ => false,
        }
    }
}

/// The change, without what is so already: a caller that sends back what it read is not held to rules that came since.
/// Credits that are named are set anew whatever they are: what processes have taken out of them is then worth nothing.
fn check_fields(
    fields: &KeyFields,
    paths: &[&str],
    is_named: bool,
    key: &ApiKey,
    (keyspace, now): (&Keyspace, Timestamp),
    bad: &mut Violations,
) -> Patch {
    let mut patch = Patch::default();
    for path in paths {
        match *path {
            "name" => {
                bad.must("api_key.name", &fields.name, field::name(&fields.name));
                patch.name = Some(fields.name.clone());
            }
            "description" => {
                bad.must("api_key.description", &fields.description, field::text(&fields.description));
                patch.description = Some(fields.description.clone());
            }
            "scopes" if fields.scopes == key.scopes => {}
            "scopes" => {
                patch.scopes = Some(check_scopes("api_key.scopes", fields.scopes.clone(), keyspace, bad));
            }
            "claims" if is_as_before(fields.claims.as_ref(), &key.claims) => {}
            "claims" => {
                let asked = fields.claims.clone().unwrap_or(Ok(Json::new()));
                patch.claims = Some(claims::check(asked, "api_key.claims", bad));
            }
            "metadata" => {
                check_metadata("api_key.metadata", &fields.metadata, bad);
                patch.metadata = Some(fields.metadata.clone());
            }
            "expire_time" if fields.expire_time.map(clamped) == key.expire_time => {}
            "expire_time" => {
                if fields.expire_time.is_none() && keyspace.max_ttl.is_some() {
                    bad.add(
                        "api_key.expire_time",
                        format!("must be given: keyspace {} has a max_ttl, so no key may live for ever", keyspace.id),
                    );
                }
                let checked =
                    fields.expire_time.map(|at| check_expire_time("api_key.expire_time", at, keyspace, now, bad));
                patch.expire_time = Some(checked.flatten());
            }
            "enabled" => patch.enabled = Some(fields.enabled),
            "rate_limit" => {
                let asked = fields.allowance.rate_limit.as_ref();
                allowance::check_keyspace([("api_key.rate_limit", asked.is_some())], keyspace, bad);
                patch.rate_limits = Some(allowance::check_rate_limit("api_key.rate_limit", asked, bad));
            }
            "credits" if !is_named && is_as_read(fields.allowance.credits.as_ref(), key.credits.as_ref(), now) => {}
            "credits" => {
                let asked = fields.allowance.credits.as_ref();
                allowance::check_keyspace([("api_key.credits", asked.is_some())], keyspace, bad);
                patch.credits = Some(allowance::check_credits("api_key.credits", asked, bad));
            }
            "allowed_cidrs" => {
                let asked = &fields.allowance.allowed_cidrs;
                allowance::check_keyspace([("api_key.allowed_cidrs", !asked.is_empty())], keyspace, bad);
                patch.allowed_cidrs = Some(allowance::check_networks("api_key.allowed_cidrs", asked, bad));
            }
            other => unreachable!("check_mask lets only PATHS through, not {other}"),
        }
    }
    patch
}

/// Whether claims are sent back as they were read.
fn is_as_before(asked: Option<&Claims>, present: &Json) -> bool {
    asked.map_or(present.is_empty(), |claims| claims.as_ref() == Ok(present))
}

/// Whether credits are sent back as they were read.
fn is_as_read(asked: Option<&CreditsFields>, present: Option<&Credits>, now: Timestamp) -> bool {
    match (asked, present.map(|credits| credits.at(now))) {
        (None, None) => true,
        (Some(asked), Some(present)) => {
            let refill = asked.refill.as_ref().map(|refill| (refill.amount, refill.interval));
            asked.remaining == Some(present.remaining)
                && refill == present.refill.map(|refill| (refill.amount, Ok(refill.interval)))
        }
        _ => false,
    }
}

/// What a mask names of [`PARTS`], and the rest of it.
fn split_parts(mask: Option<&[String]>) -> (Vec<String>, Option<Vec<String>>) {
    let Some(mask) = mask else { return (Vec::new(), None) };
    let (parts, rest) = mask.iter().cloned().partition(|path| PARTS.contains(&path.as_str()));
    (parts, Some(rest))
}

/// The change of parts of the credits, where the whole is not changed.
fn check_parts(parts: &[String], fields: &KeyFields, patch: &mut Patch, keyspace: &Keyspace, bad: &mut Violations) {
    allowance::check_keyspace([("api_key.credits", true)], keyspace, bad);
    if patch.credits.is_some() {
        return;
    }
    let asked = fields.allowance.credits.as_ref();
    let has = |part: &str| parts.iter().any(|path| path == part);
    let remaining = has("credits.remaining").then(|| {
        let remaining = asked.and_then(|credits| credits.remaining).unwrap_or(0);
        allowance::check_remaining("api_key.credits", remaining, bad)
    });
    let refill = has("credits.refill").then(|| {
        let refill = asked.and_then(|credits| credits.refill.as_ref());
        allowance::check_refill("api_key.credits", refill, bad)
    });
    patch.credits = Some(CreditsPatch::Limited { remaining, refill });
}

/// The paths of a mask, each once: those it names, all for `*`, those that are set if there is no mask.
pub(super) fn check_mask(
    mask: Option<&[String]>,
    known: &[&'static str],
    is_set: impl Fn(&str) -> bool,
    bad: &mut Violations,
) -> Vec<&'static str> {
    let Some(mask) = mask else {
        return known.iter().copied().filter(|path| is_set(path)).collect();
    };
    if mask == ["*"] {
        return known.to_vec();
    }
    for path in mask {
        if !known.contains(&path.as_str()) {
            bad.must("update_mask", path, Err(format!("name only {}, or be `*` alone", known.join(", "))));
        }
    }
    known.iter().copied().filter(|path| mask.iter().any(|asked| asked == path)).collect()
}

/// The etag of a revision.
pub fn etag(revision: i64) -> String {
    format!("{revision:x}")
}

/// The revision that an etag asks for; `None`: any. What is no etag of ours cannot be the present one.
pub(super) fn expected_revision(etag: &str) -> Result<Option<i64>, Error> {
    if etag.is_empty() {
        return Ok(None);
    }
    let revision = i64::from_str_radix(etag, 16).ok().filter(|revision| self::etag(*revision) == etag);
    revision.map(Some).ok_or(Error::Refused(Refusal::EtagMismatch))
}
