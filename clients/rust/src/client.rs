//! The client: every service of Portcullis over one channel.

mod address;
mod builder;

pub use builder::{BuildError, ClientBuilder};

use crate::channel::Channel;
use crate::pb::api_key_service_client::ApiKeyServiceClient;
use crate::pb::audit_service_client::AuditServiceClient;
use crate::pb::keyspace_service_client::KeyspaceServiceClient;
use crate::pb::replica_service_client::ReplicaServiceClient;
use crate::pb::usage_service_client::UsageServiceClient;
use crate::pb::verification_service_client::VerificationServiceClient;

/// A client of one Portcullis, of one replica or several. Clones share its connections, which end when the last clone
/// and the last stub are dropped.
///
/// The stubs take `&mut self` but are cheap to make: make one for each call.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
}

impl Client {
    /// A client to be, with the defaults.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Verification of presented keys.
    pub fn verification(&self) -> VerificationServiceClient<Channel> {
        VerificationServiceClient::new(self.channel())
    }

    /// Management of API keys.
    pub fn api_keys(&self) -> ApiKeyServiceClient<Channel> {
        ApiKeyServiceClient::new(self.channel())
    }

    /// Management of keyspaces.
    pub fn keyspaces(&self) -> KeyspaceServiceClient<Channel> {
        KeyspaceServiceClient::new(self.channel())
    }

    /// The audit trail.
    pub fn audit(&self) -> AuditServiceClient<Channel> {
        AuditServiceClient::new(self.channel())
    }

    /// What keys did, by hour and verdict.
    pub fn usage(&self) -> UsageServiceClient<Channel> {
        UsageServiceClient::new(self.channel())
    }

    /// The replicas of a fleet.
    pub fn replicas(&self) -> ReplicaServiceClient<Channel> {
        ReplicaServiceClient::new(self.channel())
    }

    /// What the stubs call through, for other stubs: of `grpc.health.v1`, or with settings of one's own.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }
}
