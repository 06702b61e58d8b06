//! The allowances of all limited keys, and what they have to say to the store: credits are asked for at once, by one task
//! for all keys; the rest is told in rounds.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::{Allowance, Bucket, Purse, Taken, Terms, nanos};
use crate::clock::{Clock, Timestamp};
use crate::key::id::KeyId;
use crate::seeded::stoppable;
use crate::store::spending::{CreditsReturned, RateSpent};
use crate::store::{Store, StoreError};
use crate::verify::VerifyError;

/// Most keys that the store is told of, or asked about, at once.
const BATCH_MAX: usize = 500;
/// How long credits that nobody waits for yet are asked for later, so that many keys share a commit.
const UNHURRIED: Duration = Duration::from_millis(25);
/// Most verifications that wait for credits, at about 1 KiB each.
const WAITING_MAX: usize = 4_096;

/// See the module.
pub struct Book {
    inner: Arc<Inner>,
    waiting: Semaphore,
    /// Ends with the book.
    _asking: AbortOnDropHandle<()>,
}

struct Inner {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// Other processes spend of the same limits.
    shared: bool,
    /// Those that are in use or have something to remember: some 400 bytes each.
    allowances: Mutex<HashMap<KeyId, Arc<Allowance>>>,
    /// Those that have something to tell; each once.
    noted: Mutex<Vec<Arc<Allowance>>>,
    /// Those for which credits are to be asked for; each once.
    wanting: Mutex<Vec<Arc<Allowance>>>,
    wanted: Notify,
    /// Somebody waits.
    urgent: Notify,
    /// Held while credits are being asked for.
    turn: tokio::sync::Mutex<()>,
    /// Counts how often credits were asked for.
    rounds: watch::Sender<u64>,
}

impl Book {
    /// A book over `store`, of which other processes have copies if it is `shared`. Must be made within a tokio runtime.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, shared: bool) -> Self {
        let inner = Arc::new(Inner {
            store,
            clock,
            shared,
            allowances: Mutex::default(),
            noted: Mutex::default(),
            wanting: Mutex::default(),
            wanted: Notify::new(),
            urgent: Notify::new(),
            turn: tokio::sync::Mutex::default(),
            rounds: watch::Sender::new(0),
        });
        let asking = Handle::current().spawn(stoppable(ask(inner.clone())));
        Self { inner, waiting: Semaphore::new(WAITING_MAX), _asking: AbortOnDropHandle::new(asking) }
    }

    /// The allowance of a key.
    pub fn of(&self, key_id: &KeyId) -> Arc<Allowance> {
        let mut allowances = lock(&self.inner.allowances);
        let allowance = || Arc::new(Allowance::new(key_id.clone()));
        allowances.entry(key_id.clone()).or_insert_with(allowance).clone()
    }

    /// Takes a use and `cost` credits at `now`, or nothing.
    pub fn take(&self, allowance: &Arc<Allowance>, terms: &Arc<Terms>, cost: i64, now: Timestamp) -> Taken {
        let (taken, chores) = allowance.take(terms, cost, self.inner.clock.elapsed(), now);
        if chores.tell {
            lock(&self.inner.noted).push(allowance.clone());
        }
        if chores.ask {
            self.inner.want(allowance);
        }
        taken
    }

    /// What would come of it.
    pub fn peek(&self, allowance: &Allowance, terms: &Arc<Terms>, cost: i64, stored: Option<i64>) -> Taken {
        let clock = &self.inner.clock;
        allowance.peek(terms, cost, stored, clock.elapsed(), clock.now())
    }

    /// Waits until the store was asked for `cost` credits.
    ///
    /// # Errors
    /// If it could not be, or too many wait.
    pub async fn fetch(&self, allowance: &Arc<Allowance>, cost: i64) -> Result<(), VerifyError> {
        let _place = self.waiting.try_acquire().map_err(|_| VerifyError::Overloaded)?;
        let mut rounds = self.inner.rounds.subscribe();
        let was_asking = {
            let mut state = allowance.state();
            let Some(purse) = &mut state.purse else { return Ok(()) };
            purse.need(cost);
            mem::replace(&mut state.asking, true)
        };
        if !was_asking {
            self.inner.want(allowance);
        }
        self.inner.urgent.notify_one();
        while allowance.state().asking {
            if rounds.changed().await.is_err() {
                return Err(StoreError::Unavailable("credits are asked for no more".into()).into());
            }
        }
        match allowance.state().failure.clone() {
            Some(failure) => Err(VerifyError::Store(failure)),
            None => Ok(()),
        }
    }

    /// Tells the store what was spent of rate limits, and gives back credits that were not used since this was last
    /// called; all of them, if this is the `last` time.
    ///
    /// # Errors
    /// If the store fails. What could not be told is told the next time; what could not be given back is lost, for nobody
    /// knows whether it was.
    pub async fn settle(&self, last: bool) -> Result<(), StoreError> {
        // What is being asked for is to be given back too, and nothing is to be asked for any more.
        let _turn = if last { Some(self.inner.turn.lock().await) } else { None };
        let noted = mem::take(&mut *lock(&self.inner.noted));
        let (mut spent, mut returned) = (Vec::new(), Vec::new());
        let elapsed = nanos(self.inner.clock.elapsed());
        for allowance in noted {
            let mut state = allowance.state();
            state.noted = false;
            let state = &mut *state;
            for bucket in &mut state.buckets {
                if !bucket.is_untold() {
                    continue;
                }
                if is_to_be_told(bucket, self.inner.shared) {
                    spent.push((allowance.clone(), bucket.tell(&allowance.key_id, elapsed)));
                } else {
                    bucket.told_nobody();
                }
            }
            if let Some(purse) = &mut state.purse {
                if last || purse.is_idle() {
                    returned.extend(purse.empty(&allowance.key_id).map(|returned| (allowance.clone(), returned)));
                } else if purse.holds() {
                    state.noted = true;
                    lock(&self.inner.noted).push(allowance.clone());
                }
            }
        }
        let settled = self.tell(spent).await;
        self.give_back(returned).await?;
        settled
    }

    async fn tell(&self, all: Vec<(Arc<Allowance>, RateSpent)>) -> Result<(), StoreError> {
        for (done, batch) in all.chunks(BATCH_MAX).enumerate() {
            let told: Vec<_> = batch.iter().map(|(_, sent)| sent.clone()).collect();
            let levels = self.inner.store.settle_rates(&told, self.inner.clock.now()).await;
            let levels = levels.inspect_err(|_| {
                for (allowance, _) in &all[done * BATCH_MAX..] {
                    self.inner.note(allowance);
                }
            })?;
            let elapsed = nanos(self.inner.clock.elapsed());
            let places = batch.iter().map(|(allowance, sent)| ((&sent.key_id, &*sent.limit.name), (allowance, sent)));
            let mut places: HashMap<_, _> = places.collect();
            for level in &levels {
                let Some((allowance, sent)) = places.remove(&(&level.key_id, &*level.name)) else { continue };
                let mut state = allowance.state();
                let bucket = state.buckets.iter_mut().find(|bucket| bucket.limit().name == level.name);
                if let Some(bucket) = bucket {
                    bucket.heard(level, sent, elapsed);
                }
            }
            for (allowance, _) in places.into_values() {
                // Its key is gone.
                allowance.state().buckets.iter_mut().for_each(Bucket::told_nobody);
            }
        }
        Ok(())
    }

    async fn give_back(&self, returned: Vec<(Arc<Allowance>, CreditsReturned)>) -> Result<(), StoreError> {
        for (done, batch) in returned.chunks(BATCH_MAX).enumerate() {
            let amounts: Vec<_> = batch.iter().map(|(_, returned)| returned.clone()).collect();
            self.inner.store.return_credits(&amounts).await.inspect_err(|_| {
                // Of these nobody knows whether they were given back; of those behind them, that they were not.
                for (allowance, amount) in returned.iter().skip((done + 1) * BATCH_MAX) {
                    if let Some(purse) = &mut allowance.state().purse {
                        purse.keep(amount);
                    }
                    self.inner.note(allowance);
                }
            })?;
        }
        Ok(())
    }

    /// Forgets the allowances of keys that nobody asks about, where nothing is to be remembered.
    pub fn sweep(&self) {
        let elapsed = nanos(self.inner.clock.elapsed());
        let shared = self.inner.shared;
        lock(&self.inner.allowances).retain(|_, allowance| {
            // One is the book's own. Nobody can get another while the book is locked.
            Arc::strong_count(allowance) > 1 || !allowance.is_forgettable(shared, elapsed)
        });
    }
}

impl Inner {
    fn want(&self, allowance: &Arc<Allowance>) {
        lock(&self.wanting).push(allowance.clone());
        self.wanted.notify_one();
    }

    fn note(&self, allowance: &Arc<Allowance>) {
        if !mem::replace(&mut allowance.state().noted, true) {
            lock(&self.noted).push(allowance.clone());
        }
    }

    /// Asks the store for the credits of these keys.
    async fn ask_for(&self, wanting: &[Arc<Allowance>]) {
        let elapsed = || nanos(self.clock.elapsed());
        let asked = wanting.iter().map(|allowance| {
            let mut state = allowance.state();
            state.purse.as_mut().map(|purse| purse.ask(&allowance.key_id, elapsed()))
        });
        let asked: Vec<_> = asked.collect();
        let asking: Vec<_> = asked.iter().flatten().cloned().collect();
        let granted = self.store.take_credits(&asking, self.clock.now()).await;
        let granted = granted.map_err(Arc::new);
        let by_key = granted.iter().flatten().map(|granted| (&granted.key_id, granted));
        let mut by_key: HashMap<_, _> = by_key.collect();
        for (allowance, asked) in wanting.iter().zip(&asked) {
            let mut state = allowance.state();
            state.asking = false;
            state.failure = granted.as_ref().err().cloned();
            let failed = state.failure.is_some();
            match (&mut state.purse, asked) {
                (Some(purse), Some(asked)) if !failed => {
                    // What is granted is granted once.
                    purse.heard(asked, by_key.remove(&allowance.key_id), elapsed());
                }
                (Some(purse), _) => purse.failed(),
                (None, _) => {}
            }
            drop(state);
            // What it has now is to be given back some time.
            self.note(allowance);
        }
    }
}

/// Asks for credits whenever they are wanted, for all keys at once.
async fn ask(inner: Arc<Inner>) {
    loop {
        tokio::select! {
            () = inner.urgent.notified() => {}
            () = async { inner.wanted.notified().await; sleep(UNHURRIED).await } => {}
        }
        let _turn = inner.turn.lock().await;
        loop {
            let wanting = mem::take(&mut *lock(&inner.wanting));
            if wanting.is_empty() {
                break;
            }
            for batch in wanting.chunks(BATCH_MAX) {
                inner.ask_for(batch).await;
            }
            inner.rounds.send_modify(|rounds| *rounds += 1);
        }
    }
}

/// Whether the store is to know of what is spent: for other processes, or for this one when it is started anew.
fn is_to_be_told(bucket: &Bucket, shared: bool) -> bool {
    shared || bucket.limit().is_lasting()
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Allowance {
    /// Whether nothing is lost if this is forgotten.
    fn is_forgettable(&self, shared: bool, elapsed: u64) -> bool {
        let state = self.state();
        let is_known = |bucket: &Bucket| is_to_be_told(bucket, shared) && !bucket.is_untold();
        state.buckets.iter().all(|bucket| bucket.is_full(elapsed) || is_known(bucket))
            && !state.purse.as_ref().is_some_and(Purse::holds)
    }
}

/// For how long an allowance of which nobody asks is remembered at least.
pub const SWEEP_INTERVAL: Duration = Duration::from_mins(1);
