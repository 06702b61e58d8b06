//! A disk that is full.

use portcullis::grpc::pb::{ErrorReason, ListApiKeysRequest, Verdict};
use tonic::Code;

use super::load::{Ledger, Load};
use crate::support::disk::Disk;
use crate::support::process::{Server, serve};
use crate::support::service::{check_error, details, eventually, new_key};

/// Room for thousands of keys.
const SIZE_BYTES: u64 = 16 * 1024 * 1024;

async fn becomes_ready(server: &Server, ready: bool) {
    let what = if ready { "SERVING" } else { "NOT_SERVING" };
    eventually(what, async || (server.is_ready().await == ready).then_some(())).await;
}

/// Checks that a change is refused, and how.
async fn refuses_changes(server: &Server) {
    // Some small change may still fit in.
    let refused = eventually("a refusal", async || {
        let made = server.admin().keys.create_api_key(new_key("one too many")).await;
        made.is_err().then_some(made)
    });
    let status = check_error(refused.await, Code::Unavailable, ErrorReason::StoreUnavailable);
    assert!(details(&status).retry_info().is_some(), "{status:?}");
}

fn check_errors(ledger: &Ledger) {
    assert!(!ledger.errors.is_empty());
    for error in &ledger.errors {
        assert_eq!(error.code(), Code::Unavailable, "{error:?}");
        assert!(details(error).retry_info().is_some(), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_changes_only_and_only_while_it_is_full() {
    let disk = Disk::new(SIZE_BYTES);
    let server = Server::start(disk.enter(&serve(&disk.sqlite()))).await;
    let mut admin = server.admin();
    let (key, secret) = admin.create(new_key("one")).await;
    let load = Load::start(server.admin(), "load").await;
    load.acknowledges(20).await;

    disk.fill();
    becomes_ready(&server, false).await;
    refuses_changes(&server).await;
    // Whoever only asks is answered.
    assert_eq!(admin.verdict(&secret).await, Verdict::Valid);
    admin.get(&key.id).await.expect("it is there");
    admin.keys.list_api_keys(ListApiKeysRequest::default()).await.expect("a page");

    disk.free();
    becomes_ready(&server, true).await;
    load.acknowledges(20).await;
    let ledger = load.stop().await;
    check_errors(&ledger);
    ledger.check(server.admin()).await;
    server.stop().await;

    let server = Server::start(disk.enter(&serve(&disk.sqlite()))).await;
    ledger.check(server.admin()).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_on_a_full_disk_loses_nothing() {
    let disk = Disk::new(SIZE_BYTES);
    let server = Server::start(disk.enter(&serve(&disk.sqlite()))).await;
    let load = Load::start(server.admin(), "load").await;
    load.acknowledges(20).await;
    disk.fill();
    becomes_ready(&server, false).await;
    server.process.kill().await.by_kill();
    let ledger = load.stop().await;

    disk.free();
    let server = Server::start(disk.enter(&serve(&disk.sqlite()))).await;
    ledger.check(server.admin()).await;
    server.stop().await;
}
