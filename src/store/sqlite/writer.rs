//! The one writer: a task that owns one connection and commits waiting changes together.
//!
//! A commit waits for the disk. Changes that arrive meanwhile share the next one, so that many writers cost hardly
//! more than one. None is answered before the commit that holds it.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::changes;
use super::lock::Lock;
use crate::store::error::{Stop, outcome};
use crate::store::log::{Change, Listener};
use crate::store::{BoxError, Outcome, StoreError};

/// Most changes that wait for the writer. Each holds one request's worth of memory: mostly 1 KiB, 150 KiB at most.
const QUEUE_LEN_MAX: usize = 1_024;
/// Most changes of one commit: the last of them waits for all, and all are lost with it.
const BATCH_LEN_MAX: usize = 256;
/// How long a change waits for a place in the queue.
const QUEUE_WAIT_MAX: Duration = Duration::from_secs(5);

/// How long a change waits for its commit: for a disk that hangs. Far longer than one that is merely slow takes.
const COMMIT_WAIT_MAX: Duration = Duration::from_secs(15);

/// What a change does with the connection.
pub type Doing<'c, T> = Pin<Box<dyn Future<Output = T> + Send + 'c>>;

/// A change in the queue.
trait Job: Send {
    /// Whether its caller is still there.
    fn is_waited_for(&self) -> bool;
    /// Makes the change.
    fn apply(self: Box<Self>, conn: &mut SqliteConnection) -> Doing<'_, Done>;
}

/// A change with the way back to its caller.
struct PendingChange<T, W> {
    work: W,
    reply: oneshot::Sender<Outcome<T>>,
}

impl<T, W> Job for PendingChange<T, W>
where
    T: Send + 'static,
    W: for<'c> FnOnce(&'c mut SqliteConnection) -> Doing<'c, Result<T, Stop>> + Send + 'static,
{
    fn is_waited_for(&self) -> bool {
        !self.reply.is_closed()
    }

    fn apply(self: Box<Self>, conn: &mut SqliteConnection) -> Doing<'_, Done> {
        Box::pin(async move {
            let result = (self.work)(conn).await;
            let keep = result.is_ok();
            let reply = self.reply;
            Done { keep, answer: Box::new(move || drop(reply.send(outcome(result)))) }
        })
    }
}

/// A change that was made but is not committed yet.
struct Done {
    /// Whether it shall be committed; else it is undone, alone.
    keep: bool,
    /// Tells the caller what came of it. If it is dropped instead, the caller learns that nothing is certain.
    answer: Box<dyn FnOnce() + Send>,
}

/// The way to the writer.
#[derive(Debug)]
pub struct Writer {
    jobs: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    task: TaskTracker,
    listeners: Arc<Listeners>,
}

/// Who hears of changes.
#[derive(Default)]
struct Listeners(RwLock<Vec<Arc<dyn Listener>>>);

impl Listeners {
    fn tell(&self, changes: &[Change]) {
        if !changes.is_empty() {
            let listeners = self.0.read().unwrap_or_else(PoisonError::into_inner);
            listeners.iter().for_each(|listener| listener.changed(changes));
        }
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").finish_non_exhaustive()
    }
}

impl Writer {
    /// Starts the writer on `conn`, which [`changes::watch`] watches; `options` make it a new one when that is lost. It keeps `lock` until it ends.
    pub fn start(conn: SqliteConnection, options: SqliteConnectOptions, lock: Lock) -> Self {
        let (sender, jobs) = mpsc::channel(QUEUE_LEN_MAX);
        let task = TaskTracker::new();
        let listeners = Arc::<Listeners>::default();
        task.spawn(Committer { conn: Some(conn), options, listeners: listeners.clone(), _lock: lock }.run(jobs));
        task.close();
        Self { jobs: Mutex::new(Some(sender)), task, listeners }
    }

    /// Tells `listener` of every change from the next one on, after its commit and before anybody gets an answer.
    pub fn listen(&self, listener: Arc<dyn Listener>) {
        self.listeners.0.write().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    /// Makes a change: calls `work` within a transaction, and answers when that is committed.
    ///
    /// Once it was begun, the change is made, or not, whether or not the caller waits for the answer. One whose caller goes
    /// away before that is not begun.
    pub async fn write<T, W>(&self, work: W) -> Outcome<T>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut SqliteConnection) -> Doing<'c, Result<T, Stop>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(PendingChange { work, reply });
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let jobs = jobs.ok_or_else(|| StoreError::unavailable("the store is closed"))?;
        jobs.send_timeout(job, QUEUE_WAIT_MAX).await.map_err(|_| StoreError::unavailable("no place in the queue"))?;
        drop(jobs);
        let answer = timeout(COMMIT_WAIT_MAX, answer).await;
        let answer = answer.map_err(|_| StoreError::unavailable("no commit in time; it may still come"))?;
        answer.map_err(|_| StoreError::unavailable("the commit failed"))?
    }

    /// Takes no more changes, and waits until those in the queue are made.
    pub async fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.task.wait().await;
    }
}

struct Committer {
    /// `None`: the last one was lost.
    conn: Option<SqliteConnection>,
    options: SqliteConnectOptions,
    listeners: Arc<Listeners>,
    /// The last to be dropped.
    _lock: Lock,
}

impl Committer {
    async fn run(mut self, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
        let mut batch = Vec::new();
        while jobs.recv_many(&mut batch, BATCH_LEN_MAX).await > 0 {
            if let Err(error) = self.commit(mem::take(&mut batch)).await {
                tracing::warn!(%error, "a commit failed; its changes were answered as uncertain");
            }
        }
        if let Some(conn) = self.conn.take() {
            conn.close().await.unwrap_or_else(|error| tracing::warn!(%error, "the database was not closed cleanly"));
        }
    }

    /// Makes and commits the changes of `batch`. If that fails as a whole the connection is given up, for what state
    /// it is in is unknown, and the callers find their answers dropped.
    async fn commit(&mut self, batch: Vec<Box<dyn Job>>) -> Result<(), BoxError> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.connect().await?,
        };
        // A task of its own: should a change panic, its batch dies and not the writer.
        let (conn, touched, done) = tokio::spawn(async move {
            let mut touched = Vec::new();
            let done = transact(&mut conn, batch, &mut touched).await;
            (conn, touched, done)
        })
        .await?;
        // Also when it failed: that a commit failed does not say that nothing was committed.
        self.listeners.tell(&touched);
        match done {
            Ok(done) => {
                self.conn = Some(conn);
                for done in done {
                    (done.answer)();
                }
                Ok(())
            }
            Err(error) => {
                conn.close().await.ok();
                Err(error)
            }
        }
    }

    async fn connect(&self) -> Result<SqliteConnection, sqlx::Error> {
        let mut conn = self.options.connect().await?;
        changes::watch(&mut conn).await?;
        Ok(conn)
    }
}

/// Makes and commits the changes of `batch`; `touched` is what they touch, as soon as anything may be committed.
async fn transact(
    conn: &mut SqliteConnection,
    batch: Vec<Box<dyn Job>>,
    touched: &mut Vec<Change>,
) -> Result<Vec<Done>, BoxError> {
    let mut all = Vec::new();
    run(conn, "BEGIN IMMEDIATE").await?;
    for job in batch {
        // Its caller has given up, and may have decided otherwise since.
        if !job.is_waited_for() {
            continue;
        }
        run(conn, "SAVEPOINT change").await?;
        let done = job.apply(conn).await;
        if !done.keep {
            // Fails if SQLite has rolled back everything by itself, as it may when the disk is full.
            run(conn, "ROLLBACK TO change").await?;
        }
        run(conn, "RELEASE change").await?;
        all.push(done);
    }
    *touched = changes::take(conn).await?;
    run(conn, "COMMIT").await?;
    Ok(all)
}

async fn run(conn: &mut SqliteConnection, sql: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(sql).execute(conn).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::open::open;
    use crate::store::{Refusal, Schema};

    async fn writer() -> (Writer, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let opened = open(&format!("sqlite://{}/x.db", dir.path().display()), Schema::Migrate).await.unwrap();
        (Writer::start(opened.conn, opened.options, opened.lock), dir)
    }

    async fn execute(writer: &Writer, sql: &'static str, refuse: bool) -> Outcome<()> {
        writer.write(move |conn| Box::pin(change(conn, sql, refuse))).await
    }

    async fn change(conn: &mut SqliteConnection, sql: &'static str, refuse: bool) -> Result<(), Stop> {
        run(conn, sql).await?;
        if refuse { Err(Refusal::EtagMismatch.into()) } else { Ok(()) }
    }

    async fn names(writer: &Writer) -> String {
        let names = writer.write(|conn| {
            Box::pin(async move {
                let query = sqlx::query_scalar("SELECT group_concat(display_name ORDER BY id) FROM keyspace");
                Ok(query.fetch_one(conn).await?)
            })
        });
        names.await.unwrap().unwrap()
    }

    const RENAME_DEFAULT: &str = "UPDATE keyspace SET display_name = 'd' WHERE id = 'default'";
    const RENAME_SYSTEM: &str = "UPDATE keyspace SET display_name = 's' WHERE id = 'system'";

    #[tokio::test]
    async fn a_change_that_comes_to_nothing_is_undone_alone() {
        let (writer, _dir) = writer().await;
        // One thread: all three are in the queue before the writer sees the first.
        let (kept, refused, failed) = tokio::join!(
            execute(&writer, RENAME_DEFAULT, false),
            execute(&writer, RENAME_SYSTEM, true),
            execute(&writer, "UPDATE keyspace SET revision = 'none'", false),
        );
        assert_eq!((kept.unwrap(), refused.unwrap()), (Ok(()), Err(Refusal::EtagMismatch)));
        assert!(matches!(failed, Err(StoreError::Fault(_))), "{failed:?}");
        assert_eq!(names(&writer).await, "d,System");
    }

    #[tokio::test]
    async fn when_the_transaction_is_lost_nothing_is_acknowledged() {
        let (writer, _dir) = writer().await;
        // What SQLite may do by itself when the disk is full.
        let (before, lost, after) = tokio::join!(
            execute(&writer, RENAME_DEFAULT, false),
            execute(&writer, "ROLLBACK", true),
            execute(&writer, RENAME_SYSTEM, false),
        );
        for answer in [before, lost, after] {
            assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
        }
        assert_eq!(names(&writer).await, "Default,System");
        execute(&writer, RENAME_DEFAULT, false).await.unwrap().unwrap();
        assert_eq!(names(&writer).await, "d,System");
    }

    #[tokio::test]
    async fn a_change_that_panics_takes_its_batch_with_it_and_no_more() {
        let (writer, _dir) = writer().await;
        let (first, panicked) = tokio::join!(
            execute(&writer, RENAME_DEFAULT, false),
            writer.write::<(), _>(|_| Box::pin(async { panic!("a fault in a change") })),
        );
        for answer in [first, panicked] {
            assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
        }
        assert_eq!(names(&writer).await, "Default,System");
        execute(&writer, RENAME_DEFAULT, false).await.unwrap().unwrap();
        assert_eq!(names(&writer).await, "d,System");
    }

    #[tokio::test]
    async fn a_change_that_nobody_waits_for_is_not_begun() {
        let (writer, _dir) = writer().await;
        {
            let mut gone = std::pin::pin!(execute(&writer, RENAME_DEFAULT, false));
            assert!(futures_util::poll!(gone.as_mut()).is_pending(), "it is in the queue");
        }
        execute(&writer, RENAME_SYSTEM, false).await.unwrap().unwrap();
        assert_eq!(names(&writer).await, "Default,s");
    }

    #[tokio::test]
    async fn closing_finishes_what_waits() {
        let (writer, dir) = writer().await;
        let (renamed, ()) = tokio::join!(execute(&writer, RENAME_DEFAULT, false), writer.close());
        renamed.unwrap().unwrap();
        assert!(matches!(execute(&writer, RENAME_SYSTEM, false).await, Err(StoreError::Unavailable(_))));
        assert!(!dir.path().join("x.db-wal").exists(), "the last connection folds the log in");
        open(&format!("sqlite://{}/x.db", dir.path().display()), Schema::MustBeCurrent).await.unwrap();
    }
}
