use super::*;

fn errors(flags: Flags, bootstrap: Option<&str>) -> Vec<String> {
    flags.resolve(bootstrap.map(str::to_owned)).unwrap_err().0
}

/// A certificate and its private key, as files.
fn identity(dir: &Path) -> [String; 2] {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    [("cert.pem", made.cert.pem()), ("key.pem", made.signing_key.serialize_pem())].map(|(name, text)| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    })
}

/// What a start would fail on is found when the settings are read.
#[test]
fn what_a_start_would_refuse_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let [cert, key] = identity(dir.path());
    let other = tempfile::tempdir().unwrap();
    let [_, other_key] = identity(other.path());
    let tls = |cert: &str, key: &str| Flags {
        tls_cert: Some(cert.to_owned()),
        tls_key: Some(key.to_owned()),
        ..Flags::default()
    };
    for (flags, starts) in [
        (tls("/missing.pem", &key), &["tls-cert: cannot read /missing.pem"][..]),
        (tls(&key, &cert), &["tls-cert: ", "tls-key: "]),
        (tls(&cert, &other_key), &["tls-cert, tls-key: "]),
    ] {
        let found = errors(flags, None);
        assert!(found.len() == starts.len(), "{found:?}");
        assert!(found.iter().zip(starts).all(|(error, start)| error.starts_with(start)), "{found:?}");
    }
    assert!(errors(tls(&key, &cert), None)[0].contains("swapped?"));
    tls(&cert, &key).resolve(None).unwrap();
    tls("", "").resolve(None).unwrap();

    let database = |url: &str| Flags {
        store: StoreFlags { database_url: Some(url.to_owned()), ..StoreFlags::default() },
        ..Flags::default()
    };
    for (url, why) in [
        ("postgres://u:hunter2@h/d?sslmode=verify-ful", "verify-ful"),
        ("postgres://u:hunter2@h/d?sslmod=require", "unknown parameter `sslmod`"),
        ("postgres://u:hunter2@h/d?sslrootcert=/missing.pem", "cannot read /missing.pem"),
        ("postgres://u:hunter2@h:99999/d", "port"),
        ("postgres:u:hunter2@h/d", "must start with postgres://"),
        ("sqlite::memory:", "in memory"),
        ("sqlite://", "path of a file"),
        ("", "must start with"),
    ] {
        let found = errors(database(url), None);
        assert!(
            found.len() == 1 && found[0].starts_with("database-url: ") && found[0].contains(why),
            "{url}: {found:?}"
        );
        assert!(!found[0].contains("hunter2"), "{found:?}");
        if url.starts_with("postgres") {
            let found = errors(Flags { notify_url: Some(url.to_owned()), ..Flags::default() }, None);
            assert!(found.len() == 1 && found[0].starts_with("notify-url: ") && found[0].contains(why), "{found:?}");
        }
    }
    for log in ["verbose", "debugg", "info,h2", "portcullis=verbose", "portcullis"] {
        let found = errors(Flags { log: Some(log.to_owned()), ..Flags::default() }, None);
        assert!(found.len() == 1 && found[0].starts_with("log: must be a filter such as info"), "{log}: {found:?}");
    }
    for log in ["info", "DEBUG", "off", "portcullis=debug,warn", "warn,h2=info", "[span]=debug", "info,h2=warn"] {
        Flags { log: Some(log.to_owned()), ..Flags::default() }.resolve(None).expect(log);
    }
    let address = || Some("127.0.0.1:50051".to_owned());
    let found = errors(Flags { listen: address(), metrics_listen: address(), ..Flags::default() }, None);
    assert!(found[0].starts_with("metrics-listen: must not be the address of listen"), "{found:?}");
    for port in ["127.0.0.1:99999", "127.0.0.1", ":50051", "localhost:50051"] {
        let found = errors(Flags { listen: Some(port.to_owned()), ..Flags::default() }, None);
        assert!(found.len() == 1 && found[0].starts_with("listen: must be ADDRESS:PORT"), "{found:?}");
    }
    let found = errors(Flags { replica_name: Some(" x".to_owned()), ..Flags::default() }, None);
    assert_eq!(found, ["replica-name: must not start or end with white space; is \" x\""]);
    Flags { replica_name: Some(String::new()), ..Flags::default() }.resolve(None).unwrap();
}

#[test]
fn the_defaults_are_good() {
    let config = Flags::default().resolve(None).unwrap();
    assert_eq!(config.listen, "127.0.0.1:50051".parse().unwrap());
    assert_eq!(config.schema, Schema::Migrate);
    assert_eq!(config.lease, Duration::from_millis(2_400));
}

#[test]
fn all_errors_are_reported_at_once() {
    let flags = Flags {
        listen: Some("nowhere".into()),
        store: StoreFlags {
            database_url: Some("mysql://u:hunter2@h/d".into()),
            auto_migrate: Some("maybe".into()),
            ..StoreFlags::default()
        },
        lease_ms: Some("499".into()),
        tls_cert: Some("cert.pem".into()),
        ..Flags::default()
    };
    let found = errors(flags, Some("short"));
    let starts = ["listen:", "database-url:", "auto-migrate:", "lease-ms:", BOOTSTRAP_ROOT_KEY_VARIABLE, "tls-key:"];
    assert_eq!(found.len(), starts.len(), "{found:?}");
    assert!(found.iter().zip(starts).all(|(error, start)| error.starts_with(start)), "{found:?}");
    assert!(!found.iter().any(|error| error.contains("hunter2") || error.contains("short")), "{found:?}");
}

#[test]
fn plaintext_beyond_loopback_must_be_meant() {
    let beyond = || Flags { listen: Some("0.0.0.0:50051".into()), ..Flags::default() };
    assert_eq!(errors(beyond(), None).len(), 1);
    Flags { allow_plaintext: Some("true".into()), ..beyond() }.resolve(None).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let [cert, key] = identity(dir.path());
    Flags { tls_cert: Some(cert), tls_key: Some(key), ..beyond() }.resolve(None).unwrap();
    Flags { listen: Some("[::1]:0".into()), ..Flags::default() }.resolve(None).unwrap();
}

#[test]
fn flags_come_before_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("portcullis.toml");
    std::fs::write(&path, "listen = \"127.0.0.1:1\"\nlease-ms = 1000\nallow-plaintext = true\n").unwrap();
    let flags = Flags { config: Some(path.clone()), listen: Some("127.0.0.1:2".into()), ..Flags::default() };
    let config = flags.resolve(None).unwrap();
    assert_eq!((config.listen.port(), config.lease.as_millis(), config.allow_plaintext), (2, 1000, true));

    std::fs::write(&path, "lisen = 1\nlease-ms = \"x\"\n").unwrap();
    let found = errors(Flags { config: Some(path.clone()), ..Flags::default() }, None);
    assert_eq!(found.len(), 2, "{found:?}");
    std::fs::write(&path, "listen").unwrap();
    assert_eq!(errors(Flags { config: Some(path), ..Flags::default() }, None).len(), 1);
}

#[test]
fn passwords_are_not_shown() {
    assert_eq!(without_password("postgres://u:p@ss@h:5/d?password=x"), "postgres://u@h:5/d");
    assert_eq!(without_password("postgres://u:p?w@h/d"), "postgres://u@h/d");
    assert_eq!(without_password("postgres://h/d?password=x@y"), "postgres://h@y");
    assert_eq!(without_password("postgres:me:pw@h/d"), "postgres://me@h/d");
    assert!(!without_password("me:pw@h/d").contains("pw"));
    let shown = "postgres://u@h/d?sslmode=require&sslrootcert=/ca.pem";
    assert_eq!(without_password("postgres://u:p@h/d?sslmode=require&sslpassword=x&sslrootcert=/ca.pem"), shown);
    assert_eq!(without_password(shown), shown);
    assert_eq!(without_password("postgres://h/d"), "postgres://h/d");
    assert_eq!(without_password("sqlite://portcullis.db"), "sqlite://portcullis.db");
}

#[test]
fn secrets_are_read_from_files() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(path.to_str().unwrap().to_owned())
    };
    let root_key = "an-operator-chose-this-root-key-it-is-long-enough";
    let flags = || Flags {
        store: StoreFlags { database_url_file: file("url", "postgres://u:p@h/d\n"), ..StoreFlags::default() },
        notify_url_file: file("notify", "postgres://u:p@n/d"),
        bootstrap_root_key_file: file("root", &format!("{root_key}\n")),
        ..Flags::default()
    };
    let config = flags().resolve(None).unwrap();
    assert_eq!(config.database_url, "postgres://u:p@h/d");
    assert_eq!(config.hints, Hints::By("postgres://u:p@n/d".into()));
    assert_eq!(config.bootstrap_root_key.unwrap().expose(), root_key);

    let both = Flags { notify_url: Some("none".into()), ..flags() };
    let found = errors(both, Some(root_key));
    let starts = ["notify-url-file: must not", "bootstrap-root-key-file: must not"];
    assert!(found.len() == 2 && found.iter().zip(starts).all(|(error, start)| error.starts_with(start)), "{found:?}");
    let absent = Flags { notify_url_file: Some("/nowhere/at/all".into()), ..Flags::default() };
    assert!(errors(absent, None)[0].starts_with("notify-url-file: cannot read /nowhere/at/all"));
}
