//! How keys were used: counted beside each key that is known, and collected from there, never by a verification itself.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::CachedKey;
use super::verdict_counts::VerdictCounts;
use crate::clock::Timestamp;
use crate::key::id::KeyId;
use crate::key::usage::{Counted, Hour};
use crate::usage::Usage;

/// When so many keys were used they are to be collected at once.
const URGENT: usize = 100_000;
/// And when so many were, at 16 bytes each and what the keys take, whoever uses the next collects them.
const NOTED_MAX: usize = 1_000_000;

/// The keys that were used since uses were last collected.
#[derive(Debug)]
pub struct Uses {
    /// Each once, with the hour of its first use since; the rest it knows itself.
    noted: Mutex<Vec<(Arc<CachedKey>, Hour)>>,
    usage: Arc<Usage>,
    verdicts: Arc<VerdictCounts>,
}

impl Uses {
    /// Those that are collected into `usage`, and added up in `verdicts`.
    pub fn new(usage: Arc<Usage>, verdicts: Arc<VerdictCounts>) -> Self {
        Self { noted: Mutex::default(), usage, verdicts }
    }

    /// Notes how a verification of `key` ended at `at`.
    pub fn note(&self, key: &Arc<CachedKey>, ended: Counted, at: Timestamp) {
        if !key.note_use(ended, at) {
            return;
        }
        let mut noted = self.noted();
        noted.push((key.clone(), Hour::of(at)));
        if noted.len() == URGENT {
            self.usage.hurry();
        }
        if noted.len() >= NOTED_MAX {
            drop(noted);
            self.collect();
        }
    }

    /// Hands on what was noted.
    pub fn collect(&self) {
        for (key, hour) in mem::take(&mut *self.noted()) {
            let (counts, last_use) = key.take_uses();
            self.verdicts.add(&counts);
            self.usage.add(&KeyId::from_text(key.id()), key.keyspace_uid(), hour, &counts, last_use);
        }
    }

    fn noted(&self) -> MutexGuard<'_, Vec<(Arc<CachedKey>, Hour)>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
