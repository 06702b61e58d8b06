//! What the store keeps to check a secret against.
//!
//! An issued secret has 190 random bits: a fast digest is as safe as a slow one. A secret of unknown entropy gets
//! Argon2id, which costs a guesser as much as it costs us.

use std::fmt;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use sha2::{Digest as _, Sha256};

use super::secret::Digest;

/// Memory of one Argon2id run, in KiB: 19 MiB with two passes and one lane is OWASP's first recommendation
/// (Password Storage Cheat Sheet, "Argon2id"). Each run in flight costs this much.
pub const ARGON2_MEMORY_KIB: u32 = 19 * 1024;
/// Passes over that memory.
pub const ARGON2_PASSES: u32 = 2;
/// Lanes.
pub const ARGON2_LANES: u32 = 1;

/// What the store keeps of one secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Verifier {
    /// SHA-256 of the secret part.
    Sha256(Digest),
    /// Argon2id in PHC form, with its own salt and parameters.
    Argon2id(String),
}

/// It opens nothing, but guessing at a weak secret offline starts from it, so it is not for logs.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256(_) => "Sha256([redacted])",
            Self::Argon2id(_) => "Argon2id([redacted])",
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

/// Argon2id failed for a reason other than a wrong secret: a PHC string that does not parse, or no memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("argon2: {0}")]
pub struct Argon2Error(String);

/// SHA-256 of a secret.
pub fn sha256(secret: &str) -> Digest {
    Digest::from_bytes(Sha256::digest(secret.as_bytes()).into())
}

/// Argon2id of a secret, in PHC form, with a random salt. Takes some 20 ms and 19 MiB: not on an async thread.
///
/// # Errors
/// If the operating system gives no random bytes or there is no memory.
pub fn argon2id(secret: &str) -> Result<String, Argon2Error> {
    let hash: PasswordHash = argon2().hash_password(secret.as_bytes()).map_err(|e| Argon2Error(e.to_string()))?;
    Ok(hash.to_string())
}

/// Whether `secret` is the one that `phc` was made of. As costly as [`argon2id`].
///
/// # Errors
/// If `phc` is not a PHC string, or there is no memory. A wrong secret is not an error.
pub fn argon2id_matches(phc: &str, secret: &str) -> Result<bool, Argon2Error> {
    match argon2().verify_password(secret.as_bytes(), phc) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(e) => Err(Argon2Error(e.to_string())),
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES, None)
        .expect("the constants above are within Argon2's limits");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_is_sha256() {
        // FIPS 180-2, appendix B.1.
        let expect = [
            0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03,
            0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
        ];
        assert_eq!(sha256("abc"), Digest::from_bytes(expect));
    }

    #[test]
    fn argon2id_accepts_its_own_secret_only() {
        let phc = argon2id("correct horse battery staple, thirty-two").unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert_eq!(argon2id_matches(&phc, "correct horse battery staple, thirty-two"), Ok(true));
        assert_eq!(argon2id_matches(&phc, "correct horse battery staple, thirty-three"), Ok(false));
        assert!(argon2id_matches("not a PHC string", "x").is_err());
    }
}
