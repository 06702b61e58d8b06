//! Making, showing, changing and deleting keyspaces.

use std::time::Duration;

use super::allowance::{self, RateLimitFields};
use super::page::{Cursor, PAGE_WEIGHT_MAX, check_size};
use super::update::{check_mask, expected_revision};
use super::{Error, Management, Nanos, Page, Principal, Violations};
use crate::clock::{Timestamp, in_words, length_in_words};
use crate::key::field;
use crate::key::id::KeyspaceUid;
use crate::key::keyspace::{
    DEFAULT, Keyspace, KeyspaceLimits, KeyspacePatch, ROOT_PREFIX, SUBJECT_TYPES_MAX, SYSTEM, TTL_MAX, is_keyspace_id,
};
use crate::key::permission::Reach;
use crate::key::token::{Prefix, PrefixError};
use crate::key::verifier::HashPolicy;
use crate::store::{HeldPage, Refusal};

/// The prefix of a keyspace that asks for none.
const PREFIX_DEFAULT: &str = "ak";
/// About how many bytes the largest keyspace holds in memory, mostly subject types.
const KEYSPACE_WEIGHT_MAX: usize = 4 * 1024;
/// The largest limit to calls, and to calls a second.
const CALLS_LIMIT_MAX: i64 = 1_000_000;
/// The largest limit to keys.
const KEYS_LIMIT_MAX: i64 = 1_000_000_000;
/// What can be changed about a keyspace.
const PATHS: [&str; 9] = [
    "display_name",
    "key_prefix",
    "allowed_subject_types",
    "default_ttl",
    "max_ttl",
    "allow_wildcard_scopes",
    "hash_policy",
    "default_rate_limit",
    "limits",
];
/// Fields of those that can be changed alone.
const PARTS: [&str; 8] = [
    "default_rate_limit.limit",
    "default_rate_limit.window",
    "default_rate_limit.burst",
    "default_rate_limit.name",
    "default_rate_limit.also",
    "limits.calls_max",
    "limits.calls_per_second",
    "limits.keys_max",
];

/// The fields of a keyspace that can be set, absent ones in their wire default.
#[derive(Clone, Debug)]
pub struct KeyspaceFields {
    /// What people call it.
    pub display_name: String,
    /// What its key strings start with; empty: `ak`.
    pub key_prefix: String,
    /// What may stand before the first `_` of a subject.
    pub allowed_subject_types: Vec<String>,
    /// How long a key lives if its creation does not say.
    pub default_ttl: Option<Nanos>,
    /// How long a key may live.
    pub max_ttl: Option<Nanos>,
    /// Whether scopes may end in `*`.
    pub allow_wildcard_scopes: bool,
    /// How secrets are kept; `None`: absent; an error: a number that is no policy.
    pub hash_policy: Result<Option<HashPolicy>, i32>,
    /// How often keys may be used that have no limits of their own; `None`: absent.
    pub default_rate_limit: Option<RateLimitFields>,
    /// How much it may take; `None`: absent.
    pub limits: Option<KeyspaceLimitFields>,
}

/// How much a keyspace may take, as the caller asked for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyspaceLimitFields {
    /// Most calls in flight.
    pub calls_max: Option<i32>,
    /// Most calls a second.
    pub calls_per_second: Option<i32>,
    /// Most keys.
    pub keys_max: Option<i64>,
}

/// A change of a keyspace, as the caller asked for it.
#[derive(Debug)]
pub struct UpdateKeyspace {
    /// Which keyspace.
    pub id: String,
    /// The etag it must have; empty: any.
    pub etag: String,
    /// What to change; `None`: what is set in `fields`.
    pub mask: Option<Vec<String>>,
    /// The new values.
    pub fields: KeyspaceFields,
}

impl Management {
    /// Makes a keyspace.
    pub async fn create_keyspace(
        &self,
        id: String,
        fields: &KeyspaceFields,
        by: Principal<'_>,
    ) -> Result<Keyspace, Error> {
        let mut bad = Violations::default();
        if !is_keyspace_id(&id) {
            bad.must("keyspace.id", &id, Err("match [a-z][a-z0-9-]{0,39}"));
        }
        let patch = check_fields(fields, &PATHS, &mut bad);
        check_ttls(patch.default_ttl.flatten(), patch.max_ttl.flatten(), &mut bad);
        bad.check()?;
        let now = self.clock.now();
        let blank = Keyspace {
            id,
            uid: KeyspaceUid::random(),
            display_name: String::new(),
            key_prefix: PREFIX_DEFAULT.parse().expect("a prefix"),
            allowed_subject_types: Vec::new(),
            default_ttl: None,
            max_ttl: None,
            allow_wildcard_scopes: false,
            hash_policy: HashPolicy::default(),
            default_rate_limits: Vec::new(),
            limits: KeyspaceLimits::default(),
            create_time: now,
            update_time: now,
            revision: 0,
        };
        let keyspace = Keyspace { revision: 1, ..blank.patched(&patch, now).unwrap_or(blank) };
        self.store.create_keyspace(&keyspace, &self.actor(by, now)).await??;
        Ok(keyspace)
    }

    /// The keyspace of this id.
    pub async fn get_keyspace(&self, id: &str, reach: &Reach) -> Result<Keyspace, Error> {
        if !is_keyspace_id(id) {
            let mut bad = Violations::default();
            bad.must("id", id, Err("match [a-z][a-z0-9-]{0,39}"));
            bad.check()?;
        }
        if reach.includes(id) { self.keyspace(id).await } else { Err(Error::Refused(Refusal::KeyspaceNotFound)) }
    }

    /// A page of keyspaces, by id.
    pub async fn list_keyspaces(
        &self,
        page_size: i32,
        page_token: &str,
        reach: &Reach,
    ) -> Result<Page<Keyspace>, Error> {
        let mut bad = Violations::default();
        let size = check_size(page_size, &mut bad);
        let after = self.page_tokens.read(&"keyspaces", page_token, &mut bad);
        bad.check()?;
        let after = after.map(|cursor| cursor.id).unwrap_or_default();
        let size = size.min(PAGE_WEIGHT_MAX / KEYSPACE_WEIGHT_MAX);
        // One more than fits tells whether there is a next page.
        let HeldPage { page: mut keyspaces, place } = self.store.list_keyspaces(reach, &after, size + 1).await?;
        let is_more = keyspaces.len() > size;
        keyspaces.truncate(size);
        let mut next_page_token = String::new();
        if is_more && let Some(last) = keyspaces.last() {
            let cursor = Cursor { at: Timestamp::from_micros(0), id: last.id.clone() };
            next_page_token = self.page_tokens.write(&"keyspaces", &cursor);
        }
        Ok(Page { items: keyspaces, next_page_token, total: 0, total_is_lower_bound: false, place })
    }

    /// Changes a keyspace. Changing nothing succeeds. `system` cannot be changed.
    pub async fn update_keyspace(
        &self,
        asked: UpdateKeyspace,
        reach: &Reach,
        by: Principal<'_>,
    ) -> Result<Keyspace, Error> {
        let mut bad = Violations::default();
        let paths = check_mask(asked.mask.as_deref(), &PATHS, &PARTS, |path| asked.fields.is_set(path), &mut bad);
        let present = self.get_keyspace(&asked.id, reach).await?;
        if present.id == SYSTEM {
            return Err(Error::KeyspaceReserved(SYSTEM));
        }
        let mut patch = check_fields(&asked.fields, &paths, &mut bad);
        check_parts(&asked.fields, &paths, &present, &mut patch, &mut bad);
        // Where only one of them is given, the store knows what the other is by then.
        if let (Some(default_ttl), Some(max_ttl)) = (patch.default_ttl, patch.max_ttl) {
            check_ttls(default_ttl, max_ttl, &mut bad);
        }
        bad.check()?;
        let revision = expected_revision(&asked.etag)?;
        let actor = self.actor(by, self.clock.now());
        let updated = self.store.update_keyspace(&asked.id, &patch, revision, &actor).await?;
        let updated = self.confirmed(updated.map_err(Error::Refused)).await;
        if let Err(Error::Refused(Refusal::DefaultTtlTooLong { default_ttl, max_ttl })) = updated {
            check_ttls(Some(default_ttl), Some(max_ttl), &mut bad);
            bad.check()?;
        }
        updated
    }

    /// Deletes a keyspace that has no keys, and ends the permissions of root keys that name it. `default` and `system` cannot be deleted.
    pub async fn delete_keyspace(&self, id: &str, reach: &Reach, by: Principal<'_>) -> Result<(), Error> {
        self.get_keyspace(id, reach).await?;
        for reserved in [DEFAULT, SYSTEM] {
            if id == reserved {
                return Err(Error::KeyspaceReserved(reserved));
            }
        }
        let deleted = self.store.delete_keyspace(id, &self.actor(by, self.clock.now())).await?;
        // It ends permissions: those are to hold nowhere any more.
        self.confirmed(deleted.map_err(Error::Refused)).await
    }
}

impl KeyspaceFields {
    fn is_set(&self, path: &str) -> bool {
        match path {
            "display_name" => !self.display_name.is_empty(),
            "key_prefix" => !self.key_prefix.is_empty(),
            "allowed_subject_types" => !self.allowed_subject_types.is_empty(),
            "default_ttl" => self.default_ttl.is_some(),
            "max_ttl" => self.max_ttl.is_some(),
            "allow_wildcard_scopes" => self.allow_wildcard_scopes,
            "hash_policy" => self.hash_policy != Ok(None),
            "limits.calls_max" => self.limits.is_some_and(|limits| limits.calls_max.is_some()),
            "limits.calls_per_second" => self.limits.is_some_and(|limits| limits.calls_per_second.is_some()),
            "limits.keys_max" => self.limits.is_some_and(|limits| limits.keys_max.is_some()),
            _ => match (path.strip_prefix("default_rate_limit."), &self.default_rate_limit) {
                (Some(part), Some(limit)) => limit.is_set(part),
                _ => false,
            },
        }
    }
}

fn check_fields(fields: &KeyspaceFields, paths: &[&str], bad: &mut Violations) -> KeyspacePatch {
    let mut patch = KeyspacePatch::default();
    for path in paths {
        match *path {
            "display_name" => {
                if !fields.display_name.is_empty() {
                    bad.must("keyspace.display_name", &fields.display_name, field::name(&fields.display_name));
                }
                patch.display_name = Some(fields.display_name.clone());
            }
            "key_prefix" => patch.key_prefix = check_prefix(&fields.key_prefix, bad),
            "allowed_subject_types" => {
                patch.allowed_subject_types = Some(check_subject_types(&fields.allowed_subject_types, bad));
            }
            "default_ttl" => patch.default_ttl = Some(check_ttl("keyspace.default_ttl", fields.default_ttl, bad)),
            "max_ttl" => patch.max_ttl = Some(check_ttl("keyspace.max_ttl", fields.max_ttl, bad)),
            "allow_wildcard_scopes" => patch.allow_wildcard_scopes = Some(fields.allow_wildcard_scopes),
            "hash_policy" => match fields.hash_policy {
                Ok(policy) => patch.hash_policy = Some(policy.unwrap_or_default()),
                Err(number) => {
                    bad.add("keyspace.hash_policy", format!("must be a value of HashPolicy; is {number}"));
                }
            },
            "default_rate_limit" => {
                let asked = fields.default_rate_limit.as_ref();
                patch.default_rate_limits =
                    Some(allowance::check_rate_limit("keyspace.default_rate_limit", asked, bad));
            }
            "limits" => patch.limits = Some(check_limits(fields.limits.as_ref(), bad)),
            // Fields of these, which are changed together.
            _ => {}
        }
    }
    patch
}

/// The change of single fields of messages; their other fields stay as they are `present`.
fn check_parts(
    fields: &KeyspaceFields,
    paths: &[&str],
    present: &Keyspace,
    patch: &mut KeyspacePatch,
    bad: &mut Violations,
) {
    let (asked, there) = (fields.default_rate_limit.as_ref(), &present.default_rate_limits);
    if let Some(merged) = allowance::merged_rate_limit("default_rate_limit", paths, asked, there) {
        let checked = allowance::check_rate_limit("keyspace.default_rate_limit", Some(&merged), bad);
        patch.default_rate_limits = Some(checked);
    }
    if paths.iter().any(|path| path.starts_with("limits.")) {
        let checked = check_limits(fields.limits.as_ref(), bad);
        let mut limits = present.limits;
        for path in paths {
            match *path {
                "limits.calls_max" => limits.calls_max = checked.calls_max,
                "limits.calls_per_second" => limits.calls_per_second = checked.calls_per_second,
                "limits.keys_max" => limits.keys_max = checked.keys_max,
                _ => {}
            }
        }
        patch.limits = Some(limits);
    }
}

fn check_limits(fields: Option<&KeyspaceLimitFields>, bad: &mut Violations) -> KeyspaceLimits {
    let Some(fields) = fields else { return KeyspaceLimits::default() };
    let mut checked = |path: &str, value: Option<i64>, max: i64| {
        let good = value.filter(|value| (1..=max).contains(value));
        if let Some(value) = value.filter(|_| good.is_none()) {
            bad.add(format!("keyspace.limits.{path}"), format!("must be 1 to {max}; is {value}"));
        }
        good
    };
    let calls_max = checked("calls_max", fields.calls_max.map(i64::from), CALLS_LIMIT_MAX);
    let calls_per_second = checked("calls_per_second", fields.calls_per_second.map(i64::from), CALLS_LIMIT_MAX);
    let keys_max = checked("keys_max", fields.keys_max, KEYS_LIMIT_MAX);
    let calls = |calls: i64| u32::try_from(calls).ok();
    KeyspaceLimits {
        calls_max: calls_max.and_then(calls),
        calls_per_second: calls_per_second.and_then(calls),
        keys_max: keys_max.and_then(|keys| u64::try_from(keys).ok()),
    }
}

fn check_prefix(text: &str, bad: &mut Violations) -> Option<Prefix> {
    let asked = if text.is_empty() { PREFIX_DEFAULT } else { text };
    if asked == ROOT_PREFIX {
        bad.must("keyspace.key_prefix", asked, Err("not be `root`, which is kept for root keys"));
        return None;
    }
    let parsed = asked.parse();
    if parsed.is_err() {
        bad.add("keyspace.key_prefix", format!("{PrefixError}; is {asked:?}"));
    }
    parsed.ok()
}

fn check_subject_types(types: &[String], bad: &mut Violations) -> Vec<String> {
    if types.len() > SUBJECT_TYPES_MAX {
        let path = "keyspace.allowed_subject_types";
        bad.add(path, format!("must be at most {SUBJECT_TYPES_MAX}; are {}", types.len()));
        return Vec::new();
    }
    for (at, kind) in types.iter().enumerate() {
        let path = format!("keyspace.allowed_subject_types[{at}]");
        bad.must(&path, kind, field::reference(kind));
        if kind.contains('_') {
            bad.must(&path, kind, Err("not contain `_`, which ends a subject's type"));
        }
    }
    types.to_vec()
}

fn check_ttl(path: &str, nanos: Option<Nanos>, bad: &mut Violations) -> Option<Duration> {
    let nanos = nanos?;
    let ttl = u64::try_from(nanos / 1_000).map(Duration::from_micros).ok();
    let good = ttl.filter(|ttl| !ttl.is_zero() && *ttl <= TTL_MAX);
    if good.is_none() {
        bad.add(path, format!("must be more than 0 and at most {}; is {}", length_in_words(TTL_MAX), in_words(nanos)));
    }
    good
}

fn check_ttls(default_ttl: Option<Duration>, max_ttl: Option<Duration>, bad: &mut Violations) {
    if let (Some(default_ttl), Some(max_ttl)) = (default_ttl, max_ttl)
        && default_ttl > max_ttl
    {
        let (default, max) = (length_in_words(default_ttl), length_in_words(max_ttl));
        bad.add("keyspace.default_ttl", format!("must be at most max_ttl, {max}; is {default}"));
    }
}
