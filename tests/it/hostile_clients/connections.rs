//! Many connections, and old ones.

use std::net::IpAddr;

use portcullis::config::Flags;
use portcullis::grpc::pb::ErrorReason;
use tonic::Code;

use super::{Backend, Frames, Service, WINDOW, check_bystander};
use crate::support::service::{check_error, in_time};
use crate::support::talk::Talk;

#[tokio::test]
async fn idle_connections_shut_nobody_out() {
    // Memory for fewer connections than there will be.
    let flags = Flags { connections_mib: Some("8".into()), ..Flags::default() };
    let service = Service::start_set(Backend::Sqlite, flags).await;
    let mut caller = service.admin();
    caller.verify("x").await;
    let mut idle = Vec::new();
    for nth in 0..400_u32 {
        let from = IpAddr::from([127, 0, 0, 2 + u8::try_from(nth % 4).expect("small")]);
        idle.push(Frames::connect_from(from, service.addr, WINDOW).await);
    }
    check_bystander(&service).await;
    // Who was known before keeps his connection, and the oldest of the idle went.
    caller.verify("x").await;
    idle[0].ended().await;
    service.stop().await;
}

#[tokio::test]
async fn a_stream_ends_with_its_connection_when_that_is_old() {
    let flags = Flags { connection_age_secs: Some("1".into()), ..Flags::default() };
    let service = Service::start_set(Backend::Sqlite, flags).await;
    let mut talk = Talk::begin(&mut service.admin()).await;
    talk.verdict("x").await.expect("a verdict");
    let ended = in_time("the end of the stream", talk.hear()).await;
    check_error(ended, Code::Unavailable, ErrorReason::ServerEnding);
    service.stop().await;
}
