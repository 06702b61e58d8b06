//! SQL of lists of keys.

use sqlx::{QueryBuilder, Sqlite, SqlitePool};

use super::keys::columns;
use crate::store::row::{KeyRow, all, count};
use crate::store::{KeyPage, KeyQuery, StoreError};

/// See [`crate::store::Store::list_keys`].
pub async fn list(readers: &SqlitePool, query: &KeyQuery) -> Result<KeyPage, StoreError> {
    // One view of the store for both: the first read fixes it.
    let mut view = readers.begin().await?;
    let mut sql = QueryBuilder::new("SELECT count(*) FROM api_key k WHERE ");
    push_conditions(&mut sql, query);
    let total: i64 = sql.build_query_scalar().fetch_one(&mut *view).await?;

    let mut sql = QueryBuilder::new(concat!("SELECT ", columns!(), " FROM api_key k WHERE "));
    push_conditions(&mut sql, query);
    if let Some((at, id)) = &query.after {
        sql.push(" AND (k.create_time_us, k.id) < (").push_bind(at.as_micros());
        sql.push(", ").push_bind(id.as_str()).push(")");
    }
    sql.push(" ORDER BY k.create_time_us DESC, k.id DESC LIMIT ").push_bind(count(query.limit));
    sql.push(" OFFSET ").push_bind(count(query.skip));
    let keys = all::<KeyRow, _>(sql.build_query_as().fetch_all(&mut *view).await?)?;
    view.commit().await?;
    Ok(KeyPage { keys, total: total.unsigned_abs() })
}

/// What a key must be to be found; where the page begins is not part of it.
fn push_conditions(sql: &mut QueryBuilder<Sqlite>, query: &KeyQuery) {
    // The `+` keeps SQLite from going through the whole keyspace when labels lead to the keys at once.
    sql.push(if query.metadata.is_empty() { "k.keyspace = " } else { "+k.keyspace = " }).push_bind(&query.keyspace);
    if let Some(subject) = &query.subject {
        sql.push(" AND k.subject = ").push_bind(subject);
    }
    if let Some(text) = &query.name_contains {
        sql.push(" AND instr(k.name_folded, ").push_bind(text).push(") > 0");
    }
    if let Some(now) = query.active_at {
        sql.push(" AND k.revoke_time_us IS NULL AND k.enabled AND coalesce(k.expire_time_us > ");
        sql.push_bind(now.as_micros()).push(", true)");
    }
    for (name, value) in &query.metadata {
        sql.push(" AND k.id IN (SELECT key_id FROM api_key_metadata WHERE name = ").push_bind(name);
        sql.push(" AND value = ").push_bind(value).push(")");
    }
    if let Some(created_by) = &query.created_by {
        sql.push(" AND k.created_by = ").push_bind(created_by);
    }
    if let Some(since) = query.unused_since {
        sql.push(" AND coalesce(k.last_use_time_us < ").push_bind(since.as_micros()).push(", true)");
    }
}
