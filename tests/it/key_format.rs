//! The key string, for keys of any prefix and for strings that are no keys.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use portcullis::key::pasted::{Pasted, find};
use portcullis::key::token::{
    BODY_LEN, CHECKSUM_LEN, HINT_LEN, LOOKUP_LEN, PREFIX_LEN_MAX, Prefix, SECRET_LEN, Token, generate,
};
use proptest::prelude::*;
use regex::Regex;

const ALPHABET: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What scanners are told to look for, by `docs/leaks.md`.
const SCANNED: &str = "ak_[0-9A-Za-z]{54}";
static SCANNER: LazyLock<Regex> = LazyLock::new(|| Regex::new(SCANNED).expect("a pattern"));

/// What a leaked key may stand in, at the `{}`.
const SURROUNDINGS: [&str; 24] = [
    "{}",
    "Bearer {}",
    "key={}&page=2",
    "\"{}\"",
    "'{}',",
    "export KEY={}\n",
    "https://x.example/?k={}#top",
    "({}).",
    "<td>{}</td>",
    "key:{};",
    "token%3D{}%26page%3D2",
    "token%3d{}",
    "MY_{}",
    "my_{}",
    "the_old_{}",
    "{}_old",
    "{}_",
    "key{}",
    "9{}",
    "{}andmore",
    "key=3D{}=0A",
    "user:{}@host",
    "é{}é",
    "a\\n{}\\n",
];
static PREFIX: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\A[a-z][a-z0-9]*(_[a-z0-9]+)*\z").expect("a pattern"));

/// CRC-32 (IEEE) in base62, as the contract words it and not as the code has it: bit by bit, digit by digit.
fn checksum(of: &str) -> String {
    let mut crc = u32::MAX;
    for byte in of.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    let mut rest = !crc as usize;
    let mut digits = String::new();
    for _ in 0..CHECKSUM_LEN {
        digits.insert(0, char::from(ALPHABET.as_bytes()[rest % 62]));
        rest /= 62;
    }
    digits
}

fn prefixes() -> impl Strategy<Value = Prefix> {
    let texts = prop_oneof!["[a-z][a-z0-9]{0,5}(_[a-z0-9]{1,5}){0,3}", "[a-z][a-z0-9]{0,23}", "[a-z](_[a-z0-9]){11}"];
    texts.prop_map(|text| text.parse().expect("a prefix"))
}

/// A generated key string.
fn keys() -> impl Strategy<Value = String> {
    prefixes().prop_map(|prefix| generate(&prefix).expect("random bytes").1.expose().to_owned())
}

proptest! {
    #[test]
    fn generated_keys_have_the_form_of_the_contract(prefix in prefixes()) {
        let (public_prefix, secret) = generate(&prefix).unwrap();
        let text = secret.expose();
        let (before, body) = text.rsplit_once('_').unwrap();
        prop_assert_eq!(before, prefix.as_str());
        prop_assert_eq!(body.len(), BODY_LEN);
        prop_assert!(body.chars().all(|c| ALPHABET.contains(c)));

        let token = Token::parse(text).unwrap();
        prop_assert_eq!(token.public_prefix, public_prefix.as_str());
        prop_assert_eq!(token.public_prefix.len(), before.len() + 1 + LOOKUP_LEN);
        prop_assert_eq!(token.secret.len(), SECRET_LEN);
        let signed = format!("{}{}", token.public_prefix, token.secret);
        let check = checksum(&signed);
        prop_assert_eq!(text, signed + &check);

        let hint: String = token.public_prefix.chars().take(before.len() + 1 + HINT_LEN).chain(['…']).collect();
        prop_assert_eq!(public_prefix.hint(), hint);
    }

    #[test]
    fn keys_are_found_in_whatever_text(key in keys(), before in "[ -~é\n]{0,30}", after in "[ -~é\n]{0,60}") {
        match find(&format!("{before}{key}{after}")) {
            Pasted::Key(found) => prop_assert_eq!(found.expose(), key),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn no_two_generated_keys_are_alike(prefix in prefixes()) {
        let made: Vec<_> = (0..8).map(|_| generate(&prefix).unwrap()).collect();
        let lookups: BTreeSet<_> = made.iter().map(|(public_prefix, _)| public_prefix).collect();
        let secrets: BTreeSet<_> = made.iter().map(|(_, key)| Token::parse(key.expose()).unwrap().secret).collect();
        prop_assert_eq!((lookups.len(), secrets.len()), (made.len(), made.len()));
    }

    #[test]
    fn one_wrong_character_is_refused(key in keys(), other in any::<char>()) {
        for (at, right) in key.char_indices() {
            for wrong in ALPHABET.chars().chain(['_', ' ', '\0', other]).filter(|wrong| *wrong != right) {
                let mut mistyped = key.clone();
                mistyped.replace_range(at..=at, wrong.encode_utf8(&mut [0; 4]));
                prop_assert!(Token::parse(&mistyped).is_err(), "{:?} for {:?} at {}", wrong, right, at);
            }
        }
    }

    #[test]
    fn two_neighbours_swapped_are_refused(key in keys()) {
        for at in 1..key.len() {
            let mut swapped = key.clone().into_bytes();
            swapped.swap(at - 1, at);
            let swapped = String::from_utf8(swapped).unwrap();
            prop_assert!(swapped == key || Token::parse(&swapped).is_err(), "at {}", at);
        }
    }

    #[test]
    fn a_character_more_or_less_is_refused(key in keys(), other in any::<char>()) {
        for at in 0..=key.len() {
            for more in ALPHABET.chars().chain(['_', ' ', '\0', other]) {
                let mut longer = key.clone();
                longer.insert(at, more);
                prop_assert!(Token::parse(&longer).is_err(), "{:?} more at {}", more, at);
            }
        }
        for at in 0..key.len() {
            let mut shorter = key.clone();
            shorter.remove(at);
            prop_assert!(Token::parse(&shorter).is_err(), "one less at {}", at);
        }
    }

    #[test]
    fn no_other_string_is_a_key(text in any::<String>(), bytes in any::<Vec<u8>>()) {
        prop_assert!(Token::parse(&text).is_err());
        prop_assert!(Token::parse(&String::from_utf8_lossy(&bytes)).is_err());
    }

    // Of these one in four thousand million has the checksum that it should have.
    #[test]
    fn what_only_looks_like_a_key_is_refused(text in "[a-z][a-z0-9_]{0,30}_[0-9A-Za-z]{50,58}") {
        prop_assert!(Token::parse(&text).is_err());
    }

    #[test]
    fn a_right_checksum_does_not_excuse_a_wrong_form(
        prefix in "[a-zA-Z0-9_-]{0,26}",
        body in prop_oneof!["[0-9A-Za-z]{48}", "[0-9A-Za-z!é]{48}", "[0-9A-Za-z]{40,56}"],
    ) {
        let signed = format!("{prefix}_{body}");
        let text = format!("{signed}{}", checksum(&signed));
        let well_formed = prefix.parse::<Prefix>().is_ok()
            && body.len() == LOOKUP_LEN + SECRET_LEN
            && body.chars().all(|c| ALPHABET.contains(c));
        prop_assert_eq!(Token::parse(&text).is_ok(), well_formed);
    }

    #[test]
    fn prefixes_are_what_the_contract_says(text in prop_oneof!["[a-z0-9_]{0,26}", "[a-zA-Z0-9_.é-]{0,6}", any::<String>()]) {
        let is_prefix = text.len() <= PREFIX_LEN_MAX && PREFIX.is_match(&text);
        prop_assert_eq!(text.parse::<Prefix>().is_ok(), is_prefix);
    }
}

#[test]
fn scanners_and_the_server_find_keys_in_their_surroundings() {
    let key = generate(&"ak".parse().unwrap()).unwrap().1;
    let key = key.expose();
    assert!(include_str!("../../docs/leaks.md").contains(&format!("| `{SCANNED}` |")));
    for surrounding in SURROUNDINGS {
        let text = surrounding.replace("{}", key);
        let scanned: Vec<_> = SCANNER.find_iter(&text).map(|found| found.as_str()).collect();
        assert_eq!(scanned, [key], "{surrounding}");
        assert!(matches!(find(&text), Pasted::Key(found) if found.expose() == key), "{surrounding}");
    }
    // Quoted-printable breaks lines wherever they are long.
    for line_end in ["=\r\n", "=\n"] {
        let text = format!("key=3D{}{line_end}{}", &key[..20], &key[20..]);
        assert!(matches!(find(&text), Pasted::Key(found) if found.expose() == key), "{line_end:?}");
    }
}

#[test]
fn every_character_is_about_equally_likely() {
    const KEYS: u32 = 4_000;
    let prefix: Prefix = "ak".parse().unwrap();
    let mut counts = [0_u32; 62];
    for _ in 0..KEYS {
        let key = generate(&prefix).unwrap().1;
        let (_, body) = key.expose().rsplit_once('_').unwrap();
        for c in body[..LOOKUP_LEN + SECRET_LEN].chars() {
            counts[ALPHABET.find(c).unwrap()] += 1;
        }
    }
    // The sum of squared deviations, in units of what chance gives: 61 on average. Chance alone gets beyond 200 once
    // in 10^16 runs; taking bytes modulo 62 would give some 1,700.
    let expect = f64::from(counts.iter().sum::<u32>()) / 62.0;
    let chi_squared: f64 = counts.iter().map(|count| (f64::from(*count) - expect).powi(2) / expect).sum();
    assert!(chi_squared < 200.0, "{chi_squared}: {counts:?}");
}
