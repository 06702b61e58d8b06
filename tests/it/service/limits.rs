//! Rate limits, and from where keys may be used.

use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::{Clock as _, ManualClock, SystemClock};
use portcullis::grpc::pb::{
    self, CreateApiKeyRequest, RateLimit, RateLimitStatus, RotateApiKeyRequest, Verdict, VerifyApiKeyRequest,
    VerifyRequest,
};

use super::{Backend, over_both_stores};
use crate::support::service::{Caller, Service, bad_fields, eventually, new_key};

over_both_stores![
    a_limit_holds_and_tells_what_is_left,
    all_of_several_limits_hold,
    what_is_refused_takes_nothing,
    a_rotation_shares_one_limit,
    a_keyspace_limits_keys_that_have_no_limit,
    a_change_of_a_limit_keeps_what_was_spent,
    a_long_window_outlives_a_restart,
    a_clock_that_is_set_changes_nothing,
    a_network_lets_in_whom_it_holds,
    what_is_no_limit_is_refused,
    what_is_no_network_is_refused,
    root_keys_have_no_limits,
];

fn limit(limit: i64, secs: i64) -> RateLimit {
    let window = Some(prost_types::Duration { seconds: secs, nanos: 0 });
    RateLimit { limit, window, ..Default::default() }
}

fn named(name: &str, of: RateLimit) -> RateLimit {
    RateLimit { name: name.into(), ..of }
}

fn limited(by: RateLimit) -> CreateApiKeyRequest {
    CreateApiKeyRequest { rate_limit: Some(by), ..new_key("limited") }
}

async fn verdict(caller: &mut Caller, secret: &str) -> Verdict {
    caller.verify(secret).await.verdict()
}

/// How many verifications are accepted before one is refused as too many.
async fn accepted(caller: &mut Caller, secret: &str) -> u32 {
    let mut many = 0;
    loop {
        match verdict(caller, secret).await {
            Verdict::Valid => many += 1,
            Verdict::RateLimited => return many,
            other => panic!("{other:?}"),
        }
    }
}

async fn start(backend: Backend) -> (Service, ManualClock) {
    let clock = ManualClock::new(SystemClock.now());
    (Service::start_with(backend, Arc::new(clock.clone())).await, clock)
}

async fn a_limit_holds_and_tells_what_is_left(backend: Backend) {
    let (service, clock) = start(backend).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(limited(RateLimit { burst: 3, ..limit(60, 60) })).await;
    assert_eq!(key.rate_limit, Some(RateLimit { burst: 3, ..limit(60, 60) }));
    let now = clock.now().as_micros();
    let at = |micros: i64| {
        let at = now + micros;
        Some(prost_types::Timestamp {
            seconds: at.div_euclid(1_000_000),
            nanos: i32::try_from(at.rem_euclid(1_000_000) * 1_000).unwrap(),
        })
    };
    for left in [2, 1, 0] {
        let answer = admin.verify(&secret).await;
        let reset_time = at((3 - left) * 1_000_000);
        let expect = RateLimitStatus { limit: 60, remaining: left, reset_time, ..Default::default() };
        assert!(answer.valid, "{answer:?}");
        assert_eq!(RateLimitStatus { retry_time: None, ..answer.rate_limit.unwrap() }, expect);
    }
    let refused = admin.verify(&secret).await;
    assert_eq!((refused.verdict(), refused.valid), (Verdict::RateLimited, false));
    assert_eq!((refused.key_id.as_str(), refused.subject.as_str()), (key.id.as_str(), "user_1"));
    assert!(refused.scopes.is_empty() && refused.claims.is_none());
    let expect =
        RateLimitStatus { limit: 60, reset_time: at(3_000_000), retry_time: at(1_000_000), ..Default::default() };
    assert_eq!(refused.rate_limit, Some(expect));
    // Looking into it says the same and takes nothing.
    let request = VerifyApiKeyRequest { key: secret.clone(), ..Default::default() };
    let looked = admin.keys.verify_api_key(request.clone()).await.unwrap().into_inner();
    assert_eq!(looked.verdict(), Verdict::RateLimited);
    clock.advance(Duration::from_millis(999));
    assert_eq!(verdict(&mut admin, &secret).await, Verdict::RateLimited);
    clock.advance(Duration::from_millis(1));
    assert_eq!(admin.keys.verify_api_key(request).await.unwrap().into_inner().verdict(), Verdict::Valid);
    assert_eq!(accepted(&mut admin, &secret).await, 1);
    clock.advance(Duration::from_hours(1));
    assert_eq!(accepted(&mut admin, &secret).await, 3);
}

async fn all_of_several_limits_hold(backend: Backend) {
    let (service, clock) = start(backend).await;
    let mut admin = service.admin();
    let both = RateLimit { also: vec![named("daily", limit(5, 86_400))], ..named("fast", limit(2, 1)) };
    let (_, secret) = admin.create(limited(both)).await;
    assert_eq!(admin.verify(&secret).await.rate_limit.unwrap().name, "fast");
    assert_eq!(accepted(&mut admin, &secret).await, 1);
    clock.advance(Duration::from_secs(1));
    assert_eq!(accepted(&mut admin, &secret).await, 2);
    clock.advance(Duration::from_secs(1));
    // One is left of the day, two of the second.
    assert_eq!(admin.verify(&secret).await.rate_limit.unwrap().name, "daily");
    let refused = admin.verify(&secret).await;
    assert_eq!(refused.verdict(), Verdict::RateLimited);
    assert_eq!(refused.rate_limit.unwrap().name, "daily");
}

async fn what_is_refused_takes_nothing(backend: Backend) {
    let (service, _) = start(backend).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(limited(limit(3, 60))).await;
    for _ in 0..5 {
        let asked = VerifyRequest { key: secret.clone(), required_scopes: vec!["none".into()], ..Default::default() };
        assert_eq!(admin.verify_of(asked).await.verdict(), Verdict::InsufficientScope);
    }
    let off = pb::ApiKey { id: key.id.clone(), enabled: false, ..Default::default() };
    admin.update(off, &["enabled"]).await.unwrap();
    assert_eq!(verdict(&mut admin, &secret).await, Verdict::Disabled);
    let on = pb::ApiKey { id: key.id, enabled: true, ..Default::default() };
    admin.update(on, &["enabled"]).await.unwrap();
    assert_eq!(accepted(&mut admin, &secret).await, 3);
}

async fn a_rotation_shares_one_limit(backend: Backend) {
    let (service, _) = start(backend).await;
    let mut admin = service.admin();
    let (key, old) = admin.create(limited(limit(4, 3_600))).await;
    assert_eq!(verdict(&mut admin, &old).await, Verdict::Valid);
    let overlap = Some(prost_types::Duration { seconds: 3_600, nanos: 0 });
    let rotated = admin
        .keys
        .rotate_api_key(RotateApiKeyRequest { id: key.id, overlap, ..Default::default() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(verdict(&mut admin, &rotated.secret).await, Verdict::Valid);
    assert_eq!(verdict(&mut admin, &old).await, Verdict::Valid);
    assert_eq!(accepted(&mut admin, &rotated.secret).await, 1);
    assert_eq!(verdict(&mut admin, &old).await, Verdict::RateLimited);
}

async fn a_keyspace_limits_keys_that_have_no_limit(backend: Backend) {
    let (service, _) = start(backend).await;
    let mut admin = service.admin();
    let (_, free) = admin.create(new_key("free")).await;
    let (_, own) = admin.create(limited(limit(4, 60))).await;
    assert_eq!(admin.verify(&free).await.rate_limit, None);
    let set = |default_rate_limit| pb::UpdateKeyspaceRequest {
        keyspace: Some(pb::Keyspace { id: "default".into(), default_rate_limit, ..Default::default() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["default_rate_limit".into()] }),
    };
    let changed = admin.keyspaces.update_keyspace(set(Some(limit(2, 60)))).await.unwrap().into_inner();
    assert_eq!(changed.keyspace.unwrap().default_rate_limit, Some(RateLimit { burst: 2, ..limit(2, 60) }));
    assert_eq!(accepted(&mut admin, &free).await, 2);
    assert_eq!(accepted(&mut admin, &own).await, 4);
    admin.keyspaces.update_keyspace(set(None)).await.unwrap();
    assert_eq!(admin.verify(&free).await.rate_limit, None);
}

async fn a_change_of_a_limit_keeps_what_was_spent(backend: Backend) {
    let (service, _) = start(backend).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(limited(limit(10, 3_600))).await;
    for _ in 0..8 {
        assert_eq!(verdict(&mut admin, &secret).await, Verdict::Valid);
    }
    let set = |rate_limit| pb::ApiKey { id: key.id.clone(), rate_limit, ..Default::default() };
    admin.update(set(Some(limit(12, 3_600))), &["rate_limit"]).await.unwrap();
    assert_eq!(accepted(&mut admin, &secret).await, 4);
    admin.update(set(None), &["rate_limit"]).await.unwrap();
    assert_eq!(admin.verify(&secret).await.rate_limit, None);
}

async fn a_long_window_outlives_a_restart(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let both = RateLimit { also: vec![named("daily", limit(10, 86_400))], ..limit(1_000, 1) };
    let (_, secret) = admin.create(limited(both)).await;
    for _ in 0..7 {
        assert_eq!(verdict(&mut admin, &secret).await, Verdict::Valid);
    }
    let root_key = service.root_key.clone();
    let service = Service::start_over(service.stop_and_keep().await, Some(root_key)).await;
    assert_eq!(accepted(&mut service.admin(), &secret).await, 3);
}

async fn a_clock_that_is_set_changes_nothing(backend: Backend) {
    let (service, clock) = start(backend).await;
    let mut admin = service.admin();
    let both = RateLimit { also: vec![named("daily", limit(20, 86_400))], ..limit(5, 1) };
    let (_, secret) = admin.create(limited(both)).await;
    assert_eq!(accepted(&mut admin, &secret).await, 5);
    let now = clock.now();
    for set in [now.saturating_sub(Duration::from_hours(1)), now.saturating_add(Duration::from_hours(1)), now] {
        clock.set(set);
        assert_eq!(verdict(&mut admin, &secret).await, Verdict::RateLimited);
    }
    clock.set(now.saturating_sub(Duration::from_hours(1)));
    clock.advance(Duration::from_secs(1));
    assert_eq!(accepted(&mut admin, &secret).await, 5);
}

async fn a_network_lets_in_whom_it_holds(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let cidrs = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let allowed_cidrs = cidrs(&["10.0.0.0/8", "2001:db8::/32", "192.0.2.7", "10.0.0.0/8", "::ffff:172.16.0.0/108"]);
    let request = CreateApiKeyRequest { allowed_cidrs, scopes: vec!["a".into()], ..new_key("k") };
    let (key, secret) = admin.create(request).await;
    assert_eq!(key.allowed_cidrs, ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7/32", "172.16.0.0/12"]);
    let from = |ip: &str, scope: &str| VerifyRequest {
        key: secret.clone(),
        client_ip: ip.into(),
        required_scopes: vec![scope.into()],
        ..Default::default()
    };
    for (ip, expect) in [
        ("10.1.2.3", Verdict::Valid),
        ("::ffff:10.1.2.3", Verdict::Valid),
        ("2001:db8::1", Verdict::Valid),
        ("192.0.2.7", Verdict::Valid),
        ("172.31.255.255", Verdict::Valid),
        ("192.0.2.8", Verdict::IpNotAllowed),
        ("2001:db9::1", Verdict::IpNotAllowed),
        ("::1", Verdict::IpNotAllowed),
        ("", Verdict::IpNotAllowed),
    ] {
        let answer = admin.verify_of(from(ip, "a")).await;
        assert_eq!(answer.verdict(), expect, "{ip}");
        if expect == Verdict::IpNotAllowed {
            assert_eq!((answer.key_id.as_str(), answer.scopes.len()), (key.id.as_str(), 0));
            // Before the scopes are looked at.
            assert_eq!(admin.verify_of(from(ip, "b")).await.verdict(), expect);
        }
    }
    for garbage in ["10.1.2.3:80", "localhost", "300.1.1.1", "fe80::1%eth0", " 10.1.2.3"] {
        let refused = admin.verification.verify(from(garbage, "a")).await;
        assert_eq!(bad_fields(refused), ["client_ip"], "{garbage}");
    }
    let none = pb::ApiKey { id: key.id, ..Default::default() };
    assert!(admin.update(none, &["allowed_cidrs"]).await.unwrap().allowed_cidrs.is_empty());
    assert_eq!(admin.verify_of(from("", "a")).await.verdict(), Verdict::Valid);
}

async fn what_is_no_limit_is_refused(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let also = |name: &str| named(name, limit(1, 60));
    for (bad, fields) in [
        (limit(0, 1), &["rate_limit.limit"][..]),
        (limit(-1, 1), &["rate_limit.limit"]),
        (limit(i64::MAX, 1), &["rate_limit.limit"]),
        (limit(1_000_001, 1), &["rate_limit.limit"]),
        (limit(1, 0), &["rate_limit.window"]),
        (limit(1, -1), &["rate_limit.window"]),
        (limit(1, i64::MAX), &["rate_limit.window"]),
        (RateLimit { window: None, ..limit(1, 1) }, &["rate_limit.window"]),
        (RateLimit { burst: -1, ..limit(1, 1) }, &["rate_limit.burst"]),
        (RateLimit { burst: i64::MAX, ..limit(1, 1) }, &["rate_limit.burst"]),
        (named("Bad name", limit(1, 1)), &["rate_limit.name"]),
        (RateLimit { also: vec![also("")], ..limit(1, 1) }, &["rate_limit.also[0].name"]),
        (RateLimit { also: vec![also("a"), also("a")], ..limit(1, 1) }, &["rate_limit.also[1].name"]),
        (RateLimit { also: vec![also("a")], ..named("a", limit(1, 1)) }, &["rate_limit.also[0].name"]),
        (RateLimit { also: vec![also("a"); 4], ..limit(1, 1) }, &["rate_limit.also"]),
        (
            RateLimit { also: vec![RateLimit { also: vec![also("b")], ..also("a") }], ..limit(1, 1) },
            &["rate_limit.also[0].also"],
        ),
    ] {
        let refused = admin.keys.create_api_key(limited(bad.clone())).await;
        assert_eq!(bad_fields(refused), fields, "{bad:?}");
    }
}

async fn what_is_no_network_is_refused(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    for bad in ["10.0.0.1/8", "10.0.0.0/33", "garbage", "", "2001:db8::1/32", "1.2.3.4/-1"] {
        let request = CreateApiKeyRequest { allowed_cidrs: vec!["10.0.0.0/8".into(), bad.into()], ..new_key("k") };
        let refused = admin.keys.create_api_key(request).await;
        assert_eq!(bad_fields(refused), ["allowed_cidrs[1]"], "{bad}");
    }
    let many = (0..101).map(|n| format!("10.0.{n}.0/24")).collect();
    let refused = admin.keys.create_api_key(CreateApiKeyRequest { allowed_cidrs: many, ..new_key("k") }).await;
    assert_eq!(bad_fields(refused), ["allowed_cidrs"]);
}

async fn root_keys_have_no_limits(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let request = CreateApiKeyRequest {
        keyspace: "system".into(),
        scopes: vec!["keys:verify".into()],
        rate_limit: Some(limit(1, 1)),
        credits: Some(pb::Credits { remaining: Some(1), ..Default::default() }),
        allowed_cidrs: vec!["10.0.0.0/8".into()],
        ..new_key("caller")
    };
    let refused = admin.keys.create_api_key(request).await;
    assert_eq!(bad_fields(refused), ["rate_limit", "credits", "allowed_cidrs"]);
}

/// Of three processes, each of which is asked for all that the limit lets through.
#[tokio::test]
async fn processes_share_a_limit_by_their_demand() {
    let first = Service::start(Backend::Postgres).await;
    let others = [
        first.start_beside(portcullis::config::Flags::default()).await,
        first.start_beside(portcullis::config::Flags::default()).await,
    ];
    let mut admin = first.admin();
    let (_, secret) = admin.create(limited(limit(6_000, 600))).await;
    // 10 a second come back; 6,000 are there at once. One process takes 1,000, and the others hear of it.
    for _ in 0..1_000 {
        assert_eq!(verdict(&mut admin, &secret).await, Verdict::Valid);
    }
    for other in &others {
        let mut caller = other.admin();
        let told = eventually("what another spent", async || {
            let left = caller.verify(&secret).await.rate_limit.expect("a limit").remaining;
            (left < 5_200).then_some(left)
        });
        assert!(told.await > 4_000);
    }
}

#[tokio::test]
async fn a_garbage_address_in_a_batch_is_named_by_its_place() {
    let service = Service::start(Backend::Sqlite).await;
    let mut admin = service.admin();
    let asked = |ip: &str, cost| VerifyRequest { client_ip: ip.into(), cost, ..Default::default() };
    let requests = vec![asked("", None), asked("x", Some(-1)), asked("::1", Some(i64::MAX))];
    let refused = admin.verification.batch_verify(pb::BatchVerifyRequest { requests }).await;
    assert_eq!(bad_fields(refused), ["requests[1].client_ip", "requests[1].cost", "requests[2].cost"]);
}
