//! `keys import`: a file of keys whose secrets another system made, in batches. What the file has of secrets is never
//! printed, not even where a line cannot be read.

mod csv;
mod hashed;
mod jsonl;
mod progress;
mod report;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead};
use std::mem;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use prost::Message as _;
use tonic::{Code, Status};

use crate::cli::client::ClientArgs;
use crate::cli::exit::{Error, Exit};
use crate::cli::parse;
use crate::grpc::pb::api_key_import_result::Outcome;
use crate::grpc::pb::{ApiKeyImport, ApiKeyImportResult, DigestAlgorithm, ImportApiKeysRequest, SecretDigest};
use crate::text_file;

use progress::Progress;
use report::Report;

/// Most entries of one request: each may cost the server 20 ms of hashing, and `--timeout` is for one request.
const BATCH_LEN_MAX: usize = 200;
/// Most of a request in bytes; the server takes 1 MiB.
const BATCH_SIZE_MAX: usize = 512 * 1024;
/// Largest entry, in bytes. What is good has less, 190 KB at most; a batch with one more than full still fits a request.
const ENTRY_SIZE_MAX: usize = 256 * 1024;
/// Longest line of JSON, or record of CSV, in bytes. Far more than an entry may have.
const LINE_SIZE_MAX: usize = 256 * 1024;

/// How often a batch is tried again, with half as many entries each time.
const RETRIES_MAX: usize = 4;
/// How long after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

#[derive(Args, Debug)]
pub struct ImportArgs {
    /// The file, .jsonl or .csv; - is stdin
    file: PathBuf,
    /// What the file holds: JSON objects, one a line, or CSV under a header [default: by the file's name]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The keyspace to import into [default: default]
    #[arg(long, value_parser = parse::keyspace)]
    keyspace: Option<String>,
    /// Only check every line; nothing is imported
    #[arg(long)]
    dry_run: bool,
    /// Send the SHA-256 of each plaintext in its stead: no plaintext leaves this machine, and the server need not hash.
    /// Only for keys that are random: a digest of what people chose can be guessed
    #[arg(long)]
    hash_locally: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// JSON objects, one a line
    Jsonl,
    /// Comma-separated values under a header
    Csv,
}

/// An entry of the file, or why it is none.
struct Line {
    number: u64,
    entry: Result<ApiKeyImport, String>,
}

/// The entries of a file. An error ends it: the file cannot be read any further.
type Lines = Box<dyn Iterator<Item = Result<Line, Error>>>;

impl ImportArgs {
    fn format(&self) -> Result<Format, Error> {
        let ending = self.file.extension().map(OsStr::to_ascii_lowercase);
        match (self.format, ending.as_deref().and_then(|ending| ending.to_str())) {
            (Some(format), _) => Ok(format),
            (None, Some("jsonl" | "ndjson")) => Ok(Format::Jsonl),
            (None, Some("csv")) => Ok(Format::Csv),
            _ => Err(Error::Usage("--format says what the file holds: jsonl or csv; its name does not".into())),
        }
    }
}

/// Imports a file. Whatever is refused, the rest is imported.
pub async fn run(args: ImportArgs, client: &ClientArgs) -> Result<Exit, Error> {
    let format = args.format()?;
    let progress = Progress::default();
    let reader = open(&args.file, &progress)?;
    let lines: Lines = match format {
        Format::Jsonl => Box::new(jsonl::lines(reader)),
        Format::Csv => Box::new(csv::lines(reader)?),
    };
    let mut sending = Sending {
        keys: client.connect().await?,
        keyspace: args.keyspace.unwrap_or_default(),
        is_dry_run: args.dry_run,
        batch: Vec::new(),
        size: 0,
        report: Report::new(client.out(), progress, args.dry_run),
    };
    let lines = if args.hash_locally { Box::new(lines.map(|line| line.map(hashed::line))) } else { lines };
    let sent = sending.all(lines).await;
    let Sending { report, .. } = sending;
    // What was done before it failed was done, and is told.
    let ended = report.end();
    sent.and(ended)
}

/// The algorithm of this name: `sha256`, `SHA-256`, or as ProtoJSON has it.
fn algorithm(name: &str) -> Result<DigestAlgorithm, String> {
    let plain = name.to_ascii_uppercase().replace('-', "");
    match plain.trim_start_matches("DIGEST_ALGORITHM_") {
        "SHA256" => Ok(DigestAlgorithm::Sha256),
        "SHA384" => Ok(DigestAlgorithm::Sha384),
        "SHA512" => Ok(DigestAlgorithm::Sha512),
        _ => Err("digest: the algorithm must be sha256, sha384 or sha512".to_owned()),
    }
}

/// A digest whose value is text. The server tells hex from base64 by its length.
fn digest(algorithm: DigestAlgorithm, value: String) -> SecretDigest {
    SecretDigest { algorithm: algorithm.into(), value: value.into_bytes() }
}

fn open(path: &Path, progress: &Progress) -> Result<Box<dyn BufRead>, Error> {
    if path == Path::new("-") {
        let stdin = text_file::behind_bom(progress.watch(io::stdin(), None));
        return stdin.map_err(|error| Error::Usage(format!("cannot read stdin: {error}")));
    }
    let cannot = |error: io::Error| Error::Usage(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(cannot)?;
    let size = file.metadata().map_err(cannot)?.len();
    text_file::behind_bom(progress.watch(file, Some(size))).map_err(cannot)
}

/// An entry and its line.
type Numbered = (u64, ApiKeyImport);

struct Sending {
    keys: crate::cli::client::Client,
    keyspace: String,
    is_dry_run: bool,
    batch: Vec<Numbered>,
    size: usize,
    report: Report,
}

impl Sending {
    async fn all(&mut self, lines: Lines) -> Result<Exit, Error> {
        for line in lines {
            let Line { number, entry } = line?;
            match entry {
                // A few bytes of JSON can be many of a request.
                Ok(entry) if entry.encoded_len() > ENTRY_SIZE_MAX => {
                    self.report.unreadable(number, &format!("the entry is larger than {ENTRY_SIZE_MAX} bytes"));
                }
                Ok(entry) => {
                    self.size += entry.encoded_len();
                    self.batch.push((number, entry));
                    if self.batch.len() == BATCH_LEN_MAX || self.size > BATCH_SIZE_MAX {
                        self.send().await?;
                    }
                }
                Err(why) => self.report.unreadable(number, &why),
            }
        }
        self.send().await?;
        Ok(Exit::Done)
    }

    async fn send(&mut self) -> Result<(), Error> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.size = 0;
        let mut rest = mem::take(&mut self.batch);
        let (mut at_once, mut tries) = (rest.len(), 0);
        while !rest.is_empty() {
            let part = &rest[..at_once.min(rest.len())];
            match self.keys.keys().import_api_keys(self.request(part)).await {
                Ok(answer) => {
                    let part: Vec<_> = rest.drain(..part.len()).collect();
                    let again = self.tell(part, answer.into_inner().results)?;
                    if !again.is_empty() {
                        at_once = at_once.div_ceil(2);
                        rest.splice(..0, again);
                    }
                }
                // What it may have made all the same, the next try finds.
                Err(status) if tries < RETRIES_MAX && passes(&status) => {
                    tries += 1;
                    at_once = at_once.div_ceil(2);
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(status) => return Err(status.into()),
            }
        }
        Ok(())
    }

    fn request(&self, part: &[Numbered]) -> ImportApiKeysRequest {
        let entries = part.iter().map(|(_, entry)| entry.clone()).collect();
        ImportApiKeysRequest { keyspace: self.keyspace.clone(), entries, validate_only: self.is_dry_run }
    }

    /// Tells what became of each; those that are to be sent once more, fewer at a time.
    fn tell(&mut self, part: Vec<Numbered>, results: Vec<ApiKeyImportResult>) -> Result<Vec<Numbered>, Error> {
        if results.len() != part.len() {
            return Err(Error::Failed("the server did not answer each entry".into()));
        }
        let is_one_of_many = part.len() > 1;
        let mut again = Vec::new();
        for ((number, entry), result) in part.into_iter().zip(results) {
            match result.outcome {
                Some(Outcome::ApiKey(key)) => self.report.imported(&key)?,
                Some(Outcome::Status(status)) => {
                    let details = status.encode_to_vec().into();
                    let status = Status::with_details(Code::from(status.code), status.message, details);
                    if is_one_of_many && report::is_too_much(&status) {
                        again.push((number, entry));
                    } else {
                        self.report.answered(number, status);
                    }
                }
                None => self.report.unreadable(number, "the server gave no answer that this program knows"),
            }
        }
        self.report.batch_done();
        Ok(again)
    }
}

/// Whether the same may succeed later, or with fewer entries: a busy server needs longer than `--timeout` for many.
fn passes(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::ResourceExhausted | Code::Aborted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_the_format_unless_it_is_told() {
        let args = |file: &str, format| ImportArgs {
            file: file.into(),
            format,
            keyspace: None,
            dry_run: false,
            hash_locally: false,
        };
        assert_eq!(args("a.JSONL", None).format().unwrap(), Format::Jsonl);
        assert_eq!(args("a.b.csv", None).format().unwrap(), Format::Csv);
        assert_eq!(args("a.txt", Some(Format::Csv)).format().unwrap(), Format::Csv);
        for unknown in ["-", "a.txt", "csv"] {
            assert!(matches!(args(unknown, None).format(), Err(Error::Usage(_))), "{unknown}");
        }
    }
}
