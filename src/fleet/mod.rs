//! Replicas that share a store, and answer from memory all the same: what one has changed and acknowledged, no other
//! contradicts. The protocol, what it promises and what it assumes are in `docs/revocation.md`; its model is in `model/`.
//!
//! Every replica reads the log of changes ([`tailer`]), and takes from each look that saw all of it a [`lease`]: for so
//! long it may answer from memory. Whoever has changed something waits until every replica has applied it, or until
//! the leases that may rest on less are over ([`barrier`]).

mod barrier;
mod lease;
mod metrics;
mod roster;
mod tailer;
mod terms;
mod until;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinError;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

pub use barrier::{Barrier, Unconfirmed};
pub use lease::{Deadline, Lease, LeaseOver};
pub use metrics::Metrics;
pub use roster::{Replica, Roster};

use crate::clock::Clock;
use crate::seeded::stoppable;
use crate::store::log::{Change, ChangeLog, Listener, News};
use crate::store::{Store, StoreError};
use barrier::{Arrivals, Warden};
use tailer::{Progress, Standing, Tailer};
use terms::Terms;

/// How long the first look at the log may take.
const BEGIN_WITHIN: Duration = Duration::from_secs(10);
/// How long after a session for hints was lost the next one is made.
const HINTS_AGAIN: Duration = Duration::from_secs(1);

/// A process's place among those that share its store.
pub struct Fleet {
    lease: Arc<Lease>,
    barrier: Arc<Barrier>,
    metrics: Arc<Metrics>,
    roster: Arc<Roster>,
    /// `None`: nobody else can change the store.
    others: Option<Others>,
}

struct Others {
    log: Arc<dyn ChangeLog>,
    progress: Arc<Progress>,
    tasks: Vec<AbortOnDropHandle<()>>,
}

impl Fleet {
    /// Takes a place. From now on `listener` hears of every change to `store`, whoever makes it; it hears of the forms
    /// of imported secrets before this answers. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn join(
        store: Arc<dyn Store>,
        listener: Arc<dyn Listener>,
        clock: Arc<dyn Clock>,
        lease: Duration,
        name: String,
    ) -> Result<Self, StoreError> {
        let metrics = Arc::new(Metrics::default());
        let log: Arc<dyn ChangeLog> = match store.listen(listener.clone()) {
            News::Logged(log) => log.into(),
            News::Told => {
                tell_forms(store.as_ref(), listener.as_ref()).await?;
                let (lease, barrier) = (Arc::new(Lease::endless(clock)), Arc::new(Barrier::alone()));
                return Ok(Self { lease, barrier, metrics, roster: Arc::new(Roster::alone(name)), others: None });
            }
        };
        let terms = Terms::of(lease);
        let lease = Arc::new(Lease::none(clock.clone(), lease));
        let standing = Standing::new()?;
        let progress = Arc::new(Progress::new(standing.incarnation()));
        let (hint, seen, arrivals) = (Arc::new(Notify::new()), Arc::<Mutex<_>>::default(), Arc::<Arrivals>::default());
        let mut tailer = Tailer {
            log: log.clone(),
            store,
            listener,
            clock: clock.clone(),
            lease: lease.clone(),
            progress: progress.clone(),
            metrics: metrics.clone(),
            terms,
            name,
            hint: hint.clone(),
            standing,
        };
        tailer.begin(BEGIN_WITHIN).await?;
        let warden = Warden {
            log: log.clone(),
            clock: clock.clone(),
            arrivals: arrivals.clone(),
            progress: progress.clone(),
            metrics: metrics.clone(),
            terms,
            hint: hint.clone(),
            seen: seen.clone(),
        };
        let tasks = vec![
            AbortOnDropHandle::new(tokio::spawn(stoppable(async move { tailer.run().await }))),
            AbortOnDropHandle::new(tokio::spawn(stoppable(warden.run()))),
            AbortOnDropHandle::new(tokio::spawn(stoppable(hear_hints(log.clone(), hint, metrics.clone())))),
            AbortOnDropHandle::new(tokio::spawn(stoppable(give_hints(log.clone(), arrivals.clone())))),
        ];
        let barrier = Arc::new(Barrier::among_others(arrivals));
        let roster = Roster::among_others(log.clone(), lease.clone(), clock, progress.clone(), seen);
        Ok(Self { lease, barrier, metrics, roster: Arc::new(roster), others: Some(Others { log, progress, tasks }) })
    }

    /// Whether others can change the store.
    pub fn is_shared(&self) -> bool {
        self.others.is_some()
    }

    /// Whether memory may be answered from.
    pub fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    /// What changes pass through before they are answered.
    pub fn barrier(&self) -> &Arc<Barrier> {
        &self.barrier
    }

    /// Who there is.
    pub fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Resolves when a task has died that must not.
    pub async fn failed(&mut self) -> JoinError {
        let Some(others) = &mut self.others else { return std::future::pending().await };
        let (ended, at, _) = futures_util::future::select_all(&mut others.tasks).await;
        // Nobody may wait for it again, as leaving would.
        drop(others.tasks.remove(at));
        match ended {
            Err(died) => died,
            Ok(()) => unreachable!("they run until they are dropped"),
        }
    }

    /// Gives the place up: nothing is answered from memory any more, and nobody need wait for this process.
    pub async fn leave(mut self) {
        let Some(others) = self.others.take() else { return };
        for task in &others.tasks {
            task.abort();
        }
        for task in others.tasks {
            // It was told to end.
            let _ = task.await;
        }
        // First of all: whoever finds this process off the list takes it that it answers no more.
        self.lease.end();
        if let Err(error) = others.log.leave(others.progress.incarnation()).await {
            tracing::warn!(%error, "this replica could not be taken off the list: the next change waits until it is dead");
        }
    }
}

/// Tells `listener` of every form of imported secrets that there is.
async fn tell_forms(store: &dyn Store, listener: &dyn Listener) -> Result<(), StoreError> {
    let forms = store.import_forms().await?.into_iter();
    let forms: Vec<_> = forms.map(|(keyspace, form)| Change::Form(keyspace, form)).collect();
    listener.changed(&forms);
    Ok(())
}

/// Hints to all that there is something new. Nobody waits for that: it may take long, and they would see it anyway.
async fn give_hints(log: Arc<dyn ChangeLog>, arrivals: Arc<Arrivals>) {
    loop {
        arrivals.hint_due.notified().await;
        if let Err(error) = log.hint().await {
            tracing::debug!(%error, "no hint could be given");
        }
    }
}

/// Passes hints on. They make things faster and prove nothing, so that one may be lost now and then.
async fn hear_hints(log: Arc<dyn ChangeLog>, hint: Arc<Notify>, metrics: Arc<Metrics>) {
    loop {
        match log.hinted().await {
            Ok(()) => {
                metrics.hinted();
                hint.notify_one();
            }
            Err(error) => {
                tracing::debug!(%error, "no hints are heard; changes are seen a little later");
                sleep(HINTS_AGAIN).await;
            }
        }
    }
}
