//! What goes on beside answering: usage is written behind, what limited keys spent is told to the store, old usage is
//! folded, old audit events are forgotten.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use rand::RngExt as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::fleet::Lease;
use crate::key::id::KeyId;
use crate::store::usage::Retention;
use crate::store::{EVENTS_PRUNED_MAX, Store};
use crate::usage::Usage;
use crate::verify::Ledger;
use crate::verify::allowance::SWEEP_INTERVAL;

/// How long after a round of writing the next begins: processes that share a store shall not all come at once.
const ROUND: Range<Duration> = Duration::from_millis(800)..Duration::from_millis(1_200);
/// How soon after another it is written all the same if there is much.
const URGENT: Duration = Duration::from_millis(100);
/// For how long the last of it is tried to be written anew where that failed at once, and how long after one another.
const LAST_TRIES: Duration = Duration::from_secs(5);
const LAST_PAUSE: Duration = Duration::from_millis(200);
/// How long there is between two steps of folding old usage, and between two walks through all of it.
const STEP: Duration = Duration::from_secs(5);
const WALK: Duration = Duration::from_hours(1);
/// How long there is between two steps of forgetting audit events while there are old ones, and else.
const PRUNE_STEP: Duration = Duration::from_secs(1);
const PRUNE_PAUSE: Duration = Duration::from_mins(10);

/// What is kept up.
pub struct Upkeep {
    /// Where all of it goes.
    pub store: Arc<dyn Store>,
    /// Without which nothing is written: whoever has none is cut off from the store.
    pub lease: Arc<Lease>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What was counted.
    pub usage: Arc<Usage>,
    /// What verifications left.
    pub ledger: Arc<Ledger>,
    /// How long usage is kept.
    pub retention: Retention,
    /// How long audit events are kept; `None`: for ever.
    pub audit_kept: Option<Duration>,
    /// Counts audit events that were forgotten.
    pub events_pruned: Counter,
}

impl Upkeep {
    /// Does all of it, until it is told to stop. What has begun to be written is written.
    pub async fn run(&self, stop: &CancellationToken) {
        tokio::select! {
            () = self.write_behind(stop) => {}
            () = self.fold() => {}
            () = self.prune_events() => {}
        }
    }

    /// Writes what is left, and gives back all credits: the last thing before the store is closed.
    pub async fn end(&self) {
        self.ledger.collect();
        if let Err(error) = self.ledger.settle(true).await {
            tracing::warn!(%error, "what limited keys had left could not be given back");
        }
        let began = self.clock.elapsed();
        // What fails now is lost: one connection that breaks off, or a moment without the store, shall not be enough.
        while let Err(error) = self.usage.flush(self.store.as_ref(), self.clock.as_ref(), false).await {
            if self.clock.elapsed().saturating_sub(began) > LAST_TRIES {
                tracing::warn!(%error, "the last uses of keys could not be written");
                return;
            }
            sleep(LAST_PAUSE).await;
        }
    }

    async fn write_behind(&self, stop: &CancellationToken) {
        let mut swept = self.clock.elapsed();
        loop {
            let pause = rand::rng().random_range(ROUND);
            tokio::select! {
                () = sleep(pause) => {}
                // No more often than that, should nothing come of it.
                () = async { tokio::join!(self.usage.is_urgent(), sleep(URGENT)); } => {}
                () = stop.cancelled() => return,
            }
            // Whether or not it can be written: what is counted is bounded from here on.
            self.ledger.collect();
            if self.clock.elapsed().saturating_sub(swept) >= SWEEP_INTERVAL {
                self.ledger.sweep();
                swept = self.clock.elapsed();
            }
            if !self.lease.is_held() {
                continue;
            }
            if let Err(error) = self.ledger.settle(false).await {
                tracing::warn!(%error, "what limited keys spent could not be told to the store; it will be later");
            }
            if let Err(error) = self.usage.flush(self.store.as_ref(), self.clock.as_ref(), true).await {
                tracing::warn!(%error, "the uses of keys could not be written; they are kept and tried again");
            }
        }
    }

    async fn fold(&self) {
        let mut after: Option<KeyId> = None;
        loop {
            sleep(STEP).await;
            if !self.lease.is_held() {
                continue;
            }
            match self.store.fold_usage(after.as_ref(), self.retention, self.clock.now()).await {
                Ok(Some(last)) => after = Some(last),
                Ok(None) => {
                    after = None;
                    sleep(WALK).await;
                }
                Err(error) => tracing::warn!(%error, "old usage could not be folded; it will be later"),
            }
        }
    }

    /// Every process does it, a little at a time: they pass over what another is at.
    async fn prune_events(&self) {
        let Some(kept) = self.audit_kept else { return std::future::pending().await };
        sleep(STEP).await;
        loop {
            let mut pause = PRUNE_STEP;
            if self.lease.is_held() {
                match self.store.prune_events(self.clock.now().saturating_sub(kept)).await {
                    Ok(pruned) => {
                        self.events_pruned.inc_by(pruned);
                        if pruned < EVENTS_PRUNED_MAX as u64 {
                            pause = PRUNE_PAUSE;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "old audit events could not be forgotten; they will be later");
                        pause = STEP;
                    }
                }
            }
            sleep(pause).await;
        }
    }
}
