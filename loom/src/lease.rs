//! A revoker on another replica: it changes the store, and says OK when this replica has acknowledged the change or when
//! no lease of it can rest on less. The tailer of this replica reads the store, applies, extends the lease, acknowledges.
//! Nobody who asks after the OK may be let in.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use loom::thread;

use crate::cache::{Begun, Cache, Entry, Known};
use crate::until::{NONE, Until};

const LOOKUP: &str = "k";
const LIVE: usize = 0;
const REVOKED: usize = 1;
/// The lease, and what the revoker waits.
const L: u64 = 1;
const W: u64 = 2;

/// In which order a verification does what.
#[derive(Clone, Copy)]
enum Order {
    /// As it should.
    DeadlineFirst,
    DeadlineLate,
}

/// In which order a tailer does what.
#[derive(Clone, Copy, PartialEq)]
enum Tail {
    /// As it should.
    ApplyFirst,
    AckFirst,
    ExtendFirst,
}

#[derive(Clone, Debug)]
struct Read(usize);

impl Entry for Read {
    fn lookup(&self) -> &str {
        LOOKUP
    }

    fn size(&self) -> usize {
        1
    }

    fn mark_used(&self) {}

    fn take_mark(&self) -> bool {
        false
    }

    fn retire(&self) {}
}

struct World {
    now: AtomicU64,
    store: AtomicUsize,
    cache: Cache<Read, ()>,
    until: Until,
    acked: AtomicBool,
}

impl World {
    /// With the key in memory, and a lease from the beginning.
    fn new() -> Arc<Self> {
        let cache = Cache::new(1, 1_000, 1_000);
        let Begun::Fill(fill) = cache.begin(LOOKUP, || ()) else { unreachable!("nothing is known yet") };
        cache.finish(LOOKUP, &fill, Some(Known::Present(Read(LIVE))));
        Arc::new(Self {
            now: AtomicU64::new(1),
            store: AtomicUsize::new(LIVE),
            cache,
            until: Until::new(1 + L),
            acked: AtomicBool::new(false),
        })
    }

    fn look(&self, tail: Tail) {
        let began = self.now.load(Ordering::SeqCst);
        let is_revoked = self.store.load(Ordering::SeqCst) == REVOKED;
        if tail == Tail::AckFirst && is_revoked {
            self.acked.store(true, Ordering::SeqCst);
        }
        if tail == Tail::ExtendFirst {
            self.until.set(began + L);
        }
        if is_revoked {
            self.cache.apply(LOOKUP);
        }
        self.until.set(began + L);
        if is_revoked {
            self.acked.store(true, Ordering::SeqCst);
        }
    }

    /// Whether the key is let in. What is not in memory is not waited for here.
    fn verify(&self, order: Order) -> bool {
        let mut deadline = self.until.get();
        let is_live = matches!(self.cache.get(LOOKUP), Some(Known::Present(Read(LIVE))));
        if let Order::DeadlineLate = order {
            deadline = self.until.get();
        }
        is_live && deadline != NONE && self.now.load(Ordering::SeqCst) < deadline
    }

    /// Revokes, and answers OK as soon as it may.
    fn revoke(&self) {
        self.store.store(REVOKED, Ordering::SeqCst);
        let committed = self.now.load(Ordering::SeqCst);
        if !self.acked.load(Ordering::SeqCst) {
            self.now.store(committed + W, Ordering::SeqCst);
        }
    }
}

fn run(order: Order, tail: Tail) {
    loom::model(move || {
        let world = World::new();
        let tailer = {
            let world = world.clone();
            thread::spawn(move || world.look(tail))
        };
        world.revoke();
        assert!(!world.verify(order), "it was let in after OK");
        tailer.join().unwrap();
        assert!(!world.verify(order), "it was let in after OK");
    });
}

#[test]
fn nobody_is_let_in_after_ok() {
    run(Order::DeadlineFirst, Tail::ApplyFirst);
}

/// Those that must be caught: a model that never failed has not been tested.
#[test]
#[should_panic(expected = "it was let in after OK")]
fn a_deadline_that_is_read_late_is_caught() {
    run(Order::DeadlineLate, Tail::ApplyFirst);
}

#[test]
#[should_panic(expected = "it was let in after OK")]
fn an_acknowledgement_before_the_change_is_applied_is_caught() {
    run(Order::DeadlineFirst, Tail::AckFirst);
}

#[test]
#[should_panic(expected = "it was let in after OK")]
fn a_lease_that_is_taken_before_the_change_is_applied_is_caught() {
    run(Order::DeadlineFirst, Tail::ExtendFirst);
}
