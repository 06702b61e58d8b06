//! What may stand in the fields that people and callers fill in. One function a kind of field; each says what is
//! wrong in words that follow "must".

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;

use super::record::Json;

/// Longest name of a key or keyspace, in characters.
pub const NAME_LEN_MAX: usize = 100;
/// Longest description or comment, in characters.
pub const TEXT_LEN_MAX: usize = 1_000;
/// Longest id of a caller's own: subject, created_by, request_id.
pub const REFERENCE_LEN_MAX: usize = 128;
/// Largest claims, in bytes as compact JSON. Each cached key may hold as much.
pub const CLAIMS_SIZE_MAX: usize = 8 * 1024;
/// Deepest nesting of claims, the claims themselves counted as 1.
pub const CLAIMS_DEPTH_MAX: usize = 8;
/// Most labels of a key.
pub const METADATA_PAIRS_MAX: usize = 50;
/// Longest key of a label, in characters.
pub const METADATA_KEY_LEN_MAX: usize = 64;
/// Longest value of a label, in characters.
pub const METADATA_VALUE_LEN_MAX: usize = 512;
/// Shortest text that may serve as a root key, in characters.
pub const ROOT_KEY_TEXT_LEN_MIN: usize = 32;

/// Whether a terminal acts on `c`, or shows nothing for it, so that a name could change what is seen of others or pass for
/// another name: control characters, C0 and C1, and what Unicode calls format characters (Cf) and their like.
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            // Zero width; marks, embeddings, overrides and isolates of direction; ends of lines and paragraphs.
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            // Tags.
            | '\u{e0000}'..='\u{e0fff}')
}

/// Whether `c` changes the direction of the text around it: embeddings, overrides and isolates.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A name: 1 to 100 characters, no white space at either end, no control characters, and something to see. Characters that
/// turn the direction of text are refused: they make one name look like another.
pub fn name(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.chars().count() > NAME_LEN_MAX {
        return Err("have 1 to 100 characters");
    }
    if text.trim() != text {
        return Err("not start or end with white space");
    }
    if text.chars().any(char::is_control) {
        return Err("not contain control characters");
    }
    if text.chars().any(is_bidi_control) {
        return Err("not contain characters that turn the direction of text (U+202A to U+202E, U+2066 to U+2069)");
    }
    if text.chars().all(|c| is_invisible(c) || c.is_whitespace()) {
        return Err("have a character that can be seen");
    }
    Ok(())
}

/// Free text: up to 1,000 characters, no control characters but tabs and line ends.
pub fn text(text: &str) -> Result<(), &'static str> {
    if text.chars().count() > TEXT_LEN_MAX {
        return Err("have at most 1,000 characters");
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err("not contain control characters other than tabs and line ends");
    }
    Ok(())
}

/// An id of the caller's own: 1 to 128 of `[A-Za-z0-9_.:@/-]`.
pub fn reference(text: &str) -> Result<(), &'static str> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'@' | b'/' | b'-');
    if text.is_empty() || text.len() > REFERENCE_LEN_MAX || !text.bytes().all(fits) {
        return Err("have 1 to 128 characters of [A-Za-z0-9_.:@/-]");
    }
    Ok(())
}

/// Claims: up to 8 KiB as compact JSON, up to 8 levels deep.
pub fn claims(claims: &Json) -> Result<(), &'static str> {
    // Depth first: it bounds the recursion of what follows.
    if claims.values().any(|value| !is_within_depth(value, CLAIMS_DEPTH_MAX - 1)) {
        return Err("be at most 8 levels deep");
    }
    let size = serde_json::to_vec(claims).map_or(usize::MAX, |json| json.len());
    if size > CLAIMS_SIZE_MAX {
        return Err("be at most 8,192 bytes as JSON");
    }
    Ok(())
}

fn is_within_depth(value: &serde_json::Value, levels: usize) -> bool {
    match value {
        serde_json::Value::Object(map) => levels > 0 && map.values().all(|v| is_within_depth(v, levels - 1)),
        serde_json::Value::Array(items) => levels > 0 && items.iter().all(|v| is_within_depth(v, levels - 1)),
        _ => true,
    }
}

/// Largest whole number in claims, either way from zero. Claims travel as `google.protobuf.Struct`, whose numbers are doubles:
/// beyond it two whole numbers can have one double, and a client would read another number than the one that was written.
pub const CLAIMS_NUMBER_MAX: i64 = (1 << 53) - 1;

/// The paths, below the claims, of numbers beyond [`CLAIMS_NUMBER_MAX`]: `.a`, `.a[0].b`. For claims within their depth.
pub fn inexact_numbers(claims: &Json) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in claims {
        note_inexact(value, &format!(".{name}"), &mut found);
    }
    found
}

fn note_inexact(value: &serde_json::Value, path: &str, found: &mut Vec<String>) {
    #[expect(clippy::cast_precision_loss, reason = "a double holds it")]
    const MAX: f64 = CLAIMS_NUMBER_MAX as f64;
    match value {
        serde_json::Value::Number(number) if number.as_f64().is_none_or(|number| number.abs() > MAX) => {
            found.push(path.to_owned());
        }
        serde_json::Value::Object(map) => {
            for (name, value) in map {
                note_inexact(value, &format!("{path}.{name}"), found);
            }
        }
        serde_json::Value::Array(items) => {
            for (nth, value) in items.iter().enumerate() {
                note_inexact(value, &format!("{path}[{nth}]"), found);
            }
        }
        _ => {}
    }
}

/// The key of a label: 1 to 64 characters, no control characters.
pub fn label_key(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.chars().count() > METADATA_KEY_LEN_MAX || text.chars().any(char::is_control) {
        return Err("have keys of 1 to 64 characters, none of them a control character");
    }
    Ok(())
}

/// The value of a label: up to 512 characters, no control characters.
pub fn label_value(text: &str) -> Result<(), &'static str> {
    if text.chars().count() > METADATA_VALUE_LEN_MAX || text.chars().any(char::is_control) {
        return Err("have values of at most 512 characters, none of them a control character");
    }
    Ok(())
}

/// A text that an operator chose as the first root key: 32 characters to 512 bytes that a header can carry.
pub fn root_key_text(text: &str) -> Result<(), &'static str> {
    let length = ROOT_KEY_TEXT_LEN_MIN..=super::token::PRESENTED_LEN_MAX;
    if !length.contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("have 32 to 512 printable ASCII characters without spaces");
    }
    Ok(())
}

/// The form of a text in which case does not count, for search, nor how its letters are composed: Unicode's full case folding,
/// in NFC.
pub fn folded(text: &str) -> String {
    composed(&icu_casemap::CaseMapper::new().fold_string(text)).into_owned()
}

/// `text` in NFC: each letter with its accents in as few characters as there are for it.
pub fn composed(text: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfc().normalize(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names() {
        for good in ["n", "Ünïcödé e\u{301}", "👩‍👩‍👧 family", "مفتاح", "می\u{200c}خواهم", "a\u{200e}b", &"é".repeat(100)]
        {
            assert_eq!(name(good), Ok(()), "{good}");
        }
        for bad in ["\u{200b}", "\u{feff}", "\u{2060}\u{200d}", "\u{200b} \u{200b}", "\u{2800}", "\u{ad}", "\u{3164}"] {
            assert!(name(bad).unwrap_err().contains("seen"), "{bad:?}");
        }
        for c in ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}') {
            assert!(name(&format!("a{c}b")).unwrap_err().contains("direction"), "{c:?}");
        }
        for bad in ["", " a", "a ", "a\u{a0}", "a\0b", "a\nb", "\u{85}x", &"é".repeat(101)] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn claims_have_a_depth_and_a_size() {
        let nested = |levels: usize| (1..levels).fold(json!(1), |inner, _| json!({ "a": inner }));
        let as_claims = |value| crate::key::record::object(json!({ "a": value }));
        assert_eq!(claims(&as_claims(nested(CLAIMS_DEPTH_MAX))), Ok(()));
        assert!(claims(&as_claims(nested(CLAIMS_DEPTH_MAX + 1))).is_err());
        let frame = r#"{"a":""}"#.len();
        assert_eq!(claims(&as_claims(json!("x".repeat(CLAIMS_SIZE_MAX - frame)))), Ok(()));
        assert!(claims(&as_claims(json!("x".repeat(CLAIMS_SIZE_MAX - frame + 1)))).is_err());
    }

    #[test]
    fn numbers_that_a_double_may_not_hold_are_found() {
        let found = |value| inexact_numbers(&crate::key::record::object(json!({ "a": value })));
        for exact in [json!(9_007_199_254_740_991_i64), json!(-9_007_199_254_740_991_i64), json!(0.1), json!("1e300")] {
            assert!(found(exact.clone()).is_empty(), "{exact}");
        }
        for inexact in
            [json!(9_007_199_254_740_992_i64), json!(-9_007_199_254_740_993_i64), json!(u64::MAX), json!(1e300)]
        {
            assert_eq!(found(inexact.clone()), [".a"], "{inexact}");
        }
        assert_eq!(found(json!([1, { "b c": [0, 1e16] }, -1e16])), [".a[1].b c[1]", ".a[2]"]);
    }

    #[test]
    fn folding_ignores_case() {
        assert_eq!(folded("STRASSE"), folded("straße"));
        assert_eq!(folded("ΣΑΣ"), folded("σας"));
        assert_eq!(folded("100%_a"), "100%_a");
    }

    #[test]
    fn folding_ignores_how_letters_are_composed() {
        for (composed, apart) in
            [("Caf\u{e9}", "CAFE\u{301}"), ("\u{c5}", "a\u{30a}"), ("\u{ac00}", "\u{1100}\u{1161}")]
        {
            assert_eq!(folded(composed), folded(apart), "{composed}");
        }
        assert_ne!(folded("e"), folded("e\u{301}"));
    }
}
