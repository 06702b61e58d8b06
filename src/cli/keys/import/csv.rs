//! Comma-separated values under a header that names the columns.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use csv_core::ReadRecordResult;

use super::{LINE_SIZE_MAX, Line};
use crate::cli::exit::Error;
use crate::cli::{limits, parse};
use crate::grpc::json;
use crate::grpc::pb::api_key_import::{Expiration, Material};
use crate::grpc::pb::{ApiKeyImport, Credits};

/// What a column may be; `metadata.` and the key of a label is another.
const COLUMNS: [&str; 18] = [
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
    "rate_limit",
    "credits",
    "refill",
    "allowed_cidrs",
];
const LABEL: &str = "metadata.";

/// Most columns. Far more than an entry has labels.
const COLUMNS_MAX: usize = 1_000;

/// The entries of `reader`.
///
/// # Errors
/// If the header names a column that there is none of.
pub fn lines(reader: impl BufRead) -> Result<impl Iterator<Item = Result<Line, Error>>, Error> {
    let mut records = Records::new(reader);
    let header = match records.next().map(|(_, record)| record) {
        Ok(Some(Ok(header))) => header,
        Ok(None) => Vec::new(),
        _ => return Err(Error::Usage("the CSV has no header that can be read".into())),
    };
    let header: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
    for (at, name) in header.iter().enumerate() {
        let is_known = COLUMNS.contains(&name.as_str()) || name.strip_prefix(LABEL).is_some_and(|key| !key.is_empty());
        if !is_known || header.iter().take(at).any(|other| other == name) {
            // Its name is not repeated: where the header was forgotten it may be a secret.
            return Err(Error::Usage(format!(
                "column {} of the CSV's header must be one of {}, or {LABEL}KEY, and be there once",
                at + 1,
                COLUMNS.join(", ")
            )));
        }
    }
    Ok(std::iter::from_fn(move || match records.next() {
        Ok((number, record)) => {
            let entry = match record? {
                Ok(row) if row.len() == header.len() => entry(&header, &row),
                Ok(row) => Err(format!("has {} columns, the header {}", row.len(), header.len())),
                Err(why) => Err(why),
            };
            Some(Ok(Line { number, entry }))
        }
        Err(error) => Some(Err(Error::Failed(format!("cannot read on: {error}")))),
    }))
}

/// The values of a record, or why there are none.
type Record = Result<Vec<String>, String>;

/// Reads record by record and holds no more than one, of [`LINE_SIZE_MAX`].
struct Records<R> {
    reader: R,
    parser: csv_core::Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl<R: BufRead> Records<R> {
    fn new(reader: R) -> Self {
        Self { reader, parser: csv_core::Reader::new(), text: vec![0; LINE_SIZE_MAX], ends: vec![0; COLUMNS_MAX] }
    }

    /// The next, and the line that it begins on; `None`: there are no more.
    fn next(&mut self) -> io::Result<(u64, Option<Record>)> {
        let number = self.parser.line();
        let (mut length, mut columns, mut is_too_long) = (0, 0, false);
        loop {
            let input = self.reader.fill_buf()?;
            let (result, read, written, ended) =
                self.parser.read_record(input, &mut self.text[length..], &mut self.ends[columns..]);
            self.reader.consume(read);
            (length, columns) = (length + written, columns + ended);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    // What is left of it is read over what was, to find its end.
                    (length, columns, is_too_long) = (0, 0, true);
                }
                ReadRecordResult::Record if is_too_long => {
                    let why = format!("the record is longer than {LINE_SIZE_MAX} bytes or {COLUMNS_MAX} columns");
                    return Ok((number, Some(Err(why))));
                }
                ReadRecordResult::Record => return Ok((number, Some(self.values(columns)))),
                ReadRecordResult::End => return Ok((number, None)),
            }
        }
    }

    fn values(&self, columns: usize) -> Record {
        let mut start = 0;
        let value = |end: &usize| {
            let value = self.text.get(start..*end).and_then(|value| str::from_utf8(value).ok());
            start = *end;
            value.map(str::to_owned)
        };
        let values: Option<Vec<_>> = self.ends[..columns].iter().map(value).collect();
        values.ok_or_else(|| "not CSV in UTF-8".to_owned())
    }
}

/// The entry of a row. A value is named by its column, and not shown.
fn entry(header: &[String], row: &[String]) -> Result<ApiKeyImport, String> {
    let values = header.iter().zip(row).filter(|(_, value)| !value.is_empty());
    let mut values: BTreeMap<&str, &str> = values.map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut take = |name: &str| values.remove(name).unwrap_or_default();
    let mut entry = ApiKeyImport {
        name: take("name").to_owned(),
        subject: take("subject").to_owned(),
        description: take("description").to_owned(),
        scopes: take("scopes").split_whitespace().map(str::to_owned).collect(),
        created_by: take("created_by").to_owned(),
        request_id: take("request_id").to_owned(),
        lookup_prefix: take("lookup_prefix").to_owned(),
        allowed_cidrs: take("allowed_cidrs").split_whitespace().map(str::to_owned).collect(),
        ..ApiKeyImport::default()
    };
    let claims = take("claims");
    if !claims.is_empty() {
        entry.claims = Some(json::parse_object(claims).map_err(|_| "claims: not a JSON object")?);
    }
    let rates = take("rate_limit").split_whitespace().map(limits::rate);
    let rates = rates.collect::<Result<Vec<_>, _>>().map_err(|why| format!("rate_limit: {why}"))?;
    entry.rate_limit = limits::together(rates);
    entry.credits = credits(take("credits"), take("refill"))?;
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

fn credits(remaining: &str, refill: &str) -> Result<Option<Credits>, String> {
    let some = |text: &'_ str| !text.is_empty();
    let remaining = some(remaining).then(|| limits::credits(remaining)).transpose();
    let refill = some(refill).then(|| limits::refill(refill)).transpose();
    let remaining = remaining.map_err(|why| format!("credits: {why}"))?;
    let refill = refill.map_err(|why| format!("refill: {why}"))?;
    let is_limited = remaining.is_some() || refill.is_some();
    Ok(is_limited.then(|| Credits { remaining, refill, ..Credits::default() }))
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
    fn rows_have_limits() {
        let rows =
            all("rate_limit,credits,refill,allowed_cidrs\n100/s 1000/day,5,10/month,10.0.0.0/8 ::1\n,,,\n,7,,\n");
        let entries: Vec<_> = rows.into_iter().map(|row| row.entry.unwrap()).collect();
        let rate = entries[0].rate_limit.as_ref().unwrap();
        assert_eq!(limits::in_words(rate), "100/s per-day=1000/day");
        let refill = Some(limits::refill("10/month").unwrap());
        assert_eq!(entries[0].credits, Some(Credits { remaining: Some(5), refill, ..Credits::default() }));
        assert_eq!(entries[0].allowed_cidrs, ["10.0.0.0/8", "::1"]);
        assert!(entries[1].rate_limit.is_none() && entries[1].credits.is_none());
        assert_eq!(entries[2].credits.and_then(|credits| credits.remaining), Some(7));
        for row in all("rate_limit,credits,refill\nhush,,\n,hush,\n,,hush\n") {
            assert!(!row.entry.unwrap_err().contains("hush"));
        }
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
    fn a_record_without_end_does_not_fill_the_memory() {
        let long = "x\n".repeat(LINE_SIZE_MAX);
        let wide = ",".repeat(3 * COLUMNS_MAX);
        let rows = all(&format!("name,subject\nn,\"{long}\"\n{wide}\nn,\u{ff}\nn,s\nn,\"{long}"));
        let after = LINE_SIZE_MAX as u64 + 3;
        assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), [2, after, after + 1, after + 2, after + 3]);
        for n in [0, 1, 4] {
            assert!(rows[n].entry.as_ref().unwrap_err().contains("longer than"), "{n}");
        }
        assert!(rows[2].entry.is_ok() && rows[3].entry.as_ref().is_ok_and(|entry| entry.subject == "s"));
    }

    #[test]
    fn what_is_read_in_pieces_is_whole() {
        let text = "\u{feff}name,subject\r\n\r\n\"a \"\"b\"\"\",\"c\r\nd\"\r\ne,f";
        let mut pieces = io::BufReader::with_capacity(5, text.as_bytes());
        let rows: Vec<_> = lines(&mut pieces).unwrap().map(|line| line.unwrap().entry.unwrap()).collect();
        let rows: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.subject.as_str())).collect();
        assert_eq!(rows, [("a \"b\"", "c\r\nd"), ("e", "f")]);
        let mut latin = lines(&b"name\n\xff\n"[..]).unwrap();
        assert!(latin.next().unwrap().unwrap().entry.unwrap_err().contains("UTF-8"));
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
