//! SQL of lists of keys.

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::keys::columns;
use super::term;
use crate::key::record::ApiKey;
use crate::store::listing::{self, Filling, KeySource, Place, TOTAL_MAX};
use crate::store::row::{KeyRow, count, to_json};
use crate::store::{KeyPage, KeyQuery, StoreError};

/// See [`crate::store::Store::list_keys`].
pub async fn list(view: &mut PgConnection, query: &KeyQuery) -> Result<KeyPage, StoreError> {
    listing::page(&mut Source { view, query }, query).await
}

struct Source<'v> {
    view: &'v mut PgConnection,
    query: &'v KeyQuery,
}

#[async_trait]
impl KeySource for Source<'_> {
    async fn count(&mut self, rows: Option<usize>, limit: Option<u64>) -> Result<u64, StoreError> {
        let mut sql = QueryBuilder::new("SELECT count(*) FROM (SELECT FROM ");
        push_rows(&mut sql, self.query, false, rows);
        sql.push(" WHERE ");
        push_conditions(&mut sql, self.query)?;
        if let Some(limit) = limit {
            sql.push(" LIMIT ").push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
        }
        let total: i64 = sql.push(") matches").build_query_scalar().fetch_one(&mut *self.view).await?;
        Ok(total.unsigned_abs())
    }

    async fn probe(&mut self, rows: usize) -> Result<(u64, u64), StoreError> {
        let mut sql = QueryBuilder::new("SELECT count(*), count(*) FILTER (WHERE ");
        push_conditions(&mut sql, self.query)?;
        sql.push(") FROM ");
        push_rows(&mut sql, self.query, false, Some(rows));
        let (rows, matches): (i64, i64) = sql.build_query_as().fetch_one(&mut *self.view).await?;
        Ok((rows.unsigned_abs(), matches.unsigned_abs()))
    }

    async fn indexed(&mut self, limit: usize) -> Result<(u64, Vec<Place>), StoreError> {
        // What is not a bare column keeps the planner from the indexes of that column: it cannot know how rare a name is.
        let mut sql =
            QueryBuilder::new("WITH matches AS MATERIALIZED (SELECT k.create_time_us, k.id FROM api_key k WHERE ");
        let grams = self.query.grams();
        if !grams.is_empty() {
            let grams: Vec<_> = grams.iter().map(|gram| format!("{}:{gram}", self.query.keyspace)).collect();
            sql.push("name_grams(k.keyspace, k.name_folded) @> ").push_bind(grams).push(" AND ");
        }
        sql.push("k.keyspace || '' = ").push_bind(term(&self.query.keyspace));
        if let Some(subject) = &self.query.subject {
            sql.push(" AND k.subject || '' = ").push_bind(term(subject));
        }
        sql.push(" AND ");
        push_conditions(&mut sql, self.query)?;
        sql.push(" LIMIT ").push_bind(i64::try_from(TOTAL_MAX + 1).unwrap_or(i64::MAX));
        sql.push(") SELECT (SELECT count(*) FROM matches), page.* FROM (VALUES (1)) AS one LEFT JOIN (SELECT * FROM matches k WHERE true");
        push_after(&mut sql, self.query);
        sql.push(" ORDER BY k.create_time_us DESC, k.id DESC LIMIT ").push_bind(count(limit));
        sql.push(" OFFSET ").push_bind(count(self.query.skip)).push(") AS page ON true");
        let rows: Vec<(i64, Option<i64>, Option<String>)> = sql.build_query_as().fetch_all(&mut *self.view).await?;
        let total = rows.first().map_or(0, |(total, ..)| total.unsigned_abs());
        Ok((total, rows.into_iter().filter_map(|(_, at, id)| Some((at?, id?))).collect()))
    }

    async fn scan(&mut self, rows: Option<usize>, limit: usize) -> Result<Vec<Place>, StoreError> {
        // The order is that of the rows; to ask for it again would have the planner sort them.
        let mut sql = QueryBuilder::new("SELECT k.create_time_us, k.id FROM ");
        push_rows(&mut sql, self.query, true, rows);
        sql.push(" WHERE ");
        push_conditions(&mut sql, self.query)?;
        sql.push(" LIMIT ").push_bind(count(limit)).push(" OFFSET ").push_bind(count(self.query.skip));
        Ok(sql.build_query_as().fetch_all(&mut *self.view).await?)
    }

    async fn place_of(&mut self, rows: usize) -> Result<Option<Place>, StoreError> {
        let mut sql = QueryBuilder::new("SELECT k.create_time_us, k.id FROM ");
        push_rows(&mut sql, self.query, true, Some(rows));
        sql.push(" LIMIT 1 OFFSET ").push_bind(count(rows.saturating_sub(1)));
        Ok(sql.build_query_as().fetch_optional(&mut *self.view).await?)
    }

    async fn read(&mut self, ids: &[&str], page: &mut Filling<ApiKey>) -> Result<(), StoreError> {
        // LIMIT keeps the join a loop over the ids, so that rows come in their order and one by one.
        let query = sqlx::query_as(concat!(
            "SELECT k.* FROM unnest($1::text[]) WITH ORDINALITY AS wanted (id, place) CROSS JOIN LATERAL (SELECT ",
            columns!(),
            " FROM api_key k WHERE k.id = wanted.id LIMIT 1) AS k"
        ));
        let mut rows = query.bind(ids).fetch(&mut *self.view);
        while let Some(row) = rows.try_next().await? {
            let row: KeyRow = row;
            if !page.add(row.try_into()?) {
                break;
            }
        }
        Ok(())
    }
}

/// The keys of the keyspace, or of the subject, as `k`: in the order of the list, from an index that has what conditions
/// mostly ask for.
fn push_rows(sql: &mut QueryBuilder<Postgres>, query: &KeyQuery, is_from_cursor: bool, rows: Option<usize>) {
    sql.push("(SELECT k.create_time_us, k.id, k.enabled, k.expire_time_us, k.revoke_time_us");
    for (is_needed, column) in [
        (query.name_contains.is_some(), ", k.name_folded"),
        (!query.metadata.is_empty(), ", k.metadata"),
        (query.created_by.is_some(), ", k.created_by"),
        (query.unused_since.is_some(), ", k.last_use_time_us"),
    ] {
        sql.push(if is_needed { column } else { "" });
    }
    sql.push(" FROM api_key k WHERE k.keyspace = ").push_bind(term(&query.keyspace));
    if let Some(subject) = &query.subject {
        sql.push(" AND k.subject = ").push_bind(term(subject));
    }
    if is_from_cursor {
        push_after(sql, query);
    }
    sql.push(" ORDER BY k.create_time_us DESC, k.id DESC");
    if let Some(rows) = rows {
        sql.push(" LIMIT ").push_bind(count(rows));
    }
    sql.push(") AS k");
}

fn push_after(sql: &mut QueryBuilder<Postgres>, query: &KeyQuery) {
    if let Some((at, id)) = &query.after {
        sql.push(" AND (k.create_time_us, k.id) < (").push_bind(at.as_micros());
        sql.push(", ").push_bind(id.as_str()).push(")");
    }
}

/// What a key of the keyspace and the subject must be to match.
fn push_conditions(sql: &mut QueryBuilder<Postgres>, query: &KeyQuery) -> Result<(), StoreError> {
    sql.push("true");
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
        // A key made since then had no time to be unused for that long.
        sql.push(" AND k.create_time_us < ").push_bind(since.as_micros());
        sql.push(" AND coalesce(k.last_use_time_us < ").push_bind(since.as_micros()).push(", true)");
    }
    Ok(())
}
