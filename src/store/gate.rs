//! Who may read a list now.
//!
//! Lists read much. Few are made at once, on connections of their own; the others wait, for a second at most. Keyspaces
//! take turns, and none has all places, so that one that is listed without end does not keep others from theirs. A place
//! is held for as long as the page is: so places bound the memory of pages too.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::StoreError;

/// Most lists made at once.
pub const PLACES_MAX: usize = 4;
/// Lists that wait.
const WAITING_MAX: usize = 256;
/// Lists of one keyspace that wait.
const WAITING_OF_ONE_MAX: usize = 64;
/// How long one waits.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// What lists are being made, and what became of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListStats {
    /// Lists that are being made.
    pub running: u64,
    /// Lists that wait.
    pub waiting: u64,
    /// Lists that were refused because there was no place for them in time.
    pub refused: u64,
    /// Lists that took longer than they may.
    pub timed_out: u64,
}

/// The places, and those who wait for one.
#[derive(Debug)]
pub struct ListGate {
    state: Mutex<State>,
    refused: AtomicU64,
    timed_out: AtomicU64,
}

#[derive(Debug)]
struct State {
    /// How many lists may be made at once.
    places: usize,
    /// How many lists of each keyspace are being made; those of none are not in here.
    running: HashMap<String, usize>,
    /// Who waits, by keyspace; the first has its turn next. None is empty.
    queues: VecDeque<(String, VecDeque<oneshot::Sender<ListPlace>>)>,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub struct ListPlace {
    gate: Arc<ListGate>,
    keyspace: String,
}

/// A page, and the place that it takes among lists until it is dropped.
#[derive(Debug)]
pub struct HeldPage<T> {
    /// The page.
    pub page: T,
    /// The place.
    pub place: ListPlace,
}

impl Default for ListGate {
    fn default() -> Self {
        let state = State { places: PLACES_MAX, running: HashMap::new(), queues: VecDeque::new() };
        Self { state: Mutex::new(state), refused: AtomicU64::new(0), timed_out: AtomicU64::new(0) }
    }
}

impl ListGate {
    /// Allows so many lists at once: at least one, and no more than there are connections.
    pub fn limit(&self, places: usize) {
        self.lock().places = places.clamp(1, PLACES_MAX);
    }

    /// A place for a list of `keyspace`; lists of several keyspaces are of "".
    pub async fn admit(self: &Arc<Self>, keyspace: &str) -> Result<ListPlace, StoreError> {
        let waiting = {
            let mut state = self.lock();
            state.forget_gone();
            if state.has_place_for(keyspace) && state.waiting_of(keyspace) == 0 {
                return Ok(self.place(&mut state, keyspace));
            }
            if state.waiting() >= WAITING_MAX || state.waiting_of(keyspace) >= WAITING_OF_ONE_MAX {
                drop(state);
                return Err(self.refuse());
            }
            let (sender, waiting) = oneshot::channel();
            match state.queues.iter_mut().find(|(of, _)| of == keyspace) {
                Some((_, queue)) => queue.push_back(sender),
                None => state.queues.push_back((keyspace.to_owned(), VecDeque::from([sender]))),
            }
            waiting
        };
        match timeout(WAIT_MAX, waiting).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(self.refuse()),
        }
    }

    /// What there is to tell.
    pub fn stats(&self) -> ListStats {
        let mut state = self.lock();
        state.forget_gone();
        ListStats {
            running: state.running.values().sum::<usize>() as u64,
            waiting: state.waiting() as u64,
            refused: self.refused.load(Ordering::Relaxed),
            timed_out: self.timed_out.load(Ordering::Relaxed),
        }
    }

    /// `result`, noted if the list took too long.
    pub fn noted<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if matches!(result, Err(StoreError::TimedOut(_))) {
            self.timed_out.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    fn refuse(&self) -> StoreError {
        self.refused.fetch_add(1, Ordering::Relaxed);
        StoreError::ListsBusy
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(self: &Arc<Self>, state: &mut State, keyspace: &str) -> ListPlace {
        *state.running.entry(keyspace.to_owned()).or_default() += 1;
        ListPlace { gate: self.clone(), keyspace: keyspace.to_owned() }
    }

    /// Gives free places to those whose turn it is.
    fn hand_on(self: &Arc<Self>) {
        // A place for somebody who left meanwhile is dropped once the lock is released.
        let mut unwanted = Vec::new();
        let mut state = self.lock();
        state.forget_gone();
        while let Some(turn) = state.queues.iter().position(|(keyspace, _)| state.has_place_for(keyspace)) {
            let Some((keyspace, mut queue)) = state.queues.remove(turn) else { break };
            if let Some(sender) = queue.pop_front() {
                unwanted.extend(sender.send(self.place(&mut state, &keyspace)).err());
            }
            if !queue.is_empty() {
                state.queues.push_back((keyspace, queue));
            }
        }
        drop(state);
    }
}

impl State {
    fn has_place_for(&self, keyspace: &str) -> bool {
        // One is left for others.
        let most_of_one = (self.places - 1).max(1);
        self.running.values().sum::<usize>() < self.places
            && self.running.get(keyspace).is_none_or(|running| *running < most_of_one)
    }

    fn waiting(&self) -> usize {
        self.queues.iter().map(|(_, queue)| queue.len()).sum()
    }

    fn waiting_of(&self, keyspace: &str) -> usize {
        self.queues.iter().find(|(of, _)| of == keyspace).map_or(0, |(_, queue)| queue.len())
    }

    /// Those who gave up do not wait.
    fn forget_gone(&mut self) {
        self.queues.retain_mut(|(_, queue)| {
            queue.retain(|sender| !sender.is_closed());
            !queue.is_empty()
        });
    }
}

impl Drop for ListPlace {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        if let Some(running) = state.running.get_mut(&self.keyspace) {
            *running -= 1;
            if *running == 0 {
                state.running.remove(&self.keyspace);
            }
        }
        drop(state);
        self.gate.hand_on();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    type Waiting<'g> = Pin<Box<dyn Future<Output = Result<ListPlace, StoreError>> + 'g>>;

    fn poll(waiting: &mut Waiting<'_>) -> Poll<Result<ListPlace, StoreError>> {
        waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    fn is_admitted(waiting: &mut Waiting<'_>) -> Option<ListPlace> {
        match poll(waiting) {
            Poll::Ready(Ok(place)) => Some(place),
            Poll::Ready(Err(error)) => panic!("{error}"),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn one_keyspace_leaves_a_place_to_others_and_keyspaces_take_turns() {
        let gate = Arc::new(ListGate::default());
        let mut running: Vec<_> = Vec::new();
        for _ in 0..3 {
            running.push(gate.admit("big").await.unwrap());
        }
        let mut of_big: Vec<Waiting<'_>> = (0..3).map(|_| Box::pin(gate.admit("big")) as _).collect();
        assert!(of_big.iter_mut().all(|waiting| is_admitted(waiting).is_none()));
        let small = gate.admit("small").await.unwrap();
        let mut of_small: Waiting<'_> = Box::pin(gate.admit("small"));
        assert!(is_admitted(&mut of_small).is_none(), "all places are taken");
        assert_eq!(gate.stats(), ListStats { running: 4, waiting: 4, ..ListStats::default() });
        // One that gave up is not waited for.
        drop(of_big.remove(0));
        drop(running.pop());
        let first = is_admitted(&mut of_big[0]).expect("the first in turn");
        assert!(is_admitted(&mut of_small).is_none());
        drop(first);
        let second = is_admitted(&mut of_small).expect("the other keyspace's turn");
        assert!(is_admitted(&mut of_big[1]).is_none());
        drop((second, small));
        drop(is_admitted(&mut of_big[1]).expect("nobody else waits"));
        drop(running);
        assert_eq!(gate.stats(), ListStats::default());
        gate.limit(0);
        let _only = gate.admit("big").await.unwrap();
        assert!(is_admitted(&mut (Box::pin(gate.admit("small")) as Waiting<'_>)).is_none());
    }

    #[tokio::test]
    async fn what_gets_no_place_in_time_is_refused() {
        let gate = Arc::new(ListGate::default());
        let running =
            [gate.admit("big").await.unwrap(), gate.admit("big").await.unwrap(), gate.admit("big").await.unwrap()];
        assert!(matches!(gate.admit("big").await, Err(StoreError::ListsBusy)));
        let mut waiting: Vec<Waiting<'_>> = (0..WAITING_OF_ONE_MAX).map(|_| Box::pin(gate.admit("big")) as _).collect();
        assert!(waiting.iter_mut().all(|waiting| poll(waiting).is_pending()));
        let mut one_more: Waiting<'_> = Box::pin(gate.admit("big"));
        assert!(matches!(poll(&mut one_more), Poll::Ready(Err(StoreError::ListsBusy))), "at once");
        assert_eq!(gate.stats(), ListStats { running: 3, waiting: 64, refused: 2, timed_out: 0 });
        drop(running);
        drop(waiting);
        gate.admit("big").await.unwrap();
    }
}
