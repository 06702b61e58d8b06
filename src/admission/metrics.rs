//! What admission counts. Labels name kinds and limits, never callers.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::{Over, QUEUED, VERIFICATION};
use crate::fair_queue::Places;

type Label = (&'static str, &'static str);

/// The limits that a call can be over.
const LIMITS: [&str; 5] = ["caller_calls", "caller_rate", "keyspace_calls", "keyspace_rate", "keyspace_keys"];

/// Counters.
pub struct Metrics {
    admitted: Family<[Label; 1], Counter>,
    busy: Family<[Label; 1], Counter>,
    over: Family<[Label; 1], Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self { admitted: Family::default(), busy: Family::default(), over: Family::default() };
        // All are there from the start, so that a first increase is seen as one.
        for (_, kind, ..) in QUEUED {
            drop(metrics.admitted.get_or_create(&[("kind", kind)]));
            drop(metrics.busy.get_or_create(&[("kind", kind)]));
        }
        drop(metrics.busy.get_or_create(&[("kind", VERIFICATION)]));
        for limit in LIMITS {
            drop(metrics.over.get_or_create(&[("limit", limit)]));
        }
        metrics
    }
}

impl Metrics {
    /// Makes the counters readable.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("calls_admitted", "Calls that got a place", self.admitted.clone());
        let help = "Calls refused because too many of their kind were under way, or waited to be read";
        registry.register("calls_shed", help, self.busy.clone());
        let help = "Calls refused because a root key or a keyspace had no budget left";
        registry.register("calls_over_limit", help, self.over.clone());
    }

    pub(super) fn entered(&self, kind: &'static str, admitted: bool) {
        let family = if admitted { &self.admitted } else { &self.busy };
        family.get_or_create(&[("kind", kind)]).inc();
    }

    pub(super) fn over(&self, of: &'static str, over: Over) {
        let limit = match (of, over) {
            ("caller", Over::Calls { .. }) => "caller_calls",
            ("caller", Over::Rate { .. }) => "caller_rate",
            (_, Over::Calls { .. }) => "keyspace_calls",
            (_, Over::Rate { .. }) => "keyspace_rate",
        };
        self.over.get_or_create(&[("limit", limit)]).inc();
    }

    pub(super) fn keyspace_full(&self) {
        self.over.get_or_create(&[("limit", "keyspace_keys")]).inc();
    }
}

/// How many calls run and wait, looked at when it is asked for.
pub struct Load(pub Vec<(&'static str, Arc<Places>)>);

impl Collector for Load {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut gauge = |name: &str, help: &str, value: fn((usize, usize)) -> usize| {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (kind, places) in &self.0 {
                let value = ConstGauge::new(i64::try_from(value(places.load())).unwrap_or(i64::MAX));
                value.encode(metric.encode_family(&[("kind", *kind)])?)?;
            }
            Ok(())
        };
        gauge("calls_running", "Calls that have a place", |(running, _)| running)?;
        gauge("calls_waiting", "Calls that wait for a place", |(_, waiting)| waiting)
    }
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load").finish_non_exhaustive()
    }
}
