//! The bytes of responses that clients have not taken yet, over all connections: so many and no more. What is too much is
//! taken from the client that has taken nothing for longest, so that who reads his answers never notices those who do not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use futures_util::task::AtomicWaker;

use super::state::{ConnectionState, EndReason};
use crate::clock::{Clock as _, SystemClock};
use crate::log_sampler::LogSampler;

/// See the module.
#[derive(Debug)]
pub struct Unsent {
    bytes_max: usize,
    holders: Mutex<Holders>,
    dropped: AtomicU64,
    drops_logged: LogSampler,
}

#[derive(Debug, Default)]
struct Holders {
    next: u64,
    bytes: usize,
    /// By age, the oldest first.
    all: BTreeMap<u64, (usize, Arc<Signal>)>,
}

/// Tells the task of a response that its bytes are needed.
#[derive(Debug, Default)]
struct Signal {
    is_dropped: AtomicBool,
    task: AtomicWaker,
    /// Ends with the response.
    connection: Option<Arc<ConnectionState>>,
}

/// Bytes that count as unsent for as long as this lives.
#[derive(Debug)]
pub struct Held {
    id: u64,
    signal: Arc<Signal>,
    unsent: Arc<Unsent>,
}

impl Unsent {
    /// Allows `bytes_max` bytes, and one response more.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, holders: Mutex::default(), dropped: AtomicU64::new(0), drops_logged: LogSampler::new() }
    }

    /// The bytes that are held now.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// How many responses were dropped to make room for others.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Counts `bytes` as unsent. The oldest are dropped while there are too many, these never.
    pub fn hold(self: &Arc<Self>, bytes: usize) -> Held {
        self.hold_until(bytes, Arc::default())
    }

    /// The same, where nobody would poll the response: `connection` ends if it is dropped.
    pub fn hold_on(self: &Arc<Self>, bytes: usize, connection: Arc<ConnectionState>) -> Held {
        self.hold_until(bytes, Arc::new(Signal { connection: Some(connection), ..Signal::default() }))
    }

    fn hold_until(self: &Arc<Self>, bytes: usize, signal: Arc<Signal>) -> Held {
        let mut holders = self.lock();
        let id = holders.next;
        holders.next += 1;
        let mut oldest = Vec::new();
        while holders.bytes + bytes > self.bytes_max
            && let Some((_, (freed, signal))) = holders.all.pop_first()
        {
            holders.bytes -= freed;
            oldest.push(signal);
        }
        holders.bytes += bytes;
        holders.all.insert(id, (bytes, signal.clone()));
        drop(holders);
        self.dropped.fetch_add(oldest.len() as u64, Ordering::Relaxed);
        for signal in oldest {
            signal.is_dropped.store(true, Ordering::Release);
            signal.task.wake();
            if let Some(connection) = &signal.connection {
                connection.end(EndReason::Stalled);
                self.log_drop(connection);
            }
        }
        Held { id, signal, unsent: self.clone() }
    }

    /// Logs that a response on `connection` was dropped to make room for others.
    pub fn log_drop(&self, connection: &ConnectionState) {
        if let Some(suppressed) = self.drops_logged.take(SystemClock.elapsed()) {
            let (root_key_id, peer) = (connection.root_key_id(), connection.peer());
            tracing::warn!(root_key_id, %peer, suppressed, "a response was dropped: its client did not take it");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Holders> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Whether the bytes are needed for others: the response must be given up. `task` is woken when they are.
    pub fn is_dropped(&self, task: &Waker) -> bool {
        self.signal.task.register(task);
        self.signal.is_dropped.load(Ordering::Acquire)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut holders = self.unsent.lock();
        if let Some((bytes, _)) = holders.all.remove(&self.id) {
            holders.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::log_sampler::tests::logged;
    use crate::transport::request_budget::RequestBudget;

    #[test]
    fn the_oldest_makes_room() {
        let unsent = Arc::new(Unsent::new(100));
        let held: Vec<_> = (0..3).map(|_| unsent.hold(40)).collect();
        let dropped: Vec<_> = held.iter().map(|held| held.is_dropped(Waker::noop())).collect();
        assert_eq!((dropped, unsent.bytes(), unsent.dropped()), (vec![true, false, false], 80, 1));
        // One that is larger than all is held alone.
        let large = unsent.hold(500);
        assert!(held.iter().all(|held| held.is_dropped(Waker::noop())) && !large.is_dropped(Waker::noop()));
        assert_eq!((unsent.bytes(), unsent.dropped()), (500, 3));
        drop((held, large));
        assert_eq!(unsent.bytes(), 0);
    }

    #[test]
    fn the_log_names_who_does_not_take_a_response() {
        let unsent = Arc::new(Unsent::new(100));
        let (peer, requests) = ("192.0.2.1:5".parse().unwrap(), Arc::new(RequestBudget::new(0)));
        let connection = Arc::new(ConnectionState::new(peer, CancellationToken::new(), unsent.clone(), requests));
        connection.authenticated("key_1");
        let log = logged(|| {
            for _ in 0..3 {
                let _slow = unsent.hold_on(80, connection.clone());
                drop(unsent.hold(80));
            }
        });
        assert_eq!(unsent.dropped(), 3);
        assert_eq!(log.matches("a response was dropped").count(), 1, "{log}");
        assert!(log.contains("root_key_id=\"key_1\" peer=192.0.2.1:5 suppressed=0"), "{log}");
    }
}
