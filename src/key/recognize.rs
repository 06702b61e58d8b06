//! What a text is that was given as a key or as an id: secrets come with a header or a variable around them, and stand where
//! an id belongs. Whether there is such a key is not known here.

use super::keyspace::ROOT_PREFIX;
use super::token::{BODY_LEN, Token, TokenError};

/// What a text is by its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// The id of a key.
    KeyId,
    /// The secret of an API key.
    Secret,
    /// The secret of a root key.
    RootKey,
}

/// How many characters follow `key_` in an id.
const ID_BODY_LEN: usize = 26;

/// What `text` is, if its form says so. A secret is one also if it was mistyped; imported secrets have no form of their own.
pub fn kind_of(text: &str) -> Option<TextKind> {
    let text = unwrapped(text);
    let (prefix, body) = text.rsplit_once('_')?;
    if prefix == "key" && body.len() == ID_BODY_LEN && body.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Some(TextKind::KeyId);
    }
    // The checksum is computed last: whatever it says, the form is right.
    let has_form = body.len() == BODY_LEN && matches!(Token::parse(text), Ok(_) | Err(TokenError::Checksum));
    has_form.then_some(if prefix == ROOT_PREFIX { TextKind::RootKey } else { TextKind::Secret })
}

/// The text without what people copy along: white space, byte order marks and other invisible characters, quotes, a
/// header's name, `Bearer`, and `NAME=` as in a file of variables.
pub fn unwrapped(text: &str) -> &str {
    let mut text = text;
    loop {
        let next = without_layer(text);
        if next.len() == text.len() {
            return text;
        }
        text = next;
    }
}

fn without_layer(text: &str) -> &str {
    let is_blank =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2060}');
    let text = text.trim_matches(is_blank);
    for quote in ['"', '\'', '`'] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner;
        }
    }
    for word in ["bearer ", "export ", "authorization:", "x-api-key:", "api-key:"] {
        if let Some((start, rest)) = text.split_at_checked(word.len())
            && start.eq_ignore_ascii_case(word)
        {
            return rest;
        }
    }
    match text.split_once('=') {
        // The padding of base64 has nothing behind it, and a variable is not written so.
        Some((name, value)) if is_variable(name) && !value.trim_matches('=').is_empty() => value,
        _ => text.strip_suffix([',', ';']).unwrap_or(text),
    }
}

fn is_variable(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    name.bytes().next().is_some_and(|b| b.is_ascii_uppercase()) && name.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "key_01JDXW5Z3N8Q4T7R2M6K9P0ABC";

    fn secret(prefix: &str) -> String {
        format!("{prefix}_{}", "aB3".repeat(BODY_LEN / 3))
    }

    #[test]
    fn what_is_around_a_key_is_no_part_of_it() {
        let key = secret("ak_live");
        for (before, after) in [
            ("", ""),
            (" ", " \n"),
            ("\u{feff}", "\r\n"),
            ("\n\n", ""),
            ("\"", "\""),
            ("'", "',"),
            ("Bearer ", ""),
            ("authorization: bearer ", ""),
            ("X-Api-Key: ", ""),
            ("KEY=", ""),
            ("export ACME_API_KEY=\"", "\"; "),
            ("PORTCULLIS_ROOT_KEY='Bearer ", "'"),
            ("\u{200b}", "\u{200b}"),
        ] {
            let text = format!("{before}{key}{after}");
            assert_eq!((unwrapped(&text), kind_of(&text)), (&*key, Some(TextKind::Secret)), "{before:?} {after:?}");
        }
    }

    #[test]
    fn what_may_be_part_of_an_imported_key_stays() {
        for key in ["c2VjcmV0=", "SECRET==", "a=b=c", "a b", "it's", "\"", "sk_live_1", "Bearer", "=", ""] {
            assert_eq!(unwrapped(key), key);
        }
    }

    #[test]
    fn forms_tell_what_is_what() {
        for (text, kind) in [
            (ID, Some(TextKind::KeyId)),
            (&format!(" {ID}\n"), Some(TextKind::KeyId)),
            (&secret("ak"), Some(TextKind::Secret)),
            (&secret("root"), Some(TextKind::RootKey)),
            (&secret("ak")[..40], None),
            (&format!("{}ü", &secret("ak")[..55]), None),
            ("key_1", None),
            ("sk_live_0123456789", None),
            ("evt_01JDXW5Z3N8Q4T7R2M6K9P0ABC", None),
            ("", None),
        ] {
            assert_eq!(kind_of(text), kind, "{text}");
        }
    }
}
