//! A store with many keys in it before any server has opened it: the schema is the program's, the rows are written
//! straight into the file.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use crate::Error;
use crate::made::{kept, key};
use crate::messages::{VerifyRequest, VerifyResponse};
use crate::options::Options;
use crate::portcullis::{Key, SCOPES};

/// What the keys of the keyspace `default` begin with, and those of `system`.
const PREFIX: &str = "ak";
const ROOT_PREFIX: &str = "root";
/// The number of the root key. No other key has it.
const ROOT: u64 = 1 << 41;
/// From here on no key exists.
const UNKNOWN_FROM: u64 = 1 << 42;
/// So many are written with one statement.
const AT_ONCE: u64 = 1_000;
/// Where writing gets memory to sort in, in KiB.
const PAGE_CACHE_KIB: u32 = 262_144;

/// Keys as the API would have made them; only their ids are easier to read. `?1` is a list of number, public prefix and
/// verifier.
const INSERT_KEYS: &str = "
    INSERT INTO api_key (id, keyspace, name, name_folded, description, subject, scopes, claims, metadata, enabled,
        created_by, create_time_us, update_time_us, revision)
    SELECT printf('key_%026d', value ->> 0), ?2, 'key ' || (value ->> 0), 'key ' || (value ->> 0), '',
        printf('user_%08d', value ->> 0), ?3, '{}', '{}', 1, 'benchmark', now_us, now_us, 1
    FROM json_each(?1), (SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER) AS now_us)";
const INSERT_SECRETS: &str = "
    INSERT INTO api_key_secret (public_prefix, key_id, generation, verifier_kind, verifier, create_time_us)
    SELECT value ->> 1, printf('key_%026d', value ->> 0), 1, 1, unhex(value ->> 2), now_us
    FROM json_each(?1), (SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER) AS now_us)
    ORDER BY 1";

/// The file.
pub struct Store {
    program: PathBuf,
    dir: tempfile::TempDir,
    /// How long it took to fill.
    pub filled_in: Duration,
}

impl Store {
    /// Makes one with the keys of these numbers, each with three scopes and no claims, and a root key.
    pub fn with(options: &Options, keys: u64) -> Result<Self, Error> {
        let mut store = Self { program: options.program()?, dir: tempfile::tempdir()?, filled_in: Duration::ZERO };
        let mut migrate = store.command();
        let migrated = migrate.arg("migrate").stdin(Stdio::null()).stdout(Stdio::null()).status()?;
        if !migrated.success() {
            return Err(format!("{migrate:?} failed").into());
        }
        let began = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(store.fill(keys))?;
        store.filled_in = began.elapsed();
        Ok(store)
    }

    /// The program, told of this store.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().env("PORTCULLIS_DATABASE_URL", format!("sqlite://{}", self.path().display()));
        command
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("portcullis.db")
    }

    async fn fill(&self, keys: u64) -> Result<(), Error> {
        // What a crash would leave of this store matters to nobody.
        let options = SqliteConnectOptions::new().filename(self.path()).disable_statement_logging();
        let options = options.journal_mode(SqliteJournalMode::Off).synchronous(SqliteSynchronous::Off);
        let options = options.foreign_keys(false).pragma("cache_size", format!("-{PAGE_CACHE_KIB}"));
        let mut conn = options.connect().await?;
        sqlx::query("BEGIN").execute(&mut conn).await?;
        let scopes = json!(SCOPES).to_string();
        let mut first = 0;
        while first < keys {
            let end = keys.min(first + AT_ONCE);
            insert(&mut conn, "default", PREFIX, first..end, &scopes).await?;
            first = end;
        }
        insert(&mut conn, "system", ROOT_PREFIX, ROOT..ROOT + 1, r#"["keys:verify"]"#).await?;
        // There is a root key: the first start need not make one.
        sqlx::query("UPDATE installation SET bootstrapped = 1").execute(&mut conn).await?;
        sqlx::query("COMMIT").execute(&mut conn).await?;
        conn.close().await?;
        Ok(())
    }
}

async fn insert(
    conn: &mut SqliteConnection,
    keyspace: &str,
    prefix: &str,
    numbers: Range<u64>,
    scopes: &str,
) -> Result<(), Error> {
    let row = |number| {
        let (public_prefix, digest) = kept(prefix, number);
        let verifier = digest.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("a string takes everything");
            hex
        });
        json!([number, public_prefix, verifier])
    };
    let rows = serde_json::Value::Array(numbers.map(row).collect()).to_string();
    sqlx::query(INSERT_KEYS).bind(&rows).bind(keyspace).bind(scopes).execute(&mut *conn).await?;
    sqlx::query(INSERT_SECRETS).bind(&rows).execute(conn).await?;
    Ok(())
}

/// The root key, which may verify and nothing else.
pub fn root_key() -> String {
    key(ROOT_PREFIX, ROOT)
}

/// The key of this number, with what is asked about it and what must be answered.
pub fn known(number: u64) -> Key {
    let id = format!("key_{number:026}");
    let verdict = VerifyResponse { valid: true, verdict: VerifyResponse::VALID, key_id: id.clone() };
    Key { id, request: request(number), expected: verdict.encode_to_vec().into() }
}

/// A well-formed key that does not exist, likewise.
pub fn unknown(number: u64) -> Key {
    let verdict = VerifyResponse { valid: false, verdict: VerifyResponse::NOT_FOUND, key_id: String::new() };
    let expected: Bytes = verdict.encode_to_vec().into();
    Key { id: String::new(), request: request(UNKNOWN_FROM + number), expected }
}

fn request(number: u64) -> VerifyRequest {
    let required_scopes = vec![SCOPES[SCOPES.len() - 1].into()];
    VerifyRequest { key: key(PREFIX, number), required_scopes }
}
