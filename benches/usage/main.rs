//! What it takes to tell how keys were used, with 90 days of 10,000 keys, each used every hour: `scripts/bench usage`.
//!
//! Of each store, in a place of its own that is gone afterwards: it takes 5 GB. The rows are written by SQL, what is
//! measured is [`Store::query_usage`].

#[expect(dead_code, reason = "nothing crashes here")]
#[path = "../../tests/it/support/postgres.rs"]
mod cluster;
mod plans;
mod rows;

use std::time::{Duration, Instant};

use portcullis::key::id::KeyId;
use portcullis::key::permission::Reach;
use portcullis::key::usage::Hour;
use portcullis::store::usage::{Span, UsageOf, UsageQuery};
use portcullis::store::{Hints, Schema, Store, connect};
use rows::{FIRST_HOUR, HOURS, KEYS};

/// How often each question is asked; the first time is told apart.
const TIMES: usize = 9;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Where the rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backend {
    Sqlite,
    Postgres,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let dir = tempfile::tempdir()?;
    measure(Backend::Sqlite, &format!("sqlite://{}", dir.path().join("portcullis.db").display())).await?;
    drop(dir);
    let cluster = cluster::Cluster::start_hurried();
    measure(Backend::Postgres, &cluster.fresh_database().await).await
}

async fn measure(backend: Backend, url: &str) -> Result<(), Error> {
    portcullis::store::migrate(url).await?;
    let began = Instant::now();
    let size = rows::write(backend, url).await?;
    println!("{backend:?}: {} rows, {} MB, written in {:.0?}", HOURS * KEYS, size / 1_000_000, began.elapsed());
    let store = connect(url, Schema::MustBeCurrent, &Hints::None).await?;
    for (name, query) in questions() {
        let mut times = Vec::new();
        let mut told = (0, 0);
        for _ in 0..TIMES {
            let began = Instant::now();
            told = ask(store.as_ref(), &query).await?;
            times.push(began.elapsed());
        }
        let first = times.remove(0);
        times.sort();
        let median = times[times.len() / 2];
        println!("  {name:44} {:>9} (first {:>9}): {} rows, {} pages", ms(median), ms(first), told.0, told.1);
    }
    store.close().await;
    plans::show(backend, url).await
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// What is asked, and how it is called. What has no limit of its own is asked page by page.
fn questions() -> Vec<(&'static str, UsageQuery)> {
    let (begin, end) = (Hour(FIRST_HOUR), Hour(FIRST_HOUR + HOURS));
    let day = Hour(end.0 - 24);
    let keyspaces = || UsageOf::Keyspaces(Reach::Everywhere);
    let keys = || UsageOf::Keys { keyspace: "default".into(), subject: None };
    let subjects = || UsageOf::Subjects { keyspace: "default".into(), subject: None };
    let one = || UsageOf::Key(KeyId::from_text(rows::key_id(KEYS / 2)));
    let query = |of, from, span, limit| UsageQuery { of, from, until: end, span, after: None, limit };
    vec![
        ("a day, by keyspace", query(keyspaces(), day, Span::Total, 100)),
        ("90 days by day, by keyspace", query(keyspaces(), begin, Span::Day, 100)),
        ("a day, by key, first page of 100", query(keys(), day, Span::Total, 100)),
        ("a day by hour, by key, first page of 100", query(keys(), day, Span::Hour, 100)),
        ("a day, by subject, first page of 100", query(subjects(), day, Span::Total, 100)),
        ("90 days, by key, first page of 100", query(keys(), begin, Span::Total, 100)),
        ("90 days of one key by hour, all pages of 1,000", query(one(), begin, Span::Hour, 1_000)),
        ("90 days of one key by day", query(one(), begin, Span::Day, 1_000)),
        ("a day, by key, all pages of 1,000", query(keys(), day, Span::Total, 1_000)),
    ]
}

/// Asks for the first page or, if pages are large, for all: how many rows there were, on how many pages.
async fn ask(store: &dyn Store, query: &UsageQuery) -> Result<(usize, usize), Error> {
    let mut query = query.clone();
    let (mut rows, mut pages) = (0, 0);
    loop {
        let page = store.query_usage(&query).await?.page;
        rows += page.rows.len();
        pages += 1;
        query.after = page.next;
        if query.after.is_none() || query.limit < 1_000 {
            return Ok((rows, pages));
        }
    }
}
