//! kill -9 in the middle of writes, again and again: what was acknowledged is there.
//!
//! The clients have threads of their own, so that nothing which is done here holds them up.
//!
//! `PORTCULLIS_TEST_CRASH_ROUNDS` says how often; a few times if it does not.

use portcullis::grpc::pb::{ErrorReason, ListApiKeysRequest, VerifyRequest};
use sqlx::{Connection as _, SqliteConnection};
use tonic::Code;

use super::load::{Counts, Ledger, Load};
use crate::support::backend::{Backend, Fixture};
use crate::support::postgres::Cluster;
use crate::support::process::{Server, serve};
use crate::support::service::{check_error, details, eventually, wrong_secret};

const ROUNDS: usize = 5;

/// As long as a key string of the default keyspace.
const UNKNOWN: &str = "ak_0123456789abcdef00000000000000000000000000000000000000";

fn rounds() -> usize {
    match std::env::var("PORTCULLIS_TEST_CRASH_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("a number of rounds"),
        Err(_) => ROUNDS,
    }
}

/// How many changes to let pass before the blow: from none to what a few commits hold.
fn head_start(round: usize) -> usize {
    round * 37 % 150
}

/// Once more all that was ever promised: a later crash must not lose what an earlier one left.
async fn check_all(what: &str, ledgers: &[Ledger], server: &Server) {
    let mut counts = Counts::default();
    for ledger in ledgers {
        counts += ledger.check(server.admin()).await;
    }
    println!("{what}: kept all of {counts:?}");
}

/// Kills the server under load and starts it again, round after round.
async fn kill_the_server(what: &str, url: &str) {
    let mut server = Server::start(serve(url)).await;
    let mut ledgers = Vec::new();
    for round in 0..rounds() {
        let load = Load::start(server.admin(), &format!("round-{round}")).await;
        load.acknowledges(head_start(round)).await;
        server.process.kill().await.by_kill();
        let ledger = load.stop().await;
        assert!(!ledger.errors.is_empty(), "it was at work when it was killed");
        server = Server::start(serve(url)).await;
        ledger.check(server.admin()).await;
        ledgers.push(ledger);
    }
    check_all(what, &ledgers, &server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_on_sqlite_loses_nothing() {
    let fixture = Fixture::new(Backend::Sqlite).await;
    kill_the_server("SQLite, server killed", &fixture.url).await;
    let mut conn = SqliteConnection::connect(&fixture.url).await.expect("a file");
    let integrity: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut conn).await.unwrap();
    assert_eq!(integrity, "ok");
    let strays = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut conn).await.unwrap();
    assert!(strays.is_empty(), "{} rows refer to none", strays.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_on_postgres_loses_nothing() {
    let cluster = Cluster::start();
    kill_the_server("PostgreSQL, server killed", &cluster.fresh_database().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_postgres_loses_nothing_and_the_server_recovers() {
    let mut cluster = Cluster::start();
    let server = Server::start(serve(&cluster.fresh_database().await)).await;
    let mut ledgers = Vec::new();
    for round in 0..rounds() {
        let load = Load::start(server.admin(), &format!("round-{round}")).await;
        load.acknowledges(head_start(round)).await;
        cluster.stop_immediate();
        eventually("NOT_SERVING", async || (!server.is_ready().await).then_some(())).await;
        refuses_calls(&server).await;
        cluster.start_again();
        eventually("SERVING", async || server.is_ready().await.then_some(())).await;
        // The same clients go on over the same connection.
        load.acknowledges(1).await;
        let ledger = load.stop().await;
        assert!(!ledger.errors.is_empty(), "it was at work when PostgreSQL was killed");
        for error in &ledger.errors {
            let details = details(error);
            let is_unconfirmed = error.code() == Code::DeadlineExceeded
                && details.error_info().is_some_and(|info| info.reason == ErrorReason::ChangeUnconfirmed.as_str_name());
            assert!(is_unconfirmed || error.code() == Code::Unavailable, "{error:?}");
            assert!(is_unconfirmed || details.retry_info().is_some(), "{error:?}");
        }
        ledger.check(server.admin()).await;
        ledgers.push(ledger);
    }
    check_all("PostgreSQL, PostgreSQL killed", &ledgers, &server).await;
    server.stop().await;
}

/// Checks that reads, verifications and changes alike are answered, and how.
async fn refuses_calls(server: &Server) {
    let mut caller = server.admin();
    let list = caller.keys.list_api_keys(ListApiKeysRequest::default()).await;
    check_error(list, Code::Unavailable, ErrorReason::StoreUnavailable);
    let create = caller.keys.create_api_key(crate::support::service::new_key("one")).await;
    check_error(create, Code::Unavailable, ErrorReason::StoreUnavailable);
    let unknown = VerifyRequest { key: wrong_secret(UNKNOWN, 1), ..VerifyRequest::default() };
    let status = caller.verification.verify(unknown).await.expect_err("nobody knows");
    let reason = details(&status).error_info().expect("one").reason.clone();
    // It depends on for how long.
    let reasons = [ErrorReason::StoreUnavailable, ErrorReason::LeaseOver].map(|reason| reason.as_str_name());
    assert!(status.code() == Code::Unavailable && reasons.contains(&reason.as_str()), "{status:?}");
}
