//! Which connections are open, and which of them must make place for others. A connection on which a credential was proved
//! keeps its place. Of the rest the oldest goes first: whoever has nothing to say cannot shut others out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::connection_metrics::{ConnectionMetrics, Refusal};
use super::files;
use super::request_budget::RequestBudget;
use super::state::{ConnectionState, EndReason};
use super::unsent::Unsent;
use crate::client_network::ClientNetwork;

/// Most connections at once, however much memory there is. See docs/performance.md for what one holds.
const PLACES_MAX: usize = 16_384;
/// What an idle connection holds. Half of the memory for connections may be taken by them; the rest is for what they carry.
const CONNECTION_SIZE: usize = 24 * 1024;
/// The part of the memory for connections that responses may take together which clients have not taken.
const UNSENT_SHARE: usize = 4;
/// The part of the memory for connections that their widened windows may take together.
const WINDOWS_SHARE: usize = 8;
/// The part of the memory for connections that requests may take together which were read and are not answered.
const REQUESTS_SHARE: usize = 8;
/// Places that only this machine may take: probes and the operator's own tools.
const RESERVED_PLACES: usize = 16;
/// The part of all places that connections from one source may take before they authenticate.
const SOURCE_SHARE: usize = 8;
/// How many of the oldest connections are looked at to find one on which nothing is being answered.
const LOOKED_AT_MAX: usize = 32;
/// Connections that are ending hold their places for a moment. So many more may be open meanwhile.
const ENDING_SHARE: usize = 16;

/// See the module.
pub struct OpenConnections {
    places: usize,
    windows_max: usize,
    /// The bytes that connections may be sent, beyond the least of each, before anything of it is read.
    windows: AtomicUsize,
    open: Mutex<Open>,
    unsent: Arc<Unsent>,
    requests: Arc<RequestBudget>,
    metrics: ConnectionMetrics,
}

#[derive(Default)]
struct Open {
    next: u64,
    all: HashMap<u64, Arc<ConnectionState>>,
    /// Those that may have to go, by age: all that had not authenticated when they were looked at last.
    unauthenticated: BTreeMap<u64, ClientNetwork>,
    by_source: HashMap<ClientNetwork, BTreeSet<u64>>,
    /// Those of each source that have to go and are not gone yet.
    ending: HashMap<ClientNetwork, BTreeSet<u64>>,
}

/// A widened window that a connection has for as long as this lives.
pub struct WindowGrant {
    bytes: usize,
    connections: Arc<OpenConnections>,
}

/// A place that a connection has for as long as this lives.
pub struct Place {
    id: u64,
    source: ClientNetwork,
    connections: Arc<OpenConnections>,
    /// The connection in that place.
    pub state: Arc<ConnectionState>,
}

impl OpenConnections {
    /// As many places as `memory` bytes and the system's files allow.
    pub fn new(memory: usize) -> Self {
        let by_memory = memory / 2 / CONNECTION_SIZE;
        let places = PLACES_MAX.min(by_memory).min(files::connections_max());
        Self {
            unsent: Arc::new(Unsent::new(memory / UNSENT_SHARE)),
            requests: Arc::new(RequestBudget::new(memory / REQUESTS_SHARE)),
            ..Self::with_places(places, memory / WINDOWS_SHARE)
        }
    }

    fn with_places(places: usize, windows_max: usize) -> Self {
        Self {
            places,
            windows_max,
            windows: AtomicUsize::new(0),
            open: Mutex::default(),
            unsent: Arc::new(Unsent::new(usize::MAX / 2)),
            requests: Arc::new(RequestBudget::new(usize::MAX / 2)),
            metrics: ConnectionMetrics::default(),
        }
    }

    /// How many connections may be open.
    pub fn places(&self) -> usize {
        self.places
    }

    /// The bytes of responses that clients have not taken yet.
    pub fn unsent(&self) -> &Unsent {
        &self.unsent
    }

    /// The bytes of requests that were read and are not answered yet.
    pub fn requests(&self) -> &RequestBudget {
        &self.requests
    }

    /// What can be counted about connections.
    pub fn metrics(&self) -> &ConnectionMetrics {
        &self.metrics
    }

    /// How many connections are open that have authenticated, and how many that have not.
    pub fn count(&self) -> (usize, usize) {
        let open = self.lock();
        let authenticated = open.all.values().filter(|connection| connection.is_authenticated()).count();
        (authenticated, open.all.len() - authenticated)
    }

    /// Lets a connection widen its window to `bytes`, unless those of all together would hold too much.
    pub fn grant_window(self: &Arc<Self>, bytes: usize) -> Option<WindowGrant> {
        let granted = self.windows.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |windows| {
            windows.checked_add(bytes).filter(|windows| *windows <= self.windows_max)
        });
        granted.is_ok().then(|| WindowGrant { bytes, connections: self.clone() })
    }

    /// Gives a new connection from `peer` a place, or none. Its streams end with `closing`.
    pub fn admit(self: &Arc<Self>, peer: SocketAddr, closing: CancellationToken) -> Option<Place> {
        let source = ClientNetwork::of(Some(peer.ip()));
        let mut open = self.lock();
        let share = (self.places / SOURCE_SHARE).max(1);
        if open.of_source(source) >= share {
            self.metrics.source_has_its_share(source, share);
            // Those that are ending hold their places for a moment: a source that connects anew as fast as it can must not
            // have all of them.
            if open.ending.get(&source).is_some_and(|ending| ending.len() > share / 2) {
                drop(open);
                self.metrics.refused(Refusal::Full, peer);
                return None;
            }
            evict(open.oldest_of(source));
        }
        let reserved = if peer.ip().to_canonical().is_loopback() { 0 } else { RESERVED_PLACES.min(self.places / 4) };
        if open.all.len() >= self.places - reserved {
            let evicted = open.oldest();
            let may_wait = open.all.len() < self.places + self.places / ENDING_SHARE + 1;
            if evicted.is_none() || !may_wait {
                drop(open);
                self.metrics.refused(Refusal::Full, peer);
                return None;
            }
            evict(evicted);
        }
        let state = Arc::new(ConnectionState::new(peer, closing, self.unsent.clone(), self.requests.clone()));
        let id = open.next;
        open.next += 1;
        open.all.insert(id, state.clone());
        open.unauthenticated.insert(id, source);
        open.by_source.entry(source).or_default().insert(id);
        drop(open);
        self.metrics.accepted();
        Some(Place { id, source, connections: self.clone(), state })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn evict(connection: Option<Arc<ConnectionState>>) {
    if let Some(connection) = connection {
        connection.end(EndReason::Evicted);
    }
}

impl Open {
    /// How many connections from there have not authenticated. Forgets those that have.
    fn of_source(&mut self, source: ClientNetwork) -> usize {
        let Some(ids) = self.by_source.get(&source) else { return 0 };
        // From the oldest on: the newest have hardly had the time to.
        let known = ids.iter().take_while(|id| self.all.get(*id).is_none_or(|one| one.is_authenticated()));
        for id in known.copied().collect::<Vec<_>>() {
            self.forget(id, source);
        }
        self.by_source.get(&source).map_or(0, BTreeSet::len)
    }

    /// Takes out the oldest connection that may have to go: one on which nothing is being answered, if there is such a one
    /// among the oldest.
    fn oldest(&mut self) -> Option<Arc<ConnectionState>> {
        let mut candidates: Vec<(u64, ClientNetwork)> = Vec::new();
        while candidates.len() < LOOKED_AT_MAX {
            let after = candidates.last().map_or(0, |(id, _)| *id + 1);
            let Some((id, source)) = self.unauthenticated.range(after..).next().map(|(id, source)| (*id, *source))
            else {
                break;
            };
            match self.all.get(&id) {
                Some(one) if !one.is_authenticated() => candidates.push((id, source)),
                _ => self.forget(id, source),
            }
        }
        self.take(&candidates)
    }

    /// The same, of those from one source.
    fn oldest_of(&mut self, source: ClientNetwork) -> Option<Arc<ConnectionState>> {
        let ids = self.by_source.get(&source)?.iter().take(LOOKED_AT_MAX);
        let known = |id: &u64| self.all.get(id).is_some_and(|one| !one.is_authenticated());
        let candidates: Vec<_> = ids.copied().filter(known).map(|id| (id, source)).collect();
        self.take(&candidates)
    }

    fn take(&mut self, candidates: &[(u64, ClientNetwork)]) -> Option<Arc<ConnectionState>> {
        let is_idle = |(id, _): &&(u64, ClientNetwork)| self.all.get(id).is_some_and(|one| one.calls() == 0);
        let (id, source) = *candidates.iter().find(is_idle).or(candidates.first())?;
        self.forget(id, source);
        self.ending.entry(source).or_default().insert(id);
        self.all.get(&id).cloned()
    }

    /// Notes that a connection is gone.
    fn has_ended(&mut self, id: u64, source: ClientNetwork) {
        if let Some(ids) = self.ending.get_mut(&source) {
            ids.remove(&id);
            if ids.is_empty() {
                self.ending.remove(&source);
            }
        }
    }

    /// Forgets that a connection may have to go.
    fn forget(&mut self, id: u64, source: ClientNetwork) {
        self.unauthenticated.remove(&id);
        if let Some(ids) = self.by_source.get_mut(&source) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_source.remove(&source);
            }
        }
    }
}

impl Drop for WindowGrant {
    fn drop(&mut self) {
        self.connections.windows.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        open.all.remove(&self.id);
        open.forget(self.id, self.source);
        open.has_ended(self.id, self.source);
        drop(open);
        if let Some(reason) = self.state.end_reason() {
            self.connections.metrics.ended(reason, &self.state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_sampler::tests::logged;

    fn admit(connections: &Arc<OpenConnections>, peer: &str) -> Option<Place> {
        connections.admit(format!("{peer}:1").parse().unwrap(), CancellationToken::new())
    }

    fn is_evicted(place: &Place) -> bool {
        place.state.end_reason() == Some(EndReason::Evicted)
    }

    #[test]
    fn the_oldest_that_has_not_authenticated_makes_place() {
        let connections = Arc::new(OpenConnections::with_places(4, 0));
        let places: Vec<_> = (1..=4).map(|n| admit(&connections, &format!("127.0.0.{n}")).unwrap()).collect();
        places[0].state.authenticated("a caller");
        places[1].state.call_began();
        let new = admit(&connections, "127.0.0.9").unwrap();
        assert_eq!(places.iter().map(is_evicted).collect::<Vec<_>>(), [false, false, true, false]);
        // While one is ending, no more than that are open beyond the places.
        assert!(admit(&connections, "127.0.0.8").is_none());
        drop(places);
        assert_eq!(connections.count(), (0, 1));
        drop(new);
        assert_eq!(connections.count(), (0, 0));
        let open = connections.lock();
        assert!(open.unauthenticated.is_empty() && open.by_source.is_empty());
    }

    #[test]
    fn who_has_authenticated_keeps_his_place() {
        let connections = Arc::new(OpenConnections::with_places(4, 0));
        let places: Vec<_> = (1..=4).map(|n| admit(&connections, &format!("127.0.0.{n}")).unwrap()).collect();
        for place in &places {
            place.state.authenticated("a caller");
        }
        assert!(admit(&connections, "127.0.0.9").is_none());
        assert!(!places.iter().any(is_evicted));
    }

    #[test]
    fn one_source_takes_its_share_and_no_more() {
        let connections = Arc::new(OpenConnections::with_places(80, 0));
        let come = |n: usize| admit(&connections, &format!("[2001:db8::{n:x}]"));
        let mut greedy = Vec::new();
        let log = logged(|| greedy.extend((0..16).map(|n| come(n).unwrap())));
        assert_eq!(log.matches("one source has all connections that it may").count(), 1, "{log}");
        assert!(log.contains("source=2001:db8::/64 connections_max=10 suppressed=0"), "{log}");
        assert_eq!(greedy.iter().filter(|place| is_evicted(place)).count(), 6);
        assert!(greedy[..6].iter().all(is_evicted), "the oldest");
        // Those have places until they are gone.
        assert!(come(16).is_none());
        greedy.drain(..6);
        greedy.extend((16..22).map(|n| come(n).unwrap()));
        let other = admit(&connections, "[2001:db8:0:1::1]").unwrap();
        assert!(!is_evicted(&other));
        // Those that authenticate do not count.
        for place in &greedy {
            place.state.authenticated("a caller");
        }
        let more: Vec<_> = (0..10).map(|_| admit(&connections, "[2001:db8::1]").unwrap()).collect();
        assert!(!more.iter().any(is_evicted));
    }

    #[test]
    fn the_last_places_are_for_this_machine() {
        let connections = Arc::new(OpenConnections::with_places(8, 0));
        let places: Vec<_> = (1..=6).map(|n| admit(&connections, &format!("192.0.2.{n}")).unwrap()).collect();
        for place in &places {
            place.state.authenticated("a caller");
        }
        assert!(admit(&connections, "192.0.2.7").is_none());
        assert!(admit(&connections, "127.0.0.1").is_some());
        assert!(admit(&connections, "[::ffff:127.0.0.1]").is_some());
    }

    #[test]
    fn windows_are_widened_while_there_is_memory() {
        let connections = Arc::new(OpenConnections::with_places(8, 5));
        let grants = [2, 2, 2].map(|bytes| connections.grant_window(bytes));
        assert_eq!(grants.each_ref().map(Option::is_some), [true, true, false]);
        drop(grants);
        assert!(connections.grant_window(5).is_some());
    }

    #[test]
    fn the_log_names_whose_connection_ended() {
        let connections = Arc::new(OpenConnections::with_places(4, 0));
        let place = admit(&connections, "192.0.2.1").unwrap();
        place.state.authenticated("key_1");
        place.state.end(EndReason::Stalled);
        let log = logged(|| drop(place));
        let line = "a connection was ended reason=\"stalled\" root_key_id=\"key_1\" peer=192.0.2.1:1 suppressed=0";
        assert!(log.contains(line), "{log}");
    }

    #[test]
    fn sources_are_addresses_or_networks() {
        let of = |text: &str| ClientNetwork::of(Some(text.parse().unwrap()));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
    }
}
