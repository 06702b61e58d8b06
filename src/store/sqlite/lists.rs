//! Where lists are read: a few readers of their own, so that nothing else waits for them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection, SqlitePool};
use tokio::time::sleep;

use super::open;
use crate::store::StoreError;
use crate::store::gate::{HeldPage, ListGate, ListStats, PLACES_MAX};

/// How long a list may take. While it goes on, the log of the file cannot be folded in beyond what the list sees.
const TIME_MAX: Duration = Duration::from_secs(5);
/// How many steps of SQLite's machine there are between two looks at whether a list is to go on: far less than a
/// millisecond.
const STEPS: i32 = 10_000;

/// What a list does with its reader, on which it sees one commit.
pub type Reading<'c, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'c>>;

/// The readers, and who has a place on them.
#[derive(Debug)]
pub struct Lists {
    readers: SqlitePool,
    gate: ListGate,
}

impl Lists {
    /// Opens no reader yet.
    pub fn new(writer: &SqliteConnectOptions) -> Self {
        let connections_max = u32::try_from(PLACES_MAX).unwrap_or(u32::MAX);
        let readers = open::readers(writer, connections_max);
        Self { readers, gate: ListGate::default() }
    }

    /// Makes a list of `keyspace`; one of several keyspaces is of "". It ends when nobody waits for it any more.
    pub async fn read<T, R>(&self, keyspace: &str, read: R) -> Result<HeldPage<T>, StoreError>
    where
        T: Send + 'static,
        R: for<'c> FnOnce(&'c mut SqliteConnection) -> Reading<'c, T> + Send + 'static,
    {
        let place = self.gate.admit(keyspace).await?;
        let ended = Ended::default();
        let (readers, is_ended) = (self.readers.clone(), ended.0.clone());
        let mut reading = tokio::spawn(async move {
            let mut conn = readers.acquire().await?;
            conn.lock_handle().await?.set_progress_handler(STEPS, move || !is_ended.load(Ordering::Relaxed));
            let page = read_in_view(&mut conn, read).await;
            conn.lock_handle().await?.remove_progress_handler();
            Ok(HeldPage { page: page?, place })
        });
        let result = tokio::select! {
            result = &mut reading => result,
            () = sleep(TIME_MAX) => {
                ended.0.store(true, Ordering::Relaxed);
                reading.await
            }
        };
        self.gate.noted(result.map_err(StoreError::fault)?)
    }

    /// Makes no more than this at once.
    pub fn limit(&self, at_once: usize) {
        self.gate.limit(at_once);
    }

    /// What lists there are.
    pub fn stats(&self) -> ListStats {
        self.gate.stats()
    }

    /// Closes the readers.
    pub async fn close(&self) {
        self.readers.close().await;
    }
}

async fn read_in_view<T, R>(conn: &mut SqliteConnection, read: R) -> Result<T, StoreError>
where
    R: for<'c> FnOnce(&'c mut SqliteConnection) -> Reading<'c, T>,
{
    // The first read fixes what is seen.
    let mut view = conn.begin().await?;
    let result = read(&mut view).await;
    view.rollback().await?;
    result
}

/// Says to end once it is dropped, as it is with the call that waits.
#[derive(Default)]
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
