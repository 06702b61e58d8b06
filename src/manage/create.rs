//! Issuing a key.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use super::allowance::{self, AllowanceFields};
use super::{Claims, Error, Management, Nanos, Principal, Violations, claims};
use crate::clock::{Timestamp, in_words, length_in_words};
use crate::key::credits::CreditsPatch;
use crate::key::id::KeyId;
use crate::key::keyspace::{DEFAULT, Keyspace, SYSTEM, TTL_MAX, is_keyspace_id};
use crate::key::network::Network;
use crate::key::permission::{self, Grant};
use crate::key::rate_limit::RateLimit;
use crate::key::record::{ApiKey, Json};
use crate::key::secret::Secret;
use crate::key::token::PublicPrefix;
use crate::key::{field, scope};
use crate::store::{NewKey, Refusal};

/// A key to issue, as the caller asked for it.
#[derive(Debug)]
pub struct CreateKey {
    /// Empty: `default`.
    pub keyspace: String,
    /// What people will call it.
    pub name: String,
    /// Whom it acts for.
    pub subject: String,
    /// Free text.
    pub description: String,
    /// Its rights.
    pub scopes: Vec<String>,
    /// What travels with its verdicts.
    pub claims: Claims,
    /// Its labels.
    pub metadata: BTreeMap<String, String>,
    /// When it expires.
    pub expiration: Expiration,
    /// Who asked for it; may be empty.
    pub created_by: String,
    /// The caller's id of this request; may be empty.
    pub request_id: String,
    /// How much it may be used, and from where.
    pub allowance: AllowanceFields,
}

/// When a key is to expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiration {
    /// As the keyspace says.
    Unset,
    /// At this time, since the epoch.
    At(Nanos),
    /// So long from now.
    In(Nanos),
}

impl Management {
    /// Issues a key. The secret is returned this once.
    pub async fn create(&self, asked: CreateKey, by: Principal<'_>) -> Result<(ApiKey, Secret), Error> {
        let keyspace_id = if asked.keyspace.is_empty() { DEFAULT } else { &asked.keyspace };
        let mut bad = Violations::default();
        if !is_keyspace_id(keyspace_id) {
            bad.must("keyspace", keyspace_id, Err("match [a-z][a-z0-9-]{0,39}"));
        }
        let known = is_keyspace_id(keyspace_id).then(|| keyspace_id.to_owned());
        let draft = Draft::check(asked, &mut bad);
        let Some(keyspace_id) = known else {
            // What depends on the keyspace's rules cannot be checked without them.
            return Err(bad.check().expect_err("its id is bad"));
        };
        let keyspace = self.keyspace(&keyspace_id).await?;
        let _charged = self.charge_keys(&keyspace, 1).await?;
        let now = self.clock.now();
        let draft = draft.within(&keyspace, now, &mut bad);
        bad.check()?;

        let (newest, secret) = self.issue(&keyspace, keyspace.hash_policy).await?;
        let first = newest.public_prefix.clone();
        let (key, request_id) = draft.key(self.ids.key(now), &keyspace.id, first, now);
        let new = NewKey { key, secret: newest, request_id, keyspace_uid: Some(keyspace.uid) };
        let created = self.store.create_key(&new, &self.actor(by, now)).await?;
        created.map_err(|refusal| refused("scopes", &new.key.scopes, refusal))?;
        self.usage.created(&new.key.id, &keyspace, now);
        Ok((new.key, secret))
    }
}

/// A key as it was asked for, its fields checked.
pub(super) struct Draft {
    asked: CreateKey,
    claims: Json,
    rate_limits: Vec<RateLimit>,
    credits: Option<CreditsPatch>,
    allowed_cidrs: Vec<Network>,
    expire_time: Option<Timestamp>,
    /// Whether the subject is one at all.
    has_subject: bool,
}

impl Draft {
    /// Notes what is bad in any keyspace. `asked.keyspace` is not looked at.
    pub fn check(mut asked: CreateKey, bad: &mut Violations) -> Self {
        bad.must("name", &asked.name, field::name(&asked.name));
        let subject = field::reference(&asked.subject);
        bad.must("subject", &asked.subject, subject);
        bad.must("description", &asked.description, field::text(&asked.description));
        let claims = claims::check(mem::replace(&mut asked.claims, Ok(Json::new())), "claims", bad);
        check_metadata("metadata", &asked.metadata, bad);
        check_reference("created_by", &asked.created_by, bad);
        check_reference("request_id", &asked.request_id, bad);
        let AllowanceFields { rate_limit, credits, allowed_cidrs } = &asked.allowance;
        Self {
            claims,
            rate_limits: allowance::check_rate_limit("rate_limit", rate_limit.as_ref(), bad),
            credits: credits.as_ref().map(|fields| allowance::check_credits("credits", Some(fields), bad)),
            allowed_cidrs: allowance::check_networks("allowed_cidrs", allowed_cidrs, bad),
            expire_time: None,
            has_subject: subject.is_ok(),
            asked,
        }
    }

    /// Notes what is bad by the rules of `keyspace`.
    pub fn within(mut self, keyspace: &Keyspace, now: Timestamp, bad: &mut Violations) -> Self {
        if self.has_subject {
            check_subject_type("subject", &self.asked.subject, keyspace, bad);
        }
        self.asked.scopes = check_scopes("scopes", mem::take(&mut self.asked.scopes), keyspace, bad);
        self.expire_time = check_expiration(self.asked.expiration, keyspace, now, bad);
        let AllowanceFields { rate_limit, credits, allowed_cidrs } = &self.asked.allowance;
        let given = [
            ("rate_limit", rate_limit.is_some()),
            ("credits", credits.is_some()),
            ("allowed_cidrs", !allowed_cidrs.is_empty()),
        ];
        allowance::check_keyspace(given, keyspace, bad);
        self
    }

    /// The key, if nothing was bad, and the id of the request that asked for it.
    pub fn key(self, id: KeyId, keyspace: &str, first: PublicPrefix, now: Timestamp) -> (ApiKey, Option<String>) {
        let Self { asked, claims, rate_limits, credits, allowed_cidrs, expire_time, .. } = self;
        let key = ApiKey {
            rate_limits,
            credits: credits.and_then(|credits| credits.applied(None, now, 1)),
            allowed_cidrs,
            description: asked.description,
            scopes: asked.scopes,
            claims,
            metadata: asked.metadata,
            created_by: asked.created_by,
            expire_time,
            ..ApiKey::issued(id, keyspace, &asked.name, &asked.subject, first, now)
        };
        (key, Some(asked.request_id).filter(|id| !id.is_empty()))
    }
}

fn check_subject_type(path: &str, subject: &str, keyspace: &Keyspace, bad: &mut Violations) {
    if !keyspace.allows_subject(subject) {
        let types = keyspace.allowed_subject_types.join("_, ");
        bad.must(path, subject, Err(format!("start with one of {types}_ in keyspace {}", keyspace.id)));
    }
}

/// Notes every bad label, its key in the description.
pub(super) fn check_metadata(path: &str, labels: &BTreeMap<String, String>, bad: &mut Violations) {
    if labels.len() > field::METADATA_PAIRS_MAX {
        bad.add(path, format!("must have at most {} pairs; has {}", field::METADATA_PAIRS_MAX, labels.len()));
    }
    for (key, value) in labels {
        if let Err(rule) = field::label_key(key) {
            bad.must(path, key, Err(rule));
        }
        if let Err(rule) = field::label_value(value) {
            bad.must(path, value, Err(format!("{rule} (the value of {key:?})")));
        }
    }
}

fn check_reference(path: &str, text: &str, bad: &mut Violations) {
    if !text.is_empty() {
        bad.must(path, text, field::reference(text));
    }
}

/// The scopes without duplicates. In `system` they are permissions; elsewhere `*` must be allowed.
pub(super) fn check_scopes(path: &str, scopes: Vec<String>, keyspace: &Keyspace, bad: &mut Violations) -> Vec<String> {
    let scopes = scope::fold(scopes);
    if scopes.len() > scope::SCOPES_MAX {
        bad.add(path, format!("must be at most {} scopes; are {}", scope::SCOPES_MAX, scopes.len()));
        return scopes;
    }
    for (at, scope) in scopes.iter().enumerate() {
        let path = format!("{path}[{at}]");
        if keyspace.id == SYSTEM {
            bad.must(path, scope, scope.parse::<Grant>().map(drop));
        } else if let Err(rule) = scope::check(scope) {
            bad.must(path, scope, Err(rule));
        } else if scope::is_wildcard(scope) && !keyspace.allow_wildcard_scopes {
            bad.must(path, scope, Err(format!("not have a `*`: keyspace {} does not allow it", keyspace.id)));
        }
    }
    scopes
}

/// What the store refused, as an error: permissions that name no keyspace are bad fields.
pub(super) fn refused(path: &str, scopes: &[String], refusal: Refusal) -> Error {
    let Refusal::GrantsNowhere(missing) = refusal else { return Error::Refused(refusal) };
    let mut bad = Violations::default();
    for (at, scope) in scopes.iter().enumerate() {
        if let Some(id) = permission::named_keyspace(scope).filter(|id| missing.iter().any(|missing| missing == id)) {
            let rule = format!("name a keyspace that exists: create {id} first, or leave the permission out");
            bad.must(format!("{path}[{at}]"), scope, Err(rule));
        }
    }
    bad.check().err().unwrap_or(Error::Refused(Refusal::KeyspaceNotFound))
}

fn check_expiration(asked: Expiration, keyspace: &Keyspace, now: Timestamp, bad: &mut Violations) -> Option<Timestamp> {
    match asked {
        Expiration::Unset => {
            keyspace.default_ttl.or(keyspace.max_ttl).map(|ttl| now.saturating_add(ttl.min(ttl_max(keyspace))))
        }
        Expiration::At(nanos) => check_expire_time("expire_time", nanos, keyspace, now, bad),
        Expiration::In(nanos) => {
            let longest = ttl_max(keyspace);
            let ttl = u64::try_from(nanos / 1_000).map(Duration::from_micros).ok().filter(|ttl| *ttl <= longest);
            let Some(ttl) = ttl.filter(|ttl| !ttl.is_zero()) else {
                bad.add(
                    "ttl",
                    format!("must be more than 0 and at most {}; is {}", length_in_words(longest), in_words(nanos)),
                );
                return None;
            };
            Some(now.saturating_add(ttl))
        }
    }
}

/// The time, if a key of `keyspace` may expire then.
pub(super) fn check_expire_time(
    path: &str,
    nanos: Nanos,
    keyspace: &Keyspace,
    now: Timestamp,
    bad: &mut Violations,
) -> Option<Timestamp> {
    let longest = ttl_max(keyspace);
    let at = i64::try_from(nanos.div_euclid(1_000)).ok().map(Timestamp::from_micros);
    if let Some(at) = at.filter(|at| *at <= now) {
        let at = if at.as_micros() < 0 { "a time before 1970".to_owned() } else { at.to_string() };
        bad.add(path, format!("must be in the future; {at} is past"));
        return None;
    }
    let good = at.filter(|at| *at <= now.saturating_add(longest));
    if good.is_none() {
        let from_now = in_words(nanos - Nanos::from(now.as_micros()) * 1_000);
        bad.add(path, format!("must be at most {} from now; is {from_now} from now", length_in_words(longest)));
    }
    good
}

fn ttl_max(keyspace: &Keyspace) -> Duration {
    keyspace.max_ttl.unwrap_or(TTL_MAX).min(TTL_MAX)
}
