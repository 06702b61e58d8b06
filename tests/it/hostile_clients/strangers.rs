//! What a connection may do on which no credential was proved.

use std::time::Duration;

use portcullis::config::Flags;

use super::frames::{ENHANCE_YOUR_CALM, Frames, HEADERS, REFUSED_STREAM, RST_STREAM, call, frame, head, last_data};
use super::{Backend, CHECK, Service, VERIFY, WINDOW, message};
use crate::support::http::Http;
use crate::support::service::{eventually, in_time};

#[tokio::test]
async fn a_stranger_has_few_calls_at_once() {
    let service = Service::start(Backend::Sqlite).await;
    let mut client = Frames::connect(service.addr, WINDOW).await;
    // Half of a message each.
    for nth in 0..8 {
        let mut half = call(2 * nth + 1, CHECK, None);
        half.extend(frame(0, 0, 2 * nth + 1, &message(&[0x0a, 0x01, b'x'])[..6]));
        assert!(client.send(&half).await);
    }
    assert!(client.send(&call(17, CHECK, None)).await);
    let refused = client.next_of(RST_STREAM).await.expect("a reset");
    assert_eq!((refused.stream, refused.code()), (17, REFUSED_STREAM));
    // A caller who is known is none: the service has seen this root key.
    service.admin().verify("x").await;
    let mut verify = call(19, VERIFY, Some(&service.root_key));
    verify.extend(last_data(19, &message(b"")));
    assert!(client.send(&verify).await);
    assert_eq!(client.next_of(HEADERS).await.expect("an answer").stream, 19);
    // And from then on the connection is a caller's.
    assert!(client.send(&call(21, CHECK, None)).await);
    let mut verify = call(23, VERIFY, Some(&service.root_key));
    verify.extend(last_data(23, &message(b"")));
    assert!(client.send(&verify).await);
    loop {
        let answer = client.next().await.expect("it is open");
        assert_ne!(answer.kind, RST_STREAM, "{answer:?}");
        if answer.kind == HEADERS && answer.stream == 23 {
            break;
        }
    }
    service.stop().await;
}

#[tokio::test]
async fn half_a_message_is_not_waited_for() {
    let service = Service::start(Backend::Sqlite).await;
    let mut client = Frames::connect(service.addr, WINDOW).await;
    let mut half = call(1, CHECK, None);
    half.extend(frame(0, 0, 1, &message(&[0x0a, 0x01, b'x'])[..6]));
    assert!(client.send(&half).await);
    let answer = client.next_of(HEADERS).await.expect("an answer");
    assert_eq!(answer.stream, 1);
    service.stop().await;
}

#[tokio::test]
async fn half_a_head_is_not_waited_for() {
    let service = Service::start(Backend::Sqlite).await;
    let mut client = Frames::connect(service.addr, WINDOW).await;
    // HEADERS that are to be continued.
    assert!(client.send(&frame(HEADERS, 0, 1, &head(CHECK, None))).await);
    assert_eq!(client.ended().await, Some(ENHANCE_YOUR_CALM));
    let mut client = Frames::connect(service.addr, WINDOW).await;
    // A part of a frame.
    assert!(client.send(&call(1, CHECK, None)[..20]).await);
    assert_eq!(client.ended().await, Some(ENHANCE_YOUR_CALM));
    service.stop().await;
}

/// A byte at a time is no progress of a head; and between two requests a client may be silent.
#[tokio::test]
async fn half_a_head_over_http1_is_not_waited_for() {
    let flags = Flags { metrics_listen: Some("127.0.0.1:0".into()), ..Flags::default() };
    let service = Service::start_set(Backend::Sqlite, flags).await;
    let check = "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                 content-length: 2\r\n\r\n{}";
    let (mut half, mut idle) = (Http::connect(service.addr).await, Http::connect(service.addr).await);
    for client in [&mut half, &mut idle] {
        client.send(check.as_bytes()).await;
        assert_eq!(client.hear().await.status, 200);
    }
    half.send(b"POST / HTTP/1.1\r\nx: ").await;
    let dripping = async {
        loop {
            half.send(b"x").await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            if half.has_ended().await {
                break;
            }
        }
    };
    in_time("the end", dripping).await;
    assert_eq!(service.metric("portcullis_connections_ended_total{reason=\"stalled\"}").await, 1);
    idle.send(check.as_bytes()).await;
    assert_eq!(idle.hear().await.status, 200);
    service.stop().await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_ended_and_counted() {
    let flags = Flags { metrics_listen: Some("127.0.0.1:0".into()), ..Flags::default() };
    let service = Service::start_set(Backend::Sqlite, flags).await;
    let (mut silent, mut half) = (Http::connect(service.addr).await, Http::connect(service.addr).await);
    // Enough to tell the protocol, and not all that HTTP/2 begins with.
    half.send(b"PRI * HTTP/2.0\r\n\r\n").await;
    assert!(silent.is_closed().await);
    in_time("the end", async {
        while !half.has_ended().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let counted = async || {
        let ended = service.metric("portcullis_connections_ended_total{reason=\"handshake_timeout\"}").await;
        (ended == 2).then_some(())
    };
    eventually("both being counted", counted).await;
    service.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_not_taken_ends_the_connection() {
    let service = Service::start(Backend::Sqlite).await;
    let mut client = Frames::connect(service.addr, 0).await;
    let mut check = call(1, CHECK, None);
    check.extend(last_data(1, &message(b"")));
    assert!(client.send(&check).await);
    assert_eq!(client.ended().await, Some(ENHANCE_YOUR_CALM));
    service.stop().await;
}
