//! `portcullis serve`: a start that a person likes, and an end that callers do not notice.

use std::env;
use std::net::SocketAddr;
use std::process;
use std::sync::Arc;

use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use super::exit::Exit;
use crate::clock::SystemClock;
use crate::config::{self, BOOTSTRAP_ROOT_KEY_VARIABLE, Config, Flags};
use crate::lifecycle::{Ending, Signals};
use crate::manage::Bootstrap;
use crate::server::{Server, ServerError};
use crate::store::ConnectError;
use crate::telemetry;

/// Serves until a signal comes.
pub async fn run(flags: Flags) -> Exit {
    let config = match resolve(flags) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let filter = EnvFilter::try_new(&config.log).expect("checked when it was resolved");
    telemetry::start(filter, config.log_format);
    // Before anything is printed: from the first line on, a signal ends the server in order.
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return failed(&format!("cannot listen for signals: {error}"), Exit::Refused),
    };
    let listen = config.listen;
    let listener = match TcpListener::bind(listen).await {
        Ok(listener) => listener,
        Err(error) => return failed(&format!("cannot listen on {listen}: {error}"), Exit::Unavailable),
    };
    let database = config::without_password(&config.database_url);
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let server = match Server::open(config, listener, Arc::new(SystemClock)).await {
        Ok(server) => server,
        Err(error) => return failed(&with_sources(&error), exit_of(&error)),
    };
    greet(&server, &database, scheme);
    match server.run(shutdown(signals)).await {
        Ok(()) => Exit::Done,
        Err(error) => failed(&with_sources(&error), exit_of(&error)),
    }
}

/// `portcullis config check`: prints the settings as they are resolved, or all that is wrong with them.
pub fn check(flags: Flags) -> Exit {
    match resolve(flags) {
        Ok(config) => {
            for (name, value) in config.settings() {
                super::output::line(&format!("{name} = {value:?}"));
            }
            Exit::Done
        }
        Err(exit) => exit,
    }
}

fn resolve(flags: Flags) -> Result<Config, Exit> {
    let bootstrap_root_key = env::var(BOOTSTRAP_ROOT_KEY_VARIABLE).ok();
    flags.resolve(bootstrap_root_key).map_err(|errors| failed(&errors.to_string(), Exit::Usage))
}

/// Says what is where and, on a first start, the root key, once, with lines to paste next.
fn greet(server: &Server, database: &str, scheme: &str) {
    let addr = server.addr();
    eprintln!("portcullis {}, keys in {database}", env!("CARGO_PKG_VERSION"));
    match server.bootstrap() {
        Bootstrap::Made(secret) => {
            eprintln!("\nThis store is new. Its root key, shown this once:\n");
            eprintln!("export PORTCULLIS_ROOT_KEY={}", secret.expose());
            eprintln!("\nIn another terminal, with that line pasted, issue a key and verify it:\n");
            greet_next(addr, scheme);
        }
        Bootstrap::Supplied => {
            eprintln!("This store is new. Its root key is the one in {BOOTSTRAP_ROOT_KEY_VARIABLE}.");
        }
        Bootstrap::Done => {}
    }
    eprintln!("listening on {addr}");
}

fn greet_next(addr: SocketAddr, scheme: &str) {
    let program = env::current_exe().map_or_else(|_| "portcullis".to_owned(), |path| path.display().to_string());
    let here = env::current_dir().map(|dir| format!("{}/", dir.display())).unwrap_or_default();
    let program = program.strip_prefix(&here).unwrap_or(&program);
    if format!("{scheme}://{addr}") != super::client::SERVER_DEFAULT {
        eprintln!("export PORTCULLIS_SERVER={scheme}://{addr}");
    }
    eprintln!("KEY=$({program} keys create --name \"first key\" --subject user_1 --scope orders:read --quiet)");
    eprintln!("{program} keys verify \"$KEY\" --scope orders:read");
    if scheme == "http" {
        eprintln!("\nor with grpcurl:\n");
        for (method, message) in [
            ("ApiKeyService/CreateApiKey", r#"'{"name": "second key", "subject": "user_1"}'"#),
            ("VerificationService/Verify", r#""{\"key\": \"$KEY\"}""#),
        ] {
            eprintln!(
                "grpcurl -plaintext -H \"authorization: Bearer $PORTCULLIS_ROOT_KEY\" -d {message} {addr} \
                 portcullis.v1.{method}"
            );
        }
    }
    eprintln!();
}

/// Resolves at the first signal: whether callers need time to look elsewhere. A second signal aborts.
async fn shutdown(mut signals: Signals) -> bool {
    let ending = signals.next().await;
    tokio::spawn(async move {
        signals.next().await;
        eprintln!("aborted by a second signal");
        process::exit(1);
    });
    ending == Ending::Terminate
}

fn exit_of(error: &ServerError) -> Exit {
    match error {
        ServerError::Store(error) => exit_of_connect(error),
        ServerError::TlsFile(..) => Exit::Usage,
        _ => Exit::Unavailable,
    }
}

/// The exit code of a store that could not be opened.
pub(super) fn exit_of_connect(error: &ConnectError) -> Exit {
    match error {
        ConnectError::Url(_) => Exit::Usage,
        ConnectError::SchemaBehind { .. } | ConnectError::SchemaNewer { .. } => Exit::Refused,
        ConnectError::Locked { .. } | ConnectError::Unavailable { .. } => Exit::Unavailable,
    }
}

pub(super) fn failed(reason: &str, exit: Exit) -> Exit {
    for line in reason.lines() {
        eprintln!("error: {line}");
    }
    exit
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
