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
