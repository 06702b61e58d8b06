//! Several replicas.

use std::time::Duration;

use portcullis_client::Client;
use portcullis_client::pb::VerifyRequest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
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

/// Reads what a client sends, and answers nothing. Ends with the first call.
async fn be_silent(mut stream: TcpStream) {
    const HEADERS: u8 = 1;
    stream.read_exact(&mut [0; b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len()]).await.unwrap();
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            // The client has given up.
            std::future::pending::<()>().await;
        }
        let [size_a, size_b, size_c, kind, ..] = head;
        if kind == HEADERS {
            return;
        }
        let size = u32::from_be_bytes([0, size_a, size_b, size_c]);
        stream.read_exact(&mut vec![0; size as usize]).await.unwrap();
    }
}

#[tokio::test]
async fn a_replica_that_accepts_and_is_silent_gets_no_call() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = Played::start(|_| Act::valid()).await;
    let addresses = [listener.local_addr().unwrap(), there.address].map(|address| format!("http://{address}"));
    let client = Client::builder().addresses(addresses).root_key("k").timeout(NEVER).build().unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let calls = async {
        for _ in 0..200 {
            verify(&client).await;
        }
    };
    tokio::select! {
        () = calls => {}
        () = be_silent(stream) => panic!("a call went to the replica that is silent"),
    }
}

#[tokio::test]
async fn silence_is_unavailable_in_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let client = Client::builder().address(address).root_key("k").timeout(NEVER).build().unwrap();
    let status = client.verification().verify(VerifyRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("no answer within"), "{}", status.message());
    // The attempts have ended, and leave nothing open.
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
}

#[tokio::test]
async fn a_replica_that_closes_every_connection_is_not_stormed() {
    // As soon as it has accepted it, or once it has spoken.
    for greeting in [&[][..], &[0, 0, 0, 4, 0, 0, 0, 0, 0]] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let _client = Client::builder().address(address).root_key("k").build().unwrap();
        let start = Instant::now();
        for _ in 0..5 {
            let (mut stream, _) = listener.accept().await.unwrap();
            drop(stream.write_all(greeting).await);
            drop(stream.shutdown().await);
            // Closed with something unread, it would be reset, and the greeting lost.
            drop(stream.read_to_end(&mut Vec::new()).await);
        }
        // Between five are waits of 100, 200, 400 and 800 ms at least.
        assert!(start.elapsed() >= Duration::from_millis(1500), "{:?}", start.elapsed());
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
        Client::builder().address("http://portcullis.invalid:1").root_key("k").allow_plaintext(true).timeout(NEVER);
    let client = client.build().unwrap();
    let status = client.verification().verify(VerifyRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
}
