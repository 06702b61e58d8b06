//! How the databases go about it: the plans of statements as the stores make them.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection};

use crate::rows::{FIRST_HOUR, HOURS, KEYS, key_id};
use crate::{Backend, Error};

/// Prints the plans.
pub async fn show(backend: Backend, url: &str) -> Result<(), Error> {
    match backend {
        Backend::Sqlite => {
            let mut conn = SqliteConnection::connect(url).await?;
            for (name, sql) in statements(backend) {
                println!("  {name}:");
                let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
                for row in plan.fetch_all(&mut conn).await? {
                    println!("    {}", row.get::<String, _>("detail"));
                }
            }
            conn.close().await?;
        }
        Backend::Postgres => {
            let mut conn = PgConnection::connect(url).await?;
            for (name, sql) in statements(backend) {
                println!("  {name}:");
                let plan = sqlx::query_scalar(AssertSqlSafe(format!("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {sql}")));
                let plan: Vec<String> = plan.fetch_all(&mut conn).await?;
                for line in plan {
                    // The list of groups is long.
                    println!("    {line:.120}");
                }
            }
            conn.close().await?;
        }
    }
    Ok(())
}

fn statements(backend: Backend) -> Vec<(&'static str, String)> {
    let until = FIRST_HOUR + HOURS;
    let day = until - 24;
    let some: Vec<_> = (0..101).map(key_id).collect();
    let sums = |table: &str, name: &str, groups: &[String], from: i64, bucket: &str| {
        let from_groups = match backend {
            Backend::Sqlite => {
                let groups = serde_json::to_string(groups).expect("texts");
                format!("json_each('{groups}') g CROSS JOIN {table} u ON u.{name} = g.value WHERE true")
            }
            Backend::Postgres => format!("{table} u WHERE u.{name} = ANY ('{{{}}}')", groups.join(",")),
        };
        format!(
            "SELECT u.{name}, {bucket}, u.counted, sum(u.count) FROM {from_groups}
             AND u.hour >= {from} AND u.hour < {until} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT 909"
        )
    };
    // In PostgreSQL the sign is no operator of texts.
    let id = if backend == Backend::Sqlite { "+id" } else { "id" };
    let page = "FROM api_key WHERE keyspace = 'default'";
    vec![
        ("keys of a page", format!("SELECT id {page} AND id > '{}' ORDER BY id LIMIT 101", key_id(KEYS / 3))),
        (
            "subjects of a page",
            format!("SELECT DISTINCT subject {page} AND subject > 'user_2' ORDER BY subject LIMIT 101"),
        ),
        (
            "keys of one subject",
            format!("SELECT id {page} AND subject = 'user_7' AND {id} > 'key_' ORDER BY {id} LIMIT 101"),
        ),
        ("a day, by keyspace", sums("keyspace_usage", "keyspace", &["default".into()], day, "u.hour + 0")),
        ("a day, by key", sums("key_usage", "key_id", &some, day, "u.hour / 24")),
        ("90 days of one key by hour", sums("key_usage", "key_id", &some[..1], FIRST_HOUR, "u.hour")),
    ]
}
