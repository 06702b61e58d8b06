//! What waits to be written, by hour and key. Bounded: while the store is away, hours are folded together, the oldest
//! first; that of keyspaces, of which there are few, is kept as it is.

use std::collections::{BTreeMap, HashMap};

use crate::clock::Timestamp;
use crate::key::id::{KeyId, KeyspaceUid};
use crate::key::usage::{Counts, Hour};
use crate::store::usage::{KeyUsage, KeyspaceUsage};

/// See the module.
#[derive(Debug)]
pub struct Pending {
    hours: BTreeMap<Hour, HashMap<KeyId, Noted>>,
    keyspaces: BTreeMap<Hour, HashMap<KeyspaceUid, Counts>>,
    /// What is of an earlier hour is folded into this one.
    folded: Option<Hour>,
    len: usize,
    max: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Noted {
    counts: Counts,
    last_use: Option<Timestamp>,
}

impl Noted {
    fn merge(&mut self, more: &Self) {
        self.counts.merge(&more.counts);
        self.last_use = self.last_use.max(more.last_use);
    }
}

impl Pending {
    /// Of at most `max` keys and hours.
    pub fn new(max: usize) -> Self {
        Self { hours: BTreeMap::new(), keyspaces: BTreeMap::new(), folded: None, len: 0, max }
    }

    /// How many keys and hours there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Adds what a key did in an hour.
    pub fn add(
        &mut self,
        key_id: &KeyId,
        keyspace: KeyspaceUid,
        hour: Hour,
        counts: &Counts,
        last_use: Option<Timestamp>,
    ) {
        if !counts.is_empty() {
            self.keyspaces.entry(hour).or_default().entry(keyspace).or_default().merge(counts);
        }
        let noted = Noted { counts: *counts, last_use };
        if let Some(present) = self.hours.get_mut(&hour).and_then(|keys| keys.get_mut(key_id.as_str())) {
            present.merge(&noted);
            return;
        }
        while self.len >= self.max && self.fold() {}
        // Where all hours are one already, there are more keys than can be told apart: this one counts for its keyspace.
        let hour = self.folded.map_or(hour, |folded| hour.max(folded));
        let is_full = self.len >= self.max;
        let keys = self.hours.entry(hour).or_default();
        match keys.get_mut(key_id.as_str()) {
            Some(present) => present.merge(&noted),
            None if is_full => {}
            None => {
                keys.insert(key_id.clone(), noted);
                self.len += 1;
            }
        }
    }

    /// Folds the oldest hour into the next. Whether there were two.
    fn fold(&mut self) -> bool {
        if self.hours.len() < 2 {
            return false;
        }
        let (_, oldest) = self.hours.pop_first().expect("two of them");
        let (into, next) = self.hours.iter_mut().next().expect("another");
        self.folded = Some(*into);
        for (key_id, noted) in oldest {
            match next.get_mut(key_id.as_str()) {
                Some(present) => {
                    present.merge(&noted);
                    self.len -= 1;
                }
                None => drop(next.insert(key_id, noted)),
            }
        }
        true
    }

    /// Takes out at most `max` keys, the oldest hours first, and all of keyspaces; `None`: there is nothing.
    pub fn take(&mut self, max: usize) -> Option<(Vec<KeyUsage>, Vec<KeyspaceUsage>)> {
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some(mut first) = self.hours.first_entry()
        {
            let hour = *first.key();
            let keys = first.get_mut();
            let some: Vec<_> = keys.keys().take(max - taken.len()).cloned().collect();
            for id in some {
                let Some(Noted { counts, last_use }) = keys.remove(&id) else { continue };
                self.len -= 1;
                taken.push(KeyUsage { id, hour, counts, last_use });
            }
            if keys.is_empty() {
                first.remove();
            }
        }
        if self.hours.is_empty() {
            self.folded = None;
        }
        let keyspaces = std::mem::take(&mut self.keyspaces).into_iter().flat_map(|(hour, keyspaces)| {
            keyspaces.into_iter().map(move |(keyspace, counts)| KeyspaceUsage { keyspace, hour, counts })
        });
        let keyspaces: Vec<_> = keyspaces.collect();
        (!taken.is_empty() || !keyspaces.is_empty()).then_some((taken, keyspaces))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::key::usage::Counted;

    fn add(pending: &mut Pending, key: u32, hour: i64, many: u64) {
        let counts = Counts::of(Counted::Valid, many);
        let at = Some(Timestamp::from_micros(hour * 3_600_000_000));
        pending.add(&KeyId::from_text(key.to_string()), KeyspaceUid::from_stored(1), Hour(hour), &counts, at);
    }

    fn drain(pending: &mut Pending, batch: usize) -> (Vec<KeyUsage>, Vec<KeyspaceUsage>) {
        let mut all = (Vec::new(), Vec::new());
        while let Some((keys, keyspaces)) = pending.take(batch) {
            assert!(keys.len() <= batch);
            all.0.extend(keys);
            all.1.extend(keyspaces);
        }
        assert_eq!(pending.len(), 0);
        all
    }

    #[test]
    fn the_oldest_hours_are_folded_first() {
        let mut pending = Pending::new(4);
        for hour in 1..=2 {
            add(&mut pending, 1, hour, 1);
            add(&mut pending, 2, hour, 10);
        }
        add(&mut pending, 1, 3, 100);
        // The first and second hour are one now; what is of the third stays.
        let (mut keys, _) = drain(&mut pending, 10);
        keys.sort_by_key(|key| (key.hour, key.id.clone()));
        let told: Vec<_> =
            keys.iter().map(|key| (key.id.as_str(), key.hour.0, key.counts.get(Counted::Valid))).collect();
        assert_eq!(told, [("1", 2, 2), ("2", 2, 20), ("1", 3, 100)]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_its_size_is_kept(
            max in 1..20_usize,
            batch in 1..10_usize,
            steps in proptest::collection::vec((0..30_u32, 0..6_i64, 1..100_u64), 0..200),
        ) {
            let mut pending = Pending::new(max);
            let mut of_key: HashMap<u32, u64> = HashMap::new();
            for (key, hour, many) in &steps {
                add(&mut pending, *key, *hour, *many);
                prop_assert!(pending.len() <= max);
                *of_key.entry(*key).or_default() += many;
            }
            let (keys, keyspaces) = drain(&mut pending, batch);
            let sum: u64 = steps.iter().map(|(.., many)| many).sum();
            // Of its keyspace, to the hour.
            prop_assert_eq!(keyspaces.iter().map(|all| all.counts.verifications()).sum::<u64>(), sum);
            for hour in 0..6 {
                let told: u64 = keyspaces.iter().filter(|all| all.hour == Hour(hour)).map(|all| all.counts.verifications()).sum();
                prop_assert_eq!(told, steps.iter().filter(|(_, at, _)| *at == hour).map(|(.., many)| many).sum::<u64>());
            }
            // Of keys, as long as there are not more of them than can be told apart.
            if of_key.len() <= max {
                prop_assert_eq!(keys.iter().map(|key| key.counts.verifications()).sum::<u64>(), sum);
            }
        }
    }
}
