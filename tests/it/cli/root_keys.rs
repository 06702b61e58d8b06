//! `root-key …`

use serde_json::json;

use super::program::{Ran, Serving, database_url, field, portcullis, text};

#[test]
fn a_root_key_opens_what_it_was_given() {
    let server = Serving::start();
    let create = ["root-key", "create", "--name", "api gateway", "--permission", "keys:verify"];
    let table = server.ok(&create);
    assert_eq!((field(&table, "Keyspace"), field(&table, "Scopes")), ("system", "keys:verify"));
    let made = server.json(&[&create[..], &["--permission", "keys:read@default", "--ttl", "30d"]].concat());
    assert_eq!(made["apiKey"]["scopes"], json!(["keys:verify", "keys:read@default"]));
    let secret = server.ok(&[&create[..], &["--quiet"]].concat());
    assert!(secret.starts_with("root_") && secret.lines().count() == 1, "{secret}");

    let (id, key) = server.key(&[]);
    let as_gateway = |args: &[&str]| -> Ran {
        server.client(args).env("PORTCULLIS_ROOT_KEY", secret.trim_end()).output().unwrap().into()
    };
    as_gateway(&["keys", "verify", &key]).ok();
    let error = as_gateway(&["keys", "get", &id]).failed(1);
    assert!(error.starts_with("error: PERMISSION_DENIED: ") && error.contains("keys:read"), "{error}");

    let error = server.run(&["root-key", "create", "--name", "n", "--permission", "everything"]).failed(1);
    assert!(error.starts_with("error: INVALID_ARGUMENT ") && error.contains("\n  scopes"), "{error}");
    server.run(&["root-key", "create", "--name", "n"]).failed(64);
}

#[test]
fn root_keys_are_listed_and_revoked() {
    let server = Serving::start();
    let made = server.json(&["root-key", "create", "--name", "gateway", "--permission", "keys:verify"]);
    let (root_id, secret) = (text(&made["apiKey"]["id"]), text(&made["secret"]));
    let (id, key) = server.key(&[]);

    let list = server.ok(&["root-key", "list"]);
    assert!(list.lines().count() == 3 && list.contains("gateway") && list.contains("keys:verify"), "{list}");
    assert_eq!(server.json(&["root-key", "list"])["totalSize"], "2");

    let error = server.run(&["root-key", "revoke", &id]).failed(1);
    assert!(error.contains("no root key"), "{error}");
    server.ok(&["keys", "verify", &key]);
    let table = server.ok(&["root-key", "revoke", &root_id, "--reason", "no-longer-needed"]);
    assert_eq!((field(&table, "State"), field(&table, "Reason")), ("REVOKED", "NO_LONGER_NEEDED"));
    assert_eq!(server.ok(&["root-key", "list", "-q"]).lines().count(), 1);
    assert_eq!(server.ok(&["root-key", "list", "-q", "--include-invalid"]).lines().count(), 2);

    let refused = server.client(&["keys", "verify", &key]).env("PORTCULLIS_ROOT_KEY", secret).output().unwrap();
    let error = Ran::from(refused).failed(1);
    assert!(error.starts_with("error: UNAUTHENTICATED: "), "{error}");
}

#[test]
fn offline_makes_one_on_the_store_itself() {
    let mut server = Serving::start();
    let (_, key) = server.key(&[]);
    let database = database_url(server.dir.path());
    let create = ["root-key", "create", "--name", "found again", "--permission", "admin", "--offline", "--quiet"];
    let offline =
        || Ran::from(portcullis().args(create).args(["--database-url", &database]).output().expect("it runs"));
    let error = offline().failed(69);
    assert!(error.contains("in use by process"), "{error}");

    server.kill();
    let ran = offline();
    assert_eq!((ran.code, ran.stderr.as_str()), (0, format!("store: {database}\n").as_str()), "{ran}");
    let secret = ran.stdout;
    server.restart();
    let verified = server.client(&["keys", "verify", &key]).env("PORTCULLIS_ROOT_KEY", secret.trim_end()).output();
    Ran::from(verified.unwrap()).ok();
}

#[test]
fn offline_makes_no_store() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("empty.db"), "").unwrap();
    let create = ["root-key", "create", "--name", "n", "--permission", "admin", "--offline", "--quiet"];
    for more in [&[][..], &["--auto-migrate=false"], &["--database-url", "sqlite://none.db"]] {
        let output = portcullis().args(create).args(more).current_dir(dir.path()).output();
        let error = Ran::from(output.unwrap()).failed(64);
        let path = dir.path().join(if more.len() == 2 { "none.db" } else { "portcullis.db" });
        assert!(error.contains(&format!("no store at sqlite://{}", path.display())), "{error}");
        assert!(error.contains("--database-url"), "{error}");
    }
    let empty =
        portcullis().args(create).args(["--database-url", "sqlite://empty.db"]).current_dir(dir.path()).output();
    assert!(Ran::from(empty.unwrap()).failed(64).contains("no store at"));
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name == "portcullis.db" || name == "none.db"), "{left:?}");
}

#[test]
fn variables_of_the_server_do_not_disturb_the_client() {
    let server = Serving::start();
    let config = server.dir.path().join("portcullis.toml");
    std::fs::write(&config, "").unwrap();
    let output = server
        .client(&["root-key", "create", "--name", "n", "--permission", "keys:verify", "--quiet"])
        .env("PORTCULLIS_CONFIG", &config)
        .env("PORTCULLIS_DATABASE_URL", "sqlite://elsewhere.db")
        .env("PORTCULLIS_ALLOW_PLAINTEXT", "true")
        .output();
    Ran::from(output.unwrap()).ok();
}
