//! SQL of usage. Whoever adds to a key's usage, or folds it, locks the key first, and keys in the order of their ids; then
//! the same with keyspaces. So nobody waits for somebody who waits for him, and no key is deleted in between.

use std::ops::Bound;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::term;
use crate::clock::Timestamp;
use crate::key::id::KeyId;
use crate::key::keyspace::SYSTEM;
use crate::key::permission::Reach;
use crate::key::usage::Hour;
use crate::store::StoreError;
use crate::store::error::Stop;
use crate::store::pages::{self, SumRow, Tally, Wanted};
use crate::store::row::count;
use crate::store::usage::{
    BATCHES_PRUNED_MAX, CountRow, FOLDED_MAX, Retention, Span, UsageBatch, UsageOf, UsagePage, UsageQuery, WRITER_KEPT,
};

/// See [`crate::store::Store::record_usage`]. Whether the batch was not added before.
pub async fn record(conn: &mut PgConnection, batch: &UsageBatch) -> Result<bool, Stop> {
    let is_new = note(conn, batch).await?;
    if is_new {
        add_to_keys(conn, batch).await?;
        // Last: all who serve a keyspace add to the same few rows.
        add_to_keyspaces(conn, batch).await?;
    }
    Ok(is_new)
}

/// Notes that the batch is added, and clears some of processes that are gone away. Whether it was not added before.
async fn note(conn: &mut PgConnection, batch: &UsageBatch) -> Result<bool, StoreError> {
    let noted = sqlx::query(
        "WITH pruned AS (
             DELETE FROM usage_batch WHERE writer IN
                 (SELECT writer FROM usage_batch WHERE create_time_us < $4 AND writer <> $1 LIMIT $5
                  FOR UPDATE SKIP LOCKED))
         INSERT INTO usage_batch (writer, seq, create_time_us) VALUES ($1, $2, $3)
         ON CONFLICT (writer) DO UPDATE SET seq = excluded.seq, create_time_us = excluded.create_time_us
         WHERE usage_batch.seq < excluded.seq",
    )
    .bind(&batch.writer)
    .bind(batch.seq)
    .bind(batch.at.as_micros())
    .bind(batch.at.saturating_sub(WRITER_KEPT).as_micros())
    .bind(BATCHES_PRUNED_MAX)
    .execute(conn)
    .await?;
    Ok(noted.rows_affected() == 1)
}

async fn add_to_keys(conn: &mut PgConnection, batch: &UsageBatch) -> Result<(), StoreError> {
    let (ids, times): (Vec<_>, Vec<_>) = batch.last_uses().into_iter().unzip();
    let counts = Columns::of(batch.key_counts());
    sqlx::query(
        "WITH used AS MATERIALIZED (SELECT id FROM api_key WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE),
         noted AS (
             UPDATE api_key k SET last_use_time_us = u.at
             FROM used JOIN unnest($1::text[], $2::bigint[]) AS u (id, at) ON u.id = used.id
             WHERE k.id = used.id AND coalesce(k.last_use_time_us < u.at, u.at IS NOT NULL))
         INSERT INTO key_usage (key_id, hour, counted, count)
         SELECT used.id, c.hour, c.counted, c.count
         FROM unnest($3::text[], $4::integer[], $5::smallint[], $6::bigint[]) AS c (id, hour, counted, count)
         JOIN used ON used.id = c.id ORDER BY 1, 2, 3
         ON CONFLICT (key_id, hour, counted) DO UPDATE SET count = key_usage.count + excluded.count",
    )
    .bind(ids)
    .bind(times)
    .bind(counts.names)
    .bind(counts.hours)
    .bind(counts.counted)
    .bind(counts.counts)
    .execute(conn)
    .await?;
    Ok(())
}

async fn add_to_keyspaces(conn: &mut PgConnection, batch: &UsageBatch) -> Result<(), StoreError> {
    let counts = Columns::of(batch.keyspace_counts());
    sqlx::query(
        "WITH used AS MATERIALIZED (SELECT id, uid FROM keyspace WHERE uid = ANY ($1) ORDER BY id FOR NO KEY UPDATE)
         INSERT INTO keyspace_usage (keyspace, hour, counted, count)
         SELECT used.id, c.hour, c.counted, c.count
         FROM unnest($1::bigint[], $2::integer[], $3::smallint[], $4::bigint[]) AS c (uid, hour, counted, count)
         JOIN used ON used.uid = c.uid ORDER BY 1, 2, 3
         ON CONFLICT (keyspace, hour, counted) DO UPDATE SET count = keyspace_usage.count + excluded.count",
    )
    .bind(counts.names)
    .bind(counts.hours)
    .bind(counts.counted)
    .bind(counts.counts)
    .execute(conn)
    .await?;
    Ok(())
}

/// Rows by their columns.
struct Columns<N> {
    names: Vec<N>,
    hours: Vec<i32>,
    counted: Vec<i16>,
    counts: Vec<i64>,
}

impl<N> Columns<N> {
    fn of(rows: Vec<CountRow<N>>) -> Self {
        let mut columns = Self { names: Vec::new(), hours: Vec::new(), counted: Vec::new(), counts: Vec::new() };
        for (name, hour, counted, count) in rows {
            columns.names.push(name);
            columns.hours.push(hour_column(Hour(hour)));
            columns.counted.push(counted);
            columns.counts.push(count);
        }
        columns
    }
}

/// An hour as a column: those beyond are some 245,000 years away.
fn hour_column(hour: Hour) -> i32 {
    i32::try_from(hour.0).unwrap_or(if hour.0 < 0 { i32::MIN } else { i32::MAX })
}

/// See [`crate::store::Store::query_usage`].
pub async fn query(view: &mut PgConnection, query: &UsageQuery) -> Result<UsagePage, StoreError> {
    pages::page(&mut Reader(view), query).await
}

struct Reader<'v>(&'v mut PgConnection);

#[async_trait]
impl Tally for Reader<'_> {
    async fn groups(&mut self, of: &UsageOf, start: Bound<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        let (mut sql, name) = match of {
            UsageOf::Keyspaces(within) => (keyspaces(within), "id"),
            UsageOf::Keys { keyspace, subject } => (keys("SELECT id", keyspace, subject.as_deref()), "id"),
            UsageOf::Subjects { keyspace, subject } => {
                (keys("SELECT DISTINCT subject", keyspace, subject.as_deref()), "subject")
            }
            UsageOf::Key(_) => return Err(StoreError::fault("one key is one group")),
        };
        match start {
            Bound::Included(start) => _ = sql.push(" AND ").push(name).push(" >= ").push_bind(term(start)),
            Bound::Excluded(start) => _ = sql.push(" AND ").push(name).push(" > ").push_bind(term(start)),
            Bound::Unbounded => (),
        }
        sql.push(" ORDER BY ").push(name).push(" LIMIT ").push_bind(count(limit));
        Ok(sql.build_query_scalar().fetch_all(&mut *self.0).await?)
    }

    async fn sums(
        &mut self,
        wanted: &Wanted<'_>,
        limit: usize,
        add: &mut (dyn FnMut(SumRow) + Send),
    ) -> Result<usize, StoreError> {
        let groups: Vec<_> = wanted.groups.iter().filter_map(|group| term(group)).collect();
        let mut sql = QueryBuilder::new(match wanted.of {
            UsageOf::Keyspaces(_) => "SELECT u.keyspace",
            UsageOf::Keys { .. } | UsageOf::Key(_) => "SELECT u.key_id",
            UsageOf::Subjects { .. } => "SELECT k.subject",
        });
        sql.push(" AS name, ");
        match wanted.span {
            Span::Hour => sql.push("u.hour::bigint"),
            Span::Day => sql.push("(u.hour - (u.hour % 24 + 24) % 24)::bigint"),
            Span::Total => sql.push_bind(wanted.from.0).push("::bigint"),
        };
        sql.push(" AS hour, u.counted, sum(u.count)::bigint AS count FROM ");
        match wanted.of {
            UsageOf::Keyspaces(_) => sql.push("keyspace_usage u WHERE u.keyspace = ANY ("),
            UsageOf::Keys { .. } | UsageOf::Key(_) => sql.push("key_usage u WHERE u.key_id = ANY ("),
            UsageOf::Subjects { keyspace, .. } => sql
                .push("api_key k JOIN key_usage u ON u.key_id = k.id WHERE k.keyspace = ")
                .push_bind(term(keyspace))
                .push(" AND k.subject = ANY ("),
        };
        sql.push_bind(groups).push(") AND u.hour >= ").push_bind(hour_column(wanted.from));
        sql.push(" AND u.hour < ").push_bind(hour_column(wanted.until));
        sql.push(" GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT ").push_bind(count(limit));
        let mut rows = sql.build_query_as().fetch(&mut *self.0);
        let mut count = 0;
        while let Some(row) = rows.try_next().await? {
            add(row);
            count += 1;
        }
        Ok(count)
    }
}

fn keyspaces(within: &Reach) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new("SELECT id FROM keyspace WHERE ");
    match within {
        Reach::Everywhere => sql.push("true"),
        Reach::AllButSystem => sql.push("id <> ").push_bind(SYSTEM),
        Reach::Only(these) => sql.push("id = ANY (").push_bind(these.clone()).push(")"),
    };
    sql
}

fn keys(select: &str, keyspace: &str, subject: Option<&str>) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new(select);
    sql.push(" FROM api_key WHERE keyspace = ").push_bind(term(keyspace).map(str::to_owned));
    if let Some(subject) = subject {
        sql.push(" AND subject = ").push_bind(term(subject).map(str::to_owned));
    }
    sql
}

/// See [`crate::store::Store::fold_usage`].
pub async fn fold(
    conn: &mut PgConnection,
    after: Option<&KeyId>,
    kept: Retention,
    now: Timestamp,
) -> Result<Option<KeyId>, Stop> {
    let (fold_before, forget_before) =
        (hour_column(Hour(kept.fold_before(now))), hour_column(Hour(kept.forget_before(now))));
    let next = sqlx::query_scalar("SELECT id FROM api_key WHERE id > $1 ORDER BY id LIMIT $2");
    let ids: Vec<String> =
        next.bind(term(after.map_or("", KeyId::as_str))).bind(count(FOLDED_MAX)).fetch_all(&mut *conn).await?;
    fold_keys(conn, &ids, fold_before, forget_before).await?;
    let next = if ids.len() == FOLDED_MAX { ids.into_iter().next_back() } else { None };
    if next.is_none() {
        fold_keyspaces(conn, fold_before, forget_before).await?;
    }
    Ok(next.map(KeyId::from_text))
}

/// Folds the rows of `$table` that are due, of those that `$of` names: `$1`, before `$2`, forgotten before `$3`. `%` of a
/// negative number is negative: that it is not 0 says the same of both.
macro_rules! folding {
    ($table:literal, $of:literal) => {
        concat!(
            "WITH old AS (DELETE FROM ",
            $table,
            " WHERE ",
            $of,
            " = ANY ($1) AND hour < $2 AND (hour < $3 OR hour % 24 <> 0) RETURNING ",
            $of,
            ", hour, counted, count) INSERT INTO ",
            $table,
            " (",
            $of,
            ", hour, counted, count) SELECT ",
            $of,
            ", hour - (hour % 24 + 24) % 24, counted, sum(count) FROM old WHERE hour >= $3
             GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 ON CONFLICT (",
            $of,
            ", hour, counted) DO UPDATE SET count = ",
            $table,
            ".count + excluded.count"
        )
    };
}

async fn fold_keys(
    conn: &mut PgConnection,
    ids: &[String],
    fold_before: i32,
    forget_before: i32,
) -> Result<(), StoreError> {
    // A statement of its own: the next one sees what those did who had to be waited for. Few have anything to fold, and
    // to lock a key is a write.
    let due: Vec<String> = sqlx::query_scalar(
        "SELECT id FROM api_key k
         WHERE id = ANY ($1) AND EXISTS (
             SELECT FROM key_usage u WHERE u.key_id = k.id AND u.hour < $2 AND (u.hour < $3 OR u.hour % 24 <> 0))
         ORDER BY id FOR NO KEY UPDATE OF k",
    )
    .bind(ids)
    .bind(fold_before)
    .bind(forget_before)
    .fetch_all(&mut *conn)
    .await?;
    fold_due(conn, folding!("key_usage", "key_id"), due, fold_before, forget_before).await
}

async fn fold_keyspaces(conn: &mut PgConnection, fold_before: i32, forget_before: i32) -> Result<(), StoreError> {
    // Those that somebody is adding to are left for the next time: nobody shall wait for this.
    let due: Vec<String> = sqlx::query_scalar(
        "SELECT id FROM keyspace k
         WHERE EXISTS (
             SELECT FROM keyspace_usage u WHERE u.keyspace = k.id AND u.hour < $1 AND (u.hour < $2 OR u.hour % 24 <> 0))
         ORDER BY id LIMIT $3 FOR NO KEY UPDATE OF k SKIP LOCKED",
    )
    .bind(fold_before)
    .bind(forget_before)
    .bind(count(FOLDED_MAX))
    .fetch_all(&mut *conn)
    .await?;
    fold_due(conn, folding!("keyspace_usage", "keyspace"), due, fold_before, forget_before).await
}

async fn fold_due(
    conn: &mut PgConnection,
    folding: &'static str,
    due: Vec<String>,
    fold_before: i32,
    forget_before: i32,
) -> Result<(), StoreError> {
    if !due.is_empty() {
        sqlx::query(folding).bind(due).bind(fold_before).bind(forget_before).execute(conn).await?;
    }
    Ok(())
}
