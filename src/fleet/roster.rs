//! Who shares the store, for people to look at.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::barrier::Seen;
use super::lease::Lease;
use super::tailer::Progress;
use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::log::{ChangeLog, Incarnation};

/// Knows who there is.
pub struct Roster(Known);

enum Known {
    /// Only this one, of this name.
    Alone(String),
    Others {
        log: Arc<dyn ChangeLog>,
        lease: Arc<Lease>,
        clock: Arc<dyn Clock>,
        progress: Arc<Progress>,
        seen: Arc<Mutex<HashMap<Incarnation, Seen>>>,
    },
}

/// What is known of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// What people call it.
    pub name: String,
    /// Whether it is this one.
    pub is_self: bool,
    /// How long it answers from memory after it looked at the log; `None`: it need not look.
    pub lease: Option<Duration>,
    /// How long ago it last saw all of the log; of another, as far as this one has heard. `None`: never, or it need not.
    pub lease_age: Option<Duration>,
    /// The last change that it has said to have applied.
    pub applied: i64,
    /// How many changes it has not said to have applied.
    pub lag: i64,
    /// It did not answer in time, and is listed only until nothing can rest on what it remembers.
    pub is_dead: bool,
}

impl Roster {
    pub(super) fn alone(name: String) -> Self {
        Self(Known::Alone(name))
    }

    pub(super) fn among_others(
        log: Arc<dyn ChangeLog>,
        lease: Arc<Lease>,
        clock: Arc<dyn Clock>,
        progress: Arc<Progress>,
        seen: Arc<Mutex<HashMap<Incarnation, Seen>>>,
    ) -> Self {
        Self(Known::Others { log, lease, clock, progress, seen })
    }

    /// Everybody who shares the store, by name.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn replicas(&self) -> Result<Vec<Replica>, StoreError> {
        let (log, lease, clock, progress, seen) = match &self.0 {
            Known::Alone(name) => {
                let (name, is_self, is_dead) = (name.clone(), true, false);
                return Ok(vec![Replica { name, is_self, lease: None, lease_age: None, applied: 0, lag: 0, is_dead }]);
            }
            Known::Others { log, lease, clock, progress, seen } => (log, lease, clock, progress, seen),
        };
        let roll = log.roll().await?;
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (now, own) = (clock.elapsed(), progress.incarnation());
        let replicas = roll.replicas.into_iter().map(|replica| {
            let is_self = replica.incarnation == own;
            let heard_of = || seen.get(&replica.incarnation).map(|seen| seen.silent_for(now));
            Replica {
                is_self,
                lease: Some(replica.lease),
                lease_age: if is_self { lease.age() } else { heard_of() },
                applied: replica.acked,
                lag: roll.head - replica.acked,
                is_dead: replica.is_dead,
                name: replica.name,
            }
        });
        Ok(replicas.collect())
    }
}
