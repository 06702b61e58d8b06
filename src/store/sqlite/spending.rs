//! SQL of what limited keys have spent.

use std::collections::HashMap;

use sqlx::SqliteConnection;

use crate::clock::Timestamp;
use crate::key::credits::Credits;
use crate::key::record::ApiKey;
use crate::store::StoreError;
use crate::store::error::Stop;
use crate::store::row::{time, to_json};
use crate::store::spending::{CreditsAsked, CreditsGranted, CreditsReturned, RateLevel, RateSpent, SHARE_MAX, signed};

/// Brings the credits of a key from `before` to what they are in `key`.
pub async fn set_credits(
    conn: &mut SqliteConnection,
    before: Option<&Credits>,
    key: &ApiKey,
) -> Result<(), StoreError> {
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
    change.execute(conn).await?;
    Ok(())
}

/// See [`crate::store::Store::take_credits`]. One statement for all keys, here and below: each costs more than what it does
/// for one.
pub async fn take(
    conn: &mut SqliteConnection,
    asked: &[CreditsAsked],
    now: Timestamp,
) -> Result<Vec<CreditsGranted>, Stop> {
    let places: Vec<_> = asked.iter().map(|asked| (asked.key_id.as_str(), asked.epoch)).collect();
    let found = sqlx::query_as(
        "SELECT c.key_id, c.remaining, c.refill_time_us FROM json_each($1) a CROSS JOIN key_credits c
         WHERE c.key_id = a.value ->> 0 AND c.epoch = a.value ->> 1",
    );
    let found: Vec<(String, i64, Option<i64>)> = found.bind(to_json(&places)?).fetch_all(&mut *conn).await?;
    let asked: HashMap<_, _> = asked.iter().map(|asked| (asked.key_id.as_str(), asked)).collect();
    let mut granted = Vec::with_capacity(found.len());
    for (key_id, remaining, refill_time) in found {
        let Some(asked) = asked.get(key_id.as_str()) else { continue };
        let refill_time = refill_time.map(Timestamp::from_micros);
        let credits = Credits { remaining, refill: asked.refill, refill_time, epoch: asked.epoch }.at(now);
        let there = credits.remaining;
        let grant = asked.want.min(there / SHARE_MAX).max(asked.need).min(there);
        granted.push(CreditsGranted {
            key_id: asked.key_id.clone(),
            granted: grant,
            remaining: there - grant,
            refill_time: credits.refill_time,
        });
    }
    let left = granted.iter().map(|granted| (granted.key_id.as_str(), granted.remaining, time(granted.refill_time)));
    sqlx::query(
        "UPDATE key_credits SET remaining = a.value ->> 1, refill_time_us = a.value ->> 2
         FROM json_each($1) a WHERE key_credits.key_id = a.value ->> 0",
    )
    .bind(to_json(&left.collect::<Vec<_>>())?)
    .execute(conn)
    .await?;
    Ok(granted)
}

/// See [`crate::store::Store::return_credits`].
pub async fn give_back(conn: &mut SqliteConnection, returned: &[CreditsReturned]) -> Result<(), Stop> {
    let mut sums: HashMap<_, i64> = HashMap::new();
    for returned in returned {
        let sum = sums.entry((returned.key_id.as_str(), returned.epoch)).or_default();
        *sum = sum.saturating_add(returned.amount);
    }
    let sums: Vec<_> = sums.into_iter().map(|((key_id, epoch), sum)| (key_id, epoch, sum)).collect();
    // No row: what they were taken from is not there any more.
    sqlx::query(
        "UPDATE key_credits SET remaining = remaining + (a.value ->> 2)
         FROM json_each($1) a WHERE key_credits.key_id = a.value ->> 0 AND key_credits.epoch = a.value ->> 1",
    )
    .bind(to_json(&sums)?)
    .execute(conn)
    .await?;
    Ok(())
}

/// See [`crate::store::Store::settle_rates`].
pub async fn settle(conn: &mut SqliteConnection, spent: &[RateSpent], now: Timestamp) -> Result<Vec<RateLevel>, Stop> {
    let places: Vec<_> = spent.iter().map(|spent| (spent.key_id.as_str(), &spent.limit.name)).collect();
    let found = sqlx::query_as(
        "SELECT k.id, a.value ->> 1, r.level, r.at_us, r.spent, r.asked
         FROM json_each($1) a CROSS JOIN api_key k ON k.id = a.value ->> 0
         LEFT JOIN key_rate r ON r.key_id = k.id AND r.name = a.value ->> 1",
    );
    let found: Vec<FoundRate> = found.bind(to_json(&places)?).fetch_all(&mut *conn).await?;
    let spent: HashMap<_, _> =
        spent.iter().map(|spent| ((spent.key_id.as_str(), spent.limit.name.as_str()), spent)).collect();
    let mut told = Vec::with_capacity(found.len());
    for (key_id, name, level, at_us, spent_ever, asked_ever) in found {
        let Some(spent) = spent.get(&(key_id.as_str(), name.as_str())) else { continue };
        let idle = at_us.map_or(0, |at| now.as_micros().saturating_sub(at)).clamp(0, spent.idle_max_micros());
        told.push(RateLevel {
            key_id: spent.key_id.clone(),
            name: spent.limit.name.clone(),
            level: spent.level(level.unwrap_or(0.0), idle),
            at: now,
            now: None,
            spent: spent_ever.unwrap_or(0).saturating_add(signed(spent.spent)),
            asked: asked_ever.unwrap_or(0).saturating_add(signed(spent.asked)),
        });
    }
    let rows = told.iter().map(|told| (told.key_id.as_str(), &told.name, told.level, told.spent, told.asked));
    sqlx::query(
        "INSERT INTO key_rate (key_id, name, level, at_us, spent, asked)
         SELECT value ->> 0, value ->> 1, value ->> 2, $2, value ->> 3, value ->> 4 FROM json_each($1) WHERE true
         ON CONFLICT (key_id, name) DO UPDATE SET
             level = excluded.level, at_us = excluded.at_us, spent = excluded.spent, asked = excluded.asked",
    )
    .bind(to_json(&rows.collect::<Vec<_>>())?)
    .bind(now.as_micros())
    .execute(conn)
    .await?;
    Ok(told)
}

/// Key, name, and what there is in `key_rate`: level, since when, spent and asked ever.
type FoundRate = (String, String, Option<f64>, Option<i64>, Option<i64>, Option<i64>);
