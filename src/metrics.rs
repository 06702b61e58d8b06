//! What can be measured about a running server, in the text form that Prometheus reads. Nothing of a key is in it.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::fleet::{Fleet, Lease};
use crate::verify::Verifier;

/// All that is measured.
pub struct Metrics(Registry);

/// What is looked at when it is asked for.
struct Now {
    lease: Arc<Lease>,
    verifier: Arc<Verifier>,
}

impl Metrics {
    /// Of a server.
    pub fn of(fleet: &Fleet, verifier: Arc<Verifier>) -> Self {
        let mut registry = Registry::with_prefix("portcullis");
        fleet.metrics().register(&mut registry);
        registry.register_collector(Box::new(Now { lease: fleet.lease().clone(), verifier }));
        Self(registry)
    }

    /// Everything, as it is now.
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.0).expect("a String takes all");
        text
    }
}

impl Collector for Now {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let is_held = ConstGauge::new(i64::from(self.lease.is_held()));
        let help = "Whether keys may be answered from memory";
        is_held.encode(encoder.encode_descriptor("lease_held", help, None, is_held.metric_type())?)?;
        if let Some(age) = self.lease.age() {
            let age = ConstGauge::new(age.as_secs_f64());
            let help = "How long ago the last look at all of the log of changes began";
            age.encode(encoder.encode_descriptor("lease_age", help, Some(&Unit::Seconds), age.metric_type())?)?;
        }
        let lookups = ConstCounter::new(self.verifier.lookups());
        let help = "Look-ups of keys in the store";
        lookups.encode(encoder.encode_descriptor("store_lookups", help, None, lookups.metric_type())?)?;
        let known = ConstGauge::new(i64::try_from(self.verifier.remembered()).unwrap_or(i64::MAX));
        let help = "Secrets that are remembered";
        known.encode(encoder.encode_descriptor("secrets_remembered", help, None, known.metric_type())?)
    }
}

impl fmt::Debug for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Now").finish_non_exhaustive()
    }
}
