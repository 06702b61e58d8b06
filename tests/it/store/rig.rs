//! An open store with what a test needs to work it: sample keys, actors, times, and calls that must succeed.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use portcullis::clock::Timestamp;
use portcullis::key::id::{IdSource, KeyId, KeyspaceUid};
use portcullis::key::keyspace::{self, Keyspace, KeyspaceLimits};
use portcullis::key::network::Network;
use portcullis::key::permission::Reach;
use portcullis::key::rate_limit::RateLimit;
use portcullis::key::record::{ApiKey, Json, NewSecret, Patch, Revocation, RevocationReason, SecretInfo};
use portcullis::key::token::{self, PublicPrefix, Token};
use portcullis::key::usage::{Counted, Counts, Hour};
use portcullis::key::verifier::{HashPolicy, Verifier, sha256};
use portcullis::store::usage::{KeyUsage, UsageBatch};
use portcullis::store::{
    Actor, Event, EventQuery, Found, KeyPage, KeyQuery, NewKey, Outcome, Overrides, Refusal, Store,
};
use serde_json::json;

use crate::support::backend::{Backend, Fixture};

static IDS: LazyLock<IdSource> = LazyLock::new(IdSource::default);

pub struct Rig {
    pub store: Arc<dyn Store>,
    pub fixture: Fixture,
}

impl Rig {
    pub async fn new(backend: Backend) -> Self {
        let fixture = Fixture::new(backend).await;
        Self { store: fixture.open().await, fixture }
    }

    /// Closes the store and opens it again, as a restart does.
    pub async fn reopen(&mut self) {
        self.store.close().await;
        self.store = self.fixture.open().await;
    }

    /// The store as `count` callers have it who know nothing of each other: on PostgreSQL each has connections of its
    /// own, as replicas do; a SQLite file has one process only.
    pub async fn callers(&self, count: usize) -> Vec<Arc<dyn Store>> {
        let mut callers = Vec::with_capacity(count);
        for _ in 0..count {
            callers.push(match self.fixture.backend {
                Backend::Sqlite => self.store.clone(),
                Backend::Postgres => self.fixture.open().await,
            });
        }
        callers
    }

    /// Stores a sample key, `edit`ed; the key as it should be from now on.
    pub async fn create(&self, edit: impl FnOnce(&mut ApiKey)) -> ApiKey {
        let new = new_key(edit);
        self.create_new(&new).await
    }

    /// Stores `new`; the key as it should be from now on.
    pub async fn create_new(&self, new: &NewKey) -> ApiKey {
        done(self.store.create_key(new, &by(new.key.create_time)).await);
        new.key.clone()
    }

    pub async fn get(&self, id: &KeyId) -> ApiKey {
        self.store.key(id).await.expect("an answer").expect("the key")
    }

    pub async fn find(&self, public_prefix: &PublicPrefix) -> Option<Found> {
        self.store.find_secret(public_prefix.as_str()).await.expect("an answer").pop()
    }

    /// What is found of a secret in a keyspace without rules, before anything is spent.
    pub async fn found_as(&self, verifier: Verifier, key: ApiKey) -> Found {
        let keyspace_uid = self.uid(&key.keyspace).await;
        Found {
            verifier,
            secret_expire_time: None,
            key,
            wildcards: false,
            default_rate_limits: vec![],
            rates: vec![],
            keyspace_revision: 1,
            keyspace_uid,
        }
    }

    pub async fn update(&self, id: &KeyId, patch: Patch) -> ApiKey {
        done(self.store.update_key(id, &patch, None, &by(at(1))).await)
    }

    pub async fn revoke(&self, id: &KeyId) -> ApiKey {
        done(self.store.revoke_key(id, &revocation(at(2)), &by(at(2))).await)
    }

    /// Notes uses of keys, each found valid at its time.
    pub async fn record_uses(&self, uses: &[(KeyId, Timestamp)]) {
        self.store.record_usage(&used(uses)).await.expect("noted");
    }

    /// The keys of `default` that match the `edit`ed query.
    pub async fn page(&self, edit: impl FnOnce(&mut KeyQuery)) -> KeyPage {
        let mut query = every_key();
        edit(&mut query);
        self.store.list_keys(&query).await.expect("an answer").page
    }

    /// The names of the keys of `default` that match the `edit`ed query. `total` must agree.
    pub async fn names(&self, edit: impl FnOnce(&mut KeyQuery)) -> Vec<String> {
        let page = self.page(edit).await;
        assert_eq!(page.total, page.keys.len() as u64, "total");
        page.keys.into_iter().map(|key| key.name).collect()
    }

    /// The events that match the `edit`ed query, newest first.
    pub async fn events(&self, edit: impl FnOnce(&mut EventQuery)) -> Vec<Event> {
        let mut query = every_event();
        edit(&mut query);
        self.store.list_events(&query).await.expect("an answer").page.events
    }

    pub async fn events_of(&self, id: &KeyId) -> Vec<Event> {
        self.events(|query| query.key_id = Some(id.clone())).await
    }

    pub async fn create_keyspace(&self, edit: impl FnOnce(&mut Keyspace)) -> Keyspace {
        let mut keyspace = new_keyspace("acme");
        edit(&mut keyspace);
        done(self.store.create_keyspace(&keyspace, &by(keyspace.create_time)).await);
        keyspace
    }

    /// Which keyspace has this id now.
    pub async fn uid(&self, id: &str) -> KeyspaceUid {
        self.keyspace(id).await.expect("the keyspace").uid
    }

    pub async fn keyspace(&self, id: &str) -> Option<Keyspace> {
        self.store.keyspace(id).await.expect("an answer")
    }
}

/// What a change came to that must be made.
#[track_caller]
pub fn done<T>(outcome: Outcome<T>) -> T {
    outcome.expect("an answer").expect("not refused")
}

/// Why a change was refused that must be.
#[track_caller]
pub fn refused<T: Debug>(outcome: Outcome<T>) -> Refusal {
    outcome.expect("an answer").expect_err("a refusal")
}

/// Both at once; the second sets out first in every other round.
pub async fn race<A, B>(round: usize, first: impl Future<Output = A>, second: impl Future<Output = B>) -> (A, B) {
    if round.is_multiple_of(2) {
        return tokio::join!(first, second);
    }
    let (second, first) = tokio::join!(second, first);
    (first, second)
}

/// The point `seconds` into the test.
pub const fn at(seconds: i64) -> Timestamp {
    // Not a whole second: what is kept must be kept to the microsecond.
    Timestamp::from_micros(1_793_000_000_123_457 + seconds * 1_000_000)
}

/// Somebody who changes something at `at`.
pub fn by(at: Timestamp) -> Actor {
    Actor {
        event_id: IDS.event(at),
        at,
        name: "key_root".into(),
        peer: "192.0.2.1:4711".into(),
        within: Reach::Everywhere,
        overrides: Overrides { end_overlap: true, end_last_admin: true },
    }
}

pub fn new_id() -> KeyId {
    IDS.key(at(0))
}

pub fn new_secret() -> NewSecret {
    let (public_prefix, secret) = token::generate(&"ak".parse().expect("a prefix")).expect("random bytes");
    let token = Token::parse(secret.expose()).expect("a key");
    NewSecret { public_prefix, verifier: Verifier::Sha256(sha256(token.secret)), has_mac: false }
}

/// A key of `default` at `at(0)`, `edit`ed.
pub fn new_key(edit: impl FnOnce(&mut ApiKey)) -> NewKey {
    let secret = new_secret();
    let mut key = ApiKey {
        id: new_id(),
        keyspace: keyspace::DEFAULT.into(),
        name: "a key".into(),
        description: "for the tests".into(),
        subject: "user_1".into(),
        scopes: vec!["orders:read".into(), "invoices:read".into()],
        claims: claims(json!({ "plan": "pro" })),
        metadata: labels(&[("team", "core")]),
        enabled: true,
        created_by: "user_admin".into(),
        create_time: at(0),
        update_time: at(0),
        expire_time: None,
        revocation: None,
        last_use_time: None,
        rate_limits: vec![],
        credits: None,
        allowed_cidrs: vec![],
        secrets: vec![],
        revision: 1,
    };
    edit(&mut key);
    key.update_time = key.create_time;
    key.secrets = vec![SecretInfo {
        public_prefix: secret.public_prefix.clone(),
        create_time: key.create_time,
        expire_time: None,
    }];
    NewKey { key, secret, request_id: None, keyspace_uid: None }
}

pub fn networks(texts: &[&str]) -> Vec<Network> {
    texts.iter().map(|text| text.parse().expect("a network")).collect()
}

/// A limit of so many in each window.
pub fn limit(name: &str, limit: u32, window_seconds: u64) -> RateLimit {
    RateLimit { name: name.into(), limit, window: Duration::from_secs(window_seconds), burst: limit }
}

/// What a process of its own tells of these uses.
pub fn used(uses: &[(KeyId, Timestamp)]) -> UsageBatch {
    let mut keys = BTreeMap::new();
    for (id, at) in uses {
        let (counts, last) = keys.entry((id, Hour::of(*at))).or_insert((Counts::default(), *at));
        counts.add(Counted::Valid, 1);
        *last = at.max(last).to_owned();
    }
    let keys = keys.into_iter().map(|((id, hour), (counts, last))| KeyUsage {
        id: id.clone(),
        hour,
        counts,
        last_use: Some(last),
    });
    UsageBatch { writer: IDS.event(at(0)), seq: 1, at: at(0), keys: keys.collect(), keyspaces: vec![] }
}

pub fn new_keyspace(id: &str) -> Keyspace {
    Keyspace {
        id: id.into(),
        uid: KeyspaceUid::random(),
        display_name: "Acme".into(),
        key_prefix: "acme".parse().expect("a prefix"),
        allowed_subject_types: vec![],
        default_ttl: None,
        max_ttl: None,
        allow_wildcard_scopes: false,
        hash_policy: HashPolicy::Sha256,
        default_rate_limits: vec![],
        limits: KeyspaceLimits::default(),
        create_time: at(0),
        update_time: at(0),
        revision: 1,
    }
}

pub fn claims(value: serde_json::Value) -> Json {
    portcullis::key::record::object(value)
}

pub fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| (String::from(*key), String::from(*value))).collect()
}

pub fn revocation(at: Timestamp) -> Revocation {
    Revocation { at, reason: RevocationReason::KeyCompromise, comment: "found in a paste".into() }
}

pub fn renamed(name: &str) -> Patch {
    Patch { name: Some(name.into()), ..Patch::default() }
}

/// All keys of `default`.
pub fn every_key() -> KeyQuery {
    KeyQuery {
        keyspace: keyspace::DEFAULT.into(),
        subject: None,
        name_contains: None,
        active_at: None,
        metadata: BTreeMap::new(),
        created_by: None,
        unused_since: None,
        after: None,
        skip: 0,
        limit: 1_000,
        weight_max: usize::MAX,
        exact_total: false,
    }
}

pub fn every_event() -> EventQuery {
    EventQuery {
        within: Reach::Everywhere,
        keyspace: None,
        key_id: None,
        actor: None,
        action: None,
        from: None,
        until: None,
        after: None,
        limit: 1_000,
        weight_max: usize::MAX,
    }
}
