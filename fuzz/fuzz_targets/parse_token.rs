//! The first thing that a presented key meets: hostile bytes must neither stop it nor pass for something else.
//!
//! `cargo +nightly fuzz run parse_token fuzz/corpus/parse_token fuzz/seeds/parse_token`
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::key::token::{LOOKUP_LEN, PRESENTED_LEN_MAX, Prefix, PublicPrefix, SECRET_LEN, Token};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(token) = Token::parse(text) else { return };
    // What parses is the parts it was taken apart into, and nothing else.
    let signed = format!("{}{}", token.public_prefix, token.secret);
    let (before, check) = text.split_at(signed.len());
    assert_eq!(before, signed);
    assert_eq!(check, checksum(&signed));
    assert!(text.len() <= PRESENTED_LEN_MAX);
    let (prefix, lookup) = token.public_prefix.rsplit_once('_').expect("an underscore");
    assert!(prefix.parse::<Prefix>().is_ok());
    assert_eq!((lookup.len(), token.secret.len()), (LOOKUP_LEN, SECRET_LEN));
    assert!(!PublicPrefix::from_stored(token.public_prefix.into()).hint().contains(lookup));
});

/// CRC-32 (IEEE) in base62, bit by bit: not as the code has it.
fn checksum(of: &str) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut crc = u32::MAX;
    for byte in of.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    let mut rest = !crc as usize;
    let mut digits = String::new();
    for _ in 0..6 {
        digits.insert(0, char::from(ALPHABET[rest % 62]));
        rest /= 62;
    }
    digits
}
