//! Opening the file: the path, the lock, the connections and the schema.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::lock::Lock;
use super::{changes, names};
use crate::store::error::reason;
use crate::store::{ConnectError, Schema, migration};

static MIGRATOR: Migrator = sqlx::migrate!("src/store/migrations/sqlite");

/// How long a statement waits for another program that has the file, e.g. a person's `sqlite3`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a read waits for a reader.
const READER_WAIT_MAX: Duration = Duration::from_secs(3);
/// Rows that a reader may be ahead of the task that takes them. The largest have some 150 KiB each.
const ROWS_AHEAD_MAX: usize = 8;

/// A file that is ours: locked, and its schema as it should be.
pub struct Opened {
    /// Ours for as long as this lives.
    pub lock: Lock,
    /// How to connect for writing.
    pub options: SqliteConnectOptions,
    /// A connection for writing.
    pub conn: SqliteConnection,
    /// The versions that were applied just now.
    pub migrated: Vec<i64>,
}

/// Opens the file that `url` names; makes it if there is none and `schema` says so.
pub async fn open(url: &str, schema: Schema) -> Result<Opened, ConnectError> {
    let path = path(url)?;
    if schema != Schema::Migrate && !path.exists() {
        return Err(migration::behind(&[], &migration::pending(&MIGRATOR, &[])?));
    }
    let path = file(&path)?;
    let lock = Lock::take(&path)?;
    let options = options(&path).journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    let refused = |e: sqlx::Error| unavailable(&path, &reason(&e));
    let mut conn = options.connect().await.map_err(refused)?;
    check_journal(&path, &mut conn).await?;
    let applied = applied(&mut conn).await.map_err(refused)?;
    let pending = migration::pending(&MIGRATOR, &applied)?;
    if !pending.is_empty() {
        if !schema.may_apply(&applied) {
            return Err(migration::behind(&applied, &pending));
        }
        MIGRATOR.run(&mut conn).await.map_err(|e| migration::failed(&path.display().to_string(), &e))?;
    }
    names::normalize(&mut conn).await.map_err(refused)?;
    changes::watch(&mut conn).await.map_err(refused)?;
    Ok(Opened { lock, options, conn, migrated: pending })
}

/// Connections that can only read.
pub fn readers(writer: &SqliteConnectOptions, connections_max: u32) -> SqlitePool {
    let options = options(writer.get_filename()).pragma("query_only", "ON").row_buffer_size(ROWS_AHEAD_MAX);
    SqlitePoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(READER_WAIT_MAX)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(options)
}

/// Opens all connections of `readers` now. Each has a thread, which has the priority of the thread that opens it.
pub async fn open_all(readers: &SqlitePool) -> Result<(), ConnectError> {
    let count = readers.options().get_max_connections();
    let mut opened = Vec::new();
    for _ in 0..count {
        let reader = readers.acquire().await;
        opened.push(reader.map_err(|e| unavailable(readers.connect_options().get_filename(), &reason(&e)))?);
    }
    drop(opened);
    // A task gives each back: were its runtime to end before, the connection would be closed.
    while readers.num_idle() < readers.size() as usize {
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Brings the schema up to date; the versions that were applied now.
pub async fn migrate(url: &str) -> Result<Vec<i64>, ConnectError> {
    let opened = open(url, Schema::Migrate).await?;
    let path = opened.options.get_filename();
    opened.conn.close().await.map_err(|e| unavailable(path, &reason(&e)))?;
    Ok(opened.migrated)
}

/// Checks that `url` names a file.
pub fn check_url(url: &str) -> Result<(), ConnectError> {
    path(url).map(drop)
}

/// Checks that there is a place for the file that `url` names. Makes none.
pub fn check_place(url: &str) -> Result<(), ConnectError> {
    check_directory(&path(url)?)
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).foreign_keys(true).busy_timeout(BUSY_TIMEOUT).disable_statement_logging()
}

/// What follows `sqlite://` (or `sqlite:`), taken as it is: no escapes, no parameters.
fn path(url: &str) -> Result<PathBuf, ConnectError> {
    let path = url.strip_prefix("sqlite:").unwrap_or(url);
    let path = path.strip_prefix("//").unwrap_or(path);
    let bad = |why: &str| Err(ConnectError::Url(why.to_owned()));
    match path {
        "" => bad("sqlite:// must be followed by the path of a file"),
        _ if path.contains(":memory:") || path.contains("mode=memory") => {
            bad("a database in memory would lose every key; name a file")
        }
        _ if path.contains(['?', '\0']) => bad("sqlite:// takes a path and no parameters"),
        // Absolute, lest SQLite take a path such as `file:x` for a URI of its own.
        _ => std::path::absolute(path).map_err(|e| unavailable(Path::new(path), &e)),
    }
}

/// Makes the file if there is none. Its path without symbolic links, so that whichever way leads to it there is one lock.
fn file(path: &Path) -> Result<PathBuf, ConnectError> {
    check_directory(path)?;
    let refused = |e| unavailable(path, &e);
    match path.metadata() {
        Ok(found) if found.is_file() => {}
        Ok(found) if found.is_dir() => return Err(unavailable(path, &"it is a directory; name a file in it")),
        Ok(_) => return Err(unavailable(path, &"it is not a regular file")),
        // One that is there is opened only under its lock.
        Err(e) if e.kind() == ErrorKind::NotFound => {
            private(OpenOptions::new().write(true).create(true).truncate(false)).open(path).map_err(refused)?;
        }
        Err(e) => return Err(refused(e)),
    }
    path.canonicalize().map_err(refused)
}

fn check_directory(path: &Path) -> Result<(), ConnectError> {
    match path.parent() {
        Some(parent) if !parent.is_dir() => {
            Err(unavailable(path, &format!("there is no directory {}", parent.display())))
        }
        _ if path.is_dir() => Err(unavailable(path, &"it is a directory; name a file")),
        _ => Ok(()),
    }
}

/// Files made so are for their owner's eyes only. SQLite gives the files beside the database the same mode.
#[cfg(unix)]
pub fn private(options: &mut OpenOptions) -> &OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600)
}

/// The directory's rights apply.
#[cfg(not(unix))]
pub fn private(options: &mut OpenOptions) -> &OpenOptions {
    options
}

/// That `path` cannot be used.
pub fn unavailable(path: &Path, why: &impl Display) -> ConnectError {
    ConnectError::Unavailable { what: path.display().to_string(), reason: why.to_string() }
}

/// Where a file system cannot do WAL, SQLite goes on without, and says so only when asked.
async fn check_journal(path: &Path, conn: &mut SqliteConnection) -> Result<(), ConnectError> {
    let mode: Result<String, _> = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(conn).await;
    match mode {
        Ok(mode) if mode == "wal" => Ok(()),
        Ok(_) => Err(unavailable(path, &"its file system does not support write-ahead logging")),
        Err(e) => Err(unavailable(path, &reason(&e))),
    }
}

async fn applied(conn: &mut SqliteConnection) -> Result<Vec<i64>, sqlx::Error> {
    let table = "SELECT count(*) > 0 FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations'";
    if !sqlx::query_scalar::<_, bool>(table).fetch_one(&mut *conn).await? {
        return Ok(Vec::new());
    }
    sqlx::query_scalar("SELECT version FROM _sqlx_migrations ORDER BY version").fetch_all(conn).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_refused() {
        for bad in ["sqlite://", "sqlite:", "sqlite::memory:", "sqlite://:memory:", "sqlite://a.db?mode=memory"] {
            assert!(matches!(path(bad), Err(ConnectError::Url(_))), "{bad}");
        }
        assert_eq!(path("sqlite:///a/b%20.db").unwrap(), Path::new("/a/b%20.db"));
        assert_eq!(path("sqlite:x.db").unwrap(), std::env::current_dir().unwrap().join("x.db"));
    }

    #[tokio::test]
    async fn a_start_that_fails_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let noise = dir.path().join("noise.db");
        std::fs::write(&noise, "x".repeat(10_000)).unwrap();
        for (path, why) in [
            (dir.path().join("none/x.db"), "there is no directory"),
            (dir.path().to_owned(), "directory"),
            (noise, "not a database"),
        ] {
            let error = open(&format!("sqlite://{}", path.display()), Schema::Migrate).await.err().unwrap().to_string();
            assert!(error.contains(why) && !error.contains('\n'), "{error}");
        }
    }

    #[tokio::test]
    async fn a_file_has_one_process_and_one_schema() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/x.db", dir.path().display());
        let behind = open(&url, Schema::MustBeCurrent).await.err().unwrap();
        assert!(matches!(behind, ConnectError::SchemaBehind { found: 0, .. }), "{behind}");
        let absent = open(&url, Schema::MigrateExisting).await.err().unwrap();
        assert!(matches!(absent, ConnectError::SchemaBehind { found: 0, .. }), "{absent}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "neither makes a file");
        std::fs::write(dir.path().join("x.db"), "").unwrap();
        let empty = open(&url, Schema::MigrateExisting).await.err().unwrap();
        assert!(matches!(empty, ConnectError::SchemaBehind { found: 0, .. }), "{empty}");
        assert!(!migrate(&url).await.unwrap().is_empty());
        assert_eq!(migrate(&url).await.unwrap(), [0; 0]);

        let mut first = open(&url, Schema::MustBeCurrent).await.unwrap();
        let second = open(&url, Schema::Migrate).await.err().unwrap().to_string();
        assert!(second.contains(&format!("process {}", std::process::id())), "{second}");

        let newer = "UPDATE _sqlx_migrations SET version = 99 WHERE version = 1";
        sqlx::query(newer).execute(&mut first.conn).await.unwrap();
        drop(first);
        let newer = open(&url, Schema::Migrate).await.err().unwrap();
        assert!(matches!(newer, ConnectError::SchemaNewer { found: 99, .. }), "{newer}");
    }
}
