//! The key string: `<prefix>_<lookup: 16><secret: 32><checksum: 6>`.
//!
//! The checksum refuses typing errors and random strings without any look-up. It keeps nobody out who wants in: the
//! secret does that.

use std::fmt;
use std::str::FromStr;

use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroize;

use super::keyspace::ROOT_PREFIX;
use super::secret::Secret;

/// The longest prefix, in characters.
pub const PREFIX_LEN_MAX: usize = 24;
/// The public part after the prefix: 62^16 is 95 bits.
pub const LOOKUP_LEN: usize = 16;
/// The secret part: 62^32 is 190 bits, which nobody guesses.
pub const SECRET_LEN: usize = 32;
/// CRC-32 in base62: 62^6 is more than 2^32.
pub const CHECKSUM_LEN: usize = 6;
/// Everything after the last underscore.
pub const BODY_LEN: usize = LOOKUP_LEN + SECRET_LEN + CHECKSUM_LEN;
/// The longest presented string that is looked at, in bytes. No form of key is longer.
pub const PRESENTED_LEN_MAX: usize = 512;
/// How many characters of the lookup a hint shows.
pub const HINT_LEN: usize = 4;

/// What finds the one root key that an operator supplied as free text. No issued key has it: it has no underscore.
pub const FREE_TEXT_LOOKUP: &str = "bootstrap";

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A well-formed key string, borrowed from what was presented, taken apart.
///
/// Parsing allocates nothing. That a string parses says nothing about whether there is such a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// Prefix, underscore and lookup: what finds the row. Public.
    pub public_prefix: &'a str,
    /// The 32 characters that prove possession.
    pub secret: &'a str,
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("public_prefix", &self.public_prefix).finish_non_exhaustive()
    }
}

/// Why a string is not a key string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// More than [`PRESENTED_LEN_MAX`] bytes.
    #[error("longer than {PRESENTED_LEN_MAX} bytes")]
    TooLong,
    /// It does not have the shape `<prefix>_<54 characters>`.
    #[error("not of the form <prefix>_<54 characters>")]
    Shape,
    /// What stands before the last underscore is not a [`Prefix`].
    #[error("the prefix is not one")]
    Prefix,
    /// The shape is right, the checksum is not: mistyped, cut, or made up.
    #[error("the checksum is wrong")]
    Checksum,
}

impl<'a> Token<'a> {
    /// Takes a presented string apart.
    pub fn parse(presented: &'a str) -> Result<Self, TokenError> {
        if presented.len() > PRESENTED_LEN_MAX {
            return Err(TokenError::TooLong);
        }
        let body_at = presented.len().checked_sub(BODY_LEN).ok_or(TokenError::Shape)?;
        let (start, body) = presented.split_at_checked(body_at).ok_or(TokenError::Shape)?;
        let prefix = start.strip_suffix('_').ok_or(TokenError::Shape)?;
        // All of them, whatever the first says: without an early end this takes a handful of instructions.
        if !body.bytes().fold(true, |all, b| all & b.is_ascii_alphanumeric()) {
            return Err(TokenError::Shape);
        }
        if !is_prefix(prefix) {
            return Err(TokenError::Prefix);
        }
        let lookup_end = prefix.len() + 1 + LOOKUP_LEN;
        let (signed, check) = presented.split_at(lookup_end + SECRET_LEN);
        if checksum(signed.as_bytes()) != check.as_bytes() {
            return Err(TokenError::Checksum);
        }
        let (public_prefix, secret) = signed.split_at(lookup_end);
        Ok(Self { public_prefix, secret })
    }

    /// Whether it has the prefix of root keys, which no other keyspace may have.
    pub fn is_root(&self) -> bool {
        let (prefix, _) = self.public_prefix.split_at(self.public_prefix.len() - LOOKUP_LEN);
        prefix.strip_suffix('_') == Some(ROOT_PREFIX)
    }
}

/// Makes a new key string for `prefix`, and its public prefix. All its randomness comes from the operating system.
///
/// # Errors
/// If the operating system gives no random bytes.
pub fn generate(prefix: &Prefix) -> Result<(PublicPrefix, Secret), rand::rngs::SysError> {
    generate_with(prefix, LOOKUP_LEN + SECRET_LEN, |_| ())
}

/// Makes one with so many random characters; `complete` adds those that are missing to lookup and secret.
pub(super) fn generate_with(
    prefix: &Prefix,
    random_len: usize,
    complete: impl FnOnce(&mut String),
) -> Result<(PublicPrefix, Secret), rand::rngs::SysError> {
    let mut text = String::with_capacity(prefix.0.len() + 1 + BODY_LEN);
    text.push_str(&prefix.0);
    text.push('_');
    push_random_base62(&mut text, random_len)?;
    complete(&mut text);
    let check = checksum(text.as_bytes());
    text.extend(check.iter().copied().map(char::from));
    let public_prefix = PublicPrefix(text[..prefix.0.len() + 1 + LOOKUP_LEN].to_owned());
    Ok((public_prefix, Secret::new(text)))
}

/// Appends `count` characters, each of the 62 equally likely.
fn push_random_base62(text: &mut String, count: usize) -> Result<(), rand::rngs::SysError> {
    // 248 = 4 · 62: bytes from there on are thrown away, so that none of the 62 is likelier than another.
    const FAIR: u8 = 248;
    let end = text.len() + count;
    let mut bytes = [0_u8; 64];
    while text.len() < end {
        SysRng.try_fill_bytes(&mut bytes)?;
        let fair = bytes.iter().filter(|b| **b < FAIR).take(end - text.len());
        text.extend(fair.map(|b| char::from(ALPHABET[usize::from(b % 62)])));
    }
    bytes.zeroize();
    Ok(())
}

/// CRC-32 (IEEE) in base62, most significant first, padded with `0`.
fn checksum(of: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut rest = crc32fast::hash(of);
    let mut digits = [b'0'; CHECKSUM_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

/// The last `N` digits of a number in base62, most significant first.
pub(super) fn base62<const N: usize>(mut number: u128) -> [u8; N] {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(number % 62) as usize];
        number /= 62;
    }
    digits
}

fn is_prefix(text: &str) -> bool {
    // What stands before: a word must not start behind nothing but another underscore.
    let mut before = b'_';
    let fits = |b: u8| {
        let fits = match b {
            b'_' => before != b'_',
            b => b.is_ascii_lowercase() || b.is_ascii_digit(),
        };
        before = b;
        fits
    };
    text.len() <= PREFIX_LEN_MAX
        && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && text.bytes().all(fits)
        && !text.ends_with('_')
}

/// What the key strings of a keyspace start with: `[a-z][a-z0-9]*(_[a-z0-9]+)*`, at most 24 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is not a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be words of [a-z0-9] joined by single underscores, start with a letter, and have at most 24 characters")]
pub struct PrefixError;

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        if is_prefix(text) { Ok(Self(text.to_owned())) } else { Err(PrefixError) }
    }
}

/// What finds a secret's row: for issued keys, prefix, underscore and lookup. It opens nothing and may be logged.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicPrefix(String);

impl PublicPrefix {
    /// A public prefix that the store held.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The public prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same, without a copy.
    pub fn into_text(self) -> String {
        self.0
    }

    /// What lists show so that people recognise the secret: the prefix and the first 4 characters of the lookup.
    pub fn hint(&self) -> String {
        if let Some(hint) = super::imported::hint(&self.0) {
            return hint;
        }
        let shown = self.0.rfind('_').map_or(self.0.len(), |at| (at + 1 + HINT_LEN).min(self.0.len()));
        format!("{}…", &self.0[..shown])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(presented: &str, expect: Result<(&str, &str), TokenError>) {
        let got = Token::parse(presented).map(|t| (t.public_prefix, t.secret));
        assert_eq!(got, expect);
    }

    const LOOKUP: &str = "7hQ2mZ0pR4xW9bTe";
    const SECRET: &str = "abcdefghijklmnopqrstuvwxyz012345";

    fn key(prefix: &str) -> String {
        let signed = format!("{prefix}_{LOOKUP}{SECRET}");
        let check = checksum(signed.as_bytes());
        signed + std::str::from_utf8(&check).unwrap()
    }

    #[test]
    fn checksum_is_the_ieee_crc_in_base62() {
        // CRC-32 of "123456789" is the published check value 0xCBF43926; in base62 over 0-9A-Za-z that is 3jZRME.
        assert_eq!(&checksum(b"123456789"), b"3jZRME");
        assert_eq!(&checksum(b""), b"000000");
    }

    #[test]
    fn parses_what_is_well_formed_only() {
        let public = format!("ak_live_{LOOKUP}");
        check(&key("ak_live"), Ok((&public, SECRET)));
        check("", Err(TokenError::Shape));
        check("ak_live", Err(TokenError::Shape));
        check(&key("Ak"), Err(TokenError::Prefix));
        check(&key("1k"), Err(TokenError::Prefix));
        check(&key("a__b"), Err(TokenError::Prefix));
        check(&key("_a"), Err(TokenError::Prefix));
        check(&key(""), Err(TokenError::Prefix));
        check(&key(&"a".repeat(25)), Err(TokenError::Prefix));
        check(&format!("{} ", key("ak")), Err(TokenError::Shape));
        check(&key("ak").replace('7', "8"), Err(TokenError::Checksum));
        check(&"a".repeat(513), Err(TokenError::TooLong));
        check(&format!("ak_{}", "é".repeat(27)), Err(TokenError::Shape));
    }

    #[test]
    fn a_prefix_may_be_as_long_as_the_limit() {
        let longest = "a".repeat(PREFIX_LEN_MAX);
        check(&key(&longest), Ok((&format!("{longest}_{LOOKUP}"), SECRET)));
    }

    #[test]
    fn generated_keys_parse_and_differ() {
        let prefix: Prefix = "ak_live".parse().unwrap();
        let (public, secret) = generate(&prefix).unwrap();
        let token = Token::parse(secret.expose()).unwrap();
        assert_eq!(token.public_prefix, public.as_str());
        assert_eq!(public.hint().chars().count(), "ak_live_".len() + HINT_LEN + 1);
        assert_ne!(generate(&prefix).unwrap().0, public);
    }

    #[test]
    fn debug_shows_no_secret() {
        let text = key("ak");
        assert!(!format!("{:?}", Token::parse(&text)).contains(SECRET));
        assert_eq!(format!("{:?}", Secret::new(text)), "[redacted]");
    }
}
