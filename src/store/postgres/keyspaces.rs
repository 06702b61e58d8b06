//! SQL of keyspaces.

use sqlx::{PgConnection, QueryBuilder};

use super::events::{self, Deed};
use super::keys::{self, Busy};
use super::{KEYSPACE_FKEY, refuse_if, term};
use crate::key::id::IdSource;
use crate::key::keyspace::{Keyspace, KeyspacePatch, SYSTEM};
use crate::key::permission::Reach;
use crate::key::record::Json;
use crate::store::error::{Stop, check_ttls, one_row};
use crate::store::row::{KeyspaceRow, all, count, hash_policy_column, list_column, micros, to_json};
use crate::store::{Actor, Refusal, StoreError};

/// How often a deletion is tried while others grant permissions for the keyspace.
const GRANT_ROUNDS_MAX: usize = 8;

macro_rules! columns {
    () => {
        "id, uid, display_name, key_prefix, allowed_subject_types, default_ttl_us, max_ttl_us, allow_wildcard_scopes, \
         hash_policy, create_time_us, update_time_us, revision, default_rate_limit, limits"
    };
}

/// The keyspace of this id.
pub async fn find(conn: &mut PgConnection, id: &str) -> Result<Option<Keyspace>, StoreError> {
    let row: Option<KeyspaceRow> = sqlx::query_as(concat!("SELECT ", columns!(), " FROM keyspace WHERE id = $1"))
        .bind(term(id))
        .fetch_optional(conn)
        .await?;
    row.map(Keyspace::try_from).transpose()
}

/// The keyspace of this id, which nobody else changes until the transaction ends.
async fn lock(conn: &mut PgConnection, id: &str) -> Result<Keyspace, Stop> {
    let row: Option<KeyspaceRow> =
        sqlx::query_as(concat!("SELECT ", columns!(), " FROM keyspace WHERE id = $1 FOR UPDATE"))
            .bind(term(id))
            .fetch_optional(conn)
            .await?;
    Ok(row.ok_or(Refusal::KeyspaceNotFound)?.try_into()?)
}

/// See [`crate::store::Store::list_keyspaces`].
pub async fn list(
    view: &mut PgConnection,
    within: &Reach,
    after: &str,
    limit: usize,
) -> Result<Vec<Keyspace>, StoreError> {
    let mut sql = QueryBuilder::new(concat!("SELECT ", columns!(), " FROM keyspace WHERE id > "));
    sql.push_bind(after);
    match within {
        Reach::Everywhere => &mut sql,
        Reach::AllButSystem => sql.push(" AND id <> ").push_bind(SYSTEM),
        Reach::Only(these) => sql.push(" AND id = ANY (").push_bind(these).push(")"),
    };
    sql.push(" ORDER BY id LIMIT ").push_bind(count(limit));
    all::<KeyspaceRow, _>(sql.build_query_as().fetch_all(view).await?)
}

/// See [`crate::store::Store::keyspace_size`].
pub async fn size(conn: &mut PgConnection, id: &str) -> Result<u64, StoreError> {
    let query = sqlx::query_scalar("SELECT coalesce(sum(keys), 0)::bigint FROM keyspace_size WHERE keyspace = $1");
    let keys: i64 = query.bind(id).fetch_one(conn).await?;
    Ok(u64::try_from(keys).unwrap_or(0))
}

/// See [`crate::store::Store::create_keyspace`].
pub async fn create(conn: &mut PgConnection, keyspace: &Keyspace, by: &Actor) -> Result<(), Stop> {
    let inserted = sqlx::query(concat!(
        "INSERT INTO keyspace (",
        columns!(),
        ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (id) DO NOTHING"
    ))
    .bind(&keyspace.id)
    .bind(keyspace.uid.number())
    .bind(&keyspace.display_name)
    .bind(keyspace.key_prefix.as_str())
    .bind(to_json(&keyspace.allowed_subject_types)?)
    .bind(micros(keyspace.default_ttl))
    .bind(micros(keyspace.max_ttl))
    .bind(keyspace.allow_wildcard_scopes)
    .bind(hash_policy_column(keyspace.hash_policy))
    .bind(keyspace.create_time.as_micros())
    .bind(keyspace.update_time.as_micros())
    .bind(keyspace.revision)
    .bind(list_column(&keyspace.default_rate_limits)?)
    .bind(to_json(&keyspace.limits)?)
    .execute(&mut *conn)
    .await?;
    if inserted.rows_affected() == 0 {
        return Err(Refusal::KeyspaceExists.into());
    }
    record(conn, by, "CreateKeyspace", &keyspace.id, &keyspace.audited()).await
}

/// See [`crate::store::Store::update_keyspace`].
pub async fn update(
    conn: &mut PgConnection,
    id: &str,
    patch: &KeyspacePatch,
    revision: Option<i64>,
    by: &Actor,
) -> Result<Keyspace, Stop> {
    let before = lock(conn, id).await?;
    if revision.is_some_and(|revision| revision != before.revision) {
        return Err(Refusal::EtagMismatch.into());
    }
    let Some(next) = before.patched(patch, by.at) else {
        // What was found may be in no standby yet: the transaction is committed all the same, for the lock waits for that.
        return Ok(before);
    };
    check_ttls(&before, &next)?;
    let updated = sqlx::query(
        "UPDATE keyspace SET display_name = $2, key_prefix = $3, allowed_subject_types = $4, default_ttl_us = $5,
             max_ttl_us = $6, allow_wildcard_scopes = $7, hash_policy = $8, update_time_us = $9, revision = $10,
             default_rate_limit = $11, limits = $12
         WHERE id = $1",
    )
    .bind(&next.id)
    .bind(&next.display_name)
    .bind(next.key_prefix.as_str())
    .bind(to_json(&next.allowed_subject_types)?)
    .bind(micros(next.default_ttl))
    .bind(micros(next.max_ttl))
    .bind(next.allow_wildcard_scopes)
    .bind(hash_policy_column(next.hash_policy))
    .bind(next.update_time.as_micros())
    .bind(next.revision)
    .bind(list_column(&next.default_rate_limits)?)
    .bind(to_json(&next.limits)?)
    .execute(&mut *conn)
    .await?;
    one_row(updated.rows_affected())?;
    record(conn, by, "UpdateKeyspace", id, &next.changes_since(&before)).await?;
    Ok(next)
}

/// See [`crate::store::Store::delete_keyspace`]. Keys are locked before keyspaces, by all: so those that have a permission
/// for it are looked for before it is locked, and once more after that, when nobody can get one any more.
pub async fn delete(conn: &mut PgConnection, id: &str, by: &Actor) -> Result<(), Stop> {
    for _ in 0..GRANT_ROUNDS_MAX {
        sqlx::query("SAVEPOINT locks").execute(&mut *conn).await?;
        let granted = keys::granted_on(conn, id).await?;
        let ids: Vec<_> = granted.iter().map(String::as_str).collect();
        let mut locked = keys::lock(conn, &ids, Busy::Wait).await?;
        let keyspace = lock(conn, id).await?;
        let granted = keys::granted_on(conn, id).await?;
        if granted.iter().any(|id| !locked.contains_key(id.as_str())) {
            sqlx::query("ROLLBACK TO SAVEPOINT locks").execute(&mut *conn).await?;
            continue;
        }
        // Before it is gone: its event is the last of it.
        record(conn, by, "DeleteKeyspace", id, &keyspace.audited()).await?;
        let deleted = sqlx::query("DELETE FROM keyspace WHERE id = $1").bind(id).execute(&mut *conn).await;
        let deleted = deleted.map_err(|e| refuse_if(e, KEYSPACE_FKEY, Refusal::KeyspaceNotEmpty))?;
        one_row(deleted.rows_affected())?;
        let events = IdSource::default();
        for key in locked.values_mut() {
            let by = Actor { event_id: events.event(by.at), ..by.clone() };
            keys::end_grants(conn, key, id, &by).await?;
        }
        return Ok(());
    }
    Err(StoreError::unavailable("permissions for the keyspace are being granted all the time").into())
}

async fn record(
    conn: &mut PgConnection,
    by: &Actor,
    action: &'static str,
    keyspace: &str,
    changes: &Json,
) -> Result<(), Stop> {
    Ok(events::record(conn, by, Deed { action, keyspace, key_id: None, changes }).await?)
}
