//! The log of changes: how processes that share a store learn what the others changed, and say how far they have
//! learnt it. What it is for, and why it is enough, is in `docs/revocation.md`.
//!
//! No time of the store's is in here, and no other process's.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::key::imported::Form;

/// What a change touched, as those must know who answer from memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The secret of this public prefix: it, or what its key may do, is not what it was.
    Secret(String),
    /// What holds for every key of this keyspace.
    Keyspace(String),
    /// Imported secrets of this keyspace are found by this form too.
    Form(String, Form),
    /// Anything may be as it was not before.
    All,
}

/// Hears of changes.
pub trait Listener: Send + Sync + 'static {
    /// These changes were made, or may have been: what was read before they were is void. Must be quick.
    fn changed(&self, changes: &[Change]);
}

/// How whoever answers from memory hears of changes.
pub enum News {
    /// The store tells of each.
    Told,
    /// They are to be read here.
    Logged(Box<dyn ChangeLog>),
}

/// One stay of one process among those that share the store. Never used again once it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u128);

/// A place in the log. Two histories that differ, as after a failover that lost changes, differ in their nonces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The number of the entry: one more than that of the entry before it. Entries are seen in this order.
    pub seq: i64,
    /// Random.
    pub nonce: i64,
}

/// What one look at the log showed: all of one instant.
#[derive(Clone, Debug)]
pub struct Poll {
    /// Whether the reader is registered, and not marked as dead.
    pub is_registered: bool,
    /// How far the reader is known to be.
    pub acked: i64,
    /// The last entry.
    pub head: Position,
    /// The nonce of the entry that the reader stands at; `None`: there is no such entry.
    pub previous: Option<i64>,
    /// What follows that entry: all of it, or as much as one look shows.
    pub entries: Vec<(Position, Change)>,
}

/// A process among those that share the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Which.
    pub incarnation: Incarnation,
    /// What people call it.
    pub name: String,
    /// The longest that it answers from memory without looking at the log.
    pub lease: Duration,
    /// It has applied every change up to this one.
    pub acked: i64,
    /// Differs from one second to the next while it is alive.
    pub beat: i64,
    /// Somebody has marked it as dead. Unless it registers anew it will soon answer no more.
    pub is_dead: bool,
}

/// All replicas and the last entry, of one instant.
#[derive(Clone, Debug)]
pub struct Roll {
    /// The number of the last entry.
    pub head: i64,
    /// The replicas.
    pub replicas: Vec<Replica>,
}

/// The log, and the list of those who read it.
#[async_trait]
pub trait ChangeLog: Send + Sync + 'static {
    /// Puts a replica on the list, durably. Nothing happens if it is there already.
    async fn register(&self, incarnation: Incarnation, name: &str, lease: Duration) -> Result<(), StoreError>;

    /// Looks for what follows entry `after`; `None`: for the last entry alone.
    async fn poll(&self, by: Incarnation, after: Option<i64>) -> Result<Poll, StoreError>;

    /// Says that these, which are one process, have applied everything up to `at`, and live. Says nothing if the log has
    /// no such entry: this may reach another history than that was of. May be lost.
    async fn acknowledge(&self, by: &[Incarnation], at: Position) -> Result<(), StoreError>;

    /// Who is on the list.
    async fn roll(&self) -> Result<Roll, StoreError>;

    /// Marks those as dead, durably, who have not acknowledged entry `seq`.
    async fn mark_dead(&self, replicas: &[Incarnation], seq: i64) -> Result<(), StoreError>;

    /// Takes off the list those who are dead.
    async fn remove(&self, dead: &[Incarnation]) -> Result<(), StoreError>;

    /// Takes a replica off the list that answers no more.
    async fn leave(&self, incarnation: Incarnation) -> Result<(), StoreError>;

    /// Clears old entries away, never the last one.
    async fn prune(&self) -> Result<(), StoreError>;

    /// Hints to all who read the log that there may be something new. May be lost, and proves nothing.
    async fn hint(&self) -> Result<(), StoreError>;

    /// Waits for the next hint; at once after one that may have been missed.
    async fn hinted(&self) -> Result<(), StoreError>;
}
