//! The replicas that a channel knows, and whose turn it is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::watch;
use tonic::Status;

use super::connection::{Connection, Failure, Outgoing};

/// The replicas of every origin.
pub struct Fleet {
    replicas: watch::Sender<Vec<Replica>>,
    turn: AtomicUsize,
}

/// A replica; without an address, the origin whose addresses are not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id {
    /// Which of the channel's origins.
    pub origin: usize,
    /// Which of its addresses.
    pub address: Option<SocketAddr>,
}

/// What became of a replica.
pub enum State {
    /// It may be reached soon.
    Connecting,
    /// It takes calls.
    Ready(Connection),
    /// It could not be reached, for this reason, and is tried again.
    Down(Arc<str>),
}

struct Replica {
    id: Id,
    state: State,
}

enum Turn {
    Of(Connection),
    NobodyYet,
    Nobody(Status),
}

impl Fleet {
    /// A fleet of `origins` whose addresses are not known yet.
    pub fn new(origins: usize) -> Self {
        let unknown = |origin| Replica { id: Id { origin, address: None }, state: State::Connecting };
        Self { replicas: watch::Sender::new((0..origins).map(unknown).collect()), turn: AtomicUsize::new(0) }
    }

    /// Takes in a replica.
    pub fn add(&self, id: Id) {
        self.replicas.send_modify(|replicas| replicas.push(Replica { id, state: State::Connecting }));
    }

    /// Takes in what became of a replica, unless it was forgotten meanwhile.
    pub fn set(&self, id: Id, state: State) {
        self.replicas.send_modify(|replicas| {
            if let Some(replica) = replicas.iter_mut().find(|replica| replica.id == id) {
                replica.state = state;
            }
        });
    }

    /// Forgets a replica.
    pub fn remove(&self, id: Id) {
        self.replicas.send_modify(|replicas| replicas.retain(|replica| replica.id != id));
    }

    /// Sends a request to the next replica that takes calls. Waits while none does but one may soon; is UNAVAILABLE if
    /// all are down.
    pub async fn send(&self, mut request: Request<Outgoing>) -> Result<Response<Incoming>, Status> {
        let mut changes = self.replicas.subscribe();
        loop {
            let turn = self.turn(&changes.borrow_and_update());
            match turn {
                Turn::Of(connection) => match connection.send(request).await {
                    Ok(answer) => return Ok(answer),
                    // It closed before it took the request: as if it had not been there.
                    Err(Failure::Unsent(unsent)) => request = *unsent,
                    Err(Failure::Sent(status)) => return Err(status),
                },
                Turn::NobodyYet => changes.changed().await.expect("the sender is in self"),
                Turn::Nobody(status) => return Err(status),
            }
        }
    }

    fn turn(&self, replicas: &[Replica]) -> Turn {
        let count = replicas.iter().filter_map(Replica::ready).count();
        if count > 0 {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % count;
            // One may have closed since they were counted.
            let next = replicas.iter().filter_map(Replica::ready).nth(turn);
            return next.map_or(Turn::NobodyYet, |connection| Turn::Of(connection.clone()));
        }
        let mut whys = replicas.iter().map(|replica| match &replica.state {
            State::Down(why) => Some(why),
            // A connection that has closed is about to be made anew.
            State::Connecting | State::Ready(_) => None,
        });
        match whys.next() {
            Some(Some(why)) if whys.all(|why| why.is_some()) => Turn::Nobody(Status::unavailable(why.as_ref())),
            _ => Turn::NobodyYet,
        }
    }
}

impl Replica {
    fn ready(&self) -> Option<&Connection> {
        match &self.state {
            State::Ready(connection) if !connection.is_closed() => Some(connection),
            _ => None,
        }
    }
}
