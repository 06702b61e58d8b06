//! Replicas that are stopped in their tracks, killed, or end in order.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::sleep;

use super::load::Load;
use super::rig::{LEASE, Rig, now, rounds, wait};
use super::{Times, slowest};
use crate::support::postgres;
use crate::support::proxy::Way;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_was_stopped_accepts_nothing_revoked_meanwhile() {
    stop_and_go_on("a replica stopped", async |_| ()).await;
}

/// It is stopped in the middle of a look at the log, and finds the answer when it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_waited_for_a_stopped_replica_is_worth_nothing() {
    let wait_for_an_answer = async |rig: &Rig| {
        rig.set(2, Way::Silent { there: false, back: true });
        // Longer than until the next look, and shorter than a look may take.
        sleep(LEASE / 8).await;
    };
    stop_and_go_on("a replica stopped while it waited for an answer", wait_for_an_answer).await;
}

async fn stop_and_go_on(what: &str, prepare: impl AsyncFn(&Rig)) {
    let rig = Rig::start(postgres::shared(), 3, LEASE).await;
    for round in 0..rounds() {
        let load = Load::start(&rig, 80).await;
        load.ends(10).await;
        load.shun(2, true);
        prepare(&rig).await;
        rig.signal(2, Signal::STOP);
        rig.set(2, Way::Open);
        let stopped = now();
        // What is revoked is asked for there at once, and waits in its sockets.
        load.ends(20).await;
        sleep((stopped + wait(LEASE) + LEASE / 2).saturating_sub(now())).await;
        load.ends(20).await;
        rig.signal(2, Signal::CONT);
        let went_on = now();
        let asked = load.ask_for_all_ended_since(stopped, 2).await;
        load.shun(2, false);
        rig.is_well().await;
        load.ends(20).await;
        let (history, counts) = load.stop_and_check(what).await;
        let meanwhile = Times::of(history.times(stopped, went_on));
        println!("round {round}: while it was stopped {meanwhile}; {asked} asked for when it went on");
        assert!(asked >= 40 && counts.after > asked);
        let queued = history.verifications.iter().filter(|seen| seen.on == 2 && seen.sent > stopped);
        let queued = queued.filter(|seen| seen.sent < went_on && seen.answered > went_on).count();
        println!("round {round}: {queued} were asked while it was stopped, and answered after");
        assert!(queued > 0);
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_replica_holds_nobody_up_for_long() {
    let mut rig = Rig::start(postgres::shared(), 3, LEASE).await;
    for round in 0..rounds() {
        let load = Load::start(&rig, 40).await;
        load.ends(10).await;
        let killed = now();
        rig.kill(round % 3).await;
        load.ends(LIVES_MANY).await;
        let started = now();
        rig.start_again(round % 3).await;
        rig.is_well().await;
        load.ends(20).await;
        let (history, _) = load.stop_and_check("a replica killed").await;
        println!("round {round}: without it {}", Times::of(history.times(killed, started)));
    }
    rig.end().await;
}

/// More than are on their way at once: most of them come after the first had to wait.
const LIVES_MANY: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_ends_in_order_holds_nobody_up() {
    // Whoever had to wait for the end of one of these would be noticed.
    let lease = Duration::from_secs(20);
    let mut rig = Rig::start(postgres::shared(), 3, lease).await;
    for round in 0..rounds() {
        let load = Load::start(&rig, 40).await;
        load.ends(10).await;
        let told = now();
        rig.stop(round % 3).await;
        load.ends(40).await;
        let started = now();
        rig.start_again(round % 3).await;
        rig.is_well().await;
        load.ends(20).await;
        let (history, _) = load.stop_and_check("a replica ended").await;
        let times = history.times(told, started);
        let slowest = slowest(&times);
        println!("round {round}: while and after it ended {}", Times::of(times));
        assert!(slowest < wait(lease) / 2, "somebody waited for a lease that was given back: {slowest:?}");
    }
    rig.end().await;
}

/// One stopped, one killed, of five: and the three that are left go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_of_five_go_on_without_the_other_two() {
    let mut rig = Rig::start(postgres::shared(), 5, LEASE).await;
    for round in 0..rounds() {
        let load = Load::start(&rig, 60).await;
        load.ends(10).await;
        let began = now();
        load.shun(4, true);
        rig.signal(4, Signal::STOP);
        rig.kill(3).await;
        load.ends(40).await;
        sleep((began + wait(LEASE) + LEASE / 2).saturating_sub(now())).await;
        rig.signal(4, Signal::CONT);
        let asked = load.ask_for_all_ended_since(began, 4).await;
        load.shun(4, false);
        rig.start_again(3).await;
        rig.is_well().await;
        load.ends(20).await;
        let (history, _) = load.stop_and_check("two of five lost").await;
        let meanwhile = Times::of(history.times(began, began + wait(LEASE) + LEASE / 2));
        println!("round {round}: without the two {meanwhile}; {asked} asked for when one went on");
    }
    rig.end().await;
}
