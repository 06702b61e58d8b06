//! SQL of what limited keys have spent. Rows are locked in the order of their keys, as everywhere: two processes that
//! each want several must not wait for each other.

use sqlx::PgConnection;

use crate::clock::Timestamp;
use crate::key::credits::Credits;
use crate::key::id::KeyId;
use crate::key::record::ApiKey;
use crate::store::error::Stop;
use crate::store::row::time;
use crate::store::spending::{CreditsAsked, CreditsGranted, CreditsReturned, RateLevel, RateSpent, SHARE_MAX, signed};
use crate::store::{Refusal, StoreError};

/// The credits of a key that is locked, as they are now. They stay so until the transaction ends: what others take out
/// meanwhile waits.
pub async fn lock_credits(conn: &mut PgConnection, key: &mut ApiKey) -> Result<(), StoreError> {
    let Some(credits) = &mut key.credits else { return Ok(()) };
    let locked = sqlx::query_as("SELECT remaining, refill_time_us FROM key_credits WHERE key_id = $1 FOR UPDATE");
    let locked: Option<(i64, Option<i64>)> = locked.bind(key.id.as_str()).fetch_optional(conn).await?;
    if let Some((remaining, refill_time_us)) = locked {
        credits.remaining = remaining;
        credits.refill_time = refill_time_us.map(Timestamp::from_micros);
    }
    Ok(())
}

/// Brings the credits of a key from `before`, as they are locked, to what they are in `key`.
pub async fn set_credits(conn: &mut PgConnection, before: Option<&Credits>, key: &ApiKey) -> Result<(), StoreError> {
    let id = key.id.as_str();
    let change = match (before, &key.credits) {
        (None, None) => return Ok(()),
        (Some(_), None) => sqlx::query("DELETE FROM key_credits WHERE key_id = $1").bind(id),
        (Some(before), Some(credits)) if before == credits => return Ok(()),
        (_, Some(credits)) => sqlx::query(
            "INSERT INTO key_credits (key_id, refill_time_us, epoch, remaining) VALUES ($1, $2, $3, $4)
             ON CONFLICT (key_id) DO UPDATE SET refill_time_us = $2, epoch = $3, remaining = $4",
        )
        .bind(id)
        .bind(time(credits.refill_time))
        .bind(credits.epoch)
        .bind(credits.remaining),
    };
    change.execute(&mut *conn).await?;
    if let (Some(before), Some(credits)) = (before, &key.credits)
        && before.epoch == credits.epoch
    {
        // More is left, and nothing that a row of the key says has changed: its secrets are written as they are, so that the
        // log of changes tells replicas, which may remember that nothing is left.
        let told = sqlx::query("UPDATE api_key_secret SET generation = generation WHERE key_id = $1");
        told.bind(id).execute(conn).await?;
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct GrantedRow {
    key_id: String,
    granted: i64,
    remaining: i64,
    refill_time_us: Option<i64>,
}

/// See [`crate::store::Store::take_credits`]. What is due comes as [`Credits::at`] has it.
pub async fn take(
    conn: &mut PgConnection,
    asked: &[CreditsAsked],
    now: Timestamp,
) -> Result<Vec<CreditsGranted>, Stop> {
    let of = |column: fn(&CreditsAsked) -> i64| asked.iter().map(column).collect::<Vec<_>>();
    let ids: Vec<_> = asked.iter().map(|asked| asked.key_id.as_str()).collect();
    let amounts: Vec<_> = asked.iter().map(|asked| asked.refill.map(|refill| refill.amount)).collect();
    let nexts = asked.iter().map(|asked| asked.refill.map(|refill| refill.interval.next(now).as_micros()));
    let rows: Vec<GrantedRow> = sqlx::query_as(
        "WITH found AS MATERIALIZED (
             SELECT c.key_id, a.want, a.need, c.refill_time_us <= $7 AND a.amount IS NOT NULL AS due, c.remaining,
                 c.refill_time_us, a.amount, a.next_us
             FROM key_credits c
             JOIN unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
                 AS a (key_id, epoch, want, need, amount, next_us)
                 ON a.key_id = c.key_id AND a.epoch = c.epoch
             ORDER BY c.key_id FOR UPDATE OF c),
         due AS (
             SELECT key_id, want, need, CASE WHEN due THEN greatest(remaining, amount) ELSE remaining END AS there,
                 CASE WHEN due THEN next_us ELSE refill_time_us END AS refill_time_us
             FROM found),
         shared AS (
             SELECT key_id, there, refill_time_us,
                 least(there, greatest(need, least(want, there / $8))) AS granted
             FROM due)
         UPDATE key_credits c SET remaining = s.there - s.granted, refill_time_us = s.refill_time_us
         FROM shared s WHERE c.key_id = s.key_id
         RETURNING c.key_id, s.granted, c.remaining, c.refill_time_us",
    )
    .bind(ids)
    .bind(of(|asked| asked.epoch))
    .bind(of(|asked| asked.want))
    .bind(of(|asked| asked.need))
    .bind(amounts)
    .bind(nexts.collect::<Vec<_>>())
    .bind(now.as_micros())
    .bind(SHARE_MAX)
    .fetch_all(conn)
    .await?;
    let granted = rows.into_iter().map(|row| CreditsGranted {
        key_id: KeyId::from_text(row.key_id),
        granted: row.granted,
        remaining: row.remaining,
        refill_time: row.refill_time_us.map(Timestamp::from_micros),
    });
    Ok(granted.collect())
}

/// See [`crate::store::Store::return_credits`].
pub async fn give_back(conn: &mut PgConnection, returned: &[CreditsReturned]) -> Result<(), Stop> {
    let ids: Vec<_> = returned.iter().map(|returned| returned.key_id.as_str()).collect();
    let epochs: Vec<_> = returned.iter().map(|returned| returned.epoch).collect();
    let amounts: Vec<_> = returned.iter().map(|returned| returned.amount).collect();
    sqlx::query(
        "WITH found AS MATERIALIZED (
             SELECT c.key_id, r.amount FROM key_credits c
             JOIN unnest($1::text[], $2::bigint[], $3::bigint[]) AS r (key_id, epoch, amount)
                 ON r.key_id = c.key_id AND r.epoch = c.epoch
             ORDER BY c.key_id FOR UPDATE OF c)
         UPDATE key_credits c SET remaining = c.remaining + f.amount FROM found f WHERE c.key_id = f.key_id",
    )
    .bind(ids)
    .bind(epochs)
    .bind(amounts)
    .execute(conn)
    .await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct LevelRow {
    key_id: String,
    name: String,
    level: f64,
    at_us: i64,
    spent: i64,
    asked: i64,
}

/// Adds what was spent to rows that are all there.
///
/// # Errors
/// [`Refusal::KeyNotFound`]: some are not. [`settle_new`] makes them: in another transaction, for whoever deletes a key
/// locks it before what hangs on it.
pub async fn settle(conn: &mut PgConnection, spent: &[RateSpent]) -> Result<Vec<RateLevel>, Stop> {
    let told = add(conn, spent).await?;
    if told.len() < spent.len() { Err(Refusal::KeyNotFound.into()) } else { Ok(told) }
}

/// Makes the rows that are not there, of keys that are, and adds what was spent.
pub async fn settle_new(conn: &mut PgConnection, spent: &[RateSpent]) -> Result<Vec<RateLevel>, Stop> {
    insert(conn, spent).await?;
    Ok(add(conn, spent).await?)
}

/// Adds to rows that are there.
async fn add(conn: &mut PgConnection, spent: &[RateSpent]) -> Result<Vec<RateLevel>, StoreError> {
    let of = |column: fn(&RateSpent) -> i64| spent.iter().map(column).collect::<Vec<_>>();
    let (ids, names) = places(spent);
    let rows: Vec<LevelRow> = sqlx::query_as(
        "WITH found AS MATERIALIZED (
             SELECT r.key_id, r.name, s.spent, s.asked, s.idle_max, s.rate,
                 (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us
             FROM key_rate r
             JOIN unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::double precision[])
                 AS s (key_id, name, spent, asked, idle_max, rate)
                 ON s.key_id = r.key_id AND s.name = r.name
             ORDER BY r.key_id, r.name FOR UPDATE OF r)
         UPDATE key_rate r SET
             level = greatest(0, r.level - greatest(0, least(f.now_us - r.at_us, f.idle_max))::double precision * f.rate)
                 + f.spent,
             at_us = f.now_us, spent = r.spent + f.spent, asked = r.asked + f.asked
         FROM found f WHERE r.key_id = f.key_id AND r.name = f.name
         RETURNING r.key_id, r.name, r.level, r.at_us, r.spent, r.asked",
    )
    .bind(ids)
    .bind(names)
    .bind(of(|spent| signed(spent.spent)))
    .bind(of(|spent| signed(spent.asked)))
    .bind(of(RateSpent::idle_max_micros))
    .bind(spent.iter().map(RateSpent::rate).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    let told = rows.into_iter().map(|row| RateLevel {
        key_id: KeyId::from_text(row.key_id),
        name: row.name,
        level: row.level,
        at: Timestamp::from_micros(row.at_us),
        now: Some(Timestamp::from_micros(row.at_us)),
        spent: row.spent,
        asked: row.asked,
    });
    Ok(told.collect())
}

/// Makes rows that are not there, of keys that are.
async fn insert(conn: &mut PgConnection, spent: &[RateSpent]) -> Result<(), StoreError> {
    let (ids, names) = places(spent);
    sqlx::query(
        "WITH k AS MATERIALIZED (SELECT id FROM api_key WHERE id = ANY ($1) ORDER BY id FOR KEY SHARE)
         INSERT INTO key_rate (key_id, name, level, at_us, spent, asked)
         SELECT k.id, s.name, 0, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, 0, 0
         FROM unnest($1::text[], $2::text[]) AS s (key_id, name) JOIN k ON k.id = s.key_id
         ORDER BY k.id, s.name ON CONFLICT DO NOTHING",
    )
    .bind(ids)
    .bind(names)
    .execute(conn)
    .await?;
    Ok(())
}

fn places(spent: &[RateSpent]) -> (Vec<&str>, Vec<&str>) {
    spent.iter().map(|spent| (spent.key_id.as_str(), spent.limit.name.as_str())).unzip()
}
