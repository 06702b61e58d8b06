//! `portcullis audit`: who changed what, newest first.

use clap::Args;
use prost_types::{Duration, Timestamp};

use super::client::ClientArgs;
use super::exit::{Error, Exit};
use super::list::Page;
use super::parse;
use crate::clock::{Clock as _, SystemClock};
use crate::grpc::pb::ListAuditEventsRequest;

/// Which events to show.
#[derive(Args, Debug)]
pub struct AuditArgs {
    /// Only events of this keyspace [default: all that the root key may see]
    #[arg(long, value_parser = parse::keyspace)]
    keyspace: Option<String>,
    /// Only events of this key
    #[arg(long, value_name = "ID", value_parser = parse::KeyIdParser)]
    key_id: Option<String>,
    /// Only events by this root key, or by bootstrap or offline
    #[arg(long, value_name = "ID", value_parser = parse::KeyIdParser)]
    actor: Option<String>,
    /// Only events of this action, e.g. RevokeApiKey
    #[arg(long, value_name = "NAME")]
    action: Option<String>,
    /// Only events since so long ago by this machine's clock, e.g. 1d
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, conflicts_with = "start_time")]
    since: Option<Duration>,
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

/// Shows them, a page at a time.
pub async fn run(args: AuditArgs) -> Result<Exit, Error> {
    let mut request = ListAuditEventsRequest {
        keyspace: args.keyspace.clone().unwrap_or_default(),
        key_id: args.key_id.unwrap_or_default(),
        actor: args.actor.unwrap_or_default(),
        action: args.action.unwrap_or_default(),
        start_time: args.start_time.or_else(|| args.since.map(|span| parse::before(SystemClock.now(), span))),
        end_time: args.end_time,
        ..ListAuditEventsRequest::default()
    };
    let server = args.client.connect().await?;
    let mut audit = server.audit();
    let fetch = async |page_size, page_token| {
        (request.page_size, request.page_token) = (page_size, page_token);
        Ok(audit.list_audit_events(request.clone()).await?.into_inner())
    };
    args.page.show(args.client.out(), fetch).await
}
