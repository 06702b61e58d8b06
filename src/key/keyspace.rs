//! Keyspaces: tenants or environments, and the rules that their keys are issued by.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::id::KeyspaceUid;
use super::rate_limit::RateLimit;
use super::record::{Json, object};
use super::token::Prefix;
use super::verifier::HashPolicy;
use crate::clock::Timestamp;

/// The keyspace of requests that name none.
pub const DEFAULT: &str = "default";
/// The keyspace of root keys.
pub const SYSTEM: &str = "system";
/// The prefix of root keys; no other keyspace may have it.
pub const ROOT_PREFIX: &str = "root";
/// Most subject types a keyspace allows.
pub const SUBJECT_TYPES_MAX: usize = 20;
/// The longest any key may live: 100 years of 365.25 days.
pub const TTL_MAX: Duration = Duration::from_hours(100 * 8_766);

/// How much a keyspace may take; what is absent is as the server's settings say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyspaceLimits {
    /// Most calls in flight that make or change its keys.
    pub calls_max: Option<u32>,
    /// Most such calls a second.
    pub calls_per_second: Option<u32>,
    /// Most keys in it.
    pub keys_max: Option<u64>,
}

/// A tenant or environment: keys of one are invisible to, and never valid in, another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyspace {
    /// `[a-z][a-z0-9-]{0,39}`. Free to be used again once the keyspace is deleted.
    pub id: String,
    /// Never used again.
    pub uid: KeyspaceUid,
    /// What people call it.
    pub display_name: String,
    /// What its key strings start with.
    pub key_prefix: Prefix,
    /// What may stand before the first `_` of a subject; empty: anything.
    pub allowed_subject_types: Vec<String>,
    /// How long a key lives if its creation does not say.
    pub default_ttl: Option<Duration>,
    /// How long a key may live at the most.
    pub max_ttl: Option<Duration>,
    /// Whether scopes may end in `*` and then cover others.
    pub allow_wildcard_scopes: bool,
    /// How secrets are kept.
    pub hash_policy: HashPolicy,
    /// How often each key may be used that has no limits of its own; empty: as often as it likes.
    pub default_rate_limits: Vec<RateLimit>,
    /// How much it may take.
    pub limits: KeyspaceLimits,
    /// When it was made.
    pub create_time: Timestamp,
    /// When it was last changed.
    pub update_time: Timestamp,
    /// Counts its changes.
    pub revision: i64,
}

/// What to change about a keyspace; `None`: leave it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyspacePatch {
    /// The new display name.
    pub display_name: Option<String>,
    /// The new prefix.
    pub key_prefix: Option<Prefix>,
    /// The new list of subject types.
    pub allowed_subject_types: Option<Vec<String>>,
    /// The new default, or none.
    pub default_ttl: Option<Option<Duration>>,
    /// The new maximum, or none.
    pub max_ttl: Option<Option<Duration>>,
    /// Whether scopes may end in `*`.
    pub allow_wildcard_scopes: Option<bool>,
    /// How secrets are kept from now on.
    pub hash_policy: Option<HashPolicy>,
    /// The new limits of keys that have none of their own.
    pub default_rate_limits: Option<Vec<RateLimit>>,
    /// How much it may take.
    pub limits: Option<KeyspaceLimits>,
}

impl Keyspace {
    /// The keyspace as `patch` would have it, were it made at `now`; `None` if that changes nothing.
    #[must_use]
    pub fn patched(&self, patch: &KeyspacePatch, now: Timestamp) -> Option<Self> {
        let mut next = self.clone();
        let KeyspacePatch { display_name, key_prefix, allowed_subject_types, default_ttl, .. } = patch.clone();
        set(&mut next.display_name, display_name);
        set(&mut next.key_prefix, key_prefix);
        set(&mut next.allowed_subject_types, allowed_subject_types);
        set(&mut next.default_ttl, default_ttl);
        set(&mut next.max_ttl, patch.max_ttl);
        set(&mut next.allow_wildcard_scopes, patch.allow_wildcard_scopes);
        set(&mut next.hash_policy, patch.hash_policy);
        set(&mut next.default_rate_limits, patch.default_rate_limits.clone());
        set(&mut next.limits, patch.limits);
        if next == *self {
            return None;
        }
        next.update_time = now;
        next.revision += 1;
        Some(next)
    }

    /// Whether keys would by default live longer than they may, and that because of what changed since `before`. One that
    /// was so before can still be changed otherwise.
    pub fn breaks_ttls(&self, before: &Self) -> bool {
        let ttls = (self.default_ttl, self.max_ttl);
        ttls != (before.default_ttl, before.max_ttl)
            && matches!(ttls, (Some(default_ttl), Some(max_ttl)) if default_ttl > max_ttl)
    }

    /// The keyspace as the audit trail keeps it when it is created or deleted.
    pub fn audited(&self) -> Json {
        object(json!({
            "display_name": self.display_name,
            "key_prefix": self.key_prefix.as_str(),
            "allowed_subject_types": self.allowed_subject_types,
            "default_ttl": self.default_ttl.map(in_words),
            "max_ttl": self.max_ttl.map(in_words),
            "allow_wildcard_scopes": self.allow_wildcard_scopes,
            "hash_policy": self.hash_policy.name(),
            "default_rate_limit": self.default_rate_limits,
            "limits": self.limits,
            "create_time": self.create_time.to_string(),
        }))
    }

    /// What is not as it was in `before`, for the audit trail.
    pub fn changes_since(&self, before: &Self) -> Json {
        let before = before.audited();
        self.audited().into_iter().filter(|(name, value)| before.get(name) != Some(value)).collect()
    }

    /// Whether a key of this keyspace may act for `subject`.
    pub fn allows_subject(&self, subject: &str) -> bool {
        let kind = subject.split_once('_').map(|(kind, _)| kind);
        self.allowed_subject_types.is_empty()
            || kind.is_some_and(|kind| self.allowed_subject_types.iter().any(|allowed| allowed == kind))
    }
}

/// A length of time as people would type it. Days are the longest unit: months and years are not all of a length.
pub fn in_words(length: Duration) -> String {
    let days = length.as_secs() / 86_400;
    let rest = Duration::new(length.as_secs() % 86_400, length.subsec_nanos());
    match (days, rest.is_zero()) {
        (0, _) => humantime::format_duration(rest).to_string(),
        (_, true) => format!("{days}d"),
        (_, false) => format!("{days}d {}", humantime::format_duration(rest)),
    }
}

fn set<T>(field: &mut T, to: Option<T>) {
    if let Some(value) = to {
        *field = value;
    }
}

/// Whether `text` can be the id of a keyspace.
pub fn is_keyspace_id(text: &str) -> bool {
    text.len() <= 40
        && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_in_words() {
        for words in ["0s", "90s", "12h", "1d", "365d", "36500d", "1d 30m", "400d 1h 1s"] {
            let length = humantime::parse_duration(words).unwrap();
            let expect = if words == "90s" { "1m 30s" } else { words };
            assert_eq!(in_words(length), expect);
        }
    }
}
