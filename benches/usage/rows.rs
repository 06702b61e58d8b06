//! The rows: of each key and each hour one, and those of the keyspace.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

use crate::{Backend, Error};

/// How many keys.
pub const KEYS: i64 = 10_000;
/// How many hours: 90 days.
pub const HOURS: i64 = 90 * 24;
/// The first of them, with which a day begins.
pub const FIRST_HOUR: i64 = 490_800;

/// As SQL has it in [`KEYS_INTO`].
pub fn key_id(number: i64) -> String {
    format!("key_{number:026}")
}

/// Five keys a subject.
const KEYS_INTO: &str = "INSERT INTO api_key (id, keyspace, name, name_folded, description, subject, scopes, claims,
    metadata, enabled, created_by, create_time_us, update_time_us, revision)
    SELECT 'key_' || substr('00000000000000000000000000', 1, 26 - length(CAST(n AS text))) || n, 'default', 'a key',
        'a key', '', 'user_' || (n / 5), '[]', '{}', '{}', TRUE, '', n, n, 1 FROM numbers";

/// Writes them. How many bytes the database has then.
pub async fn write(backend: Backend, url: &str) -> Result<i64, Error> {
    let until = FIRST_HOUR + HOURS;
    let keys = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {KEYS} - 1) {KEYS_INTO}"
    );
    let hours = format!(
        "WITH RECURSIVE hours (hour) AS (
             SELECT {FIRST_HOUR} UNION ALL SELECT hour + 1 FROM hours WHERE hour < {until} - 1)"
    );
    let of_keys = format!("INSERT INTO key_usage {hours} SELECT id, hour, 1, 7");
    let of_keyspace = format!("INSERT INTO keyspace_usage {hours} SELECT 'default', hour, 1, 7 * {KEYS} FROM hours");
    match backend {
        Backend::Sqlite => {
            let sql = format!(
                "PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; {keys};
                 {of_keys} FROM api_key CROSS JOIN hours ORDER BY id, hour; {of_keyspace};
                 PRAGMA wal_checkpoint(TRUNCATE)"
            );
            let mut conn = SqliteConnection::connect(url).await?;
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await?;
            let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
            let size = sqlx::query_scalar(size).fetch_one(&mut conn).await?;
            conn.close().await?;
            Ok(size)
        }
        Backend::Postgres => {
            // Hour by hour, as they come: the rows of a key are far from each other.
            let sql = format!(
                "ALTER TABLE key_usage DROP CONSTRAINT key_usage_key_fkey, DROP CONSTRAINT key_usage_pkey;
                 {keys}; {of_keys} FROM hours CROSS JOIN api_key ORDER BY hour, id; {of_keyspace};
                 ALTER TABLE key_usage ADD CONSTRAINT key_usage_pkey PRIMARY KEY (key_id, hour, counted),
                     ADD CONSTRAINT key_usage_key_fkey FOREIGN KEY (key_id) REFERENCES api_key (id) ON DELETE CASCADE"
            );
            let mut conn = PgConnection::connect(url).await?;
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await?;
            sqlx::raw_sql("VACUUM ANALYZE").execute(&mut conn).await?;
            let size = "SELECT pg_database_size(current_database())";
            let size = sqlx::query_scalar(size).fetch_one(&mut conn).await?;
            conn.close().await?;
            Ok(size)
        }
    }
}
