//! What verifications leave to be told to the store, beside them or after them.

use std::sync::Arc;

use super::allowance::Book;
use super::uses::Uses;
use super::verdict_counts::VerdictCounts;
use crate::clock::Clock;
use crate::store::{Store, StoreError};
use crate::usage::Usage;

/// How keys were used, and what limited ones have left.
pub struct Ledger {
    pub(super) uses: Uses,
    pub(super) book: Arc<Book>,
    pub(super) verdicts: Arc<VerdictCounts>,
}

impl Ledger {
    /// One whose uses are collected into `usage`. Other processes share `store` if it is `shared`. Must be made within a
    /// tokio runtime.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, usage: Arc<Usage>, shared: bool) -> Self {
        let verdicts = Arc::<VerdictCounts>::default();
        Self { uses: Uses::new(usage, verdicts.clone()), book: Arc::new(Book::new(store, clock, shared)), verdicts }
    }

    /// Collects how keys were used, to be written.
    pub fn collect(&self) {
        self.uses.collect();
    }

    /// Tells the store what was spent, and gives back what was not: see [`Book::settle`].
    ///
    /// # Errors
    /// If the store fails.
    pub async fn settle(&self, last: bool) -> Result<(), StoreError> {
        self.book.settle(last).await
    }

    /// Forgets what there is no need to remember of limited keys. Takes time for each that is known: for now and then.
    pub fn sweep(&self) {
        self.book.sweep();
    }
}
