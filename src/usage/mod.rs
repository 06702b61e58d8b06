//! What keys did, counted in memory and written behind: no verification waits for it.
//!
//! A process that dies loses what it counted since it last wrote, a second's worth mostly. What was written is never added
//! twice: a batch whose fate is unknown is written again as it was, and the store knows the last one of each writer.

mod pending;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use crate::clock::{Clock, Timestamp};
use crate::key::id::{KeyId, KeyspaceUid};
use crate::key::keyspace::{Keyspace, SYSTEM};
use crate::key::usage::{Counted, Counts, Hour};
use crate::store::usage::UsageBatch;
use crate::store::{Store, StoreError};

use pending::Pending;

/// Most keys of one batch, so that none holds others up for long.
const BATCH_MAX: usize = 1_000;
/// Most keys and hours that are remembered while they cannot be written, at some 200 bytes each: 40 MB.
const PENDING_MAX: usize = 200_000;
/// Where so many wait, they are written at once.
const URGENT: usize = PENDING_MAX / 2;
/// For how long a round of many batches is drawn out: others want the store too.
const ROUND: Duration = Duration::from_millis(500);

/// What was counted and is not written yet.
#[derive(Debug)]
pub struct Usage {
    pending: Mutex<Pending>,
    /// The batch that is being written, or whose fate is unknown.
    unsettled: tokio::sync::Mutex<Option<UsageBatch>>,
    writer: String,
    written: Mutex<i64>,
    urgent: Notify,
}

impl Default for Usage {
    fn default() -> Self {
        Self {
            pending: Mutex::new(Pending::new(PENDING_MAX)),
            unsettled: tokio::sync::Mutex::default(),
            writer: format!("{:032x}", rand::random::<u128>()),
            written: Mutex::default(),
            urgent: Notify::new(),
        }
    }
}

impl Usage {
    /// Counts that a key was made at `at`.
    pub fn created(&self, key_id: &KeyId, keyspace: &Keyspace, at: Timestamp) {
        if keyspace.id != SYSTEM {
            self.add(key_id, keyspace.uid, Hour::of(at), &Counts::of(Counted::Created, 1), None);
        }
    }

    /// Adds what a key did in an hour, and when it was last found valid.
    pub fn add(&self, key_id: &KeyId, keyspace: KeyspaceUid, hour: Hour, counts: &Counts, last_use: Option<Timestamp>) {
        let mut pending = self.pending();
        pending.add(key_id, keyspace, hour, counts, last_use);
        if pending.len() >= URGENT {
            self.hurry();
        }
    }

    /// Says that there is much.
    pub fn hurry(&self) {
        self.urgent.notify_one();
    }

    /// Waits until so much waits that it should be written at once.
    pub async fn is_urgent(&self) {
        self.urgent.notified().await;
    }

    /// Writes all that was counted so far, at `clock`'s time; `paced`: without haste.
    ///
    /// # Errors
    /// If the store fails. What could not be written is written the next time.
    pub async fn flush(&self, store: &dyn Store, clock: &dyn Clock, paced: bool) -> Result<(), StoreError> {
        let mut unsettled = self.unsettled.lock().await;
        // What comes meanwhile can wait for the next time.
        let batches = 1 + self.pending().len() / BATCH_MAX + usize::from(unsettled.is_some());
        let pause = ROUND / u32::try_from(batches).unwrap_or(u32::MAX);
        for nth in 0..batches {
            if unsettled.is_none() {
                *unsettled = self.next_batch(clock.now());
            }
            let Some(batch) = &*unsettled else { return Ok(()) };
            store.record_usage(batch).await?;
            *unsettled = None;
            if paced && nth + 1 < batches {
                sleep(pause).await;
            }
        }
        Ok(())
    }

    fn next_batch(&self, at: Timestamp) -> Option<UsageBatch> {
        let (keys, keyspaces) = self.pending().take(BATCH_MAX)?;
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        *written += 1;
        Some(UsageBatch { writer: self.writer.clone(), seq: *written, at, keys, keyspaces })
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_write_under_one_name() {
        assert_ne!(Usage::default().writer, Usage::default().writer);
    }
}
