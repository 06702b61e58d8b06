//! Reads of a few rows, on connections that cannot write. Lists have readers of their own.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{SqliteConnection, SqlitePool};
use tokio::runtime::Handle;

use super::lists::Reading;
use super::open;
use crate::store::{ConnectError, StoreError};

/// The connections, and where reads run.
#[derive(Debug)]
pub struct Readers {
    pool: SqlitePool,
    runtime: Handle,
}

impl Readers {
    /// Opens all connections now: each has a thread with the priority of the thread that opens it. Reads run on the
    /// runtime on which this is called.
    pub async fn open(writer: &SqliteConnectOptions) -> Result<Self, ConnectError> {
        let pool = open::readers(writer, open::READERS_MAX, open::ROWS_AHEAD_MAX);
        open::open_all(&pool).await?;
        Ok(Self { pool, runtime: Handle::current() })
    }

    /// Reads by `read`, on one connection. In a task of its own: a caller that gets no processor for a while, as on threads
    /// of low priority, keeps no connection from others meanwhile.
    pub async fn read<T, R>(&self, read: R) -> Result<T, StoreError>
    where
        T: Send + 'static,
        R: for<'c> FnOnce(&'c mut SqliteConnection) -> Reading<'c, T> + Send + 'static,
    {
        let pool = self.pool.clone();
        let reading = self.runtime.spawn(async move { read(&mut *pool.acquire().await?).await });
        reading.await.map_err(StoreError::fault)?
    }

    /// Waits for what is under way, and closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
