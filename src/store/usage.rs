//! What is kept of the use of keys: how it is added, asked for, and folded away.

use std::collections::BTreeMap;
use std::time::Duration;

use super::one_keyspace;
use super::spending::signed;
use crate::clock::Timestamp;
use crate::key::id::{KeyId, KeyspaceUid};
use crate::key::permission::Reach;
use crate::key::usage::{Counts, Hour};

/// What a process counted, to be added once.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageBatch {
    /// The process: an id of its own.
    pub writer: String,
    /// Counts its batches, from 1.
    pub seq: i64,
    /// When it was put together.
    pub at: Timestamp,
    /// Of keys; each key and hour once. Of those that are gone nothing is kept.
    pub keys: Vec<KeyUsage>,
    /// Of keyspaces, all their keys together; each keyspace and hour once. Of those that are gone nothing is kept.
    pub keyspaces: Vec<KeyspaceUsage>,
}

/// How a key was used in an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUsage {
    /// The key.
    pub id: KeyId,
    /// The hour.
    pub hour: Hour,
    /// How often.
    pub counts: Counts,
    /// When it was last found valid, if it was.
    pub last_use: Option<Timestamp>,
}

/// How the keys of a keyspace were used in an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyspaceUsage {
    /// The keyspace: what its keys did is not for another that gets its id.
    pub keyspace: KeyspaceUid,
    /// The hour.
    pub hour: Hour,
    /// How often.
    pub counts: Counts,
}

/// What to tell of the use of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageQuery {
    /// Of which keys, and by what.
    pub of: UsageOf,
    /// From this hour on.
    pub from: Hour,
    /// Up to this hour, which does not count.
    pub until: Hour,
    /// By what span of time.
    pub span: Span,
    /// From behind this row.
    pub after: Option<UsagePlace>,
    /// At most as many rows.
    pub limit: usize,
}

/// Of which keys, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsageOf {
    /// Of all keys, deleted ones too, by keyspace.
    Keyspaces(Reach),
    /// Of the keys of a keyspace, or of those of one subject, by key.
    Keys {
        /// The keyspace.
        keyspace: String,
        /// The subject.
        subject: Option<String>,
    },
    /// The same, by subject.
    Subjects {
        /// The keyspace.
        keyspace: String,
        /// The subject.
        subject: Option<String>,
    },
    /// Of one key.
    Key(KeyId),
}

impl UsageOf {
    /// The keyspace that is asked about, if it is one and known; else "".
    pub(super) fn one_keyspace(&self) -> &str {
        match self {
            Self::Keyspaces(within) => one_keyspace(within),
            Self::Keys { keyspace, .. } | Self::Subjects { keyspace, .. } => keyspace,
            Self::Key(_) => "",
        }
    }
}

/// A span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// An hour.
    Hour,
    /// A day of UTC.
    Day,
    /// From the first to the last hour asked about.
    Total,
}

/// A row's place among others: they are told by group, then by time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsagePlace {
    /// What it is of: the id of a key or keyspace, or a subject.
    pub group: String,
    /// The hour that its span begins with; the first one asked about, if that is all in one.
    pub hour: Hour,
}

/// How keys were used in a span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// Of what, and when.
    pub place: UsagePlace,
    /// How often; never empty.
    pub counts: Counts,
}

/// A page of usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsagePage {
    /// The rows. There may be fewer than were asked for, and none, though there are more to come.
    pub rows: Vec<UsageRow>,
    /// Behind what to go on; `None`: this was all.
    pub next: Option<UsagePlace>,
}

/// How long usage is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// By the hour.
    pub hours: Duration,
    /// By the day, once hours are over.
    pub days: Duration,
}

/// How long the last batch of a process that is silent is remembered.
pub(super) const WRITER_KEPT: Duration = Duration::from_hours(24);
/// Most processes that one batch forgets.
pub(super) const BATCHES_PRUNED_MAX: i64 = 16;
/// Most keys whose usage is folded at once.
pub(super) const FOLDED_MAX: usize = 50;

/// What was counted under a name in an hour, as a row: the name, the hour, what was counted, how often.
pub(super) type CountRow<N> = (N, i64, i16, i64);

impl UsageBatch {
    /// What is to be added to each key: by its id, then by hour.
    pub(super) fn key_counts(&self) -> Vec<CountRow<&str>> {
        let named = self.keys.iter().filter(|usage| is_name(usage.id.as_str()));
        count_rows(named.map(|usage| (usage.id.as_str(), usage.hour, &usage.counts)))
    }

    /// What is to be added to each keyspace: by its number, then by hour.
    pub(super) fn keyspace_counts(&self) -> Vec<CountRow<i64>> {
        count_rows(self.keyspaces.iter().map(|usage| (usage.keyspace.number(), usage.hour, &usage.counts)))
    }

    /// Each key once, by id, with the last time that it was found valid.
    pub(super) fn last_uses(&self) -> Vec<(&str, Option<i64>)> {
        let mut latest = BTreeMap::new();
        for usage in self.keys.iter().filter(|usage| is_name(usage.id.as_str())) {
            let latest = latest.entry(usage.id.as_str()).or_insert(None);
            *latest = usage.last_use.map(Timestamp::as_micros).max(*latest);
        }
        latest.into_iter().collect()
    }
}

fn count_rows<'b, N: Copy + Ord>(counted: impl Iterator<Item = (N, Hour, &'b Counts)>) -> Vec<CountRow<N>> {
    let mut rows = BTreeMap::<_, i64>::new();
    for (name, hour, counts) in counted {
        for (counted, many) in counts.iter() {
            let count = rows.entry((name, hour.0, counted as i16)).or_default();
            *count = count.saturating_add(signed(many));
        }
    }
    rows.into_iter().map(|((name, hour, counted), count)| (name, hour, counted, count)).collect()
}

/// Nothing is called what not every store could hold.
fn is_name(text: &str) -> bool {
    !text.contains('\0')
}

const DAY_HOURS: i64 = 24;

impl Retention {
    /// The days before this hour are over, and kept by the day at the most.
    pub(super) fn fold_before(self, now: Timestamp) -> i64 {
        day_begin(now, self.hours)
    }

    /// What is before this hour is not kept.
    pub(super) fn forget_before(self, now: Timestamp) -> i64 {
        day_begin(now, self.days.max(self.hours))
    }
}

/// The first hour of the day that it was so long before `now`.
fn day_begin(now: Timestamp, before: Duration) -> i64 {
    Hour::of(now.saturating_sub(before)).0.div_euclid(DAY_HOURS) * DAY_HOURS
}

impl Span {
    /// The hour from which on another row begins, behind the one that begins with `hour`; `None`: there is but one.
    pub(super) fn next(self, hour: Hour) -> Option<Hour> {
        match self {
            Self::Hour => Some(Hour(hour.0.saturating_add(1))),
            Self::Day => Some(Hour(hour.0.saturating_add(DAY_HOURS))),
            Self::Total => None,
        }
    }

    /// How many rows there can be of one group between these hours.
    pub(super) fn rows_max(self, from: Hour, until: Hour) -> usize {
        let hours = until.0.saturating_sub(from.0).max(1);
        let rows = match self {
            Self::Hour => hours,
            Self::Day => (hours - 1) / DAY_HOURS + 2,
            Self::Total => 1,
        };
        usize::try_from(rows).unwrap_or(usize::MAX)
    }
}
