//! Changes of keys that wait for the same commit: one task makes them together.
//!
//! Whoever adds to the log of changes keeps everybody else from it until his commit is on disk. One commit for all that
//! waits in this process keeps that short, however many keys are changed at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::in_time;
use super::keys::{self, Busy, Change};
use super::transaction::Transaction;
use crate::key::id::KeyId;
use crate::key::record::ApiKey;
use crate::store::error::{Stop, outcome};
use crate::store::{Actor, Outcome, Refusal, StoreError};

/// Most changes that wait, at mostly 1 KiB each and 20 KiB at most.
const QUEUE_LEN_MAX: usize = 1_024;
/// Most changes of one commit: the last of them waits for all.
const BATCH_LEN_MAX: usize = 64;
/// How long a change waits for a place in the queue.
const QUEUE_WAIT_MAX: Duration = Duration::from_secs(5);
/// Most changes at once that wait for a key which somebody else has locked: each has a connection of the pool.
const ALONE_MAX: usize = 4;
/// How long a change waits for its turn and its commit.
const COMMIT_WAIT_MAX: Duration = Duration::from_secs(15);

/// The way to the task.
#[derive(Debug)]
pub struct Commits {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    task: TaskTracker,
}

#[derive(Debug)]
struct Job {
    id: KeyId,
    change: Change,
    by: Actor,
    answer: oneshot::Sender<Outcome<ApiKey>>,
}

impl Commits {
    /// Starts the task, which takes its connection from `pool`.
    pub fn start(pool: PgPool) -> Self {
        let (sender, jobs) = mpsc::channel(QUEUE_LEN_MAX);
        let task = TaskTracker::new();
        task.spawn(run(pool, jobs));
        task.close();
        Self { jobs: Mutex::new(Some(sender)), task }
    }

    /// Makes a change: the key as it is then. It is made, or not, whether or not the caller waits for the answer.
    pub async fn change(&self, id: &KeyId, change: Change, by: &Actor) -> Outcome<ApiKey> {
        let (answer, answered) = oneshot::channel();
        let job = Job { id: id.clone(), change, by: by.clone(), answer };
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let jobs = jobs.ok_or_else(|| StoreError::unavailable("the store is closed"))?;
        jobs.send_timeout(job, QUEUE_WAIT_MAX).await.map_err(|_| StoreError::unavailable("no place in the queue"))?;
        drop(jobs);
        let answered = timeout(COMMIT_WAIT_MAX, answered).await;
        let answered = answered.map_err(|_| StoreError::unavailable("no commit in time; it may still come"))?;
        answered.map_err(|_| StoreError::unavailable("the commit was given up"))?
    }

    /// Takes no more changes, and waits until those that wait are made, or given up.
    pub async fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        // Whoever waits for one gives up after that as well.
        let _ = timeout(COMMIT_WAIT_MAX, self.task.wait()).await;
    }
}

async fn run(pool: PgPool, mut jobs: mpsc::Receiver<Job>) {
    let alone = Arc::new(Semaphore::new(ALONE_MAX));
    let tasks = TaskTracker::new();
    let mut pending = Vec::new();
    while receive(&mut jobs, &mut pending).await {
        // What nobody waits for any more has failed for its caller, who may have decided otherwise since.
        pending.retain(|job| !job.answer.is_closed());
        // Revocations first: nobody waits for them behind changes that can wait.
        pending.sort_by_key(|job| !job.change.ends_key());
        let batch: Vec<_> = pending.drain(..pending.len().min(BATCH_LEN_MAX)).collect();
        if batch.is_empty() {
            continue;
        }
        match in_time(make(&pool, &batch, Busy::Skip)).await {
            Ok(outcomes) => {
                for (job, outcome) in batch.into_iter().zip(outcomes) {
                    match outcome {
                        Some(outcome) => answer(job, Ok(outcome)),
                        None => drop(tasks.spawn(wait_alone(pool.clone(), alone.clone(), job))),
                    }
                }
            }
            // What is at fault may concern one of them alone.
            Err(StoreError::Fault(_)) if batch.len() > 1 => {
                for job in batch {
                    tasks.spawn(wait_alone(pool.clone(), alone.clone(), job));
                }
            }
            Err(error) => {
                let why = error.cause();
                for job in batch {
                    answer(job, Err(error.alike(&why)));
                }
            }
        }
    }
    tasks.close();
    tasks.wait().await;
}

/// Adds all that wait in the queue to those that are `pending`. Whether there are any, or may be later.
async fn receive(jobs: &mut mpsc::Receiver<Job>, pending: &mut Vec<Job>) -> bool {
    if pending.is_empty() && jobs.recv_many(pending, QUEUE_LEN_MAX).await == 0 {
        return false;
    }
    while pending.len() < QUEUE_LEN_MAX
        && let Ok(job) = jobs.try_recv()
    {
        pending.push(job);
    }
    true
}

/// Makes a change whose key somebody else has locked: the others need not wait for that.
async fn wait_alone(pool: PgPool, alone: Arc<Semaphore>, job: Job) {
    let _place = alone.acquire().await.expect("never closed");
    let made = in_time(make(&pool, std::slice::from_ref(&job), Busy::Wait)).await;
    let outcome = made.and_then(|outcomes| match outcomes.into_iter().next() {
        Some(Some(outcome)) => Ok(outcome),
        _ => Err(StoreError::fault("a change without an outcome")),
    });
    answer(job, outcome);
}

fn answer(job: Job, outcome: Outcome<ApiKey>) {
    // Whoever is not there any more has given up.
    let _ = job.answer.send(outcome);
}

/// What came of a change; `None`: somebody else has the key locked.
type Made = Option<Result<ApiKey, Refusal>>;

/// Makes and commits these changes, those of a key in their order.
///
/// They are made in the order of their keys: what hangs on a key is locked with it, and whoever else locks such rows of
/// several keys goes by that order, too.
///
/// One that finds everything as it should be is committed as well: what it found may be in no standby yet, and to lock
/// it is a write, whose commit waits for that.
async fn make(pool: &PgPool, batch: &[Job], busy: Busy) -> Result<Vec<Made>, StoreError> {
    let mut tx = Transaction::begin(pool).await?;
    let made = make_in(&mut tx, batch, busy).await;
    tx.finish(made).await
}

async fn make_in(conn: &mut PgConnection, batch: &[Job], busy: Busy) -> Result<Vec<Made>, StoreError> {
    let ids: Vec<_> = batch.iter().map(|job| job.id.as_str()).collect();
    let mut keys = keys::lock(conn, &ids, busy).await?;
    let missing: Vec<_> = ids.into_iter().filter(|id| !keys.contains_key(&KeyId::from_text(*id))).collect();
    let mut locked = Vec::new();
    if busy == Busy::Skip && !missing.is_empty() {
        locked = keys::existing(conn, &missing).await?;
    }
    let mut outcomes: Vec<_> = batch.iter().map(|_| None).collect();
    let mut jobs: Vec<_> = batch.iter().zip(&mut outcomes).collect();
    jobs.sort_by_key(|(job, _)| &job.id);
    for (job, made) in jobs.into_iter().filter(|(job, _)| !locked.iter().any(|id| id == job.id.as_str())) {
        match keys::change(conn, &mut keys, &job.id, &job.change, &job.by).await {
            Err(Stop::Failed(error)) => return Err(error),
            done => *made = Some(outcome(done)?),
        }
    }
    Ok(outcomes)
}
