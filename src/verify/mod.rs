//! May this key do this? Every verification, of customers' keys and of callers' root keys, ends here.
//!
//! Never writes to the store, and never answers VALID for what it could not read.

mod uses;
pub mod verdict;
mod warm;

use std::sync::Arc;

use crate::clock::Clock;
use crate::hashing::{Hashing, HashingError};
use crate::key::keyspace::SYSTEM;
use crate::key::permission::Reach;
use crate::key::record::State;
use crate::key::scope::Demand;
use crate::key::secret::{Digest, Secret};
use crate::key::token::{self, PRESENTED_LEN_MAX, Token};
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

    /// The verdict on a presented key, as `demand` asks and as far as `reach` goes. The order of the checks is part of
    /// the contract.
    pub async fn verify(&self, key: &str, demand: Demand<'_>, reach: &Reach) -> Result<Verdict, VerifyError> {
        match Token::parse(key) {
            Ok(token) => self.judge(token.into(), demand, reach).await,
            Err(_) => Ok(Verdict::Malformed),
        }
    }

    /// The verdict on a caller's credential: a root key, or the text that an operator supplied as the first one.
    pub async fn verify_root(&self, credential: &str) -> Result<Verdict, VerifyError> {
        if credential.len() > PRESENTED_LEN_MAX {
            return Ok(Verdict::Malformed);
        }
        let root_keys = Reach::Only(vec![SYSTEM.to_owned()]);
        self.judge(credential_parts(credential), Demand::default(), &root_keys).await
    }

    /// The secret that a presented key is, with its key in whatever state; `None` if it proves none that is live and
    /// within `reach`.
    pub async fn identify(&self, key: &str, reach: &Reach) -> Result<Option<Found>, VerifyError> {
        match Token::parse(key) {
            Ok(token) => self.find(token.into(), reach).await,
            Err(_) => Ok(None),
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
        self.uses.note(&key.id, now);
        Ok(Verdict::Valid(key))
    }

    async fn find(&self, presented: Presented<'_>, reach: &Reach) -> Result<Option<Found>, VerifyError> {
        let found = self.store.find_secret(presented.lookup).await?;
        let proven = match &found {
            Some(found) => self.proves(presented, &found.verifier).await?,
            // The same work as for a wrong secret, so that time tells nobody which lookups exist.
            None => verifier::sha256(presented.proof) == Digest::from_bytes([0; 32]),
        };
        let now = self.clock.now();
        Ok(found.filter(|found| {
            let live = found.secret_expire_time.is_none_or(|at| at > now);
            proven && live && reach.includes(&found.key.keyspace)
        }))
    }

    async fn proves(&self, presented: Presented<'_>, stored: &Stored) -> Result<bool, HashingError> {
        match stored {
            Stored::Sha256(digest) => Ok(verifier::sha256(presented.proof) == *digest),
            Stored::Argon2id(phc) => {
                if let Some(known) = self.warm.check(presented.lookup, phc, presented.proof) {
                    return Ok(known);
                }
                let matches = self.hashing.matches(phc.clone(), Secret::new(presented.proof.to_owned())).await?;
                if matches {
                    self.warm.remember(presented.lookup, phc, presented.proof);
                }
                Ok(matches)
            }
        }
    }
}

/// What finds and what proves a root credential, which may be free text that an operator chose.
fn credential_parts(credential: &str) -> Presented<'_> {
    Token::parse(credential).map_or(Presented { lookup: token::FREE_TEXT_LOOKUP, proof: credential }, Presented::from)
}

impl<'a> From<Token<'a>> for Presented<'a> {
    fn from(token: Token<'a>) -> Self {
        Self { lookup: token.public_prefix, proof: token.secret }
    }
}
