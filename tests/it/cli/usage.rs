//! `usage`

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::program::{Ran, Serving, portcullis, text};
use crate::support::service::PATIENCE;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// A server on which one key was found valid three times and once without a scope, and another revoked.
fn used() -> (Serving, String, String) {
    let server = Serving::start();
    let (id, secret) = server.named_key("often", "user_1", &["--scope", "a"]);
    for _ in 0..3 {
        server.ok(&["keys", "verify", &secret]);
    }
    assert_eq!(server.run(&["keys", "verify", &secret, "--scope", "b"]).code, 1);
    let (other, secret) = server.named_key("ended", "org_1", &[]);
    server.ok(&["keys", "revoke", &other]);
    assert_eq!(server.run(&["keys", "verify", &secret]).code, 1);
    wait(&server, &format!("{id}\t4\n{other}\t1\n"));
    (server, id, other)
}

/// Waits until the usage by key is this: it may be told two seconds late.
#[track_caller]
fn wait(server: &Serving, expect: &str) {
    let mut told = String::new();
    for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
        told = server.ok(&["usage", "--group", "key", "--quiet"]);
        if told == expect {
            return;
        }
        thread::sleep(PAUSE);
    }
    panic!("{told}");
}

fn rows(answer: &Value) -> Vec<Value> {
    answer["rows"].as_array().expect("rows").clone()
}

/// How often each verdict came, all rows together.
fn count(answer: &Value, verdict: &str) -> i64 {
    let counts = rows(answer).into_iter().flat_map(|row| row["counts"].as_array().expect("counts").clone());
    counts.filter(|count| count["verdict"] == verdict).map(|count| text(&count["count"]).parse::<i64>().unwrap()).sum()
}

#[test]
fn nothing_was_used() {
    let server = Serving::start();
    assert_eq!(server.ok(&["usage", "--keyspace", "default"]), "no usage\n");
    assert_eq!(server.ok(&["usage", "--keyspace", "default", "-q"]), "");
    assert_eq!(server.json(&["usage", "--keyspace", "default"]), json!({"rows": [], "nextPageToken": ""}));
}

#[test]
fn a_group_has_a_row_and_time_has_its_own() {
    let (server, id, other) = used();
    let table = server.ok(&["usage", "--group", "key", "--since", "2h"]);
    let lines: Vec<_> = table.lines().collect();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(lines[0]), ["KEY", "EACH", "HOUR", "TOTAL", "VALID", "DENIED", "CREATED", "COST"], "{table}");
    // Key, course, total, valid, denied, created.
    let figures = |line: &str| words(line)[2..6].to_vec();
    assert!(lines[1].starts_with(&id) && lines[2].starts_with(&other) && lines[3].starts_with("(all)"), "{table}");
    assert_eq!(figures(lines[1]), ["4", "3", "1", "1"], "{table}");
    assert_eq!(figures(lines[2]), ["1", "0", "1", "1"], "{table}");
    assert_eq!(figures(lines[3]), ["5", "3", "2", "2"], "{table}");
    assert_eq!(lines.len(), 4, "{table}");

    let table = server.ok(&["usage", "--group", "key", "--since", "2h", "--by", "hour"]);
    for text in ["HOUR (UTC)", "VALID", "REVOKED", "INSUFFICIENT_SCOPE", "█"] {
        assert!(table.contains(text), "{table}");
    }
    let table = server.ok(&["usage", "--key", &id]);
    assert!(table.contains("DAY (UTC)") && !table.contains("REVOKED") && !table.contains("(all)"), "{table}");
    let table = server.ok(&["usage", "--key", &id, "--by", "total"]);
    assert!(table.lines().count() == 2 && !table.contains("EACH"), "{table}");
}

#[test]
fn what_is_asked_is_answered() {
    let (server, id, _) = used();
    let quiet = |args: &[&str]| server.ok(&[&["usage", "--quiet"], args].concat());
    assert_eq!(quiet(&["--keyspace", "default"]), "default\t5\n");
    assert_eq!(quiet(&["--key", &id]), format!("{id}\t4\n"));
    assert_eq!(quiet(&["--subject", "org_1"]), "org_1\t1\n");
    assert_eq!(quiet(&["--group", "subject"]), "user_1\t4\norg_1\t1\n");
    assert_eq!(quiet(&["--group", "subject", "--by", "total"]), "user_1\t4\norg_1\t1\n");
    assert_eq!(quiet(&["--key", &id, "--until", "2020-01-31"]), "");

    let answer = server.json(&["usage", "--key", &id, "--since", "2h"]);
    assert_eq!((count(&answer, "VERDICT_VALID"), count(&answer, "VERDICT_INSUFFICIENT_SCOPE")), (3, 1));
    assert_eq!(rows(&answer)[0]["group"], json!(id));
    assert_eq!(answer["nextPageToken"], "");
}

#[test]
fn pages_together_are_all() {
    let (server, ..) = used();
    let all = server.json(&["usage", "--group", "key", "--until", "2100-01-01", "--from", "2020-01-01"]);
    let page = |args: &[&str]| {
        let asked = ["usage", "--group", "key", "--until", "2100-01-01", "--from", "2020-01-01", "--output", "json"];
        let ran = server.run(&[&asked, args].concat());
        let json: Value = serde_json::from_str(&ran.stdout).unwrap();
        // Scripts are told too that there are more.
        assert_eq!((ran.code, ran.stderr.is_empty()), (0, json["nextPageToken"] == ""), "{ran}");
        json
    };
    assert_eq!(page(&["--all", "--page-size", "1"]), all);
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let next = if token.is_empty() {
            page(&["--page-size", "1"])
        } else {
            page(&["--page-size", "1", "--page-token", &token])
        };
        found.extend(rows(&next));
        token = text(&next["nextPageToken"]);
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(found, rows(&all));
    let ran = server.run(&["usage", "--group", "key", "--page-size", "1"]);
    assert!(ran.code == 0 && ran.stderr.contains("--page-token") && ran.stderr.contains("--until 2"), "{ran}");
}

#[test]
fn what_cannot_be_told() {
    let server = Serving::start();
    for (args, why) in [
        (&["--since", "1d", "--from", "2030-01-01"][..], "cannot be used with"),
        (&["--since", "yesterday"], "--since"),
        (&["--until", "now"], "not a time such as"),
        (&["--by", "week"], "possible values: hour, day, total"),
        (&["--group", "owner"], "possible values: key, subject, keyspace"),
        (&["--page-token", "t"], "--until <TIME>"),
    ] {
        let error = server.run(&[&["usage"], args].concat()).failed(64);
        assert!(error.contains(why), "{args:?}: {error}");
    }
    let error = server.run(&["usage", "--from", "2030-01-02", "--until", "2030-01-01"]).failed(1);
    assert!(error.contains("INVALID_ARGUMENT"), "{error}");
}

#[test]
fn the_help_says_what_holds_if_nothing_is_said() {
    let help = Ran::from(portcullis().args(["usage", "--help"]).output().expect("it runs")).ok();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in ["[default: 7d]", "hour up to two days, else day", "--group", "--page-token"] {
        assert!(help.contains(text), "{text} in {help}");
    }
}
