//! Until when a lease lasts: one number that is read by every verification and written by one task.
//!
//! Takes its atomic from std or from loom, so that loom can run it with the cache (`loom/`).

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering};

/// There is no lease.
pub const NONE: u64 = 0;
/// It never ends.
pub const ENDLESS: u64 = u64::MAX;

/// A time on the clock, in nanoseconds; or one of the above.
#[derive(Debug)]
pub struct Until(AtomicU64);

impl Until {
    /// That time.
    pub fn new(at: u64) -> Self {
        Self(AtomicU64::new(at))
    }

    /// Whoever reads a time sees what was done before it was set, and looks at what is remembered only after this.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Everything that was applied before is seen by whoever reads this.
    pub fn set(&self, at: u64) {
        self.0.store(at, Ordering::Release);
    }
}
