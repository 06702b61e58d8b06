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
        .env("PORTCULLIS_DATABASE_URL", "postgres://user:hunter2@host/db?password=hunter2&sslmode=require")
        .env("PORTCULLIS_BOOTSTRAP_ROOT_KEY", "hunter2-and-then-some-so-that-it-is-long-enough");
    let ended = Process::run(command).await.with_code(0);
    for line in ["lease-ms = \"3000\"\n", "database-url = \"postgres://user@host/db?sslmode=require\"\n"] {
        assert!(ended.stdout.contains(line), "{ended:#?}");
    }
    assert!(!ended.stdout.contains("hunter2") && ended.stderr.is_empty(), "{ended:#?}");
    assert!(ended.stdout.starts_with("# The password of database-url is not shown.\n"), "{ended:#?}");
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "nothing was begun");
}

/// What the check prints is a file of settings that says the same.
#[tokio::test]
async fn what_the_check_prints_can_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("settings.toml");
    for flags in [&[][..], &["--replica-name=a \"b\" é", "--metrics-listen=127.0.0.1:0", "--log=warn"]] {
        let mut command = portcullis([&["config", "check"], flags].concat());
        command.current_dir(dir.path());
        let printed = Process::run(command).await.with_code(0).stdout;
        std::fs::write(&file, &printed).unwrap();
        let mut command = portcullis(["config", "check", "--config", "settings.toml"]);
        command.current_dir(dir.path());
        let again = Process::run(command).await.with_code(0);
        assert_eq!(again.stdout, printed);
        assert!(!printed.contains("\"\""), "{printed}");
    }
}

/// Not a setting that is wrong: the folder may be there later. It ends as `serve` does.
#[tokio::test]
async fn the_check_finds_no_place_for_the_store() {
    let dir = tempfile::tempdir().unwrap();
    for (url, why) in [("sqlite://none/x.db", "there is no directory"), ("sqlite://.", "is a directory")] {
        let ended = |command: &'static [&'static str]| {
            let mut command = portcullis(command);
            command.current_dir(dir.path()).env("PORTCULLIS_DATABASE_URL", url).env("PORTCULLIS_LISTEN", "127.0.0.1:0");
            Process::run(command)
        };
        let checked = ended(&["config", "check"]).await.with_code(69);
        assert!(checked.stderr.contains(why) && checked.stdout.is_empty(), "{checked:#?}");
        assert_eq!(ended(&["serve"]).await.with_code(69).stderr, checked.stderr);
    }
}

#[tokio::test]
async fn a_mistyped_variable_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = portcullis(["config", "check"]);
    command.current_dir(dir.path());
    for (name, value) in [
        ("PORTCULLIS_LISTN", "hunter2"),
        ("PORTCULLIS_SOMETHING_ELSE_ALTOGETHER", "hunter2"),
        ("PORTCULLIS_ROOT_KEY", "hunter2"),
        ("PORTCULLIS_SERVER", "http://127.0.0.1:1"),
        // Kubernetes sets these where a service is named so.
        ("PORTCULLIS_SERVICE_HOST", "10.0.0.1"),
        ("PORTCULLIS_PORT", "tcp://10.0.0.1:50051"),
        ("PORTCULLIS_PORT_50051_TCP_ADDR", "10.0.0.1"),
    ] {
        command.env(name, value);
    }
    let said = Process::run(command).await.with_code(0).stderr;
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(
        lines,
        [
            "warning: the variable PORTCULLIS_LISTN is not known and has no effect: is PORTCULLIS_LISTEN meant?",
            "warning: the variable PORTCULLIS_SOMETHING_ELSE_ALTOGETHER is not known and has no effect",
        ]
    );
    let mut command = portcullis(["serve", "--listen", "nowhere"]);
    command.current_dir(dir.path()).env("PORTCULLIS_LISTN", "x");
    let said = Process::run(command).await.with_code(64).stderr;
    assert!(said.contains("PORTCULLIS_LISTEN meant?"), "{said}");
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
