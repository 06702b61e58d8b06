//! `keys import`.
//!
//! With PORTCULLIS_TEST_IMPORT_ENTRIES=10000 the mixed file has as many entries; 10,000 take some minutes.

use std::fmt::Write as _;
use std::path::PathBuf;

use argon2::password_hash::PasswordHasher as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};
use portcullis::grpc::pb::Verdict;
use portcullis::key::verifier::{sha256, sha384, sha512};
use serde_json::json;
use tonic::transport::Endpoint;

use super::program::{Ran, Serving, run, text};
use crate::support::service::Caller;

/// Lines that are no entries, or entries that the server refuses. What is in them must not be printed.
const BROKEN: [&str; 20] = [
    "hush",
    "{\"plaintext\": \"hush_hush_hush_hush_hush",
    "[]",
    "\"hush_hush_hush_hush_hush\"",
    "{}",
    r#"{"name": "n", "subject": "s"}"#,
    r#"{"name": "n", "subject": "s", "plaintext": "hush"}"#,
    r#"{"name": "n", "subject": "s", "plaintext": 4711}"#,
    r#"{"name": "", "subject": "s", "plaintext": "hush_hush_hush_hush_hush"}"#,
    r#"{"name": "n", "subject": "no spaces", "phc": "hush"}"#,
    r#"{"name": "n", "subject": "s", "phc": "$argon2id$v=19$m=9999999,t=1,p=1$hushhushhush$hushhushhushhush"}"#,
    r#"{"name": "n", "subject": "s", "phc": "$2b$31$hush", "lookupPrefix": "sk_live_"}"#,
    r#"{"name": "n", "subject": "s", "digest": {"algorithm": "sha256", "value": "hush"}}"#,
    r#"{"name": "n", "subject": "s", "digest": {"algorithm": "md5", "value": "hush"}}"#,
    r#"{"name": "n", "subject": "s", "digest": "hush"}"#,
    r#"{"name": "n", "subject": "s", "secret": "hush_hush_hush_hush_hush"}"#,
    r#"{"name": "n", "subject": "s", "plaintext": "hush_hush_hush_hush_hush", "phc": "hush"}"#,
    r#"{"name": "n", "subject": "s", "plaintext": "hush_hush_hush_hush_hush", "expireTime": "1999-01-01T00:00:00Z"}"#,
    r#"{"name": "n", "subject": "s", "plaintext": "hush_hush_hush_hush_hush", "lookupPrefix": "hush_hash"}"#,
    r#"{"name": "n", "subject": "s", "plaintext": "hush_hush_hush_hush_hush", "scopes": ["A"]}"#,
];

/// Some editors begin a file with a byte order mark; so do some shells what they pipe.
#[test]
fn a_byte_order_mark_is_no_part_of_the_first_line() {
    let server = Serving::start();
    let jsonl = r#"{"name": "a", "subject": "user_1", "plaintext": "first_of_the_secrets_0000001"}"#;
    let csv = "name,subject,plaintext\nb,user_1,second_of_the_secrets_0000002";
    for (name, text, secret) in
        [("keys.jsonl", jsonl, "first_of_the_secrets_0000001"), ("keys.csv", csv, "second_of_the_secrets_0000002")]
    {
        let path = server.dir.path().join(name);
        std::fs::write(&path, format!("\u{feff}{text}\n")).unwrap();
        server.ok(&["keys", "import", path.to_str().unwrap()]);
        server.ok(&["keys", "verify", secret]);
    }
    let piped = jsonl.replace("first", "third").replace("\"a\"", "\"c\"");
    run(&mut server.client(&["keys", "import", "-", "--format", "jsonl"]), &format!("\u{feff}{piped}\n")).ok();
    run(&mut server.client(&["keys", "verify"]), "\u{feff}third_of_the_secrets_0000001\n").ok();
    let claims = server.dir.path().join("claims.json");
    std::fs::write(&claims, "\u{feff}{\"plan\": \"pro\"}").unwrap();
    server.key(&["--claims", &format!("@{}", claims.display())]);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes all");
        text
    })
}

/// The nth secret and its line. Each has a bucket of its own.
fn entry(n: usize) -> (String, String) {
    let secret = format!("sk_live_{n:08}{}", &hex(sha256(&n.to_string()).as_bytes())[..24]);
    let prefix = &secret[..16];
    let mut line = json!({ "name": format!("key {n}"), "subject": "user_1", "scopes": ["orders:read"] });
    let salt = *b"sixteen bytes of";
    let material = match n % 8 {
        0 => json!({ "plaintext": secret }),
        1 => json!({ "plaintext": secret, "lookupPrefix": prefix }),
        2 => json!({ "digest": { "algorithm": "sha256", "value": hex(sha256(&secret).as_bytes()) } }),
        3 => json!({ "digest": { "algorithm": "SHA-384", "value": hex(sha384(&secret).as_bytes()).to_uppercase() } }),
        4 => json!({ "digest": { "algorithm": "DIGEST_ALGORITHM_SHA512", "value": hex(sha512(&secret).as_bytes()) } }),
        5 => {
            let params = Params::new(64, 1, 1, None).expect("good parameters");
            let argon2 = Argon2::new(Algorithm::Argon2i, Version::V0x13, params);
            let phc: PasswordHash = argon2.hash_password_with_salt(secret.as_bytes(), &salt).expect("a hash");
            json!({ "phc": phc.to_string(), "lookupPrefix": prefix })
        }
        6 => {
            let phc = bcrypt::hash_with_salt(&secret, 4, salt).expect("a hash").to_string();
            json!({ "phc": phc, "lookup_prefix": prefix })
        }
        _ => {
            use scrypt::password_hash::CustomizedPasswordHasher as _;
            let params = scrypt::Params::new(4, 8, 1).expect("good parameters");
            let scrypt = scrypt::Scrypt::default();
            let phc = scrypt.hash_password_customized(secret.as_bytes(), &salt, None, None, params).expect("a hash");
            json!({ "phc": phc.to_string(), "lookup_prefix": prefix })
        }
    };
    let fields = material.as_object().expect("an object").clone();
    line.as_object_mut().expect("an object").extend(fields);
    (secret, line.to_string())
}

fn write(server: &Serving, name: &str, contents: &str) -> String {
    let path: PathBuf = server.dir.path().join(name);
    std::fs::write(&path, contents).expect("written");
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mixed_file_is_imported_once_however_often() {
    let count = std::env::var("PORTCULLIS_TEST_IMPORT_ENTRIES").ok().and_then(|n| n.parse().ok()).unwrap_or(240);
    let server = Serving::start();
    let (secrets, mut lines): (Vec<_>, Vec<_>) = (0..count).map(entry).unzip();
    // Spread over the file, so that no batch is without.
    let step = count / BROKEN.len();
    for (n, broken) in BROKEN.iter().enumerate() {
        lines.insert(n * step + n, (*broken).to_owned());
    }
    let file = write(&server, "keys.jsonl", &lines.join("\n"));

    let first = server.run(&["keys", "import", &file]);
    assert_eq!(first.stdout, format!("{count} imported, 0 already there, 20 refused\n"), "{first}");
    assert_eq!(first.code, 1, "{first}");
    for n in 0..BROKEN.len() {
        let told = format!("line {}: ", n * step + n + 1);
        assert!(first.stderr.contains(&told), "no {told} in {first}");
    }
    assert_eq!(first.stderr.lines().filter(|line| line.starts_with("line ")).count(), BROKEN.len(), "{first}");
    assert!(!first.stderr.contains("hush"), "{first}");

    let events = |server: &Serving| server.json(&["audit", "--all"])["auditEvents"].as_array().expect("events").len();
    let before = events(&server);
    let second = server.run(&["keys", "import", &file]);
    assert_eq!(second.stdout, format!("0 imported, {count} already there, 20 refused\n"), "{second}");
    assert_eq!(second.code, 1);
    assert_eq!(events(&server), before, "nothing was changed");

    let channel = Endpoint::from_shared(server.url.clone()).expect("an address").connect().await.expect("it listens");
    let mut caller = Caller::with(&channel, &server.root_key);
    for (n, secret) in secrets.iter().enumerate() {
        let answer = caller.verify(secret).await;
        assert_eq!((answer.verdict(), answer.scopes), (Verdict::Valid, vec!["orders:read".to_owned()]), "{n}");
    }
    for secret in secrets.iter().take(16) {
        assert_eq!(caller.verdict(&secret.replace("sk_live", "sk_test")).await, Verdict::NotFound);
    }
}

#[test]
fn csv_is_imported_too() {
    let server = Serving::start();
    server.ok(&["keyspaces", "create", "legacy"]);
    let rows = "name,subject,scopes,plaintext,digest,algorithm,metadata.team\n\
                one,user_1,orders:read orders:write,sk_live_csv_secret_0123456789,,,core\n\
                two,user_2,,,2cafc0970149a84f3b9e62eaf169f36f59907a3b3e31f7b82e68c69cd27f7326,sha256,\n\
                short,hush\n\
                three,user_3,,hush,,,\n";
    let file = write(&server, "keys.csv", rows);
    for sum in ["2 imported, 0 already there, 2 refused\n", "0 imported, 2 already there, 2 refused\n"] {
        let ran = server.run(&["keys", "import", &file, "--keyspace", "legacy"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, sum), "{ran}");
        assert!(ran.stderr.contains("line 4: has 2 columns, the header 7"), "{ran}");
        assert!(ran.stderr.contains("line 5: INVALID_ARGUMENT") && ran.stderr.contains("plaintext: must"), "{ran}");
        assert!(!ran.stderr.contains("hush"), "{ran}");
    }
    let keys = server.json(&["keys", "list", "--keyspace", "legacy", "--metadata", "team=core"]);
    assert_eq!(keys["apiKeys"][0]["scopes"], json!(["orders:read", "orders:write"]));
    let verify = |secret: &str| run(&mut server.client(&["keys", "verify", "--keyspace", "legacy"]), secret).code;
    assert_eq!(verify("sk_live_csv_secret_0123456789"), 0);
    // SHA-256 of it: see src/key/imported.rs.
    assert_eq!(verify("sk_test_4eC39HqLyjWDarjtT1zdp7dc"), 0);
    assert_eq!(verify("sk_test_4eC39HqLyjWDarjtT1zdp7dd"), 1);
}

#[test]
fn a_number_in_claims_that_would_lose_digits_is_a_refusal() {
    let server = Serving::start();
    let jsonl = r#"{"name": "n", "subject": "s", "claims": {"account_id": 9007199254740993}, "plaintext": "hush_hush_hush_hush_hush"}"#;
    let csv =
        "name,subject,claims,plaintext\nn,s,\"{\"\"account_id\"\": 1234567890123456789}\",hush_hush_hush_hush_hush\n";
    for (file, contents, line) in [("keys.jsonl", jsonl, 1), ("keys.csv", csv, 2)] {
        let ran = server.run(&["keys", "import", &write(&server, file, contents)]);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, "0 imported, 0 already there, 1 refused\n"), "{ran}");
        assert!(ran.stderr.contains(&format!("line {line}: INVALID_ARGUMENT")), "{ran}");
        assert!(ran.stderr.contains("claims.account_id: must be"), "{ran}");
    }
}

#[test]
fn scripts_get_what_they_need() {
    let server = Serving::start();
    let (secret, line) = entry(0);
    let input = format!("{line}\nhush\n");
    let import = |args: &[&str]| {
        let all = [&["keys", "import", "-", "--format", "jsonl"], args].concat();
        run(&mut server.client(&all), &input)
    };
    let ids = import(&["--quiet"]);
    assert!(ids.stdout.starts_with("key_") && ids.stdout.lines().count() == 1, "{ids}");
    let sum = import(&["--output", "json"]);
    assert!(sum.code == 1 && sum.stderr.is_empty(), "{sum}");
    let sum: serde_json::Value = serde_json::from_str(&sum.stdout).expect("one document");
    let refusal = json!({ "line": 2, "code": "", "reason": "", "message": "not JSON, at column 1" });
    assert_eq!(sum, json!({ "imported": 0, "alreadyThere": 1, "refused": 1, "refusals": [refusal] }));
    assert!(!sum.to_string().contains(&secret));
    // Nothing to complain of.
    let quiet = run(&mut server.client(&["keys", "import", "-", "--format", "jsonl"]), &line).ok();
    assert_eq!(quiet, "0 imported, 1 already there, 0 refused\n");
    let id = ids.stdout.trim();
    assert_eq!(text(&server.json(&["keys", "get", id])["apiKey"]["hint"]), "sk_live_0000…");
}

/// A line with the nth plaintext that begins so.
fn plaintext(start: &str, n: usize) -> String {
    json!({ "name": "n", "subject": "s", "plaintext": format!("{start}{n:020}"), "lookupPrefix": start }).to_string()
}

fn import(server: &Serving, lines: &[String], args: &[&str]) -> Ran {
    let file = write(server, "keys.jsonl", &lines.join("\n"));
    server.run(&[&["keys", "import", &file], args].concat())
}

#[test]
fn a_used_request_id_is_a_refusal() {
    let server = Serving::start();
    let line = |secret: &str| {
        let digest = json!({ "algorithm": "sha256", "value": hex(sha256(secret).as_bytes()) });
        json!({ "name": "n", "subject": "s", "requestId": "r-1", "digest": digest }).to_string()
    };
    let ran = import(&server, &[line("one"), line("two")], &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, "1 imported, 0 already there, 1 refused\n"), "{ran}");
    assert!(ran.stderr.contains("line 2: ALREADY_EXISTS") && ran.stderr.contains("request_id"), "{ran}");
}

#[test]
fn what_is_too_large_is_told_and_the_rest_goes_on() {
    let server = Serving::start();
    // Each 0 takes two bytes here, and eleven in a request, which may have 1 MiB.
    let huge = format!(r#"{{"name": "n", "subject": "s", "claims": {{"a": [0{}]}}}}"#, ",0".repeat(100_000));
    let ran = import(&server, &[entry(2).1, huge, entry(4).1], &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, "2 imported, 0 already there, 1 refused\n"), "{ran}");
    assert!(ran.stderr.contains("line 2: the entry is larger than 262144 bytes"), "{ran}");
}

#[test]
fn what_is_too_much_to_compare_at_once_is_sent_again() {
    let server = Serving::start();
    let start = "sk_live_nested_";
    let salted = (8..=start.len()).flat_map(|length| (0..4).map(move |n| (length, n))).take(31);
    let salted = salted.map(|(length, n)| {
        let hash = format!("n{n:02}kWQKIWGRCRo2lVYOgg2Mec+Ntr+wcUEg2xuzjFSM");
        let phc = format!("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA${hash}");
        json!({ "name": "n", "subject": "s", "phc": phc, "lookupPrefix": start[..length] }).to_string()
    });
    import(&server, &salted.collect::<Vec<_>>(), &[]).ok();
    // 161 of them use up what a request may compare, and there is one place: see tests/it/service/imports.rs.
    let ran = import(&server, &(0..180).map(|n| plaintext(start, n)).collect::<Vec<_>>(), &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, "1 imported, 0 already there, 179 refused\n"), "{ran}");
    // What is refused for the same reason is told five times, and then counted.
    let told = ran.stderr.lines().filter(|line| line.starts_with("line ") && line.contains("FAILED_PRECONDITION"));
    assert_eq!(told.count(), 5, "{ran}");
    assert!(ran.stderr.contains("174 more of 179, from line 2 to 180: FAILED_PRECONDITION"), "{ran}");
}

#[test]
fn a_dry_run_finds_the_same_faults_and_imports_nothing() {
    let server = Serving::start();
    let lines: Vec<_> = (0..16).map(|n| entry(n).1).chain(BROKEN.map(str::to_owned)).collect();
    let dry = import(&server, &lines, &["--dry-run"]);
    assert_eq!((dry.code, dry.stdout.as_str()), (1, "16 right, 20 would be refused; nothing was imported\n"), "{dry}");
    assert_eq!(server.ok(&["keys", "list", "--quiet"]), "");
    let real = import(&server, &lines, &[]);
    assert_eq!((real.code, real.stdout.as_str()), (1, "16 imported, 0 already there, 20 refused\n"), "{real}");
    assert_eq!(dry.stderr, real.stderr);
}

#[test]
fn what_is_hashed_locally_verifies_and_is_known_when_it_comes_again() {
    let server = Serving::start();
    let (secret, line) = entry(0);
    let ran = import(&server, std::slice::from_ref(&line), &["--hash-locally"]);
    assert_eq!(ran.stdout, "1 imported, 0 already there, 0 refused\n", "{ran}");
    let verdict = server.json(&["keys", "verify", &secret]);
    assert_eq!(text(&verdict["verdict"]), "VERDICT_VALID");
    let again = import(&server, &[line, plaintext("short", 1)], &["--hash-locally"]);
    assert_eq!(again.stdout, "0 imported, 1 already there, 1 refused\n", "{again}");
    assert!(again.stderr.contains("line 2: lookup_prefix: must be empty with --hash-locally"), "{again}");
}

#[test]
fn what_cannot_be_read_at_all_is_said() {
    let server = Serving::start();
    server.run(&["keys", "import", "/nonexistent/keys.csv"]).failed(64);
    server.run(&["keys", "import", "keys.txt"]).failed(64);
    let headless = write(&server, "keys.csv", "hush_hush_hush_hush_hush,user_1\n");
    let error = server.run(&["keys", "import", &headless]).failed(64);
    assert!(error.contains("column 1") && !error.contains("hush"), "{error}");
    let file = write(&server, "keys.jsonl", &entry(2).1);
    let denied = server.run(&["keys", "import", &file, "--keyspace", "system"]);
    assert!(denied.code == 1 && denied.stderr.contains("KEYSPACE_RESERVED"), "{denied}");
}
