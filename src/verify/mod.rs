//! May this key do this? Every verification, of customers' keys and of callers' root keys, ends here.
//!
//! Never answers VALID for what it could not read. A key that is known takes no I/O, no lock that anybody holds across I/O,
//! and no memory. What verifications change is written behind, but for one thing: credits are taken out of the store before
//! they are spent, ahead of use where that can be.

pub mod allowance;
pub mod cache;
mod cached;
mod guesses;
mod imported;
mod ledger;
mod lookup_queue;
mod memory;
mod resolve;
mod root_tokens;
mod secrets;
mod slow;
mod uses;
pub mod verdict;
mod verdict_counts;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::fleet::{Lease, LeaseOver};
use crate::hashing::{Class, ClassLoad, Hashing, HashingError};
use crate::key::keyspace::SYSTEM;
use crate::key::permission::Reach;
use crate::key::record::{ApiKey, State};
use crate::key::scope::Demand;
use crate::seeded::{self, Fault};
use crate::store::{Store, StoreError};

use allowance::{Standing, Taken};
use cache::Known;
pub use cached::{CachedKey, WriteClaims};
pub use ledger::Ledger;
pub use lookup_queue::{Queue, QueueLoad};
use lookup_queue::{Turn, WAIT_MAX};
pub use memory::Memory;
pub use resolve::Identified;
use resolve::Located;
pub use root_tokens::RootTokens;
use secrets::Secrets;
use slow::SlowSecrets;
use verdict::Verdict;
pub use verdict_counts::VerdictCounts;

/// Verifies presented keys.
pub struct Verifier {
    store: Arc<dyn Store>,
    secrets: Secrets,
    slow: SlowSecrets,
    memory: Arc<Memory>,
    lease: Arc<Lease>,
    clock: Arc<dyn Clock>,
    ledger: Arc<Ledger>,
    write_claims: WriteClaims,
}

/// What is asked about a presented key.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The full key string as presented.
    pub key: &'a str,
    /// The keyspace it must belong to; empty: any within reach but `system`.
    pub keyspace: &'a str,
    /// What it must be allowed to do.
    pub demand: Demand<'a>,
    /// Who presents it, as far as the caller knows.
    pub client: Option<IpAddr>,
    /// How many credits it takes.
    pub cost: i64,
    /// From where a caller presents its own root key: guesses at a slow secret are counted by network. For other keys
    /// that of `client` counts.
    pub peer: Option<IpAddr>,
    /// The root key of the caller who asks. Look-ups of callers take turns.
    pub caller: Option<&'a CachedKey>,
    /// How long a look-up waits for its turn.
    pub lookup_wait_max: Duration,
}

/// How often a key is looked up whose leases run out meanwhile. The second time mostly takes no time: what was slow is
/// remembered.
const LEASES_MAX: u32 = 3;

impl<'a> Question<'a> {
    /// About `key`, in any keyspace but `system` and with no demand but that it is valid.
    pub fn about(key: &'a str) -> Self {
        Self {
            key,
            keyspace: "",
            demand: Demand::default(),
            client: None,
            cost: 1,
            peer: None,
            caller: None,
            lookup_wait_max: WAIT_MAX,
        }
    }

    /// Where a look-up for this waits.
    fn turn(&self, queue: Queue) -> Turn<'_> {
        Turn { queue, caller: self.caller.map_or("", CachedKey::id), wait_max: self.lookup_wait_max }
    }
}

/// How often the store is asked for credits, and answers that there are some, before others have taken them.
const FETCHES_MAX: u32 = 16;

/// A verdict that counts if there still is a lease.
enum Judged {
    /// Of a key, at this time.
    Found(Verdict, Timestamp),
    /// Of none.
    Unfound(Verdict),
}

/// Why there is no verdict. Deny.
#[derive(Clone, Debug, thiserror::Error)]
pub enum VerifyError {
    /// The store failed.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// The secret could not be hashed.
    #[error(transparent)]
    Hashing(Arc<HashingError>),
    /// This secret was guessed at too often of late. The next guess is due after this time.
    #[error("too many wrong secrets for this lookup")]
    Throttled(Duration),
    /// There is no lease, so nobody knows what the other replicas have changed.
    #[error("the lease is over")]
    LeaseOver,
    /// The store answered no look-up while this one waited for its turn.
    #[error("the store answers no look-up")]
    Stalled,
    /// As many look-ups as may are waiting for the store already.
    #[error("too many look-ups are waiting for the store")]
    Overloaded,
}

/// What a look into a presented key found.
#[derive(Debug)]
pub struct Inspected {
    /// The verdict.
    pub verdict: Verdict,
    /// The whole key, where the verdict may show it.
    pub key: Option<ApiKey>,
}

impl From<LeaseOver> for VerifyError {
    fn from(_: LeaseOver) -> Self {
        Self::LeaseOver
    }
}

impl From<StoreError> for VerifyError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl Verifier {
    /// A verifier over `store`, which answers from `memory` while it has a `lease`. Must be made within a tokio runtime:
    /// on it, the store is read.
    pub fn new(
        store: Arc<dyn Store>,
        memory: Arc<Memory>,
        lease: Arc<Lease>,
        hashing: Arc<Hashing>,
        clock: Arc<dyn Clock>,
        ledger: Arc<Ledger>,
        write_claims: WriteClaims,
    ) -> Self {
        let slow = SlowSecrets::new(hashing, clock.clone());
        let secrets = Secrets::new(Arc::clone(&store), memory.clone(), &clock);
        Self { store, secrets, slow, memory, lease, clock, ledger, write_claims }
    }

    /// The verdict on a presented key as far as `reach` goes. Takes what it takes of the key's limits, and counts. The order
    /// of the checks is part of the contract.
    pub async fn verify(&self, asked: &Question<'_>, reach: &Reach) -> Result<Verdict, VerifyError> {
        if let Some(verdict) = self.verify_known(asked, reach) {
            return Ok(verdict);
        }
        for _ in 0..FETCHES_MAX {
            let judged = self.judge_anew(asked, reach).await?;
            match self.settle(judged, asked) {
                Ok(verdict) => return Ok(verdict),
                Err(Wanting::Credits(key)) => {
                    let Some(limited) = key.limited() else { continue };
                    self.ledger.book.fetch(&limited.allowance, asked.cost).await?;
                }
                Err(Wanting::Terms(key)) => self.memory.cache.apply(key.lookup()),
            }
        }
        Err(VerifyError::Overloaded)
    }

    /// The verdict while there is a lease, whatever it takes; what the key has left apart.
    async fn judge_anew(&self, asked: &Question<'_>, reach: &Reach) -> Result<Judged, VerifyError> {
        for _ in 0..LEASES_MAX {
            // Before anything is looked up: what is found rests on a look at the log that is no older.
            let deadline = self.lease.current().await?;
            let judged = self.look_up(asked, reach).await?;
            if self.lease.holds(deadline) {
                return Ok(judged);
            }
        }
        Err(VerifyError::LeaseOver)
    }

    /// The same for a key that is known: without waiting for anything. `None`: [`Verifier::verify`] must look it up.
    pub fn verify_known(&self, asked: &Question<'_>, reach: &Reach) -> Option<Verdict> {
        let mut deadline = self.lease.deadline();
        let judged = self.judge_known(asked, reach)?;
        if seeded::has(Fault::DeadlineLate) {
            deadline = self.lease.deadline();
        }
        // Nothing is imported into `system`, so that what is of no form there stays so.
        let is_malformed = asked.keyspace == SYSTEM && matches!(judged, Judged::Unfound(Verdict::Malformed));
        let is_sure = is_malformed || self.lease.holds(deadline);
        if is_sure { self.settle(judged, asked).ok() } else { None }
    }

    /// The verdict once a key that may do this has given what it takes. What is refused takes nothing.
    fn settle(&self, judged: Judged, asked: &Question<'_>) -> Result<Verdict, Wanting> {
        let (verdict, now) = match judged {
            Judged::Found(Verdict::Valid(key, _), now) => (self.spend(key, asked, now)?, now),
            Judged::Found(verdict, now) => (verdict, now),
            Judged::Unfound(verdict) => {
                // Those of callers are counted where they are refused.
                if asked.keyspace != SYSTEM {
                    self.ledger.verdicts.count_unknown(&verdict);
                }
                return Ok(verdict);
            }
        };
        if let Some((key, ended)) = verdict.counted() {
            self.ledger.uses.note(key, ended, now);
        }
        Ok(verdict)
    }

    fn spend(&self, key: Arc<CachedKey>, asked: &Question<'_>, now: Timestamp) -> Result<Verdict, Wanting> {
        let Some(limited) = key.limited() else { return Ok(Verdict::Valid(key, Standing::default())) };
        match self.ledger.book.take(&limited.allowance, &limited.terms, asked.cost, now) {
            Taken::Yes(standing) => Ok(Verdict::Valid(key, standing)),
            Taken::RateLimited(rate) => Ok(Verdict::RateLimited(key, rate)),
            Taken::CreditsExhausted(left) => Ok(Verdict::CreditsExhausted(key, left)),
            Taken::Unknown => Err(Wanting::Credits(key)),
            Taken::Void => Err(Wanting::Terms(key)),
        }
    }

    /// The verdict on a caller's credential: a root key, or the text that an operator supplied as the first one.
    /// Wrong guesses are counted for the network of each `peer`, lest a stranger's keep the owner out.
    pub async fn verify_root(&self, credential: &str, peer: Option<IpAddr>) -> Result<Verdict, VerifyError> {
        self.verify(&root(credential, peer), &Reach::Everywhere).await
    }

    /// The same for one that is known.
    pub fn verify_known_root(&self, credential: &str) -> Option<Verdict> {
        self.verify_known(&root(credential, None), &Reach::Everywhere)
    }

    /// Whether `key`, which was verified before, is valid still, as far as is known without asking.
    pub fn is_current(&self, key: &CachedKey) -> bool {
        let deadline = self.lease.deadline();
        !key.is_retired() && self.is_valid(key) && self.lease.holds(deadline)
    }

    /// The key as it is now, if it is valid still: for whoever goes on long after it was verified.
    pub async fn renew(&self, key: &CachedKey) -> Result<Option<Arc<CachedKey>>, VerifyError> {
        for _ in 0..LEASES_MAX {
            let deadline = self.lease.current().await?;
            let turn = Turn { queue: Queue::Callers, caller: key.id(), wait_max: WAIT_MAX };
            let now = match self.secrets.find(key.lookup(), turn, &self.reading()).await? {
                // What a lookup finds has the secret it had: to have another, a key gets another lookup.
                Known::Present(first) => {
                    let now = first.with_others().find(|now| now.id() == key.id());
                    now.filter(|now| self.is_valid(now)).cloned()
                }
                Known::Absent => None,
            };
            if self.lease.holds(deadline) {
                return Ok(now);
            }
        }
        Err(VerifyError::LeaseOver)
    }

    /// Looks into a key: reads the store itself, and is no use of the key.
    pub async fn inspect(&self, asked: &Question<'_>, reach: &Reach) -> Result<Inspected, VerifyError> {
        let Located { found, untold, has_form } = self.locate(asked, reach).await?;
        match (found.into_iter().next(), untold) {
            (Some((found, key)), _) => {
                let verdict = judge(key, asked, self.clock.now());
                Ok(Inspected { verdict: self.peek(verdict, &found.key, asked), key: Some(found.key) })
            }
            (None, Some(error)) => Err(error),
            (None, None) => {
                let verdict = if has_form { Verdict::NotFound } else { Verdict::Malformed };
                Ok(Inspected { verdict, key: None })
            }
        }
    }

    /// The verdict as it would be once the key had given what it takes. It gives nothing.
    fn peek(&self, verdict: Verdict, stored: &ApiKey, asked: &Question<'_>) -> Verdict {
        let Verdict::Valid(key, _) = &verdict else { return verdict };
        let Some(limited) = key.limited() else { return verdict };
        let now = self.clock.now();
        let credits = stored.credits.as_ref().map(|credits| credits.at(now).remaining);
        match self.ledger.book.peek(&limited.allowance, &limited.terms, asked.cost, credits) {
            Taken::Yes(standing) => Verdict::Valid(key.clone(), standing),
            Taken::RateLimited(rate) => Verdict::RateLimited(key.clone(), rate),
            Taken::CreditsExhausted(left) => Verdict::CreditsExhausted(key.clone(), left),
            Taken::Unknown | Taken::Void => verdict,
        }
    }

    /// The secrets that a presented key is: none if it proves none that is live and within `reach`; several if it was
    /// imported in several forms, or into several keyspaces.
    pub async fn identify(&self, asked: &Question<'_>, reach: &Reach) -> Result<Identified, VerifyError> {
        let located = self.locate(asked, reach).await?;
        let found = located.found.into_iter().map(|(found, _)| found).collect();
        Ok(Identified { found, untold: located.untold })
    }

    /// How busy the hashing of a class is.
    pub fn hashing_load(&self, class: Class) -> ClassLoad {
        self.slow.load(class)
    }

    /// How busy a queue of look-ups is.
    pub fn lookup_load(&self, queue: Queue) -> QueueLoad {
        self.secrets.load(queue)
    }

    /// The number of verifications by verdict.
    pub fn verdict_counts(&self) -> &VerdictCounts {
        &self.ledger.verdicts
    }

    /// How many look-ups the store has had.
    pub fn lookups(&self) -> u64 {
        self.secrets.lookups()
    }

    /// How many keys are remembered.
    pub fn remembered(&self) -> usize {
        self.secrets.remembered()
    }

    fn is_valid(&self, key: &CachedKey) -> bool {
        let now = self.clock.now();
        key.is_live(now) && key.state(now) == State::Active
    }

    fn reading(&self) -> secrets::Reading {
        secrets::Reading {
            slow: self.slow.clone(),
            write_claims: self.write_claims,
            book: self.ledger.book.clone(),
            clock: self.clock.clone(),
        }
    }
}

fn root(credential: &str, peer: Option<IpAddr>) -> Question<'_> {
    Question { keyspace: SYSTEM, peer, ..Question::about(credential) }
}

/// What has to come before a verdict.
enum Wanting {
    /// The store must be asked for credits of this key.
    Credits(Arc<CachedKey>),
    /// This key must be read again.
    Terms(Arc<CachedKey>),
}

/// Whether a key of `keyspace` can answer the question.
fn admits(asked: &Question<'_>, reach: &Reach, keyspace: &str) -> bool {
    (asked.keyspace.is_empty() || asked.keyspace == keyspace) && reach.includes(keyspace)
}

/// The verdict on a key whose secret is proven.
fn judge(key: Arc<CachedKey>, asked: &Question<'_>, now: Timestamp) -> Verdict {
    match key.state(now) {
        State::Revoked => return Verdict::Revoked(key),
        State::Expired => return Verdict::Expired(key),
        State::Disabled => return Verdict::Disabled(key),
        State::Active => {}
    }
    if !key.allows(asked.client) {
        return Verdict::IpNotAllowed(key);
    }
    let missing = asked.demand.missing(&key.scopes(), key.wildcards());
    if missing.is_empty() {
        Verdict::Valid(key, Standing::default())
    } else {
        Verdict::InsufficientScope { key, missing }
    }
}
