//! Changing a key.

use std::collections::BTreeMap;

use super::allowance::{self, AllowanceFields, CreditsFields};
use super::create::{check_expire_time, check_metadata, check_scopes, refused};
use super::list::clamped;
use super::{Claims, Error, Management, Nanos, Principal, Violations, check_id, claims};
use crate::clock::Timestamp;
use crate::key::credits::{CREDITS_MAX, Credits, CreditsPatch};
use crate::key::field;
use crate::key::id::KeyId;
use crate::key::keyspace::Keyspace;
use crate::key::permission::Reach;
use crate::key::record::{ApiKey, Json, Patch};
use crate::store::{Overrides, Refusal};

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
/// Fields of those that can be changed alone.
const PARTS: [&str; 7] = [
    "rate_limit.limit",
    "rate_limit.window",
    "rate_limit.burst",
    "rate_limit.name",
    "rate_limit.also",
    "credits.remaining",
    "credits.refill",
];

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
    /// How many credits to add to those that are left; 0: none.
    pub add_credits: i64,
    /// End a secret that goes on working after a rotation.
    pub ends_overlap: bool,
    /// Change the key even if it is the last admin key and would not be one any more.
    pub ends_last_admin: bool,
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
        let paths = check_mask(asked.mask.as_deref(), &PATHS, &PARTS, |path| asked.fields.is_set(path), &mut bad);
        if !check_id("api_key.id", &asked.id, &mut bad) {
            bad.check()?;
        }
        let key = self.get(&asked.id, reach).await?;
        let keyspace = self.keyspace(&key.keyspace).await?;
        let _charged = self.charge(&keyspace)?;
        let now = self.clock.now();
        let is_named = asked.mask.as_ref().is_some_and(|mask| mask.iter().any(|path| path.starts_with("credits")));
        let mut patch = check_fields(&asked.fields, &paths, is_named, &key, (&keyspace, now), &mut bad);
        check_rate_limit_parts(&paths, &asked.fields, &key, &keyspace, &mut patch, &mut bad);
        if is_named || !is_as_read(asked.fields.allowance.credits.as_ref(), key.credits.as_ref(), now) {
            check_credits_parts(&paths, &asked.fields, &key, &keyspace, &mut patch, &mut bad);
        }
        if asked.add_credits != 0 {
            check_added(asked.add_credits, patch.credits.as_ref(), &keyspace, &mut bad);
            patch.add_credits = Some(asked.add_credits);
        }
        patch.end_overlap = asked.ends_overlap;
        bad.check()?;
        let revision = expected_revision(&asked.etag)?;
        let overrides = Overrides { end_last_admin: asked.ends_last_admin, ..Overrides::default() };
        let actor = self.actor_with(overrides, reach, by, now);
        let updated = self.store.update_key(&asked.id, &patch, revision, &actor).await?;
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
            "credits.remaining" => self.allowance.credits.as_ref().is_some_and(|credits| credits.remaining.is_some()),
            "credits.refill" => self.allowance.credits.as_ref().is_some_and(|credits| credits.refill.is_some()),
            "allowed_cidrs" => !self.allowance.allowed_cidrs.is_empty(),
            _ => match (path.strip_prefix("rate_limit."), &self.allowance.rate_limit) {
                (Some(part), Some(limit)) => limit.is_set(part),
                _ => false,
            },
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
            // Fields of these, which are changed together.
            _ => {}
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

/// The change of single fields of the rate limit; the others stay.
fn check_rate_limit_parts(
    paths: &[&str],
    fields: &KeyFields,
    key: &ApiKey,
    keyspace: &Keyspace,
    patch: &mut Patch,
    bad: &mut Violations,
) {
    let asked = fields.allowance.rate_limit.as_ref();
    if let Some(merged) = allowance::merged_rate_limit("rate_limit", paths, asked, &key.rate_limits) {
        allowance::check_keyspace([("api_key.rate_limit", true)], keyspace, bad);
        patch.rate_limits = Some(allowance::check_rate_limit("api_key.rate_limit", Some(&merged), bad));
    }
}

/// The change of single fields of the credits; the others stay.
fn check_credits_parts(
    paths: &[&str],
    fields: &KeyFields,
    key: &ApiKey,
    keyspace: &Keyspace,
    patch: &mut Patch,
    bad: &mut Violations,
) {
    let has = |part: &str| paths.contains(&part);
    if !has("credits.remaining") && !has("credits.refill") {
        return;
    }
    allowance::check_keyspace([("api_key.credits", true)], keyspace, bad);
    let asked = fields.allowance.credits.as_ref();
    let refill = has("credits.refill").then(|| {
        let refill = asked.and_then(|credits| credits.refill.as_ref());
        allowance::check_refill("api_key.credits", refill, bad)
    });
    let remaining = has("credits.remaining").then(|| {
        let present = key.credits.as_ref().and_then(|credits| credits.refill);
        allowance::check_remaining(
            "api_key.credits",
            asked.and_then(|credits| credits.remaining),
            refill.unwrap_or(present),
            bad,
        )
    });
    patch.credits = Some(CreditsPatch::Limited { remaining, refill });
}

/// Notes what is bad about a number of credits to add.
fn check_added(added: i64, patch: Option<&CreditsPatch>, keyspace: &Keyspace, bad: &mut Violations) {
    allowance::check_keyspace([("add_credits", true)], keyspace, bad);
    if !(1..=CREDITS_MAX).contains(&added) {
        bad.add("add_credits", format!("must be 1 to {CREDITS_MAX}, or 0 to add none; is {added}"));
    }
    if !matches!(patch, None | Some(CreditsPatch::Limited { remaining: None, .. })) {
        bad.add("add_credits", "must be 0 where credits.remaining is set: the one adds to what the other says");
    }
}

/// The paths of a mask, each once: those it names, all of `known` for `*`. Without a mask: the paths of what is set, down to
/// the single fields of messages, which are `parts`. A field of a message that is named as a whole is left out.
pub(super) fn check_mask(
    mask: Option<&[String]>,
    known: &[&'static str],
    parts: &[&'static str],
    is_set: impl Fn(&str) -> bool,
    bad: &mut Violations,
) -> Vec<&'static str> {
    let all = known.iter().chain(parts).copied();
    let Some(mask) = mask else {
        return all.filter(|path| is_set(path)).collect();
    };
    if mask == ["*"] {
        return known.to_vec();
    }
    for path in mask {
        if !all.clone().any(|known| known == path) {
            let known: Vec<_> = all.clone().collect();
            bad.must("update_mask", path, Err(format!("name only {}, or be `*` alone", known.join(", "))));
        }
    }
    let is_named = |path: &str| mask.iter().any(|named| named == path);
    all.filter(|path| is_named(path) && !path.split_once('.').is_some_and(|(whole, _)| is_named(whole))).collect()
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
