//! The one writer: a task that owns one connection and commits waiting changes together.
//!
//! A commit waits for the disk. Changes that arrive meanwhile share the next one, so that many writers cost hardly
//! more than one. None is answered before the commit that holds it.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::lock::Lock;
use crate::store::error::{Stop, outcome};
use crate::store::{Outcome, StoreError};

/// Most changes that wait for the writer. Each holds one request's worth of memory: up to some 50 KiB, mostly 1 KiB.
const QUEUE_LEN_MAX: usize = 1_024;
/// Most changes of one commit: the last of them waits for all, and all are lost with it.
const BATCH_LEN_MAX: usize = 256;
/// How long a change waits for a place in the queue.
const QUEUE_WAIT_MAX: Duration = Duration::from_secs(5);

/// What a change does with the connection.
pub type Doing<'c, T> = Pin<Box<dyn Future<Output = T> + Send + 'c>>;

/// A change in the queue.
type Job = Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> Doing<'c, Done> + Send>;

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
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    task: TaskTracker,
}

impl Writer {
    /// Starts the writer on `conn`; `options` make it a new one when that is lost. It keeps `lock` until it ends.
    pub fn start(conn: SqliteConnection, options: SqliteConnectOptions, lock: Lock) -> Self {
        let (sender, jobs) = mpsc::channel(QUEUE_LEN_MAX);
        let task = TaskTracker::new();
        task.spawn(Committer { conn: Some(conn), options, _lock: lock }.run(jobs));
        task.close();
        Self { jobs: Mutex::new(Some(sender)), task }
    }

    /// Makes a change: calls `work` within a transaction, and answers when that is committed.
    ///
    /// The change is made, or not, whether or not the caller waits for the answer.
    pub async fn write<T, W>(&self, work: W) -> Outcome<T>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut SqliteConnection) -> Doing<'c, Result<T, Stop>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |conn| {
            Box::pin(async move {
                let result = work(conn).await;
                let keep = result.is_ok();
                Done { keep, answer: Box::new(move || drop(reply.send(outcome(result)))) }
            })
        });
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let jobs = jobs.ok_or_else(|| StoreError::unavailable("the store is closed"))?;
        jobs.send_timeout(job, QUEUE_WAIT_MAX).await.map_err(|_| StoreError::unavailable("no place in the queue"))?;
        drop(jobs);
        answer.await.map_err(|_| StoreError::unavailable("the commit failed"))?
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
    /// The last to be dropped.
    _lock: Lock,
}

impl Committer {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut batch = Vec::with_capacity(BATCH_LEN_MAX);
        while jobs.recv_many(&mut batch, BATCH_LEN_MAX).await > 0 {
            if let Err(error) = self.commit(batch.drain(..)).await {
                tracing::warn!(%error, "a commit failed; its changes were answered as uncertain");
            }
        }
        if let Some(conn) = self.conn.take() {
            conn.close().await.unwrap_or_else(|error| tracing::warn!(%error, "the database was not closed cleanly"));
        }
    }

    /// Makes and commits the changes of `batch`. If that fails as a whole the connection is given up, for what state
    /// it is in is unknown, and the callers find their answers dropped.
    async fn commit(&mut self, batch: impl Iterator<Item = Job>) -> Result<(), sqlx::Error> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.options.connect().await?,
        };
        match transact(&mut conn, batch).await {
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
}

async fn transact(conn: &mut SqliteConnection, batch: impl Iterator<Item = Job>) -> Result<Vec<Done>, sqlx::Error> {
    let mut all = Vec::new();
    run(conn, "BEGIN IMMEDIATE").await?;
    for job in batch {
        run(conn, "SAVEPOINT change").await?;
        let done = job(conn).await;
        if !done.keep {
            // Fails if SQLite has rolled back everything by itself, as it may when the disk is full.
            run(conn, "ROLLBACK TO change").await?;
        }
        run(conn, "RELEASE change").await?;
        all.push(done);
    }
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
        let (first, lost, last) = tokio::join!(
            execute(&writer, RENAME_DEFAULT, false),
            execute(&writer, "ROLLBACK", true),
            execute(&writer, RENAME_SYSTEM, false),
        );
        for answer in [first, lost, last] {
            assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
        }
        assert_eq!(names(&writer).await, "Default,System");
        execute(&writer, RENAME_DEFAULT, false).await.unwrap().unwrap();
        assert_eq!(names(&writer).await, "d,System");
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
