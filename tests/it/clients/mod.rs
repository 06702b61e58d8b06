//! The service as other people's programs call it: stubs in another language, and tools that know nothing but what
//! the server tells them.

use std::path::PathBuf;
use std::process::{Command, Output};

use crate::support::backend::Backend;

mod by_reflection;
mod python;

/// Where `scripts/tools` puts the programs that these tests run.
fn tools() -> PathBuf {
    let told = std::env::var_os("PORTCULLIS_TEST_TOOLS").map(PathBuf::from);
    told.unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/bin").into())
}

/// A command that runs one of those programs and that nothing in the environment of the tests sways.
fn tool(name: &str) -> Command {
    let path = tools().join(name);
    assert!(
        path.is_file(),
        "this test needs {name}, which is not in {}: run `scripts/test`, which installs it, or `scripts/tools` alone",
        tools().display()
    );
    let mut command = Command::new(path);
    command.env_clear().env("PATH", search_path()).env("PYTHONIOENCODING", "utf-8");
    command
}

/// Those programs first, then the others of this machine.
fn search_path() -> std::ffi::OsString {
    let rest = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(tools()).chain(std::env::split_paths(&rest))).expect("no colon in a path")
}

/// Runs a command while the server, which lives in this process, answers it.
async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || {
        command.output().unwrap_or_else(|error| panic!("cannot run {}: {error}", command.get_program().display()))
    })
    .await
    .expect("no panic")
}

/// Checks that a program ended well; shows all it said if not.
#[track_caller]
fn check(what: &str, output: &Output) {
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (said(&output.stdout), said(&output.stderr));
    assert!(output.status.success(), "{what}: {}\n{out}{err}", output.status);
}
