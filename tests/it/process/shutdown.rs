//! How the server ends: nobody who calls it notices, and nobody can hold it.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::Command;

use portcullis::grpc::pb::{ErrorReason, Verdict, VerifyRequest, VerifyResponse};
use rustix::process::Signal;
use sqlx::{Connection as _, PgConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio_stream::StreamExt as _;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use crate::support::backend::{Backend, Fixture};
use crate::support::http::Http;
use crate::support::process::{ROOT_KEY, Server, connect, serve, sqlite_in};
use crate::support::service::{Caller, check_error, details, eventually, in_time, new_key};
use crate::support::talk::Talk;

/// Longer than any test waits, and as long as can be set.
const FOREVER_MS: u32 = 600_000;

fn serve_with(url: &str, grace_ms: u32, drain_ms: u32) -> Command {
    let mut command = serve(url);
    command.env("PORTCULLIS_SHUTDOWN_GRACE_MS", grace_ms.to_string());
    command.env("PORTCULLIS_DRAIN_TIMEOUT_MS", drain_ms.to_string());
    command
}

async fn watch(server: &Server, service: &str) -> Streaming<tonic_health::pb::HealthCheckResponse> {
    let request = HealthCheckRequest { service: service.into() };
    let mut watch = server.health().watch(request).await.expect("a watch").into_inner();
    let status = in_time("a status", watch.message()).await.expect("an answer").expect("one").status();
    assert_eq!(status, ServingStatus::Serving);
    watch
}

/// A Verify that has begun, and whose request message is yet to come.
struct HeldVerify {
    release: oneshot::Sender<VerifyRequest>,
    answer: JoinHandle<Result<Response<VerifyResponse>, Status>>,
}

impl HeldVerify {
    async fn begin(server: &Server) -> Self {
        let (release, released) = oneshot::channel();
        let (asked, is_asked) = oneshot::channel();
        // The message is asked for when the headers have been sent.
        let messages = tokio_stream::once((asked, released)).then(async |(asked, released)| {
            let _ = asked.send(());
            released.await.expect("a message")
        });
        let mut calls = Grpc::new(server.channel.clone());
        calls.ready().await.expect("a connection");
        let answer = tokio::spawn(async move {
            let mut request = Request::new(messages);
            request.metadata_mut().insert("authorization", format!("Bearer {ROOT_KEY}").parse().expect("a header"));
            let verify = PathAndQuery::from_static("/portcullis.v1.VerificationService/Verify");
            calls.client_streaming(request, verify, ProstCodec::default()).await
        });
        in_time("sending", is_asked).await.expect("it is sent");
        // What is answered later on the same connection was received later.
        assert!(server.is_ready().await);
        Self { release, answer }
    }

    async fn finish(self, key: &str) -> VerifyResponse {
        self.release.send(VerifyRequest { key: key.into(), ..Default::default() }).expect("it still waits");
        self.answer.await.expect("no panic").expect("a verdict").into_inner()
    }
}

/// A stream of reflection that was answered once, and goes on.
async fn reflect(server: &Server) -> Streaming<ServerReflectionResponse> {
    let mut reflection = ServerReflectionClient::new(server.admin().channel);
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let asking = tokio_stream::once(ask).chain(tokio_stream::pending());
    let mut answers = reflection.server_reflection_info(asking).await.expect("a stream").into_inner();
    in_time("an answer", answers.message()).await.expect("an answer").expect("one");
    answers
}

async fn refuses_connections(address: &str) {
    eventually("a refused connection", async || {
        TcpStream::connect(address).await.err().filter(|error| error.kind() == ErrorKind::ConnectionRefused)
    })
    .await;
}

#[tokio::test]
async fn sigterm_gives_callers_time_and_a_second_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(serve_with(&sqlite_in(dir.path()), FOREVER_MS, FOREVER_MS)).await;
    let mut readiness = watch(&server, "readiness").await;
    server.process.signal(Signal::TERM);
    let status = in_time("a change", readiness.message()).await.expect("an answer").expect("one").status();
    assert_eq!(status, ServingStatus::NotServing);

    let live = server.health().check(HealthCheckRequest { service: "liveness".into() }).await.expect("an answer");
    assert_eq!(live.into_inner().status(), ServingStatus::Serving);
    let mut old = server.admin();
    let mut new = Caller::with(&connect(&server.address).await, ROOT_KEY);
    let (_, secret) = new.create(new_key("one")).await;
    assert_eq!(old.verdict(&secret).await, Verdict::Valid);
    // It does not come back.
    assert!(!server.is_ready().await);

    server.process.signal(Signal::TERM);
    let ended = server.process.ended().await.with_code(1);
    assert!(ended.stderr.contains("aborted by a second signal\n"), "{ended:#?}");
}

#[tokio::test]
async fn calls_in_flight_finish_and_their_uses_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let url = sqlite_in(dir.path());
    let server = Server::start(serve_with(&url, 0, FOREVER_MS)).await;
    let (key, secret) = server.admin().create(new_key("one")).await;
    let verify = HeldVerify::begin(&server).await;
    server.process.signal(Signal::TERM);
    refuses_connections(&server.address).await;
    // From here on only the end itself can write this use down.
    assert_eq!(verify.finish(&secret).await.verdict(), Verdict::Valid);
    let ended = server.process.ended().await.with_code(0);
    assert!(!ended.stderr.contains("WARN"), "{ended:#?}");

    let server = Server::start(serve(&url)).await;
    assert!(server.admin().get(&key.id).await.expect("it was kept").last_use_time.is_some());
    server.stop().await;
}

/// SIGQUIT ends the server in order; SIGHUP only reads the log filter again, and others mean nothing.
#[tokio::test]
async fn no_signal_ends_the_server_without_order() {
    let dir = tempfile::tempdir().unwrap();
    let url = sqlite_in(dir.path());
    let settings = dir.path().join("portcullis.toml");
    std::fs::write(&settings, "").unwrap();
    let mut command = serve_with(&url, 0, FOREVER_MS);
    command.arg("--config").arg(&settings);
    let server = Server::start(command).await;
    let says = async |text: &str| {
        eventually(text, async || server.process.stderr().contains(text).then_some(())).await;
    };
    let reread = |filter: &str| {
        std::fs::write(&settings, format!("log = {filter:?}")).unwrap();
        server.process.signal(Signal::HUP);
    };
    reread("portcullis=debug");
    says("SIGHUP: the log filter was read again; other settings need a restart log=\"portcullis=debug\"").await;
    reread("x=y=z");
    says("WARN portcullis::cli::serve: SIGHUP: the log filter stays as it is why=\"log: must be a filter").await;
    server.process.signal(Signal::USR1);
    server.process.signal(Signal::USR2);

    let (key, secret) = server.admin().create(new_key("one")).await;
    let verify = HeldVerify::begin(&server).await;
    server.process.signal(Signal::QUIT);
    refuses_connections(&server.address).await;
    // No second one that would abort.
    for _ in 0..3 {
        server.process.signal(Signal::HUP);
    }
    assert_eq!(verify.finish(&secret).await.verdict(), Verdict::Valid);
    server.process.ended().await.with_code(0);

    let mut command = serve(&url);
    command.env("PORTCULLIS_LOG", "info");
    let server = Server::start(command).await;
    assert!(server.admin().get(&key.id).await.expect("it was kept").last_use_time.is_some());
    server.process.signal(Signal::HUP);
    eventually("a word on it", async || server.process.stderr().contains("PORTCULLIS_LOG sets it").then_some(())).await;
    server.stop().await;
}

#[tokio::test]
async fn streams_end_with_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(serve_with(&sqlite_in(dir.path()), 0, FOREVER_MS)).await;
    let mut admin = server.admin();
    let (_, secret) = admin.create(new_key("one")).await;
    let (mut silent, mut spoken) = (Talk::begin(&mut admin).await, Talk::begin(&mut admin).await);
    assert_eq!(spoken.verdict(&secret).await.expect("a verdict"), Verdict::Valid);
    let mut reflection = reflect(&server).await;
    server.process.signal(Signal::TERM);
    check_error(in_time("an end", reflection.message()).await, Code::Unavailable, ErrorReason::ServerEnding);
    for talk in [&mut silent, &mut spoken] {
        let status = check_error(talk.hear().await, Code::Unavailable, ErrorReason::ServerEnding);
        assert!(details(&status).retry_info().is_some(), "{status:?}");
    }
    let ended = server.process.ended().await.with_code(0);
    assert!(!ended.stderr.contains("WARN"), "{ended:#?}");
}

#[tokio::test]
async fn what_a_stream_was_asked_it_answers_before_it_ends() {
    let fixture = Fixture::new(Backend::Postgres).await;
    let server = Server::start(serve_with(&fixture.url, 0, FOREVER_MS)).await;
    let mut admin = server.admin();
    let (_, secret) = admin.create(new_key("one")).await;
    let mut talk = Talk::begin(&mut admin).await;
    let mut locker = PgConnection::connect(&fixture.url).await.expect("a connection");
    sqlx::raw_sql("BEGIN; LOCK TABLE api_key_secret").execute(&mut locker).await.expect("a lock");
    talk.ask("one", VerifyRequest { key: secret, ..Default::default() }).await;
    eventually("waiting for the lock", async || {
        // Within a transaction PostgreSQL shows the connections that there were when it was first asked.
        sqlx::raw_sql("SELECT pg_stat_clear_snapshot()").execute(&mut locker).await.expect("an answer");
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&mut locker).await.expect("an answer");
        (waiting > 0).then_some(())
    })
    .await;
    server.process.signal(Signal::TERM);
    refuses_connections(&server.address).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut locker).await.expect("let go");
    let (_, answer) = talk.hear().await.expect("an answer").expect("one");
    assert_eq!(answer.verdict(), Verdict::Valid);
    check_error(talk.hear().await, Code::Unavailable, ErrorReason::ServerEnding);
    let ended = server.process.ended().await.with_code(0);
    assert!(!ended.stderr.contains("WARN"), "{ended:#?}");
}

#[tokio::test]
async fn the_store_outlives_the_threads_that_serve() {
    let fixture = Fixture::new(Backend::Postgres).await;
    let server = Server::start(serve_with(&fixture.url, 0, FOREVER_MS)).await;
    let (key, secret) = server.admin().create(new_key("one")).await;
    // Enough at once to open more connections to the store than there were.
    let mut asking = JoinSet::new();
    for _ in 0..200 {
        let (mut admin, secret) = (server.admin(), secret.clone());
        asking.spawn(async move { admin.verdict(&secret).await });
    }
    let verdicts = in_time("the verdicts", asking.join_all()).await;
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Valid));
    server.process.signal(Signal::TERM);
    let ended = server.process.ended().await.with_code(0);
    assert!(!ended.stderr.contains("WARN"), "{ended:#?}");

    let server = Server::start(serve(&fixture.url)).await;
    assert!(server.admin().get(&key.id).await.expect("it was kept").last_use_time.is_some());
    server.stop().await;
}

#[tokio::test]
async fn sigint_does_not_wait_for_callers_to_leave() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(serve_with(&sqlite_in(dir.path()), FOREVER_MS, FOREVER_MS)).await;
    server.stop().await;
}

#[tokio::test]
async fn who_only_listens_does_not_hold_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(serve_with(&sqlite_in(dir.path()), 0, FOREVER_MS)).await;
    let _idle = connect(&server.address).await;
    let mut watches = Vec::new();
    for service in ["", "liveness", "readiness", "portcullis.v1.VerificationService"] {
        watches.push(watch(&server, service).await);
    }
    server.process.signal(Signal::TERM);
    let ended = server.process.ended().await.with_code(0);
    assert!(!ended.stderr.contains("WARN"), "{ended:#?}");
}

#[tokio::test]
async fn who_says_nothing_holds_neither_a_place_nor_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(serve_with(&sqlite_in(dir.path()), 0, FOREVER_MS)).await;
    let open = async || TcpStream::connect(&server.address).await.expect("it listens");
    let mut silent = open().await;
    let gone = in_time("the end of a silent connection", silent.read(&mut [0; 1])).await;
    assert!(matches!(gone, Ok(0) | Err(_)), "{gone:?}");

    let (_silent, mut cut) = (open().await, open().await);
    cut.write_all(b"PRI * HTTP").await.expect("sent");
    // Connections are accepted in order: once this one is served, those are there.
    Caller::with(&connect(&server.address).await, ROOT_KEY).create(new_key("one")).await;
    server.process.signal(Signal::TERM);
    let ended = server.process.ended().await.with_code(0);
    assert!(!ended.stderr.contains("WARN"), "{ended:#?}");
}

#[tokio::test]
async fn who_never_finishes_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(serve_with(&sqlite_in(dir.path()), 0, 100)).await;
    // Says nothing at all, not even that it speaks HTTP/2.
    let _silent = TcpStream::connect(&server.address).await.expect("it listens");
    let verify = HeldVerify::begin(&server).await;
    let mut answers = reflect(&server).await;

    server.process.signal(Signal::TERM);
    let ended = server.process.ended().await.with_code(0);
    assert!(ended.stderr.contains("are cut off"), "{ended:#?}");
    verify.answer.await.expect("no panic").expect_err("no answer");
    in_time("an end", answers.message()).await.expect_err("an error");
}

/// Over HTTP/1.1 a client cannot tell whether a connection that is closed took its request: it is told before, with an
/// answer.
#[tokio::test]
async fn over_http1_the_end_comes_with_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(serve_with(&sqlite_in(dir.path()), FOREVER_MS, FOREVER_MS)).await;
    let mut http = Http::connect(address_of(&server)).await;
    let mut check = async || {
        let json = [("content-type", "application/json")];
        http.call("POST", "/grpc.health.v1.Health/Check", &json, br#"{"service": "liveness"}"#).await
    };
    assert_eq!(check().await.header("connection"), None);
    let mut readiness = watch(&server, "readiness").await;
    server.process.signal(Signal::TERM);
    let status = in_time("a change", readiness.message()).await.expect("an answer").expect("one").status();
    assert_eq!(status, ServingStatus::NotServing);
    eventually("the last answer", async || {
        let answer = check().await;
        assert_eq!(answer.status, 200);
        answer.header("connection").is_some_and(|said| said == "close").then_some(())
    })
    .await;
    assert!(http.is_closed().await);
    server.process.kill().await;
}

/// Half of a first request is none that anybody must wait for.
#[tokio::test]
async fn who_never_finished_a_request_holds_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(serve_with(&sqlite_in(dir.path()), 0, FOREVER_MS)).await;
    let mut held = Vec::new();
    for half in ["POST / HTTP/1.1\r\nx: y", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut http = Http::connect(address_of(&server)).await;
        http.send(half.as_bytes()).await;
        held.push(http);
    }
    // Whether they were taken in shows with one that came later.
    assert!(server.is_ready().await);
    let ended = server.stop().await;
    assert!(!ended.stderr.contains("WARN"), "{ended:#?}");
}

fn address_of(server: &Server) -> SocketAddr {
    server.address.trim_start_matches("http://").parse().expect("an address")
}
