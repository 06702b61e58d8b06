//! `portcullis serve`: a start that a person likes, and an end that callers do not notice.

use std::env::{self, VarError};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process;
use std::sync::Arc;

use tokio::net::TcpListener;
use zeroize::Zeroizing;

use super::exit::{Error, Exit};
use super::{environment, output, terminal};
use crate::clock::SystemClock;
use crate::config::{self, BOOTSTRAP_ROOT_KEY_VARIABLE, Config, ConfigErrors, Flags, LogSource};
use crate::lifecycle::{self, Ending, Request, Signals};
use crate::manage::{self, Bootstrap};
use crate::server::{Server, ServerError};
use crate::store::{self, ConnectError, StoreError};
use crate::telemetry::{self, FilterHandle};

/// Serves until a signal ends it.
pub async fn serve(flags: Flags) -> Result<Exit, Error> {
    // From here on a signal ends the program in order, also while it starts.
    let signals = Signals::listen().map_err(|error| Error::Failed(format!("cannot listen for signals: {error}")))?;
    let log_source = flags.log_source();
    let config = resolve(flags)?;
    // Before there is a secret in use: no other process of the same user reads this one's memory, and none is in a core dump.
    if let Err(error) = lifecycle::forbid_dumps() {
        terminal::warn(&format!("this process can be dumped: {error}"));
    }
    let filter = telemetry::filter(&config.log).expect("checked when it was resolved");
    let log_filter = telemetry::start(filter, config.log_format);
    let mut signals = EndSignals { signals, log_source, log_filter };
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| Error::Unreachable(format!("cannot listen on {}: {error}", config.listen)))?;
    let database = config::without_password(&config.database_url);
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let ended = async {
        signals.next().await;
    };
    let server = match Server::open(config, listener, Arc::new(SystemClock), ended).await {
        Err(ServerError::Ended) => return Ok(Exit::Done),
        server => server?,
    };
    greet(&server, &database, scheme);
    server.run(shutdown(signals)).await?;
    Ok(Exit::Done)
}

/// The signals that end the server. Those that only reload are served while it waits for one.
struct EndSignals {
    signals: Signals,
    log_source: LogSource,
    log_filter: FilterHandle,
}

impl EndSignals {
    async fn next(&mut self) -> Ending {
        loop {
            match self.signals.next().await {
                Request::End(ending) => return ending,
                Request::Reload => self.reload(),
            }
        }
    }

    fn reload(&self) {
        match self.log_source.read() {
            Ok(text) => {
                self.log_filter.replace(telemetry::filter(&text).expect("checked when it was read"));
                tracing::info!(log = text, "SIGHUP: the log filter was read again; other settings need a restart");
            }
            Err(why) => tracing::warn!(why, "SIGHUP: the log filter stays as it is"),
        }
    }
}

/// `portcullis config check`: prints the settings as they are resolved, or all that is wrong with them. It refuses what
/// `serve` refuses before it listens and opens the store.
pub fn check_config(flags: Flags) -> Result<Exit, Error> {
    let config = resolve(flags)?;
    store::check_place(&config.database_url)?;
    // A file of settings again: what is not set has no line, and no password is shown.
    let passwords = config.passwords();
    let hidden = passwords.iter().map(|name| format!("# The password of {name} is not shown.\n"));
    let set = config.settings().into_iter().filter(|(_, value)| !value.is_empty());
    let lines = set.map(|(name, value)| format!("{name} = {}\n", toml::Value::String(value)));
    output::write_stdout(&hidden.chain(lines).collect::<Vec<_>>().concat())
        .map_err(|error| Error::Failed(format!("cannot write to stdout: {error}")))?;
    Ok(Exit::Done)
}

fn resolve(flags: Flags) -> Result<Config, Error> {
    environment::warn_of_unknown();
    let bootstrap_root_key = match env::var(BOOTSTRAP_ROOT_KEY_VARIABLE) {
        Ok(text) => Some(text),
        Err(VarError::NotPresent) => None,
        // No text at all is refused as any other that cannot be sent in a header.
        Err(VarError::NotUnicode(_)) => Some(String::new()),
    };
    Ok(flags.resolve(bootstrap_root_key)?)
}

/// Says what is where and, on a first start, the root key, once, with lines to paste next.
fn greet(server: &Server, database: &str, scheme: &str) {
    let addr = server.addr();
    let mut text = format!("portcullis {}, keys in {database}\n", env!("CARGO_PKG_VERSION"));
    match server.bootstrap() {
        Bootstrap::Made(secret) => {
            text += "\nThis store is new. Its root key, shown this once:\n\n";
            text += &format!("export PORTCULLIS_ROOT_KEY={}\n", secret.expose());
            text += "\nIn another terminal, with that line pasted, issue a key and verify it:\n\n";
            text += &next_lines(addr, scheme);
        }
        Bootstrap::Supplied => {
            text += &format!("This store is new. Its root key is the one in {BOOTSTRAP_ROOT_KEY_VARIABLE}.\n");
        }
        Bootstrap::Done => {}
    }
    if let Some(metrics) = server.metrics_addr() {
        text += &format!("metrics on http://{metrics}/metrics\n");
    }
    text += &format!("listening on {addr}\n");
    let text = Zeroizing::new(text);
    // Serving matters more than saying so: a closed stderr is no reason to end.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn next_lines(addr: SocketAddr, scheme: &str) -> String {
    let program = this_program();
    let mut lines = String::new();
    if format!("{scheme}://{addr}") != super::client::SERVER_DEFAULT {
        lines += &format!("export PORTCULLIS_SERVER={scheme}://{addr}\n");
    }
    lines += &format!(
        "KEY=$({program} keys create --name \"first key\" --subject user_1 --scope orders:read --quiet)\n\
         {program} keys verify \"$KEY\" --scope orders:read\n"
    );
    if scheme == "http" {
        lines += "\nor with grpcurl:\n\n";
        for (method, message) in [
            ("ApiKeyService/CreateApiKey", r#"'{"name": "second key", "subject": "user_1"}'"#),
            ("VerificationService/Verify", r#""{\"key\": \"$KEY\"}""#),
        ] {
            // grpcurl reads the variable itself: the root key is in no command line, which others on the machine may read.
            let header = "-expand-headers -H 'authorization: Bearer ${PORTCULLIS_ROOT_KEY}'";
            lines += &format!("grpcurl -plaintext {header} -d {message} {addr} portcullis.v1.{method}\n");
        }
    }
    lines + "\n"
}

/// This program as a shell finds it from here.
fn this_program() -> String {
    let Ok(path) = env::current_exe() else { return "portcullis".to_owned() };
    // Nobody's shell is likely to be in the root directory, where a container's process is.
    let here = env::current_dir().ok().filter(|here| here.parent().is_some());
    let below = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    let path = below.map_or(path, |below| Path::new(".").join(below)).display().to_string();
    let is_plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c));
    if is_plain { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

/// Resolves at the first signal: whether callers need time to look elsewhere. A second signal aborts.
async fn shutdown(mut signals: EndSignals) -> bool {
    let ending = signals.next().await;
    tokio::spawn(async move {
        signals.next().await;
        let _ = writeln!(std::io::stderr(), "aborted by a second signal");
        process::exit(1);
    });
    ending == Ending::Terminate
}

impl From<ConfigErrors> for Error {
    fn from(errors: ConfigErrors) -> Self {
        Self::Usage(format!("bad settings\n{errors}"))
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Url(_) => Self::Usage(error.to_string()),
            ConnectError::SchemaBehind { .. } | ConnectError::SchemaNewer { .. } => Self::Failed(error.to_string()),
            ConnectError::Locked { .. } | ConnectError::Unavailable { .. } => Self::Unreachable(error.to_string()),
        }
    }
}

impl From<ServerError> for Error {
    fn from(error: ServerError) -> Self {
        match error {
            ServerError::Store(error) => error.into(),
            ServerError::Tls(_) => Self::Usage(with_sources(&error)),
            ServerError::Prepare(manage::Error::Store(StoreError::Unavailable(_))) => {
                Self::Unreachable(with_sources(&error))
            }
            _ => Self::Failed(with_sources(&error)),
        }
    }
}

/// An error and all that is behind it, in a line.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    super::exit::write_causes(error, &mut text).expect("a String takes all");
    text
}
