//! Argon2id and other costly hashes: on a few threads of their own, by turns between those who ask, within a share of the
//! memory. What would wait for long is refused at once.

mod queue;
mod workers;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::sleep;

use crate::clock::{Clock, SystemClock};
use crate::key::phc;
use crate::key::secret::Secret;
use crate::key::verifier::{self, ARGON2_COST, HashCost, HashError};

pub use queue::{Class, Requester};
pub use workers::{ClassLoad, Limits};
use workers::{Ticket, Work, Workers};

/// How long a hashing waits for its turn, unless it is costly.
pub const WAIT_MAX: Duration = Duration::from_millis(200);
/// The longest that any waits. Together with the costliest run that is less than a client's usual deadline.
const COSTLY_WAIT_MAX: Duration = Duration::from_secs(1);
/// Most hashings of the batches of one keyspace that are in the queue at once.
const BATCH_QUEUED_MAX: usize = 2;
/// The share of the memory where none is set.
const MEMORY_DEFAULT: usize = 256 << 20;

/// Hashes secrets.
#[derive(Debug)]
pub struct Hashing {
    workers: Workers,
    /// Turns of batches, by keyspace: a large import waits behind itself, not before others of its keyspace.
    batches: Mutex<HashMap<Box<str>, Arc<Semaphore>>>,
}

/// Why a secret was not hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashingError {
    /// Its turn would not come in time: try again shortly.
    #[error("too many secrets are being hashed")]
    Busy,
    /// Argon2 failed, or its thread did.
    #[error("hashing failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A string to check a secret against, what that costs, and the secret.
pub type Pair = (String, HashCost, Arc<Secret>);

impl Default for Hashing {
    fn default() -> Self {
        Self::new(MEMORY_DEFAULT, Arc::new(SystemClock))
    }
}

impl Hashing {
    /// Hashes within `memory` bytes, on as many threads as the machine has cores to spare.
    pub fn new(memory: usize, clock: Arc<dyn Clock>) -> Self {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { workers: Workers::new(Limits::of(cores, memory), clock), batches: Mutex::default() }
    }

    /// Returns Argon2id of `secret`, in PHC form.
    pub async fn hash(&self, by: Requester<'_>, secret: Secret) -> Result<String, HashingError> {
        self.run(by, ARGON2_COST, Some(self.wait_max(ARGON2_COST)), move || verifier::argon2id(secret.expose())).await
    }

    /// Whether `phc` was made of `secret`.
    pub async fn matches(
        &self,
        by: Requester<'_>,
        cost: HashCost,
        phc: String,
        secret: Secret,
    ) -> Result<bool, HashingError> {
        self.run(by, cost, Some(self.wait_max(cost)), move || phc::matches(&phc, secret.expose())).await
    }

    /// Returns Argon2id of each of `secrets`, for keys of `keyspace`. None of them is shed: they wait for their turn. A
    /// caller that stops waiting stops those that have not begun.
    pub async fn hash_all(&self, keyspace: &str, secrets: Vec<Arc<Secret>>) -> Result<Vec<String>, HashingError> {
        let hashes = secrets
            .into_iter()
            .map(|secret| self.run_in_batch(keyspace, ARGON2_COST, move || verifier::argon2id(secret.expose())));
        try_join_all(hashes).await
    }

    /// Whether each string was made of the secret beside it. They wait as those of [`Self::hash_all`].
    pub async fn match_all(&self, keyspace: &str, pairs: Vec<Pair>) -> Result<Vec<bool>, HashingError> {
        let matches = pairs
            .into_iter()
            .map(|(phc, cost, secret)| self.run_in_batch(keyspace, cost, move || phc::matches(&phc, secret.expose())));
        try_join_all(matches).await
    }

    /// How long a run of this cost may wait for its turn: one that takes long itself waits for another like it, and half as
    /// long again, as times are estimates.
    fn wait_max(&self, cost: HashCost) -> Duration {
        (self.time(cost) * 3 / 2).clamp(WAIT_MAX, COSTLY_WAIT_MAX)
    }

    /// How long a run of this cost takes here, as measured.
    pub fn time(&self, cost: HashCost) -> Duration {
        self.workers.time(cost)
    }

    /// How busy `class` is.
    pub fn load(&self, class: Class) -> ClassLoad {
        self.workers.load(class)
    }

    /// How many hashings run.
    pub fn running(&self) -> usize {
        self.workers.running()
    }

    async fn run_in_batch<T: Send + 'static>(
        &self,
        keyspace: &str,
        cost: HashCost,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashingError> {
        let turn = BatchTurn::wait(&self.batches, keyspace).await;
        let result = self.run(Requester::Issuing(keyspace), cost, None, work).await;
        drop(turn);
        result
    }

    async fn run<T: Send + 'static>(
        &self,
        by: Requester<'_>,
        cost: HashCost,
        wait_max: Option<Duration>,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashingError> {
        let (done, mut result) = oneshot::channel();
        let work: Work = Box::new(move || {
            let result = work();
            // Whoever waited may be gone.
            Box::new(move || drop(done.send(result)))
        });
        let ticket: Ticket = self.workers.submit(by, cost, wait_max, work).ok_or(HashingError::Busy)?;
        let result = match wait_max {
            None => result.await,
            Some(max) => tokio::select! {
                biased;
                result = &mut result => result,
                () = sleep(max) => {
                    if ticket.give_up() {
                        return Err(HashingError::Busy);
                    }
                    result.await
                }
            },
        };
        result.map_err(|died| HashingError::Failed(died.into()))?.map_err(|e| HashingError::Failed(e.into()))
    }
}

/// The turn of one hashing among those of all batches of a keyspace.
struct BatchTurn<'a> {
    batches: &'a Mutex<HashMap<Box<str>, Arc<Semaphore>>>,
    keyspace: Box<str>,
    permit: Option<OwnedSemaphorePermit>,
}

impl<'a> BatchTurn<'a> {
    async fn wait(batches: &'a Mutex<HashMap<Box<str>, Arc<Semaphore>>>, keyspace: &str) -> Self {
        let turns = {
            let mut all = batches.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(keyspace.into()).or_insert_with(|| Arc::new(Semaphore::new(BATCH_QUEUED_MAX))).clone()
        };
        // Dropped while it waits, it leaves nothing behind.
        let mut turn = Self { batches, keyspace: keyspace.into(), permit: None };
        turn.permit = Some(turns.acquire_owned().await.expect("never closed"));
        turn
    }
}

impl Drop for BatchTurn<'_> {
    fn drop(&mut self) {
        self.permit = None;
        let mut all = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        // The last one of its keyspace.
        if all.get(&self.keyspace).is_some_and(|turns| Arc::strong_count(turns) == 1) {
            all.remove(&self.keyspace);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::clock::{ManualClock, Timestamp};

    const BY: Requester<'static> = Requester::Verification("k");

    #[tokio::test]
    async fn a_hash_matches_its_secret_only() {
        let hashing = Hashing::default();
        let phc = hashing.hash(BY, Secret::new("x".into())).await.unwrap();
        let matches = async |secret: &str| {
            hashing.matches(BY, ARGON2_COST, phc.clone(), Secret::new(secret.into())).await.unwrap()
        };
        assert!(matches("x").await);
        assert!(!matches("y").await);
        assert_eq!(hashing.load(Class::Verification).runs, 3);
    }

    #[tokio::test]
    async fn what_has_no_turn_in_time_is_shed() {
        let limits = Limits { runs: 2, costly_runs: 1, memory: MEMORY_DEFAULT };
        let workers = Workers::new(limits, Arc::new(SystemClock));
        let hashing = Hashing { workers, batches: Mutex::default() };
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let gone = Arc::new(Mutex::new(gone));
        // Every thread is busy until told.
        let busy: Vec<_> = (0..limits.runs)
            .filter_map(|_| {
                let gone = gone.clone();
                let work: Work = Box::new(move || {
                    let _ = gone.lock().unwrap().recv();
                    Box::new(|| ())
                });
                hashing.workers.submit(Requester::Issuing("many"), ARGON2_COST, None, work)
            })
            .collect();
        while hashing.running() < limits.runs {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let refused = hashing.hash(BY, Secret::new("x".into())).await;
        assert!(matches!(refused, Err(HashingError::Busy)), "{refused:?}");
        assert_eq!(hashing.load(Class::Verification).shed, 1);
        assert_eq!(hashing.load(Class::Verification).waiting, 0);
        drop((go, busy));
    }

    #[tokio::test]
    async fn a_costly_hash_waits_for_one_other_of_its_kind() {
        let limits = Limits { runs: 2, costly_runs: 1, memory: MEMORY_DEFAULT };
        // No time passes: how long a run takes is what it is taken to take at first.
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
        let hashing = Hashing { workers: Workers::new(limits, clock), batches: Mutex::default() };
        let bcrypt = HashCost { runs: 11, memory: 4 << 10 };
        assert!(hashing.time(bcrypt) > WAIT_MAX);
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let busy: Work = Box::new(move || {
            let _ = gone.recv();
            Box::new(|| ())
        });
        let running = hashing.workers.submit(BY, bcrypt, None, busy);
        while hashing.running() < 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let submit = || {
            let by = Requester::Verification("another");
            hashing.workers.submit(by, bcrypt, Some(hashing.wait_max(bcrypt)), Box::new(|| Box::new(|| ())))
        };
        let second = submit();
        assert!(second.is_some());
        assert!(submit().is_none(), "a third would wait for two");
        assert_eq!(hashing.wait_max(ARGON2_COST), WAIT_MAX);
        drop((go, running, second));
    }

    #[tokio::test]
    async fn a_batch_waits_for_its_turn() {
        let hashing = Hashing::default();
        let secrets: Vec<_> = (0..5).map(|n| Arc::new(Secret::new(format!("secret {n}")))).collect();
        let hashed = hashing.hash_all("k", secrets.clone()).await.unwrap();
        let pairs = |shift: usize| -> Vec<_> {
            let secrets = secrets.iter().cycle().skip(shift).cloned();
            hashed.iter().cloned().zip(secrets).map(|(phc, secret)| (phc, ARGON2_COST, secret)).collect()
        };
        assert_eq!(hashing.match_all("k", pairs(0)).await.unwrap(), [true; 5]);
        assert_eq!(hashing.match_all("k", pairs(1)).await.unwrap(), [false; 5]);
        assert!(hashing.batches.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_stops_what_has_not_begun() {
        let hashing = Hashing::default();
        let done = Arc::new(AtomicUsize::new(0));
        let all = try_join_all((0..1_000).map(|_| {
            let done = done.clone();
            hashing.run_in_batch("k", ARGON2_COST, move || {
                done.fetch_add(1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(10));
                Ok(())
            })
        }));
        let waited = tokio::time::timeout(Duration::from_millis(100), all).await;
        assert!(waited.is_err(), "it was done in no time");
        while hashing.running() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let at_the_end = done.load(Ordering::SeqCst);
        assert!(at_the_end < 1_000, "{at_the_end}");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(done.load(Ordering::SeqCst), at_the_end);
        assert!(hashing.batches.lock().unwrap().is_empty());
    }
}
