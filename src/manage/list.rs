//! Showing keys, a page at a time.

use std::collections::BTreeMap;

use super::create::check_metadata;
use super::page::{Cursor, check_size, cut, json_weight};
use super::{Error, Management, Nanos, Violations};
use crate::clock::Timestamp;
use crate::key::field;
use crate::key::id::{KeyId, KeyspaceUid};
use crate::key::keyspace::{DEFAULT, is_keyspace_id};
use crate::key::record::ApiKey;
use crate::store::{KeyQuery, Refusal};

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
    /// Not used at or after this time, since the epoch.
    pub unused_since: Option<Nanos>,
    /// How many; 0: the default.
    pub page_size: i32,
    /// Where the page begins.
    pub page_token: String,
    /// How many to pass over first.
    pub skip: i32,
}

/// A page.
#[derive(Debug)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// The token of the next one; empty: there is none.
    pub next_page_token: String,
    /// How many match on all pages; 0 where that is not counted.
    pub total: u64,
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
        let uid = self.store.keyspace(&asked.keyspace).await?.map(|keyspace| keyspace.uid);
        let after = self.page_tokens.read(&asked.identity(uid), &asked.page_token, &mut bad);
        bad.check()?;
        if uid.is_none() {
            return Err(Error::Refused(Refusal::KeyspaceNotFound));
        }
        // One more than asked for tells whether there is a next page.
        let page = self.store.list_keys(&self.query(&asked, after, skip, size + 1)).await?;
        let mut keys = page.keys;
        let mut next_page_token = String::new();
        if cut(&mut keys, size, weight)
            && let Some(last) = keys.last()
        {
            let cursor = Cursor { at: last.create_time, id: last.id.as_str().to_owned() };
            next_page_token = self.page_tokens.write(&asked.identity(uid), &cursor);
        }
        Ok(Page { items: keys, next_page_token, total: page.total })
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

/// About how many bytes a key is on the wire.
fn weight(key: &ApiKey) -> usize {
    /// Ids, times and tags.
    const REST: usize = 300;
    let labels: usize = key.metadata.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
    let scopes: usize = key.scopes.iter().map(|scope| scope.len() + 2).sum();
    let comment = key.revocation.as_ref().map_or(0, |revocation| revocation.comment.len());
    REST + key.name.len() + key.description.len() + comment + labels + scopes + json_weight(&key.claims)
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
