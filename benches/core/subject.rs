//! The verifier as it is measured: over a store that knows every key without keeping any. Whatever changes about how a
//! verifier is made changes here only.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use portcullis::clock::{SystemClock, Timestamp};
use portcullis::hashing::Hashing;
use portcullis::key::id::KeyId;
use portcullis::key::keyspace::{Keyspace, KeyspacePatch};
use portcullis::key::permission::Reach;
use portcullis::key::record::{ApiKey, NewSecret, Patch, Revocation, RevocationReason};
use portcullis::key::scope::Demand;
use portcullis::key::token::PublicPrefix;
use portcullis::key::verifier::{Verifier as Stored, sha256};
use portcullis::store::{
    Actor, Event, EventQuery, Found, Installation, KeyPage, KeyQuery, NewKey, Outcome, Store, StoreError,
};
use portcullis::verify::verdict::Verdict;
use portcullis::verify::{Uses, Verifier};

use crate::keys::{self, Keys};

/// How long ago all keys were made: 2026-01-01.
const CREATED: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);
/// The rights of every key, and the one asked for.
const SCOPES: [&str; 3] = ["customers:read", "invoices:read", "orders:read"];

/// A verifier.
pub struct Subject {
    verifier: Verifier,
    asked: Vec<String>,
}

/// How a verification ended, for the cases measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Valid,
    Malformed,
    NotFound,
    Revoked,
}

impl Subject {
    pub fn new(keys: Keys) -> Self {
        let store = Arc::new(Numbered(keys));
        let (hashing, clock, uses) = (Arc::new(Hashing::default()), Arc::new(SystemClock), Arc::new(Uses::default()));
        let asked = vec![SCOPES[2].to_owned()];
        Self { verifier: Verifier::new(store, hashing, clock, uses), asked }
    }

    /// What the hot path does for one key.
    pub fn verify(&self, key: &str) -> Answer {
        let demand = Demand { all_of: &self.asked, any_of: &[] };
        let verdict = pin!(self.verifier.verify(key, demand, &Reach::AllButSystem));
        // Nothing here ever waits, so that no executor is measured.
        let Poll::Ready(verdict) = verdict.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("a verification waits, although the store answers at once")
        };
        match verdict.expect("the store does not fail") {
            Verdict::Valid(_) => Answer::Valid,
            Verdict::Malformed => Answer::Malformed,
            Verdict::NotFound => Answer::NotFound,
            Verdict::Revoked(_) => Answer::Revoked,
            other => panic!("{other:?}"),
        }
    }
}

/// A store of numbered keys. A verification only ever looks for secrets.
struct Numbered(Keys);

#[async_trait]
impl Store for Numbered {
    async fn find_secret(&self, public_prefix: &str) -> Result<Option<Found>, StoreError> {
        let Some((number, revoked)) = self.0.find(public_prefix) else { return Ok(None) };
        let id = KeyId::from_text(format!("key_{number:026}"));
        let first = PublicPrefix::from_stored(public_prefix.to_owned());
        let subject = format!("user_{number}");
        let mut key = ApiKey::issued(id, "default", "a key", &subject, first, CREATED);
        key.scopes = SCOPES.map(str::to_owned).to_vec();
        let revocation = Revocation { at: CREATED, reason: RevocationReason::Superseded, comment: String::new() };
        key.revocation = revoked.then_some(revocation);
        let verifier = Stored::Sha256(sha256(&keys::secret(number)));
        Ok(Some(Found { verifier, secret_expire_time: None, key, wildcards: false }))
    }

    async fn installation(&self) -> Result<Installation, StoreError> {
        unreachable!()
    }

    async fn bootstrap(&self, _: &NewKey, _: &Actor) -> Result<bool, StoreError> {
        unreachable!()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn close(&self) {
        unreachable!()
    }

    async fn create_keyspace(&self, _: &Keyspace, _: &Actor) -> Outcome<()> {
        unreachable!()
    }

    async fn keyspace(&self, _: &str) -> Result<Option<Keyspace>, StoreError> {
        unreachable!()
    }

    async fn list_keyspaces(&self, _: &Reach, _: &str, _: usize) -> Result<Vec<Keyspace>, StoreError> {
        unreachable!()
    }

    async fn update_keyspace(&self, _: &str, _: &KeyspacePatch, _: Option<i64>, _: &Actor) -> Outcome<Keyspace> {
        unreachable!()
    }

    async fn delete_keyspace(&self, _: &str, _: &Actor) -> Outcome<()> {
        unreachable!()
    }

    async fn create_key(&self, _: &NewKey, _: &Actor) -> Outcome<()> {
        unreachable!()
    }

    async fn key(&self, _: &KeyId) -> Result<Option<ApiKey>, StoreError> {
        unreachable!()
    }

    async fn list_keys(&self, _: &KeyQuery) -> Result<KeyPage, StoreError> {
        unreachable!()
    }

    async fn update_key(&self, _: &KeyId, _: &Patch, _: Option<i64>, _: &Actor) -> Outcome<ApiKey> {
        unreachable!()
    }

    async fn rotate_key(&self, _: &KeyId, _: &NewSecret, _: Duration, _: &Actor) -> Outcome<ApiKey> {
        unreachable!()
    }

    async fn revoke_key(&self, _: &KeyId, _: &Revocation, _: &Actor) -> Outcome<ApiKey> {
        unreachable!()
    }

    async fn delete_key(&self, _: &KeyId, _: &Actor) -> Outcome<()> {
        unreachable!()
    }

    async fn record_uses(&self, _: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn list_events(&self, _: &EventQuery) -> Result<Vec<Event>, StoreError> {
        unreachable!()
    }
}
