//! May this key do this? Every verification, of customers' keys and of callers' root keys, ends here.
//!
//! Never writes to the store, and never answers VALID for what it could not read. A key that is known takes no I/O, no
//! lock that anybody holds across I/O, and no memory.

pub mod cache;
mod cached;
mod secrets;
mod slow;
mod throttle;
mod uses;
pub mod verdict;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::hashing::{Hashing, HashingError};
use crate::key::field;
use crate::key::keyspace::SYSTEM;
use crate::key::permission::Reach;
use crate::key::record::{ApiKey, State};
use crate::key::scope::Demand;
use crate::key::secret::Digest;
use crate::key::token::{self, Token};
use crate::key::verifier;
use crate::store::{Found, Store, StoreError};

use cache::Known;
use cached::Proof;
pub use cached::{CachedKey, WriteClaims};
use secrets::Secrets;
use slow::SlowSecrets;
pub use uses::Uses;
use verdict::Verdict;

/// Verifies presented keys.
pub struct Verifier {
    secrets: Secrets,
    slow: SlowSecrets,
    clock: Arc<dyn Clock>,
    uses: Arc<Uses>,
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
    /// [`secrets::FILLS_PENDING_MAX`] look-ups are waiting for the store already.
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

/// A presented string, taken apart: what finds the secret, and what proves it.
#[derive(Clone, Copy)]
struct Presented<'a> {
    lookup: &'a str,
    proof: &'a str,
}

impl Verifier {
    /// A verifier over `store`, which remembers up to about `memory_size_max` bytes of keys if the store tells of every
    /// change. Must be made within a tokio runtime: on it, the store is read.
    pub fn new(
        store: Arc<dyn Store>,
        hashing: Arc<Hashing>,
        clock: Arc<dyn Clock>,
        uses: Arc<Uses>,
        memory_size_max: usize,
        write_claims: WriteClaims,
    ) -> Self {
        let slow = SlowSecrets::new(hashing, clock.clone());
        Self { secrets: Secrets::new(store, memory_size_max), slow, clock, uses, write_claims }
    }

    /// The verdict on a presented key as far as `reach` goes, and notes that the key was used. The order of the checks
    /// is part of the contract.
    pub async fn verify(&self, asked: &Question<'_>, reach: &Reach) -> Result<Verdict, VerifyError> {
        if let Some(verdict) = self.verify_known(asked, reach) {
            return Ok(verdict);
        }
        let Some(presented) = parse(asked, reach) else { return Ok(Verdict::Malformed) };
        let key = match self.secrets.find(presented.lookup, self.reading()).await? {
            Known::Present(key) => key,
            Known::Absent => return Ok(unknown(presented)),
        };
        let now = self.clock.now();
        if !is_candidate(&key, asked, reach, now) {
            return Ok(unknown(presented));
        }
        let proven = match self.proves_at_once(&key, presented, now) {
            Some(proven) => proven,
            None => self.slow.proves(presented.lookup, &key, presented.proof).await?,
        };
        Ok(if proven { self.judge(key, asked, now) } else { Verdict::NotFound })
    }

    /// The same for a key that is known: without waiting for anything. `None`: [`Verifier::verify`] must look it up.
    pub fn verify_known(&self, asked: &Question<'_>, reach: &Reach) -> Option<Verdict> {
        let Some(presented) = parse(asked, reach) else { return Some(Verdict::Malformed) };
        let key = match self.secrets.known(presented.lookup)? {
            Known::Present(key) => key,
            Known::Absent => return Some(unknown(presented)),
        };
        let now = self.clock.now();
        if !is_candidate(&key, asked, reach, now) {
            return Some(unknown(presented));
        }
        let proven = self.proves_at_once(&key, presented, now)?;
        Some(if proven { self.judge(key, asked, now) } else { Verdict::NotFound })
    }

    /// The verdict on a caller's credential: a root key, or the text that an operator supplied as the first one.
    pub async fn verify_root(&self, credential: &str) -> Result<Verdict, VerifyError> {
        self.verify(&root(credential), &Reach::Everywhere).await
    }

    /// The same for one that is known.
    pub fn verify_known_root(&self, credential: &str) -> Option<Verdict> {
        self.verify_known(&root(credential), &Reach::Everywhere)
    }

    /// Whether `key`, which was verified before, is valid still, as far as is known without asking.
    pub fn is_current(&self, key: &CachedKey) -> bool {
        self.secrets.remembers() && !key.is_retired() && self.is_valid(key)
    }

    /// The key as it is now, if it is valid still: for whoever goes on long after it was verified.
    pub async fn renew(&self, key: &CachedKey) -> Result<Option<Arc<CachedKey>>, VerifyError> {
        match self.secrets.find(key.lookup(), self.reading()).await? {
            // What a lookup finds has the secret it had: to have another, a key gets another lookup.
            Known::Present(now) if now.id() == key.id() => Ok(self.is_valid(&now).then_some(now)),
            _ => Ok(None),
        }
    }

    /// Looks into a key: reads the store itself, and is no use of the key.
    pub async fn inspect(&self, asked: &Question<'_>, reach: &Reach) -> Result<Inspected, VerifyError> {
        let nothing = |verdict| Ok(Inspected { verdict, key: None });
        let Some(presented) = parse(asked, reach) else { return nothing(Verdict::Malformed) };
        let Some((found, key)) = self.read_proven(presented, asked, reach).await? else {
            return nothing(Verdict::NotFound);
        };
        Ok(Inspected { verdict: judge(key, asked, self.clock.now()), key: Some(found.key) })
    }

    /// The secret that a presented key is, with its key in whatever state, as the store has it; `None` if it proves
    /// none that is live and within `reach`.
    pub async fn identify(&self, key: &str, reach: &Reach) -> Result<Option<Found>, VerifyError> {
        let asked = Question { key, keyspace: "", demand: Demand::default() };
        let Some(presented) = parse(&asked, reach) else { return Ok(None) };
        Ok(self.read_proven(presented, &asked, reach).await?.map(|(found, _)| found))
    }

    /// How many look-ups the store has had.
    pub fn lookups(&self) -> u64 {
        self.secrets.lookups()
    }

    /// How many keys are remembered.
    pub fn remembered(&self) -> usize {
        self.secrets.remembered()
    }

    async fn read_proven(
        &self,
        presented: Presented<'_>,
        asked: &Question<'_>,
        reach: &Reach,
    ) -> Result<Option<(Found, Arc<CachedKey>)>, VerifyError> {
        let Some(found) = self.secrets.read(presented.lookup).await? else {
            unknown(presented);
            return Ok(None);
        };
        let key = Arc::new(self.reading().cached(presented.lookup, found.clone()));
        let now = self.clock.now();
        if !is_candidate(&key, asked, reach, now) {
            unknown(presented);
            return Ok(None);
        }
        let proven = match self.proves_at_once(&key, presented, now) {
            Some(proven) => proven,
            None => self.slow.proves(presented.lookup, &key, presented.proof).await?,
        };
        Ok(proven.then_some((found, key)))
    }

    /// Whether `presented` proves the secret; `None`: only Argon2id can tell.
    fn proves_at_once(&self, key: &CachedKey, presented: Presented<'_>, now: Timestamp) -> Option<bool> {
        match &key.proof {
            Proof::Sha256(digest) => Some(verifier::sha256(presented.proof) == *digest),
            Proof::Other(other) => self.slow.proves_at_once(presented.lookup, other, presented.proof).or_else(|| {
                // Every stranger's rubbish is looked up here. Once the key has ended it is worth no hashing.
                let worthless = presented.lookup == token::FREE_TEXT_LOOKUP && key.state(now) != State::Active;
                worthless.then_some(false)
            }),
        }
    }

    fn judge(&self, key: Arc<CachedKey>, asked: &Question<'_>, now: Timestamp) -> Verdict {
        let verdict = judge(key, asked, now);
        if let Verdict::Valid(key) = &verdict
            && key.is_use_news(now)
        {
            self.uses.note(key.id(), now);
        }
        verdict
    }

    fn is_valid(&self, key: &CachedKey) -> bool {
        let now = self.clock.now();
        key.is_live(now) && key.state(now) == State::Active
    }

    fn reading(&self) -> secrets::Reading {
        secrets::Reading { slow: self.slow.clone(), write_claims: self.write_claims }
    }
}

fn root(credential: &str) -> Question<'_> {
    Question { key: credential, keyspace: SYSTEM, demand: Demand::default() }
}

/// What finds and what proves the secret of a presented string; `None`: it is of no known form. Where root keys are
/// asked about, that may be free text that an operator chose.
fn parse<'a>(asked: &Question<'a>, reach: &Reach) -> Option<Presented<'a>> {
    match Token::parse(asked.key) {
        Ok(token) => Some(Presented { lookup: token.public_prefix, proof: token.secret }),
        Err(_) if admits(asked, reach, SYSTEM) && field::root_key_text(asked.key).is_ok() => {
            Some(Presented { lookup: token::FREE_TEXT_LOOKUP, proof: asked.key })
        }
        Err(_) => None,
    }
}

/// Whether a key of `keyspace` can answer the question.
fn admits(asked: &Question<'_>, reach: &Reach, keyspace: &str) -> bool {
    (asked.keyspace.is_empty() || asked.keyspace == keyspace) && reach.includes(keyspace)
}

/// Whether the secret is looked at at all: nobody shall make us hash for a key that he cannot reach anyway.
fn is_candidate(key: &CachedKey, asked: &Question<'_>, reach: &Reach, now: Timestamp) -> bool {
    key.is_live(now) && admits(asked, reach, key.keyspace())
}

/// NOT_FOUND, after the same work as for a wrong secret, so that time tells nobody which lookups exist. Not so for
/// Argon2id secrets that were not seen yet: their lookups, which are public, can be told from unknown ones.
fn unknown(presented: Presented<'_>) -> Verdict {
    std::hint::black_box(verifier::sha256(presented.proof) == Digest::from_bytes([0; 32]));
    Verdict::NotFound
}

/// The verdict on a key whose secret is proven.
fn judge(key: Arc<CachedKey>, asked: &Question<'_>, now: Timestamp) -> Verdict {
    match key.state(now) {
        State::Revoked => return Verdict::Revoked(key),
        State::Expired => return Verdict::Expired(key),
        State::Disabled => return Verdict::Disabled(key),
        State::Active => {}
    }
    let missing = asked.demand.missing(&key.scopes(), key.wildcards());
    if missing.is_empty() { Verdict::Valid(key) } else { Verdict::InsufficientScope { key, missing } }
}
