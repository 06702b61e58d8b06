//! How long calls waited before they were read, and which of them are refused for it.
//!
//! A connection's task reads all that has arrived each time it runs. What it reads came after it last ran, and after its
//! thread last woke up: so no call waited for longer than since the later of the two. While a thread keeps up, that is
//! next to nothing. Under overload it is the time that one round of its connections takes.

use std::cell::Cell;
use std::time::Duration;

/// How long calls wait that are never refused for it. A thread may pause for as long where its share of a processor is used
/// up.
pub const UNNOTICED: Duration = Duration::from_millis(100);
/// How long calls wait before some are refused: half of the deadline of one second that clients often set, so that what
/// is served is in time.
const WAIT_MAX: Duration = Duration::from_millis(500);

thread_local! {
    /// When this thread last had nothing to do, by the clock of [`coarse_now`].
    static IDLE_UNTIL: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Notes that this thread was idle until now.
pub fn note_wake_up() {
    IDLE_UNTIL.set(coarse_now());
}

/// What one connection remembers.
#[derive(Debug)]
pub struct QueueTime {
    read_at: Duration,
    /// How much of a call may be served: grows with each call that arrives late, by less than one.
    allowance: f64,
}

impl QueueTime {
    /// For a connection that begins now.
    pub fn new() -> Self {
        Self { read_at: coarse_now(), allowance: 0.0 }
    }

    /// Returns how long the calls that were just read have waited at most.
    pub fn of_batch(&mut self) -> Duration {
        self.of_batch_at(coarse_now(), IDLE_UNTIL.get())
    }

    fn of_batch_at(&mut self, now: Duration, idle_until: Duration) -> Duration {
        let since = idle_until.max(self.read_at);
        self.read_at = now;
        now.saturating_sub(since)
    }

    /// Returns whether a call is served that `waited` and whose client waits for `patience` in all. Of calls that are late
    /// but not too late a part is served, the smaller the later they are: a thread that refused all of them would do
    /// nothing else, as those that the clients hold back follow at once.
    pub fn is_served(&mut self, waited: Duration, patience: Duration) -> bool {
        if patience <= waited {
            return false;
        }
        if waited <= WAIT_MAX {
            return true;
        }
        self.allowance += WAIT_MAX.as_secs_f64() / waited.as_secs_f64();
        let is_served = self.allowance >= 1.0;
        self.allowance -= if is_served { 1.0 } else { 0.0 };
        is_served
    }
}

/// The time since the machine started, to a few milliseconds: reading it costs a tenth of what the exact clock does.
#[cfg(target_os = "linux")]
pub fn coarse_now() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let now = clock_gettime(ClockId::MonotonicCoarse);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs().try_into().unwrap_or(0))
}

#[cfg(not(target_os = "linux"))]
pub fn coarse_now() -> Duration {
    use crate::clock::{Clock as _, SystemClock};
    SystemClock.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_waited_since_its_thread_woke_or_its_connection_was_read() {
        let at = Duration::from_secs;
        let mut connection = QueueTime { read_at: at(100), allowance: 0.0 };
        assert_eq!(connection.of_batch_at(at(160), at(159)), at(1), "the thread was idle");
        assert_eq!(connection.of_batch_at(at(180), at(159)), at(20), "the thread was never idle");
        assert_eq!(connection.of_batch_at(at(180), at(159)), at(0), "it was read just now");
    }

    #[test]
    fn what_comes_late_is_served_in_part_and_what_is_too_late_never() {
        let mut connection = QueueTime::new();
        let mut served = |waited, patience| (0..1_000).filter(|_| connection.is_served(waited, patience)).count();
        let patience = Duration::from_secs(1);
        assert_eq!(served(WAIT_MAX, patience), 1_000);
        assert_eq!(served(WAIT_MAX * 9 / 5, patience) / 10, 55);
        assert_eq!(served(WAIT_MAX * 4, Duration::MAX) / 10, 25);
        assert_eq!(served(UNNOTICED, UNNOTICED), 0);
    }
}
