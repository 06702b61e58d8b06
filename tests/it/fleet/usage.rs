//! What replicas together counted is what clients were answered, to the unit: whatever ends in order, is away for a while,
//! or does not hear of its commits. What is lost with a replica that is killed is what it answered last.
//!
//! `PORTCULLIS_TEST_USAGE_CALLS` says how many verifications there are, `PORTCULLIS_TEST_USAGE_KEYS` of how many keys.

use std::time::Duration;

use portcullis::grpc::pb::UsageGroup;
use rustix::process::Signal;

use super::rig::{Rig, now};
use super::traffic::{By, Counts, Keys, Traffic, add, by_verdict, told, total};
use crate::support::postgres::{self, Cluster};
use crate::support::proxy::Way;
use crate::support::service::{Caller, eventually};

const CALLS: usize = 30_000;
const KEYS: usize = 1_000;
const KEYSPACES: [&str; 2] = ["mails", "orders"];
/// Of which only the replica is asked that is killed; few enough to be written in one batch.
const KILLED: &str = "killed";
const KILLED_KEYS: usize = 300;
/// More questions than are ever asked.
const NEVER_DONE: usize = 1 << 40;
/// No lease ends in between, however slow the machine.
const LONG: Duration = Duration::from_mins(1);

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |number| number.parse().expect("a number"))
}

fn calls() -> usize {
    setting("PORTCULLIS_TEST_USAGE_CALLS", CALLS)
}

fn keys() -> usize {
    setting("PORTCULLIS_TEST_USAGE_KEYS", KEYS)
}

/// Checks that two counts are equal, and shows no more than a few of those that are not.
#[track_caller]
fn check_equal(told: &Counts, counted: &Counts) {
    let count = |of: &Counts, what| of.get(what).copied().unwrap_or(0);
    let differ = told.keys().chain(counted.keys()).filter(|what| count(told, what) != count(counted, what));
    let differ: Vec<_> = differ.map(|what| (what, count(told, what), count(counted, what))).take(5).collect();
    let (told, counted) = (total(told), total(counted));
    assert!(differ.is_empty(), "told {told}, and clients counted {counted}; told and counted: {differ:?}");
}

/// Checks what is told by key, by keyspace and by verdict.
async fn check_told(what: &str, caller: &mut Caller, keys: &Keys, counted: &Counts) {
    let by_key = told(caller, UsageGroup::Key, &KEYSPACES).await.expect("an answer");
    check_equal(&by_key, counted);
    let by_keyspace = told(caller, UsageGroup::Keyspace, &KEYSPACES).await.expect("an answer");
    check_equal(&by_keyspace, &keys.by_keyspace(counted));
    assert_eq!(by_verdict(&by_key), by_verdict(counted));
    println!(
        "{what}: clients counted {} answers on {} keys, QueryUsage tells {} by key and {} by keyspace: {:?}",
        total(counted),
        keys.len(),
        total(&by_key),
        total(&by_keyspace),
        by_verdict(&by_key)
    );
}

/// Waits until all that was counted is told, and never more.
async fn until_told(caller: &mut Caller, keys: &Keys, counted: &Counts) {
    eventually("all to be written", async || {
        let by_keyspace = told(caller, UsageGroup::Keyspace, &KEYSPACES).await.ok()?;
        assert!(total(&by_keyspace) <= total(counted), "{} of {}", total(&by_keyspace), total(counted));
        (total(&by_keyspace) == total(counted)).then_some(())
    })
    .await;
    check_equal(
        &told(caller, UsageGroup::Keyspace, &KEYSPACES).await.expect("told before"),
        &keys.by_keyspace(counted),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_end_in_order_usage_is_what_clients_counted() {
    let mut rig = Rig::start(postgres::shared(), 3, LONG).await;
    let keys = Keys::make(&rig.doors()[0].caller(0), &KEYSPACES, keys()).await;
    let began = now();
    let counted = Traffic::new(&keys).ask(&rig.doors(), 0..calls()).all_answered().await;
    let took = now().saturating_sub(began);
    assert_eq!(usize::try_from(total(&counted)).expect("a count"), calls());
    // Much of it is not written yet.
    rig.stop_all().await;
    rig.start_again(1).await;
    println!("in order: {} answers took {took:.1?}", total(&counted));
    check_told("in order", &mut rig.doors()[1].caller(0), &keys, &counted).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_killed_replica_only_its_latest_answers_are_lost() {
    let mut rig = Rig::start(postgres::shared(), 3, LONG).await;
    let doors = rig.doors();
    let mut reader = doors[0].caller(3);
    let keys = Keys::make(&doors[0].caller(0), &KEYSPACES, keys()).await;
    let only_there = Keys::make(&doors[0].caller(0), &[KILLED], KILLED_KEYS).await;
    let mut counted = Traffic::new(&keys).ask(&doors, 0..calls() / 3).all_answered().await;
    until_told(&mut reader, &keys, &counted).await;

    let others = Traffic::new(&keys).ask(&doors[..2], calls() / 3..calls() * 2 / 3);
    let mut killed = Traffic::new(&only_there);
    for by in [By::Verify, By::Batch, By::Stream] {
        killed.put(&doors[2], by, 0..NEVER_DONE);
    }
    // How many it had answered when another was asked what is written, and how many were.
    let mut looks: Vec<(i64, i64)> = vec![(0, 0)];
    eventually("the third batch", async || {
        let answered = killed.answered();
        let written = total(&told(&mut reader, UsageGroup::Keyspace, &[KILLED]).await.expect("an answer"));
        looks.push((answered, written));
        let mut batches: Vec<_> = looks.iter().map(|(_, written)| *written).collect();
        batches.dedup();
        (batches.len() > 3).then_some(())
    })
    .await;
    // Some time between two batches.
    tokio::time::sleep(rand::random_range(Duration::ZERO..Duration::from_millis(1_200))).await;
    let at = now();
    rig.kill(2).await;
    let seen = killed.done().await;
    add(&mut counted, others.all_answered().await);
    rig.start_again(2).await;
    add(&mut counted, Traffic::new(&keys).ask(&doors, calls() * 2 / 3..calls()).all_answered().await);
    rig.stop_all().await;
    rig.start_again(0).await;
    let mut reader = doors[0].caller(0);
    // The others lost nothing, and the one that was killed lost nothing of what it did before and after.
    check_told("with a kill -9, those that were not lost", &mut reader, &keys, &counted).await;

    let by_key = told(&mut reader, UsageGroup::Key, &[KILLED]).await.expect("an answer");
    let by_keyspace = told(&mut reader, UsageGroup::Keyspace, &[KILLED]).await.expect("an answer");
    check_equal(&by_keyspace, &only_there.by_keyspace(&by_key));
    let mut most = seen.answered.clone();
    add(&mut most, seen.unanswered.clone());
    for (what, count) in &by_key {
        assert!(*count <= most.get(what).copied().unwrap_or(0), "never more than was asked: {what:?} {count}");
    }
    let (answered, written) = (total(&seen.answered), total(&by_key));
    // What is written stays so. And each batch has all that was answered when the one before was written.
    let last = looks.last().expect("some").1;
    assert!(written >= last, "{written} of {last}");
    let before: Vec<_> = looks.iter().filter(|look| look.1 < last).collect();
    let before_that = before.iter().rfind(|look| look.1 < before[before.len() - 1].1).expect("three");
    assert!(last >= before_that.0, "of {} that were answered before the batch before, {last} are in", before_that.0);

    let mut times = seen.times;
    times.sort_unstable();
    let mut left = written;
    let first_lost = times.iter().find(|(_, count)| {
        left -= i64::try_from(*count).expect("few");
        left < 0
    });
    println!(
        "with a kill -9: the killed replica had answered {answered}, and {} were on their way; {written} are told, {} \
         are lost: what it answered in the last {:.2?}",
        total(&seen.unanswered),
        answered - written,
        first_lost.map_or(Duration::ZERO, |(time, _)| at.saturating_sub(*time)),
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_counted_while_the_store_is_away_is_written_when_it_is_back() {
    let mut cluster = Cluster::start_hurried();
    let mut rig = Rig::start(&cluster, 3, LONG).await;
    let doors = rig.doors();
    let keys = Keys::make(&doors[0].caller(0), &KEYSPACES, keys()).await;
    let mut counted = Counts::new();
    for door in &doors {
        // All are known by heart.
        let mut traffic = Traffic::new(&keys);
        traffic.put(door, By::Batch, 0..keys.len());
        add(&mut counted, traffic.all_answered().await);
    }
    cluster.stop_immediate();
    let gone = now();
    let away = Traffic::new(&keys).ask(&doors, 0..calls()).all_answered().await;
    let many = total(&away);
    add(&mut counted, away);
    // A round of writing, at least, finds nobody.
    tokio::time::sleep(Duration::from_secs(2)).await;
    cluster.start_again();
    println!("store away: for {:.1?}, meanwhile {many} answers", now().saturating_sub(gone));
    let mut reader = doors[0].caller(3);
    until_told(&mut reader, &keys, &counted).await;
    add(&mut counted, Traffic::new(&keys).ask(&doors, 0..calls() / 3).all_answered().await);
    rig.stop_all().await;
    rig.start_again(0).await;
    check_told("store away", &mut doors[0].caller(0), &keys, &counted).await;
    rig.end().await;
}

/// Every batch is written, and the connection ends before the replica hears that it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_commit_is_not_heard_of_counts_once() {
    let mut rig = Rig::start(postgres::shared(), 3, LONG).await;
    let doors = rig.doors();
    let keys = Keys::make(&doors[0].caller(0), &KEYSPACES, keys()).await;
    let mut reader = doors[0].caller(3);
    for replica in 0..3 {
        rig.set(replica, Way::LosesCommits);
    }
    let (mut counted, mut rounds) = (Counts::new(), 0);
    // Until each has not heard of some.
    while (0..3).any(|replica| rig.commits_lost(replica) < 3) {
        rounds += 1;
        let questions = rounds * calls()..rounds * calls() + calls() / 3;
        add(&mut counted, Traffic::new(&keys).ask(&doors, questions).all_answered().await);
        until_told(&mut reader, &keys, &counted).await;
    }
    let lost: Vec<_> = (0..3).map(|replica| rig.commits_lost(replica)).collect();
    println!("commits not heard of: {lost:?}, in {rounds} rounds");
    for replica in 0..3 {
        rig.set(replica, Way::Open);
    }
    rig.stop_all().await;
    rig.start_again(0).await;
    check_told("commits not heard of", &mut doors[0].caller(0), &keys, &counted).await;
    rig.end().await;
}

/// The last of several batches fails to be heard of, while the replicas end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_in_order_writes_all_though_a_connection_breaks_off() {
    let mut rig = Rig::start(postgres::shared(), 3, LONG).await;
    let doors = rig.doors();
    // More than are written at once.
    let keys = Keys::make(&doors[0].caller(0), &KEYSPACES, 2_500).await;
    let mut counted = Counts::new();
    for door in &doors {
        let mut traffic = Traffic::new(&keys);
        traffic.put(door, By::Batch, 0..keys.len());
        add(&mut counted, traffic.all_answered().await);
    }
    until_told(&mut doors[0].caller(3), &keys, &counted).await;
    for replica in 0..3 {
        rig.set(replica, Way::LosesCommits);
    }
    let mut traffic = Traffic::new(&keys);
    for door in &doors {
        traffic.put(door, By::Batch, 0..keys.len());
    }
    add(&mut counted, traffic.all_answered().await);
    let before: Vec<_> = (0..3).map(|replica| rig.commits_lost(replica)).collect();
    rig.signal_all(Signal::TERM);
    // Whether all was written before is not certain; how it ends is.
    tokio::time::sleep(Duration::from_millis(500)).await;
    for replica in 0..3 {
        rig.set(replica, Way::Open);
    }
    rig.ended_all().await;
    let lost: Vec<_> = (0..3).map(|replica| rig.commits_lost(replica) - before[replica]).collect();
    println!("while they ended, {lost:?} commits were not heard of");
    rig.start_again(0).await;
    check_told("a connection that broke off at the end", &mut doors[0].caller(0), &keys, &counted).await;
    rig.end().await;
}
