//! Async places with limits, and a short, fair queue before them.
//!
//! Keys take turns, and none has more than a share of the places. What waits holds nothing but its ticket. While what waits
//! of a key waits for long, more of it would only make all answers late: it is refused at once, which costs least.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::turns::{Bounds, Turns};
use crate::clock::Clock;

/// How many places there are, and how much waits for them.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most places that are taken at once.
    pub running_max: usize,
    /// Most of them by one key.
    pub share_max: usize,
    /// How many wait.
    pub waiting: Bounds,
}

/// How long something waits for its place.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// The longest wait.
    pub max: Duration,
    /// More of a key is refused at once while the oldest that waits of it has waited for longer than this.
    pub target: Duration,
}

/// The places and the queue.
pub struct Places {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

/// A place: given back when it is dropped.
pub struct Place {
    /// `None`: it was given back.
    of: Option<(Arc<Places>, Arc<str>)>,
}

/// What is admitted to the places: it has one, or waits for one. Dropped, it leaves the queue.
pub struct Ticket(Entry);

enum Entry {
    Admitted(Place),
    Waiting { receiver: oneshot::Receiver<Place>, wait_max: Duration, leaving: Leaving },
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// Too many wait already, or wait for long.
    Full,
    /// No place came in time.
    Late,
}

struct State {
    running_max: usize,
    share_max: usize,
    running: usize,
    /// How many places each key has; those with none are not in here.
    running_of: HashMap<Arc<str>, usize>,
    waiting: Turns<Waiting>,
    last_id: u64,
}

struct Waiting {
    id: u64,
    since: Duration,
    place: oneshot::Sender<Place>,
}

/// Takes out of the queue what stops waiting.
struct Leaving {
    places: Arc<Places>,
    key: Box<str>,
    id: u64,
}

impl Wait {
    /// At most this long, however long others of the key wait.
    pub const fn up_to(max: Duration) -> Self {
        Self { max, target: Duration::MAX }
    }
}

impl Places {
    /// Places within `limits`.
    pub fn new(limits: Limits, clock: Arc<dyn Clock>) -> Arc<Self> {
        let Limits { running_max, share_max, waiting } = limits;
        let state = State {
            running_max,
            share_max,
            running: 0,
            running_of: HashMap::new(),
            waiting: Turns::new(waiting),
            last_id: 0,
        };
        Arc::new(Self { clock, state: Mutex::new(state) })
    }

    /// Admits something of `key`, which has its place at once or waits for the key's turn.
    ///
    /// # Errors
    /// Too many wait already, or wait for long.
    pub fn enter(self: &Arc<Self>, key: &str, wait: Wait) -> Result<Ticket, Busy> {
        let mut state = self.lock();
        // What waits could not have this place: it would have it already.
        if state.has_place_for(key) {
            let key = state.start(key);
            return Ok(Ticket(Entry::Admitted(self.place(key))));
        }
        let now = self.clock.elapsed();
        if state.is_late(key, now, wait.target) {
            return Err(Busy::Full);
        }
        state.last_id += 1;
        let (id, (place, receiver)) = (state.last_id, oneshot::channel());
        // What is displaced learns of it, because its sender is dropped.
        state.waiting.push_or_displace(key, Waiting { id, since: now, place }).map_err(|_| Busy::Full)?;
        let leaving = Leaving { places: self.clone(), key: key.into(), id };
        Ok(Ticket(Entry::Waiting { receiver, wait_max: wait.max, leaving }))
    }

    /// Waits for a place for something of `key`.
    ///
    /// # Errors
    /// See [`Busy`].
    pub async fn acquire(self: &Arc<Self>, key: &str, wait: Wait) -> Result<Place, Busy> {
        self.enter(key, wait)?.place().await
    }

    /// Returns whether something of `key` would be refused at once: others of it wait for long, or too many wait.
    pub fn refuses(&self, key: &str, wait: Wait) -> bool {
        let state = self.lock();
        !state.has_place_for(key)
            && (state.is_late(key, self.clock.elapsed(), wait.target) || !state.waiting.has_room_for(key))
    }

    /// Changes how many places there are. Those that are taken stay so.
    pub fn resize(self: &Arc<Self>, running_max: usize, share_max: usize) {
        let mut state = self.lock();
        (state.running_max, state.share_max) = (running_max, share_max);
        self.hand_on(&mut state);
    }

    /// Returns how many places are taken, and how many wait for one.
    pub fn load(&self) -> (usize, usize) {
        let state = self.lock();
        (state.running, state.waiting.count())
    }

    fn place(self: &Arc<Self>, key: Arc<str>) -> Place {
        Place { of: Some((self.clone(), key)) }
    }

    /// Gives free places to those whose turn it is.
    fn hand_on(self: &Arc<Self>, state: &mut State) {
        while let Some((key, waiting)) = state.next() {
            if let Err(mut unwanted) = waiting.place.send(self.place(key.clone())) {
                // It has just stopped waiting. Not by dropping the place, which would take the lock again.
                unwanted.of = None;
                state.stop(&key);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_place_for(&self, key: &str) -> bool {
        self.running < self.running_max && self.running_of.get(key).is_none_or(|running| *running < self.share_max)
    }

    /// Whether the oldest that waits of `key` has waited for longer than `target`.
    fn is_late(&self, key: &str, now: Duration, target: Duration) -> bool {
        self.waiting.first_of(key).is_some_and(|oldest| now.saturating_sub(oldest.since) > target)
    }

    fn start(&mut self, key: &str) -> Arc<str> {
        self.running += 1;
        let known = self.running_of.get_key_value(key).map(|(key, _)| key.clone());
        let key = known.unwrap_or_else(|| key.into());
        *self.running_of.entry(key.clone()).or_default() += 1;
        key
    }

    fn stop(&mut self, key: &str) {
        self.running -= 1;
        if let Some(running) = self.running_of.get_mut(key) {
            *running -= 1;
            if *running == 0 {
                self.running_of.remove(key);
            }
        }
    }

    /// Returns what is to have a place next, which is noted as running.
    fn next(&mut self) -> Option<(Arc<str>, Waiting)> {
        let Self { running, running_max, running_of, share_max, waiting, .. } = self;
        if *running >= *running_max {
            return None;
        }
        let (key, next) = waiting.pop(|key, _| running_of.get(key).is_none_or(|running| *running < *share_max))?;
        Some((self.start(&key), next))
    }
}

impl Ticket {
    /// Waits for the place.
    ///
    /// # Errors
    /// See [`Busy`].
    pub async fn place(self) -> Result<Place, Busy> {
        match self.0 {
            Entry::Admitted(place) => Ok(place),
            Entry::Waiting { receiver, wait_max, leaving } => {
                let place = timeout(wait_max, receiver).await.map_err(|_| Busy::Late)?.map_err(|_| Busy::Full);
                drop(leaving);
                place
            }
        }
    }

    /// Whether it has its place already.
    pub fn is_admitted(&self) -> bool {
        matches!(self.0, Entry::Admitted(_))
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let left = self.places.lock().waiting.remove(&self.key, |waiting| waiting.id == self.id);
        drop(left);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((places, key)) = self.of.take() {
            let mut state = places.lock();
            state.stop(&key);
            places.hand_on(&mut state);
        }
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (running, waiting) = self.load();
        f.debug_struct("Places").field("running", &running).field("waiting", &waiting).finish_non_exhaustive()
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("key", &self.of.as_ref().map(|(_, key)| key)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};

    use futures_util::poll;

    use super::*;
    use crate::clock::{ManualClock, Timestamp};

    /// Long enough for any machine, and waited for in no test.
    const LONG: Wait = Wait::up_to(Duration::from_hours(1));
    const SHORT: Wait = Wait::up_to(Duration::from_millis(5));

    fn places(running_max: usize, share_max: usize, waiting_max: usize) -> Arc<Places> {
        let waiting = Bounds { all: waiting_max, of_one: waiting_max };
        let clock = ManualClock::new(Timestamp::from_micros(0));
        Places::new(Limits { running_max, share_max, waiting }, Arc::new(clock))
    }

    type Coming = Pin<Box<dyn Future<Output = Result<Place, Busy>>>>;

    fn enter(places: &Arc<Places>, key: &str) -> Coming {
        Box::pin(places.enter(key, LONG).expect("there is room").place())
    }

    async fn has_come(coming: &mut Coming) -> Option<Place> {
        match poll!(coming) {
            std::task::Poll::Ready(place) => Some(place.expect("a place")),
            std::task::Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn what_gets_no_place_in_time_leaves_nothing_behind() {
        let places = places(1, 1, 10);
        let first = enter(&places, "a").await.unwrap();
        let late = places.enter("b", SHORT).unwrap();
        assert!(!late.is_admitted());
        assert_eq!(late.place().await.err(), Some(Busy::Late));
        assert_eq!(places.load(), (1, 0));
        drop(places.enter("c", LONG));
        assert_eq!(places.load(), (1, 0), "it was never waited for");
        drop(first);
        assert_eq!(places.load(), (0, 0));
        assert!(places.lock().running_of.is_empty());
        assert!(places.enter("b", SHORT).unwrap().is_admitted());
    }

    #[tokio::test]
    async fn keys_take_turns_and_one_leaves_places_to_others() {
        let places = places(4, 3, 100);
        let mut running = Vec::new();
        for _ in 0..3 {
            running.push(enter(&places, "flood").await.unwrap());
        }
        let mut flood: Vec<_> = (0..3).map(|_| enter(&places, "flood")).collect();
        let other = enter(&places, "other").await.expect("the place that is left");
        let mut others = enter(&places, "other");
        assert_eq!(places.load(), (4, 4));
        // One that stopped waiting has no turn.
        drop(flood.remove(0));
        running.pop();
        let first = has_come(&mut flood[0]).await.expect("the first in turn");
        assert!(has_come(&mut others).await.is_none());
        drop(first);
        let second = has_come(&mut others).await.expect("the other key's turn");
        assert!(has_come(&mut flood[1]).await.is_none());
        drop((second, other));
        assert!(has_come(&mut flood[1]).await.is_some());
        drop((flood, running));
        assert_eq!(places.load(), (0, 0));
    }

    #[tokio::test]
    async fn a_full_queue_makes_room_for_a_key_with_less_in_it() {
        let places = places(1, 1, 2);
        let running = enter(&places, "flood").await.unwrap();
        let (mut first, second) = (enter(&places, "flood"), enter(&places, "flood"));
        assert_eq!(places.enter("flood", LONG).err(), Some(Busy::Full));
        let other = enter(&places, "other");
        assert_eq!(second.await.err(), Some(Busy::Full), "it was displaced");
        drop(running);
        assert!(has_come(&mut first).await.is_some());
        drop(other.await.unwrap());
    }

    #[tokio::test]
    async fn a_place_that_comes_to_what_is_gone_goes_to_the_next() {
        let places = places(1, 1, 10);
        let running = enter(&places, "a").await.unwrap();
        let gone = enter(&places, "b");
        let next = pin!(enter(&places, "c"));
        drop(running);
        assert_eq!(places.load(), (1, 1));
        drop(gone);
        drop(next.await.unwrap());
        assert_eq!(places.load(), (0, 0));
    }

    #[tokio::test]
    async fn a_key_that_waits_for_long_is_refused_at_once_and_others_are_not() {
        let clock = ManualClock::new(Timestamp::from_micros(0));
        let limits = Limits { running_max: 1, share_max: 1, waiting: Bounds { all: 10, of_one: 10 } };
        let places = Places::new(limits, Arc::new(clock.clone()));
        let wait = Wait { target: Duration::from_millis(50), ..LONG };
        let running = enter(&places, "flood").await.unwrap();
        let mut first = enter(&places, "flood");
        clock.advance(wait.target);
        let second = places.enter("flood", wait).expect("the first has waited for as long as is meant");
        clock.advance(Duration::from_millis(1));
        assert!(places.refuses("flood", wait) && !places.refuses("other", wait));
        assert_eq!(places.enter("flood", wait).err(), Some(Busy::Full));
        let other = places.enter("other", wait).expect("none of its waits");
        drop(running);
        drop(has_come(&mut first).await.expect("its turn"));
        assert!(!places.refuses("flood", wait), "the second came later");
        drop((second, other));
        assert_eq!(places.load(), (0, 0));
    }

    #[tokio::test]
    async fn more_places_are_taken_at_once_and_fewer_as_they_are_given_back() {
        let places = places(1, 1, 10);
        let first = enter(&places, "a").await.unwrap();
        let mut second = enter(&places, "a");
        assert!(has_come(&mut second).await.is_none());
        places.resize(2, 2);
        let second = has_come(&mut second).await.expect("one more");
        places.resize(1, 1);
        let mut third = enter(&places, "b");
        drop(first);
        assert!(has_come(&mut third).await.is_none());
        drop(second);
        assert!(has_come(&mut third).await.is_some());
    }
}
