//! Reads of a few rows, on connections that cannot write. Lists have readers of their own.

use std::thread;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{SqliteConnection, SqlitePool};
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;

use super::lists::Reading;
use super::open;
use crate::low_priority::lower_own_priority;
use crate::store::error::unless_gone;
use crate::store::{ConnectError, StoreError};

/// The connections, and where reads run.
#[derive(Debug)]
pub struct Readers {
    pool: SqlitePool,
    runtime: Handle,
}

impl Readers {
    /// Opens `count` connections. Each has a thread, which counts less to the operating system by `niceness` than others
    /// do. One that is opened later, because another was lost, has the priority of all others. Reads run on the runtime on
    /// which this is called.
    pub async fn open(writer: &SqliteConnectOptions, count: u32, niceness: i32) -> Result<Self, ConnectError> {
        let pool = open::readers(writer, count);
        // A thread has the priority of the thread that starts it.
        let (sender, opened) = oneshot::channel();
        let opening = pool.clone();
        let start = move || {
            lower_own_priority(niceness);
            let runtime =
                runtime::Builder::new_current_thread().enable_time().build().expect("a runtime without sockets");
            let _ = sender.send(runtime.block_on(open::open_all(&opening)));
        };
        let path = pool.connect_options();
        let refused = |why: &str| open::unavailable(path.get_filename(), &why);
        thread::Builder::new().spawn(start).map_err(|e| refused(&e.to_string()))?;
        opened.await.map_err(|_| refused("its readers could not be opened"))??;
        Ok(Self { pool, runtime: Handle::current() })
    }

    /// Reads by `read`, on one connection. In a task of its own: a caller that gets no processor for a while, as on threads
    /// of low priority, keeps no connection from others meanwhile. One that goes away no longer waits.
    pub async fn read<T, R>(&self, read: R) -> Result<T, StoreError>
    where
        T: Send + 'static,
        R: for<'c> FnOnce(&'c mut SqliteConnection) -> Reading<'c, T> + Send + 'static,
    {
        let (_caller, gone) = oneshot::channel();
        let pool = self.pool.clone();
        let reading = self.runtime.spawn(async move {
            let mut conn = unless_gone(pool.acquire(), gone).await??;
            read(&mut conn).await
        });
        reading.await.map_err(StoreError::fault)?
    }

    /// Waits for what is under way, and closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
