//! What can be measured about a running server, in the text form that Prometheus reads. Nothing of a key is in it.

mod security;

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::admission::Admission;
use crate::fleet::{Fleet, Lease};
use crate::grpc::health::Health;
use crate::hashing::Class;
use crate::security_events::SecurityEvents;
use crate::store::Store;
use crate::transport::OpenConnections;
use crate::verify::{Queue, Verifier};
use security::Security;

/// All that is measured.
pub struct Metrics(Registry);

/// What is looked at when it is asked for.
struct Now {
    lease: Arc<Lease>,
    verifier: Arc<Verifier>,
    connections: Arc<OpenConnections>,
    store: Arc<dyn Store>,
}

impl Metrics {
    /// Of a server.
    pub fn of(
        fleet: &Fleet,
        verifier: Arc<Verifier>,
        admission: &Admission,
        store: Arc<dyn Store>,
        events: Arc<SecurityEvents>,
        health: Health,
        connections: Arc<OpenConnections>,
    ) -> Self {
        let mut registry = Registry::with_prefix("portcullis");
        fleet.metrics().register(&mut registry);
        admission.register(&mut registry);
        connections.metrics().register(&mut registry);
        registry.register_collector(Box::new(Security { events, verifier: verifier.clone(), health }));
        let lease = fleet.lease().clone();
        registry.register_collector(Box::new(Now { lease, verifier, connections, store }));
        Self(registry)
    }

    /// Tells as well how many audit events were forgotten.
    pub fn with_events_pruned(mut self, pruned: &Counter) -> Self {
        self.0.register("audit_events_pruned", "Audit events that were forgotten", pruned.clone());
        self
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
        known.encode(encoder.encode_descriptor("secrets_remembered", help, None, known.metric_type())?)?;
        self.encode_lookups(&mut encoder)?;
        self.encode_connections(&mut encoder)?;
        self.encode_lists(&mut encoder)?;
        self.encode_hashing(&mut encoder)
    }
}

impl Now {
    fn encode_connections(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (authenticated, others) = self.connections.count();
        let help = "Connections that are open";
        let mut open = encoder.encode_descriptor("connections_open", help, None, MetricType::Gauge)?;
        for (is_authenticated, count) in [("true", authenticated), ("false", others)] {
            let count = ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
            count.encode(open.encode_family(&[("authenticated", is_authenticated)])?)?;
        }
        let places = ConstGauge::new(i64::try_from(self.connections.places()).unwrap_or(i64::MAX));
        let help = "Connections that may be open";
        places.encode(encoder.encode_descriptor("connections_max", help, None, places.metric_type())?)?;
        let unsent = self.connections.unsent();
        let bytes = ConstGauge::new(i64::try_from(unsent.bytes()).unwrap_or(i64::MAX));
        let help = "Bytes of responses that wait for their clients to take them";
        bytes.encode(encoder.encode_descriptor(
            "responses_unsent",
            help,
            Some(&Unit::Bytes),
            bytes.metric_type(),
        )?)?;
        let dropped = ConstCounter::new(unsent.dropped());
        let help = "Responses that were dropped because their clients did not take them and others needed the memory";
        dropped.encode(encoder.encode_descriptor("responses_dropped", help, None, dropped.metric_type())?)?;
        let requests = self.connections.requests();
        let bytes = ConstGauge::new(i64::try_from(requests.bytes()).unwrap_or(i64::MAX));
        let help = "Bytes of requests that were read and are not answered, but for small ones that came as a whole";
        let metric = encoder.encode_descriptor("requests_held", help, Some(&Unit::Bytes), bytes.metric_type())?;
        bytes.encode(metric)?;
        let help = "Requests that were ended because they did not arrive as a whole";
        encode_counters(encoder, "requests_ended", help, "reason", &requests.ended())
    }

    fn encode_lists(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let lists = self.store.list_stats();
        for (name, help, count) in [
            ("lists_running", "Lists that are being made", lists.running),
            ("lists_waiting", "Lists that wait for a place", lists.waiting),
        ] {
            let gauge = ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        for (name, help, count) in [
            ("lists_refused", "Lists that were refused because there was no place for them in time", lists.refused),
            ("lists_timed_out", "Lists that took longer than they may", lists.timed_out),
        ] {
            let counter = ConstCounter::new(count);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        Ok(())
    }

    fn encode_hashing(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let loads = Class::ALL.map(|class| (class.name(), self.verifier.hashing_load(class)));
        let waiting = loads.map(|(class, load)| (class, load.waiting));
        encode_gauges(encoder, "hashing_waiting", "Hashings that wait for their turn", "class", &waiting)?;
        let runs = loads.map(|(class, load)| (class, load.runs));
        encode_counters(encoder, "hashing_runs", "Hashings that were begun", "class", &runs)?;
        let shed = loads.map(|(class, load)| (class, load.shed));
        let help = "Hashings that were refused because their turn would not have come in time";
        encode_counters(encoder, "hashing_shed", help, "class", &shed)
    }

    fn encode_lookups(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let loads = Queue::ALL.map(|queue| (queue.name(), self.verifier.lookup_load(queue)));
        let pending = loads.map(|(queue, load)| (queue, load.pending));
        let help = "Look-ups that the store has or that wait for it";
        encode_gauges(encoder, "lookups_pending", help, "queue", &pending)?;
        let shed = loads.map(|(queue, load)| (queue, load.shed));
        let help = "Look-ups that were refused because too many waited, or for too long";
        encode_counters(encoder, "lookups_shed", help, "queue", &shed)?;
        let tokens = self.verifier.root_tokens();
        let without_mac = ConstGauge::new(i64::try_from(tokens.without_mac()).unwrap_or(i64::MAX));
        let help = "Root keys whose tokens carry no MAC";
        let descriptor = encoder.encode_descriptor("root_keys_without_mac", help, None, without_mac.metric_type())?;
        without_mac.encode(descriptor)?;
        let refused = ConstCounter::new(tokens.refused());
        let help = "Made-up root credentials that were refused without a look-up";
        refused.encode(encoder.encode_descriptor("root_tokens_made_up", help, None, refused.metric_type())?)
    }
}

/// One gauge for each value of a label. The values are our own: no caller can add any.
fn encode_gauges(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: &[(&str, usize)],
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (value, count) in values {
        let gauge = ConstGauge::new(i64::try_from(*count).unwrap_or(i64::MAX));
        gauge.encode(family.encode_family(&[(label, *value)])?)?;
    }
    Ok(())
}

/// The same of counters.
fn encode_counters(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: &[(&str, u64)],
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (value, count) in values {
        ConstCounter::new(*count).encode(family.encode_family(&[(label, *value)])?)?;
    }
    Ok(())
}

impl fmt::Debug for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Now").finish_non_exhaustive()
    }
}
