//! Look-ups that wait for the store: each kind in a queue of its own, so that none keeps another waiting, and none for
//! long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::VerifyError;
use crate::store;

/// How long a look-up waits for its turn. Far less than any caller's deadline: it learns in time to try again.
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
    places: [Places; Queue::ALL.len()],
    /// How many look-ups the store answered.
    answered: AtomicU64,
}

struct Places {
    /// The look-ups that the store has. It keeps as many connections for them as may run in all queues together.
    running: Semaphore,
    /// Those, and those that wait.
    pending: Arc<Semaphore>,
    pending_max: usize,
    shed: AtomicU64,
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

    /// How many wait at most, at about 1 KiB each.
    pub fn waiting_max(self) -> usize {
        match self {
            Self::Keys => 16_384,
            Self::Callers => 1_024,
            Self::WithoutMac => 64,
        }
    }
}

impl Default for LookupQueues {
    fn default() -> Self {
        let places = Queue::ALL.map(|queue| {
            let pending_max = queue.running_max() + queue.waiting_max();
            Places {
                running: Semaphore::new(queue.running_max()),
                pending: Arc::new(Semaphore::new(pending_max)),
                pending_max,
                shed: AtomicU64::new(0),
            }
        });
        Self { places, answered: AtomicU64::new(0) }
    }
}

impl LookupQueues {
    /// Returns a place in `queue`, to be kept until the look-up has ended.
    ///
    /// # Errors
    /// If too many wait already.
    pub fn enter(&self, queue: Queue) -> Result<OwnedSemaphorePermit, VerifyError> {
        let places = self.places(queue);
        places.pending.clone().try_acquire_owned().map_err(|_| {
            places.shed.fetch_add(1, Ordering::Relaxed);
            VerifyError::Overloaded
        })
    }

    /// Waits for a turn in `queue`, at most [`WAIT_MAX`].
    ///
    /// # Errors
    /// If none came. Where the store has not answered any look-up meanwhile, the store is to blame.
    pub async fn turn(&self, queue: Queue) -> Result<SemaphorePermit<'_>, VerifyError> {
        let places = self.places(queue);
        // Most need not wait, and then need no timer.
        if let Ok(turn) = places.running.try_acquire() {
            return Ok(turn);
        }
        let answered_before = self.answered.load(Ordering::Relaxed);
        match timeout(WAIT_MAX, places.running.acquire()).await {
            Ok(turn) => Ok(turn.expect("never closed")),
            Err(_) => {
                places.shed.fetch_add(1, Ordering::Relaxed);
                let is_stalled = self.answered.load(Ordering::Relaxed) == answered_before;
                Err(if is_stalled { VerifyError::Stalled } else { VerifyError::Overloaded })
            }
        }
    }

    /// Notes that the store answered a look-up.
    pub fn note_answer(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// How busy `queue` is.
    pub fn load(&self, queue: Queue) -> QueueLoad {
        let places = self.places(queue);
        let pending = places.pending_max - places.pending.available_permits();
        QueueLoad { pending, shed: places.shed.load(Ordering::Relaxed) }
    }

    fn places(&self, queue: Queue) -> &Places {
        &self.places[queue as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_keeps_no_other_waiting() {
        let queues = LookupQueues::default();
        for busy in Queue::ALL {
            let mut turns = Vec::new();
            for _ in 0..busy.running_max() {
                turns.push(queues.turn(busy).await.expect("a free place"));
            }
            for other in Queue::ALL.into_iter().filter(|other| *other != busy) {
                drop(queues.turn(other).await.expect("a place of its own"));
            }
            assert!(queues.turn(busy).await.is_err(), "{busy:?}");
        }
        let most: usize = Queue::ALL.iter().map(|queue| queue.running_max()).sum();
        assert_eq!(most, store::LOOKUPS_MAX, "each has a connection");
    }

    #[tokio::test]
    async fn who_waits_too_long_is_told_why() {
        let queues = LookupQueues::default();
        let _turn = queues.turn(Queue::WithoutMac).await.unwrap();
        let stalled = queues.turn(Queue::WithoutMac).await.map(drop);
        assert!(matches!(stalled, Err(VerifyError::Stalled)), "{stalled:?}");
        let (shed, ()) = tokio::join!(queues.turn(Queue::WithoutMac), async {
            // It waits already.
            queues.note_answer();
        });
        assert!(matches!(shed.map(drop), Err(VerifyError::Overloaded)));
        assert_eq!(queues.load(Queue::WithoutMac).shed, 2);
    }

    #[tokio::test]
    async fn too_many_are_refused_at_once() {
        let queues = LookupQueues::default();
        let pending_max = Queue::WithoutMac.running_max() + Queue::WithoutMac.waiting_max();
        let places: Vec<_> = (0..pending_max).map(|_| queues.enter(Queue::WithoutMac).unwrap()).collect();
        assert!(matches!(queues.enter(Queue::WithoutMac), Err(VerifyError::Overloaded)));
        drop(queues.enter(Queue::Callers).unwrap());
        assert_eq!(queues.load(Queue::WithoutMac).pending, pending_max);
        drop(places);
        assert_eq!(queues.load(Queue::WithoutMac).pending, 0);
        assert_eq!(queues.load(Queue::WithoutMac).shed, 1);
    }
}
