//! Deadlines and retries of one call.

use std::time::Duration;

use portcullis_client::Client;
use portcullis_client::pb::{VerifyRequest, VerifyResponse};
use tokio::net::TcpListener;
use tonic::{Code, Request, Status};

use crate::played::{self, Act, NEVER, Played};

const SOON: Duration = Duration::from_millis(50);

async fn verify(client: &Client) -> Result<VerifyResponse, Status> {
    client.verification().verify(VerifyRequest::default()).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn every_call_says_who_calls_and_how_long_it_waits() {
    let server = Played::start(|_| Act::valid()).await;
    verify(&played::client(&[&server], Duration::from_secs(60))).await.unwrap();
    let calls = server.calls();
    assert_eq!(calls[0]["authorization"], "Bearer root_for_tests");
    assert!(calls[0]["user-agent"].to_str().unwrap().starts_with("portcullis-client-rust/"));
    let micros: u64 = calls[0]["grpc-timeout"].to_str().unwrap().strip_suffix('u').unwrap().parse().unwrap();
    assert!((1..=60_000_000).contains(&micros), "{micros}");
}

#[tokio::test]
async fn unavailable_is_tried_again() {
    let server = Played::start(|call| if call < 3 { Act::Error(Code::Unavailable) } else { Act::valid() }).await;
    assert!(verify(&server.client()).await.unwrap().valid);
    assert_eq!(server.calls().len(), 4);
}

#[tokio::test]
async fn unavailable_is_tried_four_times() {
    for act in [Act::Error(Code::Unavailable), Act::Http(503)] {
        let server = Played::start(move |_| act.clone()).await;
        assert_eq!(verify(&server.client()).await.unwrap_err().code(), Code::Unavailable);
        assert_eq!(server.calls().len(), 4);
    }
}

#[tokio::test]
async fn nothing_else_is_tried_again() {
    for code in (1..=16).map(Code::from).filter(|&code| code != Code::Unavailable) {
        let server = Played::start(move |_| Act::Error(code)).await;
        assert_eq!(verify(&server.client()).await.unwrap_err().code(), code);
        assert_eq!(server.calls().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn a_retry_has_less_time() {
    let server = Played::start(|call| if call < 2 { Act::Error(Code::Unavailable) } else { Act::valid() }).await;
    verify(&played::client(&[&server], Duration::from_secs(60))).await.unwrap();
    let left = |call: &http::HeaderMap| -> u64 {
        call["grpc-timeout"].to_str().unwrap().strip_suffix('u').unwrap().parse().unwrap()
    };
    let calls = server.calls();
    // The backoffs are 50 and 100 ms at least.
    assert!(left(&calls[1]) + 50_000 <= left(&calls[0]));
    assert!(left(&calls[2]) + 100_000 <= left(&calls[1]));
}

#[tokio::test]
async fn a_deadline_ends_a_call() {
    for act in [Act::Hang, Act::HangWithin] {
        let server = Played::start(move |_| act.clone()).await;
        let status = verify(&played::client(&[&server], SOON)).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    }
}

#[tokio::test]
async fn a_deadline_ends_retries() {
    let server = Played::start(|_| Act::Error(Code::Unavailable)).await;
    let status = verify(&played::client(&[&server], Duration::from_millis(20))).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
}

#[tokio::test]
async fn the_deadline_of_a_call_wins() {
    let server = Played::start(|_| Act::Hang).await;
    let mut request = Request::new(VerifyRequest::default());
    request.set_timeout(SOON);
    // Without the call's own it would not end.
    let status = server.client().verification().verify(request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");

    let server = Played::start(|_| Act::valid()).await;
    let mut request = Request::new(VerifyRequest::default());
    request.set_timeout(NEVER);
    played::client(&[&server], Duration::from_millis(1)).verification().verify(request).await.unwrap();
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::builder().address(format!("http://{address}")).root_key("k").timeout(NEVER).build().unwrap();
    let status = verify(&client).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains(&address.to_string()), "{}", status.message());
}

#[tokio::test]
async fn a_connection_that_nobody_answers_on_is_late() {
    // The system accepts; nobody reads.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let client = Client::builder().address(address).root_key("k").timeout(SOON).build().unwrap();
    assert_eq!(verify(&client).await.unwrap_err().code(), Code::DeadlineExceeded);
}
