//! Lists of keys and audit events: the same for every backend.
//!
//! A page is made in three steps, in one view of the store: how many keys match, which of them are on the page, and
//! those keys themselves. The first two read indexes and have bounds of their own; the last reads rows until the bytes of
//! the page are full.

use std::collections::HashMap;

use async_trait::async_trait;

use super::{Event, EventPage, EventQuery, KeyPage, KeyQuery, StoreError, weight};
use crate::clock::Timestamp;
use crate::key::id::KeyId;
use crate::key::record::ApiKey;

/// Matches are counted up to here.
pub const TOTAL_MAX: u64 = 10_000;
/// The most rows of which one page is chosen where no index leads to the matches.
const SCAN_ROWS: usize = 50_000;
/// How many of the newest rows show whether matches are common.
const PROBE_ROWS: usize = 2_000;
/// As many matches among those rows are common: going through the rows is cheaper than an index of all matches.
const COMMON: u64 = 600;
/// The shortest text that an index of names finds, in characters.
const GRAM_LEN: usize = 3;
/// The most parts of a text that are looked up. More would hardly narrow the search.
const GRAMS_MAX: usize = 16;
/// How many rows the first read asks for, and the largest. A driver may hold some of them before they are weighed.
const READ_LEN_FIRST: usize = 4;
const READ_LEN_MAX: usize = 128;

/// The place of a row in its list: its time in microseconds, and its id.
pub type Place = (i64, String);

/// Where keys are listed from: all calls see the same state of the store.
#[async_trait]
pub trait KeySource: Send {
    /// Counts the keys that match, up to `limit`, among the newest `rows` keys of the keyspace (of the subject, if one is
    /// given).
    async fn count(&mut self, rows: Option<usize>, limit: Option<u64>) -> Result<u64, StoreError>;

    /// Reads the newest `rows` keys of the keyspace (of the subject, if one is given). How many there are, and how many
    /// of them match.
    async fn probe(&mut self, rows: usize) -> Result<(u64, u64), StoreError>;

    /// Finds matches by the index of names or labels. How many there are, up to one more than [`TOTAL_MAX`], and the
    /// places of those on the page.
    async fn indexed(&mut self, limit: usize) -> Result<(u64, Vec<Place>), StoreError>;

    /// The places of matches from the page's beginning on, newest first, among the next `rows` keys.
    async fn scan(&mut self, rows: Option<usize>, limit: usize) -> Result<Vec<Place>, StoreError>;

    /// The place of key number `rows` from the page's beginning on, whether or not it matches.
    async fn place_of(&mut self, rows: usize) -> Result<Option<Place>, StoreError>;

    /// Reads these keys into `page` until it is full.
    async fn read(&mut self, ids: &[&str], page: &mut Filling<ApiKey>) -> Result<(), StoreError>;
}

/// Where audit events are listed from: all calls see the same state of the store.
#[async_trait]
pub trait EventSource: Send {
    /// The places of matches from the page's beginning on, newest first.
    async fn scan(&mut self, limit: usize) -> Result<Vec<Place>, StoreError>;

    /// Reads these events into `page` until it is full.
    async fn read(&mut self, ids: &[&str], page: &mut Filling<Event>) -> Result<(), StoreError>;
}

/// See [`crate::store::Store::list_events`].
pub async fn event_page(source: &mut impl EventSource, query: &EventQuery) -> Result<EventPage, StoreError> {
    // One more than asked for tells whether there is a next page.
    let mut places = source.scan(query.limit.saturating_add(1)).await?;
    let is_more = places.len() > query.limit;
    places.truncate(query.limit);
    let mut page = Filling::new(&places, query.weight_max, |event: &Event| (event.id.as_str(), weight::event(event)));
    while let Some(next) = page.next_read() {
        source.read(&next, &mut page).await?;
        page.check_read(&next)?;
    }
    let events = page.into_rows();
    let is_more = is_more || events.len() < places.len();
    let next = events.last().filter(|_| is_more).map(|last| (last.at, last.id.clone()));
    Ok(EventPage { events, next })
}

/// What was found out about a list.
struct Found {
    total: u64,
    is_lower_bound: bool,
    places: Vec<Place>,
    /// The last row that was looked at, if there may be matches behind it.
    scanned_to: Option<Place>,
}

/// See [`crate::store::Store::list_keys`].
pub async fn page(source: &mut impl KeySource, query: &KeyQuery) -> Result<KeyPage, StoreError> {
    let Found { total, is_lower_bound, mut places, scanned_to } = find(source, query).await?;
    let is_more = places.len() > query.limit;
    places.truncate(query.limit);
    let keys = read(source, &places, query.weight_max).await?;
    let next = if keys.len() < places.len() || is_more {
        keys.last().map(|last| (last.create_time, last.id.clone()))
    } else {
        scanned_to.map(|(at, id)| (Timestamp::from_micros(at), KeyId::from_text(id)))
    };
    Ok(KeyPage { keys, next, total, total_is_lower_bound: is_lower_bound })
}

async fn find(source: &mut impl KeySource, query: &KeyQuery) -> Result<Found, StoreError> {
    if query.name_contains.as_ref().is_some_and(|text| text.contains('\0')) {
        // No name has one.
        return Ok(Found { total: 0, is_lower_bound: false, places: Vec::new(), scanned_to: None });
    }
    // One more than asked for tells whether there is a next page.
    let limit = query.limit.saturating_add(1);
    if query.is_covered() {
        // One subject has few keys, and an index of its own.
        let count_max = (!query.exact_total && query.subject.is_none()).then_some(TOTAL_MAX + 1);
        let counted = source.count(None, count_max).await?;
        let is_lower_bound = count_max == Some(counted);
        let places = source.scan(None, limit).await?;
        let total = if is_lower_bound { TOTAL_MAX } else { counted };
        return Ok(Found { total, is_lower_bound, places, scanned_to: None });
    }
    let exact = if query.exact_total { Some(source.count(None, None).await?) } else { None };
    let found = if query.has_index() {
        find_indexed(source, limit).await?
    } else {
        find_among_next(source, query, limit).await?
    };
    Ok(match exact {
        Some(total) => Found { total, is_lower_bound: false, ..found },
        None => found,
    })
}

/// Finds matches by an index of names or labels, or among the next keys if so many match that this is cheaper.
async fn find_indexed(source: &mut impl KeySource, limit: usize) -> Result<Found, StoreError> {
    let (rows, matches) = source.probe(PROBE_ROWS).await?;
    if rows < PROBE_ROWS as u64 {
        let places = source.scan(None, limit).await?;
        return Ok(Found { total: matches, is_lower_bound: false, places, scanned_to: None });
    }
    if !is_common(source, matches).await? {
        let (total, places) = source.indexed(limit).await?;
        if total <= TOTAL_MAX {
            return Ok(Found { total, is_lower_bound: false, places, scanned_to: None });
        }
    }
    let (places, scanned_to) = scan_next(source, limit).await?;
    Ok(Found { total: TOTAL_MAX, is_lower_bound: true, places, scanned_to })
}

/// Finds matches among the next keys, where no index leads to them.
async fn find_among_next(source: &mut impl KeySource, query: &KeyQuery, limit: usize) -> Result<Found, StoreError> {
    let (places, scanned_to) = scan_next(source, limit).await?;
    let (total, is_lower_bound) = if query.after.is_none() && query.skip == 0 && places.len() < limit {
        // These are all that the newest keys have: they need not be read again to be counted.
        (places.len() as u64, scanned_to.is_some())
    } else {
        count_newest(source).await?
    };
    Ok(Found { total, is_lower_bound, places, scanned_to })
}

/// The matches among the next [`SCAN_ROWS`] keys; and the last of these keys, if it was reached and may not be the last.
async fn scan_next(source: &mut impl KeySource, limit: usize) -> Result<(Vec<Place>, Option<Place>), StoreError> {
    let places = source.scan(Some(SCAN_ROWS), limit).await?;
    let scanned_to = if places.len() < limit { source.place_of(SCAN_ROWS).await? } else { None };
    Ok((places, scanned_to))
}

/// How many of the newest [`SCAN_ROWS`] keys match, up to [`TOTAL_MAX`]; whether more may match.
async fn count_newest(source: &mut impl KeySource) -> Result<(u64, bool), StoreError> {
    let (rows, matches) = source.probe(PROBE_ROWS).await?;
    if rows < PROBE_ROWS as u64 {
        return Ok((matches, false));
    }
    if is_common(source, matches).await? {
        return Ok((TOTAL_MAX, true));
    }
    let (rows, matches) = source.probe(SCAN_ROWS).await?;
    Ok((matches.min(TOTAL_MAX), rows == SCAN_ROWS as u64 || matches > TOTAL_MAX))
}

/// Whether more than [`TOTAL_MAX`] of the newest [`SCAN_ROWS`] keys match. Not looked at unless it is likely: so many of
/// the newest [`PROBE_ROWS`] do.
async fn is_common(source: &mut impl KeySource, matches: u64) -> Result<bool, StoreError> {
    Ok(matches >= COMMON && source.count(Some(SCAN_ROWS), Some(TOTAL_MAX + 1)).await? > TOTAL_MAX)
}

async fn read(source: &mut impl KeySource, places: &[Place], weight_max: usize) -> Result<Vec<ApiKey>, StoreError> {
    let mut page = Filling::new(places, weight_max, |key: &ApiKey| (key.id.as_str(), weight::key(key)));
    while let Some(next) = page.next_read() {
        source.read(&next, &mut page).await?;
        page.check_read(&next)?;
    }
    Ok(page.into_rows())
}

/// A page while it fills.
pub struct Filling<'p, T> {
    places: &'p [Place],
    rows: Vec<T>,
    /// Rows that came before those that they follow.
    early: HashMap<String, T>,
    weigh: fn(&T) -> (&str, usize),
    weight: usize,
    weight_max: usize,
    heaviest: usize,
    is_full: bool,
}

impl<'p, T> Filling<'p, T> {
    /// An empty page for the rows at these places, in this order; `weigh` tells a row's id and its weight.
    pub fn new(places: &'p [Place], weight_max: usize, weigh: fn(&T) -> (&str, usize)) -> Self {
        let (rows, early) = (Vec::new(), HashMap::new());
        Self { places, rows, early, weigh, weight: 0, weight_max, heaviest: 0, is_full: false }
    }

    /// The ids to read next: no more than are likely to fit. `None`: the page is done.
    pub fn next_read(&self) -> Option<Vec<&'p str>> {
        if self.is_full {
            return None;
        }
        let likely = (self.weight_max - self.weight).checked_div(self.heaviest).unwrap_or(READ_LEN_FIRST);
        let next = self.places[self.rows.len()..].iter().take(likely.clamp(1, READ_LEN_MAX));
        let ids: Vec<_> = next.map(|(_, id)| id.as_str()).collect();
        (!ids.is_empty()).then_some(ids)
    }

    /// Takes a row. Whether there is room for more. The first row always fits: a page that stands still would never end.
    pub fn add(&mut self, row: T) -> bool {
        let id = (self.weigh)(&row).0.to_owned();
        self.early.insert(id, row);
        while let Some((_, next)) = self.places.get(self.rows.len())
            && let Some(row) = self.early.remove(next)
        {
            let weight = (self.weigh)(&row).1;
            if !self.rows.is_empty() && self.weight + weight > self.weight_max {
                self.is_full = true;
                break;
            }
            self.weight = (self.weight + weight).min(self.weight_max);
            self.heaviest = self.heaviest.max(weight);
            self.rows.push(row);
        }
        !self.is_full
    }

    /// The rows, once there is nothing to read.
    pub fn into_rows(self) -> Vec<T> {
        self.rows
    }

    /// Checks that a read gave what it should: else the page would never be done.
    pub fn check_read(&self, ids: &[&str]) -> Result<(), StoreError> {
        let last = ids.last().copied();
        let is_there = self.is_full || self.rows.last().map(|row| (self.weigh)(row).0) == last;
        if is_there { Ok(()) } else { Err(StoreError::fault("a row that was found could not be read")) }
    }
}

impl KeyQuery {
    /// Whether one index has all that decides which keys match, in the order of the list.
    fn is_covered(&self) -> bool {
        self.name_contains.is_none()
            && self.metadata.is_empty()
            && self.created_by.is_none()
            && self.unused_since.is_none()
    }

    /// Whether an index leads to the keys that match.
    fn has_index(&self) -> bool {
        !self.metadata.is_empty() || !self.grams().is_empty()
    }

    /// The parts of the name that an index finds; none: it is too short.
    pub(super) fn grams(&self) -> Vec<String> {
        self.name_contains.as_deref().map(grams).unwrap_or_default()
    }
}

fn grams(text: &str) -> Vec<String> {
    let text: Vec<_> = text.chars().collect();
    if text.len() < GRAM_LEN {
        return Vec::new();
    }
    let count = text.len() - GRAM_LEN + 1;
    // Spread over the text: the first and the last are always among them.
    let nths = 0..count.min(GRAMS_MAX);
    let ats = nths.clone().map(|nth| nth * (count - 1) / (nths.len() - 1).max(1));
    let mut grams: Vec<String> = ats.map(|at| text[at..at + GRAM_LEN].iter().collect()).collect();
    grams.sort();
    grams.dedup();
    grams
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(count: usize) -> Vec<Place> {
        (0..count).map(|nth| (0, nth.to_string())).collect()
    }

    type Row = (String, usize);

    fn page(places: &[Place]) -> Filling<'_, Row> {
        Filling::new(places, 100, |(id, weight)| (id, *weight))
    }

    /// Reads rows of this weight until the page is done; how many it has, and how many were read for it.
    fn filled(count: usize, weight: usize) -> (usize, usize) {
        let places = places(count);
        let (mut page, mut read) = (page(&places), 0);
        while let Some(ids) = page.next_read() {
            for id in &ids {
                read += 1;
                if !page.add(((*id).to_owned(), weight)) {
                    break;
                }
            }
            page.check_read(&ids).unwrap();
        }
        (page.into_rows().len(), read)
    }

    #[test]
    fn a_page_ends_with_its_rows_or_its_weight() {
        assert_eq!(filled(0, 1), (0, 0));
        assert_eq!(filled(50, 1), (50, 50));
        assert_eq!(filled(50, 10), (10, 11));
        assert_eq!(filled(50, 60), (1, 2));
        assert_eq!(filled(50, 1_000), (1, 2), "a page that stands still would never end");
    }

    #[test]
    fn rows_come_in_the_order_of_the_list() {
        let places = places(4);
        let mut page = page(&places);
        for id in ["2", "1", "0", "3"] {
            assert!(page.add((id.to_owned(), 1)));
        }
        let ids: Vec<_> = page.into_rows().into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, ["0", "1", "2", "3"]);
    }

    #[test]
    fn a_row_that_is_not_there_is_a_fault() {
        let places = places(2);
        let mut page = page(&places);
        page.add(("0".to_owned(), 1));
        assert!(page.check_read(&["0", "1"]).is_err());
    }

    #[test]
    fn a_text_is_found_by_its_parts() {
        assert_eq!(grams("ab"), [""; 0]);
        assert_eq!(grams("äöü"), ["äöü"]);
        assert_eq!(grams("abcd"), ["abc", "bcd"]);
        assert_eq!(grams("aaaa"), ["aaa"]);
        let long: String = ('a'..='z').collect();
        let found = grams(&long);
        assert_eq!((found.len(), found[0].as_str(), found[15].as_str()), (16, "abc", "xyz"));
    }
}
