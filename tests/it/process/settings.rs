//! Settings that are wrong, and how they are told.

use crate::support::process::{Process, portcullis};

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("settings.toml");
    std::fs::write(&file, "drain-timeout-ms = -1\nlisen = 'x'\n").unwrap();
    for command in [&["serve"][..], &[], &["config", "check"]] {
        let mut command = portcullis(command);
        command
            .current_dir(dir.path())
            .env("PORTCULLIS_CONFIG", &file)
            .env("PORTCULLIS_LISTEN", "0.0.0.0:0")
            .env("PORTCULLIS_DATABASE_URL", "mysql://user:hunter2@host/db")
            .env("PORTCULLIS_BOOTSTRAP_ROOT_KEY", "hunter2")
            .env("PORTCULLIS_LEASE_MS", "soon")
            .env("PORTCULLIS_LOG_FORMAT", "xml")
            .env("PORTCULLIS_TLS_KEY", "key.pem");
        let ended = Process::run(command).await.with_code(64);
        for setting in [
            "PORTCULLIS_BOOTSTRAP_ROOT_KEY",
            "database-url",
            "drain-timeout-ms",
            "lease-ms",
            "lisen",
            "log-format",
            "tls-cert",
        ] {
            assert!(ended.stderr.contains(&format!("\n{setting}: ")), "{setting} is not in {}", ended.stderr);
        }
        assert!(!ended.stderr.contains("hunter2") && ended.stdout.is_empty(), "{ended:#?}");
    }
}

#[tokio::test]
async fn the_check_of_good_settings_shows_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = portcullis(["config", "check", "--lease-ms", "3000"]);
    command
        .current_dir(dir.path())
        .env("PORTCULLIS_DATABASE_URL", "postgres://user:hunter2@host/db?password=hunter2")
        .env("PORTCULLIS_BOOTSTRAP_ROOT_KEY", "hunter2-and-then-some-so-that-it-is-long-enough");
    let ended = Process::run(command).await.with_code(0);
    for line in ["lease-ms = \"3000\"\n", "database-url = \"postgres://user@host/db\"\n"] {
        assert!(ended.stdout.contains(line), "{ended:#?}");
    }
    assert!(!ended.stdout.contains("hunter2") && ended.stderr.is_empty(), "{ended:#?}");
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "nothing was begun");
}

#[tokio::test]
async fn a_flag_that_is_none_is_wrong_usage() {
    let ended = Process::run(portcullis(["serve", "--nonsense"])).await.with_code(64);
    assert!(ended.stderr.contains("--nonsense") && ended.stdout.is_empty(), "{ended:#?}");
}

#[tokio::test]
async fn other_machines_need_tls() {
    let dir = tempfile::tempdir().unwrap();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let mut command = portcullis(["--listen", address]);
        command.current_dir(dir.path());
        let said = Process::run(command).await.with_code(64).stderr;
        assert!(said.contains("listen: must be loopback without TLS"), "{said}");
    }
    let mut command = portcullis(["--listen", "0.0.0.0:0", "--allow-plaintext"]);
    command.current_dir(dir.path());
    let (process, _) = crate::support::process::Server::start_unconnected(command).await;
    process.kill().await.by_kill();
}
