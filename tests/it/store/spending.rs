//! What limited keys spend: credits, and rate limits.

use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::{Clock as _, SystemClock, Timestamp};
use portcullis::key::credits::{Credits, CreditsPatch, Interval, Refill};
use portcullis::key::id::KeyId;
use portcullis::key::keyspace::{DEFAULT, KeyspacePatch};
use portcullis::key::rate_limit::RateLimit;
use portcullis::key::record::{ApiKey, Patch};
use portcullis::store::Store;
use portcullis::store::spending::{CreditsAsked, CreditsGranted, CreditsReturned, RateLevel, RateSpent};

use super::rig::{Rig, at, by, done, limit, networks, new_id, race};
use crate::support::backend::Backend;

const DAILY: Refill = Refill { amount: 10, interval: Interval::Day };

fn credits(remaining: i64) -> Credits {
    Credits { remaining, refill: None, refill_time: None, epoch: 1 }
}

fn refilled(remaining: i64, refill: Refill) -> Credits {
    Credits { refill: Some(refill), refill_time: Some(refill.interval.next(at(0))), ..credits(remaining) }
}

async fn create(rig: &Rig, credits: Credits) -> KeyId {
    rig.create(|key| key.credits = Some(credits)).await.id
}

fn asked(id: &KeyId, want: i64, need: i64) -> CreditsAsked {
    CreditsAsked { key_id: id.clone(), epoch: 1, want, need, refill: None }
}

/// What `asked` for one key comes to at `now`: how many, how many are left, and when there will be more.
async fn take(store: &dyn Store, asked: CreditsAsked, now: Timestamp) -> Option<(i64, i64, Option<Timestamp>)> {
    let mut granted = store.take_credits(std::slice::from_ref(&asked), now).await.expect("an answer");
    let granted = granted.pop()?;
    assert_eq!(granted.key_id, asked.key_id);
    Some((granted.granted, granted.remaining, granted.refill_time))
}

async fn give_back(rig: &Rig, id: &KeyId, epoch: i64, amount: i64) {
    let returned = CreditsReturned { key_id: id.clone(), epoch, amount };
    rig.store.return_credits(&[returned]).await.expect("taken back");
}

async fn remaining(rig: &Rig, id: &KeyId) -> i64 {
    rig.get(id).await.credits.expect("it has credits").remaining
}

#[expect(clippy::option_option, reason = "as the patch has it")]
fn set(remaining: Option<i64>, refill: Option<Option<Refill>>) -> Patch {
    Patch { credits: Some(CreditsPatch::Limited { remaining, refill }), ..Patch::default() }
}

pub async fn limits_come_back_as_given(mut rig: Rig) {
    let given = |key: &mut ApiKey| {
        key.rate_limits = vec![limit("", 1, 1), RateLimit { burst: 7, ..limit("per-day", 1_000_000_000, 86_400) }];
        key.credits = Some(refilled(1_000_000_000_000_000, Refill { amount: 5, interval: Interval::Month }));
        key.allowed_cidrs = networks(&["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]);
    };
    let key = rig.create(given).await;
    let plain = rig.create(|_| ()).await;
    rig.reopen().await;
    for key in [key, plain] {
        assert_eq!(rig.get(&key.id).await, key);
        assert_eq!(rig.find(&key.secrets[0].public_prefix).await.expect("its secret").key, key);
        assert!(rig.page(|_| ()).await.keys.contains(&key));
    }
}

pub async fn credits_are_set_by_updates(rig: Rig) {
    let mut key = rig.create(|_| ()).await;
    let monthly = Refill { amount: 100, interval: Interval::Month };
    for (patch, expect) in [
        (set(Some(5), None), Some(credits(5))),
        (set(None, Some(Some(DAILY))), Some(refilled(5, DAILY))),
        (set(Some(7), Some(Some(monthly))), Some(refilled(7, monthly))),
        (set(None, Some(None)), Some(credits(7))),
        (set(Some(0), None), Some(credits(0))),
        (Patch { credits: Some(CreditsPatch::Unlimited), ..Patch::default() }, None),
        (set(None, Some(Some(monthly))), Some(refilled(100, monthly))),
    ] {
        // Whatever is said to be left is set anew, also if it is what is left already.
        let is_set = matches!(patch.credits, Some(CreditsPatch::Limited { remaining: Some(_), .. }));
        for again in [false, true] {
            let updated = rig.update(&key.id, patch.clone()).await;
            if is_set || !again {
                let before = key.credits.as_ref().map(|credits| credits.epoch);
                key = ApiKey { credits: expect.clone(), revision: key.revision + 1, update_time: at(1), ..key };
                if let Some(credits) = &mut key.credits {
                    credits.epoch = before.filter(|_| !is_set).unwrap_or(key.revision);
                }
            }
            assert_eq!(updated, key, "{patch:?}");
            assert_eq!(rig.get(&key.id).await, key, "{patch:?}");
        }
    }
}

pub async fn credits_are_taken_and_given_back(rig: Rig) {
    let id = create(&rig, credits(100)).await;
    let store = rig.store.as_ref();
    let granted = store.take_credits(&[asked(&id, 5, 1)], at(1)).await.expect("an answer");
    assert_eq!(granted, [CreditsGranted { key_id: id.clone(), granted: 5, remaining: 95, refill_time: None }]);
    assert_eq!(remaining(&rig, &id).await, 95);
    give_back(&rig, &id, 1, 3).await;
    assert_eq!(remaining(&rig, &id).await, 98);
    // Nothing else about the key is changed.
    assert_eq!((rig.get(&id).await.revision, rig.events_of(&id).await.len()), (1, 1));
    assert_eq!(store.take_credits(&[], at(1)).await.expect("an answer"), []);
    store.return_credits(&[]).await.expect("nothing to take back");
}

pub async fn no_more_than_an_eighth_is_taken_beyond_need(rig: Rig) {
    for (there, want, need, granted) in [
        (100, 50, 0, 12),
        (100, 5, 0, 5),
        (100, 50, 20, 20),
        (100, 12, 12, 12),
        (7, 5, 0, 0),
        (7, 5, 1, 1),
        (7, 5, 5, 5),
        (7, 9, 9, 7),
        (7, 0, 0, 0),
        (0, 5, 5, 0),
        (100, 0, 500, 100),
    ] {
        let id = create(&rig, credits(there)).await;
        let answer = take(rig.store.as_ref(), asked(&id, want, need), at(1)).await;
        assert_eq!(answer, Some((granted, there - granted, None)), "{want}, {need} of {there}");
        assert_eq!(remaining(&rig, &id).await, there - granted);
    }
}

pub async fn nobody_takes_of_what_is_not_there(rig: Rig) {
    let (id, unlimited) = (create(&rig, credits(100)).await, rig.create(|_| ()).await.id);
    let gone = create(&rig, credits(100)).await;
    done(rig.store.delete_key(&gone, &by(at(1))).await);
    let other_epoch = CreditsAsked { epoch: 2, ..asked(&id, 5, 5) };
    let strange = [asked(&gone, 5, 5), asked(&new_id(), 5, 5), asked(&KeyId::from_text(""), 5, 5), other_epoch];
    let strange = [&strange[..], &[asked(&unlimited, 5, 5)]].concat();
    assert_eq!(rig.store.take_credits(&strange, at(1)).await.expect("an answer"), []);
    for (id, epoch) in [(&gone, 1), (&unlimited, 1), (&id, 2), (&id, 0)] {
        give_back(&rig, id, epoch, 50).await;
    }
    assert_eq!(remaining(&rig, &id).await, 100);
    // One beside them gets its own.
    let granted = rig.store.take_credits(&[asked(&gone, 5, 5), asked(&id, 5, 5)], at(1)).await.expect("an answer");
    assert_eq!(granted.into_iter().map(|granted| (granted.key_id, granted.granted)).collect::<Vec<_>>(), [(id, 5)]);
}

pub async fn credits_are_refilled_once_when_it_is_time(rig: Rig) {
    let due = DAILY.interval.next(at(0));
    let (before, after) = (Timestamp::from_micros(due.as_micros() - 1), Timestamp::from_micros(due.as_micros() + 1));
    let next = Some(DAILY.interval.next(due));
    let store = rig.store.as_ref();
    for now in [due, after] {
        let id = create(&rig, refilled(3, DAILY)).await;
        let ask = |want, need| CreditsAsked { refill: Some(DAILY), ..asked(&id, want, need) };
        assert_eq!(take(store, ask(1, 1), before).await, Some((1, 2, Some(due))));
        assert_eq!(take(store, ask(1, 1), now).await, Some((1, 9, next)));
        assert_eq!(take(store, ask(9, 9), now).await, Some((9, 0, next)));
        assert_eq!(take(store, ask(1, 1), now).await, Some((0, 0, next)), "not again");
        // A clock that steps back brings nothing, and takes nothing away.
        assert_eq!(take(store, ask(1, 1), before).await, Some((0, 0, next)));
        let credits = rig.get(&id).await.credits.expect("it has credits");
        assert_eq!((credits.remaining, credits.refill_time), (0, next));
    }
    // However long nobody looked, there is one refill; and no more than that is had from it.
    let id = create(&rig, refilled(3, DAILY)).await;
    let late = Timestamp::from_micros(due.as_micros() + 5 * 86_400_000_000);
    let ask = CreditsAsked { refill: Some(DAILY), ..asked(&id, 0, 0) };
    assert_eq!(take(store, ask, late).await, Some((0, 10, Some(DAILY.interval.next(late)))));
    let rich = create(&rig, refilled(50, DAILY)).await;
    let ask = CreditsAsked { refill: Some(DAILY), ..asked(&rich, 0, 0) };
    assert_eq!(take(store, ask, due).await, Some((0, 50, next)), "it never gets fewer");
}

pub async fn who_knows_of_no_refill_brings_none(rig: Rig) {
    let id = create(&rig, refilled(3, DAILY)).await;
    let due = DAILY.interval.next(at(0));
    assert_eq!(take(rig.store.as_ref(), asked(&id, 1, 1), due).await, Some((1, 2, Some(due))));
}

pub async fn credits_that_are_set_anew_void_what_was_taken(rig: Rig) {
    let id = create(&rig, credits(100)).await;
    let store = rig.store.as_ref();
    assert_eq!(take(store, asked(&id, 10, 10), at(1)).await, Some((10, 90, None)));
    assert_eq!(rig.update(&id, set(Some(1_000), None)).await.credits.expect("it has credits").epoch, 2);
    give_back(&rig, &id, 1, 10).await;
    assert_eq!(remaining(&rig, &id).await, 1_000);
    assert_eq!(take(store, asked(&id, 10, 10), at(1)).await, None);
    let newer = CreditsAsked { epoch: 2, ..asked(&id, 10, 10) };
    assert_eq!(take(store, newer, at(1)).await, Some((10, 990, None)));
    // Also if they are set to what is left.
    assert_eq!(rig.update(&id, set(Some(990), None)).await.credits.expect("it has credits").epoch, 3);
    give_back(&rig, &id, 2, 10).await;
    assert_eq!(remaining(&rig, &id).await, 990);
    // Nor do those come back that were taken before there were none.
    rig.update(&id, Patch { credits: Some(CreditsPatch::Unlimited), ..Patch::default() }).await;
    give_back(&rig, &id, 2, 10).await;
    rig.update(&id, set(Some(5), None)).await;
    give_back(&rig, &id, 2, 10).await;
    assert_eq!(remaining(&rig, &id).await, 5);
}

pub async fn what_is_spent_stays_spent_when_the_key_changes(rig: Rig) {
    let id = create(&rig, credits(100_000)).await;
    let other = rig.callers(2).await.pop().expect("two");
    let mut taken = 0;
    for round in 0..40 {
        let interval = if round % 4 < 2 { Interval::Day } else { Interval::Week };
        let patch = match round % 4 {
            0 | 2 => set(None, Some(Some(Refill { amount: 5, interval }))),
            _ => Patch { name: Some(format!("name {round}")), enabled: Some(true), ..Patch::default() },
        };
        let updating = rig.update(&id, patch);
        let (granted, _) = race(round, take(other.as_ref(), asked(&id, 7, 7), at(1)), updating).await;
        taken += granted.expect("its epoch").0;
    }
    assert_eq!((taken, remaining(&rig, &id).await), (280, 100_000 - 280));
}

pub async fn a_refill_comes_once_though_the_key_changes(rig: Rig) {
    let other = rig.callers(2).await.pop().expect("two");
    let now = DAILY.interval.next(at(0));
    for round in 0..30 {
        let id = create(&rig, refilled(0, DAILY)).await;
        let ask = CreditsAsked { refill: Some(DAILY), ..asked(&id, 1, 1) };
        let other_amount = set(None, Some(Some(Refill { amount: 9, ..DAILY })));
        race(round, take(other.as_ref(), ask, now), rig.update(&id, other_amount)).await;
        let credits = rig.get(&id).await.credits.expect("it has credits");
        assert_eq!((credits.remaining, credits.refill_time), (9, Some(DAILY.interval.next(now))));
    }
}

pub async fn all_sides_together_get_no_more_than_there_is(rig: Rig) {
    const THERE: i64 = 10_000;
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(create(&rig, credits(THERE)).await);
    }
    let mut taking = tokio::task::JoinSet::new();
    for (number, store) in (0_usize..).zip(rig.callers(8).await) {
        // Each in another order: whoever locks row by row as given would deadlock here.
        let mut ids = ids.clone();
        ids.rotate_left(number);
        taking.spawn(async move {
            let mut spent = 0;
            for round in 0..40 {
                let asked: Vec<_> = ids.iter().map(|id| asked(id, 200, 60)).collect();
                let granted = store.take_credits(&asked, at(1)).await.expect("an answer");
                spent += granted.iter().map(|granted| granted.granted).sum::<i64>();
                if round % 3 == 0 {
                    let back = granted.iter().rev().map(|granted| CreditsReturned {
                        key_id: granted.key_id.clone(),
                        epoch: 1,
                        amount: granted.granted / 2,
                    });
                    let back: Vec<_> = back.collect();
                    spent -= back.iter().map(|back| back.amount).sum::<i64>();
                    store.return_credits(&back).await.expect("taken back");
                }
            }
            spent
        });
    }
    let spent: i64 = taking.join_all().await.into_iter().sum();
    let mut left = 0;
    for id in &ids {
        let remaining = remaining(&rig, id).await;
        assert!(remaining >= 0);
        left += remaining;
    }
    assert_eq!(spent + left, 8 * THERE);
}

pub async fn spending_and_deleting_do_not_wait_for_each_other(rig: Rig) {
    let limit = limit("daily", 10, 86_400);
    for round in 0..8 {
        let mut ids = Vec::new();
        for _ in 0..16 {
            ids.push(create(&rig, credits(1_000)).await);
        }
        let mut working = tokio::task::JoinSet::new();
        let callers = rig.callers(4).await;
        for (number, store) in callers.into_iter().enumerate() {
            let mut ids = ids.clone();
            ids.rotate_left((round + number) % 16);
            let limit = limit.clone();
            working.spawn(async move {
                let spent: Vec<_> = ids.iter().map(|id| spent(id, &limit, 1)).collect();
                for _ in 0..4 {
                    let asked: Vec<_> = ids.iter().map(|id| asked(id, 3, 3)).collect();
                    store.take_credits(&asked, at(1)).await.expect("an answer");
                    store.settle_rates(&spent, at(1)).await.expect("an answer");
                }
            });
        }
        // All in one commit, the last one first.
        for id in ids.iter().rev().take(12) {
            let (store, id) = (Arc::clone(&rig.store), id.clone());
            working.spawn(async move { done(store.delete_key(&id, &by(at(1))).await) });
        }
        working.join_all().await;
    }
}

fn spent(id: &KeyId, limit: &RateLimit, spent: u64) -> RateSpent {
    RateSpent { key_id: id.clone(), limit: limit.clone(), spent, asked: spent, idle_max: None }
}

/// What is known of one limit once it is settled.
async fn settle(store: &dyn Store, spent: RateSpent, now: Timestamp) -> RateLevel {
    let mut told = store.settle_rates(std::slice::from_ref(&spent), now).await.expect("an answer");
    let level = told.pop().expect("the key is there");
    assert!(told.is_empty());
    assert_eq!((&level.key_id, &level.name), (&spent.key_id, &spent.limit.name));
    level
}

/// So slow that nothing of it comes back during a test.
fn slow(name: &str) -> RateLimit {
    limit(name, 1, 366 * 86_400)
}

/// What is `there` up to what may have come back meanwhile.
#[track_caller]
fn near(level: f64, there: f64) {
    assert!((level - there).abs() < 0.001, "{level} is not {there}");
}

pub async fn what_is_spent_of_a_limit_adds_up(rig: Rig) {
    let key = rig.create(|_| ()).await;
    let store = rig.store.as_ref();
    let first = settle(store, RateSpent { asked: 5, ..spent(&key.id, &slow("a"), 3) }, at(1)).await;
    near(first.level, 3.0);
    assert_eq!((first.spent, first.asked), (3, 5));
    let second = settle(store, spent(&key.id, &slow("a"), 4), at(1)).await;
    near(second.level, 7.0);
    assert_eq!((second.spent, second.asked), (7, 9));
    let other = settle(store, spent(&key.id, &slow("b"), 1), at(1)).await;
    assert_eq!((other.spent, other.asked), (1, 1), "each limit is its own");
    let looked = settle(store, spent(&key.id, &slow("a"), 0), at(1)).await;
    assert_eq!((looked.spent, looked.asked), (7, 9));
    let several = [spent(&key.id, &slow("b"), 1), spent(&key.id, &slow("a"), 1), spent(&key.id, &slow(""), 1)];
    let mut told = store.settle_rates(&several, at(1)).await.expect("an answer");
    told.sort_by(|a, b| a.name.cmp(&b.name));
    let told: Vec<_> = told.iter().map(|level| (level.name.as_str(), level.spent)).collect();
    assert_eq!(told, [("", 1), ("a", 8), ("b", 2)]);
    // Nothing else about the key is changed.
    assert_eq!(rig.get(&key.id).await, key);
    assert_eq!(rig.events_of(&key.id).await.len(), 1);
    assert_eq!(store.settle_rates(&[], at(1)).await.expect("an answer"), []);
}

pub async fn what_is_spent_is_found_with_the_secret(mut rig: Rig) {
    let defaults = vec![limit("", 5, 60)];
    let key = rig.create(|key| key.rate_limits = vec![slow("a"), slow("b")]).await;
    let of_keyspace = KeyspacePatch { default_rate_limits: Some(defaults.clone()), ..KeyspacePatch::default() };
    let keyspace = done(rig.store.update_keyspace(DEFAULT, &of_keyspace, None, &by(at(1))).await);
    assert_eq!(keyspace.default_rate_limits, defaults);
    let prefix = &key.secrets[0].public_prefix;
    let found = rig.find(prefix).await.expect("its secret");
    assert_eq!((found.default_rate_limits, found.rates), (defaults.clone(), vec![]));
    let settled = settle(rig.store.as_ref(), spent(&key.id, &slow("a"), 3), at(1)).await;
    settle(rig.store.as_ref(), spent(&rig.create(|_| ()).await.id, &slow("b"), 3), at(1)).await;
    rig.reopen().await;
    let found = rig.find(prefix).await.expect("its secret");
    let [rate] = &found.rates[..] else { panic!("{:?}", found.rates) };
    assert_eq!(*rate, RateLevel { now: rate.now, ..settled });
    assert_eq!(rate.now.is_some(), rig.fixture.backend == Backend::Postgres, "who has a clock says what time it is");
    assert_eq!(rig.keyspace(DEFAULT).await.expect("it is there").default_rate_limits, defaults);
    let none = KeyspacePatch { default_rate_limits: Some(vec![]), ..KeyspacePatch::default() };
    done(rig.store.update_keyspace(DEFAULT, &none, None, &by(at(2))).await);
    assert_eq!(rig.find(prefix).await.expect("its secret").default_rate_limits, []);
}

pub async fn limits_of_keys_that_are_gone_are_passed_over(rig: Rig) {
    let (gone, stays) = (rig.create(|_| ()).await, rig.create(|_| ()).await);
    settle(rig.store.as_ref(), spent(&gone.id, &slow("a"), 3), at(1)).await;
    done(rig.store.delete_key(&gone.id, &by(at(1))).await);
    let ids = [gone.id, new_id(), KeyId::from_text(""), stays.id.clone()];
    let all: Vec<_> = ids.iter().map(|id| spent(id, &slow("a"), 2)).collect();
    for expect in [2, 4] {
        let told = rig.store.settle_rates(&all, at(1)).await.expect("an answer");
        let told: Vec<_> = told.into_iter().map(|level| (level.key_id, level.spent)).collect();
        assert_eq!(told, [(stays.id.clone(), expect)]);
    }
}

pub async fn what_was_spent_comes_back_with_time(rig: Rig) {
    const PASSED: Duration = Duration::from_millis(30);
    let id = rig.create(|_| ()).await.id;
    let store = rig.store.as_ref();
    // A thousandth of it each millisecond.
    let limit = limit("", 1_000, 1);
    for (idle_max, least, most) in [
        (None, 30.0, f64::INFINITY),
        (Some(Duration::from_secs(9)), 30.0, f64::INFINITY),
        (Some(Duration::from_millis(7)), 7.0, 7.0),
        (Some(Duration::ZERO), 0.0, 0.0),
    ] {
        let begun = SystemClock.now();
        let before =
            settle(store, RateSpent { idle_max: Some(Duration::ZERO), ..spent(&id, &limit, 1_000_000) }, begun);
        let before = before.await;
        assert!(before.level >= 1_000_000.0);
        tokio::time::sleep(PASSED).await;
        let after = settle(store, RateSpent { idle_max, ..spent(&id, &limit, 0) }, SystemClock.now()).await;
        let (back, passed) = (before.level - after.level, after.at.as_micros() - before.at.as_micros());
        assert!(back >= least - 0.001 && back <= most + 0.001, "{back} after {idle_max:?}");
        if most > 30.0 {
            #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
            near(back, passed as f64 / 1_000.0);
        }
    }
    // No more comes back than was spent.
    let idle = rig.create(|_| ()).await.id;
    settle(store, spent(&idle, &limit, 2), SystemClock.now()).await;
    tokio::time::sleep(PASSED).await;
    near(settle(store, spent(&idle, &limit, 5), SystemClock.now()).await.level, 5.0);
}

pub async fn a_clock_that_steps_back_brings_nothing_back(rig: Rig) {
    let id = rig.create(|_| ()).await.id;
    let store = rig.store.as_ref();
    let limit = limit("", 1_000, 1_000_000);
    settle(store, spent(&id, &limit, 100), at(1_000)).await;
    near(settle(store, spent(&id, &limit, 1), at(10)).await.level, 101.0);
    let later = settle(store, spent(&id, &limit, 0), at(11_010)).await;
    // By the process's clock there are eleven thousand seconds between, by the server's none.
    near(later.level, if rig.fixture.backend == Backend::Sqlite { 90.0 } else { 101.0 });
}

pub async fn what_all_sides_spend_of_limits_adds_up(rig: Rig) {
    const ROUNDS: u64 = 20;
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(rig.create(|_| ()).await.id);
    }
    let mut spending = tokio::task::JoinSet::new();
    for (number, store) in (0_usize..).zip(rig.callers(8).await) {
        let mut all: Vec<_> = ids.iter().flat_map(|id| ["a", "b"].map(|name| spent(id, &slow(name), 1))).collect();
        all.rotate_left(2 * number + number % 2);
        spending.spawn(async move {
            for _ in 0..ROUNDS {
                assert_eq!(store.settle_rates(&all, at(1)).await.expect("an answer").len(), all.len());
            }
        });
    }
    spending.join_all().await;
    for id in &ids {
        for name in ["a", "b"] {
            let level = settle(rig.store.as_ref(), spent(id, &slow(name), 0), at(1)).await;
            near(level.level, 160.0);
            assert_eq!((level.spent, level.asked), (160, 160));
        }
    }
}
