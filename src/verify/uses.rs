//! When keys were last used: noted in memory, written behind in batches, never by a verification itself.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, PoisonError};

use crate::clock::Timestamp;
use crate::key::id::KeyId;
use crate::store::{Store, StoreError};

/// Most keys noted between two writes, at some 100 bytes each: 10 MB. A use beyond that goes unnoted, which can make a
/// last use look older than it is, but costs nobody an answer.
const NOTED_MAX: usize = 100_000;
/// Most uses in one write, so that none of them holds others up for long.
const BATCH_MAX: usize = 1_000;

/// The last uses that the store does not know of yet.
#[derive(Debug, Default)]
pub struct Uses(Mutex<HashMap<KeyId, Timestamp>>);

impl Uses {
    /// Notes that `key` was found valid at `at`.
    pub fn note(&self, key: &str, at: Timestamp) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = noted.get_mut(key) {
            *last = at.max(*last);
        } else if noted.len() < NOTED_MAX {
            noted.insert(KeyId::from_text(key), at);
        }
    }

    /// Writes what was noted. What cannot be written is noted again.
    pub async fn flush(&self, store: &dyn Store) -> Result<(), StoreError> {
        let noted = mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let uses: Vec<_> = noted.into_iter().collect();
        for (done, batch) in uses.chunks(BATCH_MAX).enumerate() {
            if let Err(error) = store.record_uses(batch).await {
                uses[done * BATCH_MAX..].iter().for_each(|(key, at)| self.note(key.as_str(), *at));
                return Err(error);
            }
        }
        Ok(())
    }
}
