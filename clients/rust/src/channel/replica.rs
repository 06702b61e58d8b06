//! Keeps a connection to one replica.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{self, Instant};
use tower::retry::backoff::{Backoff as _, MakeBackoff as _};

use super::connection::Connection;
use super::fleet::{Fleet, Id, State};
use super::resolution::Origin;
use super::retry;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RECONNECT_MIN: Duration = Duration::from_millis(100);
const RECONNECT_MAX: Duration = Duration::from_secs(5);
/// A connection that lasts as long is followed by another at once; a shorter one counts as one that could not be made.
const PROVEN_AFTER: Duration = Duration::from_secs(1);

/// Connects, and connects again whenever the connection ends or cannot be made, for as long as it is polled. Tells
/// `lost` of each such time.
pub async fn keep(fleet: Arc<Fleet>, id: Id, address: SocketAddr, origin: Arc<Origin>, lost: Arc<Notify>) {
    let mut backoffs = retry::backoff(RECONNECT_MIN, RECONNECT_MAX);
    let mut backoff = backoffs.make_backoff();
    loop {
        let why = match time::timeout(CONNECT_TIMEOUT, Connection::open(&origin, address)).await {
            Ok(Ok((connection, life))) => {
                let start = Instant::now();
                fleet.set(id, State::Ready(connection));
                life.await;
                if start.elapsed() >= PROVEN_AFTER {
                    fleet.set(id, State::Connecting);
                    lost.notify_one();
                    backoff = backoffs.make_backoff();
                    continue;
                }
                "the connection was closed at once".to_owned()
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()),
        };
        // It stays down until it is reached: calls need not wait for the next attempt.
        fleet.set(id, State::Down(format!("{} at {address}: {why}", origin.authority).into()));
        lost.notify_one();
        backoff.next_backoff().await;
    }
}
