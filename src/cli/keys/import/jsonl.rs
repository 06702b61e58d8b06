//! JSON objects, one a line: the ProtoJSON of an entry. A digest may be hex too, and its algorithm go by its usual name.

use std::io::{BufRead, Read as _};

use serde_json::{Map, Value};

use super::{LINE_SIZE_MAX, Line};
use crate::cli::exit::Error;
use crate::grpc::json;
use crate::grpc::pb::{ApiKeyImport, DigestAlgorithm, api_key_import::Material};

/// The name of an entry's message.
const NAME: &str = "portcullis.v1.ApiKeyImport";
/// Longest name of a field that an error repeats: what is longer may be a secret in the wrong place.
const NAME_LEN_MAX: usize = 20;

/// The entries of `reader`; lines with nothing on them are passed over.
pub fn lines(mut reader: impl BufRead) -> impl Iterator<Item = Result<Line, Error>> {
    let mut number = 0;
    std::iter::from_fn(move || {
        loop {
            let mut line = Vec::new();
            let read = reader.by_ref().take(LINE_SIZE_MAX as u64).read_until(b'\n', &mut line);
            number += 1;
            match read {
                Ok(0) => return None,
                Err(error) => return Some(Err(Error::Failed(format!("cannot read on at line {number}: {error}")))),
                Ok(_) if line.trim_ascii().is_empty() => {}
                Ok(_) if line.len() == LINE_SIZE_MAX && line.last() != Some(&b'\n') => {
                    return Some(skip_line(&mut reader).map(|()| {
                        let entry = Err(format!("the line is longer than {LINE_SIZE_MAX} bytes"));
                        Line { number, entry }
                    }));
                }
                Ok(_) => return Some(Ok(Line { number, entry: entry(&line) })),
            }
        }
    })
}

fn skip_line(reader: &mut impl BufRead) -> Result<(), Error> {
    reader.skip_until(b'\n').map(drop).map_err(|error| Error::Failed(format!("cannot read on: {error}")))
}

/// The entry on a line, or what is wrong with it. What serde says of bad input repeats it: it is not passed on.
fn entry(line: &[u8]) -> Result<ApiKeyImport, String> {
    let value: Value =
        serde_json::from_slice(line).map_err(|error| format!("not JSON, at column {}", error.column()))?;
    let Value::Object(mut fields) = value else { return Err("not a JSON object".to_owned()) };
    let digest = fields.remove("digest").map(take_digest).transpose()?;
    if digest.is_some() && (fields.contains_key("plaintext") || fields.contains_key("phc")) {
        return Err("has more than one of plaintext, digest and phc".to_owned());
    }
    let mut entry: ApiKeyImport = json::parse_message(NAME, &fields).ok_or_else(|| what_is_wrong(fields))?;
    if let Some((algorithm, value)) = digest {
        entry.material = Some(Material::Digest(super::digest(algorithm, value)));
    }
    Ok(entry)
}

fn take_digest(digest: Value) -> Result<(DigestAlgorithm, String), String> {
    let Value::Object(mut digest) = digest else {
        return Err("digest: must be an object with algorithm and value".to_owned());
    };
    match (digest.remove("algorithm"), digest.remove("value")) {
        (Some(Value::String(algorithm)), Some(Value::String(value))) if digest.is_empty() => {
            Ok((super::algorithm(&algorithm)?, value))
        }
        _ => Err("digest: must have algorithm and value, both text, and nothing else".to_owned()),
    }
}

/// Which field does not fit, found by trying each alone.
fn what_is_wrong(fields: Map<String, Value>) -> String {
    let fits = |fields: &Map<String, Value>| json::parse_message::<ApiKeyImport>(NAME, fields).is_some();
    for (name, value) in fields {
        let of_any_type = Map::from_iter([(name.clone(), Value::Null)]);
        if !fits(&of_any_type) {
            let is_plain = name.len() <= NAME_LEN_MAX && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
            return if is_plain {
                format!("{name}: no such field")
            } else {
                "has a field that no entry has".to_owned()
            };
        }
        if !fits(&Map::from_iter([(name.clone(), value)])) {
            return format!("{name}: not a value of its type");
        }
    }
    "has two of fields that exclude each other: plaintext, digest and phc; expireTime and ttl".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::pb::api_key_import::Expiration;

    fn all(text: &str) -> Vec<Line> {
        lines(text.as_bytes()).map(|line| line.unwrap()).collect()
    }

    #[test]
    fn an_entry_is_read() {
        let text = r#"{"name": "n", "subject": "s", "scopes": ["a"], "claims": {"x": 1}, "metadata": {"t": "c"},
            "expireTime": "2030-01-31T12:00:00Z", "plaintext": "sk_live_x", "lookup_prefix": "sk"}"#;
        let entry = entry(text.as_bytes()).unwrap();
        assert_eq!((entry.name.as_str(), entry.lookup_prefix.as_str()), ("n", "sk"));
        assert!(matches!(entry.expiration, Some(Expiration::ExpireTime(_))));
        assert!(matches!(entry.material, Some(Material::Plaintext(text)) if text == "sk_live_x"));
    }

    #[test]
    fn an_entry_has_limits() {
        let text = r#"{"rateLimit": {"limit": 100, "window": "1s", "also": [{"limit": 9, "window": "60s", "name": "m"}]},
            "credits": {"refill": {"amount": 10, "interval": "CREDITS_INTERVAL_MONTH"}}, "allowedCidrs": ["::1"]}"#;
        let entry = entry(text.as_bytes()).unwrap();
        assert_eq!(crate::cli::limits::in_words(entry.rate_limit.as_ref().unwrap()), "100/s m=9/min");
        assert_eq!((entry.credits.unwrap().remaining, entry.allowed_cidrs), (None, vec!["::1".to_owned()]));
    }

    #[test]
    fn a_digest_may_be_text_of_any_form() {
        for algorithm in ["sha256", "SHA-256", "DIGEST_ALGORITHM_SHA256"] {
            let text = format!(r#"{{"digest": {{"algorithm": "{algorithm}", "value": "00ff"}}}}"#);
            let Some(Material::Digest(digest)) = entry(text.as_bytes()).unwrap().material else { panic!("no digest") };
            assert_eq!((digest.algorithm(), digest.value.as_slice()), (DigestAlgorithm::Sha256, &b"00ff"[..]));
        }
    }

    #[test]
    fn bad_lines_are_told_by_their_number_and_do_not_show() {
        let text = "\n{\"name\": \"fine\"}\n{\"plaintext\": \"hush\n{\"plaintext\": [\"hush\"]}\r\n\"hush\"\n\
                    {\"plaintxt\": \"hush\"}\n{\"hush_this_is_a_very_long_name\": 1}\n\
                    {\"phc\": \"hush\", \"plaintext\": \"hush\"}\n{\"digest\": \"hush\"}\n\
                    {\"digest\": {\"algorithm\": \"hush5\", \"value\": \"hush\"}}\n\
                    {\"digest\": {\"algorithm\": \"sha256\", \"value\": \"hush\"}, \"phc\": \"hush\"}\n\u{ff}";
        let lines = all(text);
        let expect = [
            (3, "not JSON, at column"),
            (4, "plaintext: not a value of its type"),
            (5, "not a JSON object"),
            (6, "plaintxt: no such field"),
            (7, "has a field that no entry has"),
            (8, "exclude each other"),
            (9, "digest: must be an object"),
            (10, "digest: the algorithm must be"),
            (11, "more than one of"),
            (12, "not JSON"),
        ];
        assert_eq!(lines.len(), 1 + expect.len());
        assert!(lines[0].number == 2 && lines[0].entry.is_ok());
        for (line, (number, why)) in lines[1..].iter().zip(expect) {
            let error = line.entry.as_ref().unwrap_err();
            assert!(
                line.number == number && error.contains(why) && !error.contains("hush"),
                "{}: {error}",
                line.number
            );
        }
    }

    #[test]
    fn a_line_without_end_does_not_fill_the_memory() {
        let lines = all(&format!("{}\n{{\"name\": \"fine\"}}", "x".repeat(3 * LINE_SIZE_MAX)));
        assert!(lines[0].entry.as_ref().unwrap_err().contains("longer than"));
        assert!(lines[1].number == 2 && lines[1].entry.is_ok());
    }
}
