//! `keys list`

use clap::Args;
use prost_types::{Duration, Timestamp};

use crate::cli::client::ClientArgs;
use crate::cli::exit::{Error, Exit};
use crate::cli::list::Page;
use crate::cli::parse;
use crate::clock::{self, Clock as _, SystemClock};
use crate::grpc::pb::ListApiKeysRequest;

#[derive(Args, Debug)]
pub struct ListArgs {
    /// The keyspace to list [default: default]
    #[arg(long, value_parser = parse::keyspace)]
    keyspace: Option<String>,
    /// Only keys of this subject
    #[arg(long)]
    subject: Option<String>,
    /// Only keys whose name contains this text, in any case
    #[arg(long, value_name = "TEXT")]
    query: Option<String>,
    /// Also keys that are revoked, expired or disabled
    #[arg(long)]
    include_invalid: bool,
    /// Only keys with this label; may be repeated, then all must be there
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::label)]
    metadata: Vec<(String, String)>,
    /// Only keys that this one asked for
    #[arg(long, value_name = "ID")]
    created_by: Option<String>,
    /// Only keys made before this time and not used since, those never used included
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    unused_since: Option<Timestamp>,
    /// Only keys not used for this long by this machine's clock, e.g. 60d, those never used included. Keys that are
    /// younger than that are left out
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, conflicts_with = "unused_since")]
    unused_for: Option<Duration>,
    #[command(flatten)]
    page: Page,
    /// How many keys to pass over first, at most 10000
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(0..))]
    skip: Option<i32>,
    /// Count all keys that match, even if there are more than 10000
    #[arg(long)]
    exact_total: bool,
}

impl ListArgs {
    /// The request, but for its page.
    fn request(self, now: clock::Timestamp) -> Result<(ListApiKeysRequest, Page), Error> {
        let request = ListApiKeysRequest {
            keyspace: self.keyspace.unwrap_or_default(),
            subject: self.subject.unwrap_or_default(),
            query: self.query.unwrap_or_default(),
            include_invalid: self.include_invalid,
            metadata: parse::labels(self.metadata)?,
            created_by: self.created_by.unwrap_or_default(),
            unused_since: self.unused_since.or_else(|| self.unused_for.map(|span| parse::before(now, span))),
            skip: self.skip.unwrap_or_default(),
            exact_total: self.exact_total,
            ..ListApiKeysRequest::default()
        };
        Ok((request, self.page))
    }
}

pub async fn run(args: ListArgs, client: &ClientArgs) -> Result<Exit, Error> {
    let (request, page) = args.request(SystemClock.now())?;
    show(request, page, client).await
}

/// Shows them, a page at a time.
pub async fn show(mut request: ListApiKeysRequest, page: Page, client: &ClientArgs) -> Result<Exit, Error> {
    let mut keys = client.connect().await?.keys();
    let mut exact_total = None;
    let fetch = async |page_size, page_token| {
        (request.page_size, request.page_token) = (page_size, page_token);
        let mut answer = keys.list_api_keys(request.clone()).await?.into_inner();
        // A token says where its page ends; skipping again would lose keys of every page.
        request.skip = 0;
        // Counting all of them once is dear enough.
        if request.exact_total {
            request.exact_total = false;
            exact_total = Some(answer.total_size);
        } else if let Some(total) = exact_total {
            (answer.total_size, answer.total_size_is_lower_bound) = (total, false);
        }
        Ok(answer)
    };
    page.show(client.out(), fetch).await
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const NOW: clock::Timestamp = clock::Timestamp::from_micros(1_000_000_000_000_500);

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ListArgs,
    }

    fn unused_since(args: &[&str]) -> Option<Timestamp> {
        let line = Line::try_parse_from(["list"].iter().chain(args)).ok()?;
        line.args.request(NOW).unwrap().0.unused_since
    }

    #[test]
    fn unused_for_counts_back_from_now() {
        assert_eq!(unused_since(&["--unused-for", "1h"]), Some(Timestamp { seconds: 999_996_400, nanos: 500_000 }));
        assert_eq!(unused_since(&["--unused-for", "1000y"]), Some(Timestamp::default()));
        assert_eq!(unused_since(&["--unused-since", "1970-01-01"]), Some(Timestamp::default()));
        assert!(unused_since(&[]).is_none());
        assert!(Line::try_parse_from(["list", "--unused-for", "1h", "--unused-since", "2030-01-01"]).is_err());
    }
}
