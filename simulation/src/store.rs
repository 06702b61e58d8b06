//! The store and the log of changes as a process has them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use portcullis::clock::Timestamp;
use portcullis::key::id::{KeyId, KeyspaceUid};
use portcullis::key::imported::Form;
use portcullis::key::keyspace::{Keyspace, KeyspacePatch};
use portcullis::key::permission::Reach;
use portcullis::key::record::{ApiKey, Json, NewSecret, Patch, Revocation};
use portcullis::key::root_token::RootTokenKey;
use portcullis::key::token::PublicPrefix;
use portcullis::store::log::{ChangeLog, Incarnation, Listener, News, Poll, Position, Roll};
use portcullis::store::spending::{CreditsAsked, CreditsGranted, CreditsReturned, RateLevel, RateSpent};
use portcullis::store::usage::{Retention, UsageBatch, UsagePage, UsageQuery};
use portcullis::store::{
    Actor, EventPage, EventQuery, Found, HeldPage, Holder, Installation, KeyPage, KeyQuery, NewImport, NewKey, Outcome,
    Refusal, RootKeysWithoutMac, Store, StoreError,
};

use crate::database::{Database, KeyChange};
use crate::wire::{Call, Kind, call};
use crate::world::{LEASE, World};

/// How many entries of the log are kept when it is cleared away.
const KEPT: usize = 64;

/// The store of one process.
pub struct SimulatedStore {
    world: Arc<World>,
    process: usize,
}

/// The log of one process.
struct SimulatedLog {
    store: SimulatedStore,
    /// Whose connection the last look used. The acknowledgement goes the same way, or not at all.
    looked: AtomicU64,
    /// To which life of the database hints are listened for.
    listens: AtomicU64,
}

impl SimulatedStore {
    /// That of this process.
    pub fn new(world: Arc<World>, process: usize) -> Self {
        Self { world, process }
    }

    async fn call<T: Send + 'static>(
        &self,
        kind: Kind,
        what: &'static str,
        which: usize,
        work: impl FnOnce(&mut Database) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let epoch = self.world.database().epoch;
        call(&self.world, Call { process: self.process, kind, epoch, what, which }, work).await
    }

    fn number(&self, name: &str) -> usize {
        self.world.history().number(name)
    }

    async fn change(&self, id: &KeyId, change: KeyChange, by: &Actor) -> Outcome<ApiKey> {
        let (which, id, by) = (self.number(id.as_str()), id.clone(), by.clone());
        self.call(Kind::Durable, "change", which, move |database| database.change_key(&id, &change, &by)).await
    }
}

#[async_trait]
impl Store for SimulatedStore {
    async fn installation(&self) -> Result<Installation, StoreError> {
        self.call(Kind::Hurried, "installation", 0, |_| Installation {
            page_token_key: [0; 32],
            root_token_key: RootTokenKey::from_bytes([0; 32]),
            bootstrapped: true,
        })
        .await
    }

    async fn keyspace_size(&self, _: &str) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn root_keys_without_mac(&self, _: Timestamp, _: usize) -> Result<RootKeysWithoutMac, StoreError> {
        unreachable!("nobody calls with a root key here")
    }

    fn listen(&self, _: Arc<dyn Listener>) -> News {
        let store = Self::new(self.world.clone(), self.process);
        News::Logged(Box::new(SimulatedLog { store, looked: AtomicU64::new(0), listens: AtomicU64::new(u64::MAX) }))
    }

    async fn keyspace(&self, id: &str) -> Result<Option<Keyspace>, StoreError> {
        let id = id.to_owned();
        self.call(Kind::Durable, "keyspace", 0, move |database| database.keyspace(&id)).await
    }

    async fn create_key(&self, key: &NewKey, _: &Actor) -> Outcome<()> {
        let key = key.clone();
        self.call(Kind::Durable, "create", 0, move |database| database.create_key(&key)).await
    }

    async fn import_forms(&self) -> Result<Vec<(String, Form)>, StoreError> {
        self.call(Kind::Hurried, "forms", 0, |_| Vec::new()).await
    }

    async fn key(&self, id: &KeyId) -> Result<Option<ApiKey>, StoreError> {
        let (which, id) = (self.number(id.as_str()), id.clone());
        self.call(Kind::Durable, "key", which, move |database| database.key(&id)).await
    }

    async fn update_key(&self, id: &KeyId, patch: &Patch, revision: Option<i64>, by: &Actor) -> Outcome<ApiKey> {
        self.change(id, KeyChange::Update(patch.clone(), revision), by).await
    }

    async fn rotate_key(&self, id: &KeyId, newest: &NewSecret, overlap: Duration, by: &Actor) -> Outcome<ApiKey> {
        self.change(id, KeyChange::Rotate(newest.clone(), overlap), by).await
    }

    async fn revoke_key(&self, id: &KeyId, revocation: &Revocation, by: &Actor) -> Outcome<ApiKey> {
        self.change(id, KeyChange::Revoke(revocation.clone()), by).await
    }

    async fn delete_key(&self, id: &KeyId, by: &Actor) -> Outcome<()> {
        Ok(self.change(id, KeyChange::Delete, by).await?.map(drop))
    }

    async fn find_secret(&self, public_prefix: &str) -> Result<Vec<Found>, StoreError> {
        let (which, lookup) = (self.number(public_prefix), public_prefix.to_owned());
        self.call(Kind::Hurried, "find", which, move |database| database.find_secret(&lookup).into_iter().collect())
            .await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        unreachable!("nobody asks")
    }

    async fn close(&self) {}

    async fn bootstrap(&self, _: &NewKey, _: &Actor) -> Result<bool, StoreError> {
        unreachable!("nobody asks")
    }

    async fn create_keyspace(&self, _: &Keyspace, _: &Actor) -> Outcome<()> {
        unreachable!("nobody asks")
    }

    async fn list_keyspaces(&self, _: &Reach, _: &str, _: usize) -> Result<HeldPage<Vec<Keyspace>>, StoreError> {
        unreachable!("nobody asks")
    }

    async fn update_keyspace(&self, _: &str, _: &KeyspacePatch, _: Option<i64>, _: &Actor) -> Outcome<Keyspace> {
        unreachable!("nobody asks")
    }

    async fn delete_keyspace(&self, _: &str, _: &Actor) -> Outcome<()> {
        unreachable!("nobody asks")
    }

    async fn import_keys(
        &self,
        _: &str,
        _: Option<KeyspaceUid>,
        _: &[NewImport],
        _: &Actor,
    ) -> Outcome<Vec<Result<ApiKey, Refusal>>> {
        unreachable!("nobody asks")
    }

    async fn holders(&self, _: &str, _: &[PublicPrefix]) -> Result<Vec<Holder>, StoreError> {
        unreachable!("nobody asks")
    }

    async fn list_keys(&self, _: &KeyQuery) -> Result<HeldPage<KeyPage>, StoreError> {
        unreachable!("nobody asks")
    }

    /// Counted nowhere: no rule of what is simulated rests on it.
    async fn record_usage(&self, _: &UsageBatch) -> Result<(), StoreError> {
        self.call(Kind::Durable, "usage", 0, |_| ()).await
    }

    async fn query_usage(&self, _: &UsageQuery) -> Result<HeldPage<UsagePage>, StoreError> {
        unreachable!("nobody asks")
    }

    async fn fold_usage(&self, _: Option<&KeyId>, _: Retention, _: Timestamp) -> Result<Option<KeyId>, StoreError> {
        self.call(Kind::Durable, "fold", 0, |_| None).await
    }

    async fn take_credits(&self, asked: &[CreditsAsked], now: Timestamp) -> Result<Vec<CreditsGranted>, StoreError> {
        let asked = asked.to_owned();
        self.call(Kind::Durable, "take", 0, move |database| database.take_credits(&asked, now)).await
    }

    async fn return_credits(&self, returned: &[CreditsReturned]) -> Result<(), StoreError> {
        let returned = returned.to_owned();
        self.call(Kind::Durable, "return", 0, move |database| database.return_credits(&returned)).await
    }

    /// By the process's clock: the database has none.
    async fn settle_rates(&self, spent: &[RateSpent], now: Timestamp) -> Result<Vec<RateLevel>, StoreError> {
        let spent = spent.to_owned();
        self.call(Kind::Durable, "settle", 0, move |database| database.settle_rates(&spent, now)).await
    }

    async fn record_denial(&self, _: &KeyId, _: &Json, _: &Actor) -> Result<(), StoreError> {
        unreachable!("nobody is denied")
    }

    async fn prune_events(&self, _: Timestamp) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn list_events(&self, _: &EventQuery) -> Result<HeldPage<EventPage>, StoreError> {
        unreachable!("nobody asks")
    }
}

#[async_trait]
impl ChangeLog for SimulatedLog {
    async fn register(&self, incarnation: Incarnation, name: &str, lease: Duration) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.store
            .call(Kind::Durable, "register", 0, move |database| database.register(incarnation, &name, lease))
            .await
    }

    async fn poll(&self, by: Incarnation, after: Option<i64>) -> Result<Poll, StoreError> {
        let epoch = self.store.world.database().epoch;
        let poll = self.store.call(Kind::Hurried, "poll", 0, move |database| database.poll(by, after)).await?;
        self.looked.store(epoch, Ordering::Relaxed);
        Ok(poll)
    }

    async fn acknowledge(&self, by: &[Incarnation], at: Position) -> Result<(), StoreError> {
        let (by, epoch) = (by.to_vec(), self.looked.load(Ordering::Relaxed));
        let of = Call { process: self.store.process, kind: Kind::Hurried, epoch, what: "acknowledge", which: 0 };
        call(&self.store.world, of, move |database| database.acknowledge(&by, at)).await
    }

    async fn roll(&self) -> Result<Roll, StoreError> {
        self.store.call(Kind::Hurried, "roll", 0, |database| database.roll()).await
    }

    async fn mark_dead(&self, replicas: &[Incarnation], seq: i64) -> Result<(), StoreError> {
        let replicas = replicas.to_vec();
        self.store.call(Kind::Durable, "mark", 0, move |database| database.mark_dead(&replicas, seq)).await
    }

    async fn remove(&self, dead: &[Incarnation]) -> Result<(), StoreError> {
        let dead = dead.to_vec();
        self.store.call(Kind::Durable, "remove", 0, move |database| database.remove(&dead)).await
    }

    async fn leave(&self, incarnation: Incarnation) -> Result<(), StoreError> {
        self.store.call(Kind::Durable, "leave", 0, move |database| database.leave(incarnation)).await
    }

    async fn prune(&self) -> Result<(), StoreError> {
        self.store.call(Kind::Durable, "prune", 0, |database| database.prune(KEPT)).await
    }

    async fn hint(&self) -> Result<(), StoreError> {
        self.store.call(Kind::Hurried, "hint", 0, |_| ()).await?;
        let world = &self.store.world;
        let odds = world.odds();
        let mut dice = world.dice(self.store.process, "hints", 0);
        for process in 0..world.processes.len() {
            let mut times = u32::from(!dice.chance(odds.hint_lost));
            times += u32::from(dice.chance(odds.hint_again));
            for _ in 0..times {
                let delay = if dice.chance(odds.hint_again) { dice.draw(0..LEASE) } else { dice.draw(0..6) };
                world.after(delay, move |world| world.processes[process].hints.notify_one());
            }
        }
        Ok(())
    }

    async fn hinted(&self) -> Result<(), StoreError> {
        let (epoch, is_away) = {
            let database = self.store.world.database();
            (database.epoch, database.is_away)
        };
        if is_away {
            return Err(StoreError::Unavailable("no connection".into()));
        }
        if self.listens.swap(epoch, Ordering::Relaxed) != epoch {
            // One may have been missed.
            return Ok(());
        }
        self.store.world.processes[self.store.process].hints.notified().await;
        Ok(())
    }
}
