//! Secrets that another system made: what finds them.
//!
//! An issued secret names its row by its own first part. An imported one is a string of any shape, so the row is found
//! by what can be computed from it: by the start of its digest, or, where what is kept of it is salted, by its first
//! characters. Those need not be one secret's alone; up to [`BUCKET_LEN_MAX`] share a bucket, each with a slot.

use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::token::{PREFIX_LEN_MAX, PRESENTED_LEN_MAX, PublicPrefix};
use super::verifier::{Verifier, sha256, sha384, sha512};

/// Shortest string that can be presented as an imported secret, in bytes; also the shortest lookup prefix.
pub const LOOKUP_PREFIX_LEN_MIN: usize = 8;
/// Longest lookup prefix, in characters.
pub const LOOKUP_PREFIX_LEN_MAX: usize = 64;
/// How much of a secret its lookup prefix must leave unsaid, in characters: that much nobody guesses online.
pub const UNREVEALED_LEN_MIN: usize = 16;
/// Shortest secret imported as plaintext, in characters: the shortest prefix, and what it must leave unsaid.
pub const PLAINTEXT_LEN_MIN: usize = LOOKUP_PREFIX_LEN_MIN + UNREVEALED_LEN_MIN;
/// Most secrets found by one lookup prefix. Whoever presents a string that begins so can make us hash as often.
pub const BUCKET_LEN_MAX: usize = 4;
/// Most lengths of lookup prefixes in one keyspace. Each costs [`BUCKET_LEN_MAX`] look-ups for a string that is found
/// by none of them.
pub const PREFIX_LENGTHS_MAX: usize = 8;
/// How many characters beyond the vendor's prefix a lookup prefix has that the server chose.
const CHOSEN_LEN: usize = 8;
/// How much of a digest finds its row, in characters of hex: 128 bits, which no two secrets share by chance.
const DIGEST_LOOKUP_LEN: usize = 32;
/// How many characters a hint shows beyond what all secrets of a kind have.
const HINT_LEN: usize = 4;

/// A plain digest that other systems keep secrets as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DigestAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl DigestAlgorithm {
    const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// Its name, as its lookups begin.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// How long its digests are, in bytes.
    pub fn size(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// A digest that was given raw, in hex, in base64 or in base64url. Its length says which: no two of them agree.
    ///
    /// # Errors
    /// What is wrong, in words that follow "must".
    pub fn decode(self, value: &[u8]) -> Result<Verifier, String> {
        let size = self.size();
        let padded = size.div_ceil(3) * 4;
        let unpadded = (size * 4).div_ceil(3);
        let decoded = match value.len() {
            length if length == size => Some(value.to_vec()),
            length if length == 2 * size => from_hex(value),
            length if length == padded || length == unpadded => from_base64(value),
            _ => None,
        };
        decoded.and_then(|bytes| self.verifier(&bytes)).ok_or_else(|| {
            let base64 = if padded == unpadded { padded.to_string() } else { format!("{unpadded} or {padded}") };
            format!(
                "be a {} digest: {size} bytes, or {} characters of hex or {base64} of base64 or base64url; has {} bytes",
                self.name(),
                2 * size,
                value.len()
            )
        })
    }

    fn verifier(self, bytes: &[u8]) -> Option<Verifier> {
        use super::secret::Digest;
        Some(match self {
            Self::Sha256 => Verifier::Sha256(Digest::from_bytes(bytes.try_into().ok()?)),
            Self::Sha384 => Verifier::Sha384(Digest::from_bytes(bytes.try_into().ok()?)),
            Self::Sha512 => Verifier::Sha512(Digest::from_bytes(bytes.try_into().ok()?)),
        })
    }

    /// What finds a secret of this digest.
    pub fn lookup(self, digest: &[u8]) -> PublicPrefix {
        let mut text = format!("{}:", self.name());
        for byte in digest.iter().take(DIGEST_LOOKUP_LEN / 2) {
            text.push_str(&format!("{byte:02x}"));
        }
        PublicPrefix::from_stored(text)
    }
}

impl FromStr for DigestAlgorithm {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name).ok_or(())
    }
}

fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |b: &u8| char::from(*b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.chunks(2).map(|pair| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?)).collect()
}

fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [&alphabet::STANDARD, &alphabet::URL_SAFE]
        .into_iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, config).decode(text).ok())
}

/// How the imported secrets of a keyspace are found. A presented string is tried by each that its keyspace has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// By the start of this digest of the whole string.
    Digest(DigestAlgorithm),
    /// By as many characters at its start.
    Prefix(usize),
}

impl Form {
    /// The lookups that could find a presented string. None, if it cannot be a secret of this form.
    pub fn lookups(self, presented: &str) -> Vec<PublicPrefix> {
        if !(LOOKUP_PREFIX_LEN_MIN..=PRESENTED_LEN_MAX).contains(&presented.len()) {
            return Vec::new();
        }
        match self {
            Self::Digest(DigestAlgorithm::Sha256) => {
                vec![DigestAlgorithm::Sha256.lookup(sha256(presented).as_bytes())]
            }
            Self::Digest(DigestAlgorithm::Sha384) => {
                vec![DigestAlgorithm::Sha384.lookup(sha384(presented).as_bytes())]
            }
            Self::Digest(DigestAlgorithm::Sha512) => {
                vec![DigestAlgorithm::Sha512.lookup(sha512(presented).as_bytes())]
            }
            Self::Prefix(length) if presented.len() > length && is_plain(presented) => slots(&presented[..length]),
            Self::Prefix(_) => Vec::new(),
        }
    }
}

/// The lookups of a bucket. What stands before the last `#` is the prefix, whatever is in it, so that no two buckets
/// share one; and no issued lookup has a `#`.
pub fn slots(lookup_prefix: &str) -> Vec<PublicPrefix> {
    (0..BUCKET_LEN_MAX).map(|slot| PublicPrefix::from_stored(format!("{lookup_prefix}#{slot}"))).collect()
}

/// A secret as plaintext: 24 to 512 printable ASCII characters without spaces.
pub fn plaintext(text: &str) -> Result<(), String> {
    if !(PLAINTEXT_LEN_MIN..=PRESENTED_LEN_MAX).contains(&text.len()) || !is_plain(text) {
        return Err(format!(
            "have {PLAINTEXT_LEN_MIN} to {PRESENTED_LEN_MAX} printable ASCII characters without spaces; has {} bytes",
            text.len()
        ));
    }
    Ok(())
}

/// A lookup prefix that the caller chose: 8 to 64 printable ASCII characters without spaces.
pub fn lookup_prefix(text: &str) -> Result<(), String> {
    if !(LOOKUP_PREFIX_LEN_MIN..=LOOKUP_PREFIX_LEN_MAX).contains(&text.len()) || !is_plain(text) {
        return Err(format!(
            "have {LOOKUP_PREFIX_LEN_MIN} to {LOOKUP_PREFIX_LEN_MAX} printable ASCII characters without spaces; has {} \
             bytes",
            text.len()
        ));
    }
    Ok(())
}

/// A lookup prefix that the caller chose for this plaintext.
pub fn lookup_prefix_of(plaintext: &str, prefix: &str) -> Result<(), String> {
    lookup_prefix(prefix)?;
    if !plaintext.starts_with(prefix) {
        return Err("be what the plaintext starts with; is not".to_owned());
    }
    let left = plaintext.len() - prefix.len();
    if left < UNREVEALED_LEN_MIN {
        return Err(format!("leave {UNREVEALED_LEN_MIN} characters of the plaintext unsaid; leaves {left}"));
    }
    Ok(())
}

/// How long a lookup prefix the server chooses for a plaintext: [`CHOSEN_LEN`] beyond what looks like a vendor's prefix
/// (`sk_live_`), as long as enough is left unsaid. Where all [`PREFIX_LENGTHS_MAX`] lengths of the keyspace are `used`,
/// the longest of them that fits, so that odd strings do not fail for a length that nobody asked for; `None`: none does.
///
/// The same text gets the same length as long as lengths are only added: an import that is repeated finds its keys.
pub fn chosen_prefix_len(plaintext: &str, used: &[usize]) -> Option<usize> {
    let most = plaintext.len().checked_sub(UNREVEALED_LEN_MIN)?.min(LOOKUP_PREFIX_LEN_MAX);
    let natural = (vendor_prefix_len(plaintext) + CHOSEN_LEN).min(most);
    if used.contains(&natural) || used.len() < PREFIX_LENGTHS_MAX {
        return (natural >= LOOKUP_PREFIX_LEN_MIN).then_some(natural);
    }
    used.iter().copied().filter(|length| *length <= most).max()
}

/// How much of a secret are words of small letters and digits, each followed by an underscore. Random strings have
/// underscores too, but hardly ever after nothing but such.
fn vendor_prefix_len(text: &str) -> usize {
    let start = &text[..text.len() / 2];
    let mut length = 0;
    for word in start.split_inclusive('_') {
        let Some(body) = word.strip_suffix('_') else { break };
        let is_word = body.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
            && body.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !is_word || length + word.len() > PREFIX_LEN_MAX + 1 {
            break;
        }
        length += word.len();
    }
    length
}

/// What lists show of an imported secret's lookup: the algorithm and 4 characters of a digest, or the prefix up to its
/// last underscore and 4 characters of what is left of it. `None`: the lookup is of an issued secret.
pub(super) fn hint(lookup: &str) -> Option<String> {
    if let Some((prefix, slot)) = lookup.rsplit_once('#')
        && slot.len() == 1
    {
        let shown = prefix.rfind('_').map_or(0, |at| at + 1) + HINT_LEN;
        return Some(format!("{}…", &prefix[..shown.min(prefix.len())]));
    }
    let (name, digest) = lookup.split_once(':')?;
    name.parse::<DigestAlgorithm>().ok()?;
    Some(format!("{name}:{}…", digest.get(..HINT_LEN)?))
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "sk_test_4eC39HqLyjWDarjtT1zdp7dc";
    /// Python's hashlib.sha256(TEXT).
    const SHA256: &str = "2cafc0970149a84f3b9e62eaf169f36f59907a3b3e31f7b82e68c69cd27f7326";

    fn texts(lookups: &[PublicPrefix]) -> Vec<&str> {
        lookups.iter().map(PublicPrefix::as_str).collect()
    }

    #[test]
    fn digests_are_read_in_every_form() {
        let raw = *sha256(TEXT).as_bytes();
        let expect = Ok(Verifier::Sha256(sha256(TEXT)));
        let standard = base64::engine::general_purpose::STANDARD.encode(raw);
        let url = standard.replace('+', "-").replace('/', "_");
        for value in [SHA256, &SHA256.to_uppercase(), &standard, &url, standard.trim_end_matches('=')] {
            assert_eq!(DigestAlgorithm::Sha256.decode(value.as_bytes()), expect, "{value}");
        }
        assert_eq!(DigestAlgorithm::Sha256.decode(&raw), expect);
        // 64 characters are base64 of SHA-384, too: the algorithm decides.
        assert!(DigestAlgorithm::Sha384.decode(SHA256.as_bytes()).is_ok());
        for bad in [&SHA256[1..], &SHA256.replace('2', "g"), "", &format!("{SHA256}00")] {
            let error = DigestAlgorithm::Sha256.decode(bad.as_bytes()).unwrap_err();
            assert!(error.contains(&format!("has {} bytes", bad.len())), "{error}");
            assert!(bad.is_empty() || !error.contains(bad), "{error}");
        }
        for (algorithm, digest) in [
            (DigestAlgorithm::Sha384, sha384(TEXT).as_bytes().to_vec()),
            (DigestAlgorithm::Sha512, sha512(TEXT).as_bytes().to_vec()),
        ] {
            for engine in
                [&base64::engine::general_purpose::STANDARD, &base64::engine::general_purpose::URL_SAFE_NO_PAD]
            {
                assert_eq!(algorithm.decode(engine.encode(&digest).as_bytes()), algorithm.decode(&digest));
            }
        }
    }

    #[test]
    fn what_finds_a_string() {
        let by_digest = Form::Digest(DigestAlgorithm::Sha256).lookups(TEXT);
        assert_eq!(texts(&by_digest), [format!("sha256:{}", &SHA256[..32])]);
        let by_prefix = Form::Prefix(12).lookups(TEXT);
        assert_eq!(texts(&by_prefix), ["sk_test_4eC3#0", "sk_test_4eC3#1", "sk_test_4eC3#2", "sk_test_4eC3#3"]);
        for (form, none) in [
            (Form::Prefix(12), "sk_test_4eC3"),
            (Form::Prefix(8), "short"),
            (Form::Prefix(8), "schlüsselschlüssel"),
            (Form::Prefix(8), "with a space in it"),
            (Form::Digest(DigestAlgorithm::Sha512), ""),
            (Form::Digest(DigestAlgorithm::Sha512), &"x".repeat(PRESENTED_LEN_MAX + 1)),
        ] {
            assert_eq!(form.lookups(none), [], "{none}");
        }
    }

    #[test]
    fn the_server_chooses_a_length() {
        #[track_caller]
        fn check(text: &str, used: &[usize], expect: Option<usize>) {
            assert_eq!(chosen_prefix_len(text, used), expect, "{text}");
        }
        check(TEXT, &[], Some(16));
        check("sk_live_0123456789abcdef", &[], Some(8));
        check(&"x".repeat(24), &[], Some(8));
        check(&"x".repeat(512), &[], Some(8));
        check(&format!("a_b_c_d_e_f_g_h_i_j_k_l_m_{}", "x".repeat(100)), &[], Some(32));
        // Underscores of base64url are no vendor's.
        check("Xa_9f_hQ2mZ0pR4xW9bTe0123456789", &[], Some(8));
        check("9a_live_0123456789abcdef01234567", &[], Some(8));
        let full = [9, 10, 11, 12, 13, 14, 17, 20];
        check(TEXT, &full, Some(14));
        check(&"x".repeat(24), &full, None);
    }

    #[test]
    fn a_lookup_prefix_leaves_enough_unsaid() {
        assert_eq!(lookup_prefix_of(TEXT, &TEXT[..16]), Ok(()));
        for bad in [&TEXT[..17], &TEXT[..7], "sk_live_4eC3", "sk_test_\n"] {
            let error = lookup_prefix_of(TEXT, bad).unwrap_err();
            assert!(!error.contains(&TEXT[..10]), "{error}");
        }
        assert_eq!(plaintext(&"x".repeat(24)), Ok(()));
        assert_eq!(plaintext(&"x".repeat(512)), Ok(()));
        for bad in [&"x".repeat(23), &"x".repeat(513), "with spaces in it, and long", &"é".repeat(24)] {
            assert!(plaintext(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hints_show_no_more_than_a_little() {
        let hint = |lookup: &str| PublicPrefix::from_stored(lookup.to_owned()).hint();
        assert_eq!(hint("sha256:2cafc0970149a84f3b9e62eaf169f36f"), "sha256:2caf…");
        assert_eq!(hint("sk_test_4eC3XXXX#0"), "sk_test_4eC3…");
        assert_eq!(hint("sk_test_#3"), "sk_test_…");
        assert_eq!(hint("abcdefghij#1"), "abcd…");
        assert_eq!(hint("a:b#cdefgh#1"), "a:b#…");
        assert_eq!(hint("ak_live_7hQ2mZ0pR4xW9bTe"), "ak_live_7hQ2…");
        assert_eq!(hint("bootstrap"), "bootstrap…");
    }
}
