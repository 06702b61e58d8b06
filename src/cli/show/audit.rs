//! The audit trail.

use crate::cli::list::ListPage;
use crate::cli::output;
use crate::grpc::json;
use crate::grpc::pb;

impl ListPage for pb::ListAuditEventsResponse {
    const NAME: &'static str = "portcullis.v1.ListAuditEventsResponse";
    const ENTRIES: &'static str = "events";
    const HEADER: &'static [&'static str] = &["TIME", "ACTOR", "ACTION", "KEYSPACE", "KEY", "FROM", "CHANGES"];

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |event: &pb::AuditEvent| {
            vec![
                output::time(event.time.as_ref(), ""),
                event.actor.clone(),
                event.action.clone(),
                event.keyspace.clone(),
                event.key_id.clone(),
                event.peer.clone(),
                json::object(event.changes.as_ref()),
            ]
        };
        self.audit_events.iter().map(row).collect()
    }

    fn ids(&self) -> Vec<String> {
        self.audit_events.iter().map(|event| event.id.clone()).collect()
    }

    fn next_page_token(&self) -> &str {
        &self.next_page_token
    }
}
