//! Bad ways between one replica and the database: silent, cut, slow.

use std::time::Duration;

use tokio::time::sleep;

use super::load::Load;
use super::rig::{LEASE, Rig, now, rounds, wait};
use super::{Times, median};
use crate::support::postgres;
use crate::support::proxy::{BLACK_HOLE, Way};

/// Revokes through the others while the way of one is bad, for longer than leases last, and checks what was seen.
async fn with_a_bad_way(what: &str, way: Way) {
    let rig = Rig::start(postgres::shared(), 3, LEASE).await;
    for round in 0..rounds() {
        let bad = round % 3;
        let load = Load::start(&rig, 80).await;
        load.ends(10).await;
        load.shun(bad, true);
        rig.set(bad, way);
        let began = now();
        load.ends(20).await;
        sleep((began + wait(LEASE) + LEASE).saturating_sub(now())).await;
        load.ends(20).await;
        let over = now();
        rig.set(bad, Way::Open);
        let asked = load.ask_for_all_ended_since(began, bad).await;
        load.shun(bad, false);
        rig.is_well().await;
        load.ends(20).await;
        let (history, counts) = load.stop_and_check(what).await;
        let times = history.times(began, over);
        println!("round {round}: meanwhile {}; {asked} asked for when it was good again", Times::of(times));
        assert!(asked >= 40 && counts.after > asked);
        // It had known most of them by heart, and rested on nothing for the last second.
        let late = began + LEASE..over;
        let meanwhile = history.verifications.iter().filter(|seen| seen.on == bad && late.contains(&seen.sent));
        let (answered, refused): (Vec<_>, Vec<_>) = meanwhile.partition(|seen| seen.heard.is_ok());
        println!("round {round}: of it, {} were answered and {} refused", answered.len(), refused.len());
        if !matches!(way, Way::Slow(_)) {
            let answered: Vec<_> = answered.into_iter().filter(|seen| seen.answered < over).collect();
            assert!(answered.is_empty(), "it had no lease: {answered:?}");
        }
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_in_a_black_hole_accepts_nothing_revoked() {
    with_a_bad_way("a black hole", BLACK_HOLE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_hears_no_answers_accepts_nothing_revoked() {
    with_a_bad_way("no answers", Way::Silent { there: false, back: true }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_not_heard_accepts_nothing_revoked() {
    with_a_bad_way("no questions", Way::Silent { there: true, back: false }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_cut_off_accepts_nothing_revoked() {
    with_a_bad_way("cut off", Way::Cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_way_is_only_slow() {
    with_a_bad_way("a slow way", Way::Slow(Duration::from_millis(15))).await;
}

/// So slow that no look at the log is in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_way_that_is_too_slow_is_as_good_as_none() {
    with_a_bad_way("too slow a way", Way::Slow(LEASE / 2)).await;
}

/// The first that waits for a replica which is cut off waits for its lease; once it is off the list, nobody does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_first_waits_for_a_replica_that_is_cut_off() {
    let lease = Duration::from_secs(4);
    let rig = Rig::start(postgres::shared(), 3, lease).await;
    for round in 0..rounds() {
        let load = Load::start(&rig, 40).await;
        load.ends(10).await;
        load.shun(0, true);
        rig.set(0, BLACK_HOLE);
        let began = now();
        load.ends(1).await;
        // Off the list: it was marked as dead, and then seen to be so for long enough.
        sleep((began + wait(lease) + lease).saturating_sub(now())).await;
        let settled = now();
        load.ends(40).await;
        let over = now();
        rig.set(0, Way::Open);
        load.shun(0, false);
        rig.is_well().await;
        load.ends(20).await;
        let (history, _) = load.stop_and_check("the first and the others").await;
        let (first, others) = (history.times(began, settled), history.times(settled, over));
        println!(
            "round {round}: lease {lease:?}: at first {}; then {}",
            Times::of(first.clone()),
            Times::of(others.clone())
        );
        // How long the first waits is not certain: all may have been on their way when it was cut off, and count as before.
        assert!(median(&others) < wait(lease) / 2, "nobody has to wait any more");
    }
    rig.end().await;
}
