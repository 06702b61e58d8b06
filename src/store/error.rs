//! How a store fails. Driver errors end here; no other module sees one.

use std::convert::Infallible;

use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;
use tokio::sync::oneshot;

use super::{Outcome, Refusal};
use crate::key::keyspace::Keyspace;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is not one of a store.
    #[error("database URL: {0}")]
    Url(String),
    /// Another process has the SQLite file.
    #[error("{path} is in use by {holder}; only one process may serve a SQLite file")]
    Locked {
        /// The database file.
        path: String,
        /// Who may hold it, e.g. "process 4711".
        holder: String,
    },
    /// The schema is older than this program, and it was told not to change it.
    #[error("the schema is at version {found}, this program needs {needed}: run `portcullis migrate`")]
    SchemaBehind {
        /// The version of the store; 0: empty.
        found: i64,
        /// The version this program knows.
        needed: i64,
    },
    /// The schema was made by a newer program.
    #[error("the schema is at version {found}, newer than the {known} that this program knows: run a newer portcullis")]
    SchemaNewer {
        /// The version of the store.
        found: i64,
        /// The version this program knows.
        known: i64,
    },
    /// The file cannot be opened or written, or the server cannot be reached.
    #[error("cannot open {what}: {reason}")]
    Unavailable {
        /// The file, or the server without its password.
        what: String,
        /// What the driver said.
        reason: String,
    },
}

/// The store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, is too busy, or cannot write. A change that was under way may or may not have been made.
    #[error("the store is unavailable")]
    Unavailable(#[source] BoxError),
    /// A list took longer than it may. The store is well.
    #[error("the list took too long")]
    TimedOut(#[source] BoxError),
    /// Too many lists are being made.
    #[error("too many lists are being made")]
    ListsBusy,
    /// It answered what it should not: a fault in the program or in the data.
    #[error("the store is at fault")]
    Fault(#[source] BoxError),
}

/// Any error, as a source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl StoreError {
    /// What is behind it.
    pub fn cause(&self) -> String {
        match self {
            Self::Unavailable(cause) | Self::TimedOut(cause) | Self::Fault(cause) => cause.to_string(),
            Self::ListsBusy => self.to_string(),
        }
    }

    /// Another of its kind, for another who has to be told.
    pub(super) fn alike(&self, why: &str) -> Self {
        match self {
            Self::Unavailable(_) | Self::TimedOut(_) | Self::ListsBusy => Self::unavailable(why),
            Self::Fault(_) => Self::fault(why),
        }
    }

    /// The store cannot do it now.
    pub(super) fn unavailable(why: impl Into<BoxError>) -> Self {
        Self::Unavailable(why.into())
    }

    /// The store holds, or did, what it never should.
    pub(super) fn fault(why: impl Into<BoxError>) -> Self {
        Self::Fault(why.into())
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        let passes = match &error {
            // Of what is not as it should be on the wire, the likeliest is that a connection broke off: the driver takes
            // the silence of a server that goes away for an answer.
            E::Io(_)
            | E::Tls(_)
            | E::Protocol(_)
            | E::PoolTimedOut
            | E::PoolClosed
            | E::WorkerCrashed
            | E::BeginFailed => true,
            E::Database(e) => {
                let code = e.code().unwrap_or_default();
                e.try_downcast_ref::<PgDatabaseError>().is_some() && is_passing_sqlstate(&code)
                    || e.try_downcast_ref::<SqliteError>().is_some() && is_passing_sqlite_code(&code)
            }
            _ => false,
        };
        // What the driver knows beyond this, e.g. the row that failed, is nobody's business and no log's.
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .map(|code| format!("{code}: "))
            .unwrap_or_default();
        let why = format!("{code}{}", reason(&error));
        if is_timeout(&error) {
            Self::TimedOut(why.into())
        } else if passes {
            Self::unavailable(why)
        } else {
            Self::fault(why)
        }
    }
}

/// Whether a statement was ended because it took too long, or nobody waits for it.
fn is_timeout(error: &sqlx::Error) -> bool {
    /// `query_canceled`.
    const SQLSTATE: &str = "57014";
    /// `SQLITE_INTERRUPT`.
    const SQLITE_CODE: &str = "9";
    error.as_database_error().is_some_and(|e| {
        let code = e.code().unwrap_or_default();
        e.try_downcast_ref::<PgDatabaseError>().is_some() && code == SQLSTATE
            || e.try_downcast_ref::<SqliteError>().is_some() && code == SQLITE_CODE
    })
}

/// Whether the same statement may succeed later, or on another server.
fn is_passing_sqlstate(code: &str) -> bool {
    // Connection; serialization and deadlock; resources; intervention by an operator; input and output.
    const CLASSES: [&str; 5] = ["08", "40", "53", "57", "58"];
    // A read-only transaction (a standby, or a primary that was told not to write), one ended for having been idle, and
    // one that waited too long for a lock.
    const STATES: [&str; 3] = ["25006", "25P03", "55P03"];
    STATES.contains(&code) || CLASSES.iter().any(|class| code.starts_with(class))
}

/// Whether the same statement may succeed later. `code` is an extended one: its low byte is the kind of failure.
fn is_passing_sqlite_code(code: &str) -> bool {
    // BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN.
    const KINDS: [i32; 7] = [5, 6, 7, 8, 10, 13, 14];
    code.parse::<i32>().is_ok_and(|code| KINDS.contains(&(code & 0xff)))
}

/// Why a change stopped half-way. What the backends' functions return, so that `?` serves for refusals and failures.
#[derive(Debug)]
pub(super) enum Stop {
    /// A refusal.
    Refused(Refusal),
    /// A failure.
    Failed(StoreError),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// A change's result as the trait has it.
pub(super) fn outcome<T>(result: Result<T, Stop>) -> Outcome<T> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Stop::Refused(refusal)) => Ok(Err(refusal)),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// The result of a change that is never refused.
pub(super) fn unrefused<T>(result: Outcome<T>) -> Result<T, StoreError> {
    result?.map_err(|refusal| StoreError::fault(format!("refused: {refusal:?}")))
}

/// Checks that a statement touched exactly one row: one that was seen in the same transaction.
pub(super) fn one_row(touched: u64) -> Result<(), StoreError> {
    if touched == 1 { Ok(()) } else { Err(StoreError::fault(format!("touched {touched} rows, not one"))) }
}

/// Refuses what would leave a keyspace's default lifetime longer than its longest. Here, where the keyspace is locked:
/// of two changes at once each may be right by itself.
pub(super) fn check_ttls(before: &Keyspace, next: &Keyspace) -> Result<(), Refusal> {
    match (next.default_ttl, next.max_ttl) {
        (Some(default_ttl), Some(max_ttl)) if next.breaks_ttls(before) => {
            Err(Refusal::DefaultTtlTooLong { default_ttl, max_ttl })
        }
        _ => Ok(()),
    }
}

/// What a driver said, in one line and without its preamble.
pub(super) fn reason(error: &sqlx::Error) -> String {
    let text = match error {
        sqlx::Error::Database(e) => e.message().to_owned(),
        sqlx::Error::Io(e) => e.to_string(),
        other => other.to_string(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Awaits `acquire` for a caller that keeps the other end of `gone` for as long as it waits.
///
/// # Errors
/// The caller has gone away.
pub async fn unless_gone<T>(
    acquire: impl Future<Output = T>,
    gone: oneshot::Receiver<Infallible>,
) -> Result<T, StoreError> {
    tokio::select! {
        acquired = acquire => Ok(acquired),
        _ = gone => Err(StoreError::unavailable("the caller has gone away")),
    }
}
