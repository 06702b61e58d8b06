//! The bytes of requests that were read and are not answered yet, over all connections. A request that does not fit is left
//! to flow control, which stops its sender. To make room, the body that has made no progress for longest ends.
//!
//! Each root key has a share. Room for one root key is made at the cost of another only if the other holds more: callers
//! who send their requests whole do not notice those who do not.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;

use super::state::ConnectionState;
use crate::clock::{Clock as _, SystemClock};
use crate::log_sampler::LogSampler;

/// The budget is never smaller: a few of the largest requests fit.
const BYTES_MIN: usize = 4 * 1024 * 1024;
/// A body that has made no progress for this long may end for one of the same root key, or of one that holds less.
const STALE_AFTER: Duration = Duration::from_secs(1);
/// How many bodies that wait are looked at when there is room.
const LOOKED_AT_MAX: usize = 64;

/// The budget of all connections.
#[derive(Debug)]
pub struct RequestBudget {
    bytes_max: usize,
    /// Of one root key: the rest is left to the others.
    share_max: usize,
    /// See [`STALE_AFTER`].
    stale_after: Duration,
    next_id: AtomicU64,
    holders: Mutex<Holders>,
    displaced: AtomicU64,
    late: AtomicU64,
    displaced_logged: LogSampler,
    late_logged: LogSampler,
}

/// The bytes of one request: counted until this is dropped. Among the extensions of a request that does not go the short
/// way, as an `Arc`.
#[derive(Debug)]
pub struct RequestBytes {
    id: u64,
    owner: OnceLock<Arc<str>>,
    is_counted: AtomicBool,
    signal: Arc<Signal>,
    budget: Arc<RequestBudget>,
}

/// The body ended because others needed its memory.
#[derive(Debug)]
pub struct Displaced;

#[derive(Debug, Default)]
struct Holders {
    turn: u64,
    bytes: usize,
    requests: HashMap<u64, Holder>,
    owners: HashMap<Arc<str>, Owner>,
    /// Bodies that wait for room, the longest first: which, and for how much.
    waiting: BTreeMap<u64, (u64, usize)>,
}

/// One request.
#[derive(Debug)]
struct Holder {
    owner: Arc<str>,
    bytes: usize,
    /// When it last made progress, as a turn; `None`: it is whole.
    turn: Option<u64>,
    progressed_at: Duration,
    /// Its place among those that wait.
    waits: Option<u64>,
    signal: Arc<Signal>,
}

/// The requests of one root key.
#[derive(Debug, Default)]
struct Owner {
    bytes: usize,
    requests: usize,
    /// Those that are not whole, the longest without progress first.
    arriving: BTreeMap<u64, u64>,
}

/// Tells the task that reads a body that there is room, or none any more.
#[derive(Debug, Default)]
struct Signal {
    is_displaced: AtomicBool,
    task: AtomicWaker,
}

impl RequestBudget {
    /// Allows `bytes_max` bytes, or the least that is of use; and always one request.
    pub fn new(bytes_max: usize) -> Self {
        Self::with(bytes_max.max(BYTES_MIN), STALE_AFTER)
    }

    fn with(bytes_max: usize, stale_after: Duration) -> Self {
        Self {
            bytes_max,
            share_max: bytes_max - bytes_max / 4,
            stale_after,
            next_id: AtomicU64::new(0),
            holders: Mutex::default(),
            displaced: AtomicU64::new(0),
            late: AtomicU64::new(0),
            displaced_logged: LogSampler::new(),
            late_logged: LogSampler::new(),
        }
    }

    /// The bytes that are held now.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// How many bodies ended: because others needed the memory, and because they took too long.
    pub fn ended(&self) -> [(&'static str, u64); 2] {
        [("displaced", &self.displaced), ("late", &self.late)].map(|(why, count)| (why, count.load(Ordering::Relaxed)))
    }

    pub(super) fn note_late(&self) {
        self.late.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes a body that waited for room for too long.
    pub(super) fn note_displaced(&self) {
        self.displaced.fetch_add(1, Ordering::Relaxed);
    }

    /// Logs that a body of the root key `owner` on `connection` ended because others needed the memory.
    pub(super) fn log_displaced(&self, owner: Option<&str>, connection: &ConnectionState) {
        log_ended("displaced", &self.displaced_logged, owner, connection);
    }

    /// Logs that a body of the root key `owner` on `connection` ended because it took too long.
    pub(super) fn log_late(&self, owner: Option<&str>, connection: &ConnectionState) {
        log_ended("late", &self.late_logged, owner, connection);
    }

    fn lock(&self) -> MutexGuard<'_, Holders> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log_ended(reason: &str, sampler: &LogSampler, owner: Option<&str>, connection: &ConnectionState) {
    if let Some(suppressed) = sampler.take(SystemClock.elapsed()) {
        let (root_key_id, peer) = (owner.or(connection.root_key_id()), connection.peer());
        tracing::warn!(reason, root_key_id, %peer, suppressed, "a request was ended: it did not arrive as a whole");
    }
}

impl RequestBytes {
    /// Of a request of which nothing was read.
    pub fn new(budget: Arc<RequestBudget>) -> Self {
        Self {
            id: budget.next_id.fetch_add(1, Ordering::Relaxed),
            owner: OnceLock::new(),
            is_counted: AtomicBool::new(false),
            signal: Arc::default(),
            budget,
        }
    }

    /// The root key that it is counted for, if that is known.
    pub(super) fn owner(&self) -> Option<&str> {
        self.owner.get().map(AsRef::as_ref).filter(|owner: &&str| !owner.is_empty())
    }

    pub(super) fn is_counted(&self) -> bool {
        self.is_counted.load(Ordering::Relaxed)
    }

    /// Counts the bytes, from the first on, as those of the root key `owner`.
    pub fn set_owner(&self, owner: &str) {
        self.owner.get_or_init(|| owner.into());
    }

    /// Counts `bytes` more, once there is room.
    ///
    /// # Errors
    /// [`Displaced`].
    pub(super) fn poll_count(&self, bytes: usize, cx: &mut Context<'_>) -> Poll<Result<(), Displaced>> {
        self.signal.task.register(cx.waker());
        let now = SystemClock.elapsed();
        let mut holders = self.budget.lock();
        // Under the lock, as it is set.
        if self.signal.is_displaced.load(Ordering::Relaxed) {
            return Poll::Ready(Err(Displaced));
        }
        self.begin(&mut holders, now);
        let mut ended = Vec::new();
        let has_room = holders.make_room(self.id, bytes, &self.budget, now, &mut ended);
        if has_room {
            holders.add(self.id, bytes, now);
        } else {
            holders.wait(self.id, bytes);
        }
        drop(holders);
        self.budget.displaced.fetch_add(ended.len() as u64, Ordering::Relaxed);
        for signal in ended {
            signal.task.wake();
        }
        if has_room { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Counts the last `bytes` of a body. It is whole, and no longer ends for others.
    pub(super) fn complete(&self, bytes: usize) {
        let now = SystemClock.elapsed();
        let mut holders = self.budget.lock();
        if self.signal.is_displaced.load(Ordering::Relaxed) {
            return;
        }
        self.begin(&mut holders, now);
        holders.add(self.id, bytes, now);
        holders.rest(self.id);
    }

    /// Counts `bytes` less: they were handled while the rest is still to come.
    pub(super) fn handled(&self, bytes: usize) {
        let woken = self.budget.lock().remove(self.id, bytes, &self.budget);
        wake(woken);
    }

    /// Whether the body must end. `task` is woken when it must.
    pub(super) fn is_displaced(&self, task: &Waker) -> bool {
        self.signal.task.register(task);
        self.signal.is_displaced.load(Ordering::Relaxed)
    }

    fn begin(&self, holders: &mut Holders, now: Duration) {
        if self.is_counted.swap(true, Ordering::Relaxed) {
            return;
        }
        let owner = self.owner.get_or_init(|| "".into()).clone();
        holders.owners.entry(owner.clone()).or_default().requests += 1;
        let signal = self.signal.clone();
        let holder = Holder { owner, bytes: 0, turn: None, progressed_at: now, waits: None, signal };
        holders.requests.insert(self.id, holder);
    }
}

impl Drop for RequestBytes {
    fn drop(&mut self) {
        if *self.is_counted.get_mut() {
            let mut holders = self.budget.lock();
            if holders.requests.contains_key(&self.id) {
                holders.forget(self.id);
                let woken = holders.next(&self.budget);
                drop(holders);
                wake(woken);
            }
        }
    }
}

impl Holders {
    /// Makes room for `bytes` more of a request; whether there is. Adds to `ended` what ended for it.
    fn make_room(
        &mut self,
        id: u64,
        bytes: usize,
        budget: &RequestBudget,
        now: Duration,
        ended: &mut Vec<Arc<Signal>>,
    ) -> bool {
        loop {
            let Some(holder) = self.requests.get(&id) else { return false };
            let owner = &self.owners[&holder.owner];
            let victim = if owner.bytes > holder.bytes && owner.bytes + bytes > budget.share_max {
                self.stalest([owner].into_iter(), id, now, budget)
            } else if self.bytes > holder.bytes && self.bytes + bytes > budget.bytes_max {
                self.of_largest(id, owner.bytes + bytes).or_else(|| self.stalest(self.owners.values(), id, now, budget))
            } else {
                return true;
            };
            let Some(victim) = victim else { return false };
            let signal = self.requests[&victim].signal.clone();
            signal.is_displaced.store(true, Ordering::Relaxed);
            self.forget(victim);
            ended.push(signal);
        }
    }

    /// The body that has made no progress for longest, but for `id`, if that is too long.
    fn stalest<'a>(
        &self,
        owners: impl Iterator<Item = &'a Owner>,
        id: u64,
        now: Duration,
        budget: &RequestBudget,
    ) -> Option<u64> {
        let (_, victim) = owners.filter_map(|owner| owner.oldest(id)).min()?;
        let is_stale = now.saturating_sub(self.requests.get(&victim)?.progressed_at) >= budget.stale_after;
        is_stale.then_some(victim)
    }

    /// The one of the root key that holds most, if that is `bytes` or more.
    fn of_largest(&self, id: u64, bytes: usize) -> Option<u64> {
        let candidates = self.owners.values().filter(|owner| owner.bytes >= bytes);
        let victims = candidates.filter_map(|owner| owner.oldest(id).map(|(_, victim)| (owner.bytes, victim)));
        victims.max().map(|(_, victim)| victim)
    }

    fn add(&mut self, id: u64, bytes: usize, now: Duration) {
        self.rest(id);
        self.turn += 1;
        let Some(holder) = self.requests.get_mut(&id) else { return };
        holder.bytes += bytes;
        holder.turn = Some(self.turn);
        holder.progressed_at = now;
        self.bytes += bytes;
        if let Some(owner) = self.owners.get_mut(&holder.owner) {
            owner.bytes += bytes;
            owner.arriving.insert(self.turn, id);
        }
    }

    /// Takes a request out of those that wait and of those that may end.
    fn rest(&mut self, id: u64) {
        let Some(holder) = self.requests.get_mut(&id) else { return };
        if let Some(turn) = holder.waits.take() {
            self.waiting.remove(&turn);
        }
        if let Some(turn) = holder.turn.take()
            && let Some(owner) = self.owners.get_mut(&holder.owner)
        {
            owner.arriving.remove(&turn);
        }
    }

    fn wait(&mut self, id: u64, bytes: usize) {
        self.turn += 1;
        let Some(holder) = self.requests.get_mut(&id) else { return };
        // One that asks again keeps its turn.
        let turn = *holder.waits.get_or_insert(self.turn);
        self.waiting.insert(turn, (id, bytes));
    }

    fn remove(&mut self, id: u64, bytes: usize, budget: &RequestBudget) -> Vec<Arc<Signal>> {
        let Some(holder) = self.requests.get_mut(&id) else { return Vec::new() };
        let bytes = bytes.min(holder.bytes);
        holder.bytes -= bytes;
        let is_empty = holder.bytes == 0;
        self.bytes -= bytes;
        if let Some(owner) = self.owners.get_mut(&holder.owner) {
            owner.bytes -= bytes;
        }
        if is_empty {
            self.rest(id);
        }
        self.next(budget)
    }

    fn forget(&mut self, id: u64) {
        self.rest(id);
        let Some(holder) = self.requests.remove(&id) else { return };
        self.bytes -= holder.bytes;
        if let Some(owner) = self.owners.get_mut(&holder.owner) {
            owner.bytes -= holder.bytes;
            owner.requests -= 1;
            if owner.requests == 0 {
                self.owners.remove(&holder.owner);
            }
        }
    }

    /// Those that wait and for which there is room now: they ask again.
    fn next(&self, budget: &RequestBudget) -> Vec<Arc<Signal>> {
        let mut room = budget.bytes_max.saturating_sub(self.bytes);
        let mut woken = Vec::new();
        for (id, bytes) in self.waiting.values().take(LOOKED_AT_MAX) {
            let Some(holder) = self.requests.get(id) else { continue };
            let has_share = self.owners[&holder.owner].bytes + bytes <= budget.share_max;
            if has_share && let Some(rest) = room.checked_sub(*bytes) {
                room = rest;
                woken.push(holder.signal.clone());
            }
        }
        woken
    }
}

impl Owner {
    /// The body that has made no progress for longest, but for `id`.
    fn oldest(&self, id: u64) -> Option<(u64, u64)> {
        self.arriving.iter().map(|(turn, id)| (*turn, *id)).find(|(_, other)| *other != id)
    }
}

fn wake(signals: Vec<Arc<Signal>>) {
    for signal in signals {
        signal.task.wake();
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::log_sampler::tests::logged;
    use crate::transport::unsent::Unsent;

    const NEVER: Duration = Duration::MAX;

    fn budget(stale_after: Duration) -> Arc<RequestBudget> {
        Arc::new(RequestBudget::with(100, stale_after))
    }

    fn request(budget: &Arc<RequestBudget>, owner: &str) -> RequestBytes {
        let request = RequestBytes::new(budget.clone());
        request.set_owner(owner);
        request
    }

    /// Whether there is room for `bytes` more.
    fn count(request: &RequestBytes, bytes: usize) -> bool {
        matches!(request.poll_count(bytes, &mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(())))
    }

    fn has_ended(request: &RequestBytes) -> bool {
        request.is_displaced(Waker::noop())
    }

    #[test]
    fn a_root_key_has_a_share_and_spends_it_on_what_goes_on() {
        let budget = budget(Duration::ZERO);
        let all: Vec<_> = (0..3).map(|_| request(&budget, "a")).collect();
        assert!(all.iter().all(|one| count(one, 25)));
        // The first goes on, so that the second is the one without progress.
        assert!(count(&all[0], 5));
        assert_eq!(all.iter().map(has_ended).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!((budget.bytes(), budget.ended()[0]), (55, ("displaced", 1)));
        assert!(!count(&all[1], 1));
        drop(all);
        assert_eq!(budget.bytes(), 0);
        let holders = budget.lock();
        assert!(holders.owners.is_empty() && holders.requests.is_empty() && holders.waiting.is_empty());
    }

    #[test]
    fn what_goes_on_is_waited_for() {
        let budget = budget(NEVER);
        let [first, second] = [(); 2].map(|()| request(&budget, "a"));
        assert!(count(&first, 50) && !count(&second, 50));
        assert!(!has_ended(&first) && !has_ended(&second));
        // As much as is handled is free again, as is what ends.
        first.handled(30);
        assert!(count(&second, 50) && !count(&second, 10));
        drop(first);
        assert!(count(&second, 10));
        // One alone may take all, and more.
        assert!(count(&second, 500));
    }

    #[test]
    fn who_holds_most_makes_room_whether_or_not_it_goes_on() {
        let budget = budget(NEVER);
        let [first, second] = [(); 2].map(|()| request(&budget, "greedy"));
        assert!(count(&first, 40) && count(&second, 35));
        let other = request(&budget, "other");
        assert!(count(&other, 25) && !has_ended(&first));
        assert!(count(&other, 5) && has_ended(&first) && !has_ended(&second));
        // Who holds more than others takes nothing from them.
        assert!(count(&other, 35) && !count(&other, 10) && !has_ended(&second));
    }

    #[test]
    fn what_is_whole_is_not_ended() {
        let budget = budget(Duration::ZERO);
        let [whole, half] = [(); 2].map(|()| request(&budget, "greedy"));
        assert!(count(&whole, 50));
        whole.complete(20);
        let other = request(&budget, "other");
        assert!(count(&half, 5) && count(&other, 25));
        assert!(!count(&other, 20), "it waits");
        assert!(!has_ended(&whole) && has_ended(&half));
        drop(whole);
        assert!(count(&other, 20));
    }

    #[test]
    fn the_log_names_whose_request_ended() {
        let budget = budget(NEVER);
        let peer = "192.0.2.1:5".parse().unwrap();
        let unsent = Arc::new(Unsent::new(0));
        let connection = ConnectionState::new(peer, CancellationToken::new(), unsent, budget.clone());
        let unknown = logged(|| budget.log_late(None, &connection));
        assert!(unknown.contains("reason=\"late\" peer=192.0.2.1:5 suppressed=0"), "{unknown}");
        connection.authenticated("key_1");
        let log = logged(|| {
            budget.log_displaced(None, &connection);
            budget.log_displaced(Some("key_2"), &connection);
        });
        assert_eq!(log.matches("a request was ended").count(), 1, "{log}");
        assert!(log.contains("reason=\"displaced\" root_key_id=\"key_1\" peer=192.0.2.1:5 suppressed=0"), "{log}");
    }
}
