//! What the server tells those who watch it.

use futures_util::future::join_all;
use portcullis::grpc::pb::{
    CreateApiKeyRequest, HashPolicy, Keyspace, KeyspaceLimits, ListReplicasRequest, VerifyRequest,
};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;

use crate::support::backend::{Backend, Fixture};
use crate::support::http::Http;
use crate::support::process::{Process, ROOT_KEY, Server, client, serve};
use crate::support::service::{eventually, new_key, wrong_secret};

/// A page: its status and its text.
async fn get(addr: &str, path: &str) -> (u16, String) {
    let answer = Http::connect(addr.parse().expect("an address")).await.call("GET", path, &[], b"").await;
    (answer.status, String::from_utf8(answer.body).expect("text"))
}

/// Where a server serves its metrics.
fn metrics_of(server: &Server) -> String {
    let said = server.process.stderr();
    let addr = said.split_once("metrics on http://").expect("where").1.split_once('/').expect("a path").0;
    addr.to_owned()
}

/// The value of a line without labels.
fn value(page: &str, name: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{page}")).parse().expect("a number")
}

#[tokio::test]
async fn metrics_tell_how_replicas_agree() {
    let fixture = Fixture::new(Backend::Postgres).await;
    let mut command = serve(&fixture.url);
    command.arg("--metrics-listen=127.0.0.1:0").arg("--replica-name=first");
    let server = Server::start(command).await;
    let addr = &metrics_of(&server);
    let (key, secret) = server.admin().create(new_key("k")).await;
    server.admin().verdict(&secret).await;
    server.admin().revoke(&key.id).await;
    // Nothing is in the log that this replica has yet to hear of, and forget what it is about.
    server.admin().verdict(&secret).await;

    let (status, page) = get(addr, "/metrics").await;
    assert_eq!(status, 200);
    assert!(page.contains("\nportcullis_lease_held 1\n"), "{page}");
    assert!(value(&page, "portcullis_lease_age_seconds") < 60.0);
    assert!(value(&page, "portcullis_log_polls_total") >= 1.0);
    for line in ["log_forks_total 0", "registrations_total 1", "change_wait_seconds_count 1", "log_lag 0"] {
        assert!(page.contains(&format!("\nportcullis_{line}\n")), "no {line} in\n{page}");
    }
    assert!(value(&page, "portcullis_secrets_remembered") >= 1.0);
    // All that is told is there, and nothing else.
    let told = include_str!("../../../docs/metrics.md");
    let mut there = 0;
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').expect("a name and a type");
        let suffix = if kind == "counter" { "_total" } else { "" };
        assert!(told.contains(&format!("| `{name}{suffix}` | {kind} |")), "{line}");
        there += 1;
    }
    assert_eq!(told.matches("| `portcullis_").count(), there);
    assert!(page.ends_with("# EOF\n") && !page.contains(&secret[..12]), "{page}");
    assert_eq!(get(addr, "/").await, (404, "there is nothing here: GET /metrics\n".to_owned()));
    let posted = Http::connect(addr.parse().expect("an address")).await.call("POST", "/metrics", &[], b"").await;
    assert_eq!(
        (posted.status, &posted.body[..], posted.header("allow")),
        (405, &b"send GET /metrics\n"[..], Some("GET, HEAD"))
    );
    server.stop().await;
}

/// What is refused leaves a trace, and none that a stranger can make grow.
#[tokio::test]
async fn what_is_refused_is_counted_and_logged() {
    let fixture = Fixture::new(Backend::Sqlite).await;
    let mut command = serve(&fixture.url);
    command.arg("--metrics-listen=127.0.0.1:0");
    let server = Server::start(command).await;
    let (addr, at) = (metrics_of(&server), server.address.parse().expect("an address"));
    let mut admin = server.admin();
    let (_, secret) = admin.create(new_key("k")).await;
    let reader = CreateApiKeyRequest { keyspace: "system".into(), scopes: vec!["keys:verify".into()], ..new_key("r") };
    let (reader, reader_key) = admin.create(reader).await;
    for _ in 0..20 {
        server.caller("x").get("key_1").await.unwrap_err();
        let path = "/portcullis.v1.ApiKeyService/GetApiKey";
        let json = [("content-type", "application/json")];
        assert_eq!(Http::connect(at).await.call("POST", path, &json, b"{}").await.status, 401);
        server.caller(&reader_key).get("key_1").await.unwrap_err();
        admin.verdict(&secret).await;
        admin.verdict("nonsense").await;
    }
    admin.revoke(&reader.id).await;
    server.caller(&reader_key).get("key_1").await.unwrap_err();
    let mut watch = server.health();
    let request = HealthCheckRequest { service: String::new() };
    let _watched = watch.watch(request).await.expect("a stream").into_inner();

    let page = eventually("all verdicts", async || {
        let page = get(&addr, "/metrics").await.1;
        page.contains("verdicts_total{verdict=\"VALID\"} 20\n").then_some(page)
    })
    .await;
    for line in [
        "verdicts_total{verdict=\"MALFORMED\"} 20",
        "verdicts_total{verdict=\"NOT_FOUND\"} 0",
        "authentication_failures_total{kind=\"malformed\"} 20",
        "authentication_failures_total{kind=\"missing\"} 20",
        "authentication_failures_total{kind=\"revoked\"} 1",
        "permission_denials_total{permission=\"keys:read\"} 20",
        "errors_total{reason=\"PERMISSION_MISSING\"} 20",
        "errors_total{reason=\"CREDENTIAL_INVALID\"} 21",
        "denials_unaudited_total 19",
        "health_watches 1",
    ] {
        assert!(page.contains(&format!("\nportcullis_{line}\n")), "no {line} in\n{page}");
    }
    let log = server.stop().await.stderr;
    for said in ["kind=\"malformed\" peer=\"127.0.0.1:", "root_key_id=\"key_", "a call was denied"] {
        assert!(log.contains(said), "no {said} in\n{log}");
    }
    let lines = log.lines().filter(|line| line.contains("not authenticated") || line.contains("was denied")).count();
    // Four kinds, and once more for each where the test takes longer than ten seconds.
    assert!((4..20).contains(&lines), "{log}");
}

/// The log line that says `what`, with each of `fields`.
#[track_caller]
fn check_logged(log: &str, what: &str, fields: &[&str]) {
    let mut lines = log.lines().filter(|line| line.contains(what));
    assert!(lines.any(|line| fields.iter().all(|field| line.contains(field))), "no {what} with {fields:?} in\n{log}");
}

#[tokio::test]
async fn refused_callers_are_named_in_the_log() {
    let fixture = Fixture::new(Backend::Sqlite).await;
    let mut command = serve(&fixture.url);
    command.arg("--caller-calls-per-second=10");
    let server = Server::start(command).await;
    let mut admin = server.admin();
    let limits = KeyspaceLimits { calls_per_second: Some(1), ..KeyspaceLimits::default() };
    let slow = Keyspace { hash_policy: HashPolicy::Argon2id.into(), limits: Some(limits), ..Keyspace::default() };
    admin.create_keyspace_of(Keyspace { id: "slow".into(), ..slow }).await;
    let slow_key = CreateApiKeyRequest { keyspace: "slow".into(), ..new_key("k") };
    let (_, secret) = admin.create(slow_key.clone()).await;
    let root_key = |name: &str, permission: &str| CreateApiKeyRequest {
        keyspace: "system".into(),
        scopes: vec![permission.to_owned()],
        ..new_key(name)
    };
    let (reader, reader_key) = admin.create(root_key("reader", "keys:read")).await;
    let (issuer, issuer_key) = admin.create(root_key("issuer", "keys:write")).await;
    let (tester, tester_key) = admin.create(root_key("tester", "keys:verify")).await;
    let (revoked, revoked_key) = admin.create(root_key("revoked", "keys:read")).await;
    admin.revoke(&revoked.id).await;

    server.caller(&revoked_key).get("key_1").await.expect_err("it is revoked");
    let reads = server.caller(&reader_key);
    // A root key that is known is charged before its call has a task.
    reads.clone().get("key_1").await.expect_err("no such key");
    eventually("the limit of a root key", async || {
        let calls = join_all((0..20).map(|_| async { reads.clone().get("key_1").await })).await;
        calls.iter().any(|call| call.as_ref().is_err_and(|it| it.code() == Code::ResourceExhausted)).then_some(())
    })
    .await;
    let writes = server.caller(&issuer_key);
    eventually("the limit of a keyspace", async || {
        let create = async || writes.clone().keys.create_api_key(slow_key.clone()).await;
        let calls = join_all((0..4).map(|_| create())).await;
        calls.iter().any(|call| call.as_ref().is_err_and(|it| it.message().contains("keyspace slow"))).then_some(())
    })
    .await;
    let mut guesses = server.caller(&tester_key);
    for nth in 0.. {
        let request = VerifyRequest { key: wrong_secret(&secret, nth), ..VerifyRequest::default() };
        let answer = guesses.verification.verify(request).await;
        if answer.is_err_and(|it| it.message().contains("wrong secrets")) {
            break;
        }
        assert!(nth < 1_000);
    }

    let log = server.stop().await.stderr;
    let of = |id: &str| format!("root_key_id=\"{id}\"");
    let peer = "peer=\"127.0.0.1:";
    check_logged(&log, "a caller was not authenticated", &["kind=\"revoked\"", &of(&revoked.id), peer]);
    for (reason, root_key, method) in [
        ("CALLER_LIMIT", &reader, "ApiKeyService/GetApiKey"),
        ("KEYSPACE_LIMIT", &issuer, "ApiKeyService/CreateApiKey"),
        ("GUESSING_THROTTLED", &tester, "VerificationService/Verify"),
    ] {
        let reason = format!("reason=\"{reason}\"");
        check_logged(&log, "a call was refused", &[&reason, &of(&root_key.id), method, peer, "suppressed="]);
    }
    check_logged(&log, "a call was refused", &["error=\"keyspace slow makes more than 1 calls a second"]);
    assert!([secret, reader_key, issuer_key, tester_key, revoked_key].iter().all(|it| !log.contains(&it[8..])));
}

/// Whoever opens connections and says nothing does not keep others from the metrics.
#[tokio::test]
async fn silent_connections_do_not_blind_the_metrics() {
    let fixture = Fixture::new(Backend::Sqlite).await;
    let mut command = serve(&fixture.url);
    command.arg("--metrics-listen=127.0.0.1:0");
    let server = Server::start(command).await;
    let addr = metrics_of(&server);
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(Http::connect(addr.parse().expect("an address")).await);
    }
    assert_eq!(get(&addr, "/metrics").await.0, 200);
    // Each connection is for one request: none is kept.
    let mut collector = Http::connect(addr.parse().expect("an address")).await;
    assert_eq!(collector.call("GET", "/metrics", &[], b"").await.status, 200);
    assert!(collector.is_closed().await);
    server.stop().await;
}

#[tokio::test]
async fn replicas_are_listed_while_they_are_there() {
    let fixture = Fixture::new(Backend::Postgres).await;
    let named = |name: &str| {
        let mut command = serve(&fixture.url);
        command.arg(format!("--replica-name={name}"));
        command
    };
    let (first, second) = (Server::start(named("first")).await, Server::start(named("second")).await);
    let listed = async || -> Vec<(String, bool)> {
        let answer = first.admin().replicas.list_replicas(ListReplicasRequest {}).await.expect("a list").into_inner();
        answer.replicas.into_iter().map(|replica| (replica.name, replica.is_self)).collect()
    };
    assert_eq!(listed().await, [("first".to_owned(), true), ("second".to_owned(), false)]);
    let shown = Process::run(client(&format!("http://{}", first.address), ROOT_KEY, ["replicas"])).await.with_code(0);
    let table: Vec<_> = shown.stdout.lines().collect();
    assert!(table[0].starts_with("NAME") && table[1].contains("answering") && table[2].contains("alive"), "{table:#?}");

    second.stop().await;
    // It has left in order: nobody had to wait for it.
    eventually("it is off the list", async || (listed().await.len() == 1).then_some(())).await;
    first.stop().await;
}

#[tokio::test]
async fn over_sqlite_there_is_one_replica() {
    let fixture = Fixture::new(Backend::Sqlite).await;
    let server = Server::start(serve(&fixture.url)).await;
    let listed = server.admin().replicas.list_replicas(ListReplicasRequest {}).await.expect("a list").into_inner();
    let [only] = listed.replicas.as_slice() else { panic!("{listed:?}") };
    assert!(only.is_self && only.lease.is_none() && !only.dead, "{only:?}");
    server.stop().await;
}
