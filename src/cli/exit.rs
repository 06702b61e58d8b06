//! How the program ends: what it says on stderr, and its exit code.

use std::error::Error as StdError;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::process::ExitCode;

use tonic::{Code, Status, TimeoutExpired};
use tonic_types::{FieldViolation, StatusExt as _};

use super::terminal::{visible, visible_lines};

/// The exit codes. Those above 1 are of sysexits.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked.
    Done = 0,
    /// The key is not valid, the server is not serving, or what was asked was refused.
    Denied = 1,
    /// The command line or the environment is wrong.
    Usage = 64,
    /// No answer: the server cannot be reached or cannot answer now.
    Unavailable = 69,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Any error, as tower has them.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why the program did not do what was asked.
#[derive(Debug)]
pub enum Error {
    /// The command line or the environment is wrong.
    Usage(String),
    /// There is no connection to the server.
    Unreachable(String),
    /// The server, or the way there, answered with an error.
    Status(Status),
    /// Something on this side failed or was declined.
    Failed(String),
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl Error {
    /// The exit code that says this.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Unreachable(_) => Exit::Unavailable,
            Self::Status(status) if is_unavailable(status) => Exit::Unavailable,
            Self::Status(_) | Self::Failed(_) => Exit::Denied,
        }
    }

    /// Says it on stderr.
    pub fn report(&self) -> ExitCode {
        // Nobody is left to tell if this fails.
        let _ = writeln!(std::io::stderr(), "error: {}", visible_lines(&self.to_string()));
        self.exit().into()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Unreachable(text) | Self::Failed(text) => f.write_str(text),
            Self::Status(status) => write_status(status, f),
        }
    }
}

/// Whether no answer came. A status with a source was made on this side: the connection broke.
fn is_unavailable(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled) || status.source().is_some()
}

/// `CODE: message (REASON, key=value…)`, then a line for each bad field.
fn write_status(status: &Status, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // What a client of tonic gets when its own time is up; CANCELLED would puzzle whoever cancelled nothing.
    if status.code() == Code::Cancelled {
        let is_late = status.source().is_none_or(|source| cause::<TimeoutExpired>(source).is_some());
        return f.write_str(if is_late {
            "DEADLINE_EXCEEDED: no answer in time (--timeout); a change may have been made all the same"
        } else {
            "UNAVAILABLE: the connection was lost before the answer came; a change may have been made all the same"
        });
    }
    let details = status.get_error_details();
    let violations = details.bad_request().map_or(&[][..], |bad| &bad.field_violations);
    f.write_str(&upper_snake(status.code()))?;
    // Where the message is a list of what stands below, once is enough.
    let is_repeated = |v: &FieldViolation| status.message().contains(&v.description);
    if violations.is_empty() || !violations.iter().all(is_repeated) {
        write!(f, ": {}", visible(status.message()))?;
    }
    if let Some(source) = status.source() {
        write_causes(source, f)?;
    }
    if let Some(info) = details.error_info() {
        write!(f, " ({}", visible(&info.reason))?;
        for (name, value) in &info.metadata {
            write!(f, ", {}={}", visible(name), visible(value))?;
        }
        f.write_char(')')?;
    }
    if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
        write!(f, "; try again in {}", humantime::format_duration(delay))?;
    }
    for violation in violations {
        write!(f, "\n  {}: {}", visible(&violation.field), visible(&violation.description))?;
    }
    Ok(())
}

/// What lies under `error`, or it itself, and is an error of this kind.
pub fn cause<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // An `io::Error` says of what it holds only what lies under that.
        let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(found) = held.and_then(|held| cause(held as &(dyn StdError + 'static))) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// What lies under `error`, which says little itself ("transport error").
pub fn write_causes(error: &dyn StdError, out: &mut impl fmt::Write) -> fmt::Result {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Wrappers tend to repeat what they wrap.
        if text != said {
            write!(out, ": {text}")?;
        }
        said = text;
        cause = error.source();
    }
    Ok(())
}

/// The name of a code as the gRPC specification has it.
pub fn upper_snake(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// Shows what clap found: help and version on stdout with exit code 0, errors on stderr with 64.
pub fn of_parse_error(error: &clap::Error) -> ExitCode {
    // A closed pipe is no reason to panic, nor to say anything else.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    #[track_caller]
    fn check(code: Code, exit: Exit, name: &str) {
        let error = Error::from(Status::new(code, "why"));
        assert_eq!(error.exit(), exit);
        assert!(error.to_string().starts_with(name), "{error}");
    }

    #[test]
    fn codes() {
        check(Code::InvalidArgument, Exit::Denied, "INVALID_ARGUMENT: why");
        check(Code::PermissionDenied, Exit::Denied, "PERMISSION_DENIED: why");
        check(Code::NotFound, Exit::Denied, "NOT_FOUND: why");
        check(Code::Internal, Exit::Denied, "INTERNAL: why");
        check(Code::Unavailable, Exit::Unavailable, "UNAVAILABLE: why");
        check(Code::DeadlineExceeded, Exit::Unavailable, "DEADLINE_EXCEEDED: why");
        check(Code::Cancelled, Exit::Unavailable, "DEADLINE_EXCEEDED: no answer in time");
        assert_eq!(Error::Usage(String::new()).exit(), Exit::Usage);
        assert_eq!(Error::Unreachable(String::new()).exit(), Exit::Unavailable);
    }

    #[test]
    fn a_broken_connection_is_no_answer() {
        let broken = Status::from_error("connection reset".into());
        assert_eq!(broken.code(), Code::Unknown);
        assert_eq!(Error::from(broken).exit(), Exit::Unavailable);
    }

    #[test]
    fn bad_fields_are_told_once() {
        let mut details = ErrorDetails::new();
        details.add_bad_request_violation("name", "must be short");
        let status = Status::with_error_details(Code::InvalidArgument, "invalid request: name must be short", details);
        assert_eq!(Error::from(status).to_string(), "INVALID_ARGUMENT\n  name: must be short");
    }

    #[test]
    fn details_are_told() {
        let mut details = ErrorDetails::new();
        details
            .set_error_info("ERROR_REASON_FIELD_INVALID", "portcullis.v1", [("k".to_owned(), "v".to_owned())])
            .set_retry_info(Some(Duration::from_secs(2)))
            .add_bad_request_violation("name", "must have 1 to 100 characters")
            .add_bad_request_violation("scopes[1]", "must \u{1b}[2J");
        let status = Status::with_error_details(Code::InvalidArgument, "bad fields", details);
        assert_eq!(
            Error::from(status).to_string(),
            "INVALID_ARGUMENT: bad fields (ERROR_REASON_FIELD_INVALID, k=v); try again in 2s\n  \
             name: must have 1 to 100 characters\n  scopes[1]: must \\u{1b}[2J"
        );
    }
}
