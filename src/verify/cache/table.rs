//! A bounded table of entries, found by their lookup. When it is full, what was not used since the hand last came by
//! makes room: the CLOCK algorithm (Corbató, "A paging experiment with the Multics system", 1968). A use sets a mark
//! and nothing else, so that finding takes no exclusive lock.

use hashbrown::HashTable;

use super::Entry;

/// How many used entries one insertion passes over before it takes the next one all the same: what an insertion costs
/// is bounded, and a table whose every entry was used has no better choice.
const SECOND_CHANCES_MAX: usize = 64;

/// What one entry costs beside itself: its place in the table, at the load it has on average.
const PLACE_SIZE: usize = 14;

/// See the module.
pub struct Table<E> {
    entries: HashTable<E>,
    size: usize,
    size_max: usize,
    hand: usize,
}

impl<E: Entry> Table<E> {
    /// A table of at most about `size_max` bytes, entries and their places counted.
    pub fn new(size_max: usize) -> Self {
        Self { entries: HashTable::new(), size: 0, size_max, hand: 0 }
    }

    /// The entry of this lookup, which is marked as used.
    pub fn find(&self, hash: u64, lookup: &str) -> Option<&E> {
        let entry = self.entries.find(hash, |entry| entry.lookup() == lookup)?;
        entry.mark_used();
        Some(entry)
    }

    /// Puts `entry` in, in place of one of the same lookup, and makes room for it. `hash_of` is how lookups are hashed.
    pub fn insert(&mut self, hash: u64, entry: E, hash_of: impl Fn(&str) -> u64) {
        self.remove(hash, entry.lookup());
        self.size += cost(&entry);
        self.entries.insert_unique(hash, entry, |entry| hash_of(entry.lookup()));
        let mut chances = SECOND_CHANCES_MAX;
        // An entry that is larger than the whole table stays alone.
        while self.size > self.size_max && self.entries.len() > 1 {
            self.advance(&mut chances);
        }
    }

    /// Removes the entry of this lookup, if there is one.
    pub fn remove(&mut self, hash: u64, lookup: &str) {
        if let Ok(found) = self.entries.find_entry(hash, |entry| entry.lookup() == lookup) {
            let (entry, _) = found.remove();
            self.size -= cost(&entry);
            entry.retire();
        }
    }

    /// Removes the entries that are `void`.
    pub fn remove_all(&mut self, void: impl Fn(&E) -> bool) {
        let size = &mut self.size;
        self.entries.retain(|entry| {
            let keep = !void(entry);
            if !keep {
                *size -= cost(entry);
                entry.retire();
            }
            keep
        });
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Moves the hand on by one place, and removes the entry there unless it has another chance.
    fn advance(&mut self, chances: &mut usize) {
        let places = self.entries.num_buckets();
        self.hand = if self.hand + 1 < places { self.hand + 1 } else { 0 };
        let Ok(place) = self.entries.get_bucket_entry(self.hand) else { return };
        if place.get().take_mark() && *chances > 0 {
            *chances -= 1;
            return;
        }
        let (entry, _) = place.remove();
        self.size -= cost(&entry);
        entry.retire();
    }
}

fn cost(entry: &impl Entry) -> usize {
    entry.size() + PLACE_SIZE
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::cell::Cell;
    use std::collections::HashMap;
    use std::hash::{BuildHasher as _, RandomState};
    use std::rc::Rc;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// An entry that knows which one it is, and how often it was retired.
    #[derive(Clone)]
    struct Noted(Rc<Note>);

    struct Note {
        lookup: String,
        size: usize,
        nth: usize,
        marked: Cell<bool>,
        retired: Cell<u32>,
    }

    impl Entry for Noted {
        fn lookup(&self) -> &str {
            &self.0.lookup
        }

        fn size(&self) -> usize {
            self.0.size
        }

        fn mark_used(&self) {
            self.0.marked.set(true);
        }

        fn take_mark(&self) -> bool {
            self.0.marked.replace(false)
        }

        fn retire(&self) {
            self.0.retired.set(self.0.retired.get() + 1);
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8, usize),
        Find(u8),
        Remove(u8),
        RemoveMultiplesOf(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            8 => (0..60_u8, 0..300_usize).prop_map(|(lookup, size)| Step::Insert(lookup, size)),
            6 => (0..60_u8).prop_map(Step::Find),
            2 => (0..60_u8).prop_map(Step::Remove),
            1 => (2..9_usize).prop_map(Step::RemoveMultiplesOf),
        ];
        vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn finds_what_was_last_inserted_and_keeps_to_its_size(size_max in 1..4_000_usize, steps in steps()) {
            let hasher = RandomState::new();
            let hash = |lookup: &str| hasher.hash_one(lookup);
            let mut table = Table::new(size_max);
            let mut all: Vec<Noted> = Vec::new();
            // By their lookups, those that were inserted and neither replaced nor removed. Some may have made room.
            let mut last: HashMap<String, Noted> = HashMap::new();
            let mut made_room = false;
            for step in steps {
                match step {
                    Step::Insert(lookup, size) => {
                        let note = Note {
                            lookup: lookup.to_string(),
                            size,
                            nth: all.len(),
                            marked: Cell::default(),
                            retired: Cell::default(),
                        };
                        let entry = Noted(Rc::new(note));
                        all.push(entry.clone());
                        last.insert(lookup.to_string(), entry.clone());
                        table.insert(hash(entry.lookup()), entry, hash);
                        let inserted: usize = last.values().map(cost).sum();
                        made_room |= inserted > size_max;
                    }
                    Step::Find(lookup) => {
                        let lookup = lookup.to_string();
                        let found = table.find(hash(&lookup), &lookup).map(|entry| entry.0.nth);
                        let expected = last.get(&lookup).map(|entry| entry.0.nth);
                        prop_assert!(found == expected || (found.is_none() && made_room));
                    }
                    Step::Remove(lookup) => {
                        let lookup = lookup.to_string();
                        table.remove(hash(&lookup), &lookup);
                        last.remove(&lookup);
                        prop_assert!(table.find(hash(&lookup), &lookup).is_none());
                    }
                    Step::RemoveMultiplesOf(of) => {
                        table.remove_all(|entry| entry.0.nth % of == 0);
                        last.retain(|_, entry| entry.0.nth % of != 0);
                    }
                }
                let there: Vec<_> = last.values().filter(|entry| entry.0.retired.get() == 0).collect();
                prop_assert_eq!(table.len(), there.len());
                for entry in &there {
                    prop_assert_eq!(table.entries.find(hash(entry.lookup()), |e| Rc::ptr_eq(&e.0, &entry.0)).is_some(), true);
                }
                let size: usize = there.iter().map(|entry| cost(*entry)).sum();
                prop_assert_eq!(table.size, size);
                prop_assert!(size <= size_max || there.len() == 1, "{} of {}", size, size_max);
                // Whoever holds on to one that is not there learns so, and once.
                for entry in &all {
                    let is_there = last.get(entry.lookup()).is_some_and(|last| Rc::ptr_eq(&last.0, &entry.0))
                        && entry.0.retired.get() == 0;
                    prop_assert_eq!(entry.0.retired.get(), u32::from(!is_there));
                }
                prop_assert!(made_room || table.len() == last.len(), "nothing makes room before there is need");
            }
        }

        #[test]
        fn what_is_used_stays_longer(used in 0..50_usize) {
            let hasher = RandomState::new();
            let hash = |lookup: &str| hasher.hash_one(lookup);
            let entry = |nth: usize| Noted(Rc::new(Note {
                lookup: nth.to_string(), size: 100 - PLACE_SIZE, nth, marked: Cell::default(), retired: Cell::default(),
            }));
            let mut table = Table::new(50 * 100);
            for nth in 0..500 {
                let new = entry(nth);
                table.insert(hash(new.lookup()), new, hash);
                let used = used.to_string();
                prop_assert!(nth < 50 || table.find(hash(&used), &used).is_some(), "{} after {}", used, nth);
                table.find(hash(&used), &used);
            }
        }
    }
}
