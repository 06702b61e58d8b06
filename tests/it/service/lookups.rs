//! Callers take turns to have keys looked up: one that asks about unknown keys without end gets no other refused.

use std::time::Duration;

use portcullis::grpc::pb::{BatchVerifyRequest, ErrorReason, Verdict, VerifyRequest};
use portcullis::key::token;
use portcullis::verify::Queue;
use tokio::task::JoinSet;

use super::Backend;
use crate::support::backend::Fixture;
use crate::support::postgres::shared;
use crate::support::proxy::{Proxy, Way};
use crate::support::service::{Caller, Service, details, eventually, in_time, new_key};

/// Batches of the flood that are under way: as many as one root key has places for. Eight keys of each wait at a time, for
/// seconds.
const BATCHES: usize = 24;
const WAITING: usize = 8 * BATCHES;
/// How slow the way to the store is: with all places taken by the flood, those that wait take more than a second.
const SLOW: Duration = Duration::from_millis(20);

fn unknown_key() -> VerifyRequest {
    let (_, secret) = token::generate(&"sk".parse().expect("a prefix")).expect("random bytes");
    VerifyRequest { key: secret.expose().to_owned(), ..Default::default() }
}

/// A service with a slow store, where one caller asks about unknown keys without end.
struct Flooded {
    service: Service,
    flooding: Caller,
    other: Caller,
    /// Keys that no caller has asked about yet.
    cold: Vec<String>,
    flood: JoinSet<()>,
    proxy: Proxy,
}

impl Flooded {
    async fn start() -> Self {
        let cluster = shared();
        let proxy = Proxy::start(cluster.socket());
        let fixture = Fixture::at(Backend::Postgres, &proxy.url(&cluster.fresh_name().await));
        let service = Service::start_over(fixture, None).await;
        let mut cold = Vec::new();
        for _ in 0..16 {
            cold.push(service.admin().create(new_key("cold")).await.1);
        }
        let flooding = service.caller_with(&["keys:verify"]).await;
        let mut other = service.caller_with(&["keys:verify"]).await;
        assert_eq!(other.verdict("nothing").await, Verdict::Malformed, "its root key is known");
        proxy.set(Way::Slow(SLOW));
        let mut flood = JoinSet::new();
        for _ in 0..BATCHES {
            let mut caller = flooding.clone();
            flood.spawn(async move {
                loop {
                    let requests = (0..1_000).map(|_| unknown_key()).collect();
                    // It may be refused: that is its own affair.
                    let _ = caller.verification.batch_verify(BatchVerifyRequest { requests }).await;
                }
            });
        }
        let flooded = Self { service, flooding, other, cold, flood, proxy };
        flooded.pending(WAITING).await;
        flooded
    }

    /// Waits until so many look-ups wait.
    async fn pending(&self, count: usize) {
        let load = || self.service.verifier.lookup_load(Queue::Keys);
        eventually("many look-ups", async || (load().pending >= count).then_some(())).await;
    }

    /// Checks that the other caller gets all verdicts.
    async fn check_other(&mut self) {
        for key in &self.cold {
            let asked = self.other.verification.verify(VerifyRequest { key: key.clone(), ..Default::default() });
            let answer = in_time("a verdict", asked).await;
            assert!(answer.as_ref().is_ok_and(|answer| answer.get_ref().valid), "{answer:?}");
        }
        let load = self.service.verifier.lookup_load(Queue::Keys);
        assert!(load.pending >= WAITING / 2, "the flood goes on: {load:?}");
    }

    async fn stop(mut self) {
        self.flood.shutdown().await;
        self.proxy.set(Way::Open);
        self.service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_unknown_keys_gets_no_other_caller_refused() {
    let mut flooded = Flooded::start().await;
    flooded.check_other().await;
    flooded.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_up_that_the_flooding_caller_asked_for_first_is_not_refused_to_another() {
    let mut flooded = Flooded::start().await;
    // Each waits behind the flood, and is refused; over and over.
    for key in flooded.cold.clone() {
        let mut caller = flooded.flooding.clone();
        flooded.flood.spawn(async move {
            loop {
                let asked = VerifyRequest { key: key.clone(), ..Default::default() };
                let _ = caller.verification.verify(asked).await;
            }
        });
    }
    flooded.pending(WAITING + 8).await;
    flooded.check_other().await;
    flooded.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_flooding_caller_waits_behind_itself() {
    let mut flooded = Flooded::start().await;
    // On a loaded machine the store may answer nothing for a while, which is told otherwise.
    eventually("a refusal", async || {
        let refused = flooded.flooding.verification.verify(unknown_key()).await.err()?;
        let reason = details(&refused).error_info()?.reason.clone();
        (reason == ErrorReason::LookupsBusy.as_str_name()).then_some(())
    })
    .await;
    flooded.stop().await;
}
