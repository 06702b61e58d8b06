//! Secrets that are checked by Argon2id or the like. Once one proved right, a keyed digest, held in memory only, decides both ways,
//! so that neither a right nor a wrong secret costs another run.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use hmac::{Hmac, KeyInit, Mac};
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::Sha256;
use tokio::sync::watch;

use super::VerifyError;
use super::cached::{CachedKey, OtherProof, Proof};
use super::guesses::Guesses;
use crate::client_network::ClientNetwork;
use crate::clock::Clock;
use crate::hashing::{Class, ClassLoad, Hashing, HashingError, Requester};
use crate::key::keyspace::SYSTEM;
use crate::key::secret::{Digest, Secret};
use crate::key::token::FREE_TEXT_LOOKUP;
use crate::key::verifier::{Check, HashCost, Verifier};

/// Most secrets that are remembered to have proved right, at some 200 bytes each: 20 MB.
const PROVEN_MAX: usize = 100_000;

/// Checks slow secrets.
#[derive(Clone)]
pub struct SlowSecrets(Arc<Shared>);

struct Shared {
    key: [u8; 32],
    hashing: Arc<Hashing>,
    clock: Arc<dyn Clock>,
    /// By lookup. Only who presents a right secret adds to it, so no guesses drive anything out. Outlives what the cache
    /// forgets when a key is changed.
    proven: RwLock<HashMap<String, Proven>>,
    guesses: Guesses,
    /// By key and presented string, keyed: what was tried in vain of strings that are other keys' secrets.
    ruled_out: Mutex<HashSet<[u8; 32]>>,
    /// Runs under way, by the keyed digest of what is checked: whoever presents the same waits for the same.
    running: Mutex<HashMap<[u8; 32], Run>>,
}

type Run = watch::Receiver<Option<Result<bool, Arc<HashingError>>>>;

/// Keyed digests of the stored verifier, and of the secret that proved right: when the one changes, the other no longer
/// counts.
struct Proven {
    stored: Digest,
    secret: Digest,
}

/// On whose behalf a secret is checked.
#[derive(Clone, Copy)]
pub(super) struct Presenter<'a> {
    /// Whose turn the hashing takes.
    pub requester: Requester<'a>,
    /// Whose guess it is; `None`: it is no guess, but the operator's own secret.
    pub network: Option<ClientNetwork>,
}

impl SlowSecrets {
    /// Checks by `hashing`. The key of the digests is made now and dies with the process.
    pub fn new(hashing: Arc<Hashing>, clock: Arc<dyn Clock>) -> Self {
        let mut key = [0; 32];
        SysRng.try_fill_bytes(&mut key).expect("the operating system gives random bytes");
        Self(Arc::new(Shared {
            key,
            hashing,
            clock,
            proven: RwLock::default(),
            guesses: Guesses::default(),
            running: Mutex::default(),
            ruled_out: Mutex::default(),
        }))
    }

    /// Whether `proof` is the secret; `None`: it must be hashed to tell.
    pub(super) fn proves_at_once(&self, lookup: &str, other: &OtherProof, proof: &str) -> Option<bool> {
        if let Check::Decided(proven) = other.verifier.check(proof) {
            return Some(proven);
        }
        other.warm.get().map(|right| self.0.digest([lookup, proof]) == *right)
    }

    /// The digest of the right secret, if it was presented before and `verifier` is still what it was.
    pub(super) fn right(&self, lookup: &str, keyspace: &str, verifier: &Verifier) -> Option<Digest> {
        let phc = verifier.phc()?;
        let place = place(lookup, keyspace);
        let proven = self.0.proven.read().unwrap_or_else(PoisonError::into_inner);
        let Proven { stored, secret } = proven.get(&place)?;
        (*stored == self.0.digest([&place, phc])).then_some(*secret)
    }

    /// How busy the hashing of `class` is.
    pub(super) fn load(&self, class: Class) -> ClassLoad {
        self.0.hashing.load(class)
    }

    /// Notes that `presented`, which is another key's secret, need not be tried as that of `key` any more.
    pub(super) fn rule_out(&self, key: &CachedKey, presented: &str) {
        let mut ruled_out = self.0.ruled_out.lock().unwrap_or_else(PoisonError::into_inner);
        if ruled_out.len() >= PROVEN_MAX {
            // What is forgotten costs one run to learn again.
            ruled_out.clear();
        }
        ruled_out.insert(*self.0.digest([key.id(), presented]).as_bytes());
    }

    /// Whether [`Self::rule_out`] was called with these.
    pub(super) fn is_ruled_out(&self, key: &CachedKey, presented: &str) -> bool {
        let ruled_out = self.0.ruled_out.lock().unwrap_or_else(PoisonError::into_inner);
        ruled_out.contains(self.0.digest([key.id(), presented]).as_bytes())
    }

    /// Whether `proof` is the secret of `key`, whatever it takes to find out.
    ///
    /// # Errors
    /// If it cannot be found out now.
    pub(super) async fn proves(
        &self,
        lookup: &str,
        key: &CachedKey,
        proof: &str,
        by: Presenter<'_>,
    ) -> Result<bool, VerifyError> {
        let Proof::Other(other) = &key.proof else { return Ok(false) };
        let Some(phc) = other.verifier.phc() else { return Ok(false) };
        let secret = self.0.digest([lookup, proof]);
        // It may have proved right meanwhile, to somebody who asked by another way.
        if let Some(right) = other.warm.get().copied().or_else(|| self.right(lookup, key.keyspace(), &other.verifier)) {
            let _ = other.warm.set(right);
            return Ok(secret == right);
        }
        let mut run = self.run(&place(lookup, key.keyspace()), (phc, other.verifier.cost()), secret, proof, by)?;
        let done = run.wait_for(Option::is_some).await.ok().and_then(|done| done.clone());
        match done {
            Some(Ok(proven)) => {
                if proven {
                    let _ = other.warm.set(secret);
                }
                Ok(proven)
            }
            Some(Err(error)) => Err(VerifyError::Hashing(error)),
            None => Err(VerifyError::Hashing(Arc::new(HashingError::Busy))),
        }
    }

    /// Returns the run that checks `secret`: one that is under way, or a new one.
    fn run(
        &self,
        lookup: &str,
        (phc, cost): (&str, HashCost),
        secret: Digest,
        proof: &str,
        by: Presenter<'_>,
    ) -> Result<Run, VerifyError> {
        let id = *self.0.digest([phc, proof]).as_bytes();
        let mut running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = running.get(&id) {
            return Ok(run.clone());
        }
        let time = self.0.hashing.time(cost);
        if let Some(network) = by.network {
            let taken = self.0.guesses.take(lookup, network, time, self.0.clock.elapsed());
            taken.map_err(VerifyError::Throttled)?;
        }
        let (done, run) = watch::channel(None);
        running.insert(id, run.clone());
        drop(running);
        let (shared, lookup, phc) = (self.0.clone(), lookup.to_owned(), phc.to_owned());
        let proof = Secret::new(proof.to_owned());
        let (class, keyspace, network) = (by.requester.class(), by.requester.keyspace().to_owned(), by.network);
        // A task of its own: whoever asked first may go away while others wait.
        tokio::spawn(async move {
            let stored = shared.digest([&lookup, &phc]);
            let requester = Requester::of(class, &keyspace);
            let proven = shared.hashing.matches(requester, cost, phc, proof).await.map_err(Arc::new);
            match (&proven, network) {
                (Ok(true), _) => shared.remember(&lookup, stored, secret),
                (Err(error), Some(network)) if matches!(**error, HashingError::Busy) => {
                    shared.guesses.give_back(&lookup, network, time);
                }
                _ => {}
            }
            shared.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            let _ = done.send(Some(proven));
        });
        Ok(run)
    }
}

/// Under what is remembered what a lookup finds in a keyspace.
fn place(lookup: &str, keyspace: &str) -> String {
    format!("{lookup} in {keyspace}")
}

impl Shared {
    fn remember(&self, lookup: &str, stored: Digest, secret: Digest) {
        let mut proven = self.proven.write().unwrap_or_else(PoisonError::into_inner);
        if proven.len() >= PROVEN_MAX && !proven.contains_key(lookup) {
            // Any one will do, for what is forgotten costs one run to learn again; but that of free text strangers can
            // delay.
            let free_text = place(FREE_TEXT_LOOKUP, SYSTEM);
            let victim = proven.keys().find(|lookup| **lookup != free_text).cloned();
            victim.and_then(|lookup| proven.remove(&lookup));
        }
        proven.insert(lookup.to_owned(), Proven { stored, secret });
    }

    /// Keyed, and of each part by itself: no two lists of parts have the same.
    fn digest<const N: usize>(&self, parts: [&str; N]) -> Digest {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        for part in parts {
            mac.update(&part.len().to_be_bytes());
            mac.update(part.as_bytes());
        }
        Digest::from_bytes(mac.finalize().into_bytes().into())
    }
}
