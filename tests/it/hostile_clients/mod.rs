//! Clients that want to do harm, or do some without wanting to; and that others do not notice.

mod bodies;
mod connections;
mod floods;
mod neighbours;
mod strangers;

use crate::support::backend::Backend;
use crate::support::frames::{self, Frames};
use crate::support::service::Service;

const CHECK: &str = "/grpc.health.v1.Health/Check";
const VERIFY: &str = "/portcullis.v1.VerificationService/Verify";
/// What a client's windows are by default.
const WINDOW: u32 = 65_535;

/// The first five bytes of a message, and its body.
fn message(body: &[u8]) -> Vec<u8> {
    let mut message = vec![0];
    message.extend(u32::try_from(body.len()).expect("short").to_be_bytes());
    message.extend(body);
    message
}

/// Checks that somebody else is served as if nothing were.
async fn check_bystander(service: &Service) {
    let mut bystander = service.admin_elsewhere().await;
    let (_, secret) = bystander.create(crate::support::service::new_key("bystander")).await;
    assert!(bystander.verify(&secret).await.valid);
}
