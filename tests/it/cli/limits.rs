//! Rate limits, credits and networks, on the command line.

use serde_json::{Value, json};

use super::program::{Ran, Serving, field, portcullis, text};

/// The limits of a key that was answered.
fn limits(key: &Value) -> (&Value, &Value, &Value) {
    (&key["rateLimit"], &key["credits"], &key["allowedCidrs"])
}

#[test]
fn a_key_is_made_with_limits() {
    let server = Serving::start();
    let (id, _) = server.key(&[
        "--rate",
        "100/s:burst=20",
        "--rate",
        "1000/day",
        "--rate",
        "short=5/10s",
        "--credits",
        "5000",
        "--refill",
        "1000/month",
        "--cidr",
        "10.0.0.0/8",
        "--cidr",
        "2001:db8::1",
    ]);
    let key = server.json(&["keys", "get", &id])["apiKey"].clone();
    let (rate, credits, cidrs) = limits(&key);
    assert_eq!((&rate["limit"], &rate["window"], &rate["burst"]), (&json!("100"), &json!("1s"), &json!("20")));
    let also: Vec<_> = rate["also"].as_array().unwrap().iter().map(|also| text(&also["name"])).collect();
    assert_eq!(also, ["per-day", "short"]);
    assert_eq!(credits["remaining"], "5000");
    assert_eq!(credits["refill"], json!({"amount": "1000", "interval": "CREDITS_INTERVAL_MONTH"}));
    assert_eq!(*cidrs, json!(["10.0.0.0/8", "2001:db8::1/128"]));

    let table = server.ok(&["keys", "get", &id]);
    assert_eq!(field(&table, "Rate limit"), "100/s:burst=20 per-day=1000/day short=5/10s");
    let next = text(&credits["refillTime"]);
    assert_eq!(field(&table, "Credits"), format!("5000 left, 1000/month from {next}"));
    assert_eq!(field(&table, "Networks"), "10.0.0.0/8 2001:db8::1/128");

    let (id, _) = server.key(&["--refill", "7/day"]);
    assert_eq!(server.json(&["keys", "get", &id])["apiKey"]["credits"]["remaining"], "7");
    let (id, _) = server.key(&[]);
    let table = server.ok(&["keys", "get", &id]);
    assert_eq!(field(&table, "Rate limit"), "as the keyspace says");
    assert!(!table.contains("Credits") && !table.contains("Networks"), "{table}");
}

#[test]
fn limits_are_changed_and_taken_away() {
    let server = Serving::start();
    let (id, _) = server.key(&["--rate", "1/s", "--refill", "7/day", "--cidr", "::1"]);
    let update = |args: &[&str]| server.json(&[&["keys", "update", &id], args].concat())["apiKey"].clone();

    let key = update(&["--rate", "10/minute", "--rate", "daily=1000/day"]);
    let (rate, credits, cidrs) = limits(&key);
    assert_eq!((&rate["window"], &rate["also"][0]["name"]), (&json!("60s"), &json!("daily")));
    assert_eq!((&credits["remaining"], cidrs), (&json!("7"), &json!(["::1/128"])));

    let credits = |args: &[&str]| update(args)["credits"].clone();
    let changed = credits(&["--credits", "3"]);
    assert_eq!((&changed["remaining"], &changed["refill"]["amount"]), (&json!("3"), &json!("7")));
    let changed = credits(&["--refill", "9/week"]);
    assert_eq!((&changed["remaining"], &changed["refill"]["amount"]), (&json!("3"), &json!("9")));
    let changed = credits(&["--refill", "none"]);
    assert_eq!((&changed["remaining"], changed.get("refill")), (&json!("3"), None));
    let changed = credits(&["--credits", "4", "--refill", "5/month"]);
    assert_eq!((&changed["remaining"], &changed["refill"]["amount"]), (&json!("4"), &json!("5")));
    assert_eq!(credits(&["--credits", "none"]), Value::Null);

    assert_eq!(update(&["--cidr", "192.0.2.0/24"])["allowedCidrs"], json!(["192.0.2.0/24"]));
    let key = update(&["--cidr", "none", "--rate", "none"]);
    assert_eq!(limits(&key), (&Value::Null, &Value::Null, &json!([])));
}

#[test]
fn a_keyspace_has_a_default() {
    let server = Serving::start();
    let table = server.ok(&["keyspaces", "create", "prod", "--default-rate", "5/s", "--default-rate", "9/day"]);
    assert_eq!(field(&table, "Default rate"), "5/s per-day=9/day");
    let update = |args: &[&str]| server.json(&[&["keyspaces", "update", "prod"], args].concat())["keyspace"].clone();
    assert_eq!(update(&["--default-rate", "7/h"])["defaultRateLimit"]["window"], "3600s");
    assert_eq!(update(&["--default-rate", "none"])["defaultRateLimit"], Value::Null);
}

#[test]
fn what_is_no_limit_is_told() {
    let server = Serving::start();
    let create = |args: &[&str]| {
        let create = ["keys", "create", "--name", "n", "--subject", "user_1"];
        server.run(&[&create, args].concat())
    };
    for (args, why) in [
        (["--rate", "100"], "not of the form 100/s"),
        (["--rate", "100/month"], "not of the form 100/s"),
        (["--rate", "none"], "not of the form 100/s"),
        (["--credits", "1.5"], "not a number of credits"),
        (["--credits", "none"], "not a number of credits"),
        (["--refill", "5/hour"], "1000/month"),
    ] {
        let error = create(&args).failed(64);
        assert!(error.contains(why), "{args:?}: {error}");
    }
    for (args, why) in [
        (&["--rate", "2000000/s"][..], "rate_limit.limit: must"),
        (&["--rate", "1/s", "--rate", "1/m", "--rate", "2/m"], "rate_limit.also[1].name: must"),
        (&["--rate", "1/s", "--rate", "A=1/m"], "rate_limit.also[0].name: must"),
        (&["--credits", "9999999999999999"], "credits.remaining: must"),
        (&["--refill", "0/day"], "credits.refill.amount: must"),
        (&["--cidr", "10.0.0.1/8"], "allowed_cidrs[0]: must"),
        (&["--cidr", "none"], "allowed_cidrs[0]: must"),
    ] {
        let error = create(args).failed(1);
        assert!(error.contains(why), "{args:?}: {error}");
    }
    let (id, _) = server.key(&[]);
    for args in [
        ["--rate", "1/s", "--rate", "none"],
        ["--credits", "none", "--refill", "1/day"],
        ["--cidr", "none", "--cidr", "::1"],
    ] {
        let error = server.run(&[&["keys", "update", &id], &args[..]].concat()).failed(64);
        assert!(error.contains(" none goes with"), "{args:?}: {error}");
    }
    server.run(&["keys", "verify", "garbage", "--cost", "-1"]).failed(64);
}

#[test]
fn the_help_shows_the_forms() {
    let help = |args: &[&str]| Ran::from(portcullis().args(args).output().expect("it runs")).ok();
    for args in [["keys", "create", "--help"], ["keys", "update", "--help"]] {
        let help = help(&args);
        for text in ["--rate", "100/s", "--credits", "--refill", "1000/month", "--cidr", "10.0.0.0/8"] {
            assert!(help.contains(text), "{text} in {help}");
        }
    }
    assert!(help(&["keyspaces", "update", "--help"]).contains("--default-rate"));
    assert!(help(&["keys", "verify", "--help"]).contains("--client-ip"));
}

#[test]
fn keys_long_unused_are_found() {
    let server = Serving::start();
    let (id, _) = server.key(&[]);
    // One made just now is not unused for 60 days.
    assert_eq!(server.ok(&["keys", "list", "-q", "--unused-for", "60d"]), "");
    assert_eq!(server.ok(&["keys", "list", "-q", "--unused-since", "2100-01-01"]), format!("{id}\n"));
    server.run(&["keys", "list", "--unused-for", "60d", "--unused-since", "2030-01-01"]).failed(64);
}

#[test]
fn imports_bring_limits() {
    let server = Serving::start();
    let file = server.dir.path().join("keys.csv");
    let csv = "name,subject,plaintext,rate_limit,credits,refill,allowed_cidrs\n\
               n,user_1,acme_live_w8tR2kQz71mVb0Xy,100/s 1000/day,5,10/month,10.0.0.0/8 ::1\n";
    std::fs::write(&file, csv).unwrap();
    let ran = server.run(&["keys", "import", &file.display().to_string(), "-q"]);
    assert_eq!(ran.code, 0, "{ran}");
    let table = server.ok(&["keys", "get", ran.stdout.trim_end()]);
    assert_eq!(field(&table, "Rate limit"), "100/s per-day=1000/day");
    assert!(field(&table, "Credits").starts_with("5 left, 10/month from "), "{table}");
    assert_eq!(field(&table, "Networks"), "10.0.0.0/8 ::1/128");
}

#[test]
fn verdicts_tell_what_is_left() {
    let server = Serving::start();
    let verify = |secret: &str, args: &[&str]| server.run(&[&["keys", "verify", secret], args].concat());

    let (_, secret) = server.key(&["--cidr", "10.0.0.0/8"]);
    assert_eq!(verify(&secret, &["--client-ip", "10.1.2.3"]).code, 0);
    for args in [&[][..], &["--client-ip", "192.0.2.1"]] {
        let ran = verify(&secret, args);
        assert_eq!((ran.code, field(&ran.stdout, "Verdict")), (1, "IP_NOT_ALLOWED"), "{ran}");
    }
    let wrong = verify(&secret, &["--client-ip", "here"]).failed(1);
    assert!(wrong.contains("client_ip"), "{wrong}");

    let (_, secret) = server.key(&["--rate", "daily=2/day"]);
    let first = verify(&secret, &[]).ok();
    assert!(field(&first, "Rate limit").starts_with("daily: 1 left, limit 2, all of it at "), "{first}");
    verify(&secret, &[]).ok();
    let limited = verify(&secret, &[]);
    assert_eq!((limited.code, field(&limited.stdout, "Verdict")), (1, "RATE_LIMITED"), "{limited}");
    assert!(field(&limited.stdout, "Try again").ends_with('Z'), "{limited}");

    let (_, secret) = server.key(&["--credits", "5"]);
    assert_eq!(field(&verify(&secret, &["--cost", "4"]).ok(), "Credits"), "1 left");
    let spent = verify(&secret, &["--cost", "2"]);
    assert_eq!((spent.code, field(&spent.stdout, "Verdict")), (1, "CREDITS_EXHAUSTED"), "{spent}");
    assert_eq!(field(&spent.stdout, "Credits"), "1 left");
    verify(&secret, &["--cost", "0"]).ok();
    assert_eq!(verify(&secret, &["--full", "--cost", "2"]).code, 1);
    verify(&secret, &["--full", "--cost", "1"]).ok();
}
