//! What the store keeps to check a secret against.
//!
//! An issued secret has 190 random bits: a fast digest is as safe as a slow one. A secret of unknown entropy gets
//! Argon2id, which costs a guesser as much as it costs us. An imported one keeps what it was kept as before.

use std::fmt;

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::phc::Phc;
use super::secret::Digest;

/// Memory of one Argon2id run, in KiB: 19 MiB with two passes and one lane is OWASP's first recommendation
/// (Password Storage Cheat Sheet, "Argon2id"). Each run in flight costs this much.
pub const ARGON2_MEMORY_KIB: u32 = 19 * 1024;
/// Passes over that memory.
pub const ARGON2_PASSES: u32 = 2;
/// Lanes.
pub const ARGON2_LANES: u32 = 1;

/// What one check of a secret takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashCost {
    /// How long, in runs of [`argon2id`].
    pub runs: u32,
    /// How much memory, in bytes.
    pub memory: usize,
}

/// What [`argon2id`] takes.
pub const ARGON2_COST: HashCost = HashCost { runs: 1, memory: ARGON2_MEMORY_KIB as usize * 1024 };

/// What the store keeps of one secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Verifier {
    /// SHA-256 of the secret part; of the whole string, if it was imported.
    Sha256(Digest),
    /// Argon2id in PHC form, with its own salt and parameters.
    Argon2id(String),
    /// SHA-384 of an imported secret.
    Sha384(Digest<48>),
    /// SHA-512 of an imported secret.
    Sha512(Digest<64>),
    /// An imported string that says how to check a secret against it.
    Phc(Phc),
}

/// Whether a secret is the one that a verifier was made of, as far as that can be told at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check<'a> {
    /// It is, or it is not.
    Decided(bool),
    /// Only [`super::phc::matches`] of this string can tell: not on an async thread.
    Costly(&'a str),
}

impl Verifier {
    /// Checks `proof`. Digests are compared in constant time.
    pub fn check(&self, proof: &str) -> Check<'_> {
        match self {
            Self::Sha256(digest) => Check::Decided(sha256(proof) == *digest),
            Self::Sha384(digest) => Check::Decided(sha384(proof) == *digest),
            Self::Sha512(digest) => Check::Decided(sha512(proof) == *digest),
            Self::Argon2id(phc) => Check::Costly(phc),
            Self::Phc(phc) => Check::Costly(phc.as_str()),
        }
    }

    /// What a check takes; nothing worth counting, if it is decided at once.
    pub fn cost(&self) -> HashCost {
        match self {
            Self::Sha256(_) | Self::Sha384(_) | Self::Sha512(_) => HashCost { runs: 0, memory: 0 },
            Self::Argon2id(_) => ARGON2_COST,
            Self::Phc(phc) => HashCost { runs: phc.runs(), memory: phc.memory() },
        }
    }

    /// The string that says how to check a secret against it, where that is costly.
    pub fn phc(&self) -> Option<&str> {
        match self {
            Self::Argon2id(phc) => Some(phc),
            Self::Phc(phc) => Some(phc.as_str()),
            Self::Sha256(_) | Self::Sha384(_) | Self::Sha512(_) => None,
        }
    }
}

/// It opens nothing, but guessing at a weak secret offline starts from it, so it is not for logs.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256(_) => "Sha256([redacted])",
            Self::Argon2id(_) => "Argon2id([redacted])",
            Self::Sha384(_) => "Sha384([redacted])",
            Self::Sha512(_) => "Sha512([redacted])",
            Self::Phc(_) => "Phc([redacted])",
        })
    }
}

/// How a keyspace keeps the secrets of the keys it issues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum HashPolicy {
    /// SHA-256: fast, and right for random secrets.
    #[default]
    Sha256,
    /// Argon2id: for those whose auditors ask for it.
    Argon2id,
}

impl HashPolicy {
    /// Its name as the wire has it, without the prefix.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA256",
            Self::Argon2id => "ARGON2ID",
        }
    }
}

/// Hashing failed for a reason other than a wrong secret: a PHC string that does not parse, or no memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("hashing: {0}")]
pub struct HashError(pub(super) String);

/// SHA-256 of a secret.
pub fn sha256(secret: &str) -> Digest {
    Digest::from_bytes(Sha256::digest(secret.as_bytes()).into())
}

/// SHA-384 of a secret.
pub fn sha384(secret: &str) -> Digest<48> {
    Digest::from_bytes(Sha384::digest(secret.as_bytes()).into())
}

/// SHA-512 of a secret.
pub fn sha512(secret: &str) -> Digest<64> {
    Digest::from_bytes(Sha512::digest(secret.as_bytes()).into())
}

/// Argon2id of a secret, in PHC form, with a random salt. Takes some 20 ms and 19 MiB: not on an async thread.
///
/// # Errors
/// If the operating system gives no random bytes or there is no memory.
pub fn argon2id(secret: &str) -> Result<String, HashError> {
    let hash: PasswordHash = argon2().hash_password(secret.as_bytes()).map_err(|e| HashError(e.to_string()))?;
    Ok(hash.to_string())
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES, None)
        .expect("the constants above are within Argon2's limits");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::phc;

    #[test]
    fn sha256_is_sha256() {
        // FIPS 180-2, appendix B.1.
        let expect = [
            0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03,
            0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
        ];
        assert_eq!(sha256("abc"), Digest::from_bytes(expect));
    }

    /// FIPS 180-2, appendices C.1 and D.1.
    #[test]
    fn the_longer_ones_are_theirs() {
        let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        assert_eq!(
            hex(sha512("abc").as_bytes()),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        );
        assert_eq!(
            hex(sha384("abc").as_bytes()),
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"
        );
    }

    #[test]
    fn argon2id_accepts_its_own_secret_only() {
        let phc = argon2id("correct horse battery staple, thirty-two").unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert_eq!(phc::matches(&phc, "correct horse battery staple, thirty-two"), Ok(true));
        assert_eq!(phc::matches(&phc, "correct horse battery staple, thirty-three"), Ok(false));
        assert!(phc::matches("not a PHC string", "x").is_err());
    }
}
