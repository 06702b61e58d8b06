//! SQL of usage. What is to be added goes to SQLite as one JSON text: a statement costs far more than a row.

use std::ops::Bound;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::clock::Timestamp;
use crate::key::id::KeyId;
use crate::key::keyspace::SYSTEM;
use crate::key::permission::Reach;
use crate::store::StoreError;
use crate::store::error::Stop;
use crate::store::pages::{self, SumRow, Tally, Wanted};
use crate::store::row::{count, to_json};
use crate::store::usage::{
    BATCHES_PRUNED_MAX, FOLDED_MAX, Retention, Span, UsageBatch, UsageOf, UsagePage, UsageQuery, WRITER_KEPT,
};

/// See [`crate::store::Store::record_usage`].
pub async fn record(conn: &mut SqliteConnection, batch: &UsageBatch) -> Result<(), Stop> {
    if !note(conn, batch).await? {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO key_usage (key_id, hour, counted, count)
         SELECT k.id, u.value ->> 1, u.value ->> 2, u.value ->> 3
         FROM json_each($1) u CROSS JOIN api_key k ON k.id = u.value ->> 0 WHERE true
         ON CONFLICT (key_id, hour, counted) DO UPDATE SET count = key_usage.count + excluded.count",
    )
    .bind(to_json(&batch.key_counts())?)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "UPDATE api_key SET last_use_time_us = u.value ->> 1 FROM json_each($1) u
         WHERE api_key.id = u.value ->> 0 AND coalesce(last_use_time_us < u.value ->> 1, u.value ->> 1 IS NOT NULL)",
    )
    .bind(to_json(&batch.last_uses())?)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "INSERT INTO keyspace_usage (keyspace, hour, counted, count)
         SELECT k.id, u.value ->> 1, u.value ->> 2, u.value ->> 3
         FROM json_each($1) u CROSS JOIN keyspace k ON k.uid = u.value ->> 0 WHERE true
         ON CONFLICT (keyspace, hour, counted) DO UPDATE SET count = keyspace_usage.count + excluded.count",
    )
    .bind(to_json(&batch.keyspace_counts())?)
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that the batch is added, and clears some of processes that are gone away. Whether it was not added before.
async fn note(conn: &mut SqliteConnection, batch: &UsageBatch) -> Result<bool, StoreError> {
    let noted = sqlx::query(
        "INSERT INTO usage_batch (writer, seq, create_time_us) VALUES ($1, $2, $3)
         ON CONFLICT (writer) DO UPDATE SET seq = excluded.seq, create_time_us = excluded.create_time_us
         WHERE usage_batch.seq < excluded.seq",
    );
    let noted = noted.bind(&batch.writer).bind(batch.seq).bind(batch.at.as_micros()).execute(&mut *conn).await?;
    if noted.rows_affected() == 0 {
        return Ok(false);
    }
    let prune = sqlx::query(
        "DELETE FROM usage_batch WHERE writer IN
             (SELECT writer FROM usage_batch WHERE create_time_us < $1 AND writer <> $2 LIMIT $3)",
    );
    let gone = batch.at.saturating_sub(WRITER_KEPT).as_micros();
    prune.bind(gone).bind(&batch.writer).bind(BATCHES_PRUNED_MAX).execute(conn).await?;
    Ok(true)
}

/// See [`crate::store::Store::query_usage`].
pub async fn query(view: &mut SqliteConnection, query: &UsageQuery) -> Result<UsagePage, StoreError> {
    pages::page(&mut Reader(view), query).await
}

struct Reader<'v>(&'v mut SqliteConnection);

#[async_trait]
impl Tally for Reader<'_> {
    async fn groups(&mut self, of: &UsageOf, start: Bound<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        Ok(groups_sql(of, start, limit)?.build_query_scalar().fetch_all(&mut *self.0).await?)
    }

    async fn sums(
        &mut self,
        wanted: &Wanted<'_>,
        limit: usize,
        add: &mut (dyn FnMut(SumRow) + Send),
    ) -> Result<usize, StoreError> {
        let mut sql = sums_sql(wanted, limit)?;
        let mut rows = sql.build_query_as().fetch(&mut *self.0);
        let mut count = 0;
        while let Some(row) = rows.try_next().await? {
            add(row);
            count += 1;
        }
        Ok(count)
    }
}

pub(super) fn groups_sql(of: &UsageOf, start: Bound<&str>, limit: usize) -> Result<QueryBuilder<Sqlite>, StoreError> {
    let (mut sql, name) = match of {
        UsageOf::Keyspaces(within) => (keyspaces(within)?, "id"),
        UsageOf::Keys { keyspace, subject } => {
            // The `+` keeps SQLite from going through the whole keyspace when a subject has but a few of the keys.
            let id = if subject.is_some() { "+id" } else { "id" };
            (keys("SELECT id", keyspace, subject.as_ref()), id)
        }
        UsageOf::Subjects { keyspace, subject } => {
            (keys("SELECT DISTINCT subject", keyspace, subject.as_ref()), "subject")
        }
        UsageOf::Key(_) => return Err(StoreError::fault("one key is one group")),
    };
    match start {
        Bound::Included(start) => _ = sql.push(" AND ").push(name).push(" >= ").push_bind(start),
        Bound::Excluded(start) => _ = sql.push(" AND ").push(name).push(" > ").push_bind(start),
        Bound::Unbounded => (),
    }
    sql.push(" ORDER BY ").push(name).push(" LIMIT ").push_bind(count(limit));
    Ok(sql)
}

pub(super) fn sums_sql(wanted: &Wanted<'_>, limit: usize) -> Result<QueryBuilder<Sqlite>, StoreError> {
    let mut sql = QueryBuilder::new(match wanted.of {
        UsageOf::Keyspaces(_) => "SELECT u.keyspace",
        UsageOf::Keys { .. } | UsageOf::Key(_) => "SELECT u.key_id",
        UsageOf::Subjects { .. } => "SELECT k.subject",
    });
    sql.push(" AS name, ");
    match wanted.span {
        Span::Hour => sql.push("u.hour"),
        Span::Day => sql.push("u.hour - (u.hour % 24 + 24) % 24"),
        Span::Total => sql.push_bind(wanted.from.0),
    };
    sql.push(" AS hour, u.counted, sum(u.count) AS count FROM json_each(").push_bind(to_json(&wanted.groups)?);
    // The order of the tables is the order in which to go through them.
    match wanted.of {
        UsageOf::Keyspaces(_) => sql.push(") g CROSS JOIN keyspace_usage u ON u.keyspace = g.value"),
        UsageOf::Keys { .. } | UsageOf::Key(_) => sql.push(") g CROSS JOIN key_usage u ON u.key_id = g.value"),
        UsageOf::Subjects { keyspace, .. } => sql
            .push(") g CROSS JOIN api_key k ON k.subject = g.value AND k.keyspace = ")
            .push_bind(keyspace)
            .push(" CROSS JOIN key_usage u ON u.key_id = k.id"),
    };
    sql.push(" WHERE u.hour >= ").push_bind(wanted.from.0).push(" AND u.hour < ").push_bind(wanted.until.0);
    sql.push(" GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT ").push_bind(count(limit));
    Ok(sql)
}

fn keyspaces(within: &Reach) -> Result<QueryBuilder<Sqlite>, StoreError> {
    let mut sql = QueryBuilder::new("SELECT id FROM keyspace WHERE ");
    match within {
        Reach::Everywhere => sql.push("true"),
        Reach::AllButSystem => sql.push("id <> ").push_bind(SYSTEM),
        Reach::Only(these) => sql.push("id IN (SELECT value FROM json_each(").push_bind(to_json(these)?).push("))"),
    };
    Ok(sql)
}

fn keys(select: &str, keyspace: &str, subject: Option<&String>) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(select);
    sql.push(" FROM api_key WHERE keyspace = ").push_bind(keyspace.to_owned());
    if let Some(subject) = subject {
        sql.push(" AND subject = ").push_bind(subject.clone());
    }
    sql
}

/// See [`crate::store::Store::fold_usage`].
pub async fn fold(
    conn: &mut SqliteConnection,
    after: Option<&KeyId>,
    kept: Retention,
    now: Timestamp,
) -> Result<Option<KeyId>, Stop> {
    let (fold_before, forget_before) = (kept.fold_before(now), kept.forget_before(now));
    let next = sqlx::query_scalar("SELECT id FROM api_key WHERE id > $1 ORDER BY id LIMIT $2");
    let ids: Vec<String> =
        next.bind(after.map_or("", KeyId::as_str)).bind(count(FOLDED_MAX)).fetch_all(&mut *conn).await?;
    let json = to_json(&ids)?;
    // `%` of a negative number is negative: that it is not 0 says the same of both.
    sqlx::query(
        "INSERT INTO key_usage (key_id, hour, counted, count)
         SELECT u.key_id, u.hour - (u.hour % 24 + 24) % 24, u.counted, sum(u.count)
         FROM json_each($1) g CROSS JOIN key_usage u ON u.key_id = g.value
         WHERE u.hour >= $2 AND u.hour < $3 AND u.hour % 24 <> 0 GROUP BY 1, 2, 3
         ON CONFLICT (key_id, hour, counted) DO UPDATE SET count = key_usage.count + excluded.count",
    )
    .bind(&json)
    .bind(forget_before)
    .bind(fold_before)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "DELETE FROM key_usage WHERE key_id IN (SELECT value FROM json_each($1)) AND hour < $3
             AND (hour < $2 OR hour % 24 <> 0)",
    )
    .bind(&json)
    .bind(forget_before)
    .bind(fold_before)
    .execute(&mut *conn)
    .await?;
    if ids.len() == FOLDED_MAX {
        return Ok(ids.into_iter().next_back().map(KeyId::from_text));
    }
    fold_keyspaces(conn, fold_before, forget_before).await?;
    Ok(None)
}

async fn fold_keyspaces(conn: &mut SqliteConnection, fold_before: i64, forget_before: i64) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO keyspace_usage (keyspace, hour, counted, count)
         SELECT u.keyspace, u.hour - (u.hour % 24 + 24) % 24, u.counted, sum(u.count)
         FROM keyspace k CROSS JOIN keyspace_usage u ON u.keyspace = k.id
         WHERE u.hour >= $1 AND u.hour < $2 AND u.hour % 24 <> 0 GROUP BY 1, 2, 3
         ON CONFLICT (keyspace, hour, counted) DO UPDATE SET count = keyspace_usage.count + excluded.count",
    )
    .bind(forget_before)
    .bind(fold_before)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "DELETE FROM keyspace_usage WHERE keyspace IN (SELECT id FROM keyspace) AND hour < $2
             AND (hour < $1 OR hour % 24 <> 0)",
    )
    .bind(forget_before)
    .bind(fold_before)
    .execute(conn)
    .await?;
    Ok(())
}
