//! Strings that say how to check a secret against them, as other systems keep them: Argon2 and scrypt in PHC form, and
//! bcrypt's older one.
//!
//! What they ask for is limited when they are taken in, for every check costs it again.

use std::fmt;

use argon2::Argon2;
use argon2::password_hash::phc::{ParamsString, PasswordHash};
use argon2::password_hash::{Error as PasswordHashError, PasswordVerifier};
use bcrypt::HashParts;
use scrypt::Scrypt;

use super::verifier::HashError;

/// Longest string, in bytes. None of the three kinds is longer.
pub const PHC_LEN_MAX: usize = 256;
/// Most memory of one Argon2 run, in KiB: the second recommendation of RFC 9106.
pub const ARGON2_MEMORY_KIB_MAX: u32 = 64 * 1024;
/// Most passes over it.
pub const ARGON2_PASSES_MAX: u32 = 10;
/// Most KiB of all passes together: 6 over the most memory, 10 over 38 MiB. Measured: 0.40 s, whatever the lanes, which
/// run one after the other.
pub const ARGON2_WORK_KIB_MAX: u32 = 6 * ARGON2_MEMORY_KIB_MAX;
/// Most lanes.
pub const ARGON2_LANES_MAX: u32 = 4;
/// Most rounds of bcrypt, as a power of two. Measured: 0.34 s; one more takes 0.70 s.
pub const BCRYPT_COST_MAX: u32 = 12;
/// Most memory that scrypt goes over in all its runs together, in bytes; one after the other, they use the same. As much
/// as each of OWASP's recommendations needs, from N = 2^17, r = 8, p = 1 to N = 2^13, r = 8, p = 10. Measured: 0.43 s.
pub const SCRYPT_WORK_MAX: u64 = 128 * 1024 * 1024;
/// Largest block of scrypt, in units of 128 bytes.
pub const SCRYPT_BLOCK_MAX: u32 = 32;
/// Most runs of scrypt. Beside the memory above there is a block for each, and one more: with these limits 68 KiB.
pub const SCRYPT_RUNS_MAX: u32 = 16;
/// The costliest of all these in runs of the Argon2id that we keep secrets by, which were measured at 38 ms then.
pub const RUNS_MAX: u32 = 11;
/// What bcrypt works on: four tables of Blowfish and more, in bytes.
const BCRYPT_MEMORY: usize = 8 * 1024;
/// The most memory that any of these takes, in bytes: that of scrypt.
const MEMORY_MAX: usize = 132 * 1024 * 1024;
/// What bcrypt looks at of a secret, in bytes.
const BCRYPT_SECRET_LEN_MAX: usize = 72;

/// What a string is to be checked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Argon2id, Argon2i or Argon2d.
    Argon2,
    /// bcrypt.
    Bcrypt,
    /// scrypt.
    Scrypt,
}

/// Such a string, known to be one and within the limits.
#[derive(Clone, PartialEq, Eq)]
pub struct Phc {
    scheme: Scheme,
    text: String,
}

/// Guessing at a weak secret offline starts from it, so it is not for logs.
impl fmt::Debug for Phc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Phc").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

impl Phc {
    /// Takes in what another system kept.
    ///
    /// # Errors
    /// What is wrong, in words that follow "must". They name parameters and their limits, never the salt or the hash.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > PHC_LEN_MAX {
            return Err(format!("have at most {PHC_LEN_MAX} bytes; has {}", text.len()));
        }
        match scheme_of(text) {
            Some(Scheme::Argon2) => argon2(text),
            Some(Scheme::Bcrypt) => bcrypt(text),
            Some(Scheme::Scrypt) => scrypt(text),
            None => Err("start with $argon2id$, $argon2i$, $argon2d$, $2a$, $2b$, $2y$ or $scrypt$".to_owned()),
        }
    }

    /// A string that the store held.
    pub fn from_stored(scheme: Scheme, text: String) -> Self {
        Self { scheme, text }
    }

    /// What it is to be checked by.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// How long a check takes, in runs of the Argon2id that we keep secrets by: 1 to [`RUNS_MAX`].
    pub fn runs(&self) -> u32 {
        let (work, most) = self.work().unwrap_or((1, 1));
        let runs = u64::from(RUNS_MAX) * work.min(most) / most;
        u32::try_from(runs).unwrap_or(RUNS_MAX).max(1)
    }

    /// How much memory a check takes, in bytes.
    pub fn memory(&self) -> usize {
        let parsed = whole(&self.text).ok();
        let param =
            |name| parsed.as_ref().and_then(|parsed| parsed.params.get_decimal(name)).map(|value| value as usize);
        let memory = match self.scheme {
            Scheme::Argon2 => param("m").map(|kib| kib * 1024),
            // The runs use the same memory one after the other; beside it there is a block for each.
            Scheme::Scrypt => (|| Some((param("p")? + (1 << param("ln")?.min(30))) * param("r")? * 128))(),
            Scheme::Bcrypt => Some(BCRYPT_MEMORY),
        };
        memory.unwrap_or(MEMORY_MAX)
    }

    /// What it asks for, and the most that it could ask for.
    fn work(&self) -> Option<(u64, u64)> {
        Some(match self.scheme {
            Scheme::Argon2 => {
                let parsed = whole(&self.text).ok()?;
                let [memory, passes] = ["m", "t"].map(|name| parsed.params.get_decimal(name).map(u64::from));
                (memory?.saturating_mul(passes?), ARGON2_WORK_KIB_MAX.into())
            }
            Scheme::Bcrypt => {
                let parts: HashParts = self.text.parse().ok()?;
                (1 << parts.get_cost().min(BCRYPT_COST_MAX), 1 << BCRYPT_COST_MAX)
            }
            Scheme::Scrypt => {
                let parsed = whole(&self.text).ok()?;
                let [log_n, block, runs] = ["ln", "r", "p"].map(|name| parsed.params.get_decimal(name));
                (scrypt_work(log_n?, block?, runs?)?, SCRYPT_WORK_MAX)
            }
        })
    }

    /// The string, to be stored.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn scheme_of(text: &str) -> Option<Scheme> {
    match text.split('$').nth(1).filter(|_| text.starts_with('$'))? {
        "argon2id" | "argon2i" | "argon2d" => Some(Scheme::Argon2),
        "2a" | "2b" | "2y" => Some(Scheme::Bcrypt),
        "scrypt" => Some(Scheme::Scrypt),
        _ => None,
    }
}

fn argon2(text: &str) -> Result<Phc, String> {
    let mut parsed = whole(text)?;
    let (memory, passes, lanes) =
        (param(&parsed.params, "m")?, param(&parsed.params, "t")?, param(&parsed.params, "p")?);
    at_most("m (KiB of memory)", memory, ARGON2_MEMORY_KIB_MAX)?;
    at_most("t (passes)", passes, ARGON2_PASSES_MAX)?;
    at_most("p (lanes)", lanes, ARGON2_LANES_MAX)?;
    at_most("m·t (KiB of all passes)", memory.saturating_mul(passes), ARGON2_WORK_KIB_MAX)?;
    // A key id or associated data would need a key that we have not got.
    if parsed.params.iter().count() != 3 || argon2::Params::try_from(&parsed).is_err() {
        return Err("have Argon2's parameters m, t and p, with m at least 8·p, and no others".to_owned());
    }
    // Without a version it is the first, as the reference implementation reads it.
    match *parsed.version.get_or_insert(0x10) {
        0x10 | 0x13 => Ok(Phc { scheme: Scheme::Argon2, text: parsed.to_string() }),
        other => Err(format!("be of Argon2's version 16 or 19; is of {other}")),
    }
}

fn scrypt(text: &str) -> Result<Phc, String> {
    let parsed = whole(text)?;
    let (log_n, block, runs) = (param(&parsed.params, "ln")?, param(&parsed.params, "r")?, param(&parsed.params, "p")?);
    at_most("r (block)", block, SCRYPT_BLOCK_MAX)?;
    at_most("p (runs)", runs, SCRYPT_RUNS_MAX)?;
    if scrypt_work(log_n, block, runs).is_none_or(|work| work > SCRYPT_WORK_MAX) {
        return Err(format!(
            "have ln, r and p that go over at most {SCRYPT_WORK_MAX} bytes, 128·r·p·2^ln; has ln={log_n}, r={block}, \
             p={runs}"
        ));
    }
    if log_n == 0 || parsed.params.iter().count() != 3 || scrypt::Params::try_from(&parsed).is_err() {
        return Err("have scrypt's parameters ln, r and p, none of them 0, and no others".to_owned());
    }
    Ok(Phc { scheme: Scheme::Scrypt, text: parsed.to_string() })
}

/// How much memory all runs together go over, in bytes; `None`: more than can be counted.
fn scrypt_work(log_n: u32, block: u32, runs: u32) -> Option<u64> {
    let blocks = 1_u64.checked_shl(log_n)?.checked_mul(runs.into())?;
    blocks.checked_mul(u64::from(block) * 128)
}

fn bcrypt(text: &str) -> Result<Phc, String> {
    let parts: HashParts = text.parse().map_err(|_| malformed())?;
    let cost = parts.get_cost();
    at_most("cost", cost, BCRYPT_COST_MAX)?;
    // What the parser takes for a number may have a sign.
    if cost < 4 || !text.as_bytes()[4..6].iter().all(u8::is_ascii_digit) {
        return Err(format!("have a cost of 4 or more; has {cost}"));
    }
    Ok(Phc { scheme: Scheme::Bcrypt, text: text.to_owned() })
}

/// A PHC string with a salt and a hash.
fn whole(text: &str) -> Result<PasswordHash, String> {
    PasswordHash::new(text).ok().filter(|parsed| parsed.salt.is_some() && parsed.hash.is_some()).ok_or_else(malformed)
}

fn malformed() -> String {
    "be whole: parameters, a salt of 8 to 48 bytes and a hash of 10 to 64, in base64 without padding (bcrypt: 60 \
     characters)"
        .to_owned()
}

fn param(params: &ParamsString, name: &str) -> Result<u32, String> {
    params.get_decimal(name).ok_or_else(|| format!("have the parameter {name}, a number; has none"))
}

fn at_most(what: &str, value: u32, limit: u32) -> Result<(), String> {
    if value <= limit { Ok(()) } else { Err(format!("have {what} of at most {limit}; has {value}")) }
}

/// Whether `secret` is the one that `text` was made of. As costly as `text` says: not on an async thread.
///
/// # Errors
/// If `text` is none of the strings that can be checked, or there is no memory. A wrong secret is not an error.
pub fn matches(text: &str, secret: &str) -> Result<bool, HashError> {
    let verified = match scheme_of(text) {
        Some(Scheme::Argon2) => Argon2::default().verify_password(secret.as_bytes(), text),
        Some(Scheme::Scrypt) => PasswordHash::new(text)
            .map_err(PasswordHashError::from)
            .and_then(|parsed| Scrypt::default().verify_password(secret.as_bytes(), &parsed)),
        // It would look at the first 72 bytes only, and take whatever follows them.
        Some(Scheme::Bcrypt) if secret.len() > BCRYPT_SECRET_LEN_MAX => return Ok(false),
        Some(Scheme::Bcrypt) => return bcrypt::verify(secret, text).map_err(|e| HashError(e.to_string())),
        None => return Err(HashError("not a string that a secret can be checked against".to_owned())),
    };
    match verified {
        Ok(()) => Ok(true),
        Err(PasswordHashError::PasswordInvalid) => Ok(false),
        Err(e) => Err(HashError(e.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "sk_test_4eC39HqLyjWDarjtT1zdp7dc";

    /// Of [`SECRET`]: by argon2-cffi 25.1 (the reference implementation), libxcrypt, and Python's hashlib.scrypt.
    const MADE_ELSEWHERE: [&str; 8] = [
        "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$ndekWQKIWGRCRo2lVYOgg2Mec+Ntr+wcUEg2xuzjFSM",
        "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$50bwy9aTGveqtn7dhHSoiOUWOcudrFuEjJLxWYOuCyI",
        "$argon2d$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$/rswU0QxikKkPleOlSZ2M7PtAjlRGNNI/GdoulgjeO0",
        "$argon2i$v=16$m=64,t=1,p=2$c29tZXNhbHRzb21lc2FsdA$N83gMNZc7WKPxK77s8r6ngq1vNkeAQlV2s3XPY073V8",
        "$2a$04$abcdefghijklmnopqrstuu64TwFT2Xgun2bRSAut/qn5jW8BUA4cq",
        "$2b$04$abcdefghijklmnopqrstuu64TwFT2Xgun2bRSAut/qn5jW8BUA4cq",
        "$2y$04$abcdefghijklmnopqrstuu64TwFT2Xgun2bRSAut/qn5jW8BUA4cq",
        "$scrypt$ln=4,r=8,p=1$c29tZXNhbHRzb21lc2FsdA$GiN22NZhhVzcFwqTLAhNq80gour0dPhRXOTCA5V109g",
    ];

    /// The contract and the docs name the limits that hold here.
    #[test]
    fn docs_and_proto_name_these_limits() {
        let limits = [
            format!("m up to {ARGON2_MEMORY_KIB_MAX}"),
            format!("t up to {ARGON2_PASSES_MAX}"),
            format!("p up to {ARGON2_LANES_MAX}"),
            format!("m·t up to {ARGON2_WORK_KIB_MAX}"),
            format!("a cost of up to {BCRYPT_COST_MAX}"),
            format!("r up to {SCRYPT_BLOCK_MAX}"),
            format!("p up to {SCRYPT_RUNS_MAX}"),
            format!("128·r·p·2^ln up to {} MiB", SCRYPT_WORK_MAX >> 20),
        ];
        let proto = include_str!("../../proto/portcullis/v1/api_key_service.proto").replace("//", "");
        for (name, text) in [("proto", proto.as_str()), ("docs", include_str!("../../docs/imports.md"))] {
            let text = text.replace('`', "").split_whitespace().collect::<Vec<_>>().join(" ");
            for limit in &limits {
                assert!(text.contains(limit), "{name} does not say: {limit}");
            }
        }
    }

    #[test]
    fn what_others_made_is_checked_as_they_would() {
        for text in MADE_ELSEWHERE {
            let phc = Phc::parse(text).unwrap();
            assert_eq!(phc.as_str(), text);
            assert_eq!(matches(phc.as_str(), SECRET), Ok(true), "{text}");
            assert_eq!(matches(phc.as_str(), &SECRET[1..]), Ok(false), "{text}");
            assert!(!format!("{phc:?}").contains('$'));
        }
    }

    #[test]
    fn an_argon2_string_without_a_version_is_of_the_first() {
        let bare = MADE_ELSEWHERE[3].replace("v=16$", "");
        let phc = Phc::parse(&bare).unwrap();
        assert_eq!(phc.as_str(), MADE_ELSEWHERE[3]);
        assert_eq!(matches(phc.as_str(), SECRET), Ok(true));
    }

    #[test]
    fn bcrypt_takes_no_more_than_it_looks_at() {
        // libxcrypt's of 72 times "x".
        let phc = Phc::parse("$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i").unwrap();
        assert_eq!(matches(phc.as_str(), &"x".repeat(72)), Ok(true));
        assert_eq!(matches(phc.as_str(), &"x".repeat(73)), Ok(false));
        assert_eq!(matches(phc.as_str(), &"x".repeat(71)), Ok(false));
    }

    #[track_caller]
    fn refused(text: &str, why: &str) {
        let error = Phc::parse(text).unwrap_err();
        assert!(error.contains(why), "{error}");
        assert!(!error.contains("c29tZXNhbHRzb21lc2FsdA") && !error.contains("mnopqrst"), "{error}");
    }

    #[test]
    fn a_check_costs_as_many_runs_as_it_says() {
        let [argon2, _, _, _, _, bcrypt, _, scrypt] = MADE_ELSEWHERE;
        for (text, expect) in [
            (argon2.to_owned(), 1),
            (argon2.replace("m=64,t=1", "m=19456,t=2"), 1),
            (argon2.replace("m=64,t=1", "m=65536,t=6"), 11),
            (bcrypt.to_owned(), 1),
            (bcrypt.replace("$04$", "$12$"), 11),
            (scrypt.to_owned(), 1),
            (scrypt.replace("ln=4", "ln=17"), 11),
        ] {
            assert_eq!(Phc::parse(&text).unwrap().runs(), expect, "{text}");
        }
    }

    #[test]
    fn what_costs_too_much_or_is_none_is_refused() {
        let [argon2, _, _, _, _, bcrypt, _, scrypt] = MADE_ELSEWHERE;
        refused(&argon2.replace("m=64", "m=65537"), "m (KiB of memory) of at most 65536; has 65537");
        refused(&argon2.replace("t=1", "t=11"), "t (passes) of at most 10; has 11");
        refused(&argon2.replace("p=1", "p=5"), "p (lanes) of at most 4; has 5");
        refused(&argon2.replace("m=64,t=1", "m=65536,t=7"), "m·t (KiB of all passes) of at most 393216; has 458752");
        refused(&argon2.replace("m=64", "m=7"), "m at least 8·p");
        refused(&argon2.replace(",p=1", ""), "the parameter p");
        refused(&argon2.replace("p=1", "p=1,keyid=abcd"), "no others");
        refused(&argon2.replace("v=19", "v=18"), "version 16 or 19; is of 18");
        refused(argon2.rsplit_once('$').unwrap().0, "a hash of 10 to 64");
        refused(&argon2.replace("argon2id", "argon2x"), "start with");
        refused(&bcrypt.replace("$04$", "$13$"), "cost of at most 12; has 13");
        refused(&bcrypt.replace("$04$", "$03$"), "cost of 4 or more; has 3");
        refused(&bcrypt.replace("$04$", "$+4$"), "cost of 4 or more");
        refused(&bcrypt.replace("$2b$", "$2x$"), "start with");
        refused(&bcrypt[..59], "60");
        let scrypt_of = |params: &str| scrypt.replace("ln=4,r=8,p=1", params);
        refused(&scrypt_of("ln=18,r=8,p=1"), "134217728 bytes, 128·r·p·2^ln; has ln=18, r=8, p=1");
        refused(&scrypt_of("ln=17,r=8,p=2"), "134217728 bytes");
        refused(&scrypt_of("ln=63,r=8,p=1"), "134217728 bytes");
        refused(&scrypt_of("ln=64,r=8,p=1"), "134217728 bytes");
        // A block each for p and one more: with a large one they would be the most of it.
        refused(&scrypt_of("ln=1,r=524288,p=1"), "r (block) of at most 32; has 524288");
        refused(&scrypt_of("ln=4,r=8,p=17"), "p (runs) of at most 16; has 17");
        refused(&scrypt_of("ln=4,r=4294967295,p=4294967295"), "r (block)");
        refused(&scrypt.replace("ln=4", "ln=0"), "none of them 0");
        refused("plain text", "start with");
        refused("", "start with");
        refused(&format!("{argon2}{}", "A".repeat(300)), "at most 256 bytes");
        for params in ["ln=17,r=8,p=1", "ln=16,r=8,p=2", "ln=15,r=8,p=3", "ln=14,r=8,p=5", "ln=13,r=8,p=10"] {
            Phc::parse(&scrypt_of(params)).unwrap();
        }
        for params in ["m=65536,t=6,p=4", "m=39321,t=10,p=1"] {
            Phc::parse(&argon2.replace("m=64,t=1,p=1", params)).unwrap();
        }
        Phc::parse(&bcrypt.replace("$04$", "$12$")).unwrap();
    }
}
