//! Where the output goes, and what happens when it cannot go there.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use super::program::{Ran, Serving, portcullis};

/// Runs `command` with a stdout that nobody reads.
fn unread(command: &mut Command) -> Ran {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    command.stdout(writer).stderr(Stdio::piped()).output().expect("it runs").into()
}

/// Runs `command` with a stdout that takes nothing.
fn full(command: &mut Command) -> Ran {
    let full = OpenOptions::new().write(true).open("/dev/full").expect("Linux has one");
    command.stdout(full).stderr(Stdio::piped()).output().expect("it runs").into()
}

#[test]
fn quiet_prints_the_secret_alone() {
    let server = Serving::start();
    for form in ["table", "json"] {
        let args = ["keys", "create", "--name", "n", "--subject", "user_1", "--quiet", "--output", form];
        let secret = server.ok(&args);
        assert!(secret.starts_with("ak_") && secret.len() == "ak_".len() + 54 + 1, "{secret}");
        server.ok(&["keys", "verify", secret.trim_end()]);
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let server = Serving::start();
    let (_, secret) = server.key(&[]);
    unread(&mut server.client(&["keys", "list"])).ok();
    unread(&mut server.client(&["keys", "verify", &secret])).ok();
    assert_eq!(unread(&mut server.client(&["keys", "verify", "garbage"])).code, 1);
    unread(&mut server.client(&["healthcheck"])).ok();
    unread(portcullis().arg("--help")).ok();
}

#[test]
fn a_secret_that_cannot_be_written_is_a_loss() {
    let server = Serving::start();
    let create = ["keys", "create", "--name", "n", "--subject", "user_1", "--quiet"];
    for ran in [unread(&mut server.client(&create)), full(&mut server.client(&create))] {
        let error = ran.failed(1);
        assert!(error.contains("is lost") && error.contains("`portcullis keys rotate key_"), "{error}");
    }
    let error = full(&mut server.client(&["keys", "list"])).failed(1);
    assert!(error.contains("cannot write to stdout"), "{error}");
}

#[test]
fn help_and_version_are_no_errors() {
    let run = |args: &[&str]| Ran::from(portcullis().args(args).output().expect("it runs"));
    assert_eq!(run(&["--version"]).ok(), format!("portcullis {}\n", env!("CARGO_PKG_VERSION")));
    assert!(run(&["keys", "create", "--help"]).ok().contains("--subject"));
    for wrong in [&["keys"][..], &["keys", "crate"], &["keys", "list", "--output", "xml"], &["keys", "get"]] {
        let ran = run(wrong);
        assert!(ran.code == 64 && ran.stdout.is_empty() && !ran.stderr.is_empty(), "{ran}");
    }
}
