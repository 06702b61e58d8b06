//! Transactions that nobody can leave half-way: a connection goes back to the pool only after its transaction has ended.
//!
//! A caller that goes away drops its future at any `await`, also between the statements of `BEGIN`. The driver then loses
//! track of whether the server is in a transaction. So changes run in tasks of their own, and a transaction that is
//! dropped all the same closes its connection.

use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::{CALL_WAIT_MAX, in_time};
use crate::clock::SystemClock;
use crate::fair_queue::{Bounds, Limits, Places, Wait};
use crate::store::error::{Stop, outcome, unless_gone};
use crate::store::{Outcome, StoreError};

/// Begins a change. Whatever the server is set to, it waits for the disk and sees what was committed before it looks.
/// What can make a statement of ours take long is a lock. A limit to statements would end the commit's wait for a
/// synchronous standby as well, and the server would call that a success.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on;
    SET LOCAL lock_timeout = 5000; SET LOCAL statement_timeout = 0";

/// Begins a read of several statements that see one state of the database.
const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// What a transaction or a read does with the connection.
pub type Doing<'c, T> = Pin<Box<dyn Future<Output = T> + Send + 'c>>;

/// An open transaction. Dropped without [`Self::finish`], it closes its connection.
pub struct Transaction {
    /// `None`: it has ended.
    conn: Option<PoolConnection<Postgres>>,
    has_written: bool,
}

impl Transaction {
    /// Begins a change.
    pub async fn begin(pool: &PgPool) -> Result<Self, sqlx::Error> {
        Self::begin_with(pool, BEGIN, true).await
    }

    /// Begins a read of several statements that see one state of the database.
    pub async fn begin_read(pool: &PgPool) -> Result<Self, sqlx::Error> {
        Self::begin_with(pool, BEGIN_READ, false).await
    }

    async fn begin_with(pool: &PgPool, statements: &'static str, has_written: bool) -> Result<Self, sqlx::Error> {
        let mut tx = Self { conn: Some(pool.acquire().await?), has_written };
        sqlx::raw_sql(statements).execute(&mut *tx).await?;
        Ok(tx)
    }

    /// Commits a change that came to `Ok` and has written, and rolls everything else back. What was read is known, however
    /// that ends.
    pub async fn finish<T, E: From<sqlx::Error>>(mut self, result: Result<T, E>) -> Result<T, E> {
        let ended = sqlx::raw_sql(if result.is_ok() && self.has_written { "COMMIT" } else { "ROLLBACK" })
            .execute(&mut *self)
            .await;
        match (result, ended) {
            (Ok(_), Err(error)) if self.has_written => Err(error.into()),
            (Ok(read), Err(_)) => Ok(read),
            (Err(error), Err(_)) => Err(error),
            (result, Ok(_)) => {
                self.conn = None;
                result
            }
        }
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.conn.as_ref().expect("it has not ended")
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.conn.as_mut().expect("it has not ended")
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(conn) = &mut self.conn {
            conn.close_on_drop();
        }
    }
}

/// Most tasks that wait for a place.
const WAITING_MAX: usize = 4_096;

/// Runs work in tasks that outlive their callers, a bounded number at a time.
#[derive(Debug)]
pub struct Tasks {
    pool: PgPool,
    places: Arc<Places>,
    wait: Wait,
    running: TaskTracker,
    runtime: Handle,
}

impl Tasks {
    /// At most `places` tasks at a time, each with a connection of `pool`; the next one waits for at most `wait_max`. They
    /// run on the runtime on which this is called.
    pub fn new(pool: PgPool, places: usize, wait_max: Duration) -> Self {
        Self::with_share(pool, places, places, wait_max)
    }

    /// The same, where keyspaces take turns and each has at most `share` of the places.
    pub fn with_share(pool: PgPool, places: usize, share: usize, wait_max: Duration) -> Self {
        let waiting = Bounds { all: WAITING_MAX, of_one: WAITING_MAX };
        let limits = Limits { running_max: places, share_max: share, waiting };
        let places = Places::new(limits, Arc::new(SystemClock));
        let runtime = Handle::current();
        Self { pool, places, wait: Wait::up_to(wait_max), running: TaskTracker::new(), runtime }
    }

    /// Makes a change: `work` in a transaction, committed if it comes to `Ok`. A caller that goes away while it waits for
    /// its turn leaves nothing behind; after that the change is made, or not, whether or not the caller is there.
    pub async fn change<T, W>(&self, work: W) -> Outcome<T>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut PgConnection) -> Doing<'c, Result<T, Stop>> + Send + 'static,
    {
        self.change_in("", work).await
    }

    /// The same, in the turn of `keyspace`.
    pub async fn change_in<T, W>(&self, keyspace: &str, work: W) -> Outcome<T>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut PgConnection) -> Doing<'c, Result<T, Stop>> + Send + 'static,
    {
        self.change_if(keyspace, |_| true, work).await
    }

    /// The same, rolled back if it has written nothing, as `has_written` tells of what it came to: a commit may wait for a
    /// standby, even of locks alone.
    pub async fn change_if<T, W>(&self, keyspace: &str, has_written: fn(&T) -> bool, work: W) -> Outcome<T>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut PgConnection) -> Doing<'c, Result<T, Stop>> + Send + 'static,
    {
        let pool = self.pool.clone();
        let changing = async move {
            let mut tx = Transaction::begin(&pool).await?;
            let result = work(&mut tx).await;
            tx.has_written = result.as_ref().is_ok_and(has_written);
            outcome(tx.finish(result).await)
        };
        self.run(keyspace, changing).await
    }

    /// Reads by `work`. The connection goes back to the pool with nothing on its way, also if the caller goes away.
    pub async fn read<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut PgConnection) -> Doing<'c, Result<T, StoreError>> + Send + 'static,
    {
        let pool = self.pool.clone();
        self.run("", async move { work(&mut *pool.acquire().await?).await }).await
    }

    async fn run<T: Send + 'static>(
        &self,
        keyspace: &str,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (places, wait, keyspace) = (self.places.clone(), self.wait, keyspace.to_owned());
        let running = self.running.clone();
        let (_caller, gone) = oneshot::channel();
        // The place is waited for in the task as well: a caller that gets no processor for a while, as on threads of low
        // priority, would keep one without using it. This runtime drives a connection that is opened here, for all that
        // take it later.
        let task = self.running.spawn_on(
            async move {
                let place = unless_gone(places.acquire(&keyspace, wait), gone).await?;
                let _place = place.map_err(|_| StoreError::unavailable("too many calls of the store are under way"))?;
                if running.is_closed() {
                    return Err(StoreError::unavailable("the store is closed"));
                }
                in_time(work).await
            },
            &self.runtime,
        );
        task.await.unwrap_or_else(|died| Err(StoreError::fault(died)))
    }

    /// Takes no more work, and waits until what is under way has ended, or was given up.
    pub async fn close(&self) {
        self.running.close();
        let _ = timeout(CALL_WAIT_MAX, self.running.wait()).await;
    }
}
