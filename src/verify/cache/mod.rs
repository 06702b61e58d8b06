//! What is known of secrets without asking the store: bounded, sharded, and never older than the last change that was
//! heard of.
//!
//! A *fill* is a look-up in the store that is under way. All who want the same secret share it. When a change arrives,
//! [`Cache::apply`] drops what is known of the secret and *poisons* its fill, both under the shard's lock: what the
//! fill read may be older than the change, so it is not kept, and whoever comes later does not share it but begins
//! anew. Those who began before the change still get what it read; they began before the change was acknowledged.
//!
//! This module knows nothing of keys, stores or tasks, and takes its locks from [`sync`], so that loom can run it
//! through every order of events (`loom/`).

mod absence;
mod sync;
mod table;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use absence::Absence;
use sync::{Arc, RwLock, read, write};
use table::Table;

/// Something kept in the cache. Its methods other than the first two are for the cache alone.
pub trait Entry {
    /// What finds it.
    fn lookup(&self) -> &str;
    /// About how many bytes of memory it takes.
    fn size(&self) -> usize;
    /// Notes that it was used.
    fn mark_used(&self);
    /// Whether it was used since this was last asked.
    fn take_mark(&self) -> bool;
    /// Called once it is in the cache no more, or never will be: no change is heard of from here on.
    fn retire(&self);
}

/// What is known of secrets. `F` is what those who share a fill wait for.
pub struct Cache<E, F> {
    shards: Box<[RwLock<Shard<E, F>>]>,
    hasher: RandomState,
}

struct Shard<E, F> {
    present: Table<E>,
    /// Lookups that no secret has. Bounded on their own: however many are made up, they drive out no key.
    absent: Table<Absence>,
    fills: HashMap<Box<str>, Arc<F>>,
}

/// What the cache knows of a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known<E> {
    /// The secret that it finds.
    Present(E),
    /// There is none.
    Absent,
}

/// How a look-up goes on.
#[derive(Debug)]
pub enum Begun<E, F> {
    /// It is known already.
    Known(Known<E>),
    /// Somebody else's fill is under way: wait for it.
    Shared(Arc<F>),
    /// This fill is the caller's to make, and to end by [`Cache::finish`] whatever comes.
    Fill(Arc<F>),
}

impl<E: Entry + Clone, F> Cache<E, F> {
    /// A cache of `shards` parts, a power of two, of at most about `present_size_max` bytes of entries and `absent_size_max` bytes of
    /// absences.
    pub fn new(shards: usize, present_size_max: usize, absent_size_max: usize) -> Self {
        assert!(shards.is_power_of_two(), "{shards} parts");
        let shard = || {
            RwLock::new(Shard {
                present: Table::new(present_size_max / shards),
                absent: Table::new(absent_size_max / shards),
                fills: HashMap::new(),
            })
        };
        Self { shards: (0..shards).map(|_| shard()).collect(), hasher: RandomState::new() }
    }

    /// What is known of `lookup`; `None`: nothing.
    pub fn get(&self, lookup: &str) -> Option<Known<E>> {
        let hash = self.hash(lookup);
        read(self.shard(hash)).known(hash, lookup)
    }

    /// Begins to look `lookup` up; `fill` makes what others will wait for.
    pub fn begin(&self, lookup: &str, fill: impl FnOnce() -> F) -> Begun<E, F> {
        let hash = self.hash(lookup);
        let mut shard = write(self.shard(hash));
        // It may have become known since the caller last asked.
        if let Some(known) = shard.known(hash, lookup) {
            return Begun::Known(known);
        }
        if let Some(fill) = shard.fills.get(lookup) {
            return Begun::Shared(fill.clone());
        }
        let fill = Arc::new(fill());
        shard.fills.insert(lookup.into(), fill.clone());
        Begun::Fill(fill)
    }

    /// Ends `fill`. What it `found` is kept, unless a change has poisoned it meanwhile: then it is retired before anybody
    /// gets it. `None`: it failed.
    pub fn finish(&self, lookup: &str, fill: &Arc<F>, found: Option<Known<E>>) {
        let hash = self.hash(lookup);
        let mut shard = write(self.shard(hash));
        if !shard.fills.get(lookup).is_some_and(|current| Arc::ptr_eq(current, fill)) {
            if let Some(Known::Present(entry)) = found {
                entry.retire();
            }
            return;
        }
        shard.fills.remove(lookup);
        let hash_of = |lookup: &str| self.hasher.hash_one(lookup);
        match found {
            Some(Known::Present(entry)) => shard.present.insert(hash, entry, hash_of),
            Some(Known::Absent) => shard.absent.insert(hash, Absence::of(lookup), hash_of),
            None => {}
        }
    }

    /// Forgets what is known of `lookup`, and poisons its fill.
    pub fn apply(&self, lookup: &str) {
        let hash = self.hash(lookup);
        let mut shard = write(self.shard(hash));
        shard.present.remove(hash, lookup);
        shard.absent.remove(hash, lookup);
        shard.fills.remove(lookup);
    }

    /// Forgets what is known of `lookup` and, wrongly, lets its fill go on.
    #[cfg(feature = "seeded-faults")]
    pub fn drop_known(&self, lookup: &str) {
        let hash = self.hash(lookup);
        let mut shard = write(self.shard(hash));
        shard.present.remove(hash, lookup);
        shard.absent.remove(hash, lookup);
    }

    /// Forgets the entries that are `void` and all absences, and poisons every fill. Takes time for every entry there
    /// is: for changes that are rare.
    pub fn apply_to_all(&self, void: impl Fn(&E) -> bool) {
        for shard in &self.shards {
            let mut shard = write(shard);
            shard.present.remove_all(&void);
            shard.absent.remove_all(|_| true);
            shard.fills.clear();
        }
    }

    /// How many secrets are known.
    pub fn count(&self) -> usize {
        self.shards.iter().map(|shard| read(shard).present.len()).sum()
    }

    fn hash(&self, lookup: &str) -> u64 {
        self.hasher.hash_one(lookup)
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard<E, F>> {
        // The tables use the low bits and the topmost seven.
        let bits = usize::from(u16::try_from(hash >> 32 & 0xffff).expect("16 bits"));
        &self.shards[bits & (self.shards.len() - 1)]
    }
}

impl<E: Entry + Clone, F> Shard<E, F> {
    fn known(&self, hash: u64, lookup: &str) -> Option<Known<E>> {
        if let Some(entry) = self.present.find(hash, lookup) {
            return Some(Known::Present(entry.clone()));
        }
        self.absent.find(hash, lookup).map(|_| Known::Absent)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    struct Noted(AtomicBool);

    impl Entry for Arc<Noted> {
        fn lookup(&self) -> &'static str {
            "k"
        }

        fn size(&self) -> usize {
            1
        }

        fn mark_used(&self) {}

        fn take_mark(&self) -> bool {
            false
        }

        fn retire(&self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// What becomes of an entry whose fill ends after `during` was done: whether it is known, and whether retired.
    fn filled(during: impl FnOnce(&Cache<Arc<Noted>, ()>)) -> (bool, bool) {
        let cache = Cache::new(1, 1_000, 1_000);
        let Begun::Fill(fill) = cache.begin("k", || ()) else { panic!("nothing is known yet") };
        during(&cache);
        let entry = Arc::new(Noted(AtomicBool::new(false)));
        cache.finish("k", &fill, Some(Known::Present(entry.clone())));
        (cache.get("k").is_some(), entry.0.load(Ordering::Relaxed))
    }

    #[test]
    fn what_a_poisoned_fill_read_is_retired_from_the_start() {
        assert_eq!(filled(|_| ()), (true, false));
        assert_eq!(filled(|cache| cache.apply("another")), (true, false));
        assert_eq!(filled(|cache| cache.apply("k")), (false, true));
        assert_eq!(filled(|cache| cache.apply_to_all(|_| false)), (false, true));
    }

    #[test]
    fn what_is_kept_is_retired_by_the_next_change() {
        let cache = Cache::new(1, 1_000, 1_000);
        let Begun::Fill(fill) = cache.begin("k", || ()) else { panic!("nothing is known yet") };
        let entry = Arc::new(Noted(AtomicBool::new(false)));
        cache.finish("k", &fill, Some(Known::Present(entry.clone())));
        cache.apply("k");
        assert!(cache.get("k").is_none() && entry.0.load(Ordering::Relaxed));
    }
}
