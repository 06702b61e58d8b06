//! Places for calls of one kind, and a short, fair queue before them.
//!
//! Callers take turns, and none has more than a share of the places. A call that waits holds nothing but its request as
//! it arrived. While a caller's calls wait for long, more of them would only make all of its answers late: a new call is
//! refused at once, which costs least.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::clock::Clock;

/// How many calls of a kind run and wait, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most calls that run.
    pub running_max: usize,
    /// Most of them of one caller.
    pub share_max: usize,
    /// Most calls that wait.
    pub waiting_max: usize,
    /// How long a call waits.
    pub wait_max: Duration,
    /// A new call is refused at once while the oldest of its caller's that wait has waited for longer than this.
    pub wait_target: Duration,
}

/// The places and the queue.
pub struct Queue {
    limits: Limits,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

/// A place: given back when it is dropped.
pub struct Place {
    /// `None`: it was given back.
    of: Option<(Arc<Queue>, Arc<str>)>,
}

/// Why there is no place: too many wait already, or it did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

#[derive(Default)]
struct State {
    running: usize,
    waiting: usize,
    /// Callers that have calls running or waiting.
    callers: HashMap<Arc<str>, Calls>,
    /// Callers that have calls waiting, the next one first.
    turns: VecDeque<Arc<str>>,
    tickets: u64,
}

/// The calls of one caller.
#[derive(Default)]
struct Calls {
    running: usize,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    ticket: u64,
    since: Duration,
    place: oneshot::Sender<Place>,
}

/// Takes a call out of the queue that stops waiting.
struct Leaving<'q> {
    queue: &'q Queue,
    caller: &'q str,
    ticket: u64,
}

impl Queue {
    /// Places within `limits`.
    pub fn new(limits: Limits, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { limits, clock, state: Mutex::default() })
    }

    /// A place for a call of `caller`, at once or when it is the caller's turn.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn enter(self: &Arc<Self>, caller: &Arc<str>) -> Result<Place, Busy> {
        let (ticket, receiver) = {
            let mut state = self.lock();
            if state.running < self.limits.running_max && state.may_run(caller, self.limits.share_max) {
                state.start(caller);
                return Ok(self.place(caller.clone()));
            }
            let now = self.clock.elapsed();
            if state.is_late(caller, now, self.limits.wait_target)
                || (state.waiting >= self.limits.waiting_max && !state.displace(caller))
            {
                return Err(Busy);
            }
            let (place, receiver) = oneshot::channel();
            (state.wait(caller, now, place), receiver)
        };
        let _leaving = Leaving { queue: self, caller, ticket };
        timeout(self.limits.wait_max, receiver).await.map_err(|_| Busy)?.map_err(|_| Busy)
    }

    /// Whether a call of `caller` would be refused at once, as its calls wait for long.
    pub fn is_late(&self, caller: &str) -> bool {
        self.lock().is_late(caller, self.clock.elapsed(), self.limits.wait_target)
    }

    /// How many calls run, and how many wait.
    pub fn load(&self) -> (usize, usize) {
        let state = self.lock();
        (state.running, state.waiting)
    }

    fn place(self: &Arc<Self>, caller: Arc<str>) -> Place {
        Place { of: Some((self.clone(), caller)) }
    }

    /// Gives a place of `caller` to whoever is next.
    fn leave(self: &Arc<Self>, caller: &str) {
        self.lock().stop(caller);
        loop {
            let Some((caller, waiting)) = self.lock().next(&self.limits) else { return };
            let Err(mut unwanted) = waiting.place.send(self.place(caller.clone())) else { return };
            // The call is gone already. Not by dropping the place, which would come back here.
            unwanted.of = None;
            self.lock().stop(&caller);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether a call of `caller` may run before those that wait: none of its own does, and no other could run instead.
    fn may_run(&self, caller: &str, share_max: usize) -> bool {
        let has_share = |calls: &Calls| calls.running < share_max;
        self.callers.get(caller).is_none_or(|calls| calls.waiting.is_empty() && has_share(calls))
            && !self.turns.iter().any(|waiting| self.callers.get(waiting).is_some_and(has_share))
    }

    fn start(&mut self, caller: &Arc<str>) {
        self.running += 1;
        self.callers.entry(caller.clone()).or_default().running += 1;
    }

    fn stop(&mut self, caller: &str) {
        self.running -= 1;
        if let Some(calls) = self.callers.get_mut(caller) {
            calls.running -= 1;
        }
        self.forget(caller);
    }

    /// Whether the oldest call of `caller` that waits has waited for longer than `target`.
    fn is_late(&self, caller: &str, now: Duration, target: Duration) -> bool {
        let oldest = self.callers.get(caller).and_then(|calls| calls.waiting.front());
        oldest.is_some_and(|oldest| now.saturating_sub(oldest.since) > target)
    }

    fn wait(&mut self, caller: &Arc<str>, since: Duration, place: oneshot::Sender<Place>) -> u64 {
        self.tickets += 1;
        self.waiting += 1;
        let calls = self.callers.entry(caller.clone()).or_default();
        if calls.waiting.is_empty() {
            self.turns.push_back(caller.clone());
        }
        calls.waiting.push_back(Waiting { ticket: self.tickets, since, place });
        self.tickets
    }

    /// The next call to run, which is noted as running.
    fn next(&mut self, limits: &Limits) -> Option<(Arc<str>, Waiting)> {
        if self.running >= limits.running_max {
            return None;
        }
        for _ in 0..self.turns.len() {
            let caller = self.turns.pop_front()?;
            let calls = self.callers.get_mut(&caller)?;
            if calls.running >= limits.share_max {
                self.turns.push_back(caller);
                continue;
            }
            let waiting = calls.waiting.pop_front()?;
            if !calls.waiting.is_empty() {
                self.turns.push_back(caller.clone());
            }
            self.waiting -= 1;
            self.start(&caller);
            return Some((caller, waiting));
        }
        None
    }

    /// Makes room for a call of `caller` at the cost of the caller with the most calls waiting, if that is another.
    fn displace(&mut self, caller: &str) -> bool {
        let of = |caller: &str| self.callers.get(caller).map_or(0, |calls| calls.waiting.len());
        let own = of(caller);
        let Some(longest) = self.turns.iter().max_by_key(|caller| of(caller)).cloned() else { return false };
        if of(&longest) <= own + 1 {
            return false;
        }
        let newest = self.callers.get(&longest).and_then(|calls| calls.waiting.back()).map(|waiting| waiting.ticket);
        newest.is_some_and(|ticket| self.remove(&longest, ticket))
    }

    /// Takes a call that waits out of the queue. Whether it was there: its sender is dropped, so that it learns of it.
    fn remove(&mut self, caller: &str, ticket: u64) -> bool {
        let Some(calls) = self.callers.get_mut(caller) else { return false };
        let Some(at) = calls.waiting.iter().position(|waiting| waiting.ticket == ticket) else { return false };
        calls.waiting.remove(at);
        self.waiting -= 1;
        if calls.waiting.is_empty() {
            self.turns.retain(|waiting| &**waiting != caller);
        }
        self.forget(caller);
        true
    }

    /// Forgets a caller that has no calls.
    fn forget(&mut self, caller: &str) {
        if self.callers.get(caller).is_some_and(|calls| calls.running == 0 && calls.waiting.is_empty()) {
            self.callers.remove(caller);
        }
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.queue.lock().remove(self.caller, self.ticket);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((queue, caller)) = self.of.take() {
            queue.leave(&caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, SystemClock, Timestamp};

    const WAIT_MAX: Duration = Duration::from_millis(50);

    fn queue(running_max: usize, share_max: usize, waiting_max: usize) -> Arc<Queue> {
        let limits = Limits { running_max, share_max, waiting_max, wait_max: WAIT_MAX, wait_target: WAIT_MAX };
        Queue::new(limits, Arc::new(SystemClock))
    }

    fn named(name: &str) -> Arc<str> {
        name.into()
    }

    #[tokio::test]
    async fn a_call_that_gets_no_place_in_time_is_shed_and_leaves_nothing_behind() {
        let queue = queue(1, 1, 10);
        let first = queue.enter(&named("a")).await.unwrap();
        assert_eq!(queue.enter(&named("b")).await.err(), Some(Busy));
        assert_eq!(queue.load(), (1, 0));
        drop(first);
        assert_eq!(queue.load(), (0, 0));
        assert!(queue.lock().callers.is_empty());
        drop(queue.enter(&named("b")).await.unwrap());
    }

    #[tokio::test]
    async fn callers_take_turns_however_many_calls_one_of_them_has_waiting() {
        let queue = queue(1, 1, 100);
        let running = queue.enter(&named("flood")).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let (flood, other) = (named("flood"), named("other"));
        let wait = |caller: Arc<str>| {
            let (queue, order) = (queue.clone(), order.clone());
            async move {
                let place = queue.enter(&caller).await;
                order.lock().unwrap().push(caller.to_string());
                drop(place.unwrap());
            }
        };
        tokio::join!(wait(flood.clone()), wait(flood.clone()), wait(flood), wait(other), async { drop(running) });
        assert_eq!(*order.lock().unwrap(), ["flood", "other", "flood", "flood"]);
    }

    #[tokio::test]
    async fn one_caller_has_no_more_than_its_share() {
        let queue = queue(4, 3, 10);
        let (flood, other) = (named("flood"), named("other"));
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(queue.enter(&flood).await.unwrap());
        }
        assert_eq!(queue.enter(&flood).await.err(), Some(Busy));
        let (waits, other) = tokio::join!(queue.enter(&flood), queue.enter(&other));
        assert_eq!(waits.err(), Some(Busy));
        drop(other.unwrap());
    }

    #[tokio::test]
    async fn a_full_queue_makes_room_for_a_caller_who_has_fewer_calls_waiting() {
        let queue = queue(1, 1, 2);
        let running = queue.enter(&named("flood")).await.unwrap();
        let flood = named("flood");
        let (first, second, other, ()) = tokio::join!(
            queue.enter(&flood),
            queue.enter(&flood),
            async { queue.enter(&named("other")).await.map(drop) },
            async { drop(running) },
        );
        assert!(first.is_ok());
        drop(first);
        assert_eq!(second.err(), Some(Busy));
        assert_eq!(other, Err(Busy), "the first holds its place, as long as it is not dropped");
        assert_eq!(queue.load(), (0, 0));
    }

    #[tokio::test]
    async fn a_caller_whose_calls_wait_for_long_is_refused_at_once_and_others_are_not() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
        let limits = Limits {
            running_max: 1,
            share_max: 1,
            waiting_max: 10,
            wait_max: Duration::from_mins(1),
            wait_target: WAIT_MAX,
        };
        let queue = Queue::new(limits, clock.clone());
        let (flood, other) = (named("flood"), named("other"));
        let running = queue.enter(&flood).await.unwrap();
        let mut first = Box::pin(queue.enter(&flood));
        assert!(futures_util::poll!(&mut first).is_pending());
        clock.advance(WAIT_MAX);
        let mut second = Box::pin(queue.enter(&flood));
        assert!(futures_util::poll!(&mut second).is_pending(), "the first has waited for as long as is meant");
        clock.advance(Duration::from_millis(1));
        assert!(queue.is_late("flood") && !queue.is_late("other"));
        assert_eq!(queue.enter(&flood).await.err(), Some(Busy));
        let mut third = Box::pin(queue.enter(&other));
        assert!(futures_util::poll!(&mut third).is_pending());
        drop(running);
        drop(first.await.unwrap());
        assert!(!queue.is_late("flood"), "the second came later");
        drop((second, third));
        assert_eq!(queue.load(), (0, 0));
    }

    #[tokio::test]
    async fn a_place_that_comes_to_a_call_that_is_gone_goes_to_the_next() {
        let queue = queue(1, 1, 10);
        let running = queue.enter(&named("a")).await.unwrap();
        let (b, c) = (named("b"), named("c"));
        let mut gone = Box::pin(queue.enter(&b));
        let mut next = Box::pin(queue.enter(&c));
        assert!(futures_util::poll!(&mut gone).is_pending());
        assert!(futures_util::poll!(&mut next).is_pending());
        drop(running);
        drop(gone);
        drop(next.await.unwrap());
        assert_eq!(queue.load(), (0, 0));
    }
}
