//! Values on the command line.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command};
use prost_types::{Duration, Struct, Timestamp};

use super::exit::Error;
use super::terminal;
use crate::clock;
use crate::grpc::json;
use crate::key::pasted::{self, Pasted};
use crate::key::recognize::{self, TextKind};
use crate::key::token::Token;
use crate::text_file;

/// Largest file of claims that is read. The server takes 8 KiB of compact JSON; this leaves room for white space.
const CLAIMS_FILE_SIZE_MAX: u64 = 1024 * 1024;

/// Reads the id of a key. Secrets get where ids belong: they are refused without being repeated, which `value_parser`
/// functions cannot.
#[derive(Clone, Copy, Debug)]
pub struct KeyIdParser;

impl TypedValueParser for KeyIdParser {
    type Value = String;

    fn parse_ref(&self, cmd: &Command, _: Option<&Arg>, value: &OsStr) -> Result<String, clap::Error> {
        let refused = |why: &str| clap::Error::raw(ErrorKind::ValueValidation, format!("{why}\n")).with_cmd(cmd);
        let text = value.to_str().ok_or_else(|| refused("the id of a key must be text"))?;
        match recognize::kind_of(text) {
            Some(TextKind::Secret) => Err(refused(
                "this is the secret of a key, not its id: `portcullis keys revoke --secret-stdin` revokes its key, \
                 `portcullis keys verify -` shows the id; both read the secret from stdin",
            )),
            Some(TextKind::RootKey) => Err(refused(
                "this is a root key, not an id: `portcullis keys revoke --secret-stdin` revokes it, \
                 `portcullis root-key list` shows the ids of root keys",
            )),
            Some(TextKind::KeyId) | None => Ok(recognize::unwrapped(text).to_owned()),
        }
    }
}

/// The key in `text`, whatever is around it. Imported keys have no form of their own: if nothing has one, it is the first
/// line that has anything.
///
/// # Errors
/// If it holds several keys.
pub fn key_in(text: &str) -> Result<String, Error> {
    if recognize::kind_of(text).is_some() {
        return Ok(recognize::unwrapped(text).to_owned());
    }
    match pasted::find(text) {
        Pasted::Key(key) => {
            terminal::note("the key was taken out of the text around it");
            Ok(key.expose().to_owned())
        }
        Pasted::Several(count) => Err(Error::Usage(format!("the text holds {count} keys: verify each by itself"))),
        Pasted::Broken(_) | Pasted::Nothing => {
            let line = text.lines().map(recognize::unwrapped).find(|line| !line.is_empty());
            Ok(line.unwrap_or_default().to_owned())
        }
    }
}

/// Why a key that the server does not know may not be what was meant; `None` if its form says nothing.
pub fn hint_at(key: &str) -> Option<&'static str> {
    match recognize::kind_of(key)? {
        TextKind::KeyId => Some("this is the id of a key, not its secret: `portcullis keys get ID` shows that key"),
        TextKind::RootKey => {
            Some("this is a root key, which no customer has: `portcullis root-key list` shows those that are valid")
        }
        TextKind::Secret if Token::parse(recognize::unwrapped(key)).is_err() => {
            Some("this has the form of a key, but its checksum is wrong: it was mistyped, or made up")
        }
        TextKind::Secret => Some(
            "this has the form of a key and its checksum is right: it belongs to another keyspace than --keyspace names, \
             was deleted, rotated or made by another installation, or the root key may not see its keyspace",
        ),
    }
}

/// A span such as `30d`, `12h` or `1h 30m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    span.try_into().map_err(|_| "too long".to_owned())
}

/// A point in time as RFC 3339 has it; a date alone is its beginning in UTC.
pub fn time(text: &str) -> Result<Timestamp, String> {
    // The parser knows signed years of any length too; the wire does not.
    let has_plain_year = text.starts_with(|c: char| c.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| has_plain_year)
        .ok_or_else(|| "not a time such as 2030-01-31T12:00:00Z or 2030-01-31".to_owned())
}

/// A point in time of a clock, as the wire has it.
pub fn wire_time(at: clock::Timestamp) -> Timestamp {
    let micros = at.as_micros();
    let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1_000).expect("less than a billion");
    Timestamp { seconds: micros.div_euclid(1_000_000), nanos }
}

/// The time that lies `span` after `now`.
pub fn after(now: clock::Timestamp, span: Duration) -> Timestamp {
    wire_time(now.saturating_add(span.try_into().unwrap_or_default()))
}

/// The time that lies `span` before `now`; 1970 if there is none on the wire.
pub fn before(now: clock::Timestamp, span: Duration) -> Timestamp {
    wire_time(now.saturating_sub(span.try_into().unwrap_or_default()).max(clock::Timestamp::from_micros(0)))
}

/// The id of a keyspace. Empty, it would mean what no flag at all means, as when a script's variable is not set.
pub fn keyspace(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("must be the id of a keyspace; is empty. Leave the flag out for the default".to_owned());
    }
    Ok(text.to_owned())
}

/// A label, `key=value`.
pub fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("not of the form key=value".to_owned()),
    }
}

/// The labels together. One given twice is an error: one of the two would be lost.
pub fn labels(pairs: Vec<(String, String)>) -> Result<BTreeMap<String, String>, Error> {
    let mut labels = BTreeMap::new();
    for (key, value) in pairs {
        if labels.contains_key(&key) {
            return Err(Error::Usage(format!("--metadata {key} is given twice")));
        }
        labels.insert(key, value);
    }
    Ok(labels)
}

/// A JSON object, or `@` and the name of a file that holds one.
pub fn claims(text: &str) -> Result<Struct, String> {
    let Some(path) = text.strip_prefix('@') else { return json::parse_object(text) };
    let json = text_file::read(path, CLAIMS_FILE_SIZE_MAX).map_err(|error| format!("cannot read {path}: {error}"))?;
    json::parse_object(&json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn span(text: &str, expect: Option<i64>) {
        assert_eq!(duration(text).ok().map(|d| d.seconds), expect, "{text}");
    }

    #[test]
    fn durations() {
        span("30d", Some(30 * 86_400));
        span("12h", Some(12 * 3_600));
        span("1h 30m", Some(5_400));
        span("0s", Some(0));
        for bad in ["", "30", "d", "-1h", "99999999999999999999y"] {
            span(bad, None);
        }
    }

    #[track_caller]
    fn at(text: &str, expect: Option<&str>) {
        assert_eq!(time(text).ok().map(|t| t.to_string()).as_deref(), expect, "{text}");
    }

    #[test]
    fn times() {
        at("2030-01-31T12:00:00Z", Some("2030-01-31T12:00:00Z"));
        at("2030-01-31T12:00:00+02:00", Some("2030-01-31T10:00:00Z"));
        at("2030-01-31t12:00:00.5z", Some("2030-01-31T12:00:00.500Z"));
        at("2030-01-31", Some("2030-01-31T00:00:00Z"));
        for bad in ["", "tomorrow", "2030-02-30", "2030-13-01", "2030-01-31T25:00:00Z", "+12030-01-31", "2030", "٢٠٣٠"]
        {
            at(bad, None);
        }
    }

    #[test]
    fn labels_are_pairs() {
        assert_eq!(label("team=core"), Ok(("team".into(), "core".into())));
        assert_eq!(label("a="), Ok(("a".into(), String::new())));
        assert_eq!(label("a=b=c"), Ok(("a".into(), "b=c".into())));
        for bad in ["", "team", "=core"] {
            assert!(label(bad).is_err(), "{bad}");
        }
        let twice = vec![("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
        assert!(matches!(labels(twice), Err(Error::Usage(_))));
    }

    #[test]
    fn claims_are_an_object_or_a_file_with_one() {
        let text = r#"{"plan":"pro"}"#;
        let given = claims(text).unwrap();
        assert_eq!(json::object(Some(&given)), text);

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("claims.json");
        std::fs::write(&path, text).unwrap();
        assert_eq!(claims(&format!("@{}", path.display())), Ok(given));

        for bad in ["[]", "@", "@/nonexistent"] {
            assert!(claims(bad).is_err(), "{bad}");
        }
    }
}
