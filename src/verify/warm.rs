//! Argon2id secrets that proved right once. From then on a keyed digest, held in memory only, decides both ways, so
//! that neither a right nor a wrong secret costs an Argon2id run.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use hmac::{Hmac, KeyInit, Mac};
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::Sha256;

use crate::key::secret::Digest;

/// Most secrets remembered, at some 150 bytes each: 15 MB.
const REMEMBERED_MAX: usize = 100_000;

/// What each remembered secret digests to, by its lookup.
pub struct WarmSecrets {
    key: [u8; 32],
    digests: RwLock<HashMap<String, Remembered>>,
}

struct Remembered {
    /// Digest of the PHC string: when the stored verifier changes, what was remembered no longer counts.
    stored: Digest,
    /// Digest of the secret.
    secret: Digest,
}

impl Default for WarmSecrets {
    fn default() -> Self {
        let mut key = [0; 32];
        SysRng.try_fill_bytes(&mut key).expect("the operating system gives random bytes");
        Self { key, digests: RwLock::default() }
    }
}

impl WarmSecrets {
    /// Whether `proof` is the secret that `phc` was made of; `None`: not known, ask Argon2id.
    pub fn check(&self, lookup: &str, phc: &str, proof: &str) -> Option<bool> {
        let digests = self.digests.read().unwrap_or_else(PoisonError::into_inner);
        let remembered = digests.get(lookup)?;
        (remembered.stored == self.digest(phc)).then(|| remembered.secret == self.digest(proof))
    }

    /// Remembers that `proof` is the secret that `phc` was made of.
    pub fn remember(&self, lookup: &str, phc: &str, proof: &str) {
        let remembered = Remembered { stored: self.digest(phc), secret: self.digest(proof) };
        let mut digests = self.digests.write().unwrap_or_else(PoisonError::into_inner);
        if digests.len() >= REMEMBERED_MAX && !digests.contains_key(lookup) {
            // Any one will do: what is forgotten costs one Argon2id run to learn again.
            let victim = digests.keys().next().cloned();
            victim.and_then(|lookup| digests.remove(&lookup));
        }
        digests.insert(lookup.to_owned(), remembered);
    }

    fn digest(&self, text: &str) -> Digest {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(text.as_bytes());
        Digest::from_bytes(mac.finalize().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decides_both_ways_until_the_verifier_changes() {
        let warm = WarmSecrets::default();
        assert_eq!(warm.check("ak_1", "phc", "right"), None);
        warm.remember("ak_1", "phc", "right");
        assert_eq!(warm.check("ak_1", "phc", "right"), Some(true));
        assert_eq!(warm.check("ak_1", "phc", "wrong"), Some(false));
        assert_eq!(warm.check("ak_1", "another phc", "right"), None);
        assert_eq!(warm.check("ak_2", "phc", "right"), None);
    }
}
