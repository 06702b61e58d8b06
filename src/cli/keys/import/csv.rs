//! Comma-separated values under a header that names the columns.

use std::collections::BTreeMap;
use std::io::Read;

use csv::{ErrorKind, StringRecord};

use super::Line;
use crate::cli::exit::Error;
use crate::cli::{json, parse};
use crate::grpc::pb::ApiKeyImport;
use crate::grpc::pb::api_key_import::{Expiration, Material};

/// What a column may be; `metadata.` and the key of a label is another.
const COLUMNS: [&str; 14] = [
    "name",
    "subject",
    "description",
    "scopes",
    "claims",
    "expire_time",
    "ttl",
    "created_by",
    "request_id",
    "plaintext",
    "digest",
    "algorithm",
    "phc",
    "lookup_prefix",
];
const LABEL: &str = "metadata.";

/// The entries of `reader`.
///
/// # Errors
/// If the header names a column that there is none of.
pub fn lines(reader: impl Read) -> Result<impl Iterator<Item = Result<Line, Error>>, Error> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(reader);
    let header = reader.headers().map_err(|_| Error::Usage("the CSV has no header that can be read".into()))?.clone();
    for (at, name) in header.iter().enumerate() {
        let is_known = COLUMNS.contains(&name) || name.strip_prefix(LABEL).is_some_and(|key| !key.is_empty());
        if !is_known || header.iter().take(at).any(|other| other == name) {
            // Its name is not repeated: where the header was forgotten it may be a secret.
            return Err(Error::Usage(format!(
                "column {} of the CSV's header must be one of {}, or {LABEL}KEY, and be there once",
                at + 1,
                COLUMNS.join(", ")
            )));
        }
    }
    let mut records = reader.into_records();
    Ok(std::iter::from_fn(move || {
        let record = records.next()?;
        let line = match &record {
            Ok(record) => record.position().map_or(0, csv::Position::line),
            Err(error) => error.position().map_or(0, csv::Position::line),
        };
        let entry = match record {
            Ok(record) => entry(&header, &record),
            Err(error) => match error.kind() {
                ErrorKind::Io(error) => return Some(Err(Error::Failed(format!("cannot read on: {error}")))),
                ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    Err(format!("has {len} columns, the header {expected_len}"))
                }
                _ => Err("not CSV in UTF-8".to_owned()),
            },
        };
        Some(Ok(Line { number: line, entry }))
    }))
}

/// The entry of a row. A value is named by its column, and not shown.
fn entry(header: &StringRecord, row: &StringRecord) -> Result<ApiKeyImport, String> {
    let mut values: BTreeMap<&str, &str> = header.iter().zip(row).filter(|(_, value)| !value.is_empty()).collect();
    let mut take = |name: &str| values.remove(name).unwrap_or_default();
    let mut entry = ApiKeyImport {
        name: take("name").to_owned(),
        subject: take("subject").to_owned(),
        description: take("description").to_owned(),
        scopes: take("scopes").split_whitespace().map(str::to_owned).collect(),
        created_by: take("created_by").to_owned(),
        request_id: take("request_id").to_owned(),
        lookup_prefix: take("lookup_prefix").to_owned(),
        ..ApiKeyImport::default()
    };
    let claims = take("claims");
    if !claims.is_empty() {
        entry.claims = Some(json::parse_object(claims).map_err(|_| "claims: not a JSON object")?);
    }
    entry.expiration = match (take("expire_time"), take("ttl")) {
        ("", "") => None,
        (time, "") => Some(Expiration::ExpireTime(parse::time(time).map_err(|why| format!("expire_time: {why}"))?)),
        ("", ttl) => Some(Expiration::Ttl(parse::duration(ttl).map_err(|_| "ttl: not a span such as 30d or 12h")?)),
        _ => return Err("has both expire_time and ttl".to_owned()),
    };
    entry.material = match (take("plaintext"), take("digest"), take("phc")) {
        ("", "", "") => None,
        (text, "", "") => Some(Material::Plaintext(text.to_owned())),
        ("", value, "") => {
            Some(Material::Digest(super::digest(super::algorithm(take("algorithm"))?, value.to_owned())))
        }
        ("", "", text) => Some(Material::Phc(text.to_owned())),
        _ => return Err("has more than one of plaintext, digest and phc".to_owned()),
    };
    take("algorithm");
    // What is left are labels: the header has no other columns.
    let label = |(name, value): (&str, &str)| Some((name.strip_prefix(LABEL)?.to_owned(), value.to_owned()));
    entry.metadata = values.into_iter().filter_map(label).collect();
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Line> {
        lines(text.as_bytes()).expect("a header").map(|line| line.unwrap()).collect()
    }

    #[test]
    fn rows_are_entries() {
        let rows = all("name, subject,scopes,metadata.team,claims,plaintext,digest,algorithm,phc,ttl\n\
                        n,user_1,a b:c,core,\"{\"\"plan\"\": \"\"pro\"\"}\",sk_live_x,,,,30d\n\
                        \"two\nlines\",user_1,,,,,abcd,sha-384,,\n\
                        last,user_1,,,,,,sha256,$2b$,\n");
        assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), [2, 3, 5]);
        let entries: Vec<_> = rows.into_iter().map(|row| row.entry.unwrap()).collect();
        assert_eq!(entries[0].scopes, ["a", "b:c"]);
        assert_eq!(entries[0].metadata, [("team".to_owned(), "core".to_owned())].into());
        assert!(entries[0].claims.is_some() && matches!(entries[0].expiration, Some(Expiration::Ttl(_))));
        assert!(matches!(&entries[0].material, Some(Material::Plaintext(text)) if text == "sk_live_x"));
        assert!(matches!(&entries[1].material, Some(Material::Digest(digest)) if digest.value == b"abcd"));
        assert!(matches!(&entries[2].material, Some(Material::Phc(text)) if text == "$2b$"));
    }

    #[test]
    fn bad_rows_do_not_show() {
        let rows = all("name,plaintext,phc,digest,algorithm,claims,expire_time,ttl\nhush\nn,hush,hush,,,,,\n\
                        n,,,hush,hush,,,\nn,,,,,hush,,\nn,,,,,,hush,\nn,,,,,,2030-01-01,1d\nfine,,,,,,,\n");
        let (fine, bad) = rows.split_last().unwrap();
        assert!(fine.entry.is_ok());
        assert_eq!(bad.len(), 6);
        for (n, row) in bad.iter().enumerate() {
            let error = row.entry.as_ref().unwrap_err();
            assert!(!error.contains("hush") && row.number == n as u64 + 2, "{}: {error}", row.number);
        }
    }

    #[test]
    fn a_header_must_be_one() {
        for bad in ["hush,name\n", "name,name\n", "metadata.\n", ""] {
            match lines(bad.as_bytes()).map(drop) {
                Err(Error::Usage(error)) => assert!(!error.contains("hush"), "{error}"),
                Ok(()) => assert!(bad.is_empty(), "{bad}"),
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}
