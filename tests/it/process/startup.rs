//! The first start, and those after it.

use std::fs;
use std::path::Path;
use std::process::Command;

use portcullis::grpc::pb::Verdict;

use crate::support::process::{
    PROGRAM, Process, ROOT_KEY, Server, portcullis, printed_root_key, serve, serve_fresh, sqlite_in,
};
use crate::support::service::new_key;

#[tokio::test]
async fn the_root_key_is_printed_once() {
    let dir = tempfile::tempdir().unwrap();
    let first = Server::start(serve_fresh(&sqlite_in(dir.path()))).await;
    let said = first.process.stderr();
    let root_key = printed_root_key(&said).expect("a root key").to_owned();
    let (key, _) = first.caller(&root_key).create(new_key("one")).await;
    let said = first.stop().await.stderr;
    assert_eq!(said.matches(&root_key).count(), 1, "{said}");

    let second = Server::start(serve_fresh(&sqlite_in(dir.path()))).await;
    second.caller(&root_key).get(&key.id).await.expect("it was kept");
    let said = second.stop().await.stderr;
    assert!(!said.contains("ROOT_KEY") && !said.contains(&root_key), "{said}");
}

/// Pastes into a shell what a first start of `program` printed, up to the lines for grpcurl.
async fn paste_what_it_printed(program: &Path, dir: &Path) {
    let mut command = Command::new(program);
    command.env_clear().current_dir(dir).env("PORTCULLIS_LISTEN", "127.0.0.1:0");
    // Nothing else is said: a bare `portcullis` serves, and keeps its keys where it stands.
    let server = Server::start(command).await;
    assert!(dir.join("portcullis.db").is_file());

    let said = server.process.stderr();
    let (said, _) = said.split_once("or with grpcurl").expect("lines to paste");
    let is_command = |line: &&str| ["export ", "KEY=", "'", "/", "./"].iter().any(|start| line.starts_with(start));
    let lines: Vec<_> = said.lines().filter(is_command).collect();
    assert_eq!(lines.len(), 4, "{said}");
    let mut shell = Command::new("sh");
    shell.args(["-euc", &lines.join("\n")]).env_clear().current_dir(dir);
    let ended = Process::run(shell).await.with_code(0);
    assert!(ended.stdout.contains("VALID"), "{ended:#?}");
    server.stop().await;
}

#[tokio::test]
async fn what_it_prints_can_be_pasted() {
    let dir = tempfile::tempdir().unwrap();
    paste_what_it_printed(Path::new(PROGRAM), dir.path()).await;
}

#[tokio::test]
async fn what_it_prints_can_be_pasted_wherever_it_lies() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let program = dir.path().join("it's $HOME");
    fs::hard_link(PROGRAM, &program).or_else(|_| fs::copy(PROGRAM, &program).map(drop)).unwrap();
    paste_what_it_printed(&program, elsewhere.path()).await;
    paste_what_it_printed(&program, dir.path()).await;
}

#[tokio::test]
async fn a_supplied_root_key_is_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(serve(&sqlite_in(dir.path()))).await;
    let (_, secret) = server.admin().create(new_key("one")).await;
    assert_eq!(server.admin().verdict(&secret).await, Verdict::Valid);
    let said = server.stop().await.stderr;
    assert!(said.contains("Its root key is the one in PORTCULLIS_BOOTSTRAP_ROOT_KEY.\n"), "{said}");
    assert!(!said.contains(ROOT_KEY) && printed_root_key(&said).is_none(), "{said}");
}

#[tokio::test]
async fn a_root_key_supplied_later_is_ignored() {
    let dir = tempfile::tempdir().unwrap();
    Server::start(serve(&sqlite_in(dir.path()))).await.stop().await;

    let same = Server::start(serve(&sqlite_in(dir.path()))).await;
    same.admin().create(new_key("one")).await;
    let said = same.stop().await.stderr;
    assert!(!said.contains("WARN"), "{said}");

    const OTHER: &str = "another-root-key-supplied-when-it-is-too-late";
    let mut command = serve(&sqlite_in(dir.path()));
    command.env("PORTCULLIS_BOOTSTRAP_ROOT_KEY", OTHER);
    let other = Server::start(command).await;
    other.admin().create(new_key("two")).await;
    let refused = other.caller(OTHER).keys.create_api_key(new_key("three")).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
    let said = other.stop().await.stderr;
    assert!(said.contains("WARN") && said.contains("the bootstrap root key is not a valid root key"), "{said}");
    assert!(!said.contains(OTHER), "{said}");
}

#[tokio::test]
async fn a_supplied_root_key_that_is_too_short_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = serve(&sqlite_in(dir.path()));
    let short = "x".repeat(31);
    command.env("PORTCULLIS_BOOTSTRAP_ROOT_KEY", &short);
    let said = Process::run(command).await.with_code(64).stderr;
    assert!(said.contains("PORTCULLIS_BOOTSTRAP_ROOT_KEY: must") && !said.contains(&short), "{said}");
    assert!(fs::read_dir(dir.path()).unwrap().next().is_none(), "nothing was begun");
}

#[tokio::test]
async fn a_new_store_is_its_owners_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let mut command = portcullis(["--listen", "127.0.0.1:0"]);
    let server = Server::start({
        command.current_dir(dir.path());
        command
    })
    .await;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
    server.stop().await;
}
