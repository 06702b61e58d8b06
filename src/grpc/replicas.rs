//! ReplicaService.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::pb::replica_service_server::ReplicaService;
use super::{caller, convert, pb, status};
use crate::fleet::Roster;
use crate::key::keyspace::SYSTEM;
use crate::key::permission::Permission;

/// The handlers.
pub struct Replicas {
    /// Who there is.
    pub roster: Arc<Roster>,
}

#[tonic::async_trait]
impl ReplicaService for Replicas {
    async fn list_replicas(
        &self,
        request: Request<pb::ListReplicasRequest>,
    ) -> Result<Response<pb::ListReplicasResponse>, Status> {
        caller::of(&request).await?.may(Permission::Admin, SYSTEM)?;
        let replicas = self.roster.replicas().await.map_err(|error| status::from_manage(error.into()))?;
        Ok(Response::new(pb::ListReplicasResponse { replicas: replicas.into_iter().map(convert::replica).collect() }))
    }
}
