//! What verifications are answered from: keys that were looked up before, and how imported ones are found. It hears of
//! every change.

use std::sync::Arc;

use tokio::sync::watch;

use super::VerifyError;
use super::cache::{Cache, Known};
use super::cached::CachedKey;
use super::imported::Forms;
use super::root_tokens::RootTokens;
#[cfg(feature = "seeded-faults")]
use crate::seeded::{self, Fault};
use crate::store::log::{Change, Listener};

/// Lookups that are known to find nothing take at most this much of memory: about 100,000 of them.
const ABSENT_SIZE_MAX: usize = 8 * 1024 * 1024;
/// Parts of the cache, each with a lock of its own. A part that grows holds its lock while it does: at ten million keys
/// it moves 40,000 of them.
const SHARDS: usize = 256;

/// What is remembered.
pub struct Memory {
    pub(super) cache: Cache<Arc<CachedKey>, Fill>,
    pub(super) forms: Forms,
    pub(super) root_tokens: RootTokens,
}

/// A look-up under way, for those who wait for what comes of it.
pub(super) type Fill = watch::Sender<Option<Outcome>>;

/// What came of a look-up. Errors are shared, as the look-up is.
pub(super) type Outcome = Result<Known<Arc<CachedKey>>, VerifyError>;

impl Memory {
    /// Of up to about `size_max` bytes of keys.
    pub fn new(size_max: usize) -> Self {
        Self {
            cache: Cache::new(SHARDS, size_max, ABSENT_SIZE_MAX),
            forms: Forms::default(),
            root_tokens: RootTokens::default(),
        }
    }
}

impl Listener for Memory {
    fn changed(&self, changes: &[Change]) {
        for change in changes {
            match change {
                #[cfg(feature = "seeded-faults")]
                Change::Secret(lookup) if seeded::has(Fault::UnpoisonedFill) => self.cache.drop_known(lookup),
                Change::Secret(lookup) => self.cache.apply(lookup),
                Change::Keyspace(id) => {
                    self.cache.apply_to_all(|first| first.with_others().any(|key| key.keyspace() == id));
                }
                Change::Form(keyspace, form) => self.forms.add(keyspace, *form),
                Change::All => {
                    self.cache.apply_to_all(|_| true);
                    self.root_tokens.doubt();
                }
            }
        }
    }
}
