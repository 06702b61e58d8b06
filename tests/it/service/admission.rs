//! Too much is refused early, by reason, and nobody else waits for it.

use portcullis::config::{AdmissionFlags, Flags};
use portcullis::grpc::pb::{self, ErrorReason, Verdict};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::over_both_stores;
use crate::support::backend::{Backend, Fixture};
use crate::support::postgres::shared;
use crate::support::service::{Caller, Service, check_error, details, eventually, in_time, new_key};

over_both_stores!(
    a_root_key_has_a_budget_of_calls_a_second_and_may_revoke_beyond_it,
    a_root_key_has_a_budget_of_calls_in_flight_and_may_verify_beyond_it,
    a_keyspace_has_a_budget_whoever_calls,
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

async fn create(mut caller: Caller, nth: usize) -> Result<(), Status> {
    let request = pb::CreateApiKeyRequest { request_id: format!("request-{nth}"), ..new_key("flood") };
    caller.keys.create_api_key(request).await.map(drop)
}
