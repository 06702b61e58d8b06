//! Pages of `ListApiKeys` of a large keyspace: how long a whole call takes, and what memory the largest page takes.

mod rows;

use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use prost::Message as _;
use serde_json::json;

use crate::Error;
use crate::grpc::{CallError, Connection, Head, framed};
use crate::messages::{ListApiKeysRequest, ListApiKeysResponse};
use crate::options::{Mode, Options, Over};
use crate::portcullis::{Place, Portcullis};
use crate::report::{Figure, Report, mib};
use rows::LARGE;

/// The status, as a number.
const RESOURCE_EXHAUSTED: &str = "8";
/// The method.
const LIST: &str = "/portcullis.v1.ApiKeyService/ListApiKeys";

/// On both stores, the one after the other.
pub fn measure(options: &Options, report: &mut Report) -> Result<(), Error> {
    for over in [Over::Sqlite, Over::Postgres] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (place, url) = Place::new(over, &runtime)?;
        let began = Instant::now();
        runtime.block_on(rows::write(options, over, &url, options.list_keys))?;
        let filled_in = began.elapsed();
        let memory = {
            let portcullis = Portcullis::start_replica(options, &url, "memory")?;
            runtime.block_on(memory_of_a_page(&portcullis))?
        };
        let portcullis = Portcullis::start_replica(options, &url, "measured")?;
        let mut figures = vec![Figure::new("filling the store, s", filled_in.as_secs_f64(), 0)];
        figures.extend(memory);
        let title = format!("{} keys in a keyspace, over {over:?}", options.list_keys);
        report.figures(Mode::Lists, &title, &figures)?;
        println!(
            "{:48} {:6} {:>8} {:>8} {:>8} {:>8} {:>8} {:>6} {:>8} {:>9}",
            "list, page size", "page", "min ms", "p50 ms", "p99 ms", "max ms", "first ms", "keys", "bytes", "total"
        );
        for (name, request) in cases() {
            match runtime.block_on(time(options, over, &portcullis, name, request, report)) {
                // A count of all matches may take too long.
                Err(error)
                    if error.downcast_ref::<CallError>().is_some_and(|error| error.code == RESOURCE_EXHAUSTED) =>
                {
                    println!("{name:48} {error}");
                }
                timed => timed?,
            }
        }
        drop((portcullis, place));
    }
    Ok(())
}

/// What is asked, and how it is called.
fn cases() -> Vec<(&'static str, ListApiKeysRequest)> {
    let page = |page_size| ListApiKeysRequest { page_size, ..Default::default() };
    let named = |query: &str| ListApiKeysRequest { query: query.into(), ..page(50) };
    let of = |subject: &str| ListApiKeysRequest { subject: subject.into(), ..page(50) };
    vec![
        ("all, 50", page(50)),
        ("all, 1,000", page(1_000)),
        ("query of half of all names, 50", named("production")),
        ("query of half of all names, 1,000", ListApiKeysRequest { query: "production".into(), ..page(1_000) }),
        ("query of a tenth of all names, 50", named("Staging")),
        ("query of one name in 500, 50", named("canary")),
        ("query of one name in 500, 1,000", ListApiKeysRequest { query: "canary".into(), ..page(1_000) }),
        ("query of the three oldest names, 50", named("zeta")),
        ("query of no name, 50", named("nothing like it")),
        ("query of no name, of parts that many have, 50", named("production staging")),
        ("query of a digit that most names have, 50", named("1")),
        ("query of two characters that two old names have, 50", named("q7")),
        ("query of one character that no name has, 50", named("#")),
        ("subject with 32 keys, 50", of("user_7")),
        ("subject with a fifth of all keys, 50", of("svc_batch")),
        ("all with exact_total, 50", ListApiKeysRequest { exact_total: true, ..page(50) }),
    ]
}

/// Makes the call again and again, then that of the second page.
async fn time(
    options: &Options,
    over: Over,
    portcullis: &Portcullis,
    name: &str,
    mut request: ListApiKeysRequest,
    report: &mut Report,
) -> Result<(), Error> {
    let address = &portcullis.process.address;
    let head = Head::new(address, LIST, &portcullis.root_key)?;
    let mut connection = Connection::open(address).await?;
    for page in ["first", "second"] {
        let framed = framed(&request);
        let first = Instant::now();
        let mut answer = connection.unary(&head, framed.clone()).await?;
        let first = first.elapsed();
        let mut latencies: Histogram<u64> = Histogram::new(3)?;
        for _ in 0..options.list_calls {
            let began = Instant::now();
            answer = connection.unary(&head, framed.clone()).await?;
            latencies.record(u64::try_from(began.elapsed().as_nanos())?)?;
        }
        let bytes = answer.len();
        let response = ListApiKeysResponse::decode(answer)?;
        let quantile = |quantile| ms(Duration::from_nanos(latencies.value_at_quantile(quantile)));
        println!(
            "{name:48} {page:6} {:>8.2} {:>8.2} {:>8.2} {:>8.2} {:>8.2} {:>6} {bytes:>8} {:>8}{}",
            quantile(0.0),
            quantile(0.5),
            quantile(0.99),
            quantile(1.0),
            ms(first),
            response.api_keys.len(),
            response.total_size,
            if response.total_size_is_lower_bound { "+" } else { "" },
        );
        report.record(json!({
            "kind": "list", "over": format!("{over:?}"), "list": name, "page": page, "keys": response.api_keys.len(),
            "bytes": bytes, "min_ms": quantile(0.0), "p50_ms": quantile(0.5), "p99_ms": quantile(0.99),
            "max_ms": quantile(1.0), "first_ms": ms(first), "total": response.total_size,
        }))?;
        if response.next_page_token.is_empty() {
            break;
        }
        request.page_token = response.next_page_token;
    }
    Ok(())
}

/// How much more memory the server has at most while it answers with a page of keys that are large.
async fn memory_of_a_page(portcullis: &Portcullis) -> Result<Vec<Figure>, Error> {
    let address = &portcullis.process.address;
    let head = Head::new(address, LIST, &portcullis.root_key)?;
    let mut connection = Connection::open(address).await?;
    let page = |page_size| framed(&ListApiKeysRequest { keyspace: LARGE.into(), page_size, ..Default::default() });
    // What the first list of all takes is not the page's: connections to the store, statements.
    connection.unary(&head, page(1)).await?;
    let mut figures = Vec::new();
    for which in ["first", "tenth"] {
        let before = portcullis.process.usage()?.rss_bytes;
        portcullis.process.reset_peak_rss()?;
        let answer: Bytes = connection.unary(&head, page(1_000)).await?;
        let more = portcullis.process.peak_rss_bytes()?.saturating_sub(before);
        let bytes = answer.len() as u64;
        let keys = ListApiKeysResponse::decode(answer)?.api_keys.len();
        figures.push(Figure::new(format!("{which} page of {keys} large keys, MiB"), mib(bytes), 2));
        figures.push(Figure::new(format!("{which} page of {keys} large keys: memory for it, MiB"), mib(more), 2));
        for _ in 0..8 {
            connection.unary(&head, page(1_000)).await?;
        }
    }
    Ok(figures)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
