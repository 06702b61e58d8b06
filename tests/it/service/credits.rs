//! Credits: what is left is never more than was given, whoever spends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use portcullis::clock::{Clock as _, ManualClock, Timestamp};
use portcullis::config::Flags;
use portcullis::grpc::pb::{
    self, CreateApiKeyRequest, Credits, CreditsInterval, CreditsRefill, ErrorReason, RotateApiKeyRequest, Verdict,
    VerifyApiKeyRequest, VerifyRequest,
};

use tonic::Code;

use super::{Backend, over_both_stores};
use crate::support::service::{Caller, Service, bad_fields, check_error, eventually, new_key};

over_both_stores![
    credits_are_spent_to_the_last,
    a_cost_is_taken_whole_or_not_at_all,
    a_refill_comes_when_it_is_due,
    a_refill_that_is_due_is_shown_everywhere,
    a_rotation_shares_one_budget,
    an_update_sets_what_is_left,
    what_others_refuse_takes_no_credits,
    what_is_not_spent_is_given_back,
    what_makes_no_sense_is_refused,
    many_at_once_spend_no_more_than_there_is,
    a_key_that_is_topped_up_spends_what_it_got,
    what_is_added_does_not_race_with_use,
    what_cannot_be_added_is_refused,
];

fn with(remaining: Option<i64>, refill: Option<(i64, CreditsInterval)>) -> Credits {
    let refill = refill.map(|(amount, interval)| CreditsRefill { amount, interval: interval.into() });
    Credits { remaining, refill, refill_time: None }
}

fn new(credits: Credits) -> CreateApiKeyRequest {
    CreateApiKeyRequest { credits: Some(credits), ..new_key("metered") }
}

fn asked(secret: &str, cost: i64) -> VerifyRequest {
    VerifyRequest { key: secret.into(), cost: Some(cost), ..Default::default() }
}

async fn spend(caller: &mut Caller, secret: &str, cost: i64) -> (Verdict, Option<i64>) {
    let answer = caller.verify_of(asked(secret, cost)).await;
    (answer.verdict(), answer.credits_remaining)
}

async fn credits_are_spent_to_the_last(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(new(with(Some(20), None))).await;
    assert_eq!(key.credits, Some(with(Some(20), None)));
    for left in (0..20).rev() {
        let answer = admin.verify(&secret).await;
        assert_eq!((answer.verdict(), answer.credits_remaining), (Verdict::Valid, Some(left)));
    }
    let answer = admin.verify(&secret).await;
    assert_eq!((answer.valid, answer.verdict()), (false, Verdict::CreditsExhausted));
    assert_eq!((answer.credits_remaining, answer.key_id.as_str()), (Some(0), key.id.as_str()));
    assert!(answer.scopes.is_empty());
    assert_eq!(admin.get(&key.id).await.unwrap().credits, Some(with(Some(0), None)));
    let request = VerifyApiKeyRequest { key: secret, ..Default::default() };
    let looked = admin.keys.verify_api_key(request).await.unwrap().into_inner();
    assert_eq!(looked.verdict(), Verdict::CreditsExhausted);
}

async fn a_cost_is_taken_whole_or_not_at_all(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (_, secret) = admin.create(new(with(Some(10), None))).await;
    assert_eq!(spend(&mut admin, &secret, 7).await, (Verdict::Valid, Some(3)));
    assert_eq!(spend(&mut admin, &secret, 4).await, (Verdict::CreditsExhausted, Some(3)));
    assert_eq!(spend(&mut admin, &secret, 0).await, (Verdict::Valid, Some(3)));
    assert_eq!(spend(&mut admin, &secret, 1_000_000_000).await, (Verdict::CreditsExhausted, Some(3)));
    assert_eq!(spend(&mut admin, &secret, 3).await, (Verdict::Valid, Some(0)));
    assert_eq!(spend(&mut admin, &secret, 0).await, (Verdict::Valid, Some(0)));
    for cost in [-1, i64::MIN, 1_000_000_001, i64::MAX] {
        let refused = admin.verification.verify(asked(&secret, cost)).await;
        assert_eq!(bad_fields(refused), ["cost"], "{cost}");
    }
}

async fn a_refill_comes_when_it_is_due(backend: Backend) {
    // An hour before the midnight of a Sunday that is the first of a month: 2026-02-28T23:00:00Z.
    let clock = ManualClock::new(Timestamp::from_micros(1_772_319_600_000_000));
    let service = Service::start_with(backend, Arc::new(clock.clone())).await;
    let mut admin = service.admin();
    for (interval, wait) in [(CreditsInterval::Day, 1), (CreditsInterval::Month, 1), (CreditsInterval::Week, 25)] {
        clock.set(Timestamp::from_micros(1_772_319_600_000_000));
        let (key, secret) = admin.create(new(with(None, Some((5, interval))))).await;
        let credits = key.credits.unwrap();
        assert_eq!(credits.remaining, Some(5));
        assert_eq!(credits.refill_time.unwrap().seconds, 1_772_319_600 + wait * 3_600);
        assert_eq!(spend(&mut admin, &secret, 5).await, (Verdict::Valid, Some(0)));
        let wait = Duration::from_hours(wait.unsigned_abs());
        clock.advance(wait.saturating_sub(Duration::from_micros(1)));
        assert_eq!(spend(&mut admin, &secret, 1).await, (Verdict::CreditsExhausted, Some(0)));
        clock.advance(Duration::from_micros(1));
        assert_eq!(spend(&mut admin, &secret, 2).await, (Verdict::Valid, Some(3)));
        // A clock that is set back and comes by again brings no second refill.
        clock.advance(Duration::from_micros(1));
        let now = clock.now();
        clock.set(now.saturating_sub(Duration::from_hours(1)));
        assert_eq!(spend(&mut admin, &secret, 1).await, (Verdict::Valid, Some(2)));
        clock.set(now);
        assert_eq!(spend(&mut admin, &secret, 2).await, (Verdict::Valid, Some(0)));
        assert_eq!(spend(&mut admin, &secret, 1).await, (Verdict::CreditsExhausted, Some(0)));
    }
}

/// Before any Verify had the store carry it out.
async fn a_refill_that_is_due_is_shown_everywhere(backend: Backend) {
    let start = Timestamp::from_micros(1_772_319_600_000_000);
    let clock = ManualClock::new(start);
    let service = Service::start_with(backend, Arc::new(clock.clone())).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(new(with(None, Some((5, CreditsInterval::Day))))).await;
    assert_eq!(spend(&mut admin, &secret, 5).await, (Verdict::Valid, Some(0)));
    let looked = async |admin: &mut Caller| {
        let request = VerifyApiKeyRequest { key: secret.clone(), ..Default::default() };
        let looked = admin.keys.verify_api_key(request).await.unwrap().into_inner();
        (looked.verdict(), looked.api_key.unwrap().credits.unwrap())
    };
    let spent = Credits {
        refill_time: key.credits.unwrap().refill_time,
        ..with(Some(0), key.credits.unwrap().refill.map(|refill| (refill.amount, refill.interval())))
    };
    assert_eq!(looked(&mut admin).await, (Verdict::CreditsExhausted, spent));

    clock.advance(Duration::from_hours(1));
    let next = spent.refill_time.map(|at| prost_types::Timestamp { seconds: at.seconds + 86_400, ..at });
    let refilled = Credits { remaining: Some(5), refill_time: next, ..spent };
    assert_eq!(admin.get(&key.id).await.unwrap().credits, Some(refilled), "Get");
    let listed = admin.keys.list_api_keys(pb::ListApiKeysRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.api_keys[0].credits, Some(refilled), "List");
    assert_eq!(looked(&mut admin).await, (Verdict::Valid, refilled), "VerifyApiKey");
    let renamed = pb::ApiKey { id: key.id.clone(), name: "renamed".into(), ..Default::default() };
    let renamed = admin.update(renamed, &["name"]).await.unwrap();
    assert_eq!(renamed.credits, Some(refilled), "Update");
    // What was read can be sent back: it changes nothing.
    assert_eq!(admin.update(renamed.clone(), &["*"]).await.unwrap(), renamed);
    // What is due is not lost by another schedule.
    let monthly = with(None, Some((9, CreditsInterval::Month)));
    let asked = pb::ApiKey { id: key.id.clone(), credits: Some(monthly), ..Default::default() };
    let changed = admin.update(asked, &["credits.refill"]).await.unwrap().credits.unwrap();
    assert_eq!((changed.remaining, changed.refill), (Some(5), monthly.refill));
    assert_eq!(spend(&mut admin, &secret, 5).await, (Verdict::Valid, Some(0)), "what is shown is there");

    // The trail of a deletion says what there was.
    let (key, _) = admin.create(new(with(Some(1), Some((7, CreditsInterval::Day))))).await;
    clock.advance(Duration::from_hours(24));
    admin.keys.delete_api_key(pb::DeleteApiKeyRequest { id: key.id.clone(), ..Default::default() }).await.unwrap();
    let trail = pb::ListAuditEventsRequest { key_id: key.id, ..Default::default() };
    let trail = admin.audit.list_audit_events(trail).await.unwrap().into_inner().audit_events;
    let deletion = trail[0].changes.clone().unwrap().fields["credits"].clone();
    let Some(prost_types::value::Kind::StructValue(credits)) = deletion.kind else { panic!("{trail:?}") };
    assert_eq!(credits.fields["remaining"], 7.0.into());
}

async fn a_rotation_shares_one_budget(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, old) = admin.create(new(with(Some(6), None))).await;
    assert_eq!(spend(&mut admin, &old, 1).await.0, Verdict::Valid);
    let overlap = Some(prost_types::Duration { seconds: 3_600, nanos: 0 });
    let rotated = admin
        .keys
        .rotate_api_key(RotateApiKeyRequest { id: key.id, overlap, ..Default::default() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(spend(&mut admin, &rotated.secret, 2).await.0, Verdict::Valid);
    assert_eq!(spend(&mut admin, &old, 3).await.0, Verdict::Valid);
    for secret in [&old, &rotated.secret] {
        assert_eq!(spend(&mut admin, secret, 1).await, (Verdict::CreditsExhausted, Some(0)));
    }
}

async fn an_update_sets_what_is_left(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(new(with(Some(100), None))).await;
    for _ in 0..50 {
        assert_eq!(spend(&mut admin, &secret, 1).await.0, Verdict::Valid);
    }
    let set = |credits: Option<Credits>| pb::ApiKey { id: key.id.clone(), credits, ..Default::default() };
    // What was taken out and not spent is worth nothing from here on.
    let changed = admin.update(set(Some(with(Some(3), None))), &["credits"]).await.unwrap();
    assert_eq!(changed.credits, Some(with(Some(3), None)));
    for left in (0..3).rev() {
        assert_eq!(spend(&mut admin, &secret, 1).await, (Verdict::Valid, Some(left)));
    }
    assert_eq!(spend(&mut admin, &secret, 1).await.0, Verdict::CreditsExhausted);

    let more = admin.update(set(Some(with(Some(2), None))), &["credits.remaining"]).await.unwrap();
    assert_eq!(more.credits.unwrap().remaining, Some(2));
    assert_eq!(spend(&mut admin, &secret, 1).await, (Verdict::Valid, Some(1)));
    let monthly = with(None, Some((9, CreditsInterval::Month)));
    let refilled = admin.update(set(Some(monthly)), &["credits.refill"]).await.unwrap().credits.unwrap();
    assert_eq!(refilled.refill.unwrap().amount, 9);
    assert!(refilled.refill_time.is_some());
    assert_eq!(spend(&mut admin, &secret, 1).await, (Verdict::Valid, Some(0)), "its refill alone was changed");

    assert_eq!(admin.update(set(None), &["credits"]).await.unwrap().credits, None);
    assert_eq!(spend(&mut admin, &secret, 1_000).await, (Verdict::Valid, None));
    let again = admin.update(set(Some(with(Some(1), None))), &["credits"]).await.unwrap();
    assert_eq!(again.credits, Some(with(Some(1), None)));
    assert_eq!(spend(&mut admin, &secret, 1).await, (Verdict::Valid, Some(0)));
    let renamed = pb::ApiKey { id: key.id.clone(), name: "renamed".into(), ..Default::default() };
    admin.update(renamed, &["name"]).await.unwrap();
    assert_eq!(spend(&mut admin, &secret, 1).await.0, Verdict::CreditsExhausted);
}

async fn what_others_refuse_takes_no_credits(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let window = Some(prost_types::Duration { seconds: 3_600, nanos: 0 });
    let rate_limit = Some(pb::RateLimit { limit: 2, window, ..Default::default() });
    let request = CreateApiKeyRequest { rate_limit, ..new(with(Some(10), None)) };
    let (_, secret) = admin.create(request).await;
    // And no use: what is refused for want of credits takes nothing of the limit.
    assert_eq!(spend(&mut admin, &secret, 11).await.0, Verdict::CreditsExhausted);
    assert_eq!(spend(&mut admin, &secret, 1).await, (Verdict::Valid, Some(9)));
    assert_eq!(spend(&mut admin, &secret, 1).await, (Verdict::Valid, Some(8)));
    assert_eq!(spend(&mut admin, &secret, 1).await, (Verdict::RateLimited, None));
    assert_eq!(spend(&mut admin, &secret, 1).await, (Verdict::RateLimited, None));
    let answer = admin.verify_of(VerifyRequest { required_scopes: vec!["x".into()], ..asked(&secret, 1) }).await;
    assert_eq!((answer.verdict(), answer.credits_remaining), (Verdict::InsufficientScope, None));
}

async fn what_is_not_spent_is_given_back(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(new(with(Some(1_000), None))).await;
    for _ in 0..100 {
        assert_eq!(spend(&mut admin, &secret, 1).await.0, Verdict::Valid);
    }
    let left = eventually("credits given back", async || {
        let left = admin.get(&key.id).await.unwrap().credits?.remaining?;
        (left == 900).then_some(left)
    });
    assert_eq!(left.await, 900);
    assert_eq!(spend(&mut admin, &secret, 1).await, (Verdict::Valid, Some(899)));
    let root_key = service.root_key.clone();
    let service = Service::start_over(service.stop_and_keep().await, Some(root_key)).await;
    assert_eq!(service.admin().get(&key.id).await.unwrap().credits.unwrap().remaining, Some(899));
}

async fn what_makes_no_sense_is_refused(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    for (credits, fields) in [
        (with(Some(-1), None), &["credits.remaining"][..]),
        (with(Some(i64::MAX), None), &["credits.remaining"]),
        (with(None, None), &["credits.remaining"]),
        (with(Some(1), Some((0, CreditsInterval::Day))), &["credits.refill.amount"]),
        (with(Some(1), Some((i64::MAX, CreditsInterval::Day))), &["credits.refill.amount"]),
        (with(Some(1), Some((1, CreditsInterval::Unspecified))), &["credits.refill.interval"]),
    ] {
        let refused = admin.keys.create_api_key(new(credits)).await;
        assert_eq!(bad_fields(refused), fields, "{credits:?}");
    }
}

async fn many_at_once_spend_no_more_than_there_is(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (_, secret) = admin.create(new(with(Some(500), None))).await;
    let tasks = (0..16).map(|_| {
        let (mut caller, secret) = (service.admin(), secret.clone());
        tokio::spawn(async move {
            let mut spent = 0;
            while spend(&mut caller, &secret, 1).await.0 == Verdict::Valid {
                spent += 1;
            }
            spent
        })
    });
    let mut sum = 0;
    for task in tasks.collect::<Vec<_>>() {
        sum += task.await.unwrap();
    }
    assert_eq!(sum, 500);
}

/// While it is asked for all the time, so that the store is being asked for more when there is more.
async fn a_key_that_is_topped_up_spends_what_it_got(backend: Backend) {
    const ROUNDS: usize = 20;
    const EACH: usize = 50;
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(new(with(Some(0), None))).await;
    let (spent, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let tasks = (0..8).map(|_| {
        let (mut caller, secret, spent, done) = (service.admin(), secret.clone(), spent.clone(), done.clone());
        tokio::spawn(async move {
            while !done.load(Ordering::SeqCst) {
                if spend(&mut caller, &secret, 1).await.0 == Verdict::Valid {
                    spent.fetch_add(1, Ordering::SeqCst);
                }
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    for round in 1..=ROUNDS {
        let more = pb::ApiKey { id: key.id.clone(), credits: Some(with(Some(50), None)), ..Default::default() };
        admin.update(more, &["credits.remaining"]).await.unwrap();
        eventually("all of it spent", async || {
            let spent = spent.load(Ordering::SeqCst);
            assert!(spent <= round * EACH, "{spent} of {}", round * EACH);
            (spent == round * EACH).then_some(())
        })
        .await;
    }
    done.store(true, Ordering::SeqCst);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(spent.load(Ordering::SeqCst), ROUNDS * EACH);
}

async fn add(caller: &mut Caller, id: &str, add_credits: i64) -> Result<pb::ApiKey, tonic::Status> {
    let api_key = Some(pb::ApiKey { id: id.into(), ..Default::default() });
    let request = pb::UpdateApiKeyRequest { api_key, add_credits, ..Default::default() };
    Ok(caller.keys.update_api_key(request).await?.into_inner().api_key.expect("the key"))
}

/// What a process has taken out stays good, and one that knew of no credits finds the new ones at once.
async fn what_is_added_does_not_race_with_use(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(new(with(Some(600), None))).await;
    assert_eq!(spend(&mut admin, &secret, 100).await, (Verdict::Valid, Some(500)));
    add(&mut admin, &key.id, 1_000).await.unwrap();
    // What is being given back just now is there again soon.
    eventually("all of them spent", async || {
        let (verdict, left) = spend(&mut admin, &secret, 1_500).await;
        (verdict == Verdict::Valid).then(|| assert_eq!(left, Some(0), "not one is lost"))
    })
    .await;
    for _ in 0..20 {
        assert_eq!(spend(&mut admin, &secret, 1).await.0, Verdict::CreditsExhausted);
        add(&mut admin, &key.id, 3).await.unwrap();
        assert_eq!(spend(&mut admin, &secret, 3).await, (Verdict::Valid, Some(0)), "at once");
    }
}

async fn what_cannot_be_added_is_refused(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, _) = admin.create(new(with(Some(10), Some((5, CreditsInterval::Day))))).await;
    let (unlimited, _) = admin.create(new_key("unlimited")).await;
    let refused = |result| check_error(result, Code::FailedPrecondition, ErrorReason::CreditsNotAdded);
    refused(add(&mut admin, &unlimited.id, 5).await);
    let most = 1_000_000_000_000_000;
    let status = refused(add(&mut admin, &key.id, most - 9).await);
    assert!(status.message().contains("has 10 credits"), "{status:?}");
    for bad in [-1, i64::MIN, most + 1, i64::MAX] {
        assert_eq!(bad_fields(add(&mut admin, &key.id, bad).await), ["add_credits"], "{bad}");
    }
    let both = pb::ApiKey { id: key.id.clone(), credits: Some(with(Some(1), None)), ..Default::default() };
    let both = pb::UpdateApiKeyRequest { api_key: Some(both), add_credits: 1, ..Default::default() };
    assert_eq!(bad_fields(admin.keys.update_api_key(both).await), ["add_credits"]);
    assert_eq!(admin.get(&key.id).await.unwrap().etag, key.etag, "nothing was changed");
    // With the etag of what was read, a repeat adds nothing.
    let once = pb::ApiKey { id: key.id.clone(), etag: key.etag, ..Default::default() };
    let once = pb::UpdateApiKeyRequest { api_key: Some(once), add_credits: most - 10, ..Default::default() };
    let added = admin.keys.update_api_key(once.clone()).await.unwrap().into_inner().api_key.unwrap();
    assert_eq!(added.credits.unwrap().remaining, Some(most));
    check_error(admin.keys.update_api_key(once).await, Code::Aborted, ErrorReason::EtagMismatch);
}

/// Two processes spend, each through what it has taken out, while both add.
#[tokio::test]
async fn processes_add_while_they_spend() {
    const ROUNDS: usize = 10;
    let first = Service::start(Backend::Postgres).await;
    let second = first.start_beside(Flags::default()).await;
    let (key, secret) = first.admin().create(new(with(Some(0), None))).await;
    let (spent, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let mut tasks = Vec::new();
    for service in [&first, &second] {
        for _ in 0..4 {
            let (mut caller, secret, spent, done) = (service.admin(), secret.clone(), spent.clone(), done.clone());
            tasks.push(tokio::spawn(async move {
                while !done.load(Ordering::SeqCst) {
                    if spend(&mut caller, &secret, 1).await.0 == Verdict::Valid {
                        spent.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }));
        }
    }
    let (mut here, mut there) = (first.admin(), second.admin());
    for _ in 0..ROUNDS {
        let (one, other) = tokio::join!(add(&mut here, &key.id, 100), add(&mut there, &key.id, 100));
        one.unwrap();
        other.unwrap();
    }
    let sum = ROUNDS * 200;
    eventually("all of it spent", async || {
        let spent = spent.load(Ordering::SeqCst);
        assert!(spent <= sum, "{spent} of {sum}");
        (spent == sum).then_some(())
    })
    .await;
    done.store(true, Ordering::SeqCst);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(spent.load(Ordering::SeqCst), sum);
}

/// Of three processes, which are all asked at once, until none accepts any more.
#[tokio::test]
async fn processes_spend_no_more_than_there_is_and_all_of_it() {
    let first = Service::start(Backend::Postgres).await;
    let others = [first.start_beside(Flags::default()).await, first.start_beside(Flags::default()).await];
    let (key, secret) = first.admin().create(new(with(Some(3_000), None))).await;
    let mut tasks = Vec::new();
    for service in others.iter().chain([&first]) {
        for _ in 0..8 {
            let (mut caller, secret) = (service.admin(), secret.clone());
            tasks.push(tokio::spawn(async move {
                let mut spent = 0;
                while spend(&mut caller, &secret, 1).await.0 == Verdict::Valid {
                    spent += 1;
                }
                spent
            }));
        }
    }
    let mut sum = 0;
    for task in tasks {
        sum += task.await.unwrap();
    }
    assert!(sum <= 3_000, "{sum}");
    // What one had left when another was refused is given back, and can be spent.
    let mut admin = first.admin();
    eventually("the rest", async || {
        while spend(&mut admin, &secret, 1).await.0 == Verdict::Valid {
            sum += 1;
        }
        assert!(sum <= 3_000, "{sum}");
        (sum == 3_000).then_some(())
    })
    .await;
    assert_eq!(admin.get(&key.id).await.unwrap().credits, Some(with(Some(0), None)));
}
