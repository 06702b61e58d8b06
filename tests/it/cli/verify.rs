//! `keys verify`.

use serde_json::{Value, json};

use super::program::{Serving, field, run};

#[test]
fn the_exit_code_is_the_verdict() {
    let server = Serving::start();
    let (id, secret) = server.key(&["--scope", "orders:read", "--claims", r#"{"plan":"pro"}"#]);

    let table = server.ok(&["keys", "verify", &secret]);
    assert_eq!(field(&table, "Verdict"), "VALID");
    assert_eq!(field(&table, "Key"), id);
    assert_eq!(field(&table, "Claims"), r#"{"plan":"pro"}"#);
    assert!(!table.contains(&secret), "{table}");
    let answer = server.json(&["keys", "verify", &secret]);
    assert_eq!((&answer["valid"], &answer["keyId"]), (&json!(true), &json!(id)));
    assert_eq!(server.ok(&["keys", "verify", &secret, "--quiet"]), "");

    let verdict = |args: &[&str]| {
        let ran = server.run(&[&["keys", "verify"], args].concat());
        (ran.code, field(&ran.stdout, "Verdict").to_owned())
    };
    let of = |code, name: &str| (code, name.to_owned());
    assert_eq!(verdict(&[&secret, "--scope", "orders:read"]), of(0, "VALID"));
    assert_eq!(verdict(&[&secret, "--any-scope", "x", "--any-scope", "orders:read"]), of(0, "VALID"));
    assert_eq!(verdict(&[&secret, "--keyspace", "default"]), of(0, "VALID"));
    assert_eq!(verdict(&[&secret, "--scope", "orders:read", "--scope", "x"]), of(1, "INSUFFICIENT_SCOPE"));
    assert_eq!(verdict(&["garbage"]), of(1, "MALFORMED"));
    server.ok(&["keys", "update", &id, "--disable"]);
    assert_eq!(verdict(&[&secret]), of(1, "DISABLED"));
    server.ok(&["keys", "revoke", &id]);
    assert_eq!(verdict(&[&secret]), of(1, "REVOKED"));

    let denied = server.run(&["keys", "verify", &secret, "--output", "json"]);
    assert_eq!((denied.code, denied.stderr.as_str()), (1, ""));
    let answer: Value = serde_json::from_str(&denied.stdout).unwrap();
    assert_eq!((&answer["valid"], &answer["verdict"]), (&json!(false), &json!("VERDICT_REVOKED")));
    let quiet = server.run(&["keys", "verify", &secret, "--quiet"]);
    assert_eq!((quiet.code, quiet.stdout.as_str(), quiet.stderr.as_str()), (1, "", ""));
}

/// To the server a key of another keyspace is unknown. A person who mistypes the keyspace learns of it.
#[test]
fn a_keyspace_that_is_none_is_told() {
    let server = Serving::start();
    let (_, secret) = server.key(&[]);
    for (args, error) in [
        (&["keys", "verify", &secret, "--keyspace", "nosuch"][..], "error: there is no keyspace \"nosuch\""),
        (&["audit", "--keyspace", "nosuch"], "error: NOT_FOUND: no such keyspace"),
    ] {
        let ran = server.run(args);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        assert!(ran.stderr.starts_with(error), "{}", ran.stderr);
    }
    assert_eq!(field(&server.run(&["keys", "verify", &secret, "--keyspace", "nosuch"]).stdout, "Verdict"), "NOT_FOUND");
    // One that is there is no error, whatever the verdict.
    server.ok(&["keyspaces", "create", "other", "--display-name", "Other"]);
    let ran = server.run(&["keys", "verify", &secret, "--keyspace", "other"]);
    assert!(ran.code == 1 && !ran.stderr.contains("error:"), "{}", ran.stderr);
    // A variable that is not set must not mean the default.
    for args in [
        &["keys", "verify", &secret][..],
        &["keys", "create", "--name", "n", "--subject", "user_1"],
        &["keys", "list"],
        &["keys", "import", "/dev/null"],
        &["usage"],
        &["audit"],
    ] {
        for empty in ["", " "] {
            let error = server.run(&[args, &["--keyspace", empty]].concat()).failed(64);
            assert!(error.contains("--keyspace") && error.contains("is empty"), "{error}");
        }
    }
}

#[test]
fn the_key_may_come_by_stdin() {
    let server = Serving::start();
    let (id, secret) = server.key(&[]);
    for args in [&["keys", "verify"][..], &["keys", "verify", "-"]] {
        for end in ["", "\n", "\r\n"] {
            let table = run(&mut server.client(args), &format!("{secret}{end}")).ok();
            assert_eq!(field(&table, "Key"), id);
        }
    }
    // Whatever is around it, on whatever line; but not if there are several.
    for text in [
        "Hi,\nthe key is `KEY`.\nBye",
        "> KEY",
        "API_KEY = \"KEY\"",
        "https://example.com/?key=KEY&a=b",
        "(KEY)",
        "KEY\nmore\n",
    ] {
        let ran = run(&mut server.client(&["keys", "verify"]), &text.replace("KEY", &secret));
        assert_eq!((ran.code, field(&ran.stdout, "Key")), (0, &*id), "{text}: {}", ran.stderr);
        assert!(ran.stderr.contains("the key was taken out of the text around it"), "{text}: {}", ran.stderr);
    }
    let (_, other) = server.key(&[]);
    let several = format!("{secret}\n{other}");
    let error = run(&mut server.client(&["keys", "verify"]), &several).failed(64);
    assert!(error.contains("holds 2 keys: verify each by itself"), "{error}");
    let refused = run(&mut server.client(&["keys", "revoke", "--secret-stdin"]), &several);
    assert!(refused.code == 1 && refused.stderr.contains("must hold one key; holds 2"), "{}", refused.stderr);
    run(&mut server.client(&["keys", "revoke", "--secret-stdin"]), &format!("Hi,\nit is\n`{secret}`\n")).ok();
    let error = run(&mut server.client(&["keys", "verify"]), "\n").failed(64);
    assert!(error.contains("no key on stdin"), "{error}");
    let long = run(&mut server.client(&["keys", "verify"]), &"a".repeat(60_000));
    assert_eq!((long.code, field(&long.stdout, "Verdict")), (1, "MALFORMED"));
    let error = run(&mut server.client(&["keys", "verify"]), &"a".repeat(100_000)).failed(64);
    assert!(error.contains("more than 65536 bytes on stdin"), "{error}");
}

#[test]
fn full_shows_the_whole_key() {
    let server = Serving::start();
    let (id, secret) = server.key(&["--metadata", "team=core"]);
    let table = server.ok(&["keys", "verify", "--full", &secret]);
    assert_eq!(
        (field(&table, "Verdict"), field(&table, "ID"), field(&table, "Metadata")),
        ("VALID", &*id, "team=core")
    );
    assert_eq!(server.json(&["keys", "verify", "--full", &secret])["apiKey"]["metadata"], json!({"team": "core"}));
    let denied = server.run(&["keys", "verify", "--full", &secret, "--any-scope", "x"]);
    assert_eq!((denied.code, field(&denied.stdout, "Missing scopes")), (1, "x"));
}
