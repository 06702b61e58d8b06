//! Calls of strangers that make a server work before it can refuse them.

use std::sync::Arc;
use std::time::Duration;

use super::Target;
use crate::client::{CallError, Connection, framed};
use crate::fixture::verify_request;
use crate::made;
use crate::methods;

/// Calls in flight on a connection.
const IN_FLIGHT: usize = 8;
const DEADLINE: Duration = Duration::from_secs(1);

/// Root keys in the right form that nobody issued.
pub async fn made_up_root_keys(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    bearers(target, number, || made::key("root")).await
}

/// Bearers of no form, as long as a free-text root key.
pub async fn free_text_bearers(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    bearers(target, number, || made::text(40)).await
}

async fn bearers(target: Arc<Target>, number: usize, bearer: fn() -> String) -> Result<(), CallError> {
    let connection = Connection::open(&target.endpoint(number)).await?;
    let request = framed(&verify_request("ak_x"));
    in_flight(IN_FLIGHT, || async {
        let result = connection.call_framed(methods::VERIFY, &bearer(), request.clone(), DEADLINE).await;
        target.tally.count(&result);
        lost(result)
    })
    .await
}

/// Whole handshakes, one after the other.
pub async fn tls_full(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    let result = tokio::time::timeout(Duration::from_secs(10), Connection::open(&target.endpoint(number))).await;
    let result = result.unwrap_or(Err(CallError::Deadline)).map(drop);
    target.tally.count(&result);
    result
}

/// Makes calls, so many at once, until one says that the connection is lost.
pub async fn in_flight<F, C>(count: usize, call: F) -> Result<(), CallError>
where
    F: Fn() -> C,
    C: Future<Output = Result<(), CallError>>,
{
    // Lanes of one future: a task for each would outlive the connection that they belong to.
    let lane = || async {
        loop {
            if let Err(error) = call().await {
                return error;
            }
            tokio::task::yield_now().await;
        }
    };
    let mut lanes: Vec<_> = (0..count).map(|_| Box::pin(lane())).collect();
    let error = std::future::poll_fn(|context| {
        for lane in &mut lanes {
            if let std::task::Poll::Ready(error) = lane.as_mut().poll(context) {
                return std::task::Poll::Ready(error);
            }
        }
        std::task::Poll::Pending
    });
    Err(error.await)
}

/// Only a lost connection ends an attack on it.
pub fn lost<A>(result: Result<A, CallError>) -> Result<(), CallError> {
    match result {
        Err(error @ CallError::Transport(_)) => Err(error),
        _ => Ok(()),
    }
}
