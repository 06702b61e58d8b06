//! The cache of `src/verify/cache`, run by loom through every order in which its threads can come to its locks; and the
//! lease of `src/fleet`, which another thread extends meanwhile.
//!
//! A revoker changes the store, then tells the cache, then says OK. Verifiers fill the cache meanwhile. What must hold:
//! nobody who asks after the OK gets what was read before the change, from memory or from a fill that is under way.

#![cfg(loom)]

#[path = "../../src/verify/cache/mod.rs"]
#[allow(dead_code, missing_docs)]
mod cache;
#[path = "../../src/fleet/until.rs"]
#[allow(dead_code)]
mod until;

#[cfg(test)]
mod lease;

#[cfg(test)]
mod tests {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use loom::thread;

    use super::cache::{Begun, Cache, Entry, Known};

    const LOOKUP: &str = "k";
    const LIVE: usize = 0;
    const REVOKED: usize = 1;

    /// What the store said when it was read, and whether it may still be relied on by whoever holds it.
    #[derive(Clone, Debug)]
    struct Read(usize, Arc<AtomicBool>);

    impl Read {
        fn now(store: &AtomicUsize) -> Self {
            Self(store.load(Ordering::SeqCst), Arc::new(AtomicBool::new(false)))
        }

        fn is_retired(&self) -> bool {
            self.1.load(Ordering::SeqCst)
        }
    }

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

        fn retire(&self) {
            self.1.store(true, Ordering::SeqCst);
        }
    }

    struct World {
        store: AtomicUsize,
        /// A fill is what the store said when it began: it can be no newer than what comes of it.
        cache: Cache<Read, usize>,
    }

    impl World {
        fn new() -> Arc<Self> {
            Arc::new(Self { store: AtomicUsize::new(LIVE), cache: Cache::new(1, 1_000, 1_000) })
        }

        /// A verification: what it rests on, read no earlier than said.
        fn verify(&self) -> usize {
            self.find().map_or_else(|fill| fill, |read| read.0)
        }

        /// What a verification holds on to, or how old what it waits for may be.
        fn find(&self) -> Result<Read, usize> {
            if let Some(Known::Present(read)) = self.cache.get(LOOKUP) {
                return Ok(read);
            }
            match self.cache.begin(LOOKUP, || self.store.load(Ordering::SeqCst)) {
                Begun::Known(Known::Present(read)) => Ok(read),
                Begun::Known(Known::Absent) => unreachable!("it is always there"),
                Begun::Shared(fill) => Err(*fill),
                Begun::Fill(fill) => {
                    let read = Read::now(&self.store);
                    self.cache.finish(LOOKUP, &fill, Some(Known::Present(read.clone())));
                    Ok(read)
                }
            }
        }

        fn revoke(&self) {
            self.store.store(REVOKED, Ordering::SeqCst);
            self.cache.apply(LOOKUP);
        }
    }

    #[test]
    fn what_was_revoked_is_never_accepted_again() {
        loom::model(|| {
            let world = World::new();
            let verifiers: Vec<_> = (0..2)
                .map(|_| {
                    let world = world.clone();
                    thread::spawn(move || {
                        let _ = world.verify();
                    })
                })
                .collect();
            world.revoke();
            // OK. From here on, while the others are at it still:
            assert_eq!(world.verify(), REVOKED);
            for verifier in verifiers {
                verifier.join().unwrap();
            }
            assert_eq!(world.verify(), REVOKED);
        });
    }

    #[test]
    fn who_holds_on_to_what_was_revoked_is_told() {
        loom::model(|| {
            let world = World::new();
            let stream = {
                let world = world.clone();
                thread::spawn(move || world.find())
            };
            world.revoke();
            if let Ok(held) = stream.join().unwrap() {
                assert!(held.0 == REVOKED || held.is_retired());
            }
        });
    }

    #[test]
    fn a_change_of_all_is_heard_as_one_of_each() {
        loom::model(|| {
            let world = World::new();
            let verifier = {
                let world = world.clone();
                thread::spawn(move || {
                    let _ = world.verify();
                })
            };
            world.store.store(REVOKED, Ordering::SeqCst);
            world.cache.apply_to_all(|_| true);
            assert_eq!(world.verify(), REVOKED);
            verifier.join().unwrap();
            assert_eq!(world.verify(), REVOKED);
        });
    }

    #[test]
    fn a_fill_is_made_once() {
        loom::model(|| {
            let world = World::new();
            let fills = Arc::new(AtomicUsize::new(0));
            let all: Vec<_> = (0..2)
                .map(|_| {
                    let (world, fills) = (world.clone(), fills.clone());
                    thread::spawn(move || {
                        if let Begun::Fill(fill) = world.cache.begin(LOOKUP, || LIVE) {
                            fills.fetch_add(1, Ordering::SeqCst);
                            world.cache.finish(LOOKUP, &fill, Some(Known::Present(Read::now(&world.store))));
                        }
                    })
                })
                .collect();
            for one in all {
                one.join().unwrap();
            }
            assert_eq!(fills.load(Ordering::SeqCst), 1);
        });
    }
}
