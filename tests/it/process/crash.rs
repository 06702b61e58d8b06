//! kill -9 in the middle of writes, again and again: what was acknowledged is there.
//!
//! `PORTCULLIS_TEST_CRASH_ROUNDS` says how often; a few times if it does not.

use portcullis::grpc::pb::{ErrorReason, ListApiKeysRequest};
use sqlx::{Connection as _, SqliteConnection};
use tonic::Code;

use super::load::{Counts, Ledger, Load};
use crate::support::backend::{Backend, Fixture};
use crate::support::postgres::Cluster;
use crate::support::process::{Server, serve};
use crate::support::service::{check_error, details, eventually};

const ROUNDS: usize = 5;

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
    assert!(counts.created > 0 && counts.unanswered > 0, "{counts:?}");
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
        server = Server::start(serve(url)).await;
        ledger.check(server.admin()).await;
        ledgers.push(ledger);
    }
    check_all(what, &ledgers, &server).await;
    server.stop().await;
}

#[tokio::test]
async fn a_killed_server_on_sqlite_loses_nothing() {
    let fixture = Fixture::new(Backend::Sqlite).await;
    kill_the_server("SQLite, server killed", &fixture.url).await;
    let mut conn = SqliteConnection::connect(&fixture.url).await.expect("a file");
    let integrity: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut conn).await.unwrap();
    assert_eq!(integrity, "ok");
    let strays = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut conn).await.unwrap();
    assert!(strays.is_empty(), "{} rows refer to none", strays.len());
}

#[tokio::test]
async fn a_killed_server_on_postgres_loses_nothing() {
    let cluster = Cluster::start();
    kill_the_server("PostgreSQL, server killed", &cluster.fresh_database().await).await;
}

#[tokio::test]
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
        for error in &ledger.errors {
            assert_eq!(error.code(), Code::Unavailable, "{error:?}");
            assert!(details(error).retry_info().is_some(), "{error:?}");
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
    let verify = caller.verification.verify(portcullis::grpc::pb::VerifyRequest::default()).await;
    check_error(verify, Code::Unavailable, ErrorReason::StoreUnavailable);
}
