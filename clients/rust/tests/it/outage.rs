//! When a guard that opens in an outage does so.

use std::time::Duration;

use http::HeaderMap;
use portcullis_client::Client;
use portcullis_client::guard::{Guard, Reason, Rule};
use tokio::time;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus::{NotServing, Serving};

use crate::played::{self, Act, NEVER, Played, Readiness};

const PORTCULLIS: &str = "portcullis.v1";
const FAILURES: [Code; 2] = [Code::Unavailable, Code::DeadlineExceeded];

async fn failing(code: Code, domain: &'static str, readiness: Readiness) -> Played {
    let server = Played::start(move |_| Act::ErrorOf(code, domain)).await;
    server.set_readiness(readiness);
    server
}

async fn opens(client: &Client) -> bool {
    let headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, "Bearer ak_1".parse().unwrap())]);
    let guard = Guard::new(client).dangerously_allow_when_unavailable(true);
    match guard.check(&Rule::new("default"), &headers, None).await {
        Ok(identity) => {
            assert!(!identity.authenticated);
            true
        }
        Err(refusal) => {
            assert_eq!(refusal.reason(), Reason::Unavailable);
            false
        }
    }
}

async fn until(client: &Client, is_open: bool) {
    time::timeout(NEVER, async {
        while opens(client).await != is_open {
            time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
}

/// Asks until each of some servers was asked about its health twice.
async fn stays_closed(client: &Client, asked: &[&Played]) -> bool {
    while asked.iter().any(|server| server.health_calls().len() < 2) {
        if opens(client).await {
            return false;
        }
        time::sleep(Duration::from_millis(10)).await;
    }
    !opens(client).await
}

#[tokio::test]
async fn unavailable_by_something_between_opens_at_once() {
    let server = failing(Code::Unavailable, "proxy.example", Readiness::Is(Serving)).await;
    assert!(opens(&server.client()).await);
    assert!(server.health_calls().is_empty());
}

#[tokio::test]
async fn a_failure_of_portcullis_opens_while_no_replica_is_ready() {
    for code in FAILURES {
        for readiness in [Readiness::Is(NotServing), Readiness::Silent] {
            let server = failing(code, PORTCULLIS, readiness).await;
            let client = server.client();
            assert!(!opens(&client).await, "{code}, {readiness:?}: before health has answered");
            until(&client, true).await;
            assert!(server.health_calls().iter().all(|headers| !headers.contains_key("authorization")));
        }
    }
}

#[tokio::test]
async fn a_failure_of_portcullis_opens_nothing_while_a_replica_is_there() {
    for code in FAILURES {
        let unready = failing(code, PORTCULLIS, Readiness::Is(NotServing)).await;
        let ready = failing(code, PORTCULLIS, Readiness::Is(Serving)).await;
        let client = played::client(&[&unready, &ready], NEVER);
        assert!(stays_closed(&client, &[&unready, &ready]).await, "{code}");

        let without = failing(code, PORTCULLIS, Readiness::NoService).await;
        assert!(stays_closed(&without.client(), &[&without]).await, "{code}");
    }
}

#[tokio::test]
async fn a_deadline_follows_readiness() {
    let server = Played::start(|_| Act::Hang).await;
    server.set_readiness(Readiness::Is(Serving));
    let client = played::client(&[&server], Duration::from_millis(20));
    assert!(stays_closed(&client, &[&server]).await);
    server.set_readiness(Readiness::Is(NotServing));
    until(&client, true).await;
    server.set_readiness(Readiness::Is(Serving));
    until(&client, false).await;
    // Nobody listens any more; a call by a connection that is lost is no matter of health.
    server.stop();
    until(&client, true).await;
}

#[tokio::test]
async fn no_health_is_asked_after_other_errors_nor_by_a_guard_that_never_opens() {
    for code in [Code::ResourceExhausted, Code::Internal] {
        let server = failing(code, PORTCULLIS, Readiness::Is(NotServing)).await;
        let client = server.client();
        assert!(!opens(&client).await && !opens(&client).await);
        assert!(server.health_calls().is_empty());
    }
    let server = failing(Code::DeadlineExceeded, PORTCULLIS, Readiness::Is(NotServing)).await;
    let headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, "Bearer ak_1".parse().unwrap())]);
    Guard::new(&server.client()).check(&Rule::new("default"), &headers, None).await.unwrap_err();
    assert!(server.health_calls().is_empty());
}
