//! Logs: to stderr, one line an event. Never in them: key strings, root keys, verifiers, claims.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What logs what strangers send, a line for each: quiet below errors unless the filter names it.
const NOISY: [&str; 2] = ["h2", "hyper"];

/// The filter that `text` says.
///
/// # Errors
/// If it says none.
pub fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    let quiet = NOISY.iter().filter(|noisy| !text.contains(*noisy)).map(|noisy| format!(",{noisy}=error"));
    let whole: String = std::iter::once(text.to_owned()).chain(quiet).collect();
    // Alone first: what follows would hide that it says nothing.
    EnvFilter::try_new(text)?;
    EnvFilter::try_new(whole)
}

/// Starts logging. Does nothing if logging has started already, as in tests that run several servers.
pub fn start(filter: EnvFilter, format: LogFormat) {
    let lines = fmt().with_env_filter(filter).with_writer(io::stderr);
    let _ = match format {
        LogFormat::Text => lines.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}
