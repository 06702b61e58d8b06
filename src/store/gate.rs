//! Who may read a list now.
//!
//! Lists read much. Few are made at once, on connections of their own; the others wait, for a second at most. Keyspaces
//! take turns, and none has all places, so that one that is listed without end does not keep others from theirs. A place
//! is held until the page is encoded and its head is sent: so places bound the memory of pages too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::StoreError;
use crate::clock::SystemClock;
use crate::fair_queue::{Bounds, Limits, Place, Places, Wait};

/// Most lists made at once.
pub const PLACES_MAX: usize = 4;
/// How many lists wait: in all, and of one keyspace.
const WAITING: Bounds = Bounds { all: 256, of_one: 64 };
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

/// The places, and what became of lists.
#[derive(Debug)]
pub struct ListGate {
    places: Arc<Places>,
    refused: AtomicU64,
    timed_out: AtomicU64,
}

/// A page, and the place that it takes among lists until it is dropped.
#[derive(Debug)]
pub struct HeldPage<T> {
    /// The page.
    pub page: T,
    /// The place.
    pub place: ListPlace,
}

/// A place among lists, given back when it is dropped.
pub type ListPlace = Place;

/// One keyspace leaves a place to others.
fn share_of(places: usize) -> usize {
    (places - 1).max(1)
}

impl Default for ListGate {
    fn default() -> Self {
        let limits = Limits { running_max: PLACES_MAX, share_max: share_of(PLACES_MAX), waiting: WAITING };
        let places = Places::new(limits, Arc::new(SystemClock));
        Self { places, refused: AtomicU64::new(0), timed_out: AtomicU64::new(0) }
    }
}

impl ListGate {
    /// Allows so many lists at once: at least one, and no more than there are connections.
    pub fn limit(&self, places: usize) {
        let places = places.clamp(1, PLACES_MAX);
        self.places.resize(places, share_of(places));
    }

    /// A place for a list of `keyspace`; lists of several keyspaces are of "".
    pub async fn admit(&self, keyspace: &str) -> Result<ListPlace, StoreError> {
        self.places.acquire(keyspace, Wait::up_to(WAIT_MAX)).await.map_err(|_| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            StoreError::ListsBusy
        })
    }

    /// What there is to tell.
    pub fn stats(&self) -> ListStats {
        let (running, waiting) = self.places.load();
        ListStats {
            running: running as u64,
            waiting: waiting as u64,
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
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn one_keyspace_leaves_a_place_to_others() {
        let gate = ListGate::default();
        let of_big = [gate.admit("big").await, gate.admit("big").await, gate.admit("big").await];
        let mut fourth = Box::pin(gate.admit("big"));
        assert!(poll!(&mut fourth).is_pending());
        let small = gate.admit("small").await.unwrap();
        let mut of_small = Box::pin(gate.admit("small"));
        assert!(poll!(&mut of_small).is_pending(), "all places are taken");
        assert_eq!(gate.stats(), ListStats { running: 4, waiting: 2, ..ListStats::default() });
        drop((fourth, of_small, small, of_big));
        assert_eq!(gate.stats(), ListStats::default());
        gate.limit(0);
        let _only = gate.admit("big").await.unwrap();
        assert!(poll!(Box::pin(gate.admit("small"))).is_pending());
    }

    #[tokio::test]
    async fn what_gets_no_place_in_time_is_refused() {
        let gate = ListGate::default();
        let running = [gate.admit("big").await, gate.admit("big").await, gate.admit("big").await];
        assert!(matches!(gate.admit("big").await, Err(StoreError::ListsBusy)));
        let mut waiting: Vec<_> = (0..WAITING.of_one).map(|_| Box::pin(gate.admit("big"))).collect();
        for waiting in &mut waiting {
            assert!(poll!(waiting).is_pending());
        }
        let one_more = poll!(Box::pin(gate.admit("big")));
        assert!(matches!(one_more, std::task::Poll::Ready(Err(StoreError::ListsBusy))), "at once: {one_more:?}");
        assert_eq!(gate.stats(), ListStats { running: 3, waiting: 64, refused: 2, timed_out: 0 });
        drop((running, waiting));
        gate.admit("big").await.unwrap();
    }
}
