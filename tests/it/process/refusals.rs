//! Starts that fail: one clear line and an exit code.

use std::fs;
use std::net::TcpListener;

use crate::support::process::{Process, Server, portcullis, serve, sqlite_in};

/// Checks that a server of the store at `url` does not start and says why.
async fn check(url: &str, code: i32, parts: &[&str]) {
    Process::run(serve(url)).await.with_code(code).with_one_line(parts);
}

#[tokio::test]
async fn a_second_process_on_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let url = sqlite_in(dir.path());
    let first = Server::start(serve(&url)).await;
    let holder = format!("in use by process {}", first.process.id());
    check(&url, 69, &["portcullis.db", &holder]).await;
    // Whichever way leads to the file.
    let link = dir.path().join("link.db");
    std::os::unix::fs::symlink(dir.path().join("portcullis.db"), &link).unwrap();
    check(&format!("sqlite://{}", link.display()), 69, &[&holder]).await;
    let mut offline = portcullis(["root-key", "create", "--name", "x", "--permission", "admin", "--offline"]);
    offline.env("PORTCULLIS_DATABASE_URL", &url);
    Process::run(offline).await.with_code(69).with_one_line(&[&holder]);
    first.process.kill().await.by_kill();
    // What a killed process held is free at once.
    Server::start(serve(&url)).await.stop().await;
}

#[tokio::test]
async fn a_store_that_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let noise = dir.path().join("noise.db");
    fs::write(&noise, "no database".repeat(1_000)).unwrap();
    check(&format!("sqlite://{}", noise.display()), 69, &["noise.db", "not a database"]).await;
    assert_eq!(fs::read(&noise).unwrap(), "no database".repeat(1_000).as_bytes(), "it is left alone");
    check(&format!("sqlite://{}/none/x.db", dir.path().display()), 69, &["there is no directory", "none"]).await;
    check(&format!("sqlite://{}", dir.path().display()), 69, &["directory"]).await;
    check("sqlite://:memory:", 64, &["memory"]).await;
    check("sqlite://", 64, &["path"]).await;
}

#[tokio::test]
async fn an_address_that_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = serve(&sqlite_in(dir.path()));
    command.args(["--listen", &address]);
    Process::run(command).await.with_code(69).with_one_line(&["cannot listen on", &address, "in use"]);
}

#[tokio::test]
async fn a_postgres_that_is_not_there() {
    // Bound but not listening: nobody else can take the port.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("postgres://user:hunter2@127.0.0.1:{port}/db?sslmode=disable&password=hunter2");
    let ended = Process::run(serve(&url)).await.with_code(69).with_one_line(&["127.0.0.1", "refused"]);
    assert!(!ended.stderr.contains("hunter2"), "{ended:#?}");
}

#[tokio::test]
async fn a_postgres_that_does_not_answer() {
    // Takes connections, as a dying host may, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let url = format!("postgres://user:hunter2@127.0.0.1:{port}/db?sslmode=disable");
    let ended = Process::run(serve(&url)).await.with_code(69).with_one_line(&["127.0.0.1"]);
    assert!(!ended.stderr.contains("hunter2"), "{ended:#?}");
}
