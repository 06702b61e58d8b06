//! `portcullis audit`: who changed what, newest first.

use clap::Args;
use prost_types::Timestamp;

use super::client::ClientArgs;
use super::exit::{Error, Exit};
use super::page::Page;
use super::parse;
use crate::grpc::pb::{ListAuditEventsRequest, ListAuditEventsResponse};

/// Which events to show.
#[derive(Args, Debug)]
pub struct AuditArgs {
    /// Only events of this keyspace [default: all that the root key may see]
    #[arg(long)]
    keyspace: Option<String>,
    /// Only events of this key
    #[arg(long, value_name = "ID")]
    key_id: Option<String>,
    /// Only events by this root key, or by bootstrap or offline
    #[arg(long, value_name = "ID")]
    actor: Option<String>,
    /// Only events at or after this time
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    start_time: Option<Timestamp>,
    /// Only events before this time
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    end_time: Option<Timestamp>,
    #[command(flatten)]
    page: Page,
    // Last: flags behind it would stand under its heading.
    #[command(flatten)]
    client: ClientArgs,
}

/// Shows one page, or all pages as one answer.
pub async fn run(args: AuditArgs) -> Result<Exit, Error> {
    let mut request = ListAuditEventsRequest {
        page_size: args.page.size(),
        page_token: args.page.token.unwrap_or_default(),
        keyspace: args.keyspace.unwrap_or_default(),
        key_id: args.key_id.unwrap_or_default(),
        actor: args.actor.unwrap_or_default(),
        start_time: args.start_time,
        end_time: args.end_time,
    };
    let mut audit = args.client.connect().await?.audit();
    let mut answer = audit.list_audit_events(request.clone()).await?.into_inner();
    while args.page.all && !answer.next_page_token.is_empty() {
        request.page_token = answer.next_page_token;
        let next = audit.list_audit_events(request.clone()).await?.into_inner();
        answer.audit_events.extend(next.audit_events);
        answer = ListAuditEventsResponse { audit_events: answer.audit_events, ..next };
    }
    args.client.out().show(&answer)
}
