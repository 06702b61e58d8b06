//! What is tried again: calls that ended with UNAVAILABLE.

use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::retry::backoff::{Backoff as _, ExponentialBackoffMaker, MakeBackoff as _};
use tower::util::rng::HasherRng;

use super::deadline;
use super::fleet::Fleet;

const ATTEMPTS_MAX: u32 = 4;
const BACKOFF_INITIAL: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_millis(500);
const BACKOFF_JITTER: f64 = 0.2;

/// Sends `request` until it ends with anything but UNAVAILABLE, at most four times. Whoever waits gives up at
/// `deadline`.
pub async fn attempts(fleet: &Fleet, request: Request<Body>, deadline: Instant) -> Result<Response<Incoming>, Status> {
    let (mut head, body) = request.into_parts();
    let body = Full::new(body.collect().await?.to_bytes());
    let mut backoff = backoff(BACKOFF_INITIAL, BACKOFF_MAX).make_backoff();
    for _ in 1..ATTEMPTS_MAX {
        deadline::set_timeout(&mut head.headers, deadline - Instant::now());
        let answer = fleet.send(Request::from_parts(head.clone(), Either::Left(body.clone()))).await;
        if !is_unavailable(&answer) {
            return answer;
        }
        backoff.next_backoff().await;
    }
    deadline::set_timeout(&mut head.headers, deadline - Instant::now());
    fleet.send(Request::from_parts(head, Either::Left(body))).await
}

/// From `initial`, doubling, to `max`.
pub fn backoff(initial: Duration, max: Duration) -> ExponentialBackoffMaker {
    ExponentialBackoffMaker::new(initial, max, BACKOFF_JITTER, HasherRng::default()).expect("initial is less than max")
}

/// An answer that began with a message is none to repeat, whatever it ends with.
fn is_unavailable(answer: &Result<Response<Incoming>, Status>) -> bool {
    match answer {
        Ok(answer) => match answer.headers().get(Status::GRPC_STATUS) {
            Some(code) => Code::from_bytes(code.as_bytes()) == Code::Unavailable,
            // As gRPC reads the answers of proxies.
            None => matches!(
                answer.status(),
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            ),
        },
        Err(status) => status.code() == Code::Unavailable,
    }
}
