//! The verifier as it is measured: over a store that knows every key without keeping any. Whatever changes about how a
//! verifier is made changes here only.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use portcullis::clock::{SystemClock, Timestamp};
use portcullis::fleet::Lease;
use portcullis::grpc::verification::write_claims;
use portcullis::hashing::Hashing;
use portcullis::key::id::{KeyId, KeyspaceUid};
use portcullis::key::imported::Form;
use portcullis::key::keyspace::{Keyspace, KeyspacePatch};
use portcullis::key::permission::Reach;
use portcullis::key::record::{ApiKey, Json, NewSecret, Patch, Revocation, RevocationReason};
use portcullis::key::scope::Demand;
use portcullis::key::token::PublicPrefix;
use portcullis::key::verifier::{Verifier as Stored, sha256};
use portcullis::store::log::{Listener, News};
use portcullis::store::spending::{CreditsAsked, CreditsGranted, CreditsReturned, RateLevel, RateSpent};
use portcullis::store::usage::{Retention, UsageBatch, UsagePage, UsageQuery};
use portcullis::store::{
    Actor, EventPage, EventQuery, Found, HeldPage, Holder, Installation, KeyPage, KeyQuery, NewImport, NewKey, Outcome,
    Refusal, RootKeysWithoutMac, Store, StoreError,
};
use portcullis::verify::verdict::Verdict;
use portcullis::verify::{Ledger, Memory, Question, Verifier};
use tokio::runtime::Runtime;

use crate::keys::{self, Keys};

/// How long ago all keys were made: 2026-01-01.
const CREATED: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);
/// The rights of every key, and the one asked for.
const SCOPES: [&str; 3] = ["customers:read", "invoices:read", "orders:read"];

/// More than all keys take.
const MEMORY_SIZE_MAX: usize = 1 << 40;
/// How many keys are looked up at once while the memory fills.
const FILLED_AT_ONCE: usize = 1_024;

/// A verifier that knows every key.
pub struct Subject {
    verifier: Arc<Verifier>,
    runtime: Runtime,
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
        let runtime = Runtime::new().expect("threads");
        let entered = runtime.enter();
        let store = Arc::new(Numbered(keys));
        let (hashing, clock) = (Arc::new(Hashing::default()), Arc::new(SystemClock));
        let ledger = Arc::new(Ledger::new(store.clone(), clock.clone(), Arc::default(), false));
        let memory = Arc::new(Memory::new(MEMORY_SIZE_MAX));
        let lease = Arc::new(Lease::endless(clock.clone()));
        let verifier = Arc::new(Verifier::new(store, memory, lease, hashing, clock, ledger, write_claims));
        drop(entered);
        Self { verifier, runtime }
    }

    /// Looks all of these up, so that they are known from then on.
    pub fn know(&self, keys: impl Iterator<Item = String>) {
        let mut keys = keys.peekable();
        while keys.peek().is_some() {
            let some: Vec<_> = keys.by_ref().take(FILLED_AT_ONCE).collect();
            let verifier = self.verifier.clone();
            self.runtime.block_on(async move {
                let all = some.iter().map(|key| async { verifier.verify(&question(key), &Reach::AllButSystem).await });
                for verdict in futures_util::future::join_all(all).await {
                    verdict.expect("the store does not fail");
                }
            });
        }
    }

    /// What the hot path does for one key.
    pub fn verify(&self, key: &str) -> Answer {
        let verdict = self.verifier.verify_known(&question(key), &Reach::AllButSystem);
        match verdict.expect("every key is known") {
            Verdict::Valid(..) => Answer::Valid,
            Verdict::Malformed => Answer::Malformed,
            Verdict::NotFound => Answer::NotFound,
            Verdict::Revoked(_) => Answer::Revoked,
            other => panic!("{other:?}"),
        }
    }
}

fn question(key: &str) -> Question<'_> {
    Question { demand: Demand { all_of: &SCOPES[2..], any_of: &[] }, ..Question::about(key) }
}

/// A store of numbered keys. A verification only ever looks for secrets.
struct Numbered(Keys);

#[async_trait]
impl Store for Numbered {
    async fn find_secret(&self, public_prefix: &str) -> Result<Vec<Found>, StoreError> {
        let Some((number, revoked)) = self.0.find(public_prefix) else { return Ok(vec![]) };
        let id = KeyId::from_text(format!("key_{number:026}"));
        let first = PublicPrefix::from_stored(public_prefix.to_owned());
        let subject = format!("user_{number}");
        let mut key = ApiKey::issued(id, "default", "a key", &subject, first, CREATED);
        key.scopes = SCOPES.map(str::to_owned).to_vec();
        let revocation = Revocation { at: CREATED, reason: RevocationReason::Superseded, comment: String::new() };
        key.revocation = revoked.then_some(revocation);
        let verifier = Stored::Sha256(sha256(&keys::secret(number)));
        Ok(vec![Found {
            verifier,
            secret_expire_time: None,
            key,
            wildcards: false,
            default_rate_limits: vec![],
            rates: vec![],
            keyspace_revision: 1,
            keyspace_uid: KeyspaceUid::from_stored(1),
        }])
    }

    fn listen(&self, _: Arc<dyn Listener>) -> News {
        News::Told
    }

    async fn import_keys(
        &self,
        _: &str,
        _: Option<KeyspaceUid>,
        _: &[NewImport],
        _: &Actor,
    ) -> Outcome<Vec<Result<ApiKey, Refusal>>> {
        unreachable!()
    }

    async fn holders(&self, _: &str, _: &[PublicPrefix]) -> Result<Vec<Holder>, StoreError> {
        unreachable!()
    }

    async fn import_forms(&self) -> Result<Vec<(String, Form)>, StoreError> {
        unreachable!()
    }

    async fn installation(&self) -> Result<Installation, StoreError> {
        unreachable!()
    }

    async fn root_keys_without_mac(&self, _: Timestamp, _: usize) -> Result<RootKeysWithoutMac, StoreError> {
        unreachable!()
    }

    async fn bootstrap(&self, _: &NewKey, _: &Actor) -> Result<bool, StoreError> {
        unreachable!()
    }

    async fn keyspace_size(&self, _: &str) -> Result<u64, StoreError> {
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

    async fn list_keyspaces(&self, _: &Reach, _: &str, _: usize) -> Result<HeldPage<Vec<Keyspace>>, StoreError> {
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

    async fn list_keys(&self, _: &KeyQuery) -> Result<HeldPage<KeyPage>, StoreError> {
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

    async fn record_usage(&self, _: &UsageBatch) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn query_usage(&self, _: &UsageQuery) -> Result<HeldPage<UsagePage>, StoreError> {
        unreachable!()
    }

    async fn fold_usage(&self, _: Option<&KeyId>, _: Retention, _: Timestamp) -> Result<Option<KeyId>, StoreError> {
        unreachable!()
    }

    async fn take_credits(&self, _: &[CreditsAsked], _: Timestamp) -> Result<Vec<CreditsGranted>, StoreError> {
        unreachable!()
    }

    async fn return_credits(&self, _: &[CreditsReturned]) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn settle_rates(&self, _: &[RateSpent], _: Timestamp) -> Result<Vec<RateLevel>, StoreError> {
        unreachable!()
    }

    async fn record_denial(&self, _: &KeyId, _: &Json, _: &Actor) -> Result<(), StoreError> {
        unreachable!()
    }

    async fn prune_events(&self, _: Timestamp) -> Result<u64, StoreError> {
        unreachable!()
    }

    async fn list_events(&self, _: &EventQuery) -> Result<HeldPage<EventPage>, StoreError> {
        unreachable!()
    }
}
