//! Secrets that Argon2id protects: they cost a run once, and guessing at them is kept slow.

use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::{Clock, ManualClock, SystemClock};
use portcullis::grpc::pb::{self, CreateApiKeyRequest, ErrorReason, HashPolicy, Verdict, VerifyRequest};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::{Backend, over_both_stores};
use crate::support::process::ROOT_KEY;
use crate::support::service::{Caller, Service, check_error, details, in_time, new_key, wrong_secret};

over_both_stores![
    a_key_that_proved_right_once_is_told_from_wrong_ones_at_once,
    guesses_at_a_key_that_nobody_used_are_kept_slow,
    one_wrong_secret_is_one_guess_however_many_present_it_at_once,
    two_hundred_at_once_are_all_let_in,
    strangers_are_told_from_the_supplied_root_key_at_once,
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
