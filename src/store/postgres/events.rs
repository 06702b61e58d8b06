//! SQL of the audit trail.

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::term;
use crate::clock::Timestamp;
use crate::key::id::KeyId;
use crate::key::keyspace::SYSTEM;
use crate::key::permission::Reach;
use crate::key::record::Json;
use crate::store::listing::{self, EventSource, Filling, Place};
use crate::store::row::{EventRow, count, to_json};
use crate::store::{Actor, EVENTS_PRUNED_MAX, Event, EventPage, EventQuery, StoreError};

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

/// See [`crate::store::Store::prune_events`].
pub async fn prune(conn: &mut PgConnection, before: Timestamp) -> Result<u64, StoreError> {
    let prune = sqlx::query(
        "DELETE FROM audit_event WHERE id IN
             (SELECT id FROM audit_event WHERE create_time_us < $1 ORDER BY create_time_us, id LIMIT $2 FOR UPDATE SKIP LOCKED)",
    );
    Ok(prune.bind(before.as_micros()).bind(count(EVENTS_PRUNED_MAX)).execute(conn).await?.rows_affected())
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
        let mut sql = QueryBuilder::new("SELECT e.create_time_us, e.id FROM ");
        match &query.within {
            Reach::Everywhere => sql.push("audit_event e WHERE true"),
            Reach::AllButSystem => sql.push("audit_event e WHERE e.keyspace <> ").push_bind(SYSTEM),
            // Of each keyspace an index has the events in order: no more are read than each may have on the page.
            Reach::Only(_) => sql.push(
                "keyspace s CROSS JOIN LATERAL (SELECT e.create_time_us, e.id FROM audit_event e
                 WHERE e.keyspace_uid = s.uid",
            ),
        };
        push_conditions(&mut sql, query);
        if let Reach::Only(these) = &query.within {
            sql.push(" ORDER BY e.create_time_us DESC, e.id DESC LIMIT ").push_bind(count(limit));
            sql.push(") AS e WHERE s.id = ANY (").push_bind(these).push(")");
        }
        sql.push(" ORDER BY e.create_time_us DESC, e.id DESC LIMIT ").push_bind(count(limit));
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

/// What an event must be to match, its keyspace by uid apart.
fn push_conditions(sql: &mut QueryBuilder<Postgres>, query: &EventQuery) {
    if let Some(keyspace) = &query.keyspace {
        sql.push(" AND e.keyspace = ").push_bind(term(keyspace));
    }
    if let Some(key_id) = &query.key_id {
        sql.push(" AND e.key_id = ").push_bind(term(key_id.as_str()));
    }
    if let Some(actor) = &query.actor {
        sql.push(" AND e.actor = ").push_bind(term(actor));
    }
    if let Some(action) = &query.action {
        sql.push(" AND e.action = ").push_bind(term(action));
    }
    if let Some(from) = query.from {
        sql.push(" AND e.create_time_us >= ").push_bind(from.as_micros());
    }
    if let Some(until) = query.until {
        sql.push(" AND e.create_time_us < ").push_bind(until.as_micros());
    }
    if let Some((at, id)) = &query.after {
        sql.push(" AND (e.create_time_us, e.id) < (").push_bind(at.as_micros()).push(", ").push_bind(id).push(")");
    }
}
