//! The environment that a server starts with shows its secrets to whoever may read `/proc/PID/environ`, for as long as the
//! process lives: the system keeps it as it was. So a server that finds secrets there starts itself anew without them, and
//! hands them over in files that exist in memory only and are wiped once they are read.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use clap::CommandFactory as _;
use zeroize::Zeroizing;

use super::{Cli, terminal};
use crate::config::BOOTSTRAP_ROOT_KEY_VARIABLE;

/// The variables that may hold a secret, and those that name a file with it instead.
const SECRETS: [(&str, &str); 3] = [
    ("PORTCULLIS_BOOTSTRAP_ROOT_KEY", "PORTCULLIS_BOOTSTRAP_ROOT_KEY_FILE"),
    ("PORTCULLIS_DATABASE_URL", "PORTCULLIS_DATABASE_URL_FILE"),
    ("PORTCULLIS_NOTIFY_URL", "PORTCULLIS_NOTIFY_URL_FILE"),
];

/// The root key of the command line client. A server has no use for it, but a shell that exports it may start one.
const OF_THE_CLIENT: &str = "PORTCULLIS_ROOT_KEY";

/// What the variables of this program start with.
const PREFIX: &str = "PORTCULLIS_";

/// Warns of variables that look like settings and are none: a mistyped one would be passed over.
pub fn warn_of_unknown() {
    let known = known();
    let names: BTreeSet<String> = env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    for name in names.iter().filter(|name| name.starts_with(PREFIX)) {
        if known.contains(name) || is_of_the_platform(name) {
            continue;
        }
        let near = known.iter().map(|known| (strsim::damerau_levenshtein(known, name), known)).min();
        match near.filter(|(distance, _)| *distance <= DISTANCE_MAX) {
            Some((_, near)) => {
                terminal::warn(&format!("the variable {name} is not known and has no effect: is {near} meant?"));
            }
            None => terminal::warn(&format!("the variable {name} is not known and has no effect")),
        }
    }
}

/// How many letters a name may be away from the one that is suggested.
const DISTANCE_MAX: usize = 4;

/// The variables of every command.
fn known() -> Vec<String> {
    fn of(command: &clap::Command, found: &mut Vec<String>) {
        let names = command.get_arguments().filter_map(|arg| arg.get_env()?.to_str());
        found.extend(names.map(str::to_owned));
        command.get_subcommands().for_each(|command| of(command, found));
    }
    let mut found = vec![BOOTSTRAP_ROOT_KEY_VARIABLE.to_owned(), OF_THE_CLIENT.to_owned()];
    of(&Cli::command(), &mut found);
    found
}

/// Kubernetes and Docker tell where a service named `portcullis` is: `PORTCULLIS_SERVICE_HOST`, `PORTCULLIS_PORT` and more.
fn is_of_the_platform(name: &str) -> bool {
    ["PORT", "SERVICE", "ENV", "NAME"].iter().any(|word| {
        name[PREFIX.len()..].strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    })
}

/// Starts this program anew, in this process, if there are secrets in its environment. Returns if there are none, or if it
/// cannot be done, which is no reason not to serve. Must be called before there are threads.
pub fn clear_secrets() {
    let secrets: Vec<_> =
        SECRETS.into_iter().filter_map(|(name, file)| Some((name, file, secret(name, file)?))).collect();
    if secrets.is_empty() && env::var_os(OF_THE_CLIENT).is_none() {
        return;
    }
    if let Err(error) = start_anew(secrets) {
        terminal::warn(&format!("the secrets stay in the environment of this process: {error}"));
    }
}

/// What `name` holds, if that is a secret. Where a file is named too the settings are wrong, and are told so.
fn secret(name: &str, file: &str) -> Option<Zeroizing<String>> {
    let value = Zeroizing::new(env::var(name).ok()?);
    let is_secret = !value.is_empty() && !value.starts_with("sqlite:") && value.as_str() != "none";
    (is_secret && env::var_os(file).is_none()).then_some(value)
}

#[cfg(target_os = "linux")]
fn start_anew(secrets: Vec<(&str, &str, Zeroizing<String>)>) -> io::Result<()> {
    use std::fs::File;
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;

    use rustix::fs::{MemfdFlags, memfd_create};

    let mut arguments = env::args_os();
    let mut command = Command::new("/proc/self/exe");
    command.arg0(arguments.next().unwrap_or_else(|| OsString::from("portcullis"))).args(arguments);
    command.env_remove(OF_THE_CLIENT);
    let mut handed_over = Vec::new();
    for (name, file, secret) in secrets {
        // Not closed when the program starts anew.
        let mut memory = File::from(memfd_create("secret", MemfdFlags::empty())?);
        memory.write_all(secret.as_bytes())?;
        command.env_remove(name).env(file, format!("/proc/self/fd/{}", memory.as_raw_fd()));
        handed_over.push(memory);
    }
    // Returns only if it fails.
    Err(command.exec())
}

#[cfg(not(target_os = "linux"))]
fn start_anew(_: Vec<(&str, &str, Zeroizing<String>)>) -> io::Result<()> {
    Err(io::Error::other("this system has no files in memory: name files with the secrets instead"))
}
