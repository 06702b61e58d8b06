//! A rate limit that several replicas share: how much more than the limit they let through.
//!
//! `PORTCULLIS_TEST_OVERSHOOT_SECS` says for how long each is asked.

use std::sync::Arc;
use std::time::Duration;

use portcullis::grpc::pb::{CreateApiKeyRequest, RateLimit, Verdict, VerifyRequest};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::rig::{Door, LEASE, Rig, now};
use crate::support::postgres;
use crate::support::service::{in_time, new_key};

const SECS: u64 = 4;
/// Uses a second, and at once.
const LIMIT: u32 = 100;
const BURST: u32 = 100;
/// Clients in all, each of which asks again this long after it was answered.
const CLIENTS: usize = 12;
const PAUSE: Duration = Duration::from_millis(8);

/// Which replica the demand comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Demand {
    /// As much to each.
    Even,
    /// Nearly all of it to one, and from half time on to another.
    Moving,
}

/// What clients were answered.
#[derive(Default)]
struct Answers {
    asked: usize,
    /// When.
    accepted: Vec<Duration>,
}

fn length() -> Duration {
    let secs = std::env::var("PORTCULLIS_TEST_OVERSHOOT_SECS");
    Duration::from_secs(secs.map_or(SECS, |secs| secs.parse().expect("a number of seconds")))
}

impl Demand {
    /// Where a client asks in the first or the second half.
    fn door(self, doors: &[Arc<Door>], client: usize, late: bool) -> &Arc<Door> {
        let all = doors.len();
        match self {
            Self::Even => &doors[client % all],
            // One client of each replica stays where it is.
            Self::Moving if client < all => &doors[client],
            Self::Moving => &doors[usize::from(late) % all],
        }
    }
}

async fn ask(doors: &[Arc<Door>], secret: &str, demand: Demand) -> Answers {
    let (began, length) = (now(), length());
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (doors, secret) = (doors.to_vec(), secret.to_owned());
        clients.spawn(async move {
            let mut answers = Answers::default();
            loop {
                let passed = now().saturating_sub(began);
                if passed > length {
                    return answers;
                }
                let mut caller = demand.door(&doors, client, passed > length / 2).caller(client);
                let request = VerifyRequest { key: secret.clone(), ..Default::default() };
                let answer = in_time("an answer", caller.verification.verify(request)).await.expect("a verdict");
                answers.asked += 1;
                match answer.into_inner().verdict() {
                    Verdict::Valid => answers.accepted.push(now()),
                    Verdict::RateLimited => {}
                    other => panic!("{other:?}"),
                }
                sleep(PAUSE).await;
            }
        });
    }
    let mut all = Answers::default();
    for answers in clients.join_all().await {
        all.asked += answers.asked;
        all.accepted.extend(answers.accepted);
    }
    all.accepted.sort_unstable();
    all
}

/// The most that were accepted in any second of these.
fn in_a_second(accepted: &[Duration]) -> usize {
    let within = |first: usize| accepted[first..].iter().take_while(|at| **at < accepted[first] + SECOND).count();
    (0..accepted.len()).map(within).max().unwrap_or(0)
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_share_a_limit_let_through_little_more() {
    let rig = Rig::start(postgres::shared(), 3, LEASE * 20).await;
    let doors = rig.doors();
    println!("limit {LIMIT}/s, burst {BURST}: accepted, of what one alone would at most have let through");
    println!("| replicas | demand | seconds | asked | accepted | limit × time + burst | over | most in 1 s | then |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for (replicas, demand) in
        [(1, Demand::Even), (2, Demand::Even), (3, Demand::Even), (2, Demand::Moving), (3, Demand::Moving)]
    {
        let rate_limit = Some(RateLimit {
            limit: LIMIT.into(),
            window: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
            burst: BURST.into(),
            ..Default::default()
        });
        let request = CreateApiKeyRequest { rate_limit, ..new_key("limited") };
        let (_, secret) = doors[0].caller(0).create(request).await;
        let began = now();
        let answers = ask(&doors[..replicas], &secret, demand).await;
        let took = now().saturating_sub(began).as_secs_f64();
        let (alone, accepted) = (f64::from(BURST) + f64::from(LIMIT) * took, answers.accepted.len());
        // The first second has the burst.
        let then = answers.accepted.partition_point(|at| *at < began + 2 * SECOND);
        println!(
            "| {replicas} | {demand:?} | {took:.1} | {} | {accepted} | {alone:.0} | {:+.0} ({:+.1} %) | {} | {} |",
            answers.asked,
            count(accepted) - alone,
            (count(accepted) / alone - 1.0) * 100.0,
            in_a_second(&answers.accepted),
            in_a_second(&answers.accepted[then..]),
        );
        assert!(count(accepted) <= count(replicas) * (alone + 1.0), "{accepted} of {replicas} times {alone}");
    }
    rig.end().await;
}

fn count(of: usize) -> f64 {
    f64::from(u32::try_from(of).expect("not that many"))
}
