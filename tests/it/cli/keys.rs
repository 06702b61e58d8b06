//! `keys …`, but for verify.

use serde_json::json;

use super::program::{Serving, field, run, text};

#[test]
fn create_shows_the_secret_once() {
    let server = Serving::start();
    let table = server.ok(&["keys", "create", "--name", "Ünïcödé 👩‍👩‍👧", "--subject", "user_1", "--scope", "orders:read"]);
    assert_eq!(field(&table, "Name"), "Ünïcödé 👩‍👩‍👧");
    assert_eq!(field(&table, "State"), "ACTIVE");
    assert_eq!(field(&table, "Expires"), "never");
    assert!(table.contains("shown this once"), "{table}");
    let secret = table.lines().find(|line| line.starts_with("ak_")).expect("the secret on a line of its own");
    assert_eq!(secret.len(), "ak_".len() + 54);

    let id = field(&table, "ID");
    let shown = server.ok(&["keys", "get", id]) + &server.json(&["keys", "get", id]).to_string();
    assert!(!shown.contains(secret), "{shown}");
}

#[test]
fn create_takes_every_field() {
    let server = Serving::start();
    let claims = server.dir.path().join("claims.json");
    std::fs::write(&claims, r#"{"plan": "pro", "seats": 3}"#).unwrap();
    let claims = format!("@{}", claims.display());
    let made = server.json(&[
        "keys",
        "create",
        "--name",
        "ci",
        "--subject",
        "org_7",
        "--keyspace",
        "default",
        "--description",
        "for CI",
        "--scope",
        "a",
        "--scope",
        "b:c",
        "--claims",
        &claims,
        "--metadata",
        "team=core",
        "--metadata",
        "env=prod",
        "--expire-time",
        "2100-01-31",
        "--created-by",
        "ops@example.com",
        "--request-id",
        "r-1",
    ]);
    let key = &made["apiKey"];
    assert_eq!(text(&made["secret"])[..3], *"ak_");
    assert_eq!(key["scopes"], json!(["a", "b:c"]));
    assert_eq!(key["claims"], json!({"plan": "pro", "seats": 3}));
    assert_eq!(key["metadata"], json!({"team": "core", "env": "prod"}));
    assert_eq!(key["expireTime"], "2100-01-31T00:00:00Z");
    assert_eq!(key["createdBy"], "ops@example.com");
    assert_eq!(key["description"], "for CI");
    assert_eq!(key["state"], "API_KEY_STATE_ACTIVE");

    let table = server.ok(&["keys", "get", &text(&key["id"])]);
    assert_eq!(field(&table, "Claims"), r#"{"plan":"pro","seats":3}"#);
    assert_eq!(field(&table, "Metadata"), "env=prod team=core");
    assert_eq!(field(&table, "Expires"), "2100-01-31T00:00:00Z");
    assert_eq!(field(&table, "Created by"), "ops@example.com");

    let again = ["keys", "create", "--name", "ci", "--subject", "org_7", "--request-id", "r-1"];
    let error = server.run(&again).failed(1);
    assert!(error.starts_with("error: ALREADY_EXISTS: ") && error.contains(&text(&key["id"])), "{error}");
}

#[test]
fn a_number_in_claims_that_would_lose_digits_is_refused() {
    let server = Serving::start();
    let claims = r#"{"account_id": 9007199254740993}"#;
    let create = ["keys", "create", "--name", "n", "--subject", "user_1", "--claims"];
    let error = server.run(&[&create[..], &[claims]].concat()).failed(1);
    assert!(error.contains("claims.account_id: must be") && error.contains("as a string"), "{error}");
    let made = server.json(&[&create[..], &[r#"{"account_id": "9007199254740993"}"#]].concat());
    assert_eq!(made["apiKey"]["claims"], json!({"account_id": "9007199254740993"}));
}

#[test]
fn list_filters_and_pages() {
    let server = Serving::start();
    assert_eq!(server.ok(&["keys", "list"]), "no keys\n");
    assert_eq!(
        server.json(&["keys", "list"]),
        json!({"apiKeys": [], "nextPageToken": "", "totalSize": "0", "totalSizeIsLowerBound": false})
    );
    let mut ids: Vec<String> = (0..5)
        .map(|n| {
            let subject = if n == 0 { "org_1" } else { "user_1" };
            server.named_key(&format!("key {n}"), subject, &["--metadata", &format!("n={n}")]).0
        })
        .collect();
    ids.reverse();

    let table = server.ok(&["keys", "list"]);
    assert!(table.starts_with("ID "), "{table}");
    let listed: Vec<&str> = table.lines().skip(1).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(listed, ids, "newest first");

    let quiet = |args: &[&str]| server.ok(&[&["keys", "list", "--quiet"], args].concat());
    let lines = |ids: &[String]| ids.iter().map(|id| id.clone() + "\n").collect::<String>();
    assert_eq!(quiet(&[]), lines(&ids));
    assert_eq!(quiet(&["--subject", "org_1"]), lines(&ids[4..]));
    assert_eq!(quiet(&["--query", "KEY 3"]), lines(&ids[1..2]));
    assert_eq!(quiet(&["--metadata", "n=2"]), lines(&ids[2..3]));
    assert_eq!(quiet(&["--skip", "3"]), lines(&ids[3..]));
    assert_eq!(quiet(&["--created-by", "nobody"]), "");
    assert_eq!(quiet(&["--unused-since", "2000-01-01T00:00:00Z"]), "", "all are younger");
    assert_eq!(quiet(&["--unused-for", "60d"]), "", "all are younger");
    assert_eq!(quiet(&["--unused-since", "2100-01-01T00:00:00Z"]), lines(&ids));
    assert_eq!(quiet(&["--all", "--page-size", "2"]), lines(&ids));
    assert_eq!(quiet(&["--all", "--page-size", "2", "--skip", "1"]), lines(&ids[1..]));

    let page = server.run(&["keys", "list", "--page-size", "2"]);
    assert!(page.code == 0 && page.stderr.starts_with("2 of 5 keys; "), "{page}");
    let first = server.json_page(&["keys", "list", "--page-size", "2"]);
    assert_eq!(first["totalSize"], "5");
    let token = text(&first["nextPageToken"]);
    let second = server.run(&["keys", "list", "-q", "--page-size", "2", "--page-token", &token]).part();
    assert_eq!(second, lines(&ids[2..4]));
    assert_eq!(quiet(&["--limit", "9", "--page-token", &token]), lines(&ids[2..]));
    let all = server.json(&["keys", "list", "--page-size", "2", "--all"]);
    assert_eq!(all["apiKeys"].as_array().unwrap().len(), 5);
    assert_eq!((&all["nextPageToken"], &all["totalSize"]), (&json!(""), &json!("5")));

    server.ok(&["keys", "revoke", &ids[0]]);
    assert_eq!(quiet(&[]), lines(&ids[1..]));
    assert_eq!(quiet(&["--include-invalid"]), lines(&ids));
}

#[test]
fn update_changes_what_is_given() {
    let server = Serving::start();
    let (id, _) = server.key(&["--scope", "a", "--scope", "b", "--metadata", "x=y", "--description", "d"]);
    let update = |args: &[&str]| server.json(&[&["keys", "update", &id], args].concat())["apiKey"].clone();

    let key = update(&["--scope", "a", "--name", "renamed"]);
    assert_eq!((&key["scopes"], &key["name"], &key["description"]), (&json!(["a"]), &json!("renamed"), &json!("d")));
    let key = update(&["--clear-scopes", "--clear-metadata", "--description", ""]);
    assert_eq!((&key["scopes"], &key["metadata"], &key["description"]), (&json!([]), &json!({}), &json!("")));
    assert_eq!(update(&["--disable"])["state"], "API_KEY_STATE_DISABLED");
    assert_eq!(update(&["--enable"])["state"], "API_KEY_STATE_ACTIVE");
    assert_eq!(update(&["--claims", r#"{"a":[1]}"#])["claims"], json!({"a": [1]}));
    assert!(update(&["--ttl", "1h"])["expireTime"].is_string());
    let key = update(&["--never-expires"]);
    assert!(key.get("expireTime").is_none());

    let etag = text(&key["etag"]);
    let table = server.ok(&["keys", "update", &id, "--name", "n", "--etag", &etag]);
    assert_eq!(field(&table, "Name"), "n");
    let error = server.run(&["keys", "update", &id, "--name", "m", "--etag", &etag]).failed(1);
    assert!(error.starts_with("error: ABORTED: ") && error.contains("ETAG_MISMATCH"), "{error}");
    server.run(&["keys", "update", &id]).failed(64);
    assert_eq!(server.ok(&["keys", "update", &id, "--name", "n", "--quiet"]), format!("{id}\n"));
}

#[test]
fn rotate_keeps_the_id() {
    let server = Serving::start();
    let (id, first) = server.key(&[]);
    let rotated = server.json(&["keys", "rotate", &id, "--overlap", "1h"]);
    let second = text(&rotated["secret"]);
    assert_eq!(rotated["apiKey"]["id"], json!(id));
    assert_eq!(rotated["apiKey"]["secrets"].as_array().unwrap().len(), 2);
    assert!(rotated["previousSecretExpireTime"].is_string());
    for secret in [&first, &second] {
        server.ok(&["keys", "verify", secret]);
    }

    let error = server.run(&["keys", "rotate", &id]).failed(1);
    assert!(error.contains("OVERLAP_ACTIVE") && error.contains("end_overlap"), "{error}");
    let table = server.ok(&["keys", "rotate", &id, "--end-overlap"]);
    assert_eq!(field(&table, "ID"), id);
    assert!(table.contains("shown this once"), "{table}");
    let third = server.ok(&["keys", "rotate", &id, "--quiet"]);
    assert_eq!(third.lines().count(), 1);
    server.ok(&["keys", "verify", third.trim_end()]);
    assert_eq!(server.run(&["keys", "verify", &second]).code, 1);
}

#[test]
fn revoke_by_id_and_by_secret() {
    let server = Serving::start();
    let (id, _) = server.key(&[]);
    let table = server.ok(&["keys", "revoke", &id, "--reason", "key-compromise", "--comment", "in a public repo"]);
    assert_eq!(field(&table, "State"), "REVOKED");
    assert_eq!(field(&table, "Reason"), "KEY_COMPROMISE");
    assert_eq!(field(&table, "Comment"), "in a public repo");
    assert_eq!(server.json(&["keys", "revoke", &id])["apiKey"]["revocationReason"], "REVOCATION_REASON_KEY_COMPROMISE");

    let (id, secret) = server.key(&[]);
    let args = ["keys", "revoke", "--secret-stdin", "--quiet"];
    assert_eq!(run(&mut server.client(&args), &format!("{secret}\n")).ok(), format!("{id}\n"));
    assert_eq!(server.run(&["keys", "verify", &secret]).code, 1);

    server.run(&["keys", "revoke"]).failed(64);
    server.run(&["keys", "revoke", &id, "--secret-stdin"]).failed(64);
    let error = run(&mut server.client(&["keys", "revoke", "--secret-stdin"]), "").failed(64);
    assert!(error.contains("no key on stdin"), "{error}");
}

#[test]
fn a_leaked_key_is_found_with_what_is_around_it() {
    let server = Serving::start();
    for (before, after) in [
        (" ", "\n"),
        ("\n\n", ""),
        ("\u{feff}", "\r\n"),
        ("\"", "\""),
        ("Bearer ", ""),
        ("KEY=", ""),
        ("export KEY='", "'\n"),
    ] {
        let (id, secret) = server.key(&[]);
        let text = format!("{before}{secret}{after}");
        let verified = run(&mut server.client(&["keys", "verify"]), &text).ok();
        assert_eq!(field(&verified, "Key"), id, "{before:?}");
        assert_eq!(field(&server.ok(&["keys", "verify", &text]), "Key"), id, "{before:?}");
        let revoked = run(&mut server.client(&["keys", "revoke", "--secret-stdin", "-q"]), &text).ok();
        assert_eq!(revoked, format!("{id}\n"), "{before:?}");
    }
}

#[test]
fn what_is_no_key_is_named() {
    let server = Serving::start();
    let (id, secret) = server.key(&[]);
    let root_key = server.root_key.clone();
    let mistyped = format!("{}{}", &secret[..secret.len() - 1], if secret.ends_with('x') { "y" } else { "x" });
    for args in [
        &["keys", "get"][..],
        &["keys", "revoke"],
        &["keys", "rotate"],
        &["keys", "delete", "--yes"],
        &["keys", "update", "--disable"],
        &["root-key", "revoke"],
        &["audit", "--key-id"],
        &["audit", "--actor"],
        &["usage", "--key"],
    ] {
        for (given, why) in [
            (&secret, "this is the secret of a key, not its id"),
            (&mistyped, "this is the secret of a key, not its id"),
            (&root_key, "this is a root key, not an id"),
        ] {
            let error = server.run(&[args, &[given]].concat()).failed(64);
            assert!(error.contains(why) && error.contains("--secret-stdin"), "{args:?}: {error}");
            assert!(!error.contains(&given[given.len() - 20..]), "{args:?}: {error}");
        }
    }
    assert_eq!(field(&server.ok(&["keys", "get", &format!(" {id}\n")]), "ID"), id);

    for (given, why) in [
        (&id, "this is the id of a key, not its secret"),
        (&root_key, "this is a root key"),
        (&mistyped, "its checksum is wrong"),
    ] {
        let ran = server.run(&["keys", "verify", given]);
        assert!(ran.code == 1 && ran.stderr.contains(why), "{ran}");
    }
    let revoke = |text: &str| run(&mut server.client(&["keys", "revoke", "--secret-stdin"]), text);
    let ran = revoke(&mistyped);
    assert!(ran.code == 1 && ran.stderr.contains("its checksum is wrong"), "{ran}");
    let error = revoke(&id).failed(1);
    assert!(error.contains("is the id of a key"), "{error}");
    server.ok(&["keys", "verify", &secret]);
}

#[test]
fn delete_wants_to_be_sure() {
    let server = Serving::start();
    let (id, _) = server.key(&[]);
    let error = server.run(&["keys", "delete", &id]).failed(64);
    assert!(error.contains("--yes"), "{error}");
    server.ok(&["keys", "get", &id]);
    assert_eq!(server.ok(&["keys", "delete", &id, "--yes"]), "deleted\n");
    let error = server.run(&["keys", "delete", &id, "--yes"]).failed(1);
    assert!(error.starts_with("error: NOT_FOUND: "), "{error}");

    let (id, _) = server.key(&[]);
    assert_eq!(server.json(&["keys", "delete", &id, "--yes"]), json!({}));
    let (id, _) = server.key(&[]);
    assert_eq!(server.ok(&["keys", "delete", &id, "-y", "-q"]), "");
}
