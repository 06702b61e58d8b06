//! The lease: how long what is remembered may be answered from, unless the log is looked at again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::until::{ENDLESS, NONE, Until};
use crate::clock::Clock;

/// A lease that this process holds, or not.
#[derive(Debug)]
pub struct Lease {
    clock: Arc<dyn Clock>,
    length: Duration,
    /// In nanoseconds of the clock.
    until: Until,
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

/// How many looks at the log whoever wants a lease waits for: the one under way may have begun too early.
const LOOKS_WAITED_FOR: u32 = 2;

impl Lease {
    /// One that never ends: for a process that hears of every change before anybody does.
    pub fn endless(clock: Arc<dyn Clock>) -> Self {
        Self { until: Until::new(ENDLESS), ..Self::none(clock, Duration::MAX) }
    }

    /// None yet. Each will be of this length.
    pub fn none(clock: Arc<dyn Clock>, length: Duration) -> Self {
        Self { clock, length, until: Until::new(NONE), looks: watch::Sender::new(0), wanted: Notify::new() }
    }

    /// Until when the lease lasts. To be asked **before** anything is looked up: what is found rests on a look at the log
    /// that is no older than this.
    pub fn deadline(&self) -> Deadline {
        Deadline(self.until.get())
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

    /// How old it is: how long ago the look began that it rests on, be it over by now. `None`: there was none, or it never
    /// ends.
    pub fn age(&self) -> Option<Duration> {
        let Deadline(until) = self.deadline();
        let began = Duration::from_nanos(until).checked_sub(self.length)?;
        (until != ENDLESS && until != NONE).then(|| self.clock.elapsed().saturating_sub(began))
    }

    /// Takes one that counts from then, on the clock. All that a look which began then has shown must have been applied.
    pub(super) fn take(&self, began: Duration) {
        self.until.set(nanos(began + self.length).min(ENDLESS - 1));
    }

    /// Gives it back.
    pub(super) fn end(&self) {
        self.until.set(NONE);
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
