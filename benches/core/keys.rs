//! Keys without end that nobody has to keep: a number makes each, and each tells its number. So ten million of them take
//! no memory but what the verifier keeps of them.

use portcullis::key::token::{LOOKUP_LEN, SECRET_LEN};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PREFIX: &str = "ak_";
const CHECKSUM_LEN: usize = 6;
/// Odd, so that multiplying by it can be undone; else it is the golden ratio, which spreads numbers well.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
const GATHER: u64 = inverse(SPREAD);
/// Revoked keys begin here.
const REVOKED_FROM: u64 = 1 << 40;
/// From here on no key exists.
const UNKNOWN_FROM: u64 = 1 << 41;

/// How many keys there are of which kind.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    pub live: u64,
    pub revoked: u64,
}

impl Keys {
    /// So many live keys, in no order.
    pub fn some_live(&self, count: u64) -> impl Iterator<Item = String> {
        let live = self.live;
        (0..count).map(move |at| key(mixed(at) % live))
    }

    /// Every live key.
    pub fn all_live(&self) -> impl Iterator<Item = String> + use<> {
        (0..self.live).map(key)
    }

    /// A revoked key.
    pub fn revoked(&self, at: u64) -> String {
        key(REVOKED_FROM + at % self.revoked)
    }

    /// The number of the key that a public prefix names, and whether it is revoked; `None`: there is no such key.
    pub fn find(&self, public_prefix: &str) -> Option<(u64, bool)> {
        let lookup = public_prefix.strip_prefix(PREFIX)?;
        let mut digits = lookup.bytes().map(|byte| ALPHABET.iter().position(|digit| *digit == byte));
        let value = digits.try_fold(0_u128, |value, digit| Some(value * 62 + digit? as u128))?;
        let number = u64::try_from(value).ok()?.wrapping_mul(GATHER);
        let revoked = (REVOKED_FROM..REVOKED_FROM + self.revoked).contains(&number);
        (number < self.live || revoked).then_some((number, revoked))
    }
}

/// The key of this number.
pub fn key(number: u64) -> String {
    signed(number, &secret(number))
}

/// A key that does not exist.
pub fn unknown(at: u64) -> String {
    key(UNKNOWN_FROM + at)
}

/// The key of this number with the secret of another.
pub fn wrong(number: u64) -> String {
    signed(number, &secret(!number))
}

/// The key of this number, mistyped in its last character.
pub fn mistyped(number: u64) -> String {
    let mut key = key(number);
    let last = key.pop().expect("no key is empty");
    key.push(if last == '0' { '1' } else { '0' });
    key
}

/// The secret of the key of this number.
pub fn secret(number: u64) -> String {
    let halves = [mixed(number), mixed(!number)].map(|half| base62(half.into(), SECRET_LEN / 2));
    halves.concat()
}

fn signed(number: u64, secret: &str) -> String {
    let lookup = base62(number.wrapping_mul(SPREAD).into(), LOOKUP_LEN);
    let text = format!("{PREFIX}{lookup}{secret}");
    let checksum = base62(crc32fast::hash(text.as_bytes()).into(), CHECKSUM_LEN);
    text + &checksum
}

/// In base62, most significant digit first, padded with `0`.
fn base62(mut value: u128, len: usize) -> String {
    let mut digits = vec![b'0'; len];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[usize::try_from(value % 62).expect("it is less than 62")];
        value /= 62;
    }
    String::from_utf8(digits).expect("it is ASCII")
}

/// The finalizer of SplitMix64: every bit depends on every other.
pub fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(SPREAD);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// What undoes a multiplication by an odd number, by Newton's method: each step doubles the bits that are right.
const fn inverse(odd: u64) -> u64 {
    let mut inverse = odd;
    let mut bits = 3;
    while bits < u64::BITS {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        bits *= 2;
    }
    inverse
}
