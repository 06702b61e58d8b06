//! What can be counted about connections. The log says the same, but no more than a line of a kind every so often.

use std::net::SocketAddr;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::state::{ConnectionState, EndReason};
use crate::client_network::ClientNetwork;
use crate::clock::{Clock as _, SystemClock};
use crate::log_sampler::LogSampler;

type Labels = [(&'static str, &'static str); 1];

/// Counters of connections.
pub struct ConnectionMetrics {
    accepted: Counter,
    refused: Family<Labels, Counter>,
    ended: Family<Labels, Counter>,
    logged: [LogSampler; EndReason::ALL.len() + Refusal::ALL.len()],
    share_logged: LogSampler,
}

/// Why a connection was not served.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    /// Every place was taken by a connection that has authenticated.
    Full,
}

impl Default for ConnectionMetrics {
    fn default() -> Self {
        let (refused, ended) = (Family::<Labels, Counter>::default(), Family::<Labels, Counter>::default());
        // Each is there from the start: what appears with its first event has no rate.
        for refusal in Refusal::ALL {
            drop(refused.get_or_create(&[("reason", refusal.name())]));
        }
        for reason in EndReason::ALL {
            drop(ended.get_or_create(&[("reason", reason.name())]));
        }
        Self {
            accepted: Counter::default(),
            refused,
            ended,
            logged: Default::default(),
            share_logged: LogSampler::new(),
        }
    }
}

impl ConnectionMetrics {
    /// Makes the counters readable, under `portcullis_…`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("connections_accepted", "Connections that were accepted", self.accepted.clone());
        registry.register("connections_refused", "Connections that were not served, by reason", self.refused.clone());
        registry.register("connections_ended", "Connections that the server ended, by reason", self.ended.clone());
    }

    pub(super) fn accepted(&self) {
        self.accepted.inc();
    }

    pub(super) fn refused(&self, refusal: Refusal, peer: SocketAddr) {
        self.refused.get_or_create(&[("reason", refusal.name())]).inc();
        if let Some(suppressed) = self.logged[EndReason::ALL.len() + refusal as usize].take(SystemClock.elapsed()) {
            tracing::warn!(reason = refusal.name(), %peer, suppressed, "a connection was refused");
        }
    }

    /// Notes that connections from `source`, of which there may be `connections_max` before they authenticate, have to make
    /// place for each other.
    pub(super) fn source_has_its_share(&self, source: ClientNetwork, connections_max: usize) {
        if let Some(suppressed) = self.share_logged.take(SystemClock.elapsed()) {
            tracing::warn!(%source, connections_max, suppressed, "one source has all connections that it may");
        }
    }

    pub(super) fn ended(&self, reason: EndReason, connection: &ConnectionState) {
        self.ended.get_or_create(&[("reason", reason.name())]).inc();
        let is_logged = match reason {
            EndReason::Evicted | EndReason::Stalled | EndReason::FrameFlood | EndReason::HandshakeTimeout => true,
            EndReason::Idle | EndReason::Age | EndReason::Silent => false,
        };
        if is_logged && let Some(suppressed) = self.logged[reason as usize - 1].take(SystemClock.elapsed()) {
            let (name, root_key_id, peer) = (reason.name(), connection.root_key_id(), connection.peer());
            // Load balancers open connections ahead of need and may leave one silent: that is no reason for a warning.
            if reason == EndReason::HandshakeTimeout {
                tracing::info!(reason = name, root_key_id, %peer, suppressed, "a connection was ended");
            } else {
                tracing::warn!(reason = name, root_key_id, %peer, suppressed, "a connection was ended");
            }
        }
    }
}

impl Refusal {
    const ALL: [Self; 1] = [Self::Full];

    fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
        }
    }
}
