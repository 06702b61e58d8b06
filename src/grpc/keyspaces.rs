//! KeyspaceService.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::pb::keyspace_service_server::KeyspaceService;
use super::{admitted, caller, convert, pb, status};
use crate::key::permission::Permission;
use crate::manage::{Management, UpdateKeyspace};

/// The handlers.
pub struct Keyspaces {
    /// The use cases.
    pub management: Arc<Management>,
}

#[tonic::async_trait]
impl KeyspaceService for Keyspaces {
    async fn create_keyspace(
        &self,
        request: Request<pb::CreateKeyspaceRequest>,
    ) -> Result<Response<pb::CreateKeyspaceResponse>, Status> {
        let caller = caller::of(&request).await?;
        let id = request.get_ref().keyspace.as_ref().map(|keyspace| keyspace.id.clone()).unwrap_or_default();
        caller.may(Permission::KeyspacesWrite, &id)?;
        let fields = convert::keyspace_fields(request.into_inner().keyspace.unwrap_or_default());
        let keyspace =
            self.management.create_keyspace(id, &fields, caller.principal()).await.map_err(status::from_manage)?;
        Ok(Response::new(pb::CreateKeyspaceResponse { keyspace: Some(convert::keyspace(keyspace)) }))
    }

    async fn get_keyspace(
        &self,
        request: Request<pb::GetKeyspaceRequest>,
    ) -> Result<Response<pb::GetKeyspaceResponse>, Status> {
        let caller = caller::of(&request).await?;
        let reach = caller.reach(Permission::KeyspacesRead)?;
        let id = request.into_inner().id;
        let keyspace = self.management.get_keyspace(&id, &reach).await.map_err(status::from_manage)?;
        Ok(Response::new(pb::GetKeyspaceResponse { keyspace: Some(convert::keyspace(keyspace)) }))
    }

    async fn list_keyspaces(
        &self,
        request: Request<pb::ListKeyspacesRequest>,
    ) -> Result<Response<pb::ListKeyspacesResponse>, Status> {
        let caller = caller::of(&request).await?;
        let reach = caller.reach(Permission::KeyspacesRead)?;
        let asked = request.into_inner();
        let page = self
            .management
            .list_keyspaces(asked.page_size, &asked.page_token, &reach)
            .await
            .map_err(status::from_manage)?;
        let message = pb::ListKeyspacesResponse {
            keyspaces: page.items.into_iter().map(convert::keyspace).collect(),
            next_page_token: page.next_page_token,
        };
        Ok(admitted::page(message, page.place))
    }

    async fn update_keyspace(
        &self,
        request: Request<pb::UpdateKeyspaceRequest>,
    ) -> Result<Response<pb::UpdateKeyspaceResponse>, Status> {
        let caller = caller::of(&request).await?;
        let reach = caller.reach(Permission::KeyspacesWrite)?;
        let asked = request.into_inner();
        let keyspace = asked.keyspace.unwrap_or_default();
        let asked = UpdateKeyspace {
            id: keyspace.id.clone(),
            etag: keyspace.etag.clone(),
            mask: convert::mask(asked.update_mask),
            fields: convert::keyspace_fields(keyspace),
        };
        let keyspace =
            self.management.update_keyspace(asked, &reach, caller.principal()).await.map_err(status::from_manage)?;
        Ok(Response::new(pb::UpdateKeyspaceResponse { keyspace: Some(convert::keyspace(keyspace)) }))
    }

    async fn delete_keyspace(
        &self,
        request: Request<pb::DeleteKeyspaceRequest>,
    ) -> Result<Response<pb::DeleteKeyspaceResponse>, Status> {
        let caller = caller::of(&request).await?;
        let reach = caller.reach(Permission::KeyspacesWrite)?;
        let id = request.into_inner().id;
        self.management.delete_keyspace(&id, &reach, caller.principal()).await.map_err(status::from_manage)?;
        Ok(Response::new(pb::DeleteKeyspaceResponse {}))
    }
}
