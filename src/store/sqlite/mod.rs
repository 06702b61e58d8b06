//! One SQLite file, one process.
//!
//! Reads go to a few connections that cannot write; changes go through the one [`writer`]. A read sees one commit as a
//! whole, the last.

mod changes;
mod events;
mod imports;
mod keys;
mod keyspaces;
mod lists;
mod lock;
mod names;
mod open;
#[cfg(test)]
mod plans;
mod readers;
mod root_tokens;
mod search;
mod spending;
mod usage;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use self::events::Deed;
use self::lists::Lists;
use self::readers::Readers;
use self::writer::{Doing, Writer};
use super::error::{Stop, one_row, unrefused};
use super::log::{Listener, News};
use super::row::InstallationRow;
use super::spending::{CreditsAsked, CreditsGranted, CreditsReturned, RateLevel, RateSpent};
use super::usage::{Retention, UsageBatch, UsagePage, UsageQuery};
use super::{
    Actor, ConnectError, EventPage, EventQuery, Found, HeldPage, Holder, Installation, KeyPage, KeyQuery, ListStats,
    NewImport, NewKey, Outcome, Refusal, RootKeysWithoutMac, Schema, Store, StoreError, one_keyspace,
};
use crate::clock::Timestamp;
use crate::key::id::{KeyId, KeyspaceUid};
use crate::key::imported::Form;
use crate::key::keyspace::{Keyspace, KeyspacePatch};
use crate::key::permission::Reach;
use crate::key::record::{ApiKey, Json, NewSecret, Patch, Revocation};
use crate::key::token::PublicPrefix;

pub use self::open::{check_place, check_url, migrate};

/// Readers for look-ups of secrets, and for all else but lists. Each has a thread and up to 2 MiB of page cache.
const LOOKUP_READERS: u32 = 4;
const READERS: u32 = 2;
/// How much less than serving threads look-ups count to the operating system, as hashing does: where one core does everything,
/// keys that are not known must not keep it from those that are.
const LOOKUP_NICENESS: i32 = 5;

/// The store in a SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    writer: Writer,
    /// Look-ups of secrets: no other read waits for them.
    lookups: Readers,
    readers: Readers,
    lists: Lists,
    /// Whether a write failed for a reason that may pass, and none was seen to succeed since.
    ailing: AtomicBool,
}

impl Sqlite {
    /// Opens the file that `url` names; makes it if there is none.
    pub async fn open(url: &str, schema: Schema) -> Result<Self, ConnectError> {
        let opened = open::open(url, schema).await?;
        let lookups = Readers::open(&opened.options, LOOKUP_READERS, LOOKUP_NICENESS).await?;
        let readers = Readers::open(&opened.options, READERS, 0).await?;
        let lists = Lists::new(&opened.options);
        let writer = Writer::start(opened.conn, opened.options, opened.lock);
        Ok(Self { writer, lookups, readers, lists, ailing: AtomicBool::new(false) })
    }

    async fn write<T, W>(&self, work: W) -> Outcome<T>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut sqlx::SqliteConnection) -> Doing<'c, Result<T, Stop>> + Send + 'static,
    {
        let result = self.writer.write(work).await;
        if matches!(result, Err(StoreError::Unavailable(_))) {
            self.ailing.store(true, Ordering::Relaxed);
        }
        result
    }

    /// A write that changes nothing anybody asks for, but reaches the disk. Larger than most: what fits into the last
    /// free blocks of a disk would prove little.
    async fn probe(&self) -> Result<(), StoreError> {
        let written = self.write(|conn| {
            Box::pin(async move {
                let noise = sqlx::query("UPDATE installation SET write_probe = randomblob(65536)");
                Ok(one_row(noise.execute(conn).await?.rows_affected())?)
            })
        });
        unrefused(written.await)
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn installation(&self) -> Result<Installation, StoreError> {
        let row = self.readers.read(|conn| {
            Box::pin(async move {
                let query = sqlx::query_as("SELECT page_token_key, root_token_key, bootstrapped FROM installation");
                Ok(query.fetch_one(conn).await?)
            })
        });
        InstallationRow::try_into(row.await?)
    }

    async fn root_keys_without_mac(&self, now: Timestamp, limit: usize) -> Result<RootKeysWithoutMac, StoreError> {
        self.readers.read(move |conn| Box::pin(async move { root_tokens::without_mac(conn, now, limit).await })).await
    }

    async fn bootstrap(&self, key: &NewKey, by: &Actor) -> Result<bool, StoreError> {
        let (key, by) = (key.clone(), by.clone());
        unrefused(self.write(move |conn| Box::pin(async move { keys::bootstrap(conn, &key, &by).await })).await)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        if self.ailing.load(Ordering::Relaxed) {
            // Well again only when a write was seen to succeed; whoever asks may not wait for it.
            self.probe().await?;
            self.ailing.store(false, Ordering::Relaxed);
        }
        self.readers
            .read(|conn| {
                Box::pin(async move {
                    sqlx::query("SELECT id FROM installation").execute(conn).await?;
                    Ok(())
                })
            })
            .await
    }

    async fn close(&self) {
        // The writer last: it holds the lock.
        self.lookups.close().await;
        self.readers.close().await;
        self.lists.close().await;
        self.writer.close().await;
    }

    /// One process has the file, and all its changes go through one writer.
    fn listen(&self, listener: Arc<dyn Listener>) -> News {
        self.writer.listen(listener);
        News::Told
    }

    async fn create_keyspace(&self, keyspace: &Keyspace, by: &Actor) -> Outcome<()> {
        let (keyspace, by) = (keyspace.clone(), by.clone());
        self.write(move |conn| Box::pin(async move { keyspaces::create(conn, &keyspace, &by).await })).await
    }

    async fn keyspace(&self, id: &str) -> Result<Option<Keyspace>, StoreError> {
        let id = id.to_owned();
        self.readers.read(move |conn| Box::pin(async move { keyspaces::find(conn, &id).await })).await
    }

    async fn list_keyspaces(
        &self,
        within: &Reach,
        after: &str,
        limit: usize,
    ) -> Result<HeldPage<Vec<Keyspace>>, StoreError> {
        let (within, after) = (within.clone(), after.to_owned());
        self.lists
            .read("", move |view| Box::pin(async move { keyspaces::list(view, &within, &after, limit).await }))
            .await
    }

    async fn update_keyspace(
        &self,
        id: &str,
        patch: &KeyspacePatch,
        revision: Option<i64>,
        by: &Actor,
    ) -> Outcome<Keyspace> {
        let (id, patch, by) = (id.to_owned(), patch.clone(), by.clone());
        self.write(move |conn| Box::pin(async move { keyspaces::update(conn, &id, &patch, revision, &by).await })).await
    }

    async fn delete_keyspace(&self, id: &str, by: &Actor) -> Outcome<()> {
        let (id, by) = (id.to_owned(), by.clone());
        self.write(move |conn| Box::pin(async move { keyspaces::delete(conn, &id, &by).await })).await
    }

    async fn create_key(&self, key: &NewKey, by: &Actor) -> Outcome<()> {
        let (key, by) = (key.clone(), by.clone());
        self.write(move |conn| Box::pin(async move { keys::create(conn, &key, &by).await })).await
    }

    async fn import_keys(
        &self,
        keyspace: &str,
        uid: Option<KeyspaceUid>,
        batch: &[NewImport],
        by: &Actor,
    ) -> Outcome<Vec<Result<ApiKey, Refusal>>> {
        let (keyspace, batch, by) = (keyspace.to_owned(), batch.to_owned(), by.clone());
        self.write(move |conn| Box::pin(async move { imports::import(conn, &keyspace, uid, &batch, &by).await })).await
    }

    async fn holders(&self, keyspace: &str, lookups: &[PublicPrefix]) -> Result<Vec<Holder>, StoreError> {
        let (keyspace, lookups) = (keyspace.to_owned(), lookups.to_owned());
        self.readers.read(move |conn| Box::pin(async move { imports::holders(conn, &keyspace, &lookups).await })).await
    }

    async fn import_forms(&self) -> Result<Vec<(String, Form)>, StoreError> {
        self.readers.read(|conn| Box::pin(imports::forms(conn))).await
    }

    async fn keyspace_size(&self, id: &str) -> Result<u64, StoreError> {
        let id = id.to_owned();
        self.readers.read(move |conn| Box::pin(async move { keyspaces::size(conn, &id).await })).await
    }

    async fn key(&self, id: &KeyId) -> Result<Option<ApiKey>, StoreError> {
        let id = id.clone();
        self.readers.read(move |conn| Box::pin(async move { keys::find(conn, &id).await })).await
    }

    async fn list_keys(&self, query: &KeyQuery) -> Result<HeldPage<KeyPage>, StoreError> {
        let (keyspace, query) = (query.keyspace.clone(), query.clone());
        self.lists.read(&keyspace, move |view| Box::pin(async move { search::list(view, &query).await })).await
    }

    async fn update_key(&self, id: &KeyId, patch: &Patch, revision: Option<i64>, by: &Actor) -> Outcome<ApiKey> {
        let (id, patch, by) = (id.clone(), patch.clone(), by.clone());
        self.write(move |conn| Box::pin(async move { keys::update(conn, &id, &patch, revision, &by).await })).await
    }

    async fn rotate_key(&self, id: &KeyId, newest: &NewSecret, overlap: Duration, by: &Actor) -> Outcome<ApiKey> {
        let (id, newest, by) = (id.clone(), newest.clone(), by.clone());
        self.write(move |conn| Box::pin(async move { keys::rotate(conn, &id, &newest, overlap, &by).await })).await
    }

    async fn revoke_key(&self, id: &KeyId, revocation: &Revocation, by: &Actor) -> Outcome<ApiKey> {
        let (id, revocation, by) = (id.clone(), revocation.clone(), by.clone());
        self.write(move |conn| Box::pin(async move { keys::revoke(conn, &id, &revocation, &by).await })).await
    }

    async fn delete_key(&self, id: &KeyId, by: &Actor) -> Outcome<()> {
        let (id, by) = (id.clone(), by.clone());
        self.write(move |conn| Box::pin(async move { keys::delete(conn, &id, &by).await })).await
    }

    async fn find_secret(&self, public_prefix: &str) -> Result<Vec<Found>, StoreError> {
        let public_prefix = public_prefix.to_owned();
        self.lookups.read(move |conn| Box::pin(async move { keys::find_secret(conn, &public_prefix).await })).await
    }

    async fn record_usage(&self, batch: &UsageBatch) -> Result<(), StoreError> {
        let batch = batch.clone();
        unrefused(self.write(move |conn| Box::pin(async move { usage::record(conn, &batch).await })).await)
    }

    async fn query_usage(&self, query: &UsageQuery) -> Result<HeldPage<UsagePage>, StoreError> {
        let query = query.clone();
        let keyspace = query.of.one_keyspace().to_owned();
        self.lists.read(&keyspace, move |view| Box::pin(async move { usage::query(view, &query).await })).await
    }

    async fn fold_usage(
        &self,
        after: Option<&KeyId>,
        kept: Retention,
        now: Timestamp,
    ) -> Result<Option<KeyId>, StoreError> {
        let after = after.cloned();
        let fold = self.write(move |conn| Box::pin(async move { usage::fold(conn, after.as_ref(), kept, now).await }));
        unrefused(fold.await)
    }

    async fn take_credits(&self, asked: &[CreditsAsked], now: Timestamp) -> Result<Vec<CreditsGranted>, StoreError> {
        let asked = asked.to_owned();
        unrefused(self.write(move |conn| Box::pin(async move { spending::take(conn, &asked, now).await })).await)
    }

    async fn return_credits(&self, returned: &[CreditsReturned]) -> Result<(), StoreError> {
        let returned = returned.to_owned();
        unrefused(self.write(move |conn| Box::pin(async move { spending::give_back(conn, &returned).await })).await)
    }

    async fn settle_rates(&self, spent: &[RateSpent], now: Timestamp) -> Result<Vec<RateLevel>, StoreError> {
        let spent = spent.to_owned();
        unrefused(self.write(move |conn| Box::pin(async move { spending::settle(conn, &spent, now).await })).await)
    }

    async fn record_denial(&self, id: &KeyId, changes: &Json, by: &Actor) -> Result<(), StoreError> {
        let (id, changes, by) = (id.clone(), changes.clone(), by.clone());
        let written = self.write(move |conn| {
            Box::pin(async move { Ok(events::record(conn, &by, Deed::denial(&id, &changes)).await?) })
        });
        unrefused(written.await)
    }

    async fn prune_events(&self, before: Timestamp) -> Result<u64, StoreError> {
        let prune = self.write(move |conn| Box::pin(async move { Ok(events::prune(conn, before).await?) }));
        unrefused(prune.await)
    }

    fn limit_lists(&self, at_once: usize) {
        self.lists.limit(at_once);
    }

    fn list_stats(&self) -> ListStats {
        self.lists.stats()
    }

    async fn list_events(&self, query: &EventQuery) -> Result<HeldPage<EventPage>, StoreError> {
        let query = query.clone();
        let keyspace = query.keyspace.clone().unwrap_or_else(|| one_keyspace(&query.within).to_owned());
        self.lists.read(&keyspace, move |view| Box::pin(async move { events::list(view, &query).await })).await
    }
}
