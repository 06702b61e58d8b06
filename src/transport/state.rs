//! What the parts of one connection share: its task, its calls, and what decides which connections may stay.

use std::fmt;
use std::future::poll_fn;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use futures_util::task::AtomicWaker;
use tokio_util::sync::CancellationToken;

use super::caller_turns;
use super::request_budget::RequestBudget;
use super::traffic::Traffic;
use super::unsent::Unsent;

/// Where a request came from: among its extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// The state of a connection. Among the extensions of each of its requests, as an `Arc`.
pub struct ConnectionState {
    peer: SocketAddr,
    /// A number for the caller whose credential was proved first; 0 before.
    caller: AtomicU64,
    /// The id of its root key, for the log.
    root_key_id: OnceLock<Box<str>>,
    /// An [`EndReason`] once the connection must end; 0 before.
    end: AtomicU8,
    /// The connection's task.
    task: AtomicWaker,
    /// Bytes of requests that were read and are still held, of those that began before it authenticated.
    held: AtomicUsize,
    /// Calls that are being served.
    calls: AtomicUsize,
    /// Calls that were answered, so that a task can see whether there were any since it last looked.
    finished: AtomicUsize,
    /// How often the connection's task has looked at what arrived.
    round: AtomicUsize,
    /// Whether less was read in it than may be there.
    is_cut_short: AtomicBool,
    /// Whether much may be read at once.
    is_wide: AtomicBool,
    traffic: Traffic,
    /// Cancelled when streams that last must end.
    closing: CancellationToken,
    /// Of all connections.
    unsent: Arc<Unsent>,
    requests: Arc<RequestBudget>,
}

/// Why the server ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EndReason {
    /// It made place for another: it had not authenticated and was the oldest.
    Evicted = 1,
    /// It did not authenticate, and no call on it finished for too long.
    Idle,
    /// It did not finish what it had begun to send, or did not take what it was sent.
    Stalled,
    /// It sent too many frames that do nothing.
    FrameFlood,
    /// It was still open after its age and the grace that follows.
    Age,
    /// It did not answer a ping.
    Silent,
    /// It did not finish its handshake: that of TLS, and the first bytes of HTTP/1.1 or HTTP/2.
    HandshakeTimeout,
}

impl EndReason {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Evicted, Self::Idle, Self::Stalled, Self::FrameFlood, Self::Age, Self::Silent, Self::HandshakeTimeout];

    /// The reason as metrics and logs name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Evicted => "evicted",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
            Self::FrameFlood => "frame_flood",
            Self::Age => "age",
            Self::Silent => "silent",
            Self::HandshakeTimeout => "handshake_timeout",
        }
    }
}

impl ConnectionState {
    /// The state of a new connection from `peer`. Its streams end with `closing`; `unsent` and `requests` count for all
    /// connections.
    pub fn new(
        peer: SocketAddr,
        closing: CancellationToken,
        unsent: Arc<Unsent>,
        requests: Arc<RequestBudget>,
    ) -> Self {
        Self {
            peer,
            caller: AtomicU64::new(0),
            root_key_id: OnceLock::new(),
            end: AtomicU8::new(0),
            task: AtomicWaker::new(),
            held: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
            round: AtomicUsize::new(0),
            is_cut_short: AtomicBool::new(false),
            is_wide: AtomicBool::new(false),
            traffic: Traffic::default(),
            closing,
            unsent,
            requests,
        }
    }

    /// The bytes of responses that clients have not taken yet, over all connections.
    pub(super) fn unsent(&self) -> &Arc<Unsent> {
        &self.unsent
    }

    /// The bytes of requests that were read and are not answered, over all connections.
    pub(super) fn requests(&self) -> &Arc<RequestBudget> {
        &self.requests
    }

    /// The other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether a credential was proved on this connection.
    pub fn is_authenticated(&self) -> bool {
        self.caller() != 0
    }

    /// Notes that the credential of the caller `id` was proved on this connection. From then on its limits are those of a
    /// caller, and its calls count as of the first.
    pub fn authenticated(&self, id: &str) {
        if self.is_authenticated() {
            return;
        }
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        self.root_key_id.get_or_init(|| id.into());
        self.caller.store(hasher.finish().max(1), Ordering::Relaxed);
        self.task.wake();
    }

    /// A number for the caller whose credential was proved first; 0 before.
    pub(super) fn caller(&self) -> u64 {
        self.caller.load(Ordering::Relaxed)
    }

    /// The id of the root key that was proved first on this connection; `None` before. For the log.
    pub(super) fn root_key_id(&self) -> Option<&str> {
        self.root_key_id.get().map(AsRef::as_ref)
    }

    /// Cancelled when streams that last must end: the server ends, or the connection has come of age.
    pub fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Ends the connection. The first reason counts.
    pub(super) fn end(&self, reason: EndReason) {
        if self.end.compare_exchange(0, reason as u8, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.task.wake();
        }
    }

    /// Why the connection must end, if it must.
    pub(super) fn end_reason(&self) -> Option<EndReason> {
        let end = self.end.load(Ordering::Relaxed);
        EndReason::ALL.into_iter().find(|reason| *reason as u8 == end)
    }

    /// The task to wake when the state changes.
    pub(super) fn task(&self) -> &AtomicWaker {
        &self.task
    }

    /// Resolves once the connection must end.
    pub(super) async fn ended(&self) -> EndReason {
        poll_fn(|cx| {
            self.task.register(cx.waker());
            self.end_reason().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// The number of the present round: of reading what has arrived, and looking at all of it.
    pub(super) fn round(&self) -> usize {
        self.round.load(Ordering::Relaxed)
    }

    /// Notes that all calls that were read have been looked at.
    pub(super) fn next_round(&self) {
        self.round.store(self.round().wrapping_add(1), Ordering::Relaxed);
        self.is_cut_short.store(false, Ordering::Relaxed);
    }

    /// Whether less was read in the present round than may be there: the task was woken for the next.
    pub(super) fn is_cut_short(&self) -> bool {
        self.is_cut_short.load(Ordering::Relaxed)
    }

    /// Notes that less was read than may be there.
    pub(super) fn set_cut_short(&self) {
        self.is_cut_short.store(true, Ordering::Relaxed);
    }

    /// Whether much may be read at once: the connection was granted the memory for it.
    pub(super) fn is_wide(&self) -> bool {
        self.is_wide.load(Ordering::Relaxed)
    }

    /// Lets much be read at once.
    pub(super) fn set_wide(&self) {
        self.is_wide.store(true, Ordering::Relaxed);
    }

    pub(super) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Notes that as much was done for a call that lasts as for `calls`, so that it takes its caller's turns: to be called
    /// on the thread of the connection.
    pub fn note_calls(&self, calls: usize) {
        caller_turns::note_calls(self.caller(), calls);
    }

    pub(super) fn call_began(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn call_ended(&self) {
        self.calls.fetch_sub(1, Ordering::Relaxed);
        self.finished.fetch_add(1, Ordering::Relaxed);
    }

    /// How many calls are being served.
    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// How many calls were answered.
    pub(super) fn finished(&self) -> usize {
        self.finished.load(Ordering::Relaxed)
    }

    /// The bytes of requests that are held since before it authenticated.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Adds `len` bytes of a request to those that are held.
    pub(super) fn hold(&self, len: usize) {
        self.held.fetch_add(len, Ordering::Relaxed);
    }

    pub(super) fn release(&self, len: usize) {
        self.held.fetch_sub(len, Ordering::Relaxed);
    }
}

impl fmt::Debug for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionState").field("peer", &self.peer).finish_non_exhaustive()
    }
}
