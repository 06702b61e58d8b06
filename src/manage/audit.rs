//! Showing the audit trail, a page at a time.

use serde_json::json;

use super::list::{clamped, given};
use super::page::{Cursor, PAGE_WEIGHT_MAX, check_size};
use super::{Error, Management, Nanos, Page, Principal, Violations};
use crate::clock::Timestamp;
use crate::key::id::{KeyId, KeyspaceUid};
use crate::key::keyspace::is_keyspace_id;
use crate::key::permission::Reach;
use crate::key::record::object;
use crate::security_events::Denial;
use crate::store::{Event, EventQuery, HeldPage, Refusal};

/// Which events to show, as the caller asked.
#[derive(Debug)]
pub struct ListEvents {
    /// Empty: all that the caller may see.
    pub keyspace: String,
    /// Of this key; empty: of any.
    pub key_id: String,
    /// By this actor; empty: by any.
    pub actor: String,
    /// Of this action; empty: of any.
    pub action: String,
    /// At this time or later, since the epoch.
    pub from: Option<Nanos>,
    /// Before this time.
    pub until: Option<Nanos>,
    /// How many; 0: the default.
    pub page_size: i32,
    /// Where the page begins.
    pub page_token: String,
}

/// Every action that there are events of.
pub const ACTIONS: [&str; 10] = [
    "CreateApiKey",
    "CreateKeyspace",
    "DeleteApiKey",
    "DeleteKeyspace",
    "ImportApiKeys",
    "PermissionDenied",
    "RevokeApiKey",
    "RotateApiKey",
    "UpdateApiKey",
    "UpdateKeyspace",
];

/// Actors that are no root keys.
const ACTORS: [&str; 2] = ["bootstrap", "offline"];

impl Management {
    /// Writes a denial to the audit trail.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn record_denial(&self, denial: &Denial) -> Result<(), Error> {
        let by = Principal { name: &denial.root_key_id, peer: &denial.peer };
        let changes = object(json!({ "method": denial.method, "permission": denial.permission }));
        let root_key = KeyId::from_text(&denial.root_key_id);
        Ok(self.store.record_denial(&root_key, &changes, &self.actor(by, self.clock.now())).await?)
    }

    /// A page of events, newest first.
    pub async fn list_events(&self, asked: ListEvents, reach: &Reach) -> Result<Page<Event>, Error> {
        let mut bad = Violations::default();
        if !asked.keyspace.is_empty() && !is_keyspace_id(&asked.keyspace) {
            bad.must("keyspace", &asked.keyspace, Err("match [a-z][a-z0-9-]{0,39}"));
        }
        bad.refuse_secret("key_id", &asked.key_id);
        bad.refuse_secret("actor", &asked.actor);
        if !asked.action.is_empty() && !ACTIONS.contains(&asked.action.as_str()) {
            bad.must("action", &asked.action, Err(format!("be one of {}", ACTIONS.join(", "))));
        }
        let size = check_size(asked.page_size, &mut bad);
        if let (Some(from), Some(until)) = (asked.from, asked.until)
            && from > until
        {
            bad.add("end_time", "must not be before start_time");
        }
        // Who may read of keyspaces that are named to him reads of those alone, not of others that had their ids before.
        let (within, keyspace) = match (reach, given(&asked.keyspace)) {
            (Reach::Only(_), Some(keyspace)) => (Reach::Only(vec![keyspace]), None),
            (reach, keyspace) => (reach.clone(), keyspace),
        };
        let identity = asked.identity(self.uids(&within).await?);
        let after = self.page_tokens.read(&identity, &asked.page_token, &mut bad);
        bad.check()?;
        let query = EventQuery {
            within,
            keyspace,
            key_id: given(&asked.key_id).map(KeyId::from_text),
            actor: given(&asked.actor),
            action: given(&asked.action),
            from: asked.from.map(clamped),
            until: asked.until.map(clamped),
            after: after.map(|cursor| (cursor.at, cursor.id)),
            limit: size,
            weight_max: PAGE_WEIGHT_MAX,
        };
        let mut held = self.store.list_events(&query).await?;
        if query.after.is_none() && held.page.events.is_empty() && held.page.next.is_none() {
            // The check takes a place among lists itself: with two, callers would wait for each other.
            drop(held);
            self.check_filters(&asked, query.clone(), reach).await?;
            held = self.store.list_events(&query).await?;
        }
        let HeldPage { page, place } = held;
        let next_page_token =
            page.next.map_or_else(String::new, |(at, id)| self.page_tokens.write(&identity, &Cursor { at, id }));
        Ok(Page { items: page.events, next_page_token, total: 0, total_is_lower_bound: false, place })
    }

    /// Refuses a filter by what is not there, and never was: a mistyped one would look like a quiet day.
    async fn check_filters(&self, asked: &ListEvents, query: EventQuery, reach: &Reach) -> Result<(), Error> {
        let every = EventQuery { key_id: None, actor: None, action: None, from: None, until: None, limit: 1, ..query };
        if !asked.keyspace.is_empty()
            && self.store.keyspace(&asked.keyspace).await?.is_none()
            && self.store.list_events(&every).await?.page.events.is_empty()
        {
            return Err(Error::Refused(Refusal::KeyspaceNotFound));
        }
        if let Some(id) = given(&asked.key_id).map(KeyId::from_text) {
            let key = self.store.key(&id).await?.filter(|key| reach.includes(&key.keyspace));
            let of_key = EventQuery { within: reach.clone(), keyspace: None, key_id: Some(id), ..every.clone() };
            if key.is_none() && self.store.list_events(&of_key).await?.page.events.is_empty() {
                return Err(Error::Refused(Refusal::KeyNotFound));
            }
        }
        if let Some(actor) = given(&asked.actor).filter(|actor| !ACTORS.contains(&actor.as_str())) {
            let by_actor =
                EventQuery { within: reach.clone(), keyspace: None, actor: Some(actor.clone()), ..every.clone() };
            if self.store.key(&KeyId::from_text(actor)).await?.is_none()
                && self.store.list_events(&by_actor).await?.page.events.is_empty()
            {
                return Err(Error::Refused(Refusal::KeyNotFound));
            }
        }
        Ok(())
    }

    /// Which keyspaces these are, where they are named one by one.
    async fn uids(&self, within: &Reach) -> Result<Vec<KeyspaceUid>, Error> {
        let Reach::Only(these) = within else { return Ok(Vec::new()) };
        let keyspaces = self.store.list_keyspaces(within, "", these.len()).await?;
        Ok(keyspaces.page.into_iter().map(|keyspace| keyspace.uid).collect())
    }
}

impl ListEvents {
    /// What makes this the same query on its next page: of a keyspace that got the id of another it is not.
    fn identity(&self, uids: Vec<KeyspaceUid>) -> impl serde::Serialize + use<> {
        let micros = |at: Option<Nanos>| at.map(clamped).map(Timestamp::as_micros);
        let (keyspace, key_id, actor) = (self.keyspace.clone(), self.key_id.clone(), self.actor.clone());
        ("events", uids, keyspace, key_id, (actor, self.action.clone()), micros(self.from), micros(self.until))
    }
}
