//! Finding the key in text around it: a line of a log, an address, a mail. Whoever reports a leaked key pastes what was found.

use std::collections::BTreeSet;

use super::secret::Secret;
use super::token::{BODY_LEN, PREFIX_LEN_MAX, Token};

/// Longest text that is searched, in bytes.
pub const TEXT_LEN_MAX: usize = 64 * 1024;

/// What a text holds of keys. Each has its checksum, which says where it begins and ends, whatever is glued to it.
#[derive(Debug)]
pub enum Pasted {
    /// One key, once or several times.
    Key(Secret),
    /// So many different keys.
    Several(usize),
    /// No key, but so many strings of the form of one whose checksum is wrong.
    Broken(usize),
    /// Nothing of the kind.
    Nothing,
}

/// Looks for keys in `text`. Takes a few milliseconds at most, for the longest text.
pub fn find(text: &str) -> Pasted {
    // Quoted-printable breaks long lines in the middle of words (RFC 2045, 6.7).
    let text = Secret::new(text.replace("=\r\n", "").replace("=\n", ""));
    let text = text.expose();
    let (mut keys, mut broken) = (BTreeSet::new(), 0);
    for (at, _) in text.match_indices('_') {
        let end = at + 1 + BODY_LEN;
        if !text.as_bytes().get(at + 1..end).is_some_and(|body| body.iter().all(u8::is_ascii_alphanumeric)) {
            continue;
        }
        let before = text.as_bytes()[..at].iter().rev().take(PREFIX_LEN_MAX);
        let fits = |b: &&u8| b.is_ascii_lowercase() || b.is_ascii_digit() || **b == b'_';
        let prefix_len_max = before.take_while(fits).count();
        let found = (1..=prefix_len_max).map(|len| &text[at - len..end]).find(|key| Token::parse(key).is_ok());
        match found {
            Some(key) => drop(keys.insert(key)),
            None if prefix_len_max > 0 => broken += 1,
            None => {}
        }
    }
    match (keys.len(), keys.first()) {
        (1, Some(key)) => Pasted::Key(Secret::new((*key).to_owned())),
        (0, _) if broken > 0 => Pasted::Broken(broken),
        (0, _) => Pasted::Nothing,
        (several, _) => Pasted::Several(several),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::token::{Prefix, generate};

    fn key(prefix: &str) -> String {
        let prefix: Prefix = prefix.parse().unwrap();
        generate(&prefix).unwrap().1.expose().to_owned()
    }

    #[test]
    fn several_keys_and_broken_ones_are_counted() {
        let (one, other) = (key("ak"), key("ak_live"));
        assert!(matches!(find(&format!("{one} {other} {one}")), Pasted::Several(2)));
        assert!(matches!(find(&format!("{one}{one}")), Pasted::Key(found) if found.expose() == one));
        let cut = &one[..one.len() - 1];
        assert!(matches!(find(&format!("{cut}0 {cut}1 {cut}2")), Pasted::Broken(2 | 3)));
        assert!(matches!(find(cut), Pasted::Nothing));
        assert!(matches!(find(""), Pasted::Nothing));
        assert!(matches!(find(&format!("é_{}", "é".repeat(60))), Pasted::Nothing));
    }

    #[test]
    fn the_longest_text_takes_little_time() {
        let hostile = format!("{}{}", "a".repeat(24), format!("_{}", "a".repeat(54)).repeat(TEXT_LEN_MAX / 55));
        assert!(matches!(find(&hostile), Pasted::Broken(_)));
    }
}
