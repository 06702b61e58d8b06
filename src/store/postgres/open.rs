//! Reaching the server: what it must be, the pool and the schema.

use std::io;
use std::sync::LazyLock;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnectionMetadata;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::time::{sleep, timeout};

use crate::store::error::reason;
use crate::store::{ConnectError, Schema, migration};

/// Without sqlx's lock, which is an advisory one and not known to all that speak PostgreSQL's language. Each migration
/// is one transaction: of two processes that try the same one, one fails, and then finds it done.
static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!("src/store/migrations/postgres");
    migrator.set_locking(false);
    migrator
});

/// How often a migration is tried, for others may be at it too.
const MIGRATION_TRIES_MAX: u32 = 5;
/// How long after a failed try.
const MIGRATION_PAUSE: Duration = Duration::from_millis(300);
/// The oldest server, as `server_version_num` has it.
const SERVER_VERSION_MIN: i32 = 150_000;
/// How long the first connection may take.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);
/// Most connections of one process for its work; lists have four more, and so has what keeps up with others. Each is a process of the server, of some 10 MiB; a default server takes 100.
pub const CONNECTIONS_MAX: u32 = 16;
/// How long a call waits for a connection.
pub const ACQUIRE_WAIT_MAX: Duration = Duration::from_secs(3);
/// How long the server works on one statement.
const STATEMENT_TIMEOUT_MS: u32 = 5_000;
/// How long the server works on one statement of a list, of which there are a few.
const LIST_STATEMENT_TIMEOUT_MS: u32 = 2_500;
/// How long it waits for the next one of a transaction: a process that was stopped in the middle must not lock rows for
/// as long as others wait for them.
const IDLE_TIMEOUT_MS: u32 = 2_000;
/// How long a connection may have lain idle and still be taken without a test.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// How long such a test may take.
const TEST_WAIT_MAX: Duration = Duration::from_secs(1);

/// A server that will do.
pub struct Opened {
    /// The way to it.
    pub options: PgConnectOptions,
    /// A connection, without time limits: for migrations.
    pub conn: PgConnection,
    /// The versions that were applied just now.
    pub migrated: Vec<i64>,
}

/// Connects to the server that `url` names.
pub async fn open(url: &str, schema: Schema) -> Result<Opened, ConnectError> {
    let options = options(url)?;
    let server = place(&options);
    let refused = |reason: String| ConnectError::Unavailable { what: server.clone(), reason };
    let connected = timeout(CONNECT_WAIT_MAX, options.connect()).await;
    let connected = connected.map_err(|_| refused(format!("no answer within {} s", CONNECT_WAIT_MAX.as_secs())))?;
    let mut conn = connected.map_err(|e| refused(reason(&e)))?;
    if let Some(shortcoming) = shortcoming(&mut conn).await.map_err(|e| refused(reason(&e)))? {
        return Err(refused(shortcoming));
    }
    let migrated = bring_up(&server, &mut conn, schema).await?;
    Ok(Opened { options, conn, migrated })
}

/// What a URL may say besides the server, as the driver reads it. It passes over others, so that a mistyped `sslmode` would
/// connect without TLS.
const PARAMETERS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];
/// Those of them that name a file.
const FILES: [&str; 7] = ["ssl-ca", "ssl-cert", "ssl-key", "ssl-root-cert", "sslcert", "sslkey", "sslrootcert"];

/// Checks that `url` names a server.
pub fn check_url(url: &str) -> Result<(), ConnectError> {
    options(url).map(drop)
}

/// Refuses parameters that would be passed over, and files that are not there. The values of others may be secrets.
fn check_parameters(url: &str) -> Result<(), ConnectError> {
    let (_, parameters) = url.split_once('?').unwrap_or_default();
    for (name, value) in parameters.split('&').filter_map(|parameter| parameter.split_once('=')) {
        let is_known = PARAMETERS.contains(&name) || name.starts_with("options[") || name.starts_with("options%5B");
        if !is_known {
            let known = PARAMETERS.join(", ");
            return Err(ConnectError::Url(format!("unknown parameter `{name}`; known are {known}")));
        }
        if FILES.contains(&name)
            && !value.contains('%')
            && let Err(error) = std::fs::File::open(value)
        {
            return Err(ConnectError::Url(format!("{name}: cannot read {value}: {error}")));
        }
    }
    Ok(())
}

/// The way to the server that `url` names.
pub fn options(url: &str) -> Result<PgConnectOptions, ConnectError> {
    if !["postgres://", "postgresql://"].iter().any(|start| url.starts_with(start)) {
        return Err(ConnectError::Url("must start with postgres://".into()));
    }
    check_parameters(url)?;
    let options: PgConnectOptions = url.parse().map_err(|e| ConnectError::Url(reason(&e)))?;
    let options = options.disable_statement_logging();
    Ok(if options.get_application_name().is_none() { options.application_name("portcullis") } else { options })
}

/// The same with limits to how long the server works, and waits; and without compiling statements, which takes longer
/// than any of ours does, and is begun by a wrong guess at how many rows a new table has.
pub fn limited(options: PgConnectOptions) -> PgConnectOptions {
    options.options([("jit", "off")]).options([
        ("statement_timeout", STATEMENT_TIMEOUT_MS),
        ("idle_in_transaction_session_timeout", IDLE_TIMEOUT_MS),
    ])
}

/// Says so if the limits of [`limited`] did not arrive: a proxy may drop them.
pub async fn tell_if_unlimited(pool: &PgPool) -> Result<(), sqlx::Error> {
    let limit: String = sqlx::query_scalar("SELECT current_setting('statement_timeout')").fetch_one(pool).await?;
    if limit == "0" {
        tracing::warn!(
            "the database does not take the time limits of this server, as it is behind a proxy that drops the start-up \
             parameter `options`: set statement_timeout, idle_in_transaction_session_timeout and jit for its role, as \
             docs/revocation.md says under \"Behind a proxy\""
        );
    }
    Ok(())
}

/// Limits for lists as well. Their statements are written for the indexes that they name: the planner cannot know how
/// rare a name is, and must neither read a whole table nor sort a whole keyspace because it guesses wrong.
pub fn limited_lists(options: PgConnectOptions) -> PgConnectOptions {
    options.options([
        ("statement_timeout", LIST_STATEMENT_TIMEOUT_MS.to_string().as_str()),
        ("plan_cache_mode", "force_custom_plan"),
        ("enable_seqscan", "off"),
        ("enable_sort", "off"),
        ("max_parallel_workers_per_gather", "0"),
    ])
}

/// So many connections.
pub fn pool(options: PgConnectOptions, connections_max: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_WAIT_MAX)
        // After a failover the way may lead to a standby, and what that shows may be old.
        .after_connect(|conn, _| Box::pin(refuse_standby(conn)))
        .test_before_acquire(false)
        .before_acquire(|conn, meta| Box::pin(async move { test(conn, &meta).await }))
        // Not to keep the place of a connection on which the server has fallen silent.
        .after_release(|conn, _| Box::pin(async move { ping(conn).await }))
        .connect_lazy_with(options)
}

/// Brings the schema up to date; the versions that were applied now.
pub async fn migrate(url: &str) -> Result<Vec<i64>, ConnectError> {
    let opened = open(url, Schema::Migrate).await?;
    // All is committed: if the server does not hear the goodbye, nothing is lost.
    opened.conn.close().await.ok();
    Ok(opened.migrated)
}

async fn refuse_standby(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    let is_standby: bool = sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(conn).await?;
    if is_standby { Err(io::Error::other("the server is a standby").into()) } else { Ok(()) }
}

async fn test(conn: &mut PgConnection, meta: &PoolConnectionMetadata) -> Result<bool, sqlx::Error> {
    if meta.idle_for < TRUSTED_FOR { Ok(true) } else { ping(conn).await }
}

async fn ping(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    timeout(TEST_WAIT_MAX, conn.ping()).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
    Ok(true)
}

/// Where the server is, without what opens it.
fn place(options: &PgConnectOptions) -> String {
    let host = options.get_socket().map_or_else(|| options.get_host().into(), |socket| socket.to_string_lossy());
    let database = options.get_database().unwrap_or(options.get_username());
    format!("postgres://{host}:{}/{database}", options.get_port())
}

/// Why the server will not do, if it will not.
async fn shortcoming(conn: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    let (version, encoding, is_standby): (i32, String, bool) = sqlx::query_as(
        "SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), pg_is_in_recovery()",
    )
    .fetch_one(conn)
    .await?;
    Ok(if version < SERVER_VERSION_MIN {
        Some(format!("the server is PostgreSQL {}; it must be 15 or newer", version / 10_000))
    } else if is_standby {
        Some("the server is a standby; name the primary".to_owned())
    } else if encoding != "UTF8" {
        Some(format!("the database's encoding is {encoding}; it must be UTF8"))
    } else {
        None
    })
}

async fn bring_up(server: &str, conn: &mut PgConnection, schema: Schema) -> Result<Vec<i64>, ConnectError> {
    let mut tries = 1;
    loop {
        let applied = applied(conn).await;
        let applied = applied.map_err(|e| ConnectError::Unavailable { what: server.to_owned(), reason: reason(&e) })?;
        let pending = migration::pending(&MIGRATOR, &applied)?;
        if pending.is_empty() {
            return Ok(pending);
        }
        if !schema.may_apply(&applied) {
            return Err(migration::behind(&applied, &pending));
        }
        match MIGRATOR.run(&mut *conn).await {
            Ok(()) => return Ok(pending),
            Err(error) if tries == MIGRATION_TRIES_MAX => return Err(migration::failed(server, &error)),
            Err(_) => sleep(MIGRATION_PAUSE).await,
        }
        tries += 1;
    }
}

async fn applied(conn: &mut PgConnection) -> Result<Vec<i64>, sqlx::Error> {
    let table = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL");
    if !table.fetch_one(&mut *conn).await? {
        return Ok(Vec::new());
    }
    sqlx::query_scalar("SELECT version FROM _sqlx_migrations ORDER BY version").fetch_all(conn).await
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::UnixListener;

    use super::*;
    use crate::store::StoreError;

    #[tokio::test]
    async fn a_start_that_fails_says_where_and_why_and_no_password() {
        for url in ["postgres://someone:hunter2@127.0.0.1:1/keys", "postgres://someone:hunter2@:x:y"] {
            let error = open(url, Schema::Migrate).await.err().unwrap().to_string();
            assert!(!error.contains("hunter2") && !error.contains('\n'), "{error}");
        }
        let refused = migrate("postgres://127.0.0.1:1/keys").await.unwrap_err().to_string();
        assert!(refused.contains("postgres://127.0.0.1:1/keys") && refused.contains("refused"), "{refused}");
    }

    #[tokio::test]
    async fn a_server_that_goes_away_at_the_greeting_is_unavailable() {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join(".s.PGSQL.5432")).unwrap();
        let going = tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            client.read_exact(&mut [0; 8]).await.unwrap();
        });
        let url = format!("postgres:///keys?host={}&port=5432&user=someone", dir.path().display());
        let error = options(&url).unwrap().connect().await.unwrap_err();
        going.await.unwrap();
        let error = StoreError::from(error);
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    }
}
