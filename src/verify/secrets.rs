//! Finding secrets: in memory where that is safe, else in the store, each at most once at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::VerifyError;
use super::allowance::Book;
use super::cache::{Begun, Known};
use super::cached::{CachedKey, WriteClaims};
use super::lookup_queue::{LookupQueues, Queue, QueueLoad, Turn};
use super::memory::{Fill, Memory, Outcome};
use super::slow::SlowSecrets;
use crate::clock::Clock;
use crate::fair_queue::Place;
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
    pub fn new(store: Arc<dyn Store>, memory: Arc<Memory>, clock: &Arc<dyn Clock>) -> Self {
        let shared = Shared { store, memory, queues: LookupQueues::new(clock), lookups: AtomicU64::new(0) };
        Self { shared: Arc::new(shared), runtime: Handle::current() }
    }

    /// What is remembered of `lookup`; `None`: nothing.
    pub fn known(&self, lookup: &str) -> Option<Known<Arc<CachedKey>>> {
        self.shared.memory.cache.get(lookup)
    }

    /// What `lookup` finds. Calls that look for the same meanwhile get the same answer.
    ///
    /// # Errors
    /// If the store fails, or too many wait for it.
    pub async fn find(&self, lookup: &str, turn: Turn<'_>, reading: &Reading) -> Outcome {
        let (outcome, is_shared) = self.find_once(lookup, turn, reading).await;
        if is_shared && matches!(outcome, Err(VerifyError::Overloaded | VerifyError::Stalled)) {
            // Another call's look-up was refused. This call waits for a turn of its own, once.
            return self.find_once(lookup, turn, reading).await.0;
        }
        outcome
    }

    /// The same; and whether the outcome is that of another call's look-up.
    async fn find_once(&self, lookup: &str, turn: Turn<'_>, reading: &Reading) -> (Outcome, bool) {
        let memory = &self.shared.memory;
        match memory.cache.begin(lookup, || Fill::new(turn)) {
            Begun::Known(known) => (Ok(known), false),
            Begun::Fill(fill) => {
                self.fill(lookup, turn, &fill, reading);
                (fill.outcome().await, false)
            }
            Begun::Shared(fill) => {
                if !fill.is_as_soon_as(turn)
                    && let Err(error) = self.overtake(lookup, turn, &fill, reading).await
                {
                    return (Err(error), false);
                }
                (fill.outcome().await, true)
            }
        }
    }

    /// Ends `fill` once its turn has come.
    fn fill(&self, lookup: &str, turn: Turn<'_>, fill: &Arc<Fill>, reading: &Reading) {
        let mut claim = self.claim(lookup, fill);
        match self.shared.queues.enter(turn) {
            Ok(ticket) => {
                if ticket.is_admitted() {
                    claim.take();
                }
                let (shared, reading) = (self.shared.clone(), reading.clone());
                // A task of its own: the call that asked first may go away while others wait.
                self.runtime.spawn(stoppable(async move {
                    let place = shared.queues.place(ticket).await;
                    shared.end(claim, place, &reading).await;
                }));
            }
            Err(error) => claim.outcome = Some(Err(error)),
        }
    }

    /// Waits for a turn of this call's own while `fill` waits in another caller's queue, or for longer: the first place that
    /// comes serves both.
    async fn overtake(
        &self,
        lookup: &str,
        turn: Turn<'_>,
        fill: &Arc<Fill>,
        reading: &Reading,
    ) -> Result<(), VerifyError> {
        let ticket = self.shared.queues.enter(turn)?;
        let place = tokio::select! {
            biased;
            _ = fill.outcome() => return Ok(()),
            place = self.shared.queues.place(ticket) => place,
        };
        match place {
            Ok(place) => {
                let (claim, shared, reading) = (self.claim(lookup, fill), self.shared.clone(), reading.clone());
                self.runtime.spawn(stoppable(async move { shared.end(claim, Ok(place), &reading).await }));
                Ok(())
            }
            Err(_) if fill.is_claimed() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn claim(&self, lookup: &str, fill: &Arc<Fill>) -> Claim {
        let (memory, fill) = (self.shared.memory.clone(), fill.clone());
        Claim { memory, lookup: lookup.to_owned(), fill, is_held: false, outcome: None }
    }

    /// What the store has under `lookup`: asked anew, and for no other call.
    ///
    /// # Errors
    /// As of [`Secrets::find`].
    pub async fn read(&self, lookup: &str, turn: Turn<'_>) -> Result<Vec<Found>, VerifyError> {
        let ticket = self.shared.queues.enter(turn)?;
        let (shared, lookup) = (self.shared.clone(), lookup.to_owned());
        let reading = self.runtime.spawn(stoppable(async move {
            let _place = shared.queues.place(ticket).await?;
            shared.read(&lookup).await
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
    /// Ends a fill by what the store has, unless another call's place came first.
    async fn end(&self, mut claim: Claim, place: Result<Place, VerifyError>, reading: &Reading) {
        if claim.take() {
            claim.outcome = Some(self.look_up(&claim.lookup, place, reading).await);
        }
    }

    async fn look_up(&self, lookup: &str, place: Result<Place, VerifyError>, reading: &Reading) -> Outcome {
        let _place = place?;
        reading.cached(lookup, self.read(lookup).await?)
    }

    async fn read(&self, lookup: &str) -> Result<Vec<Found>, VerifyError> {
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

/// The right to end a fill, once it is taken. Ends the fill whatever becomes of its task: no call must wait for what never
/// comes.
struct Claim {
    memory: Arc<Memory>,
    lookup: String,
    fill: Arc<Fill>,
    is_held: bool,
    outcome: Option<Outcome>,
}

impl Claim {
    /// Takes the right. Whether it is held.
    fn take(&mut self) -> bool {
        self.is_held = self.is_held || self.fill.claim();
        self.is_held
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.take() {
            let outcome = self.outcome.take().unwrap_or_else(|| Err(unfinished()));
            self.memory.cache.finish(&self.lookup, &self.fill, outcome.as_ref().ok().cloned());
            self.fill.end(outcome);
        }
    }
}

fn unfinished() -> VerifyError {
    StoreError::Unavailable("the look-up was given up".into()).into()
}
