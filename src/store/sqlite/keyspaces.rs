//! SQL of keyspaces.

use sqlx::{QueryBuilder, SqliteConnection};

use super::events::{self, Deed};
use super::keys;
use crate::key::keyspace::{Keyspace, KeyspacePatch, SYSTEM};
use crate::key::permission::Reach;
use crate::key::record::Json;
use crate::store::error::{Stop, check_ttls, one_row};
use crate::store::row::{KeyspaceRow, all, count, hash_policy_column, list_column, micros, to_json};
use crate::store::{Actor, Refusal, StoreError};

macro_rules! columns {
    () => {
        "id, uid, display_name, key_prefix, allowed_subject_types, default_ttl_us, max_ttl_us, allow_wildcard_scopes, \
         hash_policy, create_time_us, update_time_us, revision, default_rate_limit, limits"
    };
}

/// The keyspace of this id.
pub async fn find(conn: &mut SqliteConnection, id: &str) -> Result<Option<Keyspace>, StoreError> {
    let row: Option<KeyspaceRow> = sqlx::query_as(concat!("SELECT ", columns!(), " FROM keyspace WHERE id = $1"))
        .bind(id)
        .fetch_optional(conn)
        .await?;
    row.map(Keyspace::try_from).transpose()
}

/// See [`crate::store::Store::list_keyspaces`].
pub async fn list(
    view: &mut SqliteConnection,
    within: &Reach,
    after: &str,
    limit: usize,
) -> Result<Vec<Keyspace>, StoreError> {
    let mut sql = QueryBuilder::new(concat!("SELECT ", columns!(), " FROM keyspace WHERE id > "));
    sql.push_bind(after);
    match within {
        Reach::Everywhere => &mut sql,
        Reach::AllButSystem => sql.push(" AND id <> ").push_bind(SYSTEM),
        Reach::Only(these) => {
            sql.push(" AND id IN (SELECT value FROM json_each(").push_bind(to_json(these)?).push("))")
        }
    };
    sql.push(" ORDER BY id LIMIT ").push_bind(count(limit));
    all::<KeyspaceRow, _>(sql.build_query_as().fetch_all(view).await?)
}

/// See [`crate::store::Store::keyspace_size`].
pub async fn size(conn: &mut SqliteConnection, id: &str) -> Result<u64, StoreError> {
    let query = sqlx::query_scalar("SELECT coalesce(sum(keys), 0) FROM keyspace_size WHERE keyspace = $1");
    let keys: i64 = query.bind(id).fetch_one(conn).await?;
    Ok(u64::try_from(keys).unwrap_or(0))
}

/// See [`crate::store::Store::create_keyspace`].
pub async fn create(conn: &mut SqliteConnection, keyspace: &Keyspace, by: &Actor) -> Result<(), Stop> {
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
    conn: &mut SqliteConnection,
    id: &str,
    patch: &KeyspacePatch,
    revision: Option<i64>,
    by: &Actor,
) -> Result<Keyspace, Stop> {
    let before = find(conn, id).await?.ok_or(Refusal::KeyspaceNotFound)?;
    if revision.is_some_and(|revision| revision != before.revision) {
        return Err(Refusal::EtagMismatch.into());
    }
    let Some(next) = before.patched(patch, by.at) else {
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

/// See [`crate::store::Store::delete_keyspace`].
pub async fn delete(conn: &mut SqliteConnection, id: &str, by: &Actor) -> Result<(), Stop> {
    let keyspace = find(conn, id).await?.ok_or(Refusal::KeyspaceNotFound)?;
    // SQLite does not name the constraint that a statement violates; one writer need not let it come to that.
    let has_keys = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM api_key WHERE keyspace = $1)");
    if has_keys.bind(id).fetch_one(&mut *conn).await? {
        return Err(Refusal::KeyspaceNotEmpty.into());
    }
    // Before it is gone: its event is the last of it.
    record(conn, by, "DeleteKeyspace", id, &keyspace.audited()).await?;
    let deleted = sqlx::query("DELETE FROM keyspace WHERE id = $1").bind(id).execute(&mut *conn).await?;
    one_row(deleted.rows_affected())?;
    keys::end_grants(conn, id, by).await
}

async fn record(
    conn: &mut SqliteConnection,
    by: &Actor,
    action: &'static str,
    keyspace: &str,
    changes: &Json,
) -> Result<(), Stop> {
    Ok(events::record(conn, by, Deed { action, keyspace, key_id: None, changes }).await?)
}
