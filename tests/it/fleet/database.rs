//! What becomes of the replicas when the database goes: for a moment, for long, or for good.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis::grpc::pb::{Verdict, VerifyRequest};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Times;
use super::load::{Load, name};
use super::rig::{LEASE, Rig, now, rounds};
use crate::support::postgres::Cluster;
use crate::support::service::{in_time, new_key};

/// Takes the database away and brings it back, while keys are revoked.
async fn goes_and_comes(what: &str, goes: fn(&mut Cluster)) {
    let mut cluster = Cluster::start();
    let rig = Rig::start(&cluster, 3, LEASE).await;
    for round in 0..rounds() {
        let load = Load::start(&rig, 40).await;
        load.ends(20).await;
        let began = now();
        goes(&mut cluster);
        // The first time it comes back while leases last.
        sleep(LEASE * u32::try_from(round % 3).expect("at most 2")).await;
        cluster.start_again();
        let over = now();
        rig.is_well().await;
        load.ends(40).await;
        let (history, _) = load.stop_and_check(what).await;
        let away = over.saturating_sub(began);
        println!("round {round}: away for {away:?}, meanwhile {}", Times::of(history.times(began, over)));
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_restarted_at_once_un_revokes_nothing() {
    goes_and_comes("restarted at once", Cluster::stop_immediate).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_database_un_revokes_nothing() {
    goes_and_comes("killed", Cluster::kill).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_takes_over_un_revokes_nothing() {
    for round in 0..rounds() {
        let (mut primary, mut standby) = Cluster::start_with_standby();
        let rig = Rig::start(&primary, 3, LEASE).await;
        let load = Load::start(&rig, 40).await;
        load.ends(20).await;
        let began = now();
        primary.kill();
        rig.lead_to(&standby.socket());
        standby.promote();
        let over = now();
        rig.is_well().await;
        load.ends(40).await;
        // What was answered before as well.
        let mut asked = 0;
        for on in 0..3 {
            asked += load.ask_for_all_ended_since(Duration::ZERO, on).await;
        }
        let (history, _) = load.stop_and_check("a standby took over").await;
        let away = over.saturating_sub(began);
        println!(
            "round {round}: away for {away:?}, meanwhile {}; {asked} asked for after",
            Times::of(history.times(began, over))
        );
        assert!(asked >= 3 * 60);
        rig.end().await;
    }
}

/// Keys that do not change, and what was answered on them.
struct Steady {
    stop: Arc<AtomicBool>,
    asking: JoinSet<Vec<Answer>>,
}

struct Answer {
    sent: Duration,
    answered: Duration,
    /// `Err`: by its reason.
    heard: Result<(), String>,
}

impl Steady {
    async fn start(rig: &Rig) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let mut asking = JoinSet::new();
        for door in rig.doors() {
            let mut caller = door.caller(0);
            let (_, secret) = caller.create(new_key("steady")).await;
            for _ in 0..2 {
                assert_eq!(caller.verdict(&secret).await, Verdict::Valid);
            }
            let stop = stop.clone();
            asking.spawn(async move {
                let mut answers = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let sent = now();
                    let answer =
                        caller.verification.verify(VerifyRequest { key: secret.clone(), ..Default::default() }).await;
                    let heard = match answer {
                        Ok(answer) => {
                            assert_eq!(answer.into_inner().verdict(), Verdict::Valid);
                            Ok(())
                        }
                        Err(status) => Err(name(&status)),
                    };
                    answers.push(Answer { sent, answered: now(), heard });
                    sleep(Duration::from_millis(2)).await;
                }
                answers
            });
        }
        Self { stop, asking }
    }

    async fn stop(self) -> Vec<Answer> {
        self.stop.store(true, Ordering::Relaxed);
        in_time("the answers", self.asking.join_all()).await.into_iter().flatten().collect()
    }
}

fn errors(answers: &[Answer]) -> BTreeMap<&str, usize> {
    let mut errors = BTreeMap::new();
    for error in answers.iter().filter_map(|answer| answer.heard.as_ref().err()) {
        *errors.entry(error.as_str()).or_default() += 1;
    }
    errors
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_shorter_than_the_lease_is_not_noticed_by_who_asks_for_known_keys() {
    let lease = Duration::from_secs(8);
    let mut cluster = Cluster::start_hurried();
    let rig = Rig::start(&cluster, 3, lease).await;
    for round in 0..rounds() {
        let steady = Steady::start(&rig).await;
        sleep(lease / 8).await;
        let began = now();
        cluster.stop_immediate();
        sleep((began + lease / 2).saturating_sub(now())).await;
        cluster.start_again();
        let away = now().saturating_sub(began);
        rig.is_well().await;
        let answers = steady.stop().await;
        println!(
            "round {round}: lease {lease:?}, away for {away:?}: {} verifications, errors: {:?}",
            answers.len(),
            errors(&answers)
        );
        // Of a machine that took its time to start the database, no more can be asked.
        let until = if away < lease * 2 / 3 { now() } else { began + lease / 2 };
        let failed = answers.iter().filter(|answer| answer.answered < until && answer.heard.is_err()).count();
        assert_eq!(failed, 0, "of those answered while the lease lasted");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_longer_than_the_lease_stops_all_answers_until_it_is_over() {
    let mut cluster = Cluster::start_hurried();
    let rig = Rig::start(&cluster, 3, LEASE).await;
    for round in 0..rounds() {
        let steady = Steady::start(&rig).await;
        sleep(LEASE / 4).await;
        cluster.stop_immediate();
        let gone = now();
        sleep(LEASE * 2).await;
        let back = now();
        cluster.start_again();
        rig.is_well().await;
        let well = now();
        sleep(LEASE / 4).await;
        let answers = steady.stop().await;
        println!(
            "round {round}: lease {LEASE:?}: {} verifications, errors: {:?}; well {:?} after the database was started",
            answers.len(),
            errors(&answers),
            well.saturating_sub(back)
        );
        // No look at the log can have begun after it was gone.
        let late: Vec<_> = answers.iter().filter(|it| it.sent > gone + LEASE && it.answered < back).collect();
        assert!(!late.is_empty(), "somebody asked");
        for answer in late {
            let reason = answer.heard.as_ref().expect_err("nobody has a lease");
            let reasons = ["LEASE_OVER", "STORE_UNAVAILABLE"];
            assert!(reasons.iter().any(|known| reason.ends_with(known)), "{reason}");
        }
        assert!(answers.iter().any(|answer| answer.sent > well && answer.heard.is_ok()), "it is over");
    }
    rig.end().await;
}
