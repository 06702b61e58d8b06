//! What can be counted about how replicas agree.

use std::sync::atomic::AtomicI64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds of the waits that are told apart, in seconds: around what is usual, and around what a replica costs that
/// does not answer.
const WAITS: [f64; 12] = [0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.25, 1.0, 2.0, 3.0, 5.0];

/// Counters of one replica.
#[derive(Debug)]
pub struct Metrics {
    polls: Counter,
    polls_failed: Counter,
    hints: Counter,
    forks: Counter,
    registrations: Counter,
    waits: Histogram,
    lag: Gauge<i64, AtomicI64>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            polls: Counter::default(),
            polls_failed: Counter::default(),
            hints: Counter::default(),
            forks: Counter::default(),
            registrations: Counter::default(),
            waits: Histogram::new(WAITS),
            lag: Gauge::default(),
        }
    }
}

impl Metrics {
    /// Makes the counters readable, under `portcullis_…`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("log_polls", "Looks at the log of changes", self.polls.clone());
        registry.register("log_polls_failed", "Looks at the log of changes that failed", self.polls_failed.clone());
        registry.register("log_hints", "Hints that there is something new in the log", self.hints.clone());
        registry.register("log_forks", "Times that the log did not go on where it was read last", self.forks.clone());
        registry.register(
            "registrations",
            "Times that this replica put itself on the list",
            self.registrations.clone(),
        );
        let help = "How long changes waited until they held on every replica";
        registry.register_with_unit("change_wait", help, Unit::Seconds, self.waits.clone());
        registry.register(
            "log_lag",
            "Entries of the log that this replica had yet to apply after its last look",
            self.lag.clone(),
        );
    }

    pub(super) fn looked(&self, well: bool) {
        self.polls.inc();
        if !well {
            self.polls_failed.inc();
        }
    }

    pub(super) fn applied(&self, seq: i64, head: i64) {
        self.lag.set(head - seq);
    }

    pub(super) fn hinted(&self) {
        self.hints.inc();
    }

    pub(super) fn forked(&self) {
        self.forks.inc();
    }

    pub(super) fn registered(&self) {
        self.registrations.inc();
    }

    pub(super) fn waited(&self, wait: Duration) {
        self.waits.observe(wait.as_secs_f64());
    }
}
