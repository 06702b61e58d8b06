//! Where lists are read: a few connections of their own, so that nothing else waits for them.

use sqlx::postgres::PgConnectOptions;
use sqlx::{PgConnection, PgPool};
use tokio::time::timeout;

use super::transaction::{Doing, Transaction};
use super::{CALL_WAIT_MAX, open};
use crate::store::StoreError;
use crate::store::gate::{HeldPage, ListGate, ListStats, PLACES_MAX};

/// The connections, and who has a place on them.
#[derive(Debug)]
pub struct Lists {
    pool: PgPool,
    gate: ListGate,
}

impl Lists {
    /// Makes no connection yet.
    pub fn new(options: PgConnectOptions) -> Self {
        let connections_max = u32::try_from(PLACES_MAX).unwrap_or(u32::MAX);
        Self { pool: open::pool(open::limited_lists(options), connections_max), gate: ListGate::default() }
    }

    /// Makes a list of `keyspace`; one of several keyspaces is of "". It is made to its end though nobody should wait for
    /// it any more: a connection is never given back in the middle of a transaction.
    pub async fn read<T, R>(&self, keyspace: &str, read: R) -> Result<HeldPage<T>, StoreError>
    where
        T: Send + 'static,
        R: for<'c> FnOnce(&'c mut PgConnection) -> Doing<'c, Result<T, StoreError>> + Send + 'static,
    {
        let place = self.gate.admit(keyspace).await?;
        let pool = self.pool.clone();
        let reading = tokio::spawn(async move {
            let reading = async {
                let mut view = Transaction::begin_read(&pool).await?;
                let page = read(&mut view).await;
                view.finish(page).await
            };
            let page = timeout(CALL_WAIT_MAX, reading).await;
            let page = page.unwrap_or_else(|_| Err(StoreError::unavailable("the server did not answer in time")))?;
            Ok(HeldPage { page, place })
        });
        self.gate.noted(reading.await.map_err(StoreError::fault)?)
    }

    /// Makes no more than this at once.
    pub fn limit(&self, at_once: usize) {
        self.gate.limit(at_once);
    }

    /// What lists there are.
    pub fn stats(&self) -> ListStats {
        self.gate.stats()
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
