//! SQL of the audit trail.

use std::collections::BTreeSet;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

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
pub async fn record(conn: &mut SqliteConnection, by: &Actor, deed: Deed<'_>) -> Result<(), StoreError> {
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
pub async fn prune(conn: &mut SqliteConnection, before: Timestamp) -> Result<u64, StoreError> {
    let prune = sqlx::query(
        "DELETE FROM audit_event WHERE id IN
             (SELECT id FROM audit_event WHERE create_time_us < $1 ORDER BY create_time_us, id LIMIT $2)",
    );
    Ok(prune.bind(before.as_micros()).bind(count(EVENTS_PRUNED_MAX)).execute(conn).await?.rows_affected())
}

/// See [`crate::store::Store::list_events`].
pub async fn list(view: &mut SqliteConnection, query: &EventQuery) -> Result<EventPage, StoreError> {
    listing::event_page(&mut Source { view, query }, query).await
}

/// Events by id. The order of the tables is the order in which to go through them: rows come in the order of the ids.
pub(super) const READ: &str =
    "SELECT e.id, e.create_time_us, e.actor, e.action, e.keyspace, e.key_id, e.peer, e.changes
    FROM json_each($1) wanted CROSS JOIN audit_event e ON e.id = wanted.value";

struct Source<'v> {
    view: &'v mut SqliteConnection,
    query: &'v EventQuery,
}

#[async_trait]
impl EventSource for Source<'_> {
    async fn scan(&mut self, limit: usize) -> Result<Vec<Place>, StoreError> {
        Ok(scan_sql(self.query, limit)?.build_query_as().fetch_all(&mut *self.view).await?)
    }

    async fn read(&mut self, ids: &[&str], page: &mut Filling<Event>) -> Result<(), StoreError> {
        let mut rows = sqlx::query_as(READ).bind(to_json(&ids)?).fetch(&mut *self.view);
        while let Some(row) = rows.try_next().await? {
            let row: EventRow = row;
            if !page.add(row.try_into()?) {
                break;
            }
        }
        Ok(())
    }
}

/// Keyspaces whose events are put together by index. SQLite takes 500 parts of a query at most.
const MERGED_MAX: usize = 200;

pub(super) fn scan_sql(query: &EventQuery, limit: usize) -> Result<QueryBuilder<Sqlite>, StoreError> {
    let mut sql = QueryBuilder::new("SELECT e.create_time_us, e.id FROM ");
    // The index of keys or actors has few to look through.
    let is_narrow = query.key_id.is_some() || query.actor.is_some();
    let is_merged = matches!(&query.within, Reach::Only(these) if !is_narrow && these.len() <= MERGED_MAX);
    match &query.within {
        Reach::Everywhere => sql.push("audit_event e WHERE true"),
        Reach::AllButSystem => sql.push("audit_event e WHERE e.keyspace <> ").push_bind(SYSTEM),
        Reach::Only(these) if !is_merged => sql
            .push("audit_event e WHERE +e.keyspace_uid IN (SELECT s.uid FROM json_each(")
            .push_bind(to_json(these)?)
            .push(") wanted JOIN keyspace s ON s.id = wanted.value)"),
        // Of each keyspace an index has the events in order: no more are read than each may have on the page.
        Reach::Only(these) => {
            sql.push("(SELECT 0 AS create_time_us, '' AS id WHERE false");
            // Each once, though it may be named twice.
            for keyspace in these.iter().collect::<BTreeSet<_>>() {
                sql.push(" UNION ALL SELECT * FROM (SELECT e.create_time_us, e.id FROM audit_event e ");
                sql.push("WHERE e.keyspace_uid = (SELECT uid FROM keyspace WHERE id = ").push_bind(keyspace).push(")");
                push_conditions(&mut sql, query);
                sql.push(" ORDER BY e.create_time_us DESC, e.id DESC LIMIT ").push_bind(count(limit)).push(")");
            }
            sql.push(") e")
        }
    };
    if !is_merged {
        push_conditions(&mut sql, query);
    }
    sql.push(" ORDER BY e.create_time_us DESC, e.id DESC LIMIT ").push_bind(count(limit));
    Ok(sql)
}

/// What an event must be to match, its keyspace by uid apart.
fn push_conditions(sql: &mut QueryBuilder<Sqlite>, query: &EventQuery) {
    if let Some(keyspace) = &query.keyspace {
        // The `+` keeps SQLite from going by the name of the keyspace where a key or an actor says more.
        let plus = if query.key_id.is_some() || query.actor.is_some() { "+" } else { "" };
        sql.push(format!(" AND {plus}e.keyspace = ")).push_bind(keyspace);
    }
    if let Some(key_id) = &query.key_id {
        sql.push(" AND e.key_id = ").push_bind(key_id.as_str());
    }
    if let Some(actor) = &query.actor {
        let plus = if query.key_id.is_some() { "+" } else { "" };
        sql.push(format!(" AND {plus}e.actor = ")).push_bind(actor);
    }
    if let Some(action) = &query.action {
        sql.push(" AND e.action = ").push_bind(action);
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
