//! Logs: to stderr, one line an event. Never in them: key strings, root keys, verifiers, claims.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt as _;

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

/// What a filter must be.
pub const FILTER_RULE: &str =
    "a filter such as info or portcullis=debug,warn: levels (off, error, warn, info, debug, trace), and TARGET=LEVEL";

/// The filter that `text` says.
///
/// # Errors
/// If it says none.
pub fn filter(text: &str) -> Result<EnvFilter, String> {
    let quiet = NOISY.iter().filter(|noisy| !text.contains(*noisy)).map(|noisy| format!(",{noisy}=error"));
    let whole: String = std::iter::once(text.to_owned()).chain(quiet).collect();
    // Alone first: what follows would hide that it says nothing.
    EnvFilter::try_new(text).map_err(|error| error.to_string())?;
    // A word that is no level would be taken for a target, of which everything is logged, and of all others nothing.
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    match text
        .split(',')
        .map(str::trim)
        .find(|word| !word.is_empty() && !word.contains(['=', '[', '{']) && !is_level(word))
    {
        Some(word) => Err(format!("{word:?} is no level; for a target say {word}=LEVEL")),
        None => EnvFilter::try_new(whole).map_err(|error| error.to_string()),
    }
}

/// Replaces the filter of the log while it runs.
pub struct FilterHandle(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl FilterHandle {
    /// Logs by `filter` from now on.
    pub fn replace(&self, filter: EnvFilter) {
        (self.0)(filter);
    }
}

/// Starts logging. Does nothing if logging has started already, as in tests that run several servers.
pub fn start(filter: EnvFilter, format: LogFormat) -> FilterHandle {
    let lines = fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Text => {
            let lines = lines.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).with_filter_reloading();
            let handle = lines.reload_handle();
            let _ = lines.finish().try_init();
            FilterHandle(Box::new(move |filter| drop(handle.reload(filter))))
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_filter_reloading();
            let handle = lines.reload_handle();
            let _ = lines.finish().try_init();
            FilterHandle(Box::new(move |filter| drop(handle.reload(filter))))
        }
    }
}
