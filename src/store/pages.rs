//! Pages of usage: the same for every backend.
//!
//! A keyspace may have any number of keys, a page has few rows. Groups are gone through in rounds, and no more is summed up
//! than a page may need.

use std::ops::{Bound, RangeBounds};

use async_trait::async_trait;

use super::StoreError;
use super::usage::{Span, UsageOf, UsagePage, UsagePlace, UsageQuery, UsageRow};
use crate::key::usage::{Counted, Counts, Hour};

/// Most groups of one round.
const GROUPS_MAX: usize = 200;
/// Most rounds for one page: a keyspace whose keys do nothing must not take for ever.
const ROUNDS_MAX: usize = 10;
/// The next round has so many times as many groups, for those so far had little to tell.
const GROWTH: usize = 4;

/// Where usage is read from.
#[async_trait]
pub trait Tally: Send {
    /// The groups from `start` on, by name, at most `limit`. Never asked about one key.
    async fn groups(&mut self, of: &UsageOf, start: Bound<&str>, limit: usize) -> Result<Vec<String>, StoreError>;

    /// What was counted, by group, then by time, at most `limit` rows: `add`ed one after the other. How many there were.
    async fn sums(
        &mut self,
        wanted: &Wanted<'_>,
        limit: usize,
        add: &mut (dyn FnMut(SumRow) + Send),
    ) -> Result<usize, StoreError>;
}

/// What to sum up.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'q> {
    /// Of which keys, and by what.
    pub of: &'q UsageOf,
    /// Of these groups alone.
    pub groups: &'q [String],
    /// From this hour on.
    pub from: Hour,
    /// Up to this hour, which does not count.
    pub until: Hour,
    /// By what span of time.
    pub span: Span,
}

/// How often something was counted in a span of time.
#[derive(sqlx::FromRow)]
pub struct SumRow {
    name: String,
    hour: i64,
    counted: i16,
    count: i64,
}

/// See [`crate::store::Store::query_usage`].
pub async fn page(tally: &mut impl Tally, query: &UsageQuery) -> Result<UsagePage, StoreError> {
    let mut page = Page { rows: Vec::new(), limit: query.limit.max(1) };
    if query.from >= query.until {
        return Ok(page.ended());
    }
    let wanted = Wanted { of: &query.of, groups: &[], from: query.from, until: query.until, span: query.span };
    if let Some((group, from)) = rest(query) {
        let first = groups(tally, &query.of, Bound::Included(group), 1).await?;
        let rest = Wanted { groups: &first, from, ..wanted };
        if first.first().is_some_and(|first| first == group) && page.fill(tally, &rest).await? {
            return Ok(page.full());
        }
    }
    let mut last = query.after.as_ref().map(|after| after.group.clone());
    let mut many = page.limit.saturating_add(1).div_ceil(query.span.rows_max(query.from, query.until));
    for _ in 0..ROUNDS_MAX {
        many = many.min(GROUPS_MAX);
        let start = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let groups = groups(tally, &query.of, start, many).await?;
        if !groups.is_empty() && page.fill(tally, &Wanted { groups: &groups, ..wanted }).await? {
            return Ok(page.full());
        }
        if groups.len() < many {
            return Ok(page.ended());
        }
        last = groups.into_iter().next_back();
        many *= GROWTH;
    }
    let next = last.map(|group| UsagePlace { group, hour: Hour(i64::MAX) });
    Ok(UsagePage { rows: page.rows, next })
}

/// The group that the page before ended within, and from which hour on it is still to be told of.
fn rest(query: &UsageQuery) -> Option<(&str, Hour)> {
    let after = query.after.as_ref()?;
    let from = query.span.next(after.hour)?.max(query.from);
    (from < query.until).then_some((&after.group, from))
}

async fn groups(
    tally: &mut impl Tally,
    of: &UsageOf,
    start: Bound<&str>,
    limit: usize,
) -> Result<Vec<String>, StoreError> {
    let UsageOf::Key(id) = of else { return tally.groups(of, start, limit).await };
    let is_in = <(Bound<&str>, Bound<&str>) as RangeBounds<&str>>::contains(&(start, Bound::Unbounded), &id.as_str());
    Ok(is_in.then(|| id.as_str().to_owned()).into_iter().collect())
}

/// A page while it fills.
struct Page {
    rows: Vec<UsageRow>,
    limit: usize,
}

impl Page {
    /// Adds what is wanted. Whether there is more than fits.
    async fn fill(&mut self, tally: &mut impl Tally, wanted: &Wanted<'_>) -> Result<bool, StoreError> {
        let room = self.limit.saturating_sub(self.rows.len());
        let limit = room.saturating_add(1).saturating_mul(Counted::ALL.len());
        let mut last = None;
        let mut add = |sum: SumRow| {
            let place = UsagePlace { group: sum.name, hour: Hour(sum.hour) };
            // What only a newer program counts is not told.
            if let Some(counted) = Counted::from_number(sum.counted) {
                self.add(&place, &Counts::of(counted, sum.count.unsigned_abs()));
            }
            last = Some(place);
        };
        let is_cut = tally.sums(wanted, limit, &mut add).await? == limit;
        // Of the last one there may be more.
        if is_cut {
            self.rows.pop_if(|row| last.as_ref() == Some(&row.place));
        }
        Ok(is_cut || self.rows.len() > self.limit)
    }

    fn add(&mut self, place: &UsagePlace, counts: &Counts) {
        match self.rows.last_mut() {
            Some(row) if row.place == *place => row.counts.merge(counts),
            _ => self.rows.push(UsageRow { place: place.clone(), counts: *counts }),
        }
    }

    /// As it is when there is more.
    fn full(mut self) -> UsagePage {
        self.rows.truncate(self.limit);
        let next = self.rows.last().map(|row| row.place.clone());
        UsagePage { rows: self.rows, next }
    }

    /// As it is when there is no more.
    fn ended(self) -> UsagePage {
        UsagePage { rows: self.rows, next: None }
    }
}
