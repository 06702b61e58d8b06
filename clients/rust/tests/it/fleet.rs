//! Several replicas.

use portcullis_client::Client;
use portcullis_client::pb::VerifyRequest;
use tonic::Code;

use crate::played::{self, Act, NEVER, Played};

async fn verify(client: &Client) {
    assert!(client.verification().verify(VerifyRequest::default()).await.unwrap().into_inner().valid);
}

#[tokio::test]
async fn calls_go_round() {
    let servers = [Played::start(|_| Act::valid()).await, Played::start(|_| Act::valid()).await];
    let client = played::client(&[&servers[0], &servers[1]], NEVER);
    // Until both are connected, one may get all.
    while servers.iter().any(|server| server.calls().is_empty()) {
        verify(&client).await;
    }
    let before = servers.each_ref().map(|server| server.calls().len());
    for _ in 0..20 {
        verify(&client).await;
    }
    let after = servers.each_ref().map(|server| server.calls().len());
    assert_eq!([after[0] - before[0], after[1] - before[1]], [10, 10]);
}

#[tokio::test]
async fn a_replica_that_is_down_fails_no_call() {
    let (gone, there) = (Played::start(|_| Act::valid()).await, Played::start(|_| Act::valid()).await);
    let client = played::client(&[&gone, &there], NEVER);
    while gone.calls().is_empty() {
        verify(&client).await;
    }
    gone.stop();
    for _ in 0..50 {
        verify(&client).await;
    }
}

#[tokio::test]
async fn a_call_in_flight_to_a_replica_that_dies_is_tried_on_another() {
    let (dying, there) = (Played::start(|_| Act::Hang).await, Played::start(|_| Act::valid()).await);
    let client = played::client(&[&dying, &there], NEVER);
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { verify(&client).await })
        })
        .collect();
    while dying.calls().is_empty() {
        let client = client.clone();
        tokio::spawn(async move { client.verification().verify(VerifyRequest::default()).await });
        tokio::task::yield_now().await;
    }
    dying.stop();
    for call in calls {
        call.await.unwrap();
    }
}

#[tokio::test]
async fn a_replica_that_is_back_is_used_again() {
    let server = Played::start(|_| Act::valid()).await;
    let client = server.client();
    verify(&client).await;
    let address = server.address;
    server.stop();
    // Calls fail once nobody listens, and not for long.
    let refused = async || client.verification().verify(VerifyRequest::default()).await;
    while refused().await.is_ok() {}
    assert_eq!(refused().await.unwrap_err().code(), Code::Unavailable);
    drop(server);
    let _back = Played::listen(address, None, |_| Act::valid()).await;
    while refused().await.is_err() {}
}

#[tokio::test]
async fn every_address_of_a_name_is_a_replica() {
    // `localhost` may be ::1 too, where nobody listens.
    let server = Played::start(|_| Act::valid()).await;
    let address = format!("http://localhost:{}", server.address.port());
    let client = Client::builder().address(address).root_key("k").timeout(NEVER).build().unwrap();
    verify(&client).await;
}

#[tokio::test]
async fn a_name_that_is_none_is_unavailable() {
    let client =
        Client::builder().address("http://portcullis.invalid").root_key("k").allow_plaintext(true).timeout(NEVER);
    let client = client.build().unwrap();
    let status = client.verification().verify(VerifyRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
}
