//! A keyed round robin: items wait under keys, and keys take turns.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// How many items may wait.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most items in all.
    pub all: usize,
    /// Most items of one key.
    pub of_one: usize,
}

/// Items that wait, each under a key.
#[derive(Debug)]
pub struct Turns<T> {
    bounds: Bounds,
    /// None of them is empty.
    queues: HashMap<Arc<str>, VecDeque<T>>,
    /// The keys that have items, the next one first.
    order: VecDeque<Arc<str>>,
    count: usize,
}

impl<T> Turns<T> {
    /// Returns an empty one.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, queues: HashMap::new(), order: VecDeque::new(), count: 0 }
    }

    /// Puts `item` behind those of `key`.
    ///
    /// # Errors
    /// Gives it back if too many wait already.
    pub fn push(&mut self, key: &str, item: T) -> Result<(), T> {
        if self.count >= self.bounds.all {
            return Err(item);
        }
        match self.queues.get_mut(key) {
            Some(queue) if queue.len() >= self.bounds.of_one => return Err(item),
            Some(queue) => queue.push_back(item),
            None => {
                let key: Arc<str> = key.into();
                self.queues.insert(key.clone(), VecDeque::from([item]));
                self.order.push_back(key);
            }
        }
        self.count += 1;
        Ok(())
    }

    /// Puts `item` behind those of `key`. Where there is no room in all, the newest item of the key with the most makes room,
    /// unless this key has about as many. Returns the item that made room.
    ///
    /// # Errors
    /// Gives `item` back if there is no room for it.
    pub fn push_or_displace(&mut self, key: &str, item: T) -> Result<Option<T>, T> {
        if self.count < self.bounds.all {
            return self.push(key, item).map(|()| None);
        }
        let Some(longest) = self.displaceable(key) else { return Err(item) };
        let newest = self.count_of(&longest) - 1;
        let displaced = self.take(&longest, newest);
        self.push(key, item).map(|()| displaced)
    }

    /// Returns whether there is room for an item of `key`, or another makes it.
    pub fn has_room_for(&self, key: &str) -> bool {
        if self.count < self.bounds.all {
            self.count_of(key) < self.bounds.of_one
        } else {
            self.displaceable(key).is_some()
        }
    }

    /// Returns the key with the most items, if that has to make room for one of `key`.
    fn displaceable(&self, key: &str) -> Option<Arc<str>> {
        let own = self.count_of(key);
        let longest = self.order.iter().max_by_key(|key| self.count_of(key))?;
        (own < self.bounds.of_one && self.count_of(longest) > own + 1).then(|| longest.clone())
    }

    /// Takes out the next item that `fits`. A key whose first item does not fit keeps its turn.
    pub fn pop(&mut self, fits: impl Fn(&str, &T) -> bool) -> Option<(Arc<str>, T)> {
        let first_fits =
            |key: &Arc<str>| self.queues.get(key).and_then(VecDeque::front).is_some_and(|item| fits(key, item));
        let at = self.order.iter().position(first_fits)?;
        let key = self.order.remove(at)?;
        let queue = self.queues.get_mut(&key)?;
        let item = queue.pop_front()?;
        if queue.is_empty() {
            self.queues.remove(&key);
        } else {
            self.order.push_back(key.clone());
        }
        self.count -= 1;
        Some((key, item))
    }

    /// Takes out the first item of `key` that is the one meant, if it still waits.
    pub fn remove(&mut self, key: &str, is_meant: impl Fn(&T) -> bool) -> Option<T> {
        let at = self.queues.get(key)?.iter().position(is_meant)?;
        self.take(key, at)
    }

    /// Returns how many items wait.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns how many items of `key` wait.
    pub fn count_of(&self, key: &str) -> usize {
        self.queues.get(key).map_or(0, VecDeque::len)
    }

    /// Returns the item of `key` that has waited for longest.
    pub fn first_of(&self, key: &str) -> Option<&T> {
        self.queues.get(key).and_then(VecDeque::front)
    }

    /// Returns the items of each key, in the order of the keys' turns.
    pub fn queues(&self) -> impl Iterator<Item = &VecDeque<T>> {
        self.order.iter().filter_map(|key| self.queues.get(key))
    }

    /// Takes out the item of `key` at this place of its queue.
    fn take(&mut self, key: &str, at: usize) -> Option<T> {
        let queue = self.queues.get_mut(key)?;
        let item = queue.remove(at)?;
        if queue.is_empty() {
            self.queues.remove(key);
            self.order.retain(|waiting| **waiting != *key);
        }
        self.count -= 1;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(all: usize, of_one: usize) -> Turns<u32> {
        Turns::new(Bounds { all, of_one })
    }

    fn filled(items: &[(&str, u32)]) -> Turns<u32> {
        let mut turns = turns(100, 100);
        for (key, item) in items {
            turns.push(key, *item).expect("there is room");
        }
        turns
    }

    fn drain(turns: &mut Turns<u32>) -> Vec<u32> {
        std::iter::from_fn(|| turns.pop(|_, _| true)).map(|(_, item)| item).collect()
    }

    #[track_caller]
    fn check_empty(turns: &Turns<u32>) {
        assert_eq!((turns.count, turns.queues.len(), turns.order.len()), (0, 0, 0));
    }

    #[test]
    fn keys_take_turns_however_many_items_one_of_them_has() {
        let mut turns =
            filled(&[("flood", 1), ("flood", 2), ("flood", 3), ("other", 10), ("third", 20), ("other", 11)]);
        assert_eq!(turns.queues().map(VecDeque::len).collect::<Vec<_>>(), [3, 2, 1]);
        assert_eq!(drain(&mut turns), [1, 10, 20, 2, 11, 3]);
        check_empty(&turns);
    }

    #[test]
    fn what_does_not_fit_keeps_its_turn_and_holds_up_no_other() {
        let mut turns = filled(&[("costly", 90), ("cheap", 1), ("cheap", 2)]);
        let is_cheap = |_: &str, item: &u32| *item < 90;
        assert_eq!(turns.pop(is_cheap).map(|(key, item)| (key.to_string(), item)), Some(("cheap".into(), 1)));
        assert_eq!(turns.pop(|_, _| true).map(|(_, item)| item), Some(90), "it did not lose its turn");
        assert_eq!(turns.pop(|key, _| key != "cheap"), None);
        assert_eq!(drain(&mut turns), [2]);
    }

    #[test]
    fn items_are_bounded_in_all_and_by_key() {
        let mut turns = turns(3, 2);
        turns.push("a", 1).unwrap();
        turns.push("a", 2).unwrap();
        assert_eq!(turns.push("a", 3), Err(3));
        turns.push("b", 4).unwrap();
        assert_eq!(turns.push("c", 5), Err(5));
        assert_eq!((turns.count(), turns.count_of("a"), turns.count_of("c")), (3, 2, 0));
    }

    #[test]
    fn the_newest_item_of_the_key_with_the_most_makes_room() {
        let mut turns = turns(3, 3);
        for item in 1..=3 {
            turns.push("flood", item).unwrap();
        }
        assert_eq!(turns.push_or_displace("flood", 4), Err(4));
        assert_eq!(turns.push_or_displace("other", 10), Ok(Some(3)));
        assert_eq!(turns.push_or_displace("other", 11), Err(11), "it would have more than the flood");
        assert_eq!(drain(&mut turns), [1, 10, 2]);
        assert_eq!(turns.push_or_displace("other", 12), Ok(None));
    }

    #[test]
    fn what_is_removed_leaves_nothing_behind() {
        let mut turns = filled(&[("a", 1), ("a", 2), ("b", 3)]);
        assert_eq!(turns.remove("a", |item| *item == 2), Some(2));
        assert_eq!(turns.remove("a", |item| *item == 2), None);
        assert_eq!(turns.remove("b", |item| *item == 1), None, "it is another key's");
        assert_eq!(turns.remove("b", |item| *item == 3), Some(3));
        assert_eq!(turns.queues().count(), 1);
        assert_eq!(drain(&mut turns), [1]);
        check_empty(&turns);
    }
}
