//! ListApiKeys: filters, pages and tokens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::{Clock, ManualClock, SystemClock};
use portcullis::grpc::pb::create_api_key_request::Expiration;
use portcullis::grpc::pb::{self, CreateApiKeyRequest, ErrorReason, ListApiKeysRequest};
use sqlx::{Connection as _, PgConnection};
use tonic::Code;

use super::{Backend, over_both_stores};
use crate::support::service::{Caller, Service, bad_fields, check_error, details, eventually, new_key};

over_both_stores![
    filters_must_all_hold,
    only_what_verifies_unless_asked,
    pages_lose_and_repeat_nothing,
    a_page_token_is_good_for_its_own_query,
    sizes_are_clamped_or_refused,
    unused_keys_are_found,
];

async fn names(caller: &mut Caller, request: ListApiKeysRequest) -> Vec<String> {
    let page = caller.keys.list_api_keys(request).await.expect("a page").into_inner();
    assert_eq!(page.total_size, i64::try_from(page.api_keys.len()).unwrap(), "all fit on one page");
    page.api_keys.into_iter().map(|key| key.name).collect()
}

async fn filters_must_all_hold(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    };
    let keys = [
        ("Straße 100%", "user_1", "ops", labels(&[("team", "a"), ("env", "prod")])),
        ("strasse_2", "user_2", "ops", labels(&[("team", "a")])),
        ("other", "user_1", "", labels(&[("team", "b"), ("env", "prod")])),
    ];
    for (name, subject, created_by, metadata) in keys {
        let (subject, created_by) = (subject.into(), created_by.into());
        admin.create(CreateApiKeyRequest { subject, created_by, metadata, ..new_key(name) }).await;
    }
    let all = ListApiKeysRequest::default;
    assert_eq!(names(&mut admin, all()).await, ["other", "strasse_2", "Straße 100%"], "newest first");
    let by_subject = ListApiKeysRequest { subject: "user_1".into(), ..all() };
    assert_eq!(names(&mut admin, by_subject).await, ["other", "Straße 100%"]);
    let by_creator = ListApiKeysRequest { created_by: "ops".into(), subject: "user_1".into(), ..all() };
    assert_eq!(names(&mut admin, by_creator).await, ["Straße 100%"]);
    for (query, expect) in [
        ("STRASSE", vec!["strasse_2", "Straße 100%"]),
        ("%", vec!["Straße 100%"]),
        ("_", vec!["strasse_2"]),
        ("0%", vec!["Straße 100%"]),
        ("\\", vec![]),
        ("OTHER", vec!["other"]),
    ] {
        let by_name = ListApiKeysRequest { query: query.into(), ..all() };
        assert_eq!(names(&mut admin, by_name).await, expect, "{query}");
    }
    for (wanted, expect) in [
        (labels(&[("team", "a")]), vec!["strasse_2", "Straße 100%"]),
        (labels(&[("team", "a"), ("env", "prod")]), vec!["Straße 100%"]),
        (labels(&[("team", "a"), ("env", "dev")]), vec![]),
        (labels(&[("env", "")]), vec![]),
    ] {
        let by_label = ListApiKeysRequest { metadata: wanted, ..all() };
        assert_eq!(names(&mut admin, by_label).await, expect);
    }
    let elsewhere = ListApiKeysRequest { keyspace: "never-made".into(), ..all() };
    check_error(admin.keys.list_api_keys(elsewhere).await, Code::NotFound, ErrorReason::KeyspaceNotFound);
    service.stop().await;
}

async fn only_what_verifies_unless_asked(backend: Backend) {
    let clock = ManualClock::new(SystemClock.now());
    let service = Service::start_with(backend, Arc::new(clock.clone())).await;
    let mut admin = service.admin();
    admin.create(new_key("active")).await;
    let (revoked, _) = admin.create(new_key("revoked")).await;
    admin.revoke(&revoked.id).await;
    let (disabled, _) = admin.create(new_key("disabled")).await;
    let off = pb::ApiKey { id: disabled.id, ..Default::default() };
    admin.update(off, &["enabled"]).await.unwrap();
    let ttl = Expiration::Ttl(prost_types::Duration { seconds: 60, nanos: 0 });
    admin.create(CreateApiKeyRequest { expiration: Some(ttl), ..new_key("expiring") }).await;
    assert_eq!(names(&mut admin, ListApiKeysRequest::default()).await, ["expiring", "active"]);
    clock.advance(Duration::from_mins(1));
    assert_eq!(names(&mut admin, ListApiKeysRequest::default()).await, ["active"]);
    let all = ListApiKeysRequest { include_invalid: true, ..Default::default() };
    assert_eq!(names(&mut admin, all).await, ["expiring", "disabled", "revoked", "active"]);
    service.stop().await;
}

async fn pages_lose_and_repeat_nothing(backend: Backend) {
    // A clock that stands still makes every key in the same microsecond.
    let service = Service::start_with(backend, Arc::new(ManualClock::new(SystemClock.now()))).await;
    let mut admin = service.admin();
    let mut made = Vec::new();
    for n in 0..23 {
        made.push(admin.create(new_key(&format!("k{n}"))).await.0.id);
    }
    made.reverse();
    let mut seen = Vec::new();
    let mut request = ListApiKeysRequest { page_size: 5, ..Default::default() };
    loop {
        let page = admin.keys.list_api_keys(request.clone()).await.unwrap().into_inner();
        seen.extend(page.api_keys.iter().map(|key| key.id.clone()));
        // What is made and deleted meanwhile must not shift the rest.
        let (newer, _) = admin.create(new_key("newer")).await;
        admin
            .keys
            .delete_api_key(pb::DeleteApiKeyRequest { id: seen[seen.len() - 1].clone(), ..Default::default() })
            .await
            .unwrap();
        assert!(!made.contains(&newer.id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(seen, made);

    let skipped = ListApiKeysRequest { skip: 3, page_size: 2, include_invalid: true, ..Default::default() };
    let all = ListApiKeysRequest { include_invalid: true, ..Default::default() };
    let all = admin.keys.list_api_keys(all).await.unwrap().into_inner().api_keys;
    let page = admin.keys.list_api_keys(skipped.clone()).await.unwrap().into_inner();
    assert_eq!(page.api_keys, all[3..5]);
    assert_eq!(page.total_size, i64::try_from(all.len()).unwrap());
    let next = ListApiKeysRequest { page_token: page.next_page_token, ..skipped };
    assert_eq!(admin.keys.list_api_keys(next).await.unwrap().into_inner().api_keys, all[8..10]);
    service.stop().await;
}

async fn a_page_token_is_good_for_its_own_query(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    for _ in 0..3 {
        admin.create(new_key("k")).await;
    }
    let request = ListApiKeysRequest { page_size: 1, subject: "user_1".into(), ..Default::default() };
    let token = admin.keys.list_api_keys(request.clone()).await.unwrap().into_inner().next_page_token;
    let with = |change: &dyn Fn(&mut ListApiKeysRequest)| {
        let mut request = ListApiKeysRequest { page_token: token.clone(), ..request.clone() };
        change(&mut request);
        request
    };
    // Another size is the same query.
    admin.keys.list_api_keys(with(&|r| r.page_size = 2)).await.unwrap();
    let others: [&dyn Fn(&mut ListApiKeysRequest); 8] = [
        &|r| r.subject = "user_2".into(),
        &|r| r.include_invalid = true,
        &|r| r.query = "k".into(),
        &|r| r.created_by = "x".into(),
        &|r| r.metadata = [("a".to_owned(), "b".to_owned())].into(),
        &|r| r.unused_since = Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
        &|r| r.page_token.insert(3, 'A'),
        &|r| r.page_token = r.page_token.chars().rev().collect(),
    ];
    for (at, change) in others.iter().enumerate() {
        let refused = admin.keys.list_api_keys(with(change)).await;
        assert_eq!(bad_fields(refused), ["page_token"], "change {at}");
    }
    service.stop().await;
}

async fn sizes_are_clamped_or_refused(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    for n in 0..51 {
        admin.create(new_key(&format!("k{n}"))).await;
    }
    let mut count = async |page_size: i32| {
        let request = ListApiKeysRequest { page_size, ..Default::default() };
        admin.keys.list_api_keys(request).await.unwrap().into_inner().api_keys.len()
    };
    assert_eq!((count(0).await, count(1).await, count(i32::MAX).await), (50, 1, 51));
    let bad = ListApiKeysRequest {
        page_size: -1,
        skip: -1,
        page_token: "rubbish".into(),
        query: "x".repeat(101),
        ..Default::default()
    };
    assert_eq!(bad_fields(admin.keys.list_api_keys(bad).await), ["query", "page_size", "skip", "page_token"]);
    let far = |skip: i32| ListApiKeysRequest { skip, ..Default::default() };
    assert!(admin.keys.list_api_keys(far(10_000)).await.unwrap().into_inner().api_keys.is_empty());
    let refused = admin.keys.list_api_keys(far(10_001)).await;
    assert!(refused.as_ref().unwrap_err().message().contains("page_token"), "{refused:?}");
    assert_eq!(bad_fields(refused), ["skip"]);
    service.stop().await;
}

async fn unused_keys_are_found(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (used, secret) = admin.create(new_key("used")).await;
    let (unused, _) = admin.create(new_key("unused")).await;
    let made = unused.create_time.unwrap();
    let since = Some(prost_types::Timestamp { nanos: made.nanos.saturating_add(1_000).min(999_999_999), ..made });
    assert!(admin.verify(&secret).await.valid);
    eventually("the last use", async || service.admin().get(&used.id).await.unwrap().last_use_time).await;
    let request = ListApiKeysRequest { unused_since: since, ..Default::default() };
    assert_eq!(names(&mut admin, request).await, ["unused"]);
    let request = ListApiKeysRequest { unused_since: Some(made), ..Default::default() };
    assert_eq!(names(&mut admin, request).await, [""; 0], "made at that time");
    service.stop().await;
}

/// Lists wait for a lock until they take too long; nobody else waits with them.
#[tokio::test]
async fn lists_that_take_too_long_hold_up_lists_alone() {
    let service = Service::start(Backend::Postgres).await;
    let mut admin = service.admin();
    let mut secrets = Vec::new();
    for n in 0..5 {
        secrets.push(admin.create(new_key(&format!("k{n}"))).await.1);
    }
    let mut locker = PgConnection::connect(service.database_url()).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE audit_event IN ACCESS EXCLUSIVE MODE").execute(&mut locker).await.unwrap();
    let lists: Vec<_> = (0..40)
        .map(|_| {
            let mut admin = service.admin();
            tokio::spawn(async move { admin.audit.list_audit_events(pb::ListAuditEventsRequest::default()).await })
        })
        .collect();
    let other_lists: Vec<_> = (0..40)
        .map(|_| {
            let mut admin = service.admin();
            let request = pb::ListAuditEventsRequest { keyspace: "default".into(), ..Default::default() };
            tokio::spawn(async move { admin.audit.list_audit_events(request).await })
        })
        .collect();
    eventually("lists that wait for the lock", async || {
        let waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'audit_event'::regclass AND NOT granted";
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&mut locker).await.unwrap();
        (waiting >= 4).then_some(())
    })
    .await;
    // None of them is known yet: each is looked up.
    for secret in &secrets {
        assert!(admin.verify(secret).await.valid);
    }
    let mut reasons = Vec::new();
    for list in lists.into_iter().chain(other_lists) {
        let status = list.await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        let reason = details(&status).error_info().unwrap().reason.clone();
        assert_eq!(details(&status).retry_info().is_some(), reason == "ERROR_REASON_LISTS_BUSY", "{status:?}");
        reasons.push(reason);
    }
    reasons.sort();
    reasons.dedup();
    assert_eq!(reasons, ["ERROR_REASON_LISTS_BUSY", "ERROR_REASON_LIST_TOO_SLOW"]);
    sqlx::raw_sql("ROLLBACK").execute(&mut locker).await.unwrap();
    admin.audit.list_audit_events(pb::ListAuditEventsRequest::default()).await.unwrap();
    service.stop().await;
}
