//! SQL of the audit trail.

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use sqlx::{PgConnection, QueryBuilder};

use super::term;
use crate::key::id::KeyId;
use crate::key::keyspace::SYSTEM;
use crate::key::permission::Reach;
use crate::key::record::Json;
use crate::store::listing::{self, EventSource, Filling, Place};
use crate::store::row::{EventRow, count, to_json};
use crate::store::{Actor, Event, EventPage, EventQuery, StoreError};

/// What was done, and to what.
pub struct Deed<'a> {
    /// The method.
    pub action: &'static str,
    /// In which keyspace.
    pub keyspace: &'a str,
    /// To which key, if it was one.
    pub key_id: Option<&'a KeyId>,
    /// What changed.
    pub changes: &'a Json,
}

impl<'a> Deed<'a> {
    /// A call that was denied to a root key.
    pub fn denial(root_key: &'a KeyId, changes: &'a Json) -> Self {
        Self { action: "PermissionDenied", keyspace: SYSTEM, key_id: Some(root_key), changes }
    }
}

/// Writes the event of a deed, in the transaction that does it: while the keyspace is there.
pub async fn record(conn: &mut PgConnection, by: &Actor, deed: Deed<'_>) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO audit_event (id, create_time_us, actor, action, keyspace, key_id, peer, changes, keyspace_uid)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, (SELECT uid FROM keyspace WHERE id = $5))",
    )
    .bind(&by.event_id)
    .bind(by.at.as_micros())
    .bind(&by.name)
    .bind(deed.action)
    .bind(deed.keyspace)
    .bind(deed.key_id.map(KeyId::as_str))
    .bind(&by.peer)
    .bind(to_json(deed.changes)?)
    .execute(conn)
    .await?;
    Ok(())
}

/// See [`crate::store::Store::list_events`].
pub async fn list(view: &mut PgConnection, query: &EventQuery) -> Result<EventPage, StoreError> {
    listing::event_page(&mut Source { view, query }, query).await
}

struct Source<'v> {
    view: &'v mut PgConnection,
    query: &'v EventQuery,
}

#[async_trait]
impl EventSource for Source<'_> {
    async fn scan(&mut self, limit: usize) -> Result<Vec<Place>, StoreError> {
        let query = self.query;
        let mut sql = QueryBuilder::new("SELECT create_time_us, id FROM audit_event WHERE ");
        // Of one keyspace the index has the events in order; those of several must be sorted.
        match &query.within {
            Reach::Everywhere => sql.push("true"),
            Reach::AllButSystem => sql.push("keyspace <> ").push_bind(SYSTEM),
            Reach::Only(these) if these.len() == 1 => {
                sql.push("keyspace_uid = (SELECT uid FROM keyspace WHERE id = ").push_bind(&these[0]).push(")")
            }
            Reach::Only(these) => sql
                .push("keyspace_uid = ANY (ARRAY (SELECT uid FROM keyspace WHERE id = ANY (")
                .push_bind(these)
                .push(")))"),
        };
        if let Some(keyspace) = &query.keyspace {
            sql.push(" AND keyspace = ").push_bind(term(keyspace));
        }
        if let Some(key_id) = &query.key_id {
            sql.push(" AND key_id = ").push_bind(term(key_id.as_str()));
        }
        if let Some(actor) = &query.actor {
            sql.push(" AND actor = ").push_bind(term(actor));
        }
        if let Some(from) = query.from {
            sql.push(" AND create_time_us >= ").push_bind(from.as_micros());
        }
        if let Some(until) = query.until {
            sql.push(" AND create_time_us < ").push_bind(until.as_micros());
        }
        if let Some((at, id)) = &query.after {
            sql.push(" AND (create_time_us, id) < (").push_bind(at.as_micros()).push(", ").push_bind(id).push(")");
        }
        sql.push(" ORDER BY create_time_us DESC, id DESC LIMIT ").push_bind(count(limit));
        Ok(sql.build_query_as().fetch_all(&mut *self.view).await?)
    }

    async fn read(&mut self, ids: &[&str], page: &mut Filling<Event>) -> Result<(), StoreError> {
        // LIMIT keeps the join a loop over the ids, so that rows come in their order and one by one.
        let query = sqlx::query_as(
            "SELECT e.* FROM unnest($1::text[]) WITH ORDINALITY AS wanted (id, place) CROSS JOIN LATERAL (
                 SELECT id, create_time_us, actor, action, keyspace, key_id, peer, changes FROM audit_event
                 WHERE id = wanted.id LIMIT 1) AS e",
        );
        let mut rows = query.bind(ids).fetch(&mut *self.view);
        while let Some(row) = rows.try_next().await? {
            let row: EventRow = row;
            if !page.add(row.try_into()?) {
                break;
            }
        }
        Ok(())
    }
}
