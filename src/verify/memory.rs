//! What verifications are answered from: keys that were looked up before, and how imported ones are found. It hears of
//! every change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::VerifyError;
use super::cache::{Cache, Known};
use super::cached::CachedKey;
use super::imported::Forms;
use super::lookup_queue::{Queue, Turn};
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
pub(super) struct Fill {
    outcome: watch::Sender<Option<Outcome>>,
    /// Where it waits for its place.
    queue: Queue,
    caller: Box<str>,
    wait_max: Duration,
    is_claimed: AtomicBool,
}

/// What came of a look-up. Errors are shared, as the look-up is.
pub(super) type Outcome = Result<Known<Arc<CachedKey>>, VerifyError>;

impl Fill {
    /// A look-up that waits for `turn`.
    pub fn new(turn: Turn<'_>) -> Self {
        let Turn { queue, caller, wait_max } = turn;
        let outcome = watch::Sender::new(None);
        Self { outcome, queue, caller: caller.into(), wait_max, is_claimed: AtomicBool::new(false) }
    }

    /// Waits for what comes of it.
    pub async fn outcome(&self) -> Outcome {
        let mut outcome = self.outcome.subscribe();
        let ended = outcome.wait_for(Option::is_some).await.expect("its sender is here");
        ended.clone().expect("it is some")
    }

    /// Claims the right to end it, which only the first one gets. Whether this is the first.
    pub fn claim(&self) -> bool {
        !self.is_claimed.swap(true, Ordering::AcqRel)
    }

    /// Whether it waits for no place any more: one has come, or it was refused.
    pub fn is_claimed(&self) -> bool {
        self.is_claimed.load(Ordering::Acquire)
    }

    /// Whether a call need not wait for `turn` beside it.
    pub fn is_as_soon_as(&self, turn: Turn<'_>) -> bool {
        let is_of_its_queue = self.queue == turn.queue && *self.caller == *turn.caller;
        self.is_claimed() || is_of_its_queue && self.wait_max <= turn.wait_max
    }

    /// Tells all who wait what came of it.
    pub fn end(&self, outcome: Outcome) {
        self.outcome.send_replace(Some(outcome));
    }
}

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
