//! A process: what can be done to it from outside.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use portcullis::seeded::Gate;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::replica::{Command, Replica};
use crate::world::{World, lock};

/// A process that runs, is stopped or is not there.
pub struct Process {
    /// Its host.
    pub name: String,
    /// How fast its clock goes.
    pub pace: f64,
    /// What its clock said at the beginning.
    pub boot: Duration,
    /// What stops it.
    pub door: Arc<Door>,
    /// Hints for it.
    pub hints: Arc<Notify>,
    /// Somebody calls.
    pub called: Notify,
    link: Mutex<Link>,
    calls: Mutex<VecDeque<Command>>,
    replica: Mutex<Option<Arc<Replica>>>,
    started: Mutex<Option<(Instant, Duration)>>,
    /// How often it was started or ended.
    life: AtomicU64,
}

/// The way from a process to the database.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link {
    /// Nothing gets through.
    pub is_cut: bool,
    /// The longest that a call takes one way, in milliseconds, while it is slow.
    pub slow: Option<u64>,
}

/// Shut while the process is stopped.
#[derive(Default)]
pub struct Door {
    is_shut: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

impl Gate for Door {
    fn poll_open(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_shut.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        lock(&self.waiting).push(cx.waker().clone());
        Poll::Pending
    }
}

impl Process {
    /// One that was not started yet.
    pub fn new(name: String, pace: f64, boot: Duration) -> Self {
        Self {
            name,
            pace,
            boot,
            door: Arc::default(),
            hints: Arc::default(),
            called: Notify::new(),
            link: Mutex::default(),
            calls: Mutex::default(),
            replica: Mutex::default(),
            started: Mutex::default(),
            life: AtomicU64::new(0),
        }
    }

    /// Notes that it starts just now.
    pub fn start(&self, now: u64) {
        self.end();
        *lock(&self.started) = Some((Instant::now(), Duration::from_millis(now)));
    }

    /// When it was started, by its runtime's clock and the world's.
    pub fn started(&self) -> Option<(Instant, Duration)> {
        *lock(&self.started)
    }

    /// Notes that it is there no more.
    pub fn end(&self) {
        self.life.fetch_add(1, Ordering::Relaxed);
        let (replica, calls) = (lock(&self.replica).take(), std::mem::take(&mut *lock(&self.calls)));
        drop((replica, calls));
        *lock(&self.started) = None;
    }

    /// Differs from one start to the next.
    pub fn life(&self) -> u64 {
        self.life.load(Ordering::Relaxed)
    }

    /// It answers from now on.
    pub fn ready(&self, replica: Arc<Replica>) {
        *lock(&self.replica) = Some(replica);
    }

    /// What answers in it, if it runs.
    pub fn replica(&self) -> Option<Arc<Replica>> {
        lock(&self.replica).clone()
    }

    /// Whether it is stopped.
    pub fn is_stopped(&self) -> bool {
        self.door.is_shut.load(Ordering::Relaxed)
    }

    /// Stops all that it does.
    pub fn stop(&self) {
        self.door.is_shut.store(true, Ordering::Relaxed);
    }

    /// Lets it go on, its tasks in any order.
    pub fn go_on(&self, world: &World) {
        self.door.is_shut.store(false, Ordering::Relaxed);
        let mut waiting = std::mem::take(&mut *lock(&self.door.waiting));
        while !waiting.is_empty() {
            waiting.swap_remove(world.pick(waiting.len())).wake();
        }
    }

    /// Calls it. Nobody hears that if it is not there.
    pub fn call(&self, command: Command) {
        if self.replica().is_some() {
            lock(&self.calls).push_back(command);
            self.called.notify_one();
        }
    }

    /// The next call.
    pub fn next_call(&self) -> Option<Command> {
        lock(&self.calls).pop_front()
    }

    /// The way to the database.
    pub fn link(&self) -> Link {
        *lock(&self.link)
    }

    /// From now on, this is the way to the database.
    pub fn set_link(&self, link: Link) {
        *lock(&self.link) = link;
    }
}
