//! May this key do this? Every verification, of customers' keys and of callers' root keys, ends here.
//!
//! Never writes to the store, and never answers VALID for what it could not read.

mod uses;
pub mod verdict;
mod warm;

use std::sync::Arc;

use crate::clock::Clock;
use crate::hashing::{Hashing, HashingError};
use crate::key::field;
use crate::key::keyspace::SYSTEM;
use crate::key::permission::Reach;
use crate::key::record::State;
use crate::key::scope::Demand;
use crate::key::secret::{Digest, Secret};
use crate::key::token::{self, Token};
use crate::key::verifier::{self, Verifier as Stored};
use crate::store::{Found, Store, StoreError};

pub use uses::Uses;
use verdict::Verdict;
use warm::WarmSecrets;

/// Verifies presented keys.
pub struct Verifier {
    store: Arc<dyn Store>,
    hashing: Arc<Hashing>,
    clock: Arc<dyn Clock>,
    warm: WarmSecrets,
    uses: Arc<Uses>,
}

/// Why there is no verdict. Deny.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The secret could not be hashed.
    #[error(transparent)]
    Hashing(#[from] HashingError),
}

/// A presented string, taken apart: what finds the secret, and what proves it.
#[derive(Clone, Copy)]
struct Presented<'a> {
    lookup: &'a str,
    proof: &'a str,
}

impl Verifier {
    /// A verifier over `store`.
    pub fn new(store: Arc<dyn Store>, hashing: Arc<Hashing>, clock: Arc<dyn Clock>, uses: Arc<Uses>) -> Self {
        Self { store, hashing, clock, warm: WarmSecrets::default(), uses }
    }

    /// The verdict on a presented key, as `demand` asks and as far as `reach` goes, and notes that the key was used. The
    /// order of the checks is part of the contract.
    pub async fn verify(&self, key: &str, demand: Demand<'_>, reach: &Reach) -> Result<Verdict, VerifyError> {
        let verdict = self.inspect(key, demand, reach).await?;
        self.note_use(&verdict);
        Ok(verdict)
    }

    /// The same for whoever looks into a key: it is no use of it.
    pub async fn inspect(&self, key: &str, demand: Demand<'_>, reach: &Reach) -> Result<Verdict, VerifyError> {
        match parse(key, reach) {
            Some(presented) => self.judge(presented, demand, reach).await,
            None => Ok(Verdict::Malformed),
        }
    }

    /// The verdict on a caller's credential: a root key, or the text that an operator supplied as the first one.
    pub async fn verify_root(&self, credential: &str) -> Result<Verdict, VerifyError> {
        self.verify(credential, Demand::default(), &Reach::Only(vec![SYSTEM.to_owned()])).await
    }

    /// The secret that a presented key is, with its key in whatever state; `None` if it proves none that is live and
    /// within `reach`.
    pub async fn identify(&self, key: &str, reach: &Reach) -> Result<Option<Found>, VerifyError> {
        match parse(key, reach) {
            Some(presented) => self.find(presented, reach).await,
            None => Ok(None),
        }
    }

    fn note_use(&self, verdict: &Verdict) {
        if let Verdict::Valid(key) = verdict {
            self.uses.note(&key.id, self.clock.now());
        }
    }

    async fn judge(&self, presented: Presented<'_>, demand: Demand<'_>, reach: &Reach) -> Result<Verdict, VerifyError> {
        let Some(Found { key, wildcards, .. }) = self.find(presented, reach).await? else {
            return Ok(Verdict::NotFound);
        };
        let now = self.clock.now();
        match key.state(now) {
            State::Revoked => return Ok(Verdict::Revoked(key)),
            State::Expired => return Ok(Verdict::Expired(key)),
            State::Disabled => return Ok(Verdict::Disabled(key)),
            State::Active => {}
        }
        let missing = demand.missing(&key.scopes, wildcards);
        if !missing.is_empty() {
            return Ok(Verdict::InsufficientScope { key, missing });
        }
        Ok(Verdict::Valid(key))
    }

    async fn find(&self, presented: Presented<'_>, reach: &Reach) -> Result<Option<Found>, VerifyError> {
        let found = self.store.find_secret(presented.lookup).await?;
        let now = self.clock.now();
        // Before the secret is looked at: nobody shall make us hash for a key that he cannot reach anyway.
        let found = found.filter(|found| {
            let live = found.secret_expire_time.is_none_or(|at| at > now);
            live && reach.includes(&found.key.keyspace)
        });
        let proven = match &found {
            Some(found) => self.proves(presented, found).await?,
            // The same work as for a wrong secret, so that time tells nobody which lookups exist. Not so for Argon2id
            // secrets that were not seen yet: their lookups, which are public, can be told from unknown ones.
            None => verifier::sha256(presented.proof) == Digest::from_bytes([0; 32]),
        };
        Ok(found.filter(|_| proven))
    }

    async fn proves(&self, presented: Presented<'_>, found: &Found) -> Result<bool, HashingError> {
        let phc = match &found.verifier {
            Stored::Sha256(digest) => return Ok(verifier::sha256(presented.proof) == *digest),
            Stored::Argon2id(phc) => phc,
        };
        if let Some(known) = self.warm.check(presented.lookup, phc, presented.proof) {
            return Ok(known);
        }
        let free_text = presented.lookup == token::FREE_TEXT_LOOKUP;
        if free_text && found.key.state(self.clock.now()) != State::Active {
            // Every stranger's rubbish is looked up here. Once the key has ended it is worth no hashing.
            return Ok(false);
        }
        let matches = self.hashing.matches(phc.clone(), Secret::new(presented.proof.to_owned())).await?;
        if matches {
            self.warm.remember(presented.lookup, phc, presented.proof);
        }
        Ok(matches)
    }
}

/// What finds and what proves the secret of a presented string; `None`: it is of no known form. Where root keys can be
/// reached, that may be free text that an operator chose.
fn parse<'a>(presented: &'a str, reach: &Reach) -> Option<Presented<'a>> {
    match Token::parse(presented) {
        Ok(token) => Some(Presented { lookup: token.public_prefix, proof: token.secret }),
        Err(_) if reach.includes(SYSTEM) && field::root_key_text(presented).is_ok() => {
            Some(Presented { lookup: token::FREE_TEXT_LOOKUP, proof: presented })
        }
        Err(_) => None,
    }
}
