//! What was refused, and how verifications ended.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::grpc::health::Health;
use crate::grpc::status;
use crate::security_events::SecurityEvents;
use crate::verify::Verifier;

/// What is read when it is asked for.
pub struct Security {
    pub events: Arc<SecurityEvents>,
    pub verifier: Arc<Verifier>,
    pub health: Health,
}

impl Collector for Security {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Calls that were not authenticated";
        family(&mut encoder, "authentication_failures", help, "kind", self.events.failures())?;
        let help = "Calls that were denied for want of a permission";
        family(&mut encoder, "permission_denials", help, "permission", self.events.denials())?;
        let help = "Errors that were made for callers";
        family(&mut encoder, "errors", help, "reason", status::reasons_given())?;
        let help = "Verifications of customers' keys, about a second late";
        family(&mut encoder, "verdicts", help, "verdict", self.verifier.verdict_counts().iter())?;
        let unaudited = ConstCounter::new(self.events.unaudited());
        let help = "Denials that are not in the audit trail, as others like them are";
        unaudited.encode(encoder.encode_descriptor("denials_unaudited", help, None, MetricType::Counter)?)?;
        let watches = ConstGauge::new(i64::try_from(self.health.watches()).unwrap_or(i64::MAX));
        let help = "Streams that watch the health";
        watches.encode(encoder.encode_descriptor("health_watches", help, None, MetricType::Gauge)?)
    }
}

fn family(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    counts: impl Iterator<Item = (&'static str, u64)>,
) -> fmt::Result {
    let mut encoder = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (value, count) in counts {
        ConstCounter::new(count).encode(encoder.encode_family(&[(label, value)])?)?;
    }
    Ok(())
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Security").finish_non_exhaustive()
    }
}
