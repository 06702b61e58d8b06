//! What one would write instead: a table of keys with an index on the digest, and a SELECT for every request.
//!
//! It is helped where that is possible: the digest is known beforehand, the statement is prepared, connections are not
//! tried out before use, and the server is reached by a socket of its own rather than by TCP.

use std::sync::Arc;
use std::time::Instant;

use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, PgConnection, PgPool};

use crate::Error;
use crate::load::Recorder;
use crate::options::Options;
use crate::portcullis::{Portcullis, SCOPES};
use crate::target::{Lane, Share, Target};
use crate::usage::Usage;

#[expect(dead_code, reason = "nothing crashes here")]
#[allow(clippy::manual_assert, reason = "the tests have lints of their own")]
#[path = "../../tests/it/support/postgres.rs"]
pub mod cluster;

const TABLE: &str = "CREATE TABLE keys (
    digest bytea PRIMARY KEY, id text NOT NULL, subject text NOT NULL, scopes text[] NOT NULL, expire_time timestamptz,
    revoke_time timestamptz, enabled boolean NOT NULL
)";
const INSERT: &str = "INSERT INTO keys VALUES (sha256($1), $2, $3, $4, NULL, NULL, true) RETURNING digest";
const SELECT: &str = "SELECT id, subject, scopes FROM keys WHERE digest = $1";

/// A server with as many keys as Portcullis has.
pub struct Postgres {
    cluster: cluster::Cluster,
    parent: u32,
    connections: usize,
    keys: Arc<[Key]>,
}

struct Key {
    digest: Vec<u8>,
    id: String,
}

impl Postgres {
    /// Starts one and makes the keys.
    pub fn start(options: &Options, like: &Portcullis) -> Result<Self, Error> {
        let cluster = cluster::Cluster::start();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (parent, keys) = runtime.block_on(fill(&cluster.url("postgres"), like))?;
        Ok(Self { cluster, parent, connections: options.postgres_connections, keys: keys.into() })
    }
}

/// The id of the server's first process, and the keys made.
async fn fill(url: &str, like: &Portcullis) -> Result<(u32, Vec<Key>), Error> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(TABLE).execute(&mut connection).await?;
    let mut keys = Vec::new();
    for key in like.keys.iter() {
        let inserted = sqlx::query_scalar(INSERT).bind(key.request.key.as_bytes()).bind(&key.id);
        let inserted = inserted.bind(format!("user_{:08}", keys.len())).bind(SCOPES.map(str::to_owned).to_vec());
        keys.push(Key { digest: inserted.fetch_one(&mut connection).await?, id: key.id.clone() });
    }
    sqlx::raw_sql("VACUUM ANALYZE keys").execute(&mut connection).await?;
    let file: String = sqlx::query_scalar("SELECT pg_read_file('postmaster.pid')").fetch_one(&mut connection).await?;
    let parent = file.lines().next().ok_or("an empty postmaster.pid")?.parse()?;
    connection.close().await?;
    Ok((parent, keys))
}

impl Target for Postgres {
    type Lane = SelectLane;

    fn name(&self) -> &'static str {
        "postgres"
    }

    fn usage(&self) -> Result<Usage, Error> {
        Usage::of_family(self.parent)
    }

    async fn connect(&self, share: &Share) -> Result<Vec<SelectLane>, Error> {
        let connections = (self.connections * share.in_flight).div_ceil(share.in_flight_total).min(share.in_flight);
        let pool = PgPoolOptions::new().max_connections(u32::try_from(connections)?).test_before_acquire(false);
        let pool = pool.connect(&self.cluster.url("postgres")).await?;
        let lane = |next| SelectLane { pool: pool.clone(), keys: self.keys.clone(), next };
        Ok(share.beginnings(self.keys.len()).map(lane).collect())
    }
}

/// One SELECT after the other.
pub struct SelectLane {
    pool: PgPool,
    keys: Arc<[Key]>,
    next: usize,
}

impl Lane for SelectLane {
    async fn turn(&mut self, recorder: &Recorder) -> Result<(), Error> {
        let key = &self.keys[self.next];
        let began = Instant::now();
        let select = sqlx::query_as(SELECT).bind(&key.digest);
        let (id, _, scopes): (String, String, Vec<String>) = select.fetch_one(&self.pool).await?;
        recorder.done(began, 1);
        if id != key.id || scopes.len() != SCOPES.len() {
            return Err("a row is not what it must be".into());
        }
        self.next = (self.next + 1) % self.keys.len();
        Ok(())
    }
}
