//! What goes over a connection, as far as its task must know to tell a slow client from one that is stuck.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Counts of a connection. One thread writes them at a time.
#[derive(Default)]
pub struct Traffic {
    received: AtomicUsize,
    /// Frames that arrived whole, a head with its continuations as one.
    completed: AtomicUsize,
    is_partial: AtomicBool,
    written: AtomicUsize,
    is_blocked: AtomicBool,
}

/// The counts at one moment, to compare with those of a later one.
#[derive(Clone, Copy, Default)]
pub struct Snapshot {
    received: usize,
    completed: usize,
    is_partial: bool,
    written: usize,
    is_blocked: bool,
}

impl Traffic {
    /// Notes that `len` bytes were read, after which `completed` frames are whole and another `is_partial`.
    pub fn received(&self, len: usize, completed: usize, is_partial: bool) {
        self.received.store(self.received.load(Ordering::Relaxed).wrapping_add(len), Ordering::Relaxed);
        self.completed.store(completed, Ordering::Relaxed);
        self.is_partial.store(is_partial, Ordering::Relaxed);
    }

    /// Notes that a write was made, or is blocked because the client takes nothing.
    pub fn written(&self, is_blocked: bool) {
        if !is_blocked {
            self.written.store(self.written.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
        self.is_blocked.store(is_blocked, Ordering::Relaxed);
    }

    /// The counts now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            received: self.received.load(Ordering::Relaxed),
            completed: self.completed.load(Ordering::Relaxed),
            is_partial: self.is_partial.load(Ordering::Relaxed),
            written: self.written.load(Ordering::Relaxed),
            is_blocked: self.is_blocked.load(Ordering::Relaxed),
        }
    }
}

impl Snapshot {
    /// Whether nothing was read since `earlier`.
    pub fn is_silent_since(&self, earlier: &Self) -> bool {
        self.received == earlier.received
    }

    /// Whether all that was done since `earlier` is to wait for the rest of one frame, or for the client to take what it
    /// was sent.
    pub fn is_stuck_since(&self, earlier: &Self) -> bool {
        let is_half_sent = self.is_partial && earlier.is_partial && self.completed == earlier.completed;
        let is_unread = self.is_blocked && earlier.is_blocked && self.written == earlier.written;
        is_half_sent || is_unread
    }
}
