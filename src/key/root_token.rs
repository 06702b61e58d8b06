//! Root tokens that carry a MAC: a made-up one is refused without a look-up.
//!
//! The form is that of every token. The last [`MAC_LEN`] of the secret's 32 characters are a truncated HMAC-SHA-256 of
//! everything before them, in base62: some 65 bits. The 21 characters before it stay random: 125 bits. The MAC opens
//! nothing: it only spares a look-up, and the stored digest decides, as ever.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::keyspace::ROOT_PREFIX;
use super::secret::Secret;
use super::token::{self, LOOKUP_LEN, PublicPrefix, SECRET_LEN, Token};

/// How many characters of the secret are the MAC: 62^11 is 65 bits.
pub const MAC_LEN: usize = 11;
/// How many characters of the secret are random.
pub const RANDOM_LEN: usize = SECRET_LEN - MAC_LEN;

/// The key that the MACs of one store's root tokens are made with. Every replica has the same one.
pub struct RootTokenKey(Zeroizing<[u8; 32]>);

/// Whoever knows it can make up tokens that cost a look-up each.
impl fmt::Debug for RootTokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootTokenKey([redacted])")
    }
}

impl RootTokenKey {
    /// The key with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Makes a new root token, and its public prefix.
    ///
    /// # Errors
    /// If the operating system gives no random bytes.
    pub fn generate(&self) -> Result<(PublicPrefix, Secret), rand::rngs::SysError> {
        let prefix = ROOT_PREFIX.parse().expect("a prefix");
        token::generate_with(&prefix, LOOKUP_LEN + RANDOM_LEN, |text| {
            let mac = self.mac([text]);
            text.extend(mac.iter().copied().map(char::from));
        })
    }

    /// Whether `token` carries the MAC. Takes the same time for each.
    pub fn verify(&self, token: &Token<'_>) -> bool {
        let Some((random, mac)) = token.secret.split_at_checked(RANDOM_LEN) else { return false };
        self.mac([token.public_prefix, random]).ct_eq(mac.as_bytes()).into()
    }

    /// The MAC of these parts, one after the other.
    fn mac<const N: usize>(&self, parts: [&str; N]) -> [u8; MAC_LEN] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.0).expect("HMAC takes keys of any length");
        for part in parts {
            mac.update(part.as_bytes());
        }
        let tag: [u8; 32] = mac.finalize().into_bytes().into();
        let (first, _) = tag.split_first_chunk::<16>().expect("32 bytes");
        token::base62(u128::from_be_bytes(*first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> RootTokenKey {
        RootTokenKey::from_bytes([byte; 32])
    }

    #[test]
    fn a_generated_token_carries_the_mac_of_its_key_only() {
        let (public_prefix, secret) = key(1).generate().unwrap();
        let token = Token::parse(secret.expose()).unwrap();
        assert_eq!(token.public_prefix, public_prefix.as_str());
        assert!(token.public_prefix.starts_with("root_"));
        assert!(key(1).verify(&token));
        assert!(!key(2).verify(&token));
    }

    #[test]
    fn whatever_is_changed_the_mac_is_another() {
        let (_, secret) = key(1).generate().unwrap();
        let token = Token::parse(secret.expose()).unwrap();
        let swapped = |text: &str, at: usize| {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            String::from_utf8(bytes).unwrap()
        };
        for at in 0..SECRET_LEN {
            let changed = swapped(token.secret, at);
            assert!(!key(1).verify(&Token { secret: &changed, ..token }), "{at}");
        }
        for at in 0..token.public_prefix.len() {
            let changed = swapped(token.public_prefix, at);
            assert!(!key(1).verify(&Token { public_prefix: &changed, ..token }), "{at}");
        }
    }

    #[test]
    fn a_token_without_mac_does_not_pass() {
        let (_, secret) = token::generate(&ROOT_PREFIX.parse().unwrap()).unwrap();
        assert!(!key(1).verify(&Token::parse(secret.expose()).unwrap()));
    }

    /// HMAC-SHA-256 by another implementation, and the digits of its first 16 bytes by Python.
    #[test]
    fn the_mac_is_what_it_says() {
        assert_eq!(key(7).mac(["root_", "abc"]), key(7).mac(["root_abc"]));
        assert_eq!(std::str::from_utf8(&key(7).mac(["root_abc"])).unwrap(), "uIrOIfYmevw");
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", key(9)), "RootTokenKey([redacted])");
    }
}
