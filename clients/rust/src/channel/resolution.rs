//! Which addresses an origin has.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;
use tokio::net;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time;

use super::fleet::{Fleet, Id, State};
use super::replica;
use super::tls::Tls;

/// How old what is known of a name may be.
const RESOLVE_INTERVAL: Duration = Duration::from_secs(30);
/// How soon a name is looked up again that could not be, or whose replicas fail.
const RESOLVE_AGAIN: Duration = Duration::from_secs(1);

/// One address that the client was given: a name of one replica or several, or an IP address.
pub struct Origin {
    /// The host and port as they were given.
    pub authority: Authority,
    /// A name or an IP address.
    pub host: String,
    /// The port of each replica.
    pub port: u16,
    /// How to encrypt; absent: not at all.
    pub tls: Option<Tls>,
}

/// Keeps a connection to every address of an origin, and looks now and then which those are, for as long as it is
/// polled.
pub async fn follow(fleet: Arc<Fleet>, index: usize, origin: Arc<Origin>) {
    let unknown = Id { origin: index, address: None };
    let lost = Arc::new(Notify::new());
    let mut keepers = JoinSet::new();
    let mut known: HashMap<SocketAddr, AbortHandle> = HashMap::new();
    loop {
        match resolve(&origin).await {
            Ok(addresses) => {
                for &address in &addresses {
                    let id = Id { origin: index, address: Some(address) };
                    known.entry(address).or_insert_with(|| {
                        fleet.add(id);
                        let (fleet, origin, lost) = (Arc::clone(&fleet), Arc::clone(&origin), Arc::clone(&lost));
                        keepers.spawn(replica::keep(fleet, id, address, origin, lost))
                    });
                }
                fleet.remove(unknown);
                known.retain(|&address, keeper| {
                    let is_there = addresses.contains(&address);
                    if !is_there {
                        keeper.abort();
                        fleet.remove(Id { origin: index, address: Some(address) });
                    }
                    is_there
                });
            }
            // What was known of the name stays good.
            Err(_) if !known.is_empty() => {}
            Err(error) => fleet.set(unknown, State::Down(format!("{}: {error}", origin.authority).into())),
        }
        // Those that were ended.
        while keepers.try_join_next().is_some() {}
        time::sleep(RESOLVE_AGAIN).await;
        if !known.is_empty() {
            // Elapsed or not, it is time.
            let _ = time::timeout(RESOLVE_INTERVAL, lost.notified()).await;
        }
    }
}

/// All addresses that an origin has now: one at least.
pub async fn resolve(origin: &Origin) -> io::Result<Vec<SocketAddr>> {
    let addresses: Vec<_> = net::lookup_host((origin.host.as_str(), origin.port)).await?.collect();
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses)
}
