//! When keys were last used: noted in memory, written behind in batches, never by a verification itself.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use super::CachedKey;
use crate::clock::Timestamp;
use crate::key::id::KeyId;
use crate::store::{Store, StoreError};

/// Most keys noted between two writes, at some 100 bytes each once they are written: 10 MB. A use beyond that goes
/// unnoted, which can make a last use look older than it is, but costs nobody an answer.
const NOTED_MAX: usize = 100_000;
/// Most uses in one write, so that none of them holds others up for long.
const BATCH_MAX: usize = 1_000;

/// The last uses that the store does not know of yet.
#[derive(Debug, Default)]
pub struct Uses {
    /// Each once; when it was last used, it knows itself.
    noted: Mutex<Vec<Arc<CachedKey>>>,
    /// What could not be written.
    unwritten: Mutex<HashMap<KeyId, Timestamp>>,
}

impl Uses {
    /// Notes that `key` was found valid at `at`.
    pub fn note(&self, key: &Arc<CachedKey>, at: Timestamp) {
        if !key.note_use(at) {
            return;
        }
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() < NOTED_MAX {
            noted.push(key.clone());
        } else {
            drop(noted);
            key.take_use();
        }
    }

    /// Writes what was noted. What cannot be written is tried again the next time.
    pub async fn flush(&self, store: &dyn Store) -> Result<(), StoreError> {
        let noted = mem::take(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner));
        let mut uses = mem::take(&mut *self.unwritten.lock().unwrap_or_else(PoisonError::into_inner));
        for key in noted {
            let at = key.take_use();
            if let Some(last) = uses.get_mut(key.id()) {
                *last = at.max(*last);
            } else if uses.len() < NOTED_MAX {
                uses.insert(KeyId::from_text(key.id()), at);
            }
        }
        let uses: Vec<_> = uses.into_iter().collect();
        for (done, batch) in uses.chunks(BATCH_MAX).enumerate() {
            if let Err(error) = store.record_uses(batch).await {
                let rest = uses[done * BATCH_MAX..].iter().cloned();
                self.unwritten.lock().unwrap_or_else(PoisonError::into_inner).extend(rest);
                return Err(error);
            }
        }
        Ok(())
    }
}
