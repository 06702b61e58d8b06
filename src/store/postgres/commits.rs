//! Changes of keys that wait for the same commit: one task makes them together.
//!
//! Whoever adds to the log of changes keeps everybody else from it until his commit is on disk. One commit for all that
//! waits in this process keeps that short, however many keys are changed at once.

use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::keys::{self, Change};
use super::{begin, in_time};
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

    /// Takes no more changes, and waits until those that wait are made.
    pub async fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.task.wait().await;
    }
}

async fn run(pool: PgPool, mut jobs: mpsc::Receiver<Job>) {
    let mut batch = Vec::new();
    while jobs.recv_many(&mut batch, BATCH_LEN_MAX).await > 0 {
        let mut batch = mem::take(&mut batch);
        match in_time(make(&pool, &batch)).await {
            Ok(outcomes) => answer(batch, outcomes),
            // What is at fault may concern one of them alone.
            Err(StoreError::Fault(_)) if batch.len() > 1 => {
                for job in batch.drain(..) {
                    let outcomes = in_time(make(&pool, std::slice::from_ref(&job))).await;
                    answer_one(job, outcomes.and_then(single));
                }
            }
            Err(error) => {
                let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                let again = |error: &StoreError| match error {
                    StoreError::Unavailable(_) => StoreError::unavailable(why.clone()),
                    StoreError::Fault(_) => StoreError::fault(why.clone()),
                };
                for job in batch {
                    answer_one(job, Err(again(&error)));
                }
            }
        }
    }
}

fn answer(batch: Vec<Job>, outcomes: Vec<Result<ApiKey, Refusal>>) {
    for (job, outcome) in batch.into_iter().zip(outcomes) {
        answer_one(job, Ok(outcome));
    }
}

fn answer_one(job: Job, outcome: Outcome<ApiKey>) {
    // Whoever is not there any more has given up.
    let _ = job.answer.send(outcome);
}

fn single(outcomes: Vec<Result<ApiKey, Refusal>>) -> Outcome<ApiKey> {
    outcomes.into_iter().next().ok_or_else(|| StoreError::fault("a change without an outcome"))
}

/// Makes and commits these changes, in their order.
async fn make(pool: &PgPool, batch: &[Job]) -> Result<Vec<Result<ApiKey, Refusal>>, StoreError> {
    let mut tx = begin(pool).await?;
    let ids: Vec<_> = batch.iter().map(|job| job.id.as_str()).collect();
    let mut keys = keys::lock(&mut tx, &ids).await?;
    let mut outcomes = Vec::with_capacity(batch.len());
    for job in batch {
        match keys::change(&mut tx, &mut keys, &job.id, &job.change, &job.by).await {
            Err(Stop::Failed(error)) => return Err(error),
            done => outcomes.push(outcome(done)?),
        }
    }
    tx.commit().await?;
    Ok(outcomes)
}
