//! Starts that fail: one clear line and an exit code.

use std::fs;
use std::net::TcpListener;

use portcullis::grpc::pb::Verdict;
use sqlx::{Connection as _, SqliteConnection};

use crate::support::disk::Disk;
use crate::support::process::{Process, Server, portcullis, serve, sqlite_in};
use crate::support::service::new_key;

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

/// The lock does not depend on the file beside the database, nor on the name by which the database is opened.
#[tokio::test]
async fn a_second_process_that_does_not_see_the_lock_file() {
    let dir = tempfile::tempdir().unwrap();
    let url = sqlite_in(dir.path());
    let first = Server::start(serve(&url)).await;
    let (_, secret) = first.admin().create(new_key("one")).await;
    fs::remove_file(dir.path().join("portcullis.db.lock")).unwrap();
    check(&url, 69, &["portcullis.db is in use by another process"]).await;
    // By a name in another folder, where there is neither its lock nor its write-ahead log.
    let elsewhere = tempfile::tempdir_in(dir.path()).unwrap();
    fs::hard_link(dir.path().join("portcullis.db"), elsewhere.path().join("portcullis.db")).unwrap();
    check(&sqlite_in(elsewhere.path()), 69, &["portcullis.db", "2 names (hard links)"]).await;
    assert_eq!(first.admin().verdict(&secret).await, Verdict::Valid);
    first.stop().await;
    check(&url, 69, &["portcullis.db", "2 names (hard links)"]).await;
    fs::remove_file(elsewhere.path().join("portcullis.db")).unwrap();
    let again = Server::start(serve(&url)).await;
    assert_eq!(again.admin().verdict(&secret).await, Verdict::Valid);
    again.stop().await;
}

#[tokio::test]
async fn a_store_that_is_mounted_by_itself() {
    let disk = Disk::new(4 * 1024 * 1024);
    let serve = || disk.enter(&serve(&disk.sqlite()));
    // A folder that is mounted is as it should be.
    Server::start(serve()).await.stop().await;
    disk.mount_alone("portcullis.db");
    Process::run(serve()).await.with_code(69).with_one_line(&[
        "portcullis.db",
        "mounted by itself",
        "mount the folder",
    ]);
}

/// As `sqlite3 .backup` and Litestream do: another process reads the file, and folds its log in.
#[tokio::test]
async fn other_programs_read_and_copy_the_file_while_it_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(serve(&sqlite_in(dir.path()))).await;
    let (_, secret) = server.admin().create(new_key("one")).await;
    let copy = dir.path().join("copy.db");
    let mut reader = SqliteConnection::connect(&sqlite_in(dir.path())).await.unwrap();
    sqlx::query("VACUUM INTO ?").bind(copy.to_str().unwrap()).execute(&mut reader).await.unwrap();
    // (busy, frames in the log, frames folded in)
    let folded: (i64, i64, i64) =
        sqlx::query_as("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(&mut reader).await.unwrap();
    assert!(folded.0 == 0 && folded.1 == folded.2, "{folded:?}");
    reader.close().await.unwrap();
    // That closed its descriptors and not those of the server, which still has its locks.
    check(&sqlite_in(dir.path()), 69, &["in use by process"]).await;
    let (_, later) = server.admin().create(new_key("two")).await;
    let copied = Server::start(serve(&format!("sqlite://{}", copy.display()))).await;
    assert_eq!(copied.admin().verdict(&secret).await, Verdict::Valid);
    assert_eq!(copied.admin().verdict(&later).await, Verdict::NotFound);
    copied.stop().await;
    server.stop().await;
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
    for (url, why) in [("sqlite://:memory:", "memory"), ("sqlite://", "path")] {
        let said = Process::run(serve(url)).await.with_code(64).stderr;
        assert!(said.starts_with("error: bad settings\ndatabase-url: ") && said.contains(why), "{said}");
    }
}

#[tokio::test]
async fn a_store_that_is_read_only() {
    let disk = Disk::new(4 * 1024 * 1024);
    let serve = || disk.enter(&serve(&disk.sqlite()));
    Server::start(serve()).await.stop().await;
    for name in ["portcullis.db", "."] {
        disk.make_read_only(name);
        Process::run(serve()).await.with_code(69).with_one_line(&["portcullis.db", "Read-only file system"]);
    }
}

#[tokio::test]
async fn a_store_without_room() {
    let disk = Disk::new(4 * 1024 * 1024);
    disk.fill();
    Process::run(disk.enter(&serve(&disk.sqlite()))).await.with_code(69).with_one_line(&["portcullis.db"]);
    disk.free();
    Server::start(disk.enter(&serve(&disk.sqlite()))).await.stop().await;
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
