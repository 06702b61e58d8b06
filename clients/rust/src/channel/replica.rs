//! Keeps a connection to one replica.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time;
use tower::retry::backoff::{Backoff as _, MakeBackoff as _};

use super::connection::Connection;
use super::fleet::{Fleet, Id, State};
use super::resolution::Origin;
use super::retry;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RECONNECT_MIN: Duration = Duration::from_millis(100);
const RECONNECT_MAX: Duration = Duration::from_secs(5);

/// Connects, and connects again whenever the connection ends or cannot be made, for as long as it is polled. Tells
/// `lost` of each such time.
pub async fn keep(fleet: Arc<Fleet>, id: Id, address: SocketAddr, origin: Arc<Origin>, lost: Arc<Notify>) {
    let mut backoffs = retry::backoff(RECONNECT_MIN, RECONNECT_MAX);
    loop {
        fleet.set(id, State::Connecting);
        let mut backoff = backoffs.make_backoff();
        let life = loop {
            let opened = match time::timeout(CONNECT_TIMEOUT, Connection::open(&origin, address)).await {
                Ok(opened) => opened.map_err(|error| error.to_string()),
                Err(_) => Err(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs())),
            };
            match opened {
                Ok((connection, life)) => {
                    fleet.set(id, State::Ready(connection));
                    break life;
                }
                Err(why) => {
                    // It stays down until it is reached: calls need not wait for the next attempt.
                    fleet.set(id, State::Down(format!("{} at {address}: {why}", origin.authority).into()));
                    lost.notify_one();
                    backoff.next_backoff().await;
                }
            }
        };
        life.await;
        lost.notify_one();
    }
}
