//! The lease: how long what is remembered may be answered from, unless the log is looked at again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::clock::Clock;

/// A lease that this process holds, or not.
#[derive(Debug)]
pub struct Lease {
    clock: Arc<dyn Clock>,
    /// In nanoseconds of the clock. 0: there is none.
    until: AtomicU64,
    /// How many looks at the log have ended.
    looks: watch::Sender<u64>,
    /// Somebody waits for a lease.
    wanted: Notify,
}

/// Until when a lease lasted when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(u64);

/// There is no lease, and none is to be had just now.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the lease is over: the store has not been heard from for too long")]
pub struct LeaseOver;

const ENDLESS: u64 = u64::MAX;

/// How many looks at the log whoever wants a lease waits for: the one under way may have begun too early.
const LOOKS_WAITED_FOR: u32 = 2;

impl Lease {
    /// One that never ends: for a process that hears of every change before anybody does.
    pub fn endless(clock: Arc<dyn Clock>) -> Self {
        Self { until: AtomicU64::new(ENDLESS), ..Self::none(clock) }
    }

    /// None yet.
    pub fn none(clock: Arc<dyn Clock>) -> Self {
        Self { clock, until: AtomicU64::new(0), looks: watch::Sender::new(0), wanted: Notify::new() }
    }

    /// Until when the lease lasts. To be asked **before** anything is looked up: what is found rests on a look at the log
    /// that is no older than this.
    pub fn deadline(&self) -> Deadline {
        Deadline(self.until.load(Ordering::Acquire))
    }

    /// Whether that is still to come. To be asked **last**, when the answer is ready.
    pub fn holds(&self, deadline: Deadline) -> bool {
        deadline.0 == ENDLESS || nanos(self.clock.elapsed()) < deadline.0
    }

    /// Whether there is a lease.
    pub fn is_held(&self) -> bool {
        self.holds(self.deadline())
    }

    /// The deadline of a lease that is held. Waits for a look at the log if there is none.
    ///
    /// # Errors
    /// If that does not bring one.
    pub async fn current(&self) -> Result<Deadline, LeaseOver> {
        let mut looks = self.looks.subscribe();
        for _ in 0..LOOKS_WAITED_FOR {
            let deadline = self.deadline();
            if self.holds(deadline) {
                return Ok(deadline);
            }
            self.wanted.notify_one();
            looks.changed().await.map_err(|_| LeaseOver)?;
        }
        let deadline = self.deadline();
        if self.holds(deadline) { Ok(deadline) } else { Err(LeaseOver) }
    }

    /// How much of it is left; `None`: it never ends.
    pub fn left(&self) -> Option<Duration> {
        let Deadline(until) = self.deadline();
        (until != ENDLESS).then(|| Duration::from_nanos(until.saturating_sub(nanos(self.clock.elapsed()))))
    }

    /// Lets it last until then, on the clock. All that was heard of before must have been applied.
    pub(super) fn extend(&self, until: Duration) {
        self.until.store(nanos(until).min(ENDLESS - 1), Ordering::Release);
    }

    /// Gives it back.
    pub(super) fn end(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// A look at the log has ended, well or not.
    pub(super) fn looked(&self) {
        self.looks.send_modify(|looks| *looks = looks.wrapping_add(1));
    }

    /// Waits until somebody wants a lease that is not there.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }
}

fn nanos(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_nanos()).unwrap_or(ENDLESS)
}
