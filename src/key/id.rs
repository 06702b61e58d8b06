//! Ids: of keys, keyspaces and events.

use std::borrow::Borrow;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::clock::Timestamp;

/// The id of a key: `key_` and 26 characters, sorting by time of creation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    /// An id that a caller or the store named. Any text will do: one that is no key's finds nothing.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// So that a map by id can be asked by text.
impl Borrow<str> for KeyId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What tells a keyspace from another that had its id before: random, made with the keyspace, and never used again.
/// Rights, events and counts hang on it; no caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct KeyspaceUid(i64);

impl KeyspaceUid {
    /// A new one: of 2^64 no two are likely to be the same, and those of keyspaces that exist never are.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// The one that the store holds as this number.
    pub const fn from_stored(number: i64) -> Self {
        Self(number)
    }

    /// Its number, to be stored.
    pub const fn number(self) -> i64 {
        self.0
    }
}

/// Makes ids. Those of one source ascend strictly, also within a millisecond and when the clock steps back.
#[derive(Debug, Default)]
pub struct IdSource(Mutex<ulid::Generator>);

impl IdSource {
    /// A new key's id.
    pub fn key(&self, now: Timestamp) -> KeyId {
        KeyId(format!("key_{}", self.next(now)))
    }

    /// A new audit event's id.
    pub fn event(&self, now: Timestamp) -> String {
        format!("evt_{}", self.next(now))
    }

    fn next(&self, now: Timestamp) -> String {
        let mut source = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = source.generate_from_datetime(now.into());
        // Overflow needs 2^80 ids in a millisecond, or a random start within a hair of it; counting on keeps order.
        next.unwrap_or_else(ulid::Overflow::commit_overflow_increment).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_ascend_even_when_the_clock_steps_back() {
        let ids = IdSource::default();
        let mut last = ids.key(Timestamp::from_micros(5_000_000));
        assert_eq!(last.as_str().len(), "key_".len() + 26);
        for micros in [5_000_000, 5_000_001, 4_000_000, 0, 5_001_000] {
            let next = ids.key(Timestamp::from_micros(micros));
            assert!(next > last, "{next} after {last}");
            last = next;
        }
    }
}
