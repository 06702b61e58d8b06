//! Too much is refused early, by reason, and nobody else waits for it.

use portcullis::config::{AdmissionFlags, Flags};
use portcullis::grpc::pb::{self, ErrorReason, Verdict};
use portcullis::key::token;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::over_both_stores;
use crate::support::backend::{Backend, Fixture};
use crate::support::http::Http;
use crate::support::postgres::shared;
use crate::support::service::{
    Caller, Service, bad_fields, check_error, details, eventually, field_mask, in_time, new_key,
};

over_both_stores!(
    a_root_key_has_a_budget_of_calls_a_second_and_may_revoke_beyond_it,
    a_root_key_has_a_budget_of_calls_in_flight_and_may_verify_beyond_it,
    a_keyspace_has_a_budget_whoever_calls,
    a_keyspace_has_limits_of_its_own,
    a_keyspace_has_so_many_keys_and_no_more,
);

fn flags(admission: AdmissionFlags) -> Flags {
    Flags { admission, ..Flags::default() }
}

/// Checks that a call was refused for `reason` and told when to come back.
#[track_caller]
fn check_refused<T: std::fmt::Debug>(result: Result<T, Status>, reason: ErrorReason) {
    let status = check_error(result, Code::ResourceExhausted, reason);
    assert!(details(&status).retry_info().is_some_and(|info| info.retry_delay.is_some()), "{status:?}");
}

async fn a_root_key_has_a_budget_of_calls_a_second_and_may_revoke_beyond_it(backend: Backend) {
    let admission = AdmissionFlags { caller_calls_per_second: Some("1".into()), ..AdmissionFlags::default() };
    let service = Service::start_set(backend, flags(admission)).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(new_key("k")).await;
    // The second that the budget is of may pass between two calls, but not between all.
    let refused = eventually("a refusal", async || admin.get(&key.id).await.err()).await;
    check_refused(Err::<(), _>(refused), ErrorReason::CallerLimit);
    assert_eq!(admin.verdict(&secret).await, Verdict::Valid);
    for _ in 0..3 {
        admin.revoke(&key.id).await;
    }
    service.stop().await;
}

async fn a_root_key_has_a_budget_of_calls_in_flight_and_may_verify_beyond_it(backend: Backend) {
    let admission = AdmissionFlags { caller_calls_max: Some("1".into()), ..AdmissionFlags::default() };
    let service = Service::start_set(backend, flags(admission)).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(new_key("k")).await;
    let mut other = service.caller_with(&["keys:read"]).await;

    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let questions = futures_util::stream::once(async move {
        let _ = ended.await;
        pb::VerifyStreamRequest::default()
    });
    let answers = admin.verification.verify_stream(questions).await.expect("a stream").into_inner();
    check_refused(admin.get(&key.id).await, ErrorReason::CallerLimit);
    check_refused(admin.keys.create_api_key(new_key("l")).await, ErrorReason::CallerLimit);
    assert_eq!(admin.verdict(&secret).await, Verdict::Valid);
    // Health is not charged, whatever root key is sent with it.
    let mut health = Request::new(HealthCheckRequest::default());
    let authorization = format!("Bearer {}", service.root_key);
    health.metadata_mut().insert("authorization", authorization.parse().expect("a header"));
    HealthClient::new(service.channel.clone()).check(health).await.expect("it is served");
    // Over the web too.
    let mut http = Http::connect(service.addr).await;
    let headers = [("content-type", "application/json"), ("authorization", &*authorization)];
    let get = format!("{{\"id\": \"{}\"}}", key.id);
    let refused = http.call("POST", "/portcullis.v1.ApiKeyService/GetApiKey", &headers, get.as_bytes()).await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (429, Some("resource_exhausted")));
    admin.revoke(&key.id).await;
    other.get(&key.id).await.expect("another root key has a budget of its own");
    drop((end, answers));
    eventually("the end of the stream", async || admin.get(&key.id).await.ok()).await;
    service.stop().await;
}

async fn a_keyspace_has_a_budget_whoever_calls(backend: Backend) {
    let admission = AdmissionFlags { keyspace_calls_per_second: Some("1".into()), ..AdmissionFlags::default() };
    let service = Service::start_set(backend, flags(admission)).await;
    let mut admin = service.admin();
    admin.create_keyspace("acme").await;
    admin.create_keyspace("beta").await;
    let of = |keyspace: &str| pb::CreateApiKeyRequest { keyspace: keyspace.into(), ..new_key("k") };
    let refused = eventually("a refusal", async || admin.keys.create_api_key(of("acme")).await.err()).await;
    check_refused(Err::<(), _>(refused), ErrorReason::KeyspaceLimit);
    admin.create(of("beta")).await;
    service.stop().await;
}

async fn a_keyspace_has_limits_of_its_own(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let limits = pb::KeyspaceLimits { calls_per_second: Some(1), ..Default::default() };
    let acme = pb::Keyspace { id: "acme".into(), limits: Some(limits), ..Default::default() };
    let made = admin.create_keyspace_of(acme).await;
    assert_eq!(made.limits, Some(limits));
    let of_acme = || pb::CreateApiKeyRequest { keyspace: "acme".into(), ..new_key("k") };
    let refused = eventually("a refusal", async || admin.keys.create_api_key(of_acme()).await.err()).await;
    check_refused(Err::<(), _>(refused), ErrorReason::KeyspaceLimit);

    let mut update = async |limits| {
        let keyspace = pb::Keyspace { id: "acme".into(), limits, ..Default::default() };
        let update_mask = Some(field_mask(&["limits"]));
        let request = pb::UpdateKeyspaceRequest { keyspace: Some(keyspace), update_mask };
        admin.keyspaces.update_keyspace(request).await.map(|done| done.into_inner().keyspace.expect("it"))
    };
    let bad = pb::KeyspaceLimits { calls_max: Some(0), calls_per_second: None, keys_max: Some(-1) };
    assert_eq!(bad_fields(update(Some(bad)).await), ["keyspace.limits.calls_max", "keyspace.limits.keys_max"]);
    let cleared = update(None).await.expect("changed");
    assert!(cleared.limits.is_none() && cleared.etag != made.etag);
    for _ in 0..5 {
        admin.create(of_acme()).await;
    }
    service.stop().await;
}

/// Whoever makes them, however many at once: creations, imports, and again after a deletion.
async fn a_keyspace_has_so_many_keys_and_no_more(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let limits = pb::KeyspaceLimits { keys_max: Some(5), ..Default::default() };
    let acme = pb::Keyspace { id: "acme".into(), limits: Some(limits), ..Default::default() };
    admin.create_keyspace_of(acme).await;
    let of_acme = || pb::CreateApiKeyRequest { keyspace: "acme".into(), ..new_key("k") };
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let mut caller = admin.clone();
        calls.spawn(async move { caller.keys.create_api_key(of_acme()).await });
    }
    let (mut made, mut full) = (Vec::new(), 0);
    while let Some(answer) = calls.join_next().await {
        match answer.expect("no panic") {
            Ok(answer) => made.push(answer.into_inner().api_key.expect("the key")),
            refused => {
                check_error(refused, Code::FailedPrecondition, ErrorReason::KeyspaceFull);
                full += 1;
            }
        }
    }
    // Calls that were refused had room reserved for others that were refused.
    assert!(made.len() <= 5 && made.len() + full == 20, "{} made", made.len());
    while made.len() < 5 {
        made.push(admin.create(of_acme()).await.0);
    }
    check_error(admin.keys.create_api_key(of_acme()).await, Code::FailedPrecondition, ErrorReason::KeyspaceFull);
    let import = |count: u8| pb::ImportApiKeysRequest {
        keyspace: "acme".into(),
        entries: (0..count).map(entry).collect(),
        ..Default::default()
    };
    check_error(admin.keys.import_api_keys(import(1)).await, Code::FailedPrecondition, ErrorReason::KeyspaceFull);
    for key in made.iter().take(2) {
        admin
            .keys
            .delete_api_key(pb::DeleteApiKeyRequest { id: key.id.clone(), ..Default::default() })
            .await
            .expect("deleted");
    }
    check_error(admin.keys.import_api_keys(import(3)).await, Code::FailedPrecondition, ErrorReason::KeyspaceFull);
    admin.keys.import_api_keys(import(2)).await.expect("there is room for two");
    check_error(admin.keys.create_api_key(of_acme()).await, Code::FailedPrecondition, ErrorReason::KeyspaceFull);
    admin.create(new_key("elsewhere")).await;
    service.stop().await;
}

fn entry(nth: u8) -> pb::ApiKeyImport {
    let digest = pb::SecretDigest { algorithm: pb::DigestAlgorithm::Sha256.into(), value: vec![nth; 32] };
    pb::ApiKeyImport {
        name: "imported".into(),
        subject: "user_1".into(),
        material: Some(pb::api_key_import::Material::Digest(digest)),
        ..Default::default()
    }
}

/// While the database holds creations up, they do not pile up, and calls of other kinds and callers go on.
#[tokio::test]
async fn calls_that_find_no_place_are_shed_while_other_kinds_go_on() {
    let url = shared().fresh_database().await;
    let service = Service::start_over(Fixture::at(Backend::Postgres, &url), None).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(new_key("k")).await;
    let flood = service.caller_with(&["keys:write"]).await;
    let mut lock = PgConnection::connect(&url).await.expect("the server is up");
    let hold = "BEGIN; LOCK TABLE request_id IN ACCESS EXCLUSIVE MODE";
    sqlx::raw_sql(hold).execute(&mut lock).await.expect("a lock");

    let mut calls = JoinSet::new();
    for nth in 0..120 {
        calls.spawn(create(flood.clone(), nth));
    }
    let mut shed = 0;
    while shed < 60 {
        let answer = in_time("an answer", calls.join_next()).await.expect("it is not the last").expect("no panic");
        check_refused(answer, ErrorReason::ManagementBusy);
        shed += 1;
    }
    admin.get(&key.id).await.expect("reads have places of their own");
    admin.revoke(&key.id).await;
    assert_eq!(admin.verdict(&secret).await, Verdict::Revoked);

    sqlx::raw_sql("ROLLBACK").execute(&mut lock).await.expect("no lock");
    eventually("creations as before", async || admin.keys.create_api_key(new_key("after")).await.ok()).await;
    drop(calls);
    service.stop().await;
}

/// While the database holds look-ups up, batches of one caller do not pile up, and those of others go on.
#[tokio::test]
async fn batches_that_find_no_place_are_shed_while_other_callers_go_on() {
    let url = shared().fresh_database().await;
    let service = Service::start_over(Fixture::at(Backend::Postgres, &url), None).await;
    let mut admin = service.admin();
    let (_, secret) = admin.create(new_key("k")).await;
    assert_eq!(admin.verdict(&secret).await, Verdict::Valid);
    let flood = service.caller_with(&["keys:verify"]).await;
    verify_unknown(flood.clone()).await.expect("its root key is known from now on");
    let mut lock = PgConnection::connect(&url).await.expect("the server is up");
    let hold = "BEGIN; LOCK TABLE api_key_secret IN ACCESS EXCLUSIVE MODE";
    sqlx::raw_sql(hold).execute(&mut lock).await.expect("a lock");

    let mut batches = JoinSet::new();
    for _ in 0..200 {
        batches.spawn(verify_unknown(flood.clone()));
    }
    for _ in 0..40 {
        let answer = in_time("an answer", batches.join_next()).await.expect("it is not the last").expect("no panic");
        check_refused(answer, ErrorReason::ManagementBusy);
    }
    let request = pb::VerifyRequest { key: secret, ..Default::default() };
    let batch = admin.verification.batch_verify(pb::BatchVerifyRequest { requests: vec![request] }).await;
    let responses = batch.expect("another caller has a place").into_inner().responses;
    assert!(responses.len() == 1 && responses[0].valid);

    sqlx::raw_sql("ROLLBACK").execute(&mut lock).await.expect("no lock");
    eventually("batches as before", async || verify_unknown(flood.clone()).await.ok()).await;
    drop(batches);
    service.stop().await;
}

async fn verify_unknown(mut caller: Caller) -> Result<(), Status> {
    let (_, key) = token::generate(&"ak".parse().expect("a prefix")).expect("a key");
    let request = pb::VerifyRequest { key: key.expose().to_owned(), ..Default::default() };
    caller.verification.batch_verify(pb::BatchVerifyRequest { requests: vec![request] }).await.map(drop)
}

async fn create(mut caller: Caller, nth: usize) -> Result<(), Status> {
    let request = pb::CreateApiKeyRequest { request_id: format!("request-{nth}"), ..new_key("flood") };
    caller.keys.create_api_key(request).await.map(drop)
}
