//! Reads the log of changes, applies what is new, and takes a lease from each look that saw all of it.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::TryRng as _;
use rand::rngs::SysRng;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::lease::Lease;
use super::metrics::Metrics;
use super::tell_forms;
use super::terms::Terms;
use crate::clock::Clock;
use crate::seeded::{self, Fault};
use crate::store::log::{Change, ChangeLog, Incarnation, Listener, Poll, Position};
use crate::store::{Store, StoreError};

/// How far this process is, for whoever waits for it.
#[derive(Debug)]
pub struct Progress {
    incarnation: Mutex<Incarnation>,
    /// How many looks have begun.
    begun: AtomicU64,
    /// Which of them was the last after which everything was applied.
    complete: AtomicU64,
    /// There was another such.
    moved: Notify,
}

/// What reads the log.
pub struct Tailer {
    pub(super) log: Arc<dyn ChangeLog>,
    pub(super) store: Arc<dyn Store>,
    pub(super) listener: Arc<dyn Listener>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) lease: Arc<Lease>,
    pub(super) progress: Arc<Progress>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) terms: Terms,
    pub(super) name: String,
    /// There may be something new.
    pub(super) hint: Arc<Notify>,
    pub(super) standing: Standing,
}

/// Where a tailer stands.
#[derive(Debug)]
pub struct Standing {
    incarnation: Incarnation,
    /// Who this process was before it was marked as dead. What it applies it has applied as those too, and acknowledges
    /// as those until nobody asks for them any more.
    former: VecDeque<Incarnation>,
    is_registered: bool,
    /// The last entry that was applied; `None`: nothing was read yet.
    at: Option<Position>,
    beat_at: Option<Duration>,
    /// Whether the last change of state that was told is that there is a lease.
    told_held: bool,
}

/// What a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looked {
    /// Everything in the log is applied.
    AtHead,
    /// There is more to read, or this process has to register first.
    Again,
}

/// Most former incarnations that are acknowledged for. They are taken off the list soon.
const FORMER_MAX: usize = 4;

impl Progress {
    /// Of one that has not begun.
    pub fn new(incarnation: Incarnation) -> Self {
        Self {
            incarnation: Mutex::new(incarnation),
            begun: AtomicU64::new(0),
            complete: AtomicU64::new(0),
            moved: Notify::new(),
        }
    }

    /// Who this process is on the list.
    pub fn incarnation(&self) -> Incarnation {
        *self.incarnation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many looks have begun by now.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// Whether everything is applied that was committed before so many looks had begun. A number of the log's would not
    /// tell: after a failover that lost changes, it may have been another change's before.
    pub fn has_looked_since(&self, begun: u64) -> bool {
        self.complete.load(Ordering::SeqCst) > begun
    }

    /// Waits for the next look after which everything is applied.
    pub async fn moved(&self) {
        self.moved.notified().await;
    }

    /// Which look this one is.
    fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn complete(&self, look: u64) {
        self.complete.store(look, Ordering::SeqCst);
        self.moved.notify_one();
    }
}

impl Standing {
    /// Of a process that has yet to register.
    pub fn new() -> Result<Self, StoreError> {
        Ok(Self {
            incarnation: incarnation()?,
            former: VecDeque::new(),
            is_registered: false,
            at: None,
            beat_at: None,
            told_held: true,
        })
    }

    /// Who this process is.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }
}

fn incarnation() -> Result<Incarnation, StoreError> {
    let mut bytes = [0; 16];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| StoreError::Unavailable(error.into()))?;
    Ok(Incarnation(u128::from_be_bytes(bytes)))
}

impl Tailer {
    /// Registers, and looks until everything is applied.
    ///
    /// # Errors
    /// If the store fails, or does not answer in time.
    pub async fn begin(&mut self, within: Duration) -> Result<(), StoreError> {
        let caught_up = async {
            while self.look().await? == Looked::Again {}
            Ok(())
        };
        let caught_up = timeout(within, caught_up).await;
        caught_up.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer to a look at the log of changes".into())))
    }

    /// Looks again and again.
    pub async fn run(&mut self) {
        loop {
            let looked = timeout(self.terms.poll_timeout, self.look()).await;
            let failed = match &looked {
                Ok(Ok(_)) => None,
                Ok(Err(error)) => Some(error.cause()),
                Err(_) => Some(format!("no answer within {:?}", self.terms.poll_timeout)),
            };
            self.metrics.looked(failed.is_none());
            self.tell(failed.as_deref());
            if !matches!(looked, Ok(Ok(Looked::Again))) {
                self.lease.looked();
            }
            match looked {
                Ok(Ok(Looked::Again)) => {}
                Ok(Ok(Looked::AtHead)) => self.pause().await,
                Ok(Err(_)) | Err(_) => sleep(self.terms.poll_again).await,
            }
        }
    }

    /// Waits until it is time for the next look.
    async fn pause(&self) {
        tokio::select! {
            // In this order, so that a simulation can be replayed. All of them lead to a look.
            biased;
            () = self.hint.notified() => {
                if seeded::has(Fault::HintTrusted) {
                    self.lease.take(self.clock.elapsed());
                }
            }
            () = self.lease.wanted() => {}
            () = sleep(self.terms.poll_every) => {}
        }
    }

    /// One look at the log. May be given up anywhere: nothing counts as applied that is not.
    async fn look(&mut self) -> Result<Looked, StoreError> {
        if !self.standing.is_registered && !seeded::has(Fault::LateRegistration) {
            // Before the look: whoever changes something after it must find this process on the list.
            self.register().await?;
        }
        let nth = self.progress.begin();
        let mut began = self.clock.elapsed();
        let poll = self.log.poll(self.standing.incarnation, self.standing.at.map(|at| at.seq)).await?;
        if seeded::has(Fault::LeaseFromReply) {
            began = self.clock.elapsed();
        }
        let is_yet_to_register = seeded::has(Fault::LateRegistration) && !self.standing.is_registered;
        if !(poll.is_registered || is_yet_to_register) {
            return self.renew_incarnation();
        }
        if seeded::has(Fault::AckBeforeApply) {
            self.acknowledge(poll.head).await?;
        }
        let at = self.apply(&poll).await?;
        self.standing.at = Some(at);
        self.metrics.applied(at.seq, poll.head.seq);
        let is_at_head = at.seq == poll.head.seq;
        if is_at_head || seeded::has(Fault::TruncatedLookExtends) {
            // From before the look: what is changed after that is not in what it showed.
            self.lease.take(began);
            if self.lease.is_held() {
                // Whoever waits for one need not wait for the acknowledgement.
                self.lease.looked();
            }
            self.progress.complete(nth);
        }
        if !self.standing.is_registered {
            self.register().await?;
        }
        let beat_due = self.standing.beat_at.is_none_or(|at| began >= at + self.terms.beat_every);
        if poll.acked < at.seq || beat_due {
            self.acknowledge(at).await?;
            self.standing.beat_at = Some(began);
        }
        Ok(if is_at_head { Looked::AtHead } else { Looked::Again })
    }

    /// Applies what a look showed: where that leads to.
    async fn apply(&self, poll: &Poll) -> Result<Position, StoreError> {
        let Some(at) = self.standing.at else { return self.begin_anew(poll).await };
        let is_there = poll.previous.is_some_and(|nonce| nonce == at.nonce || seeded::has(Fault::ForkUnnoticed));
        if !is_there || !follow(at, poll) {
            self.metrics.forked();
            tracing::warn!(
                at.seq,
                head = poll.head.seq,
                "the log of changes does not go on from where it was read last: the database lost changes in a failover, \
                 was restored, or was out of reach for longer than the log is kept. Everything is forgotten and read anew"
            );
            return self.begin_anew(poll).await;
        }
        let changes: Vec<Change> = poll.entries.iter().map(|(_, change)| change.clone()).collect();
        self.listener.changed(&changes);
        Ok(poll.entries.last().map_or(at, |(last, _)| *last))
    }

    /// Forgets everything. What is read from here on is no older than what the look showed.
    async fn begin_anew(&self, poll: &Poll) -> Result<Position, StoreError> {
        self.listener.changed(&[Change::All]);
        tell_forms(self.store.as_ref(), self.listener.as_ref()).await?;
        Ok(poll.head)
    }

    async fn acknowledge(&self, at: Position) -> Result<(), StoreError> {
        let all: Vec<_> = [self.standing.incarnation].into_iter().chain(self.standing.former.iter().copied()).collect();
        self.log.acknowledge(&all, at).await
    }

    async fn register(&mut self) -> Result<(), StoreError> {
        self.log.register(self.standing.incarnation, &self.name, self.terms.lease).await?;
        self.standing.is_registered = true;
        self.metrics.registered();
        Ok(())
    }

    /// Somebody has marked this process as dead. What it remembers is as good as before, but it must be on the list.
    fn renew_incarnation(&mut self) -> Result<Looked, StoreError> {
        tracing::warn!("this replica was marked as dead, for it did not answer in time: it registers anew");
        let new = incarnation()?;
        self.standing.former.push_front(mem::replace(&mut self.standing.incarnation, new));
        self.standing.former.truncate(FORMER_MAX);
        self.standing.is_registered = false;
        *self.progress.incarnation.lock().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(Looked::Again)
    }

    /// Says once that there is no lease any more, and once that there is one again.
    fn tell(&mut self, failed: Option<&str>) {
        let held = self.lease.is_held();
        if held == self.standing.told_held {
            return;
        }
        self.standing.told_held = held;
        if held {
            tracing::info!("the lease is held again: keys are answered from memory");
        } else {
            let error = failed.unwrap_or("none");
            tracing::warn!(error, "the lease is over: no key is verified until the database can be read again");
        }
    }
}

/// Whether entries follow each other from `at` on: whoever clears the log away, or edits it, may leave gaps.
fn follow(at: Position, poll: &Poll) -> bool {
    let mut last = at.seq;
    for (position, _) in &poll.entries {
        if position.seq != last + 1 {
            return false;
        }
        last = position.seq;
    }
    // Nothing to show means that there is nothing.
    !poll.entries.is_empty() || last == poll.head.seq
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_no_continuation() {
        let position = |seq| Position { seq, nonce: seq * 7 };
        let poll = |head, entries: &[i64]| Poll {
            is_registered: true,
            acked: 0,
            head: position(head),
            previous: None,
            entries: entries.iter().map(|seq| (position(*seq), Change::All)).collect(),
        };
        for (head, entries, follows) in [
            (5, [].as_slice(), true),
            (7, &[6, 7], true),
            (9, &[6, 7], true),
            (7, &[], false),
            (7, &[7], false),
            (8, &[6, 8], false),
            (4, &[], false),
        ] {
            assert_eq!(follow(position(5), &poll(head, entries)), follows, "{head} {entries:?}");
        }
    }
}
