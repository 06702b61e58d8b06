//! SQL of lists of keys.

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::keys::columns;
use crate::key::record::ApiKey;
use crate::store::listing::{self, Filling, KeySource, Place, TOTAL_MAX};
use crate::store::row::{KeyRow, count, to_json};
use crate::store::{KeyPage, KeyQuery, StoreError};

/// How many keys of a keyspace the index of names tells apart, as a power of two.
const NAME_BLOCK_BITS: u32 = 40;

/// See [`crate::store::Store::list_keys`].
pub async fn list(view: &mut SqliteConnection, query: &KeyQuery) -> Result<KeyPage, StoreError> {
    listing::page(&mut Source { view, query }, query).await
}

/// Keys by id. The order of the tables is the order in which to go through them: rows come in the order of the ids.
pub(super) const READ: &str =
    concat!("SELECT ", columns!(), " FROM json_each($1) wanted CROSS JOIN api_key k ON k.id = wanted.value");

struct Source<'v> {
    view: &'v mut SqliteConnection,
    query: &'v KeyQuery,
}

#[async_trait]
impl KeySource for Source<'_> {
    async fn count(&mut self, rows: Option<usize>, limit: Option<u64>) -> Result<u64, StoreError> {
        let total: i64 = count_sql(self.query, rows, limit).build_query_scalar().fetch_one(&mut *self.view).await?;
        Ok(total.unsigned_abs())
    }

    async fn probe(&mut self, rows: usize) -> Result<(u64, u64), StoreError> {
        let (rows, matches): (i64, i64) =
            probe_sql(self.query, rows).build_query_as().fetch_one(&mut *self.view).await?;
        Ok((rows.unsigned_abs(), matches.unsigned_abs()))
    }

    async fn indexed(&mut self, limit: usize) -> Result<(u64, Vec<Place>), StoreError> {
        let rows: Vec<(i64, Option<i64>, Option<String>)> =
            indexed_sql(self.query, limit).build_query_as().fetch_all(&mut *self.view).await?;
        let total = rows.first().map_or(0, |(total, ..)| total.unsigned_abs());
        Ok((total, rows.into_iter().filter_map(|(_, at, id)| Some((at?, id?))).collect()))
    }

    async fn scan(&mut self, rows: Option<usize>, limit: usize) -> Result<Vec<Place>, StoreError> {
        Ok(scan_sql(self.query, rows, limit).build_query_as().fetch_all(&mut *self.view).await?)
    }

    async fn place_of(&mut self, rows: usize) -> Result<Option<Place>, StoreError> {
        Ok(place_sql(self.query, rows).build_query_as().fetch_optional(&mut *self.view).await?)
    }

    async fn read(&mut self, ids: &[&str], page: &mut Filling<ApiKey>) -> Result<(), StoreError> {
        let mut rows = sqlx::query_as(READ).bind(to_json(&ids)?).fetch(&mut *self.view);
        while let Some(row) = rows.try_next().await? {
            let row: KeyRow = row;
            if !page.add(row.try_into()?) {
                break;
            }
        }
        Ok(())
    }
}

pub(super) fn count_sql(query: &KeyQuery, rows: Option<usize>, limit: Option<u64>) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("SELECT count(*) FROM (SELECT 1 FROM ");
    push_rows(&mut sql, query, false, rows);
    sql.push(" WHERE ");
    push_conditions(&mut sql, query);
    if let Some(limit) = limit {
        sql.push(" LIMIT ").push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
    }
    sql.push(")");
    sql
}

pub(super) fn probe_sql(query: &KeyQuery, rows: usize) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("SELECT count(*), count(*) FILTER (WHERE ");
    push_conditions(&mut sql, query);
    sql.push(") FROM ");
    push_rows(&mut sql, query, false, Some(rows));
    sql
}

pub(super) fn indexed_sql(query: &KeyQuery, limit: usize) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("WITH matches AS MATERIALIZED (SELECT k.create_time_us, k.id FROM ");
    let grams = query.grams();
    if grams.is_empty() {
        sql.push("api_key_metadata m CROSS JOIN api_key k ON k.id = m.key_id WHERE ");
        // The others are among the conditions, and so is this one.
        for (name, value) in query.metadata.iter().take(1) {
            sql.push("m.name = ").push_bind(name).push(" AND m.value = ").push_bind(value).push(" AND ");
        }
    } else {
        let quoted: Vec<_> = grams.iter().map(|gram| format!("\"{}\"", gram.replace('"', "\"\""))).collect();
        // The names of one keyspace are together. The order of the tables is the order in which to go through them.
        sql.push("keyspace s CROSS JOIN api_key_name n CROSS JOIN api_key k ON k.name_row = n.rowid WHERE s.id = ");
        sql.push_bind(&query.keyspace).push(" AND n.api_key_name MATCH ").push_bind(quoted.join(" "));
        sql.push(format!(
            " AND n.rowid BETWEEN s.name_block << {NAME_BLOCK_BITS} AND (s.name_block + 1 << {NAME_BLOCK_BITS}) - 1 AND "
        ));
    }
    // The `+` keeps SQLite from going through the whole keyspace.
    sql.push("+k.keyspace = ").push_bind(&query.keyspace);
    if let Some(subject) = &query.subject {
        sql.push(" AND +k.subject = ").push_bind(subject);
    }
    sql.push(" AND ");
    push_conditions(&mut sql, query);
    sql.push(" LIMIT ").push_bind(i64::try_from(TOTAL_MAX + 1).unwrap_or(i64::MAX));
    sql.push(
        ") SELECT (SELECT count(*) FROM matches), page.* FROM (SELECT 1) LEFT JOIN (SELECT * FROM matches k WHERE true",
    );
    push_after(&mut sql, query);
    sql.push(" ORDER BY k.create_time_us DESC, k.id DESC LIMIT ").push_bind(count(limit));
    sql.push(" OFFSET ").push_bind(count(query.skip)).push(") page ON true");
    sql
}

pub(super) fn scan_sql(query: &KeyQuery, rows: Option<usize>, limit: usize) -> QueryBuilder<Sqlite> {
    // The order is that of the rows; to ask for it again would have SQLite sort them.
    let mut sql = QueryBuilder::new("SELECT k.create_time_us, k.id FROM ");
    push_rows(&mut sql, query, true, rows);
    sql.push(" WHERE ");
    push_conditions(&mut sql, query);
    sql.push(" LIMIT ").push_bind(count(limit)).push(" OFFSET ").push_bind(count(query.skip));
    sql
}

pub(super) fn place_sql(query: &KeyQuery, rows: usize) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("SELECT k.create_time_us, k.id FROM ");
    push_rows(&mut sql, query, true, Some(rows));
    sql.push(" LIMIT 1 OFFSET ").push_bind(count(rows.saturating_sub(1)));
    sql
}

/// The keys of the keyspace, or of the subject, as `k`: in the order of the list, from an index that has what conditions
/// mostly ask for.
fn push_rows(sql: &mut QueryBuilder<Sqlite>, query: &KeyQuery, is_from_cursor: bool, rows: Option<usize>) {
    sql.push("(SELECT k.create_time_us, k.id, k.enabled, k.expire_time_us, k.revoke_time_us");
    for (is_needed, column) in [
        (query.name_contains.is_some(), ", k.name_folded"),
        (query.created_by.is_some(), ", k.created_by"),
        (query.unused_since.is_some(), ", k.last_use_time_us"),
    ] {
        sql.push(if is_needed { column } else { "" });
    }
    sql.push(" FROM api_key k WHERE k.keyspace = ").push_bind(&query.keyspace);
    if let Some(subject) = &query.subject {
        sql.push(" AND k.subject = ").push_bind(subject);
    }
    if is_from_cursor {
        push_after(sql, query);
    }
    // With a limit, if only in form, it stays a query of its own, and goes first.
    sql.push(" ORDER BY k.create_time_us DESC, k.id DESC LIMIT ").push_bind(rows.map_or(-1, count)).push(") k");
}

fn push_after(sql: &mut QueryBuilder<Sqlite>, query: &KeyQuery) {
    if let Some((at, id)) = &query.after {
        sql.push(" AND (k.create_time_us, k.id) < (").push_bind(at.as_micros());
        sql.push(", ").push_bind(id.as_str()).push(")");
    }
}

/// What a key of the keyspace and the subject must be to match.
fn push_conditions(sql: &mut QueryBuilder<Sqlite>, query: &KeyQuery) {
    sql.push("true");
    if let Some(text) = &query.name_contains {
        sql.push(" AND instr(k.name_folded, ").push_bind(text).push(") > 0");
    }
    if let Some(now) = query.active_at {
        sql.push(" AND k.revoke_time_us IS NULL AND k.enabled AND coalesce(k.expire_time_us > ");
        sql.push_bind(now.as_micros()).push(", true)");
    }
    for (name, value) in &query.metadata {
        sql.push(" AND EXISTS (SELECT 1 FROM api_key_metadata m WHERE m.name = ").push_bind(name);
        sql.push(" AND m.value = ").push_bind(value).push(" AND m.key_id = k.id)");
    }
    if let Some(created_by) = &query.created_by {
        sql.push(" AND k.created_by = ").push_bind(created_by);
    }
    if let Some(since) = query.unused_since {
        // A key made since then had no time to be unused for that long.
        sql.push(" AND k.create_time_us < ").push_bind(since.as_micros());
        sql.push(" AND coalesce(k.last_use_time_us < ").push_bind(since.as_micros()).push(", true)");
    }
}
