//! The keys that are listed, written straight into the store: rows as the API makes them, by the million in minutes.

use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

use crate::Error;
use crate::options::{Options, Over};

/// Keys of the keyspace [`LARGE`]: as many as fit on one page, were they small.
const LARGE_KEYS: u64 = 1_000;
/// A keyspace of few keys that are large: 3 KB of labels each.
pub const LARGE: &str = "large";
/// A keyspace of keys with the same names as those of `default`: a quarter as many.
const NEIGHBOUR: &str = "neighbour";

const KEYSPACES: &str = "INSERT INTO keyspace (id, uid, display_name, key_prefix, create_time_us, update_time_us)
    SELECT n.id, n.uid, '', 'ak', create_time_us, create_time_us
    FROM keyspace k, (SELECT 'neighbour' AS id, 1 AS uid UNION ALL SELECT 'large', 2) n WHERE k.id = 'default';\n";

/// Brings the store at `url` to the schema of the program and writes `keys` keys into `default`.
pub async fn write(options: &Options, over: Over, url: &str, keys: u64) -> Result<(), Error> {
    let mut migrate = Command::new(options.program()?);
    migrate.env_clear().env("PORTCULLIS_DATABASE_URL", url).arg("migrate");
    if !migrate.stdin(Stdio::null()).stdout(Stdio::null()).status()?.success() {
        return Err(format!("{migrate:?} failed").into());
    }
    let now_us = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
    let rows = |keyspace: &str, letter: &str, keys: u64, metadata: &str| {
        let cast = if over == Over::Postgres { "::jsonb" } else { "" };
        include_str!("keys.sql")
            .replace("@keyspace", keyspace)
            .replace("@letter", letter)
            .replace("@keys", &keys.to_string())
            .replace("@now_us", &now_us.to_string())
            .replace("@metadata", &format!("({metadata}){cast}"))
    };
    let team = r#"'{"team": "team_' || (n % 50) || '"}'"#;
    let labels: Vec<_> = (0..16).map(|label| format!(r#""label_{label}": "{}""#, "x".repeat(170))).collect();
    let rows = [
        KEYSPACES.to_owned(),
        rows("default", "A", keys, team),
        rows(NEIGHBOUR, "B", keys / 4, team),
        rows(LARGE, "C", LARGE_KEYS, &format!("'{{{}}}'", labels.join(", "))),
    ];
    match over {
        Over::Sqlite => {
            let mut conn = SqliteConnection::connect(url).await?;
            let trigger = "SELECT sql FROM sqlite_schema WHERE name = 'api_key_name_new'";
            let trigger: String = sqlx::query_scalar(trigger).fetch_one(&mut conn).await?;
            let sql = include_str!("sqlite.sql").replace("@rows", &rows.concat()).replace("@trigger", &trigger);
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await?;
            conn.close().await?;
        }
        Over::Postgres => {
            let mut conn = PgConnection::connect(url).await?;
            let sql = include_str!("postgres.sql").replace("@rows", &rows.concat());
            // VACUUM is made by itself alone.
            let (sql, rest) = sql.split_once("COMMIT;\n").ok_or("no COMMIT")?;
            sqlx::raw_sql(AssertSqlSafe(format!("{sql}COMMIT"))).execute(&mut conn).await?;
            for statement in rest.split_terminator(";\n") {
                sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut conn).await?;
            }
            conn.close().await?;
        }
    }
    Ok(())
}
