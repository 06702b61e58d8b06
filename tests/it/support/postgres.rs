//! A PostgreSQL of the tests' own: made when the first test asks, gone when the tests are, however they end.
//!
//! It listens on a socket in its own directory, so that no port can be taken by somebody else between two starts.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// The oldest PostgreSQL that is supported.
const VERSION_MIN: u32 = 15;
/// The user "nobody". PostgreSQL refuses to run as root.
const NOBODY: u32 = 65534;
/// Every test has a pool or two, and they run side by side.
const MAX_CONNECTIONS: u32 = 400;
/// What is not durable, and the faster for it.
const HURRIED: &str = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nautovacuum = off";
/// The name of a server's socket in its directory.
pub const SOCKET: &str = ".s.PGSQL.5432";

/// A PostgreSQL cluster with a server.
pub struct Cluster {
    dir: PathBuf,
    supervisor: Child,
    /// Closing this ends the cluster: see `postgres.sh`.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Cluster {
    /// A cluster of one's own that keeps what it acknowledged when it is stopped at once.
    pub fn start() -> Self {
        Self::with_settings("")
    }

    /// One that is stopped and started in no time, and may lose what it acknowledged if the machine fails.
    pub fn start_hurried() -> Self {
        Self::with_settings(HURRIED)
    }

    /// A cluster, and another that follows it: a commit is not answered until both have it on disk.
    pub fn start_with_standby() -> (Self, Self) {
        let mut primary = Self::empty("synchronous_standby_names = 'standby'");
        let from = primary.dir.display();
        let mut standby = Self::empty(&format!(
            "primary_conninfo = 'host={from} port=5432 user=portcullis application_name=standby'
             synchronous_standby_names = ''"
        ));
        primary.tell("init");
        standby.tell(&format!("follow {}", primary.dir.display()));
        primary.tell("start");
        standby.tell("start");
        (primary, standby)
    }

    fn with_settings(settings: &str) -> Self {
        let mut cluster = Self::empty(settings);
        cluster.tell("init");
        cluster.tell("start");
        cluster
    }

    /// A place for a cluster, and who runs it.
    fn empty(settings: &str) -> Self {
        let bin = programs();
        let dir = tempfile::Builder::new().prefix("portcullis-pg-").tempdir().expect("a temporary directory").keep();
        let settings = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nmax_connections = {MAX_CONNECTIONS}\n{settings}",
            dir.display()
        );
        let mut command = Command::new("sh");
        command.arg("-c").arg(include_str!("postgres.sh")).arg("postgres.sh").arg(&bin).arg(&dir).arg(settings);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).current_dir(&dir);
        // A group of its own: what interrupts the tests at a terminal must not interrupt the tidying up.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        if std::fs::metadata(&dir).expect("it was just made").uid() == 0 {
            chown(&dir, Some(NOBODY), Some(NOBODY)).expect("root may");
            command.uid(NOBODY).gid(NOBODY);
        }
        let mut supervisor = command.spawn().expect("sh");
        let commands = supervisor.stdin.take();
        let answers = BufReader::new(supervisor.stdout.take().expect("it is piped"));
        Self { dir, supervisor, commands, answers }
    }

    /// Stops the server as a crash would: nothing is flushed, nobody is waited for.
    pub fn stop_immediate(&mut self) {
        self.tell("stop");
    }

    /// Kills the server, every process of it.
    pub fn kill(&mut self) {
        self.tell("kill");
    }

    /// Makes a standby the primary.
    pub fn promote(&mut self) {
        self.tell("promote");
    }

    /// Starts the server again where it was.
    pub fn start_again(&mut self) {
        self.tell("start");
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        url_by(&self.dir, database)
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).expect("a log")
    }

    /// Where the server listens.
    pub fn socket(&self) -> PathBuf {
        self.dir.join(SOCKET)
    }

    /// Makes an empty database; its URL.
    pub async fn fresh_database(&self) -> String {
        self.url(&self.fresh_name().await)
    }

    /// Makes an empty database; its name.
    pub async fn fresh_name(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("fresh_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut admin = PgConnection::connect(&self.url("postgres")).await.expect("the server is up");
        // Like glibc's en_US, this collation passes over punctuation: what relies on an order of bytes must say so.
        let has_icu: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i')")
            .fetch_one(&mut admin)
            .await
            .expect("a catalogue");
        let collation = if has_icu { "LOCALE_PROVIDER icu ICU_LOCALE 'en-US-u-ka-shifted'" } else { "" };
        let create = format!("CREATE DATABASE {name} TEMPLATE template0 {collation}");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut admin).await.expect("a new database");
        admin.close().await.expect("a quiet end");
        name
    }

    fn tell(&mut self, word: &str) {
        let mut answer = String::new();
        let commands = self.commands.as_mut().expect("it is open until drop");
        let told = writeln!(commands, "{word}").and_then(|()| self.answers.read_line(&mut answer));
        let is_done = told.is_ok() && answer.trim() == "0";
        assert!(is_done, "PostgreSQL did not {word}. Its log:\n{}", self.log());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.commands = None;
        let _ = self.supervisor.wait();
    }
}

/// The URL of a database whose server listens in `dir`.
pub fn url_by(dir: &Path, database: &str) -> String {
    format!("postgresql:///{database}?host={}&port=5432&user=portcullis", dir.display())
}

/// The cluster that the tests of this process share.
pub fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(Cluster::start_hurried)
}

/// Where PostgreSQL's programs are.
fn programs() -> PathBuf {
    let found = match std::env::var_os("PORTCULLIS_TEST_PG_BIN") {
        Some(dir) => Some(PathBuf::from(dir)),
        None => installed().into_iter().find(|dir| version(dir).is_some_and(|version| version >= VERSION_MIN)),
    };
    found.unwrap_or_else(|| {
        panic!(
            "these tests need PostgreSQL {VERSION_MIN} or newer, and none was found. `scripts/test` finds or installs \
             one; or say where its programs are with PORTCULLIS_TEST_PG_BIN"
        )
    })
}

/// Where they may be, likeliest first.
fn installed() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    if let Ok(told) = Command::new("pg_config").arg("--bindir").output() {
        dirs.push(PathBuf::from(String::from_utf8_lossy(&told.stdout).trim()));
    }
    dirs.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    // Where Debian keeps them, off the PATH.
    let entries = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<_> = entries.map(|entry| entry.path().join("bin")).collect();
    versions.sort_by_key(|dir| std::cmp::Reverse(version(dir)));
    dirs.extend(versions);
    dirs
}

/// The major version of the PostgreSQL in `dir`, if a whole one is there.
fn version(dir: &Path) -> Option<u32> {
    if !["initdb", "pg_ctl"].into_iter().all(|name| dir.join(name).is_file()) {
        return None;
    }
    let told = Command::new(dir.join(OsStr::new("postgres"))).arg("--version").output().ok()?;
    let told = String::from_utf8(told.stdout).ok()?;
    let number = told.split_whitespace().nth(2)?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The crash tests are worth what this is worth.
#[tokio::test]
async fn a_cluster_comes_back_with_what_was_committed() {
    comes_back(Cluster::stop_immediate).await;
}

#[tokio::test]
async fn a_killed_cluster_comes_back_with_what_was_committed() {
    comes_back(Cluster::kill).await;
}

async fn comes_back(after: fn(&mut Cluster)) {
    let mut cluster = Cluster::start();
    let url = cluster.fresh_database().await;
    let mut connection = PgConnection::connect(&url).await.expect("the server is up");
    sqlx::raw_sql("CREATE TABLE kept (n INT); INSERT INTO kept VALUES (7)")
        .execute(&mut connection)
        .await
        .expect("SQL");
    after(&mut cluster);
    connection.ping().await.expect_err("the server is down");
    PgConnection::connect(&url).await.map(drop).expect_err("the server is down");
    cluster.start_again();
    let mut connection = PgConnection::connect(&url).await.expect("the server is up again");
    let kept: i32 = sqlx::query_scalar("SELECT n FROM kept").fetch_one(&mut connection).await.expect("a row");
    assert_eq!(kept, 7);
    let dir = cluster.dir.clone();
    drop(cluster);
    assert!(!dir.exists(), "nothing is left behind");
}

#[tokio::test]
async fn a_standby_takes_over_with_what_was_committed() {
    let (mut primary, mut standby) = Cluster::start_with_standby();
    let name = primary.fresh_name().await;
    let mut connection = PgConnection::connect(&primary.url(&name)).await.expect("the server is up");
    sqlx::raw_sql("CREATE TABLE kept (n INT); INSERT INTO kept VALUES (7)")
        .execute(&mut connection)
        .await
        .expect("SQL");
    primary.kill();
    // It has all of it on disk, and may have yet to read it.
    let mut connection = PgConnection::connect(&standby.url("postgres")).await.expect("it may be read");
    sqlx::raw_sql("CREATE TABLE kept (n INT)").execute(&mut connection).await.expect_err("it is a standby");
    standby.promote();
    let mut connection = PgConnection::connect(&standby.url(&name)).await.expect("it has read all");
    let kept: i32 = sqlx::query_scalar("SELECT n FROM kept").fetch_one(&mut connection).await.expect("a row");
    assert_eq!(kept, 7);
    sqlx::raw_sql("DELETE FROM kept").execute(&mut connection).await.expect("it is the primary, and waits for nobody");
}
