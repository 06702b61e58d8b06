//! Waits until a change holds everywhere: until every replica has applied it, or can rest on nothing older.
//!
//! Changes that are confirmed at the same time share a *round*: one reading of the list, and of the log's head, that
//! began after all of them were committed.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, timeout};

use super::metrics::Metrics;
use super::tailer::Progress;
use super::terms::Terms;
use crate::clock::Clock;
use crate::seeded::{self, Fault};
use crate::store::StoreError;
use crate::store::log::{ChangeLog, Incarnation, Replica, Roll};

/// The pause before the list is read again while somebody waits: the first of these, and then a part of how long he has
/// waited, within these.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(20);
const PAUSE_PART: u32 = 4;
/// Most that wait at once, at some 100 bytes each; more are not confirmed. Calls in flight are bounded, but those that
/// were given up are only noticed when the list is read.
const WAITING_MAX: usize = 65_536;
/// Most rounds at once: with one replica that does not answer, some 80 a second for as long as it is waited for. Whoever
/// comes while there are as many waits for one of them to end.
const ROUNDS_MAX: usize = 256;
/// The shortest limit to how long the list may take to be read, with what has to be done about it.
const READ_TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// How often old entries of the log are cleared away.
const PRUNE_EVERY: Duration = Duration::from_mins(1);

/// What changes pass through before they are answered.
#[derive(Debug)]
pub struct Barrier {
    /// `None`: there are no others.
    arrivals: Option<Arc<Arrivals>>,
}

/// It could not be found out whether the change holds everywhere. It may be made or not, and hold or not: repeat it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the change could not be confirmed")]
pub struct Unconfirmed;

/// Those who wait for the next round.
#[derive(Debug, Default)]
pub struct Arrivals {
    waiting: Mutex<Vec<Waiter>>,
    came: Notify,
    /// The others are to be hinted at something new.
    pub(super) hint_due: Notify,
}

#[derive(Debug)]
struct Waiter {
    since: Duration,
    answer: oneshot::Sender<Result<(), Unconfirmed>>,
}

/// What one reading of the list asks for.
#[derive(Debug)]
struct Round {
    /// Before the reading, and after the commits.
    began: Duration,
    /// How many looks at the log this process had begun then.
    looks: u64,
    /// What the log's head was then.
    head: i64,
    /// The others who had not applied that, as far as is known.
    owing: Vec<(Incarnation, Duration)>,
    waiting: Vec<Waiter>,
}

/// What this process itself has seen of another.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    beat: i64,
    /// When its beat was first seen to be that.
    heard_at: Duration,
    /// Since when it is seen to be dead.
    dead_since: Option<Duration>,
}

/// What reads the list.
pub struct Warden {
    pub(super) log: Arc<dyn ChangeLog>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) arrivals: Arc<Arrivals>,
    pub(super) progress: Arc<Progress>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) terms: Terms,
    /// Wakes the reader of the log in this process.
    pub(super) hint: Arc<Notify>,
    pub(super) seen: Arc<Mutex<HashMap<Incarnation, Seen>>>,
}

impl Barrier {
    /// For a process that shares its store with nobody.
    pub fn alone() -> Self {
        Self { arrivals: None }
    }

    pub(super) fn among_others(arrivals: Arc<Arrivals>) -> Self {
        Self { arrivals: Some(arrivals) }
    }

    /// Waits until everything that was committed before holds on every replica.
    ///
    /// # Errors
    /// If the store did not answer for longer than any lease lasts.
    pub async fn pass(&self, clock: &dyn Clock) -> Result<(), Unconfirmed> {
        let Some(arrivals) = &self.arrivals else { return Ok(()) };
        let (answer, answered) = oneshot::channel();
        arrivals.add(Waiter { since: clock.elapsed(), answer })?;
        answered.await.unwrap_or(Err(Unconfirmed))
    }
}

impl Arrivals {
    fn add(&self, waiter: Waiter) -> Result<(), Unconfirmed> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING_MAX {
            return Err(Unconfirmed);
        }
        waiting.push(waiter);
        self.came.notify_one();
        Ok(())
    }

    fn take(&self) -> Vec<Waiter> {
        mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Seen {
    /// How long ago its last sign of life was first seen.
    pub fn silent_for(&self, now: Duration) -> Duration {
        now.saturating_sub(self.heard_at)
    }
}

impl Warden {
    /// Confirms changes for as long as it runs, and clears away what crashed replicas leave behind.
    pub async fn run(self) {
        let mut rounds: Vec<Round> = Vec::new();
        let mut arrived: Vec<Waiter> = Vec::new();
        let mut came_at = Duration::ZERO;
        let mut pruned_at = self.clock.elapsed();
        loop {
            let new = self.arrivals.take();
            // Before the hint: the look that it leads to is one that began after the commits.
            let (began, looks) = (self.clock.elapsed(), self.progress.begun());
            if !new.is_empty() {
                came_at = began;
                // The log's reader of this process need not wait for the hint that goes to all.
                self.hint.notify_one();
                self.arrivals.hint_due.notify_one();
            }
            arrived.extend(new);
            arrived.retain(|waiter| !waiter.answer.is_closed());

            let own = self.progress.incarnation();
            match self.in_time(self.log.roll()).await {
                Ok(roll) => {
                    if !arrived.is_empty() && rounds.len() < ROUNDS_MAX {
                        rounds.push(Round::new(began, looks, &roll, own, mem::take(&mut arrived)));
                    }
                    let seen = self.observe(&roll);
                    self.settle(&mut rounds, Some(&roll), &seen);
                    self.clear_away(&rounds, &roll, &seen, own).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "the list of replicas cannot be read");
                    let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    self.settle(&mut rounds, None, &seen);
                    self.give_up(&mut arrived);
                }
            }
            if self.clock.elapsed() >= pruned_at + PRUNE_EVERY {
                pruned_at = self.clock.elapsed();
                if let Err(error) = self.in_time(self.log.prune()).await {
                    tracing::debug!(%error, "old entries of the log of changes could not be cleared away");
                }
            }
            let is_idle = rounds.is_empty() && arrived.is_empty();
            let waited = self.clock.elapsed().saturating_sub(came_at);
            let pause = (waited / PAUSE_PART).clamp(PAUSE_MIN, PAUSE_MAX);
            let next = if is_idle { self.terms.beat_every } else { pause };
            if !is_idle {
                // However many come meanwhile: each reading costs the others a look, too.
                sleep(PAUSE_MIN).await;
            }
            tokio::select! {
                // In this order, so that a simulation can be replayed. All of them lead to the next reading.
                biased;
                () = self.arrivals.came.notified() => {}
                () = self.progress.moved(), if !is_idle => {}
                () = sleep(next) => {}
            }
        }
    }

    /// Nobody who waits for the time to pass may wait for long for a store that does not answer.
    async fn in_time<T>(&self, asking: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let asked = timeout(self.terms.poll_timeout.max(READ_TIMEOUT_MIN), asking).await;
        asked.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer".into())))
    }

    /// Notes what the list says of the others: all that is known of them.
    fn observe(&self, roll: &Roll) -> HashMap<Incarnation, Seen> {
        // After the reading: what it showed was so by now.
        let now = self.clock.elapsed();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = roll
            .replicas
            .iter()
            .map(|replica| {
                let before = seen.get(&replica.incarnation);
                let heard_at =
                    before.filter(|before| before.beat == replica.beat).map_or(now, |before| before.heard_at);
                let dead_since = before.and_then(|before| before.dead_since).unwrap_or(now);
                let dead_since = replica.is_dead.then_some(dead_since);
                (replica.incarnation, Seen { beat: replica.beat, heard_at, dead_since })
            })
            .collect();
        seen.clone()
    }

    /// Answers the rounds that nobody owes anything any more. `roll`: the list as it was read just now, if it was.
    fn settle(&self, rounds: &mut Vec<Round>, roll: Option<&Roll>, seen: &HashMap<Incarnation, Seen>) {
        let now = self.clock.elapsed();
        let on_list = roll.map(|roll| roll.replicas.iter().map(|r| (r.incarnation, r)).collect::<HashMap<_, _>>());
        for round in rounds.iter_mut() {
            let (began, head) = (round.began, round.head);
            let is_owing = |(replica, lease): &(Incarnation, Duration)| {
                let wait = Terms::wait(*lease);
                if now >= began + wait {
                    return false;
                }
                let Some(on_list) = &on_list else { return true };
                // Whoever is off the list answers no more: it said so, or was seen to be dead for long enough.
                let Some(listed) = on_list.get(replica) else { return false };
                if seeded::has(Fault::DeadSkippedAtOnce) && listed.is_dead {
                    return false;
                }
                let is_over = seen.get(replica).and_then(|seen| seen.dead_since).is_some_and(|dead| now >= dead + wait);
                listed.acked < head && !is_over
            };
            round.owing.retain(is_owing);
        }
        let is_known_here = |round: &Round| {
            now >= round.began + Terms::wait(self.terms.lease) || self.progress.has_looked_since(round.looks)
        };
        for round in rounds.extract_if(.., |round| round.owing.is_empty() && is_known_here(round)) {
            for waiter in round.waiting {
                self.metrics.waited(now.saturating_sub(waiter.since));
                // Whoever has gone does not mind.
                let _ = waiter.answer.send(Ok(()));
            }
        }
    }

    /// Gives up on those who arrived too long ago.
    fn give_up(&self, arrived: &mut Vec<Waiter>) {
        let now = self.clock.elapsed();
        for waiter in arrived.extract_if(.., |waiter| now >= waiter.since + self.terms.confirm_timeout()) {
            let _ = waiter.answer.send(Err(Unconfirmed));
        }
    }

    /// Marks those as dead who are late or silent, and takes off the list those who have been dead for long enough.
    async fn clear_away(&self, rounds: &[Round], roll: &Roll, seen: &HashMap<Incarnation, Seen>, own: Incarnation) {
        let now = self.clock.elapsed();
        let mut late: Vec<(&Replica, i64)> = Vec::new();
        let mut over = Vec::new();
        for replica in roll.replicas.iter().filter(|replica| replica.incarnation != own) {
            let Some(seen) = seen.get(&replica.incarnation) else { continue };
            if let Some(dead_since) = seen.dead_since {
                if now >= dead_since + Terms::wait(replica.lease) {
                    over.push(replica.incarnation);
                }
                continue;
            }
            let owed = rounds.iter().find(|round| {
                // One with a longer lease looks less often.
                now >= round.began + self.terms.marked_after.max(Terms::of(replica.lease).marked_after)
                    && round.owing.iter().any(|(owing, _)| *owing == replica.incarnation)
            });
            if let Some(round) = owed {
                late.push((replica, round.head));
            } else if seen.silent_for(now) >= self.terms.silent_max.max(replica.lease * 4) {
                late.push((replica, i64::MAX));
            }
        }
        let all = async {
            for (replica, head) in late {
                self.log.mark_dead(&[replica.incarnation], head).await?;
                let name = &replica.name;
                tracing::warn!(name, "a replica has not answered in time and is marked as dead");
            }
            if !over.is_empty() {
                self.log.remove(&over).await?;
                tracing::info!(count = over.len(), "dead replicas were taken off the list");
            }
            Ok(())
        };
        if let Err(error) = self.in_time(all).await {
            tracing::debug!(%error, "the list of replicas could not be brought up to date");
        }
    }
}

impl Round {
    fn new(began: Duration, looks: u64, roll: &Roll, own: Incarnation, waiting: Vec<Waiter>) -> Self {
        let owing = roll.replicas.iter().filter(|replica| replica.incarnation != own && replica.acked < roll.head);
        let owing = owing.map(|replica| (replica.incarnation, replica.lease)).collect();
        Self { began, looks, head: roll.head, owing, waiting }
    }
}
