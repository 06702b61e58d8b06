//! That a lookup finds nothing.

use std::sync::atomic::{AtomicBool, Ordering};

use super::Entry;

/// See the module.
pub struct Absence {
    lookup: Box<str>,
    used: AtomicBool,
}

impl Absence {
    /// That nothing is found by `lookup`.
    pub fn of(lookup: &str) -> Self {
        Self { lookup: lookup.into(), used: AtomicBool::new(false) }
    }
}

impl Entry for Absence {
    fn lookup(&self) -> &str {
        &self.lookup
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.lookup.len()
    }

    fn mark_used(&self) {
        self.used.store(true, Ordering::Relaxed);
    }

    fn take_mark(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    fn retire(&self) {}
}
