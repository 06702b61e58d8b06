//! Showing keys, a page at a time.

use std::collections::BTreeMap;

use super::create::check_metadata;
use super::page::{Cursor, PAGE_WEIGHT_MAX, check_size};
use super::{Error, Management, Nanos, Violations};
use crate::clock::Timestamp;
use crate::key::field;
use crate::key::id::{KeyId, KeyspaceUid};
use crate::key::keyspace::{DEFAULT, is_keyspace_id};
use crate::key::record::ApiKey;
use crate::store::{HeldPage, KeyQuery, ListPlace, Refusal};

/// Which keys to show, as the caller asked.
#[derive(Debug)]
pub struct ListKeys {
    /// Empty: `default`.
    pub keyspace: String,
    /// Of this subject; empty: of any.
    pub subject: String,
    /// With this in the name.
    pub query: String,
    /// Also keys that do not verify.
    pub include_invalid: bool,
    /// With every one of these labels.
    pub metadata: BTreeMap<String, String>,
    /// That this one asked for; empty: anyone.
    pub created_by: String,
    /// Made before this time and not used since, in nanoseconds since the epoch.
    pub unused_since: Option<Nanos>,
    /// How many; 0: the default.
    pub page_size: i32,
    /// Where the page begins.
    pub page_token: String,
    /// How many to pass over first.
    pub skip: i32,
    /// Whether to count all matches, however many there are.
    pub exact_total: bool,
}

/// Most keys that a page passes over.
const SKIP_MAX: usize = 10_000;

/// A page.
#[derive(Debug)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// The token of the next one; empty: there is none.
    pub next_page_token: String,
    /// How many match on all pages; 0 where that is not counted.
    pub total: u64,
    /// Whether there may be more of them.
    pub total_is_lower_bound: bool,
    /// The place among lists that the page takes.
    pub place: ListPlace,
}

impl Management {
    /// A page of keys, newest first.
    pub async fn list(&self, mut asked: ListKeys) -> Result<Page<ApiKey>, Error> {
        if asked.keyspace.is_empty() {
            DEFAULT.clone_into(&mut asked.keyspace);
        }
        let mut bad = Violations::default();
        if !is_keyspace_id(&asked.keyspace) {
            bad.must("keyspace", &asked.keyspace, Err("match [a-z][a-z0-9-]{0,39}"));
        }
        if asked.query.chars().count() > field::NAME_LEN_MAX {
            bad.must("query", &asked.query, Err("have at most 100 characters"));
        }
        check_metadata("metadata", &asked.metadata, &mut bad);
        let size = check_size(asked.page_size, &mut bad);
        let skip = usize::try_from(asked.skip).unwrap_or_else(|_| {
            bad.add("skip", format!("must not be negative; is {}", asked.skip));
            0
        });
        if skip > SKIP_MAX {
            bad.add("skip", format!("must be at most {SKIP_MAX}; is {skip}: go on by page_token instead"));
        }
        let uid = self.store.keyspace(&asked.keyspace).await?.map(|keyspace| keyspace.uid);
        let after = self.page_tokens.read(&asked.identity(uid), &asked.page_token, &mut bad);
        bad.check()?;
        if uid.is_none() {
            return Err(Error::Refused(Refusal::KeyspaceNotFound));
        }
        let HeldPage { page, place } = self.store.list_keys(&self.query(&asked, after, skip, size)).await?;
        let next_page_token = page.next.map_or_else(String::new, |(at, id)| {
            self.page_tokens.write(&asked.identity(uid), &Cursor { at, id: id.as_str().to_owned() })
        });
        let (total, total_is_lower_bound) = (page.total, page.total_is_lower_bound);
        Ok(Page { items: page.keys, next_page_token, total, total_is_lower_bound, place })
    }

    fn query(&self, asked: &ListKeys, after: Option<Cursor>, skip: usize, limit: usize) -> KeyQuery {
        KeyQuery {
            keyspace: asked.keyspace.clone(),
            subject: given(&asked.subject),
            name_contains: given(&asked.query).map(|text| field::folded(&text)),
            active_at: (!asked.include_invalid).then(|| self.clock.now()),
            metadata: asked.metadata.clone(),
            created_by: given(&asked.created_by),
            unused_since: asked.unused_since.map(clamped),
            after: after.map(|cursor| (cursor.at, KeyId::from_text(cursor.id))),
            skip,
            limit,
            weight_max: PAGE_WEIGHT_MAX,
            exact_total: asked.exact_total,
        }
    }
}

impl ListKeys {
    /// What makes this the same query on its next page: of a keyspace that got the id of another it is not.
    fn identity(&self, uid: Option<KeyspaceUid>) -> impl serde::Serialize + '_ {
        (
            "keys",
            uid,
            (&self.keyspace, &self.subject, &self.query, self.include_invalid),
            (&self.metadata, &self.created_by, self.unused_since.map(clamped).map(Timestamp::as_micros)),
        )
    }
}

/// The text, if there is any.
pub(super) fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The time, or the nearest one that there is: for filters, where a time beyond all times is no mistake.
pub(super) fn clamped(nanos: Nanos) -> Timestamp {
    let micros = nanos.div_euclid(1_000).clamp(Nanos::from(i64::MIN), Nanos::from(i64::MAX));
    Timestamp::from_micros(i64::try_from(micros).expect("clamped"))
}
