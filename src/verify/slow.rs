//! Secrets that are checked by Argon2id or the like. Once one proved right, a keyed digest, held in memory only, decides both ways,
//! so that neither a right nor a wrong secret costs another run.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::Sha256;
use tokio::sync::watch;

use super::VerifyError;
use super::cached::{CachedKey, OtherProof, Proof};
use super::throttle::Throttle;
use crate::clock::Clock;
use crate::hashing::{Hashing, HashingError};
use crate::key::secret::{Digest, Secret};
use crate::key::verifier::{Check, Verifier};

/// Most lookups about which something is remembered, at some 200 bytes each: 20 MB.
const REMEMBERED_MAX: usize = 100_000;

/// Checks slow secrets.
#[derive(Clone)]
pub struct SlowSecrets(Arc<Shared>);

struct Shared {
    key: [u8; 32],
    hashing: Arc<Hashing>,
    clock: Arc<dyn Clock>,
    /// By lookup, and by who guesses at it. Outlives what the cache forgets when a key is changed.
    remembered: RwLock<HashMap<String, Remembered>>,
    /// By key and presented string, keyed: what was tried in vain of strings that are other keys' secrets.
    ruled_out: Mutex<HashSet<[u8; 32]>>,
    /// Runs under way, by the keyed digest of what is checked: whoever presents the same waits for the same.
    running: Mutex<HashMap<[u8; 32], Run>>,
}

type Run = watch::Receiver<Option<Result<bool, Arc<HashingError>>>>;

#[derive(Default)]
struct Remembered {
    /// Of the stored verifier, and of the secret that proved right: when the one changes, the other no longer counts.
    right: Option<(Digest, Digest)>,
    throttle: Throttle,
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
            remembered: RwLock::default(),
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
        let remembered = self.0.remembered.read().unwrap_or_else(PoisonError::into_inner);
        let (stored, secret) = remembered.get(&place)?.right?;
        (stored == self.0.digest([&place, phc])).then_some(secret)
    }

    /// Notes that `presented`, which is another key's secret, need not be tried as that of `key` any more.
    pub(super) fn rule_out(&self, key: &CachedKey, presented: &str) {
        let mut ruled_out = self.0.ruled_out.lock().unwrap_or_else(PoisonError::into_inner);
        if ruled_out.len() >= REMEMBERED_MAX {
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
        guesser: &str,
    ) -> Result<bool, VerifyError> {
        let Proof::Other(other) = &key.proof else { return Ok(false) };
        let Some(phc) = other.verifier.phc() else { return Ok(false) };
        let secret = self.0.digest([lookup, proof]);
        // It may have proved right meanwhile, to somebody who asked by another way.
        if let Some(right) = other.warm.get().copied().or_else(|| self.right(lookup, key.keyspace(), &other.verifier)) {
            let _ = other.warm.set(right);
            return Ok(secret == right);
        }
        let mut run = self.run(&place(lookup, key.keyspace()), phc, secret, proof, guesser)?;
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

    /// The run that checks `secret`: one that is under way, or a new one.
    fn run(&self, lookup: &str, phc: &str, secret: Digest, proof: &str, guesser: &str) -> Result<Run, VerifyError> {
        let id = *self.0.digest([phc, proof]).as_bytes();
        let mut running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = running.get(&id) {
            return Ok(run.clone());
        }
        let bucket = if guesser.is_empty() { lookup.to_owned() } else { format!("{lookup} from {guesser}") };
        self.0.take_guess(&bucket)?;
        let (done, run) = watch::channel(None);
        running.insert(id, run.clone());
        drop(running);
        let (shared, lookup, phc) = (self.0.clone(), lookup.to_owned(), phc.to_owned());
        let proof = Secret::new(proof.to_owned());
        // A task of its own: whoever asked first may go away while others wait.
        tokio::spawn(async move {
            let stored = shared.digest([&lookup, &phc]);
            let began = shared.clock.elapsed();
            let proven = shared.hashing.matches(phc, proof).await.map_err(Arc::new);
            shared.note_cost(&bucket, shared.clock.elapsed().saturating_sub(began));
            if let Ok(true) = proven {
                shared.remember(&lookup, stored, secret);
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
    fn take_guess(&self, bucket: &str) -> Result<(), VerifyError> {
        let now = self.clock.elapsed();
        let take = |remembered: &Remembered| remembered.throttle.take(now).map_err(VerifyError::Throttled);
        if let Some(known) = self.remembered.read().unwrap_or_else(PoisonError::into_inner).get(bucket) {
            return take(known);
        }
        take(entry(&mut self.remembered.write().unwrap_or_else(PoisonError::into_inner), bucket))
    }

    /// Notes how long a guess took.
    fn note_cost(&self, bucket: &str, cost: Duration) {
        if let Some(known) = self.remembered.read().unwrap_or_else(PoisonError::into_inner).get(bucket) {
            known.throttle.note_cost(cost);
        }
    }

    fn remember(&self, lookup: &str, stored: Digest, secret: Digest) {
        let mut remembered = self.remembered.write().unwrap_or_else(PoisonError::into_inner);
        entry(&mut remembered, lookup).right = Some((stored, secret));
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

/// What is remembered of `lookup`; if that is nothing yet, there is room for it now.
fn entry<'a>(remembered: &'a mut HashMap<String, Remembered>, lookup: &str) -> &'a mut Remembered {
    if remembered.len() >= REMEMBERED_MAX && !remembered.contains_key(lookup) {
        // Any one will do: what is forgotten costs one run to learn again.
        let victim = remembered.keys().next().cloned();
        victim.and_then(|lookup| remembered.remove(&lookup));
    }
    remembered.entry(lookup.to_owned()).or_default()
}
