//! Usage: every verification of a key counts once, and is told to whom it may be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::{Clock as _, ManualClock, Timestamp};
use portcullis::config::Flags;
use portcullis::grpc::pb::{
    self, CreateApiKeyRequest, DeleteApiKeyRequest, ErrorReason, QueryUsageRequest, UsageGranularity, UsageGroup,
    Verdict, VerifyRequest,
};
use tonic::Code;

use super::{Backend, over_both_stores};
use crate::support::service::{Caller, Service, bad_fields, check_error, eventually, new_key};

over_both_stores![
    every_verdict_counts_by_its_name,
    usage_is_told_by_hour_and_day,
    usage_is_told_by_key_subject_and_keyspace,
    pages_together_are_all,
    who_may_not_read_usage_learns_nothing,
    what_makes_no_sense_is_refused,
    what_is_counted_outlives_the_end,
    a_deleted_key_leaves_its_keyspaces_sum,
    a_last_use_is_seen_soon,
    a_clock_that_steps_back_counts_on,
];

/// 2026-11-22T13:30:00Z.
const NOW: Timestamp = Timestamp::from_micros(1_795_354_200_000_000);

async fn start(backend: Backend) -> (Service, ManualClock) {
    let clock = ManualClock::new(NOW);
    (Service::start_with(backend, Arc::new(clock.clone())).await, clock)
}

fn ask(group: UsageGroup, granularity: UsageGranularity) -> QueryUsageRequest {
    QueryUsageRequest { group_by: group.into(), granularity: granularity.into(), ..Default::default() }
}

fn total(group: UsageGroup) -> QueryUsageRequest {
    ask(group, UsageGranularity::Total)
}

/// The rows, of which each has its hours since 1970, its group, its verifications, and its keys made.
async fn told(caller: &mut Caller, asked: QueryUsageRequest) -> Vec<(i64, String, i64, i64)> {
    let answer = caller.usage.query_usage(asked).await.expect("an answer").into_inner();
    let rows = answer.rows.into_iter().map(|row| {
        let hour = row.time.expect("a time").seconds / 3_600;
        (hour, row.group, row.counts.iter().map(|one| one.count).sum(), row.keys_created)
    });
    rows.collect()
}

/// Waits until so many verifications are told of all keyspaces, and never more.
async fn until_told(caller: &mut Caller, many: i64) {
    eventually("what was counted", async || {
        let sum: i64 = told(caller, total(UsageGroup::Keyspace)).await.iter().map(|row| row.2).sum();
        assert!(sum <= many, "{sum}");
        (sum == many).then_some(())
    })
    .await;
}

async fn use_up(caller: &mut Caller, secret: &str, times: usize) {
    for _ in 0..times {
        caller.verify(secret).await;
    }
}

async fn every_verdict_counts_by_its_name(backend: Backend) {
    let (service, clock) = start(backend).await;
    let mut admin = service.admin();
    let window = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let request = CreateApiKeyRequest {
        allowed_cidrs: vec!["10.0.0.0/8".into()],
        rate_limit: Some(pb::RateLimit { limit: 4, window, ..Default::default() }),
        credits: Some(pb::Credits { remaining: Some(3), ..Default::default() }),
        ..new_key("k")
    };
    let (key, secret) = admin.create(request).await;
    let asked = VerifyRequest { key: secret.clone(), client_ip: "10.0.0.1".into(), ..Default::default() };
    let verdicts = async |caller: &mut Caller, asked: &VerifyRequest, times: usize, expect: Verdict| {
        for _ in 0..times {
            assert_eq!(caller.verify_of(asked.clone()).await.verdict(), expect);
        }
    };
    verdicts(&mut admin, &asked, 3, Verdict::Valid).await;
    verdicts(&mut admin, &asked, 2, Verdict::CreditsExhausted).await;
    let free = VerifyRequest { cost: Some(0), ..asked.clone() };
    verdicts(&mut admin, &free, 1, Verdict::Valid).await;
    verdicts(&mut admin, &free, 4, Verdict::RateLimited).await;
    let from_elsewhere = VerifyRequest { client_ip: String::new(), ..asked.clone() };
    verdicts(&mut admin, &from_elsewhere, 5, Verdict::IpNotAllowed).await;
    let more = VerifyRequest { required_scopes: vec!["x".into()], ..asked.clone() };
    verdicts(&mut admin, &more, 6, Verdict::InsufficientScope).await;
    let off = pb::ApiKey { id: key.id.clone(), enabled: false, ..Default::default() };
    admin.update(off, &["enabled"]).await.unwrap();
    verdicts(&mut admin, &asked, 7, Verdict::Disabled).await;
    admin.revoke(&key.id).await;
    verdicts(&mut admin, &asked, 8, Verdict::Revoked).await;
    // Those that are nobody's, and looks into a key.
    for rubbish in ["", "rubbish"] {
        assert_eq!(admin.verify(rubbish).await.verdict(), Verdict::Malformed);
    }
    let looked = pb::VerifyApiKeyRequest { key: secret, ..Default::default() };
    admin.keys.verify_api_key(looked).await.unwrap();
    // In a batch too, and in a stream it is the same way.
    let requests = vec![asked; 9];
    admin.verification.batch_verify(pb::BatchVerifyRequest { requests }).await.unwrap();
    until_told(&mut admin, 45).await;
    let answer = admin.usage.query_usage(QueryUsageRequest { key_id: key.id, ..Default::default() }).await.unwrap();
    let rows = answer.into_inner().rows;
    let counts: BTreeMap<_, _> = rows[0].counts.iter().map(|one| (one.verdict(), one.count)).collect();
    let expect = [
        (Verdict::Valid, 4),
        (Verdict::Revoked, 17),
        (Verdict::Disabled, 7),
        (Verdict::IpNotAllowed, 5),
        (Verdict::InsufficientScope, 6),
        (Verdict::RateLimited, 4),
        (Verdict::CreditsExhausted, 2),
    ];
    assert_eq!(counts, expect.into());
    assert_eq!((rows.len(), rows[0].keys_created, rows[0].group.as_str()), (1, 1, "default"));
    // 45 × 0.0001 and 1 × 0.001.
    assert_eq!(rows[0].estimated_cost, "0.0055");
    drop(clock);
}

async fn usage_is_told_by_hour_and_day(backend: Backend) {
    let (service, clock) = start(backend).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(new_key("k")).await;
    let first = NOW.as_micros() / 3_600_000_000;
    let mut sum = 0;
    for (hours, times) in [(0, 2), (1, 3), (24, 4), (48, 5)] {
        clock.set(NOW.saturating_add(Duration::from_hours(hours)));
        use_up(&mut admin, &secret, times).await;
        sum += i64::try_from(times).unwrap();
        until_told(&mut admin, sum).await;
    }
    let of_key = |granularity| QueryUsageRequest { key_id: key.id.clone(), ..ask(UsageGroup::Key, granularity) };
    let hours = told(&mut admin, of_key(UsageGranularity::Hour)).await;
    let expect = [(first, 2, 1), (first + 1, 3, 0), (first + 24, 4, 0), (first + 48, 5, 0)];
    assert_eq!(hours, expect.map(|(hour, many, made)| (hour, key.id.clone(), many, made)));
    let midnight = first - first.rem_euclid(24);
    let days = told(&mut admin, of_key(UsageGranularity::Day)).await;
    let expect = [(midnight, 5, 1), (midnight + 24, 4, 0), (midnight + 48, 5, 0)];
    assert_eq!(days, expect.map(|(hour, many, made)| (hour, key.id.clone(), many, made)));
    // The hour of the start counts, and that of the end unless it is its very beginning.
    let at = |hours: i64, micros: i64| {
        let micros = (first + hours) * 3_600_000_000 + micros;
        Some(prost_types::Timestamp {
            seconds: micros.div_euclid(1_000_000),
            nanos: i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap(),
        })
    };
    for (start_time, end_time, expect) in [
        (at(0, 1_000_000), at(1, 0), 2),
        (at(0, 3_599_999_999), at(1, 1), 5),
        (at(1, 0), at(24, 0), 3),
        (at(1, 0), at(24, 1), 7),
        (at(-1_000_000, 0), at(1_000_000, 0), 14),
    ] {
        let asked = QueryUsageRequest { start_time, end_time, ..of_key(UsageGranularity::Total) };
        let rows = told(&mut admin, asked).await;
        assert_eq!(rows.iter().map(|row| row.2).sum::<i64>(), expect, "{start_time:?} {end_time:?}");
    }
}

async fn usage_is_told_by_key_subject_and_keyspace(backend: Backend) {
    let (service, _clock) = start(backend).await;
    let mut admin = service.admin();
    admin.create_keyspace("other").await;
    let of = |keyspace: &str, subject: &str| CreateApiKeyRequest {
        keyspace: keyspace.into(),
        subject: subject.into(),
        ..new_key("k")
    };
    let mut keys = Vec::new();
    for (keyspace, subject, times) in
        [("default", "user_1", 1), ("default", "user_1", 2), ("default", "user_2", 4), ("other", "user_1", 8)]
    {
        let (key, secret) = admin.create(of(keyspace, subject)).await;
        use_up(&mut admin, &secret, times).await;
        keys.push(key.id);
    }
    until_told(&mut admin, 15).await;
    let mut groups = async |asked: QueryUsageRequest| {
        let rows = told(&mut admin, asked).await;
        rows.into_iter().map(|(_, group, many, made)| (group, many, made)).collect::<Vec<_>>()
    };
    let row = |group: &str, many, made| (group.to_owned(), many, made);
    assert_eq!(groups(total(UsageGroup::Keyspace)).await, [row("default", 7, 3), row("other", 8, 1)]);
    assert_eq!(groups(total(UsageGroup::Subject)).await, [row("user_1", 3, 2), row("user_2", 4, 1)]);
    let expect = [row(&keys[0], 1, 1), row(&keys[1], 2, 1), row(&keys[2], 4, 1)];
    assert_eq!(groups(total(UsageGroup::Key)).await, expect);
    let of_user = |group| QueryUsageRequest { subject: "user_1".into(), ..total(group) };
    assert_eq!(groups(of_user(UsageGroup::Key)).await, expect[..2]);
    assert_eq!(groups(of_user(UsageGroup::Subject)).await, [row("user_1", 3, 2)]);
    assert_eq!(groups(of_user(UsageGroup::Keyspace)).await, [row("default", 3, 2)]);
    let elsewhere = |group| QueryUsageRequest { keyspace: "other".into(), ..total(group) };
    assert_eq!(groups(elsewhere(UsageGroup::Keyspace)).await, [row("other", 8, 1)]);
    assert_eq!(groups(elsewhere(UsageGroup::Subject)).await, [row("user_1", 8, 1)]);
    let of_key = |group| QueryUsageRequest { key_id: keys[3].clone(), ..total(group) };
    assert_eq!(groups(of_key(UsageGroup::Subject)).await, [row("user_1", 8, 1)]);
    assert_eq!(groups(of_key(UsageGroup::Keyspace)).await, [row("other", 8, 1)]);
}

async fn pages_together_are_all(backend: Backend) {
    let (service, clock) = start(backend).await;
    let mut admin = service.admin();
    for _ in 0..7 {
        let (_, secret) = admin.create(new_key("k")).await;
        use_up(&mut admin, &secret, 1).await;
    }
    until_told(&mut admin, 7).await;
    let now = clock.now().saturating_add(Duration::from_secs(1));
    let end_time = Some(prost_types::Timestamp { seconds: now.as_micros() / 1_000_000, nanos: 0 });
    let asked = QueryUsageRequest { end_time, page_size: 3, ..ask(UsageGroup::Key, UsageGranularity::Hour) };
    let (mut sizes, mut groups, mut page_token) = (Vec::new(), Vec::new(), String::new());
    loop {
        let asked = QueryUsageRequest { page_token, ..asked.clone() };
        let page = admin.usage.query_usage(asked).await.unwrap().into_inner();
        sizes.push(page.rows.len());
        groups.extend(page.rows.into_iter().map(|row| row.group));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(groups.len(), 7, "{sizes:?}");
    assert!(groups.is_sorted_by(|a, b| a < b) && sizes.iter().all(|size| *size <= 3), "{sizes:?}");
    let page = admin.usage.query_usage(asked.clone()).await.unwrap().into_inner();
    let another = QueryUsageRequest { page_token: page.next_page_token, subject: "user_1".into(), ..asked };
    assert_eq!(bad_fields(admin.usage.query_usage(another).await), ["page_token"]);
}

async fn who_may_not_read_usage_learns_nothing(backend: Backend) {
    let (service, _clock) = start(backend).await;
    let mut admin = service.admin();
    admin.create_keyspace("other").await;
    let (key, secret) = admin.create(new_key("k")).await;
    use_up(&mut admin, &secret, 3).await;
    until_told(&mut admin, 3).await;
    let mut stranger = service.caller_with(&["keys:read", "keys:verify"]).await;
    let denied = stranger.usage.query_usage(QueryUsageRequest::default()).await;
    check_error(denied, Code::PermissionDenied, ErrorReason::PermissionMissing);
    let mut elsewhere = service.caller_with(&["usage:read@other"]).await;
    assert_eq!(told(&mut elsewhere, total(UsageGroup::Keyspace)).await, []);
    let of_key = QueryUsageRequest { key_id: key.id, ..Default::default() };
    check_error(elsewhere.usage.query_usage(of_key.clone()).await, Code::NotFound, ErrorReason::KeyNotFound);
    let by_name = QueryUsageRequest { keyspace: "default".into(), ..Default::default() };
    let denied = elsewhere.usage.query_usage(by_name.clone()).await;
    check_error(denied, Code::PermissionDenied, ErrorReason::PermissionMissing);
    let unnamed = elsewhere.usage.query_usage(total(UsageGroup::Key)).await;
    check_error(unnamed, Code::PermissionDenied, ErrorReason::PermissionMissing);
    let mut reader = service.caller_with(&["usage:read@default"]).await;
    assert_eq!(told(&mut reader, by_name).await.len(), 1);
    assert_eq!(told(&mut reader, of_key).await.len(), 1);
}

async fn what_makes_no_sense_is_refused(backend: Backend) {
    let (service, _clock) = start(backend).await;
    let mut admin = service.admin();
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    for (asked, fields) in [
        (QueryUsageRequest { start_time: at(10), end_time: at(5), ..Default::default() }, &["end_time"][..]),
        (QueryUsageRequest { start_time: at(5), end_time: at(5), ..Default::default() }, &["end_time"]),
        (QueryUsageRequest { keyspace: "NO".into(), ..Default::default() }, &["keyspace"]),
        (QueryUsageRequest { subject: "a b".into(), ..Default::default() }, &["subject"]),
        (QueryUsageRequest { granularity: 9, group_by: 9, ..Default::default() }, &["granularity", "group_by"]),
        (QueryUsageRequest { page_size: -1, ..Default::default() }, &["page_size"]),
        (QueryUsageRequest { page_token: "x".into(), ..Default::default() }, &["page_token"]),
    ] {
        assert_eq!(bad_fields(admin.usage.query_usage(asked.clone()).await), fields, "{asked:?}");
    }
    // As much as there is, of however long a time.
    for (start, end) in [(-62_135_596_800, 253_402_300_799), (i64::MIN, i64::MAX)] {
        let asked = QueryUsageRequest { start_time: at(start), end_time: at(end), ..Default::default() };
        assert_eq!(told(&mut admin, asked).await, []);
    }
    let unknown = QueryUsageRequest { key_id: "key_none".into(), ..Default::default() };
    check_error(admin.usage.query_usage(unknown).await, Code::NotFound, ErrorReason::KeyNotFound);
    let unknown = QueryUsageRequest { keyspace: "none".into(), ..total(UsageGroup::Key) };
    check_error(admin.usage.query_usage(unknown).await, Code::NotFound, ErrorReason::KeyspaceNotFound);
}

async fn what_is_counted_outlives_the_end(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(new_key("k")).await;
    use_up(&mut admin, &secret, 300).await;
    let root_key = service.root_key.clone();
    let service = Service::start_over(service.stop_and_keep().await, Some(root_key)).await;
    let mut admin = service.admin();
    let rows = told(&mut admin, total(UsageGroup::Key)).await;
    assert_eq!(
        rows.iter().map(|(_, group, many, made)| (group.clone(), *many, *made)).collect::<Vec<_>>(),
        [(key.id.clone(), 300, 1)]
    );
    assert!(admin.get(&key.id).await.unwrap().last_use_time.is_some());
}

async fn a_deleted_key_leaves_its_keyspaces_sum(backend: Backend) {
    let (service, _clock) = start(backend).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(new_key("k")).await;
    use_up(&mut admin, &secret, 3).await;
    until_told(&mut admin, 3).await;
    admin.keys.delete_api_key(DeleteApiKeyRequest { id: key.id, ..Default::default() }).await.unwrap();
    assert_eq!(told(&mut admin, total(UsageGroup::Key)).await, []);
    assert_eq!(told(&mut admin, total(UsageGroup::Keyspace)).await[0].2, 3);
}

async fn a_last_use_is_seen_soon(backend: Backend) {
    let (service, clock) = start(backend).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(new_key("k")).await;
    assert_eq!(admin.get(&key.id).await.unwrap().last_use_time, None);
    for minute in 1..4 {
        let at = NOW.saturating_add(Duration::from_mins(minute));
        clock.set(at);
        assert!(admin.verify(&secret).await.valid);
        let last = eventually("the last use", async || {
            let last = admin.get(&key.id).await.unwrap().last_use_time?;
            (last.seconds == at.as_micros() / 1_000_000).then_some(last)
        });
        last.await;
    }
    // What is refused is no use.
    clock.advance(Duration::from_mins(1));
    let asked = VerifyRequest { key: secret, required_scopes: vec!["x".into()], ..Default::default() };
    assert!(!admin.verify_of(asked).await.valid);
    until_told(&mut admin, 4).await;
    let last = admin.get(&key.id).await.unwrap().last_use_time.unwrap();
    assert_eq!(last.seconds, NOW.saturating_add(Duration::from_mins(3)).as_micros() / 1_000_000);
}

async fn a_clock_that_steps_back_counts_on(backend: Backend) {
    let (service, clock) = start(backend).await;
    let mut admin = service.admin();
    let (_, secret) = admin.create(new_key("k")).await;
    use_up(&mut admin, &secret, 2).await;
    until_told(&mut admin, 2).await;
    clock.set(NOW.saturating_sub(Duration::from_hours(1)));
    use_up(&mut admin, &secret, 3).await;
    clock.set(NOW.saturating_add(Duration::from_mins(1)));
    use_up(&mut admin, &secret, 4).await;
    until_told(&mut admin, 9).await;
    let hours = told(&mut admin, ask(UsageGroup::Keyspace, UsageGranularity::Hour)).await;
    assert!(hours.iter().all(|row| row.2 > 0) && hours.len() <= 2, "{hours:?}");
}

/// By three processes that share a store, while all of them are asked.
#[tokio::test]
async fn processes_add_up() {
    let first = Service::start(Backend::Postgres).await;
    let others = [first.start_beside(Flags::default()).await, first.start_beside(Flags::default()).await];
    let (_, secret) = first.admin().create(new_key("k")).await;
    let tasks = others.iter().chain([&first]).map(|service| {
        let (mut caller, secret) = (service.admin(), secret.clone());
        tokio::spawn(async move { use_up(&mut caller, &secret, 500).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    until_told(&mut first.admin(), 1_500).await;
}

#[tokio::test]
async fn prices_are_those_of_the_settings() {
    let flags = Flags {
        rate_card_key_created: Some("2.50".into()),
        rate_card_verification: Some("0.000000001".into()),
        ..Flags::default()
    };
    let service = Service::start_set(Backend::Sqlite, flags).await;
    let mut admin = service.admin();
    let (_, secret) = admin.create(new_key("k")).await;
    use_up(&mut admin, &secret, 3).await;
    until_told(&mut admin, 3).await;
    let answer = admin.usage.query_usage(total(UsageGroup::Keyspace)).await.unwrap().into_inner();
    assert_eq!(answer.rows[0].estimated_cost, "2.500000003");
}
