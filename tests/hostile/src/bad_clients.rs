//! Bytes that no client should send, one case after the other: each connection is answered or ended cleanly, and the
//! server neither stops nor grows.

mod http1;
mod http2;

use std::time::{Duration, Instant};

use crate::Error;
use crate::arena::{Store, endpoint, runtime};
use crate::client::{Connection, Endpoint, framed};
use crate::fixture::verify_request;
use crate::methods;
use crate::report::mib;
use crate::server::{BOOTSTRAP_ROOT_KEY, Program, Server};

/// What must have happened after this time.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often all cases are repeated while memory is looked at.
const ROUNDS: usize = 30;
/// What allocators keep: more than this is growth.
const GROWTH_MAX: u64 = 24 << 20;

/// What must come of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The connection is ended.
    Ends,
    /// The call on stream 1 is answered or reset, or the connection is ended.
    AnswersOrEnds,
    /// The call is answered.
    Answers,
    /// Nothing: the client has gone.
    Nothing,
}

/// Sends every case, and checks what the server makes of it; whether all is well.
pub fn run(program: &Program) -> Result<bool, Error> {
    let store = Store::sqlite()?;
    let mut server = Server::start(program, "bad-clients", &store.url, None)?;
    let endpoint = endpoint(&server);
    let cases = http2::cases();
    println!("\nbad clients: {} cases of HTTP/2, {} of HTTP/1.1", cases.len(), http1::CASES.len());
    let runtime = runtime()?;
    let mut failed = 0;
    runtime.block_on(async {
        for case in &cases {
            failed += usize::from(!checked(case.name, &endpoint, case.run(&endpoint).await).await);
        }
        for (name, bytes) in http1::CASES {
            failed += usize::from(!checked(name, &endpoint, http1::run(&endpoint, bytes).await).await);
        }
    });
    // The first rounds fill what is kept for later.
    let mut before = 0;
    let began = Instant::now();
    for round in 0..ROUNDS {
        runtime.block_on(async {
            for case in cases.iter().filter(|case| case.is_quick) {
                let _ = case.run(&endpoint).await;
            }
        });
        if round == ROUNDS / 3 {
            before = server.rss_bytes();
        }
    }
    let grown = server.rss_bytes().saturating_sub(before);
    println!("{ROUNDS} rounds of them in {:.1} s: {} MiB more", began.elapsed().as_secs_f64(), mib(grown));
    if grown > GROWTH_MAX {
        println!("    FAIL: memory grows");
        failed += 1;
    }
    if let Some(status) = server.ended() {
        println!("    FAIL: the server ended: {status}");
        failed += 1;
    }
    println!("bad clients: {}", if failed == 0 { "pass" } else { "FAIL" });
    Ok(failed == 0)
}

/// Says what is wrong with a case, also with the server after it.
async fn checked(name: &str, endpoint: &Endpoint, mut result: Result<(), String>) -> bool {
    if result.is_ok() {
        result = serves(endpoint).await.map_err(|error| format!("afterwards: {error}"));
    }
    if let Err(error) = &result {
        println!("    FAIL: {name}: {error}");
    }
    result.is_ok()
}

/// Whether a new caller is answered.
async fn serves(endpoint: &Endpoint) -> Result<(), String> {
    let call = async {
        let connection = Connection::open(endpoint).await?;
        connection.call_framed(methods::VERIFY, BOOTSTRAP_ROOT_KEY, framed(&verify_request("ak_x")), PATIENCE).await
    };
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("a new caller is not served".into()),
    }
}
