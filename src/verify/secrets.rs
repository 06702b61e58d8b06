//! Finding secrets: in memory where that is safe, else in the store, each at most once at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::VerifyError;
use super::allowance::Book;
use super::cache::{Begun, Known};
use super::cached::{CachedKey, WriteClaims};
use super::lookup_queue::{LookupQueues, Queue, QueueLoad};
use super::memory::{Fill, Memory, Outcome};
use super::slow::SlowSecrets;
use crate::clock::Clock;
use crate::seeded::stoppable;
use crate::store::{Found, Store, StoreError};

/// What finds secrets.
pub struct Secrets {
    shared: Arc<Shared>,
    /// Where the store is read: not on the threads that serve connections.
    runtime: Handle,
}

struct Shared {
    store: Arc<dyn Store>,
    memory: Arc<Memory>,
    queues: LookupQueues,
    lookups: AtomicU64,
}

/// How what was read is made ready.
#[derive(Clone)]
pub struct Reading {
    pub(super) slow: SlowSecrets,
    pub(super) write_claims: WriteClaims,
    pub(super) book: Arc<Book>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Secrets {
    /// Finds secrets in `store`, and remembers them in `memory`, which hears of every change.
    pub fn new(store: Arc<dyn Store>, memory: Arc<Memory>) -> Self {
        let shared = Shared { store, memory, queues: LookupQueues::default(), lookups: AtomicU64::new(0) };
        Self { shared: Arc::new(shared), runtime: Handle::current() }
    }

    /// What is remembered of `lookup`; `None`: nothing.
    pub fn known(&self, lookup: &str) -> Option<Known<Arc<CachedKey>>> {
        self.shared.memory.cache.get(lookup)
    }

    /// What `lookup` finds. Whoever looks for the same meanwhile gets the same answer.
    ///
    /// # Errors
    /// If the store fails, or too many wait for it.
    pub async fn find(
        &self,
        lookup: &str,
        queue: Queue,
        reading: Reading,
    ) -> Result<Known<Arc<CachedKey>>, VerifyError> {
        let memory = &self.shared.memory;
        let mut outcome = match memory.cache.begin(lookup, || watch::Sender::new(None)) {
            Begun::Known(known) => return Ok(known),
            Begun::Shared(fill) => fill.subscribe(),
            Begun::Fill(fill) => {
                let outcome = fill.subscribe();
                let mut ending = Ending { memory: memory.clone(), lookup: lookup.to_owned(), fill, outcome: None };
                let Ok(place) = self.shared.queues.enter(queue) else {
                    ending.outcome = Some(Err(VerifyError::Overloaded));
                    return Err(VerifyError::Overloaded);
                };
                let shared = self.shared.clone();
                // A task of its own: whoever asked first may go away while others wait.
                self.runtime.spawn(stoppable(async move {
                    ending.outcome = Some(shared.look_up(&ending.lookup, queue, &reading).await);
                    drop((ending, place));
                }));
                outcome
            }
        };
        let found = outcome.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        found.unwrap_or_else(|| Err(unfinished()))
    }

    /// What the store has under `lookup`: asked anew, and for nobody else.
    ///
    /// # Errors
    /// As of [`Secrets::find`].
    pub async fn read(&self, lookup: &str, queue: Queue) -> Result<Vec<Found>, VerifyError> {
        let place = self.shared.queues.enter(queue)?;
        let (shared, lookup) = (self.shared.clone(), lookup.to_owned());
        let reading = self.runtime.spawn(stoppable(async move {
            let found = shared.read(&lookup, queue).await;
            drop(place);
            found
        }));
        AbortOnDropHandle::new(reading).await.unwrap_or_else(|_| Err(unfinished()))
    }

    /// How busy a queue of look-ups is.
    pub fn load(&self, queue: Queue) -> QueueLoad {
        self.shared.queues.load(queue)
    }

    /// How many look-ups the store has had.
    pub fn lookups(&self) -> u64 {
        self.shared.lookups.load(Ordering::Relaxed)
    }

    /// How many secrets are remembered.
    pub fn remembered(&self) -> usize {
        self.shared.memory.cache.count()
    }
}

impl Shared {
    async fn look_up(&self, lookup: &str, queue: Queue, reading: &Reading) -> Outcome {
        reading.cached(lookup, self.read(lookup, queue).await?)
    }

    async fn read(&self, lookup: &str, queue: Queue) -> Result<Vec<Found>, VerifyError> {
        let _turn = self.queues.turn(queue).await?;
        self.lookups.fetch_add(1, Ordering::Relaxed);
        let found = self.store.find_secret(lookup).await?;
        self.queues.note_answer();
        Ok(found)
    }
}

impl Reading {
    /// What a lookup `found` as the hot path needs it: the first, with the others.
    ///
    /// # Errors
    /// If one is larger than any can be.
    pub fn cached(&self, lookup: &str, found: Vec<Found>) -> Outcome {
        let mut found = found.into_iter();
        let Some(first) = found.next() else { return Ok(Known::Absent) };
        let others = found.map(|other| self.cached_one(lookup, other, Box::default()));
        let others = others.collect::<Result<_, _>>()?;
        Ok(Known::Present(self.cached_one(lookup, first, others)?))
    }

    fn cached_one(
        &self,
        lookup: &str,
        found: Found,
        others: Box<[Arc<CachedKey>]>,
    ) -> Result<Arc<CachedKey>, VerifyError> {
        let warm = self.slow.right(lookup, &found.key.keyspace, &found.verifier);
        let times = (self.clock.now(), self.clock.elapsed());
        let allowance_of = |id: &_| self.book.of(id);
        Ok(Arc::new(CachedKey::new(lookup, found, self.write_claims, warm, allowance_of, times, others)?))
    }
}

/// Ends a fill whatever becomes of its task: nobody must wait for what will never come.
struct Ending {
    memory: Arc<Memory>,
    lookup: String,
    fill: Arc<Fill>,
    outcome: Option<Outcome>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let outcome = self.outcome.take().unwrap_or_else(|| Err(unfinished()));
        self.memory.cache.finish(&self.lookup, &self.fill, outcome.as_ref().ok().cloned());
        self.fill.send_replace(Some(outcome));
    }
}

fn unfinished() -> VerifyError {
    StoreError::Unavailable("the look-up was given up".into()).into()
}
