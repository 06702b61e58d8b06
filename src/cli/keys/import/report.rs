//! What an import came to: refusals as they come, and the sum of it all.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use serde_json::{Value, json};
use tonic::Status;
use tonic_types::StatusExt as _;

use super::progress::Progress;
use crate::cli::exit::{Error, Exit, upper_snake};
use crate::cli::output::{Format, Out, write_stdout};
use crate::cli::terminal::{visible_json, visible_lines};
use crate::grpc::pb::{ApiKey, ErrorReason};

/// How many refusals for one reason are told one by one; the others are counted.
const TOLD_MAX: u64 = 5;
/// Most reasons that are counted apart, at some 100 bytes each.
const REASONS_MAX: usize = 200;
/// Most refusals that the JSON lists, at some 200 bytes each.
const LISTED_MAX: usize = 10_000;

/// Whether an entry is only too much beside others of its request.
pub fn is_too_much(status: &Status) -> bool {
    is(status, ErrorReason::HashingBusy)
}

fn is(status: &Status, reason: ErrorReason) -> bool {
    let details = status.get_error_details();
    details.error_info().is_some_and(|info| bare(&info.reason) == bare(reason.as_str_name()))
}

fn bare(reason: &str) -> &str {
    reason.trim_start_matches("ERROR_REASON_")
}

/// Counts and tells.
pub struct Report {
    out: Out,
    progress: Progress,
    imported: u64,
    already_there: u64,
    refused: u64,
    listed: Vec<Value>,
    is_dry_run: bool,
    /// Refusals by what is said of them.
    by_text: BTreeMap<String, Alike>,
}

/// Refusals for the same reason.
struct Alike {
    count: u64,
    first: u64,
    last: u64,
}

impl Report {
    /// Nothing is done yet.
    pub fn new(out: Out, progress: Progress, is_dry_run: bool) -> Self {
        let (imported, already_there, refused) = (0, 0, 0);
        let (listed, by_text) = (Vec::new(), BTreeMap::new());
        Self { out, progress, imported, already_there, refused, listed, is_dry_run, by_text }
    }

    /// A key was made.
    pub fn imported(&mut self, key: &ApiKey) -> Result<(), Error> {
        self.imported += 1;
        if self.out.quiet && !self.is_dry_run {
            write_stdout(&format!("{}\n", key.id))
                .map_err(|error| Error::Failed(format!("cannot write to stdout: {error}")))?;
        }
        Ok(())
    }

    /// The server made none.
    pub fn answered(&mut self, line: u64, status: Status) {
        let details = status.get_error_details();
        let info = details.error_info();
        let names_key = info.is_some_and(|info| info.metadata.contains_key("key_id"));
        if names_key && is(&status, ErrorReason::SecretExists) {
            self.already_there += 1;
            return;
        }
        let reason = info.map(|info| bare(&info.reason).to_owned()).unwrap_or_default();
        // Others may be mended in the file; these only need another run.
        let again = is(&status, ErrorReason::LookupContended) || is_too_much(&status);
        let hint = if again { " (run the same again)" } else { "" };
        let (code, message) = (upper_snake(status.code()), status.message().to_owned());
        self.refuse(line, &format!("{}{hint}", Error::Status(status)), &code, &reason, &message);
    }

    /// The line is no entry.
    pub fn unreadable(&mut self, line: u64, why: &str) {
        self.refuse(line, why, "", "", why);
    }

    fn refuse(&mut self, line: u64, text: &str, code: &str, reason: &str, message: &str) {
        self.refused += 1;
        if self.out.format == Format::Json {
            if self.listed.len() < LISTED_MAX {
                self.listed.push(json!({ "line": line, "code": code, "reason": reason, "message": message }));
            }
            return;
        }
        if self.count_alike(line, text) <= TOLD_MAX {
            Progress::clear();
            // Nobody is left to tell if this fails.
            let _ = writeln!(io::stderr(), "line {line}: {}", visible_lines(text));
        }
    }

    /// Counts a refusal; how many there were for this reason by now.
    fn count_alike(&mut self, line: u64, text: &str) -> u64 {
        if self.by_text.len() >= REASONS_MAX && !self.by_text.contains_key(text) {
            return 1;
        }
        let alike = self.by_text.entry(text.to_owned()).or_insert(Alike { count: 0, first: line, last: line });
        alike.count += 1;
        alike.last = line;
        alike.count
    }

    /// Tells how many more refusals there were than were told one by one.
    fn tell_alike(&self) {
        for (text, Alike { count, first, last }) in &self.by_text {
            if let Some(more) = count.checked_sub(TOLD_MAX).filter(|more| *more > 0) {
                let text = visible_lines(text);
                let _ = writeln!(io::stderr(), "{more} more of {count}, from line {first} to {last}: {text}");
            }
        }
    }

    /// Shows how far it is.
    pub fn batch_done(&self) {
        self.progress.show(self.imported + self.already_there + self.refused);
    }

    /// Tells the sum.
    pub fn end(self) -> Result<Exit, Error> {
        Progress::clear();
        self.tell_alike();
        let Self { imported, already_there, refused, listed, is_dry_run, .. } = self;
        let text = match self.out.format {
            _ if self.out.quiet => String::new(),
            Format::Table if is_dry_run => {
                format!("{imported} right, {refused} would be refused; nothing was imported\n")
            }
            Format::Table => format!("{imported} imported, {already_there} already there, {refused} refused\n"),
            Format::Json => {
                let mut sum = json!({
                    "imported": imported, "alreadyThere": already_there, "refused": refused, "refusals": listed,
                });
                if is_dry_run {
                    sum["dryRun"] = Value::Bool(true);
                }
                visible_json(&format!("{sum:#}\n"))
            }
        };
        write_stdout(&text).map_err(|error| Error::Failed(format!("cannot write to stdout: {error}")))?;
        Ok(if refused == 0 { Exit::Done } else { Exit::Denied })
    }
}
