//! The key as it is kept, and how it changes. Every change is a pure function here; the stores only carry it out.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::credits::{self, Credits, CreditsPatch, NotAdded};
use super::id::KeyId;
use super::keyspace::SYSTEM;
use super::network::Network;
use super::permission::Permission;
use super::rate_limit::RateLimit;
use super::token::PublicPrefix;
use super::verifier::Verifier;
use crate::clock::Timestamp;

/// Most live secrets of one key: the newest, and the one it replaces.
pub const SECRETS_MAX: usize = 2;
/// Longest overlap of a rotation.
pub const OVERLAP_MAX: Duration = Duration::from_hours(30 * 24);

/// A JSON object.
pub type Json = Map<String, Value>;

/// A key, without what its secrets are checked against.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKey {
    /// Its id, for good.
    pub id: KeyId,
    /// The id of its keyspace, for good.
    pub keyspace: String,
    /// What people call it.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Whom it acts for.
    pub subject: String,
    /// Its rights, without duplicates.
    pub scopes: Vec<String>,
    /// JSON that travels with verdicts.
    pub claims: Json,
    /// Labels.
    pub metadata: BTreeMap<String, String>,
    /// False while switched off.
    pub enabled: bool,
    /// Who asked for it; may be empty.
    pub created_by: String,
    /// When it was made.
    pub create_time: Timestamp,
    /// When it was last changed.
    pub update_time: Timestamp,
    /// From when on it is not valid.
    pub expire_time: Option<Timestamp>,
    /// That it was revoked, when and why.
    pub revocation: Option<Revocation>,
    /// When it was last found valid.
    pub last_use_time: Option<Timestamp>,
    /// How often it may be used; empty: as its keyspace says.
    pub rate_limits: Vec<RateLimit>,
    /// How much it may be used; `None`: as much as it likes.
    pub credits: Option<Credits>,
    /// From where it may be used; empty: from anywhere.
    pub allowed_cidrs: Vec<Network>,
    /// Its secrets, newest first. May hold one that has expired: see [`ApiKey::live_secrets`].
    pub secrets: Vec<SecretInfo>,
    /// Counts its changes; the etag.
    pub revision: i64,
}

/// What is known about one secret of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretInfo {
    /// What finds it.
    pub public_prefix: PublicPrefix,
    /// When it was made.
    pub create_time: Timestamp,
    /// When it stops working because another replaced it.
    pub expire_time: Option<Timestamp>,
}

/// A secret to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSecret {
    /// What finds it.
    pub public_prefix: PublicPrefix,
    /// What it is checked against.
    pub verifier: Verifier,
    /// Whether it is of a root token that carries a MAC: see [`crate::key::root_token`].
    pub has_mac: bool,
}

/// That a key was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
    /// More about why; may be empty.
    pub comment: String,
}

/// Why a key was revoked. The numbers are those of the wire and the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(i16)]
pub enum RevocationReason {
    /// No reason was given.
    #[default]
    Unspecified = 0,
    /// Somebody else has, or may have, the secret.
    KeyCompromise = 1,
    /// Another key took its place.
    Superseded = 2,
    /// The owner left, or now belongs elsewhere.
    AffiliationChanged = 3,
    /// The owner may no longer do this.
    PrivilegeWithdrawn = 4,
    /// The owner has no more use for it.
    NoLongerNeeded = 5,
}

impl RevocationReason {
    /// Its name as the wire has it, without the prefix.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "UNSPECIFIED",
            Self::KeyCompromise => "KEY_COMPROMISE",
            Self::Superseded => "SUPERSEDED",
            Self::AffiliationChanged => "AFFILIATION_CHANGED",
            Self::PrivilegeWithdrawn => "PRIVILEGE_WITHDRAWN",
            Self::NoLongerNeeded => "NO_LONGER_NEEDED",
        }
    }

    /// The reason of this number.
    pub fn from_number(number: i32) -> Option<Self> {
        use RevocationReason as R;
        [
            R::Unspecified,
            R::KeyCompromise,
            R::Superseded,
            R::AffiliationChanged,
            R::PrivilegeWithdrawn,
            R::NoLongerNeeded,
        ]
        .into_iter()
        .find(|reason| *reason as i32 == number)
    }
}

/// What a key is at some instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It verifies.
    Active,
    /// Revoked, for good.
    Revoked,
    /// Its time is over.
    Expired,
    /// Switched off.
    Disabled,
}

/// What to change about a key; `None`: leave it as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Patch {
    /// The new name.
    pub name: Option<String>,
    /// The new description.
    pub description: Option<String>,
    /// The new scopes.
    pub scopes: Option<Vec<String>>,
    /// The new claims.
    pub claims: Option<Json>,
    /// The new labels, all of them.
    pub metadata: Option<BTreeMap<String, String>>,
    /// The new expiry, or none.
    pub expire_time: Option<Option<Timestamp>>,
    /// On or off.
    pub enabled: Option<bool>,
    /// The new limits, all of them.
    pub rate_limits: Option<Vec<RateLimit>>,
    /// What becomes of its credits.
    pub credits: Option<CreditsPatch>,
    /// How many credits to add to those that are left then.
    pub add_credits: Option<i64>,
    /// End a secret that goes on working after a rotation.
    pub end_overlap: bool,
    /// The new networks, all of them.
    pub allowed_cidrs: Option<Vec<Network>>,
}

/// Why a key cannot get a new secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRotated {
    /// It is revoked.
    Revoked,
    /// It has expired.
    Expired,
    /// A secret that was replaced earlier goes on working, and would end before the time that was promised.
    OverlapActive {
        /// The hint of that secret.
        hint: String,
        /// Until when it works.
        until: Timestamp,
    },
}

impl ApiKey {
    /// A key issued at `now` with nothing but what every key has.
    pub fn issued(id: KeyId, keyspace: &str, name: &str, subject: &str, first: PublicPrefix, now: Timestamp) -> Self {
        Self {
            id,
            keyspace: keyspace.to_owned(),
            name: name.to_owned(),
            description: String::new(),
            subject: subject.to_owned(),
            scopes: Vec::new(),
            claims: Json::new(),
            metadata: BTreeMap::new(),
            enabled: true,
            created_by: String::new(),
            create_time: now,
            update_time: now,
            expire_time: None,
            revocation: None,
            last_use_time: None,
            rate_limits: Vec::new(),
            credits: None,
            allowed_cidrs: Vec::new(),
            secrets: vec![SecretInfo { public_prefix: first, create_time: now, expire_time: None }],
            revision: 1,
        }
    }

    /// What the key is at `now`. Expiry is computed, never stored.
    pub fn state(&self, now: Timestamp) -> State {
        if self.revocation.is_some() {
            State::Revoked
        } else if self.expire_time.is_some_and(|at| at <= now) {
            State::Expired
        } else if !self.enabled {
            State::Disabled
        } else {
            State::Active
        }
    }

    /// Until when this is a root key that may do everything: for ever if it never expires; `None` if it is none at `now`.
    pub fn admin_until(&self, now: Timestamp) -> Option<Timestamp> {
        let is_admin = self.keyspace == SYSTEM
            && self.state(now) == State::Active
            && self.scopes.iter().any(|scope| scope == Permission::Admin.name());
        is_admin.then(|| self.expire_time.unwrap_or(Timestamp::from_micros(i64::MAX)))
    }

    /// The secrets that work at `now` as far as they are concerned, newest first; none once the key is revoked.
    pub fn live_secrets(&self, now: Timestamp) -> impl Iterator<Item = &SecretInfo> {
        let revoked = self.revocation.is_some();
        self.secrets.iter().filter(move |secret| !revoked && secret.is_live(now))
    }

    /// Applies `patch`. What changed, as JSON for the audit trail; empty: nothing did, and nothing need be written.
    ///
    /// # Errors
    /// If credits cannot be added; nothing is changed then.
    pub fn update(&mut self, patch: &Patch, now: Timestamp) -> Result<Json, NotAdded> {
        let mut credits = match &patch.credits {
            Some(patch) => patch.applied(self.credits.as_ref(), now, self.revision + 1),
            None => self.credits.clone(),
        };
        if let Some(more) = patch.add_credits {
            credits = Some(credits::added(credits.as_ref(), more, now)?);
        }
        let mut changes = Json::new();
        set("name", &mut self.name, patch.name.as_ref(), &mut changes);
        set("description", &mut self.description, patch.description.as_ref(), &mut changes);
        set("scopes", &mut self.scopes, patch.scopes.as_ref(), &mut changes);
        set("claims", &mut self.claims, patch.claims.as_ref(), &mut changes);
        set("metadata", &mut self.metadata, patch.metadata.as_ref(), &mut changes);
        set("enabled", &mut self.enabled, patch.enabled.as_ref(), &mut changes);
        if let Some(expire_time) = patch.expire_time
            && expire_time != self.expire_time
        {
            self.expire_time = expire_time;
            changes.insert("expire_time".into(), json!(expire_time.map(|at| at.to_string())));
        }
        set("rate_limit", &mut self.rate_limits, patch.rate_limits.as_ref(), &mut changes);
        set("allowed_cidrs", &mut self.allowed_cidrs, patch.allowed_cidrs.as_ref(), &mut changes);
        if credits != self.credits {
            changes.insert("credits".into(), json!(credits.as_ref().map(audited_credits)));
            self.credits = credits;
        }
        if let Some(more) = patch.add_credits {
            changes.insert("credits_added".into(), json!(more));
        }
        if let Some(replaced) = self.overlapping(now).filter(|_| patch.end_overlap) {
            changes.insert("ended_secret_hint".into(), json!(replaced.public_prefix.hint()));
            self.secrets.truncate(1);
        }
        if !changes.is_empty() {
            self.touch(now);
        }
        Ok(changes)
    }

    /// The secret that goes on working after a rotation, if there is one at `now`.
    pub fn overlapping(&self, now: Timestamp) -> Option<&SecretInfo> {
        self.live_secrets(now).nth(1)
    }

    /// Puts `newest` first and lets the secret before it live on for `overlap`. Secrets older than that, and those
    /// that have expired, are dropped: at most [`SECRETS_MAX`] are left.
    ///
    /// # Errors
    /// If the key is revoked or has expired; and if an earlier overlap would be cut short, unless `ends_overlap`.
    pub fn rotate(
        &mut self,
        newest: PublicPrefix,
        overlap: Duration,
        ends_overlap: bool,
        now: Timestamp,
    ) -> Result<Json, NotRotated> {
        match self.state(now) {
            State::Revoked => return Err(NotRotated::Revoked),
            State::Expired => return Err(NotRotated::Expired),
            State::Active | State::Disabled => {}
        }
        if let Some(replaced) = self.overlapping(now).filter(|_| !ends_overlap) {
            let until = replaced.expire_time.unwrap_or(now);
            return Err(NotRotated::OverlapActive { hint: replaced.public_prefix.hint(), until });
        }
        let until = now.saturating_add(overlap);
        self.secrets.retain(|secret| secret.is_live(now));
        self.secrets.truncate(SECRETS_MAX - 1);
        for secret in &mut self.secrets {
            secret.expire_time = Some(until);
        }
        self.secrets.retain(|secret| secret.is_live(now));
        let changes = json!({ "secret_hint": newest.hint(), "previous_secret_expire_time": until.to_string() });
        self.secrets.insert(0, SecretInfo { public_prefix: newest, create_time: now, expire_time: None });
        self.touch(now);
        Ok(object(changes))
    }

    /// Revokes the key. What changed; empty if it was revoked before: then it stays as it was.
    pub fn revoke(&mut self, revocation: &Revocation) -> Json {
        if self.revocation.is_some() {
            return Json::new();
        }
        self.revocation = Some(revocation.clone());
        self.touch(revocation.at);
        object(json!({
            "revocation_reason": revocation.reason.name(),
            "revocation_comment": revocation.comment,
        }))
    }

    /// The key as the audit trail keeps it when it is created or deleted, at `now`. No secret is in it.
    pub fn audited(&self, now: Timestamp) -> Json {
        object(json!({
            "name": self.name,
            "subject": self.subject,
            "description": self.description,
            "scopes": self.scopes,
            "claims": self.claims,
            "metadata": self.metadata,
            "enabled": self.enabled,
            "created_by": self.created_by,
            "create_time": self.create_time.to_string(),
            "expire_time": self.expire_time.map(|at| at.to_string()),
            "revoke_time": self.revocation.as_ref().map(|r| r.at.to_string()),
            "revocation_reason": self.revocation.as_ref().map(|r| r.reason.name()),
            "revocation_comment": self.revocation.as_ref().map(|r| &r.comment),
            "rate_limit": self.rate_limits,
            "credits": self.credits.as_ref().map(|credits| audited_credits(&credits.at(now))),
            "allowed_cidrs": self.allowed_cidrs,
            "secret_hints": self.secrets.iter().map(|s| s.public_prefix.hint()).collect::<Vec<_>>(),
        }))
    }

    fn touch(&mut self, now: Timestamp) {
        self.update_time = now;
        self.revision += 1;
    }
}

impl SecretInfo {
    /// Whether the secret still works at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expire_time.is_none_or(|at| at > now)
    }
}

fn audited_credits(credits: &Credits) -> Value {
    json!({ "remaining": credits.remaining, "refill": credits.refill })
}

fn set<T: Clone + PartialEq + serde::Serialize>(name: &str, field: &mut T, to: Option<&T>, changes: &mut Json) {
    if let Some(value) = to.filter(|value| *value != field) {
        *field = value.clone();
        changes.insert(name.into(), json!(value));
    }
}

/// The object that `value` is.
///
/// # Panics
/// If it is not one: for literals only.
pub fn object(value: Value) -> Json {
    match value {
        Value::Object(map) => map,
        other => unreachable!("not an object: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

    fn key() -> ApiKey {
        let first = PublicPrefix::from_stored("ak_1".into());
        let key = ApiKey::issued(KeyId::from_text("key_1"), "default", "n", "user_1", first, NOW);
        ApiKey { scopes: vec!["a".into()], ..key }
    }

    fn prefixes(key: &ApiKey, now: Timestamp) -> Vec<&str> {
        key.live_secrets(now).map(|s| s.public_prefix.as_str()).collect()
    }

    #[test]
    fn revoked_beats_expired_beats_disabled() {
        let mut key = key();
        assert_eq!(key.state(NOW), State::Active);
        key.enabled = false;
        assert_eq!(key.state(NOW), State::Disabled);
        key.expire_time = Some(NOW);
        assert_eq!(key.state(NOW), State::Expired, "the expiry itself is not valid any more");
        key.revoke(&Revocation { at: NOW, reason: RevocationReason::Superseded, comment: String::new() });
        assert_eq!(key.state(NOW), State::Revoked);
    }

    #[test]
    fn rotation_leaves_two_live_secrets_at_most() {
        let hour = Duration::from_hours(1);
        let mut key = key();
        key.rotate(PublicPrefix::from_stored("ak_2".into()), hour, true, NOW).unwrap();
        assert_eq!(prefixes(&key, NOW), ["ak_2", "ak_1"]);
        assert_eq!(prefixes(&key, NOW.saturating_add(hour)), ["ak_2"]);
        key.rotate(PublicPrefix::from_stored("ak_3".into()), hour, true, NOW).unwrap();
        assert_eq!(prefixes(&key, NOW), ["ak_3", "ak_2"]);
        key.rotate(PublicPrefix::from_stored("ak_4".into()), Duration::ZERO, true, NOW).unwrap();
        assert_eq!(prefixes(&key, NOW), ["ak_4"]);
        assert_eq!(key.revision, 4);
    }

    #[test]
    fn an_overlap_is_not_cut_short_unasked() {
        let hour = Duration::from_hours(1);
        let next = |n: u8| PublicPrefix::from_stored(format!("ak_{n}"));
        let mut key = key();
        key.rotate(next(2), hour, false, NOW).unwrap();
        let rotated = key.clone();
        let until = NOW.saturating_add(hour);
        let active = NotRotated::OverlapActive { hint: next(1).hint(), until };
        for overlap in [hour, Duration::ZERO] {
            assert_eq!(key.rotate(next(3), overlap, false, NOW), Err(active.clone()));
        }
        assert_eq!(key, rotated);
        let patch = Patch { end_overlap: true, ..Patch::default() };
        let changes = key.update(&patch, NOW).unwrap();
        assert_eq!(Value::Object(changes), json!({ "ended_secret_hint": next(1).hint() }));
        assert_eq!(prefixes(&key, NOW), ["ak_2"]);
        assert_eq!(key.update(&patch, NOW), Ok(Json::new()), "there is none to end");
        key.rotate(next(3), hour, false, NOW).unwrap();
        key.rotate(next(4), hour, false, until).unwrap();
        assert_eq!(prefixes(&key, until), ["ak_4", "ak_3"], "one that is over is none");
    }

    #[test]
    fn an_ended_key_cannot_be_rotated() {
        let next = || PublicPrefix::from_stored("ak_2".into());
        let mut expired = ApiKey { expire_time: Some(NOW), ..key() };
        assert_eq!(expired.rotate(next(), Duration::ZERO, true, NOW), Err(NotRotated::Expired));
        let mut revoked = key();
        revoked.revoke(&Revocation { at: NOW, reason: RevocationReason::Unspecified, comment: String::new() });
        assert_eq!(revoked.rotate(next(), Duration::ZERO, true, NOW), Err(NotRotated::Revoked));
        assert_eq!(prefixes(&revoked, NOW), [""; 0]);
    }

    #[test]
    fn a_second_revocation_changes_nothing() {
        let mut key = key();
        let first = Revocation { at: NOW, reason: RevocationReason::KeyCompromise, comment: "leaked".into() };
        assert!(!key.revoke(&first).is_empty());
        let second = Revocation { at: NOW, reason: RevocationReason::Superseded, comment: String::new() };
        assert!(key.revoke(&second).is_empty());
        assert_eq!(key.revocation, Some(first));
    }

    #[test]
    fn an_update_to_the_same_changes_nothing() {
        let mut key = key();
        let same = Patch { name: Some("n".into()), enabled: Some(true), ..Patch::default() };
        assert_eq!(key.update(&same, NOW), Ok(Json::new()));
        assert_eq!(key.revision, 1);
        let changes = key.update(&Patch { scopes: Some(vec![]), ..same }, NOW).unwrap();
        assert_eq!(Value::Object(changes), json!({ "scopes": [] }));
        assert_eq!(key.revision, 2);
    }
}
