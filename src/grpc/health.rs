//! What Kubernetes and load balancers ask: grpc.health.v1.
//!
//! `liveness` says that the process runs, whatever its store does: restarting it would mend nothing. `readiness`, the
//! empty name and each service say whether calls can be answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::pb;

/// The name of the check that only a hung or dead process fails.
pub const LIVENESS: &str = "liveness";
/// The name of the check that fails while calls cannot be answered.
pub const READINESS: &str = "readiness";

/// The names that follow the store's health and the shutdown.
const FOLLOWING: [&str; 7] = [
    "",
    READINESS,
    pb::api_key_service_server::SERVICE_NAME,
    pb::audit_service_server::SERVICE_NAME,
    pb::keyspace_service_server::SERVICE_NAME,
    pb::replica_service_server::SERVICE_NAME,
    pb::verification_service_server::SERVICE_NAME,
];

/// Tells the health service how things are.
#[derive(Clone)]
pub struct Health {
    reporter: HealthReporter,
    /// The end was announced, and nothing takes that back.
    ending: Arc<AtomicBool>,
}

impl Health {
    /// The process lives; whether it is ready is still to be said.
    pub async fn new(reporter: HealthReporter) -> Self {
        reporter.set_service_status(LIVENESS, ServingStatus::Serving).await;
        let health = Self { reporter, ending: Arc::default() };
        health.set_ready(false).await;
        health
    }

    /// Says whether calls can be answered, unless the end was announced.
    pub async fn set_ready(&self, ready: bool) {
        if ready && !self.ending.load(Ordering::SeqCst) {
            self.say(ServingStatus::Serving).await;
        }
        // Looked at again, for the end may have been announced meanwhile.
        if !ready || self.ending.load(Ordering::SeqCst) {
            self.say(ServingStatus::NotServing).await;
        }
    }

    /// Says that calls will not be answered for much longer.
    pub async fn announce_end(&self) {
        self.ending.store(true, Ordering::SeqCst);
        self.set_ready(false).await;
    }

    /// Forgets every name, which ends the streams of those who watch them.
    pub async fn end_watches(mut self) {
        for name in FOLLOWING.into_iter().chain([LIVENESS]) {
            self.reporter.clear_service_status(name).await;
        }
    }

    async fn say(&self, status: ServingStatus) {
        for name in FOLLOWING {
            self.reporter.set_service_status(name, status).await;
        }
    }
}
