//! SQL of the log of changes and of the replicas that read it.
//!
//! Reading it has a connection of its own, so that it never waits behind anything else. Triggers write it: see
//! `0003_replicas.sql`.

use std::mem;
use std::sync::Once;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgListener, PgPool, PgPoolOptions};
use sqlx::query::Query;
use sqlx::types::Uuid;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Postgres};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::in_time;
use super::open::pool;
use super::transaction::Transaction;
use crate::store::StoreError;
use crate::store::log::{ChangeLog, Incarnation, Poll, Position, Replica, Roll};
use crate::store::row;

/// Most entries that one look shows: some 100 KiB.
const ENTRIES_MAX: i64 = 1_000;
/// How long entries are kept: far longer than anybody who answers from memory goes without looking. Whoever comes later
/// begins anew.
const KEPT: &str = "15 minutes";
/// Connections for all but reading the log: one for whoever waits for the others, one for hints.
const CONNECTIONS_MAX: u32 = 2;
/// How long a session may have no hint to pass on until another takes its place.
const SILENCE_MAX: Duration = Duration::from_mins(1);
/// How often it is looked whether a session is another's meanwhile: a proxy gives out the one that was used last.
const SESSION_TRIES: usize = 3;
/// How long a hint of our own may take to arrive: none does if hints are looked for in another database.
const OWN_HINT_WAIT_MAX: Duration = Duration::from_secs(5);
/// The channel of hints. Whoever may connect may write to it, so nothing rests on what comes.
const CHANNEL: &str = "portcullis";

/// The log in a PostgreSQL database.
pub struct PostgresLog {
    /// For what changes the list of replicas, and looks at it: apart from all other work, which may be slow.
    pool: PgPool,
    options: PgConnectOptions,
    /// What the log is read with.
    tail: Mutex<Tail>,
    /// Where hints are waited for; `None`: nowhere.
    hints: Option<PgPool>,
    listener: Mutex<Option<PgListener>>,
    /// Whether it was said that no hints arrive.
    unheard: Once,
}

/// A connection for one after the other.
enum Tail {
    /// It was lost, or its last call was given up half-way.
    None,
    /// It is on its way, be it that whoever asked for it has given up: on a slow way it would never come else.
    Coming(AbortOnDropHandle<Result<PgConnection, StoreError>>),
    /// It is there, and nobody uses it.
    There(Box<PgConnection>),
}

#[derive(sqlx::FromRow)]
struct PollRow {
    is_standby: bool,
    state: Option<i16>,
    acked: Option<i64>,
    head_seq: i64,
    head_nonce: i64,
    previous: Option<i64>,
    seq: Option<i64>,
    nonce: Option<i64>,
    kind: Option<i16>,
    subject: Option<String>,
}

#[derive(sqlx::FromRow)]
struct ReplicaRow {
    is_standby: bool,
    head: i64,
    incarnation: Option<Uuid>,
    name: Option<String>,
    lease_ms: Option<i64>,
    acked: Option<i64>,
    beat: Option<i64>,
    state: Option<i16>,
}

const DEAD: i16 = 2;

impl PostgresLog {
    /// The log of the database behind `options`. Hints come by a session of `hints`, if any.
    pub fn new(options: PgConnectOptions, hints: Option<PgConnectOptions>) -> Self {
        let pool = pool(options.clone(), CONNECTIONS_MAX);
        let hints = hints.map(|options| {
            let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
            pool.connect_lazy_with(options)
        });
        Self { pool, options, tail: Mutex::new(Tail::None), hints, listener: Mutex::new(None), unheard: Once::new() }
    }

    async fn tail(&self) -> Result<Box<PgConnection>, StoreError> {
        let mut tail = self.tail.lock().await;
        if let Tail::There(_) = &*tail
            && let Tail::There(conn) = mem::replace(&mut *tail, Tail::None)
        {
            return Ok(conn);
        }
        if let Tail::None = &*tail {
            let options = self.options.clone();
            let connecting = tokio::spawn(async move { in_time(async { Ok(options.connect().await?) }).await });
            *tail = Tail::Coming(AbortOnDropHandle::new(connecting));
        }
        let Tail::Coming(coming) = &mut *tail else { unreachable!("the others were dealt with") };
        let came = coming.await;
        *tail = Tail::None;
        Ok(Box::new(came.map_err(StoreError::fault)??))
    }

    /// Whether the way of hints leads through a proxy that gives its sessions away between statements: seen by the process of
    /// the server that answers, which is then another one's meanwhile. To listen there would be worse than in vain: hints
    /// would come to who has the session next, and end what it does.
    async fn gives_sessions_away(&self, hints: &PgPool) -> Result<bool, StoreError> {
        let process = || sqlx::query_scalar::<_, i32>("SELECT pg_backend_pid()");
        let mut conn = hints.acquire().await?;
        for _ in 0..SESSION_TRIES {
            let before = process().fetch_one(&mut *conn).await?;
            let mut other = self.pool.begin().await?;
            let others = process().fetch_one(&mut *other).await?;
            let after = process().fetch_one(&mut *conn).await?;
            other.rollback().await?;
            if others == before || after != before {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn tell_unheard(&self) {
        self.unheard.call_once(|| {
            tracing::warn!(
                "hints at changes do not arrive: a change of another replica is seen up to a twelfth of a lease later. If the \
                 database is behind a proxy that shares sessions, such as pgbouncer in transaction mode, let --notify-url \
                 name the database itself, or say --notify-url none"
            );
        });
    }

    /// Only a connection whose last call has ended is of further use.
    async fn keep_tail(&self, conn: Box<PgConnection>) {
        *self.tail.lock().await = Tail::There(conn);
    }

    /// Makes a change that is kept. Never on its own: a connection that was given up half-way may be in a transaction.
    async fn change(&self, change: Query<'_, Postgres, PgArguments>) -> Result<(), StoreError> {
        in_time(async {
            let mut tx = Transaction::begin(&self.pool).await?;
            let result = change.execute(&mut *tx).await.map(drop);
            Ok(tx.finish(result).await?)
        })
        .await
    }
}

/// A transaction of one statement that does not wait for the disk: what it does may be lost, and is done again.
fn hurried(statement: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("BEGIN; SET LOCAL synchronous_commit = off; {statement}; COMMIT"))
}

fn uuid(of: Incarnation) -> Uuid {
    Uuid::from_u128(of.0)
}

fn uuids(of: &[Incarnation]) -> Vec<Uuid> {
    of.iter().copied().map(uuid).collect()
}

#[async_trait]
impl ChangeLog for PostgresLog {
    async fn register(&self, incarnation: Incarnation, name: &str, lease: Duration) -> Result<(), StoreError> {
        let insert = sqlx::query(
            "INSERT INTO replica (incarnation, name, lease_ms, issues_mac) VALUES ($1, $2, $3, true)
             ON CONFLICT (incarnation) DO NOTHING",
        );
        let lease_ms = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        let insert = insert.bind(uuid(incarnation)).bind(name).bind(lease_ms);
        self.change(insert).await
    }

    async fn poll(&self, by: Incarnation, after: Option<i64>) -> Result<Poll, StoreError> {
        let mut conn = self.tail().await?;
        let rows: Vec<PollRow> = sqlx::query_as(
            "SELECT pg_is_in_recovery() AS is_standby, r.state, r.acked, h.seq AS head_seq, h.nonce AS head_nonce,
                    (SELECT nonce FROM change_log WHERE seq = $2) AS previous, l.seq, l.nonce, l.kind, l.subject
             FROM change_head h
             LEFT JOIN replica r ON r.incarnation = $1
             LEFT JOIN LATERAL (SELECT * FROM change_log WHERE seq > $2 ORDER BY seq LIMIT $3) l ON true
             WHERE h.id = 1
             ORDER BY l.seq",
        )
        .bind(uuid(by))
        .bind(after.unwrap_or(i64::MAX))
        .bind(ENTRIES_MAX)
        .fetch_all(&mut *conn)
        .await?;

        let first = rows.first().ok_or_else(|| StoreError::fault("the log of changes has no head"))?;
        if first.is_standby {
            // What it shows may be old, and so may all that it shows later.
            return Err(StoreError::unavailable("the server is a standby"));
        }
        self.keep_tail(conn).await;
        let mut poll = Poll {
            is_registered: first.state.is_some_and(|state| state != DEAD),
            acked: first.acked.unwrap_or_default(),
            head: Position { seq: first.head_seq, nonce: first.head_nonce },
            previous: first.previous,
            entries: Vec::new(),
        };
        for row in rows {
            if let (Some(seq), Some(nonce), Some(kind), Some(subject)) = (row.seq, row.nonce, row.kind, row.subject) {
                poll.entries.push((Position { seq, nonce }, row::change(kind.into(), subject)));
            }
        }
        Ok(poll)
    }

    async fn acknowledge(&self, by: &[Incarnation], at: Position) -> Result<(), StoreError> {
        let mut conn = self.tail().await?;
        // Nothing that would have to be quoted is in a number.
        let by: Vec<_> = by.iter().map(|by| format!("'{}'", uuid(*by))).collect();
        let statement = format!(
            "UPDATE replica SET acked = greatest(acked, {seq}), beat = beat + 1 WHERE incarnation IN ({})
                 AND EXISTS (SELECT FROM change_log WHERE seq = {seq} AND nonce = {nonce})",
            by.join(", "),
            seq = at.seq,
            nonce = at.nonce
        );
        sqlx::raw_sql(hurried(&statement)).execute(&mut *conn).await?;
        self.keep_tail(conn).await;
        Ok(())
    }

    async fn roll(&self) -> Result<Roll, StoreError> {
        let rows: Vec<ReplicaRow> = in_time(async {
            let query = sqlx::query_as(
                "SELECT pg_is_in_recovery() AS is_standby, h.seq AS head, r.incarnation, r.name, r.lease_ms, r.acked, r.beat, r.state
                 FROM change_head h LEFT JOIN replica r ON true WHERE h.id = 1 ORDER BY r.name, r.incarnation",
            );
            Ok(query.fetch_all(&self.pool).await?)
        })
        .await?;
        let first = rows.first().ok_or_else(|| StoreError::fault("the log of changes has no head"))?;
        if first.is_standby {
            return Err(StoreError::unavailable("the server is a standby"));
        }
        let head = first.head;
        let replica = |row: ReplicaRow| {
            Some(Replica {
                incarnation: Incarnation(row.incarnation?.as_u128()),
                name: row.name?,
                lease: Duration::from_millis(u64::try_from(row.lease_ms?).unwrap_or(u64::MAX)),
                acked: row.acked?,
                beat: row.beat?,
                is_dead: row.state? == DEAD,
            })
        };
        Ok(Roll { head, replicas: rows.into_iter().filter_map(replica).collect() })
    }

    async fn mark_dead(&self, replicas: &[Incarnation], seq: i64) -> Result<(), StoreError> {
        // In their order, for others may be marking the same ones.
        let mark = sqlx::query(
            "WITH late AS (
                 SELECT incarnation FROM replica WHERE incarnation = ANY ($1) AND acked < $2 AND state <> $3
                 ORDER BY incarnation FOR UPDATE)
             UPDATE replica r SET state = $3 FROM late WHERE r.incarnation = late.incarnation",
        );
        let mark = mark.bind(uuids(replicas)).bind(seq).bind(DEAD);
        self.change(mark).await
    }

    async fn remove(&self, dead: &[Incarnation]) -> Result<(), StoreError> {
        let remove = sqlx::query("DELETE FROM replica WHERE incarnation = ANY ($1) AND state = $2");
        let remove = remove.bind(uuids(dead)).bind(DEAD);
        self.change(remove).await
    }

    async fn leave(&self, incarnation: Incarnation) -> Result<(), StoreError> {
        let remove = sqlx::query("DELETE FROM replica WHERE incarnation = $1").bind(uuid(incarnation));
        self.change(remove).await
    }

    async fn prune(&self) -> Result<(), StoreError> {
        let old = sqlx::query(
            "DELETE FROM change_log
             WHERE at < clock_timestamp() - $1::interval AND seq < (SELECT seq FROM change_head)",
        );
        let old = old.bind(KEPT);
        self.change(old).await
    }

    async fn hint(&self) -> Result<(), StoreError> {
        // In a transaction of its own: one that hints holds up all others that do, in the whole server, until it is
        // committed.
        let mut conn = self.pool.acquire().await?;
        let hinted = in_time(async {
            let hint = sqlx::raw_sql(hurried(&format!("NOTIFY {CHANNEL}")));
            Ok(hint.execute(&mut *conn).await.map(drop)?)
        });
        let hinted = hinted.await;
        if hinted.is_err() {
            // It may be stuck in the transaction.
            PoolConnection::close_on_drop(&mut conn);
        }
        hinted
    }

    async fn hinted(&self) -> Result<(), StoreError> {
        let Some(hints) = &self.hints else { return std::future::pending().await };
        let mut kept = self.listener.lock().await;
        let Some(listener) = kept.as_mut() else {
            if self.gives_sessions_away(hints).await? {
                self.tell_unheard();
                return std::future::pending().await;
            }
            let mut listener = PgListener::connect_with(hints).await?;
            listener.listen(CHANNEL).await?;
            if self.hint().await.is_ok() && timeout(OWN_HINT_WAIT_MAX, listener.try_recv()).await.is_err() {
                self.tell_unheard();
            }
            *kept = Some(listener);
            return Ok(());
        };
        // A session that is lost may have lost a hint with it; one that says nothing may be lost without a word.
        match timeout(SILENCE_MAX, listener.try_recv()).await {
            Ok(Ok(Some(_))) => {}
            Ok(Ok(None)) | Err(_) => *kept = None,
            Ok(Err(error)) => {
                *kept = None;
                return Err(error.into());
            }
        }
        Ok(())
    }
}
