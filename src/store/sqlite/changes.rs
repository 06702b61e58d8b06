//! What the writer's transactions touch, noted by SQLite itself: triggers of the writer's own connection see whatever
//! changes a row, so that no use case can forget to say so. They live as long as the connection.

use sqlx::SqliteConnection;

use crate::store::log::Change;
use crate::store::{StoreError, row};

/// Whose rows decide what a verification answers, and by which columns. Kinds and subjects are those of [`row::change`].
const WATCH: &str = "
    CREATE TEMP TABLE touched (kind INTEGER NOT NULL, subject TEXT NOT NULL, PRIMARY KEY (kind, subject)) WITHOUT ROWID;

    CREATE TEMP TRIGGER touched_secret_new AFTER INSERT ON main.api_key_secret BEGIN
        INSERT OR IGNORE INTO touched VALUES (1, new.public_prefix);
    END;
    CREATE TEMP TRIGGER touched_secret_changed AFTER UPDATE ON main.api_key_secret BEGIN
        INSERT OR IGNORE INTO touched VALUES (1, old.public_prefix), (1, new.public_prefix);
    END;
    CREATE TEMP TRIGGER touched_secret_gone AFTER DELETE ON main.api_key_secret BEGIN
        INSERT OR IGNORE INTO touched VALUES (1, old.public_prefix);
    END;
    CREATE TEMP TRIGGER touched_key AFTER UPDATE OF
        id, keyspace, subject, scopes, claims, enabled, expire_time_us, revoke_time_us, rate_limit, credits,
        allowed_cidrs
    ON main.api_key BEGIN
        INSERT OR IGNORE INTO touched SELECT 1, public_prefix FROM main.api_key_secret WHERE key_id IN (old.id, new.id);
    END;
    CREATE TEMP TRIGGER touched_keyspace AFTER UPDATE OF allow_wildcard_scopes, default_rate_limit ON main.keyspace
    WHEN (old.allow_wildcard_scopes, old.default_rate_limit)
        IS NOT (new.allow_wildcard_scopes, new.default_rate_limit) BEGIN
        INSERT OR IGNORE INTO touched VALUES (2, new.id);
    END;
    CREATE TEMP TRIGGER touched_form AFTER INSERT ON main.import_form BEGIN
        INSERT OR IGNORE INTO touched VALUES (3, concat_ws(' ', new.keyspace, new.kind, new.length));
    END;";

/// From now on what `conn` changes is noted.
pub async fn watch(conn: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(WATCH).execute(conn).await.map(drop)
}

/// What was noted in the transaction under way, or in those before it. Nothing is noted any more.
pub async fn take(conn: &mut SqliteConnection) -> Result<Vec<Change>, StoreError> {
    let noted: Vec<(i64, String)> =
        sqlx::query_as("DELETE FROM touched RETURNING kind, subject").fetch_all(conn).await?;
    Ok(noted.into_iter().map(|(kind, subject)| row::change(kind, subject)).collect())
}
