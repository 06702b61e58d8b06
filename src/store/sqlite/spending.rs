//! SQL of what limited keys have spent.

use sqlx::SqliteConnection;

use crate::clock::Timestamp;
use crate::key::credits::Credits;
use crate::key::record::ApiKey;
use crate::store::StoreError;
use crate::store::error::Stop;
use crate::store::row::time;
use crate::store::spending::{CreditsAsked, CreditsGranted, CreditsReturned, RateLevel, RateSpent, SHARE_MAX, signed};

/// Brings the credits of a key from `before` to what they are in `key`. What processes spend meanwhile stays spent.
pub async fn set_credits(
    conn: &mut SqliteConnection,
    before: Option<&Credits>,
    key: &ApiKey,
) -> Result<(), StoreError> {
    let id = key.id.as_str();
    let change = match (before, &key.credits) {
        (None, None) => return Ok(()),
        (Some(_), None) => sqlx::query("DELETE FROM key_credits WHERE key_id = $1").bind(id),
        (Some(before), Some(credits)) if before.epoch == credits.epoch => {
            if before.refill_time == credits.refill_time {
                return Ok(());
            }
            let set = sqlx::query("UPDATE key_credits SET refill_time_us = $2 WHERE key_id = $1");
            set.bind(id).bind(time(credits.refill_time))
        }
        (_, Some(credits)) => sqlx::query(
            "INSERT INTO key_credits (key_id, refill_time_us, epoch, remaining) VALUES ($1, $2, $3, $4)
             ON CONFLICT (key_id) DO UPDATE SET refill_time_us = $2, epoch = $3, remaining = $4",
        )
        .bind(id)
        .bind(time(credits.refill_time))
        .bind(credits.epoch)
        .bind(credits.remaining),
    };
    change.execute(conn).await?;
    Ok(())
}

/// See [`crate::store::Store::take_credits`].
pub async fn take(
    conn: &mut SqliteConnection,
    asked: &[CreditsAsked],
    now: Timestamp,
) -> Result<Vec<CreditsGranted>, Stop> {
    let mut granted = Vec::with_capacity(asked.len());
    for asked in asked {
        let found =
            sqlx::query_as("SELECT remaining, refill_time_us FROM key_credits WHERE key_id = $1 AND epoch = $2");
        let found: Option<(i64, Option<i64>)> =
            found.bind(asked.key_id.as_str()).bind(asked.epoch).fetch_optional(&mut *conn).await?;
        let Some((mut there, mut refill_time)) = found else { continue };
        if let Some(refill) = asked.refill
            && refill_time.is_some_and(|at| at <= now.as_micros())
        {
            there = there.max(refill.amount);
            refill_time = Some(refill.interval.next(now).as_micros());
        }
        let grant = asked.want.min(there / SHARE_MAX).max(asked.need).min(there);
        let left = there - grant;
        sqlx::query("UPDATE key_credits SET remaining = $2, refill_time_us = $3 WHERE key_id = $1")
            .bind(asked.key_id.as_str())
            .bind(left)
            .bind(refill_time)
            .execute(&mut *conn)
            .await?;
        granted.push(CreditsGranted {
            key_id: asked.key_id.clone(),
            granted: grant,
            remaining: left,
            refill_time: refill_time.map(Timestamp::from_micros),
        });
    }
    Ok(granted)
}

/// See [`crate::store::Store::return_credits`].
pub async fn give_back(conn: &mut SqliteConnection, returned: &[CreditsReturned]) -> Result<(), Stop> {
    for returned in returned {
        // No row: what they were taken from is not there any more.
        sqlx::query("UPDATE key_credits SET remaining = remaining + $3 WHERE key_id = $1 AND epoch = $2")
            .bind(returned.key_id.as_str())
            .bind(returned.epoch)
            .bind(returned.amount)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// See [`crate::store::Store::settle_rates`].
pub async fn settle(conn: &mut SqliteConnection, spent: &[RateSpent], now: Timestamp) -> Result<Vec<RateLevel>, Stop> {
    let mut told = Vec::with_capacity(spent.len());
    for spent in spent {
        let settled = sqlx::query_as(
            "INSERT INTO key_rate AS r (key_id, name, level, at_us, spent, asked)
             SELECT id, $2, $3, $4, $3, $5 FROM api_key WHERE id = $1
             ON CONFLICT (key_id, name) DO UPDATE SET
                 level = max(0.0, r.level - max(0, min($4 - r.at_us, $6)) * $7) + $3,
                 at_us = $4, spent = r.spent + $3, asked = r.asked + $5
             RETURNING level, spent, asked",
        );
        let settled: Option<(f64, i64, i64)> = settled
            .bind(spent.key_id.as_str())
            .bind(&spent.limit.name)
            .bind(signed(spent.spent))
            .bind(now.as_micros())
            .bind(signed(spent.asked))
            .bind(spent.idle_max_micros())
            .bind(spent.rate())
            .fetch_optional(&mut *conn)
            .await?;
        if let Some((level, spent_ever, asked_ever)) = settled {
            told.push(RateLevel {
                key_id: spent.key_id.clone(),
                name: spent.limit.name.clone(),
                level,
                at: now,
                now: None,
                spent: spent_ever,
                asked: asked_ever,
            });
        }
    }
    Ok(told)
}
