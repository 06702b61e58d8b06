//! Secrets that Argon2id protects: they cost a run once, and guessing at them is kept slow.

use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::{Clock, ManualClock, SystemClock};
use portcullis::grpc::pb::{self, CreateApiKeyRequest, ErrorReason, HashPolicy, Verdict, VerifyRequest};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use portcullis::hashing::Class;

use super::{Backend, over_both_stores};
use crate::support::process::ROOT_KEY;
use crate::support::service::{Caller, Service, check_error, details, in_time, new_key, wrong_secret};

over_both_stores![
    a_key_that_proved_right_once_is_told_from_wrong_ones_at_once,
    guesses_at_a_key_that_nobody_used_are_kept_slow,
    one_wrong_secret_is_one_guess_however_many_present_it_at_once,
    two_hundred_at_once_are_all_let_in,
    strangers_are_told_from_the_supplied_root_key_at_once,
    guesses_are_counted_by_network,
    what_was_proven_survives_floods_of_guesses,
    the_owner_of_free_text_is_never_locked_out,
    free_text_of_strangers_costs_little_and_in_the_end_nothing,
    cold_keys_are_let_in_while_strangers_guess,
];

/// Guesses that are free.
const BURST: u32 = 10;

/// A caller, and a keyspace whose secrets are slow.
async fn slow_keyspace(service: &Service) -> Caller {
    let mut admin = service.admin();
    let slow = pb::Keyspace { id: "slow".into(), hash_policy: HashPolicy::Argon2id.into(), ..Default::default() };
    admin.create_keyspace_of(slow).await;
    admin
}

async fn slow_key(admin: &mut Caller) -> (pb::ApiKey, String) {
    admin.create(CreateApiKeyRequest { keyspace: "slow".into(), ..new_key("slow") }).await
}

async fn verdict(caller: &mut Caller, key: &str) -> Result<Verdict, Status> {
    let request = VerifyRequest { key: key.into(), ..Default::default() };
    Ok(caller.verification.verify(request).await?.into_inner().verdict())
}

/// Checks that a guess is refused; after how long the next is not.
#[track_caller]
fn check_throttled(result: Result<Verdict, Status>) -> Duration {
    let status = check_error(result, Code::ResourceExhausted, ErrorReason::GuessingThrottled);
    details(&status).retry_info().expect("a RetryInfo").retry_delay.expect("a time")
}

async fn a_key_that_proved_right_once_is_told_from_wrong_ones_at_once(backend: Backend) {
    let clock = ManualClock::new(SystemClock.now());
    let service = Service::start_with(backend, Arc::new(clock)).await;
    let mut admin = slow_keyspace(&service).await;
    let (key, secret) = slow_key(&mut admin).await;
    let mut check = async |nth: u32| {
        assert_eq!(admin.verdict(&secret).await, Verdict::Valid);
        for nth in nth..nth + 2 * BURST {
            assert_eq!(admin.verdict(&wrong_secret(&secret, nth)).await, Verdict::NotFound, "{nth}");
        }
        assert_eq!(admin.verdict(&secret).await, Verdict::Valid);
    };
    check(0).await;
    // What is known of the secret outlives what is known of the key.
    for enabled in [false, true] {
        let change = pb::ApiKey { id: key.id.clone(), enabled, ..Default::default() };
        service.admin().update(change, &["enabled"]).await.unwrap();
    }
    check(100).await;
    // But not the secret.
    service.admin().rotate(&key.id, 0).await;
    assert_eq!(admin.verdict(&secret).await, Verdict::NotFound);
    service.stop().await;
}

async fn guesses_at_a_key_that_nobody_used_are_kept_slow(backend: Backend) {
    let clock = ManualClock::new(SystemClock.now());
    let service = Service::start_with(backend, Arc::new(clock.clone())).await;
    let mut admin = slow_keyspace(&service).await;
    let (_, secret) = slow_key(&mut admin).await;
    let (_, other) = slow_key(&mut admin).await;
    let (_, fast) = admin.create(new_key("fast")).await;
    for nth in 0..BURST {
        assert_eq!(verdict(&mut admin, &wrong_secret(&secret, nth)).await.unwrap(), Verdict::NotFound, "{nth}");
    }
    let wait = check_throttled(verdict(&mut admin, &wrong_secret(&secret, BURST)).await);
    assert!(!wait.is_zero() && wait <= Duration::from_secs(1), "{wait:?}");
    for unaffected in [&other, &fast] {
        assert_eq!(verdict(&mut admin, unaffected).await.unwrap(), Verdict::Valid);
    }
    clock.advance(wait);
    assert_eq!(verdict(&mut admin, &wrong_secret(&secret, 11)).await.unwrap(), Verdict::NotFound);
    check_throttled(verdict(&mut admin, &wrong_secret(&secret, 12)).await);
    clock.advance(Duration::from_secs(1));
    assert_eq!(verdict(&mut admin, &secret).await.unwrap(), Verdict::Valid);
    // From here on nobody needs to guess.
    assert_eq!(verdict(&mut admin, &wrong_secret(&secret, 13)).await.unwrap(), Verdict::NotFound);
    service.stop().await;
}

/// The verdicts on `key`, asked for so many times at once.
async fn at_once(service: &Service, count: usize, key: &str) -> Vec<Result<Verdict, Status>> {
    let mut asking = JoinSet::new();
    for _ in 0..count {
        let (mut admin, key) = (service.admin(), key.to_owned());
        asking.spawn(async move { verdict(&mut admin, &key).await });
    }
    in_time("the verdicts", asking.join_all()).await
}

async fn one_wrong_secret_is_one_guess_however_many_present_it_at_once(backend: Backend) {
    let service = Service::start_with(backend, Arc::new(ManualClock::new(SystemClock.now()))).await;
    let mut admin = slow_keyspace(&service).await;
    let (_, secret) = slow_key(&mut admin).await;
    let verdicts = at_once(&service, 100, &wrong_secret(&secret, 1)).await;
    let refused: Vec<_> = verdicts.into_iter().filter(|verdict| !matches!(verdict, Ok(Verdict::NotFound))).collect();
    assert!(refused.is_empty(), "{} of 100: {:?}", refused.len(), refused.first());
    service.stop().await;
}

async fn two_hundred_at_once_are_all_let_in(backend: Backend) {
    let service = Service::start_with(backend, Arc::new(ManualClock::new(SystemClock.now()))).await;
    let mut admin = slow_keyspace(&service).await;
    let (_, secret) = slow_key(&mut admin).await;
    let verdicts = at_once(&service, 200, &secret).await;
    let refused: Vec<_> = verdicts.into_iter().filter(|verdict| !matches!(verdict, Ok(Verdict::Valid))).collect();
    assert!(refused.is_empty(), "{} of 200: {:?}", refused.len(), refused.first());
    service.stop().await;
}

async fn strangers_are_told_from_the_supplied_root_key_at_once(backend: Backend) {
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let service = Service::start_supplied_with(backend, ROOT_KEY, clock).await;
    let mut admin = service.admin();
    let (_, secret) = admin.create(new_key("k")).await;
    for nth in 0..2 * BURST {
        let mut stranger = service.caller(&format!("{ROOT_KEY}-{nth}"));
        check_error(verdict(&mut stranger, &secret).await, Code::Unauthenticated, ErrorReason::CredentialInvalid);
    }
    assert_eq!(admin.verdict(&secret).await, Verdict::Valid);
    service.stop().await;
}

/// The verdict on `key`, presented from `address`.
async fn verdict_from(caller: &mut Caller, key: &str, address: &str) -> Result<Verdict, Status> {
    let request = VerifyRequest { key: key.into(), client_ip: address.into(), ..Default::default() };
    Ok(caller.verification.verify(request).await?.into_inner().verdict())
}

async fn guesses_are_counted_by_network(backend: Backend) {
    let service = Service::start_with(backend, Arc::new(ManualClock::new(SystemClock.now()))).await;
    let mut admin = slow_keyspace(&service).await;
    let (_, secret) = slow_key(&mut admin).await;
    // Each from another address of one network.
    for nth in 0..BURST {
        let guess = verdict_from(&mut admin, &wrong_secret(&secret, nth), &format!("2001:db8:0:1::{nth:x}")).await;
        assert_eq!(guess.unwrap(), Verdict::NotFound, "{nth}");
    }
    check_throttled(verdict_from(&mut admin, &wrong_secret(&secret, 90), "2001:db8:0:1:ffff::1").await);
    check_throttled(verdict_from(&mut admin, &secret, "2001:db8:0:1::1").await);
    // The owner is elsewhere.
    assert_eq!(verdict_from(&mut admin, &secret, "2001:db8:0:2::1").await.unwrap(), Verdict::Valid);
    service.stop().await;
}

async fn what_was_proven_survives_floods_of_guesses(backend: Backend) {
    let service = Service::start_with(backend, Arc::new(ManualClock::new(SystemClock.now()))).await;
    let mut admin = slow_keyspace(&service).await;
    let (key, secret) = slow_key(&mut admin).await;
    let (_, other) = slow_key(&mut admin).await;
    assert_eq!(admin.verdict(&secret).await, Verdict::Valid);
    for nth in 0..200_u32 {
        // Of a secret that nobody has presented yet, from everywhere.
        let _ = verdict_from(&mut admin, &wrong_secret(&other, nth), &format!("2001:db8:{nth:x}::1")).await;
    }
    // The key is read anew; that its secret was proven is known.
    for enabled in [false, true] {
        let change = pb::ApiKey { id: key.id.clone(), enabled, ..Default::default() };
        admin.update(change, &["enabled"]).await.unwrap();
    }
    let runs = service.verifier.hashing_load(Class::Verification).runs;
    assert_eq!(admin.verdict(&secret).await, Verdict::Valid);
    assert_eq!(service.verifier.hashing_load(Class::Verification).runs, runs);
    service.stop().await;
}

/// A new root key.
async fn another_admin(service: &Service) -> String {
    let request = CreateApiKeyRequest { keyspace: "system".into(), scopes: vec!["admin".into()], ..new_key("another") };
    service.admin().create(request).await.1
}

/// The id of the first root key.
async fn supplied_id(service: &Service) -> String {
    let request = pb::ListApiKeysRequest { keyspace: "system".into(), ..Default::default() };
    let listed = service.admin().keys.list_api_keys(request).await.expect("a list").into_inner().api_keys;
    listed.into_iter().find(|key| key.name == "first root key").expect("it is there").id
}

/// Calls so often with free text that nobody has; how often that was refused as invalid. The rest was refused for being
/// too many.
async fn flood(service: &Service, count: u32) -> usize {
    let mut calling = JoinSet::new();
    for nth in 0..count {
        let mut stranger = service.caller(&format!("free-text-that-nobody-has-{nth:08}"));
        calling.spawn(async move { verdict(&mut stranger, "ak_x").await.expect_err("nobody has it").code() });
    }
    let codes = in_time("the refusals", calling.join_all()).await;
    assert!(codes.iter().all(|code| matches!(code, Code::Unauthenticated | Code::ResourceExhausted)), "{codes:?}");
    codes.iter().filter(|code| **code == Code::Unauthenticated).count()
}

async fn the_owner_of_free_text_is_never_locked_out(backend: Backend) {
    let service = Service::start_supplied(backend, ROOT_KEY).await;
    let (_, key) = service.admin().create(new_key("k")).await;
    // Started anew, with the variable still set.
    let service = Service::start_over(service.stop_and_keep().await, Some(ROOT_KEY.to_owned())).await;
    let owner = async {
        for nth in 0..10 {
            assert_eq!(verdict(&mut service.admin(), &key).await.expect("not locked out"), Verdict::Valid, "{nth}");
        }
    };
    let (refused, ()) = tokio::join!(flood(&service, 500), owner);
    assert_eq!(refused, 500, "each is told from the right one at once");
    let run = |class| service.verifier.hashing_load(class).runs;
    assert_eq!((run(Class::CallersWithoutMac), run(Class::Callers)), (0, 1));

    // What is known of the secret outlives changes of the key, and a start while it is disabled.
    let id = supplied_id(&service).await;
    let other = another_admin(&service).await;
    let change = |enabled| pb::ApiKey { id: id.clone(), enabled, ..Default::default() };
    service.caller(&other).update(change(false), &["enabled"]).await.unwrap();
    let service = Service::start_over(service.stop_and_keep().await, Some(ROOT_KEY.to_owned())).await;
    flood(&service, 50).await;
    service.caller(&other).update(change(true), &["enabled"]).await.unwrap();
    assert_eq!(verdict(&mut service.admin(), &key).await.unwrap(), Verdict::Valid);
    assert_eq!(service.verifier.hashing_load(Class::CallersWithoutMac).runs, 0);
    service.stop().await;
}

async fn free_text_of_strangers_costs_little_and_in_the_end_nothing(backend: Backend) {
    let service = Service::start_supplied(backend, ROOT_KEY).await;
    let id = supplied_id(&service).await;
    let other = another_admin(&service).await;
    // The variable is not what it was: nothing is known of the secret.
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let fixture = service.stop_and_keep().await;
    let service = Service::start_over_with(fixture, Some(other.clone()), clock.clone()).await;
    let runs = || service.verifier.hashing_load(Class::CallersWithoutMac).runs;
    // The connection authenticates first: one that has not may hold few calls at once, and that is tested elsewhere.
    assert_eq!(verdict(&mut service.admin(), "ak_x").await.expect("an answer"), Verdict::Malformed);
    flood(&service, 300).await;
    assert!((1..=u64::from(BURST)).contains(&runs()), "{}", runs());
    // One by one, until there are none left: what was refused for want of a place was no guess.
    let throttled = |status: &Status| {
        details(status).error_info().is_some_and(|it| it.reason == ErrorReason::GuessingThrottled.as_str_name())
    };
    for nth in 0.. {
        let stranger = &mut service.caller(&format!("another-free-text-that-nobody-has-{nth}"));
        let refused = verdict(stranger, "ak_x").await.expect_err("nobody has it");
        assert!(nth < 1_000, "{refused:?}");
        if throttled(&refused) {
            break;
        }
    }
    assert_eq!(runs(), u64::from(BURST), "from one address");

    clock.advance(Duration::from_hours(1));
    service.admin().revoke(&id).await;
    assert_eq!(flood(&service, 100).await, 100);
    assert_eq!(runs(), u64::from(BURST), "none once the key is revoked");
    service.stop().await;
}

async fn cold_keys_are_let_in_while_strangers_guess(backend: Backend) {
    let service = Service::start_supplied(backend, ROOT_KEY).await;
    let mut admin = slow_keyspace(&service).await;
    let mut secrets = Vec::new();
    for _ in 0..5 {
        secrets.push(slow_key(&mut admin).await.1);
    }
    let other = another_admin(&service).await;
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let service = Service::start_over_with(service.stop_and_keep().await, Some(other), clock).await;
    let cold = async {
        for secret in &secrets {
            assert_eq!(verdict(&mut service.admin(), secret).await.expect("it is let in"), Verdict::Valid);
        }
    };
    tokio::join!(flood(&service, 500), cold);
    service.stop().await;
}
