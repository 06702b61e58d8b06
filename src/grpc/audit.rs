//! AuditService.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::pb::audit_service_server::AuditService;
use super::{admitted, caller, convert, pb, status};
use crate::key::permission::Permission;
use crate::manage::{ListEvents, Management};

/// The handlers.
pub struct Audit {
    /// The use cases.
    pub management: Arc<Management>,
}

#[tonic::async_trait]
impl AuditService for Audit {
    async fn list_audit_events(
        &self,
        request: Request<pb::ListAuditEventsRequest>,
    ) -> Result<Response<pb::ListAuditEventsResponse>, Status> {
        let caller = caller::of(&request).await?;
        let reach = caller.reach(Permission::AuditRead)?;
        let asked = request.into_inner();
        if !asked.keyspace.is_empty() {
            caller.may(Permission::AuditRead, &asked.keyspace)?;
        }
        let asked = ListEvents {
            keyspace: asked.keyspace,
            key_id: asked.key_id,
            actor: asked.actor,
            action: asked.action,
            from: asked.start_time.map(convert::time_nanos),
            until: asked.end_time.map(convert::time_nanos),
            page_size: asked.page_size,
            page_token: asked.page_token,
        };
        let page = self.management.list_events(asked, &reach).await.map_err(status::from_manage)?;
        let message = pb::ListAuditEventsResponse {
            audit_events: page.items.into_iter().map(convert::audit_event).collect(),
            next_page_token: page.next_page_token,
        };
        Ok(admitted::page(message, page.place))
    }
}
