//! `portcullis usage`: how often keys were used, with what verdicts, and what that costs.

use clap::{Args, ValueEnum};
use prost_types::{Duration, Timestamp};

use super::client::ClientArgs;
use super::exit::{Error, Exit};
use super::parse;
use super::show::usage::{Report, Span};
use super::terminal;
use crate::clock::{self, Clock as _, SystemClock};
use crate::grpc::pb::{QueryUsageRequest, QueryUsageResponse, UsageGranularity, UsageGroup};

/// How far back if nothing is said.
const SINCE_DEFAULT: Duration = Duration { seconds: 7 * 86_400, nanos: 0 };
/// The longest time that is told by the hour if nothing is said.
const HOURLY_SECONDS_MAX: i64 = 2 * 86_400;
/// Most rows that are collected.
const ROWS_MAX: usize = 20_000;
/// The largest page that the server gives.
const PAGE_SIZE: i32 = 1_000;

/// Which server to ask, and what.
#[derive(Args, Debug)]
pub struct UsageArgs {
    #[command(flatten)]
    asked: Asked,
    // Last: flags behind it would stand under its heading.
    #[command(flatten)]
    client: ClientArgs,
}

/// What to tell.
#[derive(Args, Debug)]
struct Asked {
    /// Only keys of this keyspace [default: that of --key; default, with --subject or by key or subject; else all that
    /// the root key may see]
    #[arg(long, value_parser = parse::keyspace)]
    keyspace: Option<String>,
    /// Only this key
    #[arg(long = "key", value_name = "ID", value_parser = parse::KeyIdParser)]
    key_id: Option<String>,
    /// Only keys of this subject
    #[arg(long)]
    subject: Option<String>,
    /// How far back from --until, e.g. 24h [default: 7d]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, conflicts_with = "from")]
    since: Option<Duration>,
    /// From the hour on that this time lies in, e.g. 2030-01-31
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    from: Option<Timestamp>,
    /// Up to this time [default: now by this machine's clock]
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    until: Option<Timestamp>,
    /// By what span of time; hour and day also show a table by time [default: hour up to two days, else day]
    #[arg(long, value_enum, value_name = "SPAN")]
    by: Option<By>,
    /// By what [default: key with --key, subject with --subject, else keyspace]
    #[arg(long, value_enum)]
    group: Option<Group>,
    /// Show one page of so many rows, up to 1000 [default: all rows, up to 20000]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
    page_size: Option<i32>,
    /// Show the page after the one that gave this token; the other flags must be the same, and --until given
    #[arg(long, value_name = "TOKEN", requires = "until")]
    page_token: Option<String>,
    /// Show all pages as one, as it is without --page-size and --page-token
    #[arg(long)]
    all: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// By hour of UTC
    Hour,
    /// By day of UTC
    Day,
    /// All in one
    Total,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    /// By key
    Key,
    /// By subject
    Subject,
    /// By keyspace
    Keyspace,
}

impl From<By> for UsageGranularity {
    fn from(by: By) -> Self {
        match by {
            By::Hour => Self::Hour,
            By::Day => Self::Day,
            By::Total => Self::Total,
        }
    }
}

impl From<Group> for UsageGroup {
    fn from(group: Group) -> Self {
        match group {
            Group::Key => Self::Key,
            Group::Subject => Self::Subject,
            Group::Keyspace => Self::Keyspace,
        }
    }
}

impl Asked {
    /// One page if a page is asked for, else all that there is.
    fn is_one_page(&self) -> bool {
        !self.all && (self.page_size.is_some() || self.page_token.is_some())
    }

    /// The request and how to show what it asks for.
    fn request(self, now: clock::Timestamp) -> (QueryUsageRequest, Span) {
        let page_size = self.page_size.unwrap_or(if self.is_one_page() { 0 } else { PAGE_SIZE });
        let until = self.until.unwrap_or_else(|| parse::wire_time(now));
        let from = self.from.unwrap_or_else(|| earlier(until, self.since.unwrap_or(SINCE_DEFAULT)));
        let by = self.by.unwrap_or(match until.seconds.saturating_sub(from.seconds) {
            ..=HOURLY_SECONDS_MAX => By::Hour,
            _ => By::Day,
        });
        let group = self.group.unwrap_or(match (&self.key_id, &self.subject) {
            (Some(_), _) => Group::Key,
            (None, Some(_)) => Group::Subject,
            (None, None) => Group::Keyspace,
        });
        let request = QueryUsageRequest {
            keyspace: self.keyspace.unwrap_or_default(),
            key_id: self.key_id.unwrap_or_default(),
            subject: self.subject.unwrap_or_default(),
            start_time: Some(from),
            end_time: Some(until),
            granularity: UsageGranularity::from(by).into(),
            group_by: UsageGroup::from(group).into(),
            page_size,
            page_token: self.page_token.unwrap_or_default(),
        };
        let span = Span { from, until, by: by.into(), group: group.into(), is_by_time: self.by.is_some() };
        (request, span)
    }
}

/// The time that lies `span` before `at`; 1970 if it is not after that.
fn earlier(at: Timestamp, span: Duration) -> Timestamp {
    let micros = at.seconds.saturating_mul(1_000_000).saturating_add(i64::from(at.nanos) / 1_000);
    parse::before(clock::Timestamp::from_micros(micros), span)
}

/// Shows all of it, or one page.
pub async fn run(args: UsageArgs) -> Result<Exit, Error> {
    let UsageArgs { client, asked } = args;
    let is_one_page = asked.is_one_page();
    let (request, span) = asked.request(SystemClock.now());
    let usage = client.connect().await?.usage();
    let query = async |request| Ok(usage.clone().query_usage(request).await?.into_inner());
    let answer = if is_one_page { query(request).await? } else { all_pages(request, query).await? };
    let is_cut = !is_one_page && !answer.next_page_token.is_empty();
    let count = answer.rows.len();
    let exit = client.out().show(&Report { answer, span, is_one_page })?;
    if is_cut {
        // To scripts too: what they got is not all.
        terminal::note(&format!(
            "cut after {count} rows: there is more; ask about less time, by day or total, or a page at a time"
        ));
    }
    Ok(exit)
}

/// All pages as one answer; where there are too many rows it has the token of the next page.
async fn all_pages(
    mut request: QueryUsageRequest,
    query: impl AsyncFn(QueryUsageRequest) -> Result<QueryUsageResponse, Error>,
) -> Result<QueryUsageResponse, Error> {
    let mut answer = query(request.clone()).await?;
    while !answer.next_page_token.is_empty() && answer.rows.len() < ROWS_MAX {
        request.page_token = answer.next_page_token;
        let next = query(request.clone()).await?;
        answer.rows.extend(next.rows);
        answer = QueryUsageResponse { rows: answer.rows, ..next };
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::grpc::pb::UsageRow;

    /// 2026-11-22T06:30:00Z.
    const NOW: clock::Timestamp = clock::Timestamp::from_micros(1_795_329_000_000_000);

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Asked,
    }

    fn asked(args: &[&str]) -> Result<(QueryUsageRequest, Span), clap::Error> {
        Line::try_parse_from(["usage"].iter().chain(args)).map(|line| line.args.request(NOW))
    }

    #[track_caller]
    fn check(args: &[&str], from: &str, until: &str, by: UsageGranularity, group: UsageGroup) {
        let (request, _) = asked(args).unwrap();
        let times = [request.start_time, request.end_time].map(|at| at.unwrap().to_string());
        assert_eq!((times[0].as_str(), times[1].as_str()), (from, until), "{args:?}");
        assert_eq!((request.granularity(), request.group_by()), (by, group), "{args:?}");
        assert_eq!(request.page_size, 1_000);
    }

    #[test]
    fn what_is_not_said_is_sensible() {
        use UsageGranularity::{Day, Hour, Total};
        use UsageGroup::{Key, Keyspace, Subject};
        const TODAY: &str = "2026-11-22T06:30:00Z";
        check(&[], "2026-11-15T06:30:00Z", TODAY, Day, Keyspace);
        check(&["--since", "24h"], "2026-11-21T06:30:00Z", TODAY, Hour, Keyspace);
        check(&["--since", "48h", "--key", "key_1"], "2026-11-20T06:30:00Z", TODAY, Hour, Key);
        check(&["--since", "49h", "--subject", "user_1"], "2026-11-20T05:30:00Z", TODAY, Day, Subject);
        check(&["--since", "1000y", "--by", "total"], "1970-01-01T00:00:00Z", TODAY, Total, Keyspace);
        check(&["--from", "2026-11-22", "--group", "key"], "2026-11-22T00:00:00Z", TODAY, Hour, Key);
        let january = ["--from", "2026-01-01", "--until", "2026-02-01", "--by", "hour"];
        check(&january, "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", Hour, Keyspace);
        check(
            &["--until", "2026-02-01", "--since", "1d"],
            "2026-01-31T00:00:00Z",
            "2026-02-01T00:00:00Z",
            Hour,
            Keyspace,
        );
        check(&["--all", "--key", "k", "--subject", "s"], "2026-11-15T06:30:00Z", TODAY, Day, Key);
    }

    #[test]
    fn a_page_is_asked_for_by_its_size_or_token() {
        let (request, _) = asked(&["--page-size", "7"]).unwrap();
        assert_eq!(request.page_size, 7);
        let (request, _) = asked(&["--page-token", "t", "--until", "2030-01-01"]).unwrap();
        assert_eq!((request.page_size, request.page_token.as_str()), (0, "t"));
        assert_eq!(asked(&["--page-size", "7", "--all"]).unwrap().0.page_size, 7);
    }

    /// What a server with so many pages of 1,000 rows answers.
    async fn collected(pages: usize) -> QueryUsageResponse {
        let query = async |request: QueryUsageRequest| {
            let page: usize = request.page_token.parse().unwrap_or(0);
            let rows = vec![UsageRow { group: page.to_string(), ..UsageRow::default() }; 1_000];
            let next_page_token = if page + 1 < pages { (page + 1).to_string() } else { String::new() };
            Ok(QueryUsageResponse { rows, next_page_token })
        };
        all_pages(QueryUsageRequest::default(), query).await.unwrap()
    }

    #[tokio::test]
    async fn pages_are_one_answer_until_there_are_too_many() {
        let few = collected(3).await;
        assert_eq!((few.rows.len(), few.next_page_token.as_str()), (3_000, ""));
        assert_eq!((few.rows[0].group.as_str(), few.rows[2_999].group.as_str()), ("0", "2"));
        assert_eq!(collected(20).await.next_page_token, "");
        let many = collected(1_000).await;
        assert_eq!((many.rows.len(), many.next_page_token.as_str()), (ROWS_MAX, "20"));
    }

    #[test]
    fn what_cannot_be_meant() {
        for bad in [
            &["--since", "1d", "--from", "2030-01-01"][..],
            &["--since", "yesterday"],
            &["--by", "week"],
            &["--group", "owner"],
            &["--page-token", "t"],
            &["--page-size", "0"],
        ] {
            assert!(asked(bad).is_err(), "{bad:?}");
        }
    }
}
