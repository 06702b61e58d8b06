//! The audit trail.

use super::{lines, more};
use crate::cli::output::{self, Shown};
use crate::grpc::json;
use crate::grpc::pb;

impl Shown for pb::ListAuditEventsResponse {
    const NAME: &'static str = "portcullis.v1.ListAuditEventsResponse";

    fn table(&self) -> String {
        if self.audit_events.is_empty() {
            return "no events\n".to_owned();
        }
        let header = ["TIME", "ACTOR", "ACTION", "KEYSPACE", "KEY", "FROM", "CHANGES"];
        let rows = self.audit_events.iter().map(|event| {
            [
                output::time(event.time.as_ref(), ""),
                event.actor.clone(),
                event.action.clone(),
                event.keyspace.clone(),
                event.key_id.clone(),
                event.peer.clone(),
                json::object(event.changes.as_ref()),
            ]
        });
        output::rows(header, rows)
    }

    fn quiet(&self) -> String {
        lines(self.audit_events.iter().map(|event| event.id.clone()))
    }

    fn note(&self) -> Option<String> {
        more(&self.next_page_token)
    }
}
