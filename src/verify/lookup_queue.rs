//! Look-ups that wait for the store: each kind in a queue of its own, so that none keeps another waiting, and none for
//! long. Within a queue the callers take turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::VerifyError;
use crate::clock::Clock;
use crate::fair_queue::{Bounds, Busy, Limits, Place, Places, Ticket, Wait};
use crate::store;

/// How long a look-up waits for its turn, unless it is told otherwise. Far less than any caller's deadline: it learns in
/// time to try again.
pub const WAIT_MAX: Duration = Duration::from_millis(200);

/// Which look-ups wait together for the store. None waits behind those of another queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Of customers' keys, which callers ask about.
    Keys,
    /// Of root tokens with a valid MAC: all of them were issued here.
    Callers,
    /// Of root tokens without one, and of free text. Strangers know the lookup of free text, and may know others.
    WithoutMac,
}

/// Where a look-up waits, for whom, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn<'a> {
    /// The queue.
    pub queue: Queue,
    /// The root key of the caller who takes turns with others; empty if there is none.
    pub caller: &'a str,
    /// The longest wait.
    pub wait_max: Duration,
}

/// How busy a queue is.
#[derive(Clone, Copy, Debug)]
pub struct QueueLoad {
    /// How many look-ups run or wait.
    pub pending: usize,
    /// How many were refused because too many waited, or for too long.
    pub shed: u64,
}

/// All the queues.
pub struct LookupQueues {
    queues: [State; Queue::ALL.len()],
    /// How many look-ups the store answered.
    answered: AtomicU64,
}

struct State {
    /// For the look-ups that the store has. It keeps as many connections for them as may run in all queues together.
    places: Arc<Places>,
    shed: AtomicU64,
}

/// A look-up in its queue.
pub struct LookupTicket {
    queue: Queue,
    ticket: Ticket,
    answered_before: u64,
}

impl Queue {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Keys, Self::Callers, Self::WithoutMac];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Callers => "callers",
            Self::WithoutMac => "callers_without_mac",
        }
    }

    /// How many look-ups the store has of this queue at most.
    pub fn running_max(self) -> usize {
        match self {
            Self::Keys => store::LOOKUPS_MAX - Self::Callers.running_max() - Self::WithoutMac.running_max(),
            Self::Callers => 2,
            Self::WithoutMac => 1,
        }
    }

    /// How many wait at most, at 10 to 20 KiB each with their calls.
    pub fn waiting_max(self) -> usize {
        match self {
            Self::Keys => 4_096,
            Self::Callers => 1_024,
            Self::WithoutMac => 64,
        }
    }

    fn limits(self) -> Limits {
        let (running_max, all) = (self.running_max(), self.waiting_max());
        let (share_max, of_one) = match self {
            // Whatever one caller asks about, others find a free place, and room to wait.
            Self::Keys => (running_max - running_max / 4, all - all / 4),
            // Most have no caller yet, and are one.
            Self::Callers | Self::WithoutMac => (running_max, all),
        };
        Limits { running_max, share_max, waiting: Bounds { all, of_one } }
    }
}

impl LookupQueues {
    /// Queues in which nothing waits.
    pub fn new(clock: &Arc<dyn Clock>) -> Self {
        let state =
            |queue: Queue| State { places: Places::new(queue.limits(), clock.clone()), shed: AtomicU64::new(0) };
        Self { queues: Queue::ALL.map(state), answered: AtomicU64::new(0) }
    }

    /// Puts a look-up in its queue, unless it has a place at once.
    ///
    /// # Errors
    /// If too many wait already.
    pub fn enter(&self, turn: Turn<'_>) -> Result<LookupTicket, VerifyError> {
        let Turn { queue, caller, wait_max } = turn;
        let answered_before = self.answered.load(Ordering::Relaxed);
        let ticket = self.state(queue).places.enter(caller, Wait::up_to(wait_max));
        let ticket = ticket.map_err(|busy| self.shed(queue, busy, answered_before))?;
        Ok(LookupTicket { queue, ticket, answered_before })
    }

    /// Waits for a place, to be kept until the look-up has ended.
    ///
    /// # Errors
    /// If none came. Where the store has not answered any look-up meanwhile, the store is to blame.
    pub async fn place(&self, ticket: LookupTicket) -> Result<Place, VerifyError> {
        let LookupTicket { queue, ticket, answered_before } = ticket;
        ticket.place().await.map_err(|busy| self.shed(queue, busy, answered_before))
    }

    /// Notes that the store answered a look-up.
    pub fn note_answer(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// How busy `queue` is.
    pub fn load(&self, queue: Queue) -> QueueLoad {
        let state = self.state(queue);
        let (running, waiting) = state.places.load();
        QueueLoad { pending: running + waiting, shed: state.shed.load(Ordering::Relaxed) }
    }

    fn shed(&self, queue: Queue, busy: Busy, answered_before: u64) -> VerifyError {
        self.state(queue).shed.fetch_add(1, Ordering::Relaxed);
        let is_stalled = busy == Busy::Late && self.answered.load(Ordering::Relaxed) == answered_before;
        if is_stalled { VerifyError::Stalled } else { VerifyError::Overloaded }
    }

    fn state(&self, queue: Queue) -> &State {
        &self.queues[queue as usize]
    }
}

impl LookupTicket {
    /// Whether it has its place already.
    pub fn is_admitted(&self) -> bool {
        self.ticket.is_admitted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Timestamp};

    fn queues() -> LookupQueues {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
        LookupQueues::new(&clock)
    }

    fn turn(queue: Queue, caller: &str) -> Turn<'_> {
        Turn { queue, caller, wait_max: Duration::from_millis(5) }
    }

    async fn place(queues: &LookupQueues, queue: Queue, caller: &str) -> Result<Place, VerifyError> {
        queues.place(queues.enter(turn(queue, caller))?).await
    }

    /// Takes all places of `queue`.
    async fn fill(queues: &LookupQueues, queue: Queue) -> Vec<Place> {
        let mut places = Vec::new();
        for nth in 0..queue.running_max() {
            places.push(place(queues, queue, &nth.to_string()).await.expect("a free place"));
        }
        places
    }

    #[tokio::test]
    async fn a_full_queue_keeps_no_other_waiting() {
        for busy in Queue::ALL {
            let queues = queues();
            let _places = fill(&queues, busy).await;
            for other in Queue::ALL.into_iter().filter(|other| *other != busy) {
                drop(place(&queues, other, "").await.expect("a place of its own"));
            }
            assert!(place(&queues, busy, "").await.is_err(), "{busy:?}");
        }
        let most: usize = Queue::ALL.iter().map(|queue| queue.running_max()).sum();
        assert_eq!(most, store::LOOKUPS_MAX, "each has a connection");
    }

    #[tokio::test]
    async fn no_caller_has_all_places_nor_all_room_to_wait() {
        let queues = queues();
        let flood: Vec<_> = std::iter::from_fn(|| queues.enter(turn(Queue::Keys, "flood")).ok()).collect();
        let running = flood.iter().filter(|ticket| ticket.is_admitted()).count();
        assert_eq!((running, flood.len() - running), (6, 3_072));
        let others: Vec<_> = (0..3).map(|_| queues.enter(turn(Queue::Keys, "other")).expect("room")).collect();
        assert_eq!(others.iter().filter(|ticket| ticket.is_admitted()).count(), 2);
        assert!(queues.enter(turn(Queue::Keys, "flood")).is_err());
        drop((flood, others));
        assert_eq!(queues.load(Queue::Keys).pending, 0);
    }

    #[tokio::test]
    async fn what_waits_too_long_is_told_why() {
        let queues = queues();
        let _places = fill(&queues, Queue::WithoutMac).await;
        let stalled = place(&queues, Queue::WithoutMac, "").await.map(drop);
        assert!(matches!(stalled, Err(VerifyError::Stalled)), "{stalled:?}");
        let waiting = queues.enter(turn(Queue::WithoutMac, "")).unwrap();
        queues.note_answer();
        let shed = queues.place(waiting).await.map(drop);
        assert!(matches!(shed, Err(VerifyError::Overloaded)), "{shed:?}");
        assert_eq!(queues.load(Queue::WithoutMac).shed, 2);
    }

    #[tokio::test]
    async fn too_many_are_refused_at_once() {
        let queues = queues();
        let pending_max = Queue::WithoutMac.running_max() + Queue::WithoutMac.waiting_max();
        let enter = |queue| queues.enter(turn(queue, ""));
        let tickets: Vec<_> = (0..pending_max).map(|_| enter(Queue::WithoutMac).unwrap()).collect();
        assert!(matches!(enter(Queue::WithoutMac), Err(VerifyError::Overloaded)));
        drop(enter(Queue::Callers).unwrap());
        assert_eq!(queues.load(Queue::WithoutMac).pending, pending_max);
        drop(tickets);
        assert_eq!(queues.load(Queue::WithoutMac).pending, 0);
        assert_eq!(queues.load(Queue::WithoutMac).shed, 1);
    }
}
