//! SQL of lists of keys.

use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder};

use super::keys::columns;
use super::term;
use super::transaction::Transaction;
use crate::store::row::{KeyRow, all, count, to_json};
use crate::store::{KeyPage, KeyQuery, StoreError};

/// See [`crate::store::Store::list_keys`].
pub async fn list(pool: &PgPool, query: &KeyQuery) -> Result<KeyPage, StoreError> {
    // One view of the store for both: the first read fixes it.
    let mut view = Transaction::begin_read(pool).await?;
    let page = page(&mut view, query).await;
    view.finish(page).await
}

async fn page(conn: &mut PgConnection, query: &KeyQuery) -> Result<KeyPage, StoreError> {
    let mut sql = QueryBuilder::new("SELECT count(*) FROM api_key k WHERE ");
    push_conditions(&mut sql, query)?;
    let total: i64 = sql.build_query_scalar().fetch_one(&mut *conn).await?;

    let mut sql = QueryBuilder::new(concat!("SELECT ", columns!(), " FROM api_key k WHERE "));
    push_conditions(&mut sql, query)?;
    if let Some((at, id)) = &query.after {
        sql.push(" AND (k.create_time_us, k.id) < (").push_bind(at.as_micros());
        sql.push(", ").push_bind(id.as_str()).push(")");
    }
    sql.push(" ORDER BY k.create_time_us DESC, k.id DESC LIMIT ").push_bind(count(query.limit));
    sql.push(" OFFSET ").push_bind(count(query.skip));
    let keys = all::<KeyRow, _>(sql.build_query_as().fetch_all(conn).await?)?;
    Ok(KeyPage { keys, total: total.unsigned_abs() })
}

/// What a key must be to be found; where the page begins is not part of it.
fn push_conditions(sql: &mut QueryBuilder<Postgres>, query: &KeyQuery) -> Result<(), StoreError> {
    sql.push("k.keyspace = ").push_bind(term(&query.keyspace));
    if let Some(subject) = &query.subject {
        sql.push(" AND k.subject = ").push_bind(term(subject));
    }
    if let Some(text) = &query.name_contains {
        sql.push(" AND strpos(k.name_folded, ").push_bind(term(text)).push(") > 0");
    }
    if let Some(now) = query.active_at {
        sql.push(" AND k.revoke_time_us IS NULL AND k.enabled AND coalesce(k.expire_time_us > ");
        sql.push_bind(now.as_micros()).push(", true)");
    }
    if !query.metadata.is_empty() {
        let storable = query.metadata.iter().all(|(name, value)| term(name).and(term(value)).is_some());
        let labels = storable.then(|| to_json(&query.metadata)).transpose()?;
        sql.push(" AND k.metadata @> ").push_bind(labels).push("::jsonb");
    }
    if let Some(created_by) = &query.created_by {
        sql.push(" AND k.created_by = ").push_bind(term(created_by));
    }
    if let Some(since) = query.unused_since {
        sql.push(" AND coalesce(k.last_use_time_us < ").push_bind(since.as_micros()).push(", true)");
    }
    Ok(())
}
