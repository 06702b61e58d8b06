//! A PostgreSQL that goes away, or falls silent, in the middle of a call.

use portcullis::grpc::pb::{self, ErrorReason};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::task::JoinHandle;
use tonic::{Code, Status};

use crate::support::backend::{Backend, Fixture};
use crate::support::postgres::Cluster;
use crate::support::process::{Server, serve};
use crate::support::service::{Caller, check_error, details, eventually, in_time, new_key};

/// A change of a key that waits for a lock which is held behind the server's back.
struct Waiting {
    /// Dropping this lets go of the lock.
    _locker: PgConnection,
    call: JoinHandle<Result<pb::ApiKey, Status>>,
}

impl Waiting {
    async fn begin(url: &str, mut caller: Caller) -> Self {
        let (key, _) = caller.create(new_key("one")).await;
        let mut locker = PgConnection::connect(url).await.expect("a connection");
        sqlx::raw_sql("BEGIN; SELECT FROM api_key FOR UPDATE").execute(&mut locker).await.expect("a lock");
        let change = pb::ApiKey { id: key.id, name: "another".into(), ..Default::default() };
        let call = tokio::spawn(async move { caller.update(change, &["name"]).await });
        eventually("waiting for the lock", async || {
            // Within a transaction PostgreSQL shows the connections that there were when it was first asked.
            sqlx::raw_sql("SELECT pg_stat_clear_snapshot()").execute(&mut locker).await.expect("an answer");
            let waiting = "SELECT count(*) FROM pg_stat_activity
                           WHERE datname = current_database() AND wait_event_type = 'Lock'";
            let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&mut locker).await.expect("an answer");
            (waiting > 0).then_some(())
        })
        .await;
        Self { _locker: locker, call }
    }

    async fn ends_in_refusal(self) {
        let answer = in_time("an answer", self.call).await.expect("no panic");
        let status = check_error(answer, Code::Unavailable, ErrorReason::StoreUnavailable);
        assert!(details(&status).retry_info().is_some(), "{status:?}");
    }
}

#[tokio::test]
async fn a_call_that_waits_too_long_ends_in_refusal() {
    let fixture = Fixture::new(Backend::Postgres).await;
    let server = Server::start(serve(&fixture.url)).await;
    Waiting::begin(&fixture.url, server.admin()).await.ends_in_refusal().await;
    server.admin().create(new_key("two")).await;
    server.stop().await;
}

#[tokio::test]
async fn a_call_ends_in_refusal_when_postgres_goes_away() {
    let mut cluster = Cluster::start();
    let url = cluster.fresh_database().await;
    let server = Server::start(serve(&url)).await;
    let waiting = Waiting::begin(&url, server.admin()).await;
    cluster.stop_immediate();
    waiting.ends_in_refusal().await;
    cluster.start_again();
    eventually("a key", async || server.admin().keys.create_api_key(new_key("two")).await.ok()).await;
    eventually("SERVING", async || server.is_ready().await.then_some(())).await;
    server.stop().await;
}

#[tokio::test]
async fn a_call_ends_in_refusal_when_postgres_falls_silent() {
    // Not the one that others share: who knows what a process holds when it is stopped.
    let cluster = Cluster::start();
    let url = cluster.fresh_database().await;
    let server = Server::start(serve(&url)).await;
    server.admin().create(new_key("one")).await;
    let stopped = Stopped::backends_of(&url).await;
    let status = eventually("a refusal", async || server.admin().keys.create_api_key(new_key("two")).await.err()).await;
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(details(&status).retry_info().is_some(), "{status:?}");
    // Others are made in place of the connections that are dead.
    eventually("a key", async || server.admin().keys.create_api_key(new_key("three")).await.ok()).await;
    eventually("SERVING", async || server.is_ready().await.then_some(())).await;
    drop(stopped);
    server.stop().await;
}

/// The server's processes in PostgreSQL, at a halt until this is dropped.
struct Stopped(Vec<Pid>);

impl Stopped {
    async fn backends_of(url: &str) -> Self {
        let mut conn = PgConnection::connect(url).await.expect("a connection");
        let query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let pids: Vec<i32> = sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut conn).await.expect("a catalogue");
        assert!(!pids.is_empty());
        let pids: Vec<_> = pids.into_iter().filter_map(Pid::from_raw).collect();
        for pid in &pids {
            kill_process(*pid, Signal::STOP).expect("ours");
        }
        Self(pids)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for pid in &self.0 {
            // What is gone need not go on.
            let _ = kill_process(*pid, Signal::CONT);
        }
    }
}
