//! UsageService.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::pb::usage_service_server::UsageService;
use super::{admitted, caller, convert, pb, status};
use crate::key::keyspace::DEFAULT;
use crate::key::permission::Permission;
use crate::key::rate_card::RateCard;
use crate::manage::{Management, QueryUsage, UsageGroup};
use crate::store::usage::Span;

/// The handlers.
pub struct Usage {
    /// The use cases.
    pub management: Arc<Management>,
    /// What use costs.
    pub rate_card: RateCard,
}

#[tonic::async_trait]
impl UsageService for Usage {
    async fn query_usage(
        &self,
        request: Request<pb::QueryUsageRequest>,
    ) -> Result<Response<pb::QueryUsageResponse>, Status> {
        let caller = caller::of(&request).await?;
        let reach = caller.reach(Permission::UsageRead)?;
        let asked = request.into_inner();
        let is_of_all = asked.subject.is_empty()
            && matches!(
                pb::UsageGroup::try_from(asked.group_by),
                Ok(pb::UsageGroup::Keyspace | pb::UsageGroup::Unspecified)
            );
        if !asked.keyspace.is_empty() {
            caller.may(Permission::UsageRead, &asked.keyspace)?;
        } else if asked.key_id.is_empty() && !is_of_all {
            caller.may(Permission::UsageRead, DEFAULT)?;
        }
        let asked = QueryUsage {
            span: match pb::UsageGranularity::try_from(asked.granularity) {
                Ok(pb::UsageGranularity::Hour) => Ok(Span::Hour),
                Ok(pb::UsageGranularity::Day) => Ok(Span::Day),
                Ok(pb::UsageGranularity::Total | pb::UsageGranularity::Unspecified) => Ok(Span::Total),
                Err(_) => Err(asked.granularity),
            },
            group: match pb::UsageGroup::try_from(asked.group_by) {
                Ok(pb::UsageGroup::Key) => Ok(UsageGroup::Key),
                Ok(pb::UsageGroup::Subject) => Ok(UsageGroup::Subject),
                Ok(pb::UsageGroup::Keyspace | pb::UsageGroup::Unspecified) => Ok(UsageGroup::Keyspace),
                Err(_) => Err(asked.group_by),
            },
            keyspace: asked.keyspace,
            key_id: asked.key_id,
            subject: asked.subject,
            from: asked.start_time.map(convert::time_nanos),
            until: asked.end_time.map(convert::time_nanos),
            page_size: asked.page_size,
            page_token: asked.page_token,
        };
        let page = self.management.query_usage(asked, &reach).await.map_err(status::from_manage)?;
        let message = pb::QueryUsageResponse {
            rows: page.items.into_iter().map(|row| convert::usage_row(row, &self.rate_card)).collect(),
            next_page_token: page.next_page_token,
        };
        Ok(admitted::page(message, page.place))
    }
}
