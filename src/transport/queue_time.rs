//! How long calls waited to be read, and which of them are refused for it.
//!
//! The time counts from when the connection's task was woken, because something had arrived, until the task runs. While
//! a thread keeps up, that is next to nothing. Under overload it is the time that a round of its connections takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;

/// How long calls wait that are never refused for it. A thread may pause for as long where its share of a processor is used
/// up.
pub const UNNOTICED: Duration = Duration::from_millis(100);
/// How long calls wait before some are refused: half of the deadline of one second that clients often set, so that what
/// is served is in time.
const WAIT_MAX: Duration = Duration::from_millis(500);

/// What is left when a connection is read in part has waited as long as what was read: this counts for so many calls, as no
/// more can be in flight, and for each round as for so many at least, as the system keeps no more for a connection.
const LEFT_MAX: usize = super::http2::STREAMS_MAX as usize;
const LEFT_PER_ROUND: usize = 8;

/// What one connection remembers.
pub struct QueueTime {
    woken: Arc<Woken>,
    /// Of how many calls that are left it is known since when they wait.
    left: usize,
    /// Wakes the connection's task, and notes when.
    pub waker: Waker,
    /// How much of a call may be served: grows with each call that arrives late, by less than one.
    allowance: f64,
}

/// When a task was first woken since it last read.
struct Woken {
    task: AtomicWaker,
    /// In milliseconds of [`coarse_now`]; 0: it was not.
    at: AtomicU64,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.at.load(Ordering::Relaxed) == 0 {
            self.at.store(millis(coarse_now()), Ordering::Relaxed);
        }
        self.task.wake();
    }
}

impl QueueTime {
    /// For a connection that begins now.
    pub fn new() -> Self {
        let woken = Arc::new(Woken { task: AtomicWaker::new(), at: AtomicU64::new(0) });
        Self { waker: woken.clone().into(), woken, left: 0, allowance: 0.0 }
    }

    /// Lets [`Self::waker`] wake the task of `waker`.
    pub fn register(&self, waker: &Waker) {
        self.woken.task.register(waker);
    }

    /// Notes that `calls` were read, which was all that has arrived, or a part of it. Returns for how long they had waited.
    pub fn note_read(&mut self, calls: usize, is_part: bool) -> Duration {
        self.note_read_at(calls, is_part, coarse_now())
    }

    fn note_read_at(&mut self, calls: usize, is_part: bool, now: Duration) -> Duration {
        let at = self.woken.at.swap(0, Ordering::Relaxed);
        self.left = if is_part {
            let left = if self.left == 0 { LEFT_MAX } else { self.left };
            let left = left.saturating_sub(calls.max(LEFT_PER_ROUND));
            let since = if left > 0 && at > 0 { at } else { millis(now) };
            self.woken.at.store(since, Ordering::Relaxed);
            left
        } else {
            0
        };
        match at {
            0 => Duration::ZERO,
            at => now.saturating_sub(Duration::from_millis(at)),
        }
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

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
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
    fn calls_wait_from_when_the_task_is_woken_until_it_reads() {
        let mut connection = QueueTime::new();
        assert_eq!(connection.note_read(0, false), Duration::ZERO, "it was not woken");
        connection.waker.wake_by_ref();
        let woken_at = Duration::from_millis(connection.woken.at.load(Ordering::Relaxed));
        // The first wake counts.
        connection.waker.wake_by_ref();
        let later = Duration::from_secs(20);
        assert_eq!(connection.note_read_at(1, false, woken_at + later), later);
        assert_eq!(connection.note_read_at(0, false, woken_at + 2 * later), Duration::ZERO, "it was quiet since then");
    }

    #[test]
    fn what_is_left_of_a_connection_that_is_read_in_part_has_waited_as_long() {
        let mut connection = QueueTime::new();
        connection.waker.wake_by_ref();
        let woken_at = Duration::from_millis(connection.woken.at.load(Ordering::Relaxed));
        let at = |seconds| woken_at + Duration::from_secs(seconds);
        assert_eq!(connection.note_read_at(30, true, at(1)), Duration::from_secs(1));
        assert_eq!(connection.note_read_at(30, true, at(2)), Duration::from_secs(2));
        // No more than can be in flight: the others came later.
        assert_eq!(connection.note_read_at(40, true, at(3)), Duration::from_secs(3));
        assert_eq!(connection.note_read_at(30, true, at(4)), Duration::from_secs(1));
        assert_eq!(connection.note_read_at(30, false, at(5)), Duration::from_secs(2));
        assert_eq!(connection.note_read_at(0, false, at(6)), Duration::ZERO);
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
