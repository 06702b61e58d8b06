//! A store under test, of either kind, in a place of its own.

use std::sync::Arc;

use portcullis::store::{ConnectError, Hints, Schema, Store, connect};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use tempfile::TempDir;

use super::postgres;

/// The kinds of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// A place for a store that nobody else uses. There is nothing in it at first.
pub struct Fixture {
    pub backend: Backend,
    pub url: String,
    /// The place goes when this does. PostgreSQL's goes with its cluster.
    _dir: Option<TempDir>,
}

impl Fixture {
    pub async fn new(backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => {
                let dir = tempfile::tempdir().expect("a temporary directory");
                let url = format!("sqlite://{}", dir.path().join("portcullis.db").display());
                Self { backend, url, _dir: Some(dir) }
            }
            Backend::Postgres => Self { backend, url: postgres::shared().fresh_database().await, _dir: None },
        }
    }

    /// A place that somebody else keeps.
    pub fn at(backend: Backend, url: &str) -> Self {
        Self { backend, url: url.to_owned(), _dir: None }
    }

    /// The same place, for somebody else: of PostgreSQL, as that goes with its cluster.
    pub fn beside(&self) -> Self {
        assert_eq!(self.backend, Backend::Postgres);
        Self { backend: self.backend, url: self.url.clone(), _dir: None }
    }

    /// Opens the store, and makes its schema if need be.
    pub async fn open(&self) -> Arc<dyn Store> {
        self.try_open(Schema::Migrate).await.expect("a store")
    }

    pub async fn try_open(&self, schema: Schema) -> Result<Arc<dyn Store>, ConnectError> {
        connect(&self.url, schema, &Hints::SameWay).await
    }

    /// Runs SQL behind the store's back.
    pub async fn execute(&self, sql: &str) {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self.backend {
            Backend::Sqlite => {
                let mut connection = SqliteConnection::connect(&self.url).await.expect("a file");
                sql.execute(&mut connection).await.expect("good SQL");
                connection.close().await.expect("a quiet end");
            }
            Backend::Postgres => {
                let mut connection = PgConnection::connect(&self.url).await.expect("a server");
                sql.execute(&mut connection).await.expect("good SQL");
                connection.close().await.expect("a quiet end");
            }
        }
    }
}
