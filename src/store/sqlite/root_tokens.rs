//! SQL of root keys whose tokens carry no MAC.

use sqlx::SqliteConnection;

use crate::clock::Timestamp;
use crate::key::keyspace::SYSTEM;
use crate::store::{RootKeysWithoutMac, StoreError};

/// See [`crate::store::Store::root_keys_without_mac`]. One process has the file, and it issues tokens with a MAC.
pub async fn without_mac(
    conn: &mut SqliteConnection,
    now: Timestamp,
    limit: usize,
) -> Result<RootKeysWithoutMac, StoreError> {
    let lookups = sqlx::query_scalar(
        "SELECT s.public_prefix FROM api_key_secret s JOIN api_key k ON k.id = s.key_id
         WHERE k.keyspace = $1 AND NOT s.has_mac AND k.revoke_time_us IS NULL
             AND (s.expire_time_us IS NULL OR s.expire_time_us > $2)
         ORDER BY s.public_prefix LIMIT $3",
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let lookups = lookups.bind(SYSTEM).bind(now.as_micros()).bind(limit).fetch_all(conn).await?;
    Ok(RootKeysWithoutMac { lookups, more_may_come: false })
}
