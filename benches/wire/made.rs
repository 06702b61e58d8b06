//! Keys that a number makes: whoever knows the number knows the key, and nobody has to keep a million of them.

use sha2::{Digest as _, Sha256};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LOOKUP_LEN: usize = 16;
const SECRET_LEN: usize = 32;
const CHECKSUM_LEN: usize = 6;

/// The key of this number, in the keyspace whose keys begin so.
pub fn key(prefix: &str, number: u64) -> String {
    parts(prefix, number).0
}

/// What the store keeps of it: what finds it, and the digest of its secret part.
pub fn kept(prefix: &str, number: u64) -> (String, [u8; 32]) {
    let (_, public_prefix, secret) = parts(prefix, number);
    (public_prefix, Sha256::digest(secret.as_bytes()).into())
}

/// String, public prefix and secret part.
fn parts(prefix: &str, number: u64) -> (String, String, String) {
    let text = |salt: u64| base62(u128::from(mixed(number ^ salt)) << 64 | u128::from(mixed(number)), LOOKUP_LEN);
    let public_prefix = format!("{prefix}_{}", text(1 << 60));
    let secret = text(2 << 60) + &text(3 << 60);
    debug_assert_eq!(secret.len(), SECRET_LEN);
    let signed = format!("{public_prefix}{secret}");
    let checksum = base62(crc32fast::hash(signed.as_bytes()).into(), CHECKSUM_LEN);
    (signed + &checksum, public_prefix, secret)
}

/// The last digits in base62, most significant first.
fn base62(mut value: u128, len: usize) -> String {
    let mut digits = vec![b'0'; len];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[usize::try_from(value % 62).expect("it is less than 62")];
        value /= 62;
    }
    String::from_utf8(digits).expect("it is ASCII")
}

/// The finalizer of SplitMix64: every bit depends on every other, and no two numbers come to the same.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}
