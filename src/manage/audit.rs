//! Showing the audit trail, a page at a time.

use super::list::{clamped, given};
use super::page::{Cursor, check_size, cut, json_weight};
use super::{Error, Management, Nanos, Page, Violations};
use crate::clock::Timestamp;
use crate::key::id::KeyId;
use crate::key::keyspace::is_keyspace_id;
use crate::key::permission::Reach;
use crate::store::{Event, EventQuery};

/// Which events to show, as the caller asked.
#[derive(Debug)]
pub struct ListEvents {
    /// Empty: all that the caller may see.
    pub keyspace: String,
    /// Of this key; empty: of any.
    pub key_id: String,
    /// By this actor; empty: by any.
    pub actor: String,
    /// At this time or later, since the epoch.
    pub from: Option<Nanos>,
    /// Before this time.
    pub until: Option<Nanos>,
    /// How many; 0: the default.
    pub page_size: i32,
    /// Where the page begins.
    pub page_token: String,
}

impl Management {
    /// A page of events, newest first.
    pub async fn list_events(&self, asked: ListEvents, reach: &Reach) -> Result<Page<Event>, Error> {
        let mut bad = Violations::default();
        if !asked.keyspace.is_empty() && !is_keyspace_id(&asked.keyspace) {
            bad.must("keyspace", &asked.keyspace, Err("match [a-z][a-z0-9-]{0,39}"));
        }
        let size = check_size(asked.page_size, &mut bad);
        if let (Some(from), Some(until)) = (asked.from, asked.until)
            && from > until
        {
            bad.add("end_time", "must not be before start_time");
        }
        let after = self.page_tokens.read(&asked.identity(), &asked.page_token, &mut bad);
        bad.check()?;
        let within = if asked.keyspace.is_empty() { reach.clone() } else { Reach::Only(vec![asked.keyspace.clone()]) };
        let query = EventQuery {
            within,
            key_id: given(&asked.key_id).map(KeyId::from_text),
            actor: given(&asked.actor),
            from: asked.from.map(clamped),
            until: asked.until.map(clamped),
            after: after.map(|cursor| (cursor.at, cursor.id)),
            limit: size + 1,
        };
        let mut events = self.store.list_events(&query).await?;
        let mut next_page_token = String::new();
        if cut(&mut events, size, |event| json_weight(&event.changes))
            && let Some(last) = events.last()
        {
            let cursor = Cursor { at: last.at, id: last.id.clone() };
            next_page_token = self.page_tokens.write(&asked.identity(), &cursor);
        }
        Ok(Page { items: events, next_page_token, total: 0 })
    }
}

impl ListEvents {
    fn identity(&self) -> impl serde::Serialize + '_ {
        let micros = |at: Option<Nanos>| at.map(clamped).map(Timestamp::as_micros);
        ("events", &self.keyspace, &self.key_id, &self.actor, micros(self.from), micros(self.until))
    }
}
