//! SQL of root keys whose tokens carry no MAC.

use sqlx::PgPool;

use crate::clock::Timestamp;
use crate::key::keyspace::SYSTEM;
use crate::store::{RootKeysWithoutMac, StoreError};

#[derive(sqlx::FromRow)]
struct Row {
    more_may_come: bool,
    public_prefix: Option<String>,
}

/// See [`crate::store::Store::root_keys_without_mac`].
///
/// One statement, so that both are of one instant: of an old replica that issues a key and then leaves, either the
/// replica is seen or the key.
pub async fn without_mac(pool: &PgPool, now: Timestamp, limit: usize) -> Result<RootKeysWithoutMac, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT old.more_may_come, found.public_prefix
         FROM (SELECT EXISTS (SELECT FROM replica WHERE NOT issues_mac) AS more_may_come) old
         LEFT JOIN LATERAL (
             SELECT s.public_prefix FROM api_key_secret s JOIN api_key k ON k.id = s.key_id
             WHERE k.keyspace = $1 AND NOT s.has_mac AND k.revoke_time_us IS NULL
                 AND (s.expire_time_us IS NULL OR s.expire_time_us > $2)
             ORDER BY s.public_prefix LIMIT $3) found ON true",
    )
    .bind(SYSTEM)
    .bind(now.as_micros())
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?;
    let more_may_come = rows.iter().any(|row| row.more_may_come);
    Ok(RootKeysWithoutMac { lookups: rows.into_iter().filter_map(|row| row.public_prefix).collect(), more_may_come })
}
