//! A PostgreSQL server, shared by any number of processes.
//!
//! A change is one transaction that locks the row it is about before it looks at it. Only the primary is spoken to, in
//! SQL that servers of PostgreSQL's language in general understand: no advisory locks, no transaction ids.

mod commits;
mod events;
mod imports;
mod keys;
mod keyspaces;
mod lists;
mod log;
mod open;
mod root_tokens;
mod search;
mod spending;
mod transaction;
mod usage;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgConnectOptions;
use sqlx::{PgConnection, PgPool};

use self::commits::Commits;
use self::events::Deed;
use self::keys::Change;
use self::lists::Lists;
use self::log::PostgresLog;
use self::transaction::{Doing, Tasks};
use super::error::{Stop, one_row, unrefused};
use super::log::{Listener, News};
use super::row::InstallationRow;
use super::spending::{CreditsAsked, CreditsGranted, CreditsReturned, RateLevel, RateSpent};
use super::usage::{Retention, UsageBatch, UsagePage, UsageQuery};
use super::{
    Actor, ConnectError, EventPage, EventQuery, Found, HeldPage, Hints, Holder, Installation, KeyPage, KeyQuery,
    LOOKUPS_MAX, ListStats, NewImport, NewKey, Outcome, Refusal, RootKeysWithoutMac, Schema, Store, StoreError,
    one_keyspace,
};
use crate::clock::Timestamp;
use crate::key::id::{KeyId, KeyspaceUid};
use crate::key::imported::Form;
use crate::key::keyspace::{Keyspace, KeyspacePatch};
use crate::key::permission::Reach;
use crate::key::record::{ApiKey, Json, NewSecret, Patch, Revocation};
use crate::key::token::PublicPrefix;

pub use self::open::{check_url, migrate};

/// The longest that a call takes: a wait for a connection and one for a statement, with room to spare. The server's
/// own limits come first; this one is for a server that has fallen silent.
const CALL_WAIT_MAX: Duration = Duration::from_secs(10);

/// What ties a key to its keyspace.
const KEYSPACE_FKEY: &str = "api_key_keyspace_fkey";

/// Most creations and changes of keyspaces at once. Together with the others below they leave connections of the pool to
/// look-ups and to the changes of [`commits`], revocations among them.
const CREATIONS_MAX: usize = 8;
/// Most imports at once: each takes long.
const IMPORTS_MAX: usize = 2;
/// Most of them of one keyspace: they wait for one another.
const IMPORTS_SHARE_MAX: usize = 1;
/// Most changes of the program's own at once: usage, credits, rates.
const UPKEEP_MAX: usize = 3;
/// Most reads at once for calls that show or change something.
const READS_MAX: usize = 4;

/// The store in a PostgreSQL database.
#[derive(Debug)]
pub struct Postgres {
    pool: PgPool,
    lists: Lists,
    commits: Commits,
    /// One connection for [`Store::ping`]: the store is not away because all others are busy.
    ping_pool: PgPool,
    lookup_pool: PgPool,
    probes: Tasks,
    /// Look-ups of secrets, with connections of their own: none waits for another kind of work.
    lookups: Tasks,
    creations: Tasks,
    imports: Tasks,
    upkeep: Tasks,
    reads: Tasks,
    options: PgConnectOptions,
    /// Where hints are waited for; `None`: nowhere.
    hints: Option<PgConnectOptions>,
    /// Whether a write failed for a reason that may pass, and none was seen to succeed since.
    ailing: AtomicBool,
}

impl Postgres {
    /// Connects to the server that `url` names.
    pub async fn open(url: &str, schema: Schema, hints: &Hints) -> Result<Self, ConnectError> {
        let opened = open::open(url, schema).await?;
        sqlx::Connection::close(opened.conn).await.ok();
        let options = open::limited(opened.options.clone());
        let hints = match hints {
            Hints::SameWay => Some(opened.options),
            Hints::By(url) => Some(open::options(url)?),
            Hints::None => None,
        };
        let pool = open::pool(options.clone(), open::CONNECTIONS_MAX);
        if let Err(error) = open::tell_if_unlimited(&pool).await {
            tracing::debug!(%error, "it is not known whether the database takes time limits");
        }
        let ping_pool = open::pool(options.clone(), 1);
        let lookup_pool = open::pool(options.clone(), u32::try_from(LOOKUPS_MAX).expect("a few"));
        let tasks = |places| Tasks::new(pool.clone(), places, open::ACQUIRE_WAIT_MAX);
        Ok(Self {
            lists: Lists::new(options.clone()),
            commits: Commits::start(pool.clone()),
            probes: Tasks::new(ping_pool.clone(), 1, open::ACQUIRE_WAIT_MAX),
            lookups: Tasks::new(lookup_pool.clone(), LOOKUPS_MAX, open::ACQUIRE_WAIT_MAX),
            lookup_pool,
            ping_pool,
            creations: tasks(CREATIONS_MAX),
            imports: Tasks::with_share(pool.clone(), IMPORTS_MAX, IMPORTS_SHARE_MAX, CALL_WAIT_MAX),
            upkeep: tasks(UPKEEP_MAX),
            reads: tasks(READS_MAX),
            pool,
            options,
            hints,
            ailing: AtomicBool::new(false),
        })
    }

    async fn change<T, W>(&self, tasks: &Tasks, work: W) -> Outcome<T>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut PgConnection) -> Doing<'c, Result<T, Stop>> + Send + 'static,
    {
        self.noted(tasks.change(work).await)
    }

    async fn change_key(&self, id: &KeyId, change: Change, by: &Actor) -> Outcome<ApiKey> {
        self.noted(self.commits.change(id, change, by).await)
    }

    /// `result`, the health of the server noted.
    fn noted<T>(&self, result: Outcome<T>) -> Outcome<T> {
        if matches!(result, Err(StoreError::Unavailable(_))) {
            self.ailing.store(true, Ordering::Relaxed);
        }
        result
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, StoreError>> + Send) -> Result<T, StoreError> {
    let done = tokio::time::timeout(CALL_WAIT_MAX, work).await;
    done.unwrap_or_else(|_| Err(StoreError::unavailable("the server did not answer in time"))).map_err(unavailable)
}

/// What a statement that took too long means where each is a matter of moments: the server is at its end.
fn unavailable(error: StoreError) -> StoreError {
    match error {
        StoreError::TimedOut(cause) => StoreError::Unavailable(cause),
        other => other,
    }
}

/// `text` as something to look for. No text of PostgreSQL's has a NUL character: what has one equals nothing, as NULL.
fn term(text: &str) -> Option<&str> {
    (!text.contains('\0')).then_some(text)
}

/// What it means that a statement failed: `refusal`, if it broke `constraint`.
fn refuse_if(error: sqlx::Error, constraint: &str, refusal: Refusal) -> Stop {
    let broken = error.as_database_error().and_then(|e| e.constraint());
    if broken == Some(constraint) { refusal.into() } else { error.into() }
}

/// Fails on a standby, and on a primary that was told not to write.
async fn check_writable(pool: &PgPool) -> Result<(), StoreError> {
    let read_only = sqlx::query_scalar("SELECT current_setting('transaction_read_only')::boolean");
    if read_only.fetch_one(pool).await? { Err(StoreError::unavailable("the server is read-only")) } else { Ok(()) }
}

/// A write that changes nothing anybody asks for, but is committed as any other.
async fn probe(conn: &mut PgConnection) -> Result<(), Stop> {
    let noise = sqlx::query("UPDATE installation SET write_probe = gen_random_uuid()::text::bytea");
    Ok(one_row(noise.execute(conn).await?.rows_affected())?)
}

#[async_trait]
impl Store for Postgres {
    async fn installation(&self) -> Result<Installation, StoreError> {
        let query = sqlx::query_as("SELECT page_token_key, root_token_key, bootstrapped FROM installation");
        let row: InstallationRow = in_time(async { Ok(query.fetch_one(&self.pool).await?) }).await?;
        row.try_into()
    }

    async fn root_keys_without_mac(&self, now: Timestamp, limit: usize) -> Result<RootKeysWithoutMac, StoreError> {
        in_time(root_tokens::without_mac(&self.pool, now, limit)).await
    }

    async fn bootstrap(&self, key: &NewKey, by: &Actor) -> Result<bool, StoreError> {
        let (key, by) = (key.clone(), by.clone());
        unrefused(
            self.change(&self.upkeep, move |conn| Box::pin(async move { keys::bootstrap(conn, &key, &by).await }))
                .await,
        )
    }

    async fn ping(&self) -> Result<(), StoreError> {
        if self.ailing.load(Ordering::Relaxed) {
            // Well again only when a write was seen to succeed; whoever asks may not wait for it.
            unrefused(self.change(&self.probes, |conn| Box::pin(probe(conn))).await)?;
            self.ailing.store(false, Ordering::Relaxed);
        }
        in_time(check_writable(&self.ping_pool)).await
    }

    async fn close(&self) {
        self.commits.close().await;
        for tasks in [&self.creations, &self.imports, &self.upkeep, &self.reads, &self.lookups, &self.probes] {
            tasks.close().await;
        }
        self.lists.close().await;
        self.pool.close().await;
        self.ping_pool.close().await;
        self.lookup_pool.close().await;
    }

    /// Other processes share the database.
    fn listen(&self, _: Arc<dyn Listener>) -> News {
        News::Logged(Box::new(PostgresLog::new(self.options.clone(), self.hints.clone())))
    }

    async fn create_keyspace(&self, keyspace: &Keyspace, by: &Actor) -> Outcome<()> {
        let (keyspace, by) = (keyspace.clone(), by.clone());
        self.change(&self.creations, move |conn| Box::pin(async move { keyspaces::create(conn, &keyspace, &by).await }))
            .await
    }

    async fn keyspace(&self, id: &str) -> Result<Option<Keyspace>, StoreError> {
        let id = id.to_owned();
        self.reads.read(move |conn| Box::pin(async move { keyspaces::find(conn, &id).await })).await
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
        self.change(&self.creations, move |conn| {
            Box::pin(async move { keyspaces::update(conn, &id, &patch, revision, &by).await })
        })
        .await
    }

    async fn delete_keyspace(&self, id: &str, by: &Actor) -> Outcome<()> {
        let (id, by) = (id.to_owned(), by.clone());
        self.change(&self.creations, move |conn| Box::pin(async move { keyspaces::delete(conn, &id, &by).await })).await
    }

    async fn create_key(&self, key: &NewKey, by: &Actor) -> Outcome<()> {
        let (key, by) = (key.clone(), by.clone());
        self.change(&self.creations, move |conn| Box::pin(async move { keys::create(conn, &key, &by).await })).await
    }

    async fn import_keys(
        &self,
        keyspace: &str,
        uid: Option<KeyspaceUid>,
        batch: &[NewImport],
        by: &Actor,
    ) -> Outcome<Vec<Result<ApiKey, Refusal>>> {
        let (name, batch, by) = (keyspace.to_owned(), batch.to_owned(), by.clone());
        let importing = self.imports.change_in(keyspace, move |conn| {
            Box::pin(async move { imports::import(conn, &name, uid, &batch, &by).await })
        });
        self.noted(importing.await)
    }

    async fn holders(&self, keyspace: &str, lookups: &[PublicPrefix]) -> Result<Vec<Holder>, StoreError> {
        let (keyspace, lookups) = (keyspace.to_owned(), lookups.to_owned());
        self.reads.read(move |conn| Box::pin(async move { imports::holders(conn, &keyspace, &lookups).await })).await
    }

    async fn import_forms(&self) -> Result<Vec<(String, Form)>, StoreError> {
        self.reads.read(|conn| Box::pin(imports::forms(conn))).await
    }

    async fn keyspace_size(&self, id: &str) -> Result<u64, StoreError> {
        let id = id.to_owned();
        self.reads.read(move |conn| Box::pin(async move { keyspaces::size(conn, &id).await })).await
    }

    async fn key(&self, id: &KeyId) -> Result<Option<ApiKey>, StoreError> {
        let id = id.clone();
        self.reads.read(move |conn| Box::pin(async move { keys::find(conn, &id).await })).await
    }

    async fn list_keys(&self, query: &KeyQuery) -> Result<HeldPage<KeyPage>, StoreError> {
        let (keyspace, query) = (query.keyspace.clone(), query.clone());
        self.lists.read(&keyspace, move |view| Box::pin(async move { search::list(view, &query).await })).await
    }

    async fn update_key(&self, id: &KeyId, patch: &Patch, revision: Option<i64>, by: &Actor) -> Outcome<ApiKey> {
        self.change_key(id, Change::Update { patch: patch.clone(), revision }, by).await
    }

    async fn rotate_key(&self, id: &KeyId, newest: &NewSecret, overlap: Duration, by: &Actor) -> Outcome<ApiKey> {
        self.change_key(id, Change::Rotate { newest: newest.clone(), overlap }, by).await
    }

    async fn revoke_key(&self, id: &KeyId, revocation: &Revocation, by: &Actor) -> Outcome<ApiKey> {
        self.change_key(id, Change::Revoke(revocation.clone()), by).await
    }

    async fn delete_key(&self, id: &KeyId, by: &Actor) -> Outcome<()> {
        Ok(self.change_key(id, Change::Delete, by).await?.map(drop))
    }

    async fn find_secret(&self, public_prefix: &str) -> Result<Vec<Found>, StoreError> {
        let public_prefix = public_prefix.to_owned();
        self.lookups.read(move |conn| Box::pin(async move { keys::find_secret(conn, &public_prefix).await })).await
    }

    async fn record_usage(&self, batch: &UsageBatch) -> Result<(), StoreError> {
        let batch = batch.clone();
        // One whose commit was not confirmed comes again. If it was added, nothing is left to commit.
        let recording = self.upkeep.change_if(
            "",
            |is_new| *is_new,
            move |conn| Box::pin(async move { usage::record(conn, &batch).await }),
        );
        unrefused(self.noted(recording.await)).map(drop)
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
        unrefused(
            self.change(&self.upkeep, move |conn| {
                Box::pin(async move { usage::fold(conn, after.as_ref(), kept, now).await })
            })
            .await,
        )
    }

    async fn take_credits(&self, asked: &[CreditsAsked], now: Timestamp) -> Result<Vec<CreditsGranted>, StoreError> {
        let asked = asked.to_owned();
        unrefused(
            self.change(&self.upkeep, move |conn| Box::pin(async move { spending::take(conn, &asked, now).await }))
                .await,
        )
    }

    async fn return_credits(&self, returned: &[CreditsReturned]) -> Result<(), StoreError> {
        let returned = returned.to_owned();
        unrefused(
            self.change(&self.upkeep, move |conn| Box::pin(async move { spending::give_back(conn, &returned).await }))
                .await,
        )
    }

    /// By the server's clock: those of processes differ, and each would give the others time that has not passed.
    async fn settle_rates(&self, spent: &[RateSpent], _: Timestamp) -> Result<Vec<RateLevel>, StoreError> {
        let (known, new) = (spent.to_owned(), spent.to_owned());
        match self
            .change(&self.upkeep, move |conn| Box::pin(async move { spending::settle(conn, &known).await }))
            .await?
        {
            Ok(levels) => Ok(levels),
            Err(_) => unrefused(
                self.change(&self.upkeep, move |conn| Box::pin(async move { spending::settle_new(conn, &new).await }))
                    .await,
            ),
        }
    }

    async fn record_denial(&self, id: &KeyId, changes: &Json, by: &Actor) -> Result<(), StoreError> {
        let (id, changes, by) = (id.clone(), changes.clone(), by.clone());
        let written = self.change(&self.upkeep, move |conn| {
            Box::pin(async move { Ok(events::record(conn, &by, Deed::denial(&id, &changes)).await?) })
        });
        unrefused(written.await)
    }

    async fn prune_events(&self, before: Timestamp) -> Result<u64, StoreError> {
        let prune =
            self.change(&self.upkeep, move |conn| Box::pin(async move { Ok(events::prune(conn, before).await?) }));
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
