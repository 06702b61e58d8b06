//! Credits that several replicas spend at full rate: never more than there are, and all of them but what a killed replica
//! had taken out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use portcullis::grpc::pb::{self, CreateApiKeyRequest, Credits, Verdict, VerifyRequest};
use portcullis::store::spending::SHARE_MAX;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::rig::{LEASE, Rig, now};
use crate::support::postgres;
use crate::support::proxy::Way;
use crate::support::service::{Caller, eventually, in_time, new_key};

const GIVEN: i64 = 10_000;
/// Clients that spend without pause, on each replica.
const SPENDERS: usize = 4;

/// Clients that spend the credits of a key.
struct Spending {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    accepted: AtomicI64,
    /// Found none left, which may not be so a moment later.
    refused: AtomicI64,
    /// May have been accepted.
    unanswered: AtomicI64,
}

/// A new key with all the credits: its id and its secret.
async fn make_key(caller: &mut Caller) -> (String, String) {
    let credits = Some(Credits { remaining: Some(GIVEN), ..Default::default() });
    let (key, secret) = caller.create(CreateApiKeyRequest { credits, ..new_key("metered") }).await;
    (key.id, secret)
}

impl Spending {
    fn start(rig: &Rig, secret: &str) -> Self {
        let shared = Arc::<Shared>::default();
        let mut clients = JoinSet::new();
        for door in rig.doors() {
            for nth in 0..SPENDERS {
                let (door, shared, secret) = (door.clone(), shared.clone(), secret.to_owned());
                clients.spawn(async move {
                    while !shared.stop.load(Ordering::Relaxed) {
                        // It may be another process by now.
                        let mut caller = door.caller(nth);
                        let request = VerifyRequest { key: secret.clone(), ..Default::default() };
                        match in_time("an answer", caller.verification.verify(request)).await {
                            Ok(answer) => match answer.into_inner().verdict() {
                                Verdict::Valid => drop(shared.accepted.fetch_add(1, Ordering::SeqCst)),
                                Verdict::CreditsExhausted => drop(shared.refused.fetch_add(1, Ordering::SeqCst)),
                                other => panic!("{other:?}"),
                            },
                            Err(_) => {
                                shared.unanswered.fetch_add(1, Ordering::SeqCst);
                                sleep(Duration::from_millis(20)).await;
                            }
                        }
                    }
                });
            }
        }
        Self { shared, clients }
    }

    fn accepted(&self) -> i64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Waits until so many were accepted; how many were.
    async fn accepts(&self, many: i64) -> i64 {
        in_time("credits to be spent", async {
            while self.accepted() < many {
                sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
        self.accepted()
    }

    /// Waits until many found nothing left.
    async fn is_over(&self) {
        let refused = async || (self.shared.refused.load(Ordering::SeqCst) > 1_000).then_some(());
        eventually("nothing to be left", refused).await;
    }

    async fn stop(self) -> (i64, i64) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.clients.join_all().await;
        (self.shared.accepted.load(Ordering::SeqCst), self.shared.unanswered.load(Ordering::SeqCst))
    }
}

async fn remaining(caller: &mut Caller, id: &str) -> i64 {
    caller.get(id).await.expect("the key").credits.expect("credits").remaining.expect("a number")
}

/// How many more are accepted one after another.
async fn spend_the_rest(caller: &mut Caller, secret: &str) -> i64 {
    let mut accepted = 0;
    loop {
        match caller.verdict(secret).await {
            Verdict::Valid => accepted += 1,
            Verdict::CreditsExhausted => return accepted,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_together_spend_all_credits_and_no_more() {
    let rig = Rig::start(postgres::shared(), 3, LEASE * 20).await;
    let mut admin = rig.doors()[0].caller(0);
    let (id, secret) = make_key(&mut admin).await;
    let spending = Spending::start(&rig, &secret);
    spending.accepts(GIVEN / 2).await;
    let (first, unanswered) = spending.stop().await;
    assert_eq!(unanswered, 0);
    eventually("what is not used to be given back", async || {
        let there = remaining(&mut admin, &id).await;
        assert!(there <= GIVEN - first, "{there} are there, and {first} were spent");
        (there == GIVEN - first).then_some(())
    })
    .await;
    let began = now();
    let spending = Spending::start(&rig, &secret);
    // What one took out and did not use comes back, and is for whoever asks.
    spending.accepts(GIVEN - first).await;
    let took = now().saturating_sub(began);
    spending.is_over().await;
    let (accepted, unanswered) = spending.stop().await;
    assert_eq!((first + accepted, unanswered), (GIVEN, 0));
    assert_eq!(remaining(&mut admin, &id).await, 0);
    for door in rig.doors() {
        assert_eq!(spend_the_rest(&mut door.caller(0), &secret).await, 0);
    }
    println!("credits: {first} and {accepted} of {GIVEN} accepted, the latter in {took:.1?}");
    rig.end().await;
}

/// What is taken out and not heard of is lost, and so is what is given back if nobody hears that it is there again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credits_whose_commits_are_not_heard_of_are_not_spent_twice() {
    let mut rig = Rig::start(postgres::shared(), 3, LEASE * 20).await;
    let mut admin = rig.doors()[0].caller(0);
    let (id, secret) = make_key(&mut admin).await;
    let spending = Spending::start(&rig, &secret);
    for round in 0..6 {
        let replica = round % 3;
        let before = rig.commits_lost(replica);
        rig.set(replica, Way::LosesCommits);
        eventually("a commit to be lost", async || (rig.commits_lost(replica) > before).then_some(())).await;
        rig.set(replica, Way::Open);
    }
    let (accepted, unanswered) = spending.stop().await;
    rig.stop_all().await;
    rig.start_again(0).await;
    let mut admin = rig.doors()[0].caller(0);
    let rest = spend_the_rest(&mut admin, &secret).await;
    println!(
        "credits with commits not heard of: {} of {GIVEN} accepted; {unanswered} refused as the store was away",
        accepted + rest
    );
    assert!(accepted + rest <= GIVEN, "{accepted} and {rest}");
    assert_eq!(remaining(&mut admin, &id).await, 0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_replicas_lose_no_more_credits_than_they_had_taken_out() {
    let mut rig = Rig::start(postgres::shared(), 3, LEASE * 20).await;
    let mut admin = rig.doors()[0].caller(0);
    let (id, secret) = make_key(&mut admin).await;
    let spending = Spending::start(&rig, &secret);
    let mut killed_at = BTreeMap::new();
    for (replica, many) in [(1, GIVEN / 4), (2, GIVEN / 2)] {
        spending.accepts(many).await;
        rig.kill(replica).await;
        killed_at.insert(replica, spending.accepted());
        rig.start_again(replica).await;
    }
    spending.is_over().await;
    let (accepted, unanswered) = spending.stop().await;
    assert!(accepted <= GIVEN, "{accepted}");
    // Now nobody has any taken out.
    rig.stop_all().await;
    rig.start_again(0).await;
    let mut admin = rig.doors()[0].caller(0);
    let back = remaining(&mut admin, &id).await;
    let rest = spend_the_rest(&mut admin, &secret).await;
    assert_eq!((rest, remaining(&mut admin, &id).await), (back, 0));
    let accepted = accepted + rest;
    let lost = GIVEN - accepted;
    println!(
        "credits with two kill -9s after {killed_at:?}: {accepted} of {GIVEN} accepted, of which {rest} when all but one \
         had ended; {lost} lost, of which at most {unanswered} were on their way"
    );
    assert!(lost >= 0, "{lost}");
    assert!(lost <= 2 * (GIVEN / SHARE_MAX) + unanswered, "{lost}");
    let given =
        pb::ApiKey { id, credits: Some(Credits { remaining: Some(5), ..Default::default() }), ..Default::default() };
    admin.update(given, &["credits"]).await.expect("more");
    assert_eq!(spend_the_rest(&mut admin, &secret).await, 5);
    rig.end().await;
}
