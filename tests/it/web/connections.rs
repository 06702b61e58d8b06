//! Connections come of age: their clients are asked to connect anew, and lose nothing by it.

use portcullis::config::Flags;
use serde_json::json;

use super::{Backend, Caller, Service, new_secret};
use crate::support::service::{eventually, in_time};

fn short_lived() -> Flags {
    Flags { connection_age_secs: Some("1".into()), ..Flags::default() }
}

#[tokio::test]
async fn over_http1_an_answer_says_that_it_is_the_last() {
    let service = Service::start_set(Backend::Sqlite, short_lived()).await;
    let mut caller = Caller::of(&service).await;
    let secret = new_secret(&mut caller).await;
    let asked = json!({"key": secret}).to_string();
    eventually("the last answer", async || {
        let answer = caller.send("VerificationService/Verify", &[], asked.as_bytes()).await;
        assert_eq!(answer.json()["valid"], true);
        answer.header("connection").is_some_and(|said| said == "close").then_some(())
    })
    .await;
    assert!(caller.http.is_closed().await);
    service.stop().await;
}

#[tokio::test]
async fn over_http2_no_call_is_lost() {
    let service = Service::start_set(Backend::Sqlite, short_lived()).await;
    let mut caller = Caller::of(&service).await;
    let secret = new_secret(&mut caller).await;
    let mut raw = h2_connection(&service).await;
    // The connection ends by itself, while calls are made on it.
    in_time("the end of the connection", &mut raw.1).await.expect("no panic").expect("an orderly end");
    // A client of gRPC never notices: many calls at once for several ages.
    let client = service.admin();
    let until = tokio::time::Instant::now() + std::time::Duration::from_secs(4);
    let calls = (0..8).map(|_| {
        let (mut client, secret) = (client.clone(), secret.clone());
        tokio::spawn(async move {
            while tokio::time::Instant::now() < until {
                assert!(client.verify(&secret).await.valid);
            }
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    service.stop().await;
}

/// A connection on which nothing is ever asked.
async fn h2_connection(
    service: &Service,
) -> (h2::client::SendRequest<bytes::Bytes>, tokio::task::JoinHandle<Result<(), h2::Error>>) {
    let stream = tokio::net::TcpStream::connect(service.addr).await.unwrap();
    let (calls, connection) = h2::client::handshake(stream).await.unwrap();
    (calls, tokio::spawn(connection))
}
