//! What Kubernetes and load balancers ask: grpc.health.v1.
//!
//! `liveness` says that the process runs, whatever its store does: restarting it would mend nothing. `readiness`, the
//! empty name and each service say whether calls can be answered.

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::pb;

/// The name of the check that only a hung or dead process fails.
pub const LIVENESS: &str = "liveness";
/// The name of the check that fails while calls cannot be answered.
pub const READINESS: &str = "readiness";

/// The names that follow the store's health and the shutdown.
const FOLLOWING: [&str; 6] = [
    "",
    READINESS,
    pb::api_key_service_server::SERVICE_NAME,
    pb::audit_service_server::SERVICE_NAME,
    pb::keyspace_service_server::SERVICE_NAME,
    pb::verification_service_server::SERVICE_NAME,
];

/// Tells the health service how things are.
#[derive(Clone)]
pub struct Health(HealthReporter);

impl Health {
    /// The process lives; whether it is ready is still to be said.
    pub async fn new(reporter: HealthReporter) -> Self {
        reporter.set_service_status(LIVENESS, ServingStatus::Serving).await;
        let health = Self(reporter);
        health.set_ready(false).await;
        health
    }

    /// Says whether calls can be answered.
    pub async fn set_ready(&self, ready: bool) {
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in FOLLOWING {
            self.0.set_service_status(name, status).await;
        }
    }

    /// Ends every Watch, which would hold its connection for as long as its client likes.
    pub async fn end(mut self) {
        for name in FOLLOWING.into_iter().chain([LIVENESS]) {
            self.0.clear_service_status(name).await;
        }
    }
}
