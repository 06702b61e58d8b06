//! `audit`

use serde_json::Value;

use super::program::{Serving, text};

#[test]
fn the_trail_tells_who_did_what() {
    let server = Serving::start();
    let (id, secret) = server.key(&["--scope", "a"]);
    server.ok(&["keys", "update", &id, "--clear-scopes"]);
    server.ok(&["keys", "revoke", &id]);

    let list = |args: &[&str]| server.json(&[&["audit"], args].concat())["auditEvents"].clone();
    let actions = |events: &Value| -> Vec<String> {
        events.as_array().unwrap().iter().map(|event| text(&event["action"])).collect()
    };
    let events = list(&["--key-id", &id]);
    assert_eq!(actions(&events), ["RevokeApiKey", "UpdateApiKey", "CreateApiKey"]);
    let actor = text(&events[0]["actor"]);
    assert_eq!(actions(&list(&["--actor", &actor, "--keyspace", "default"])).len(), 3);
    assert_eq!(actions(&list(&["--key-id", &id, "--page-size", "1", "--all"])).len(), 3);
    let page = server.json_page(&["audit", "--key-id", &id, "--page-size", "1"]);
    assert_eq!(actions(&page["auditEvents"]).len(), 1);
    assert_eq!(actions(&list(&["--end-time", "2000-01-01"])).len(), 0);
    assert_eq!(actions(&list(&["--key-id", &id, "--start-time", "2000-01-01T00:00:00Z"])).len(), 3);

    assert_eq!(actions(&list(&["--key-id", &id, "--since", "1d"])).len(), 3);
    assert_eq!(actions(&list(&["--key-id", &id, "--action", "RevokeApiKey"])), ["RevokeApiKey"]);
    for (mistyped, why) in [
        (["--keyspace", "prdo"], "no such keyspace"),
        (["--key-id", "key_01JDXW5Z3N8Q4T7R2M6K9P0ABC"], "no such key"),
        (["--actor", "bootstrp"], "no such key"),
        (["--action", "Revoke"], "RevokeApiKey, RotateApiKey"),
    ] {
        let error = server.run(&[&["audit"][..], &mistyped].concat()).failed(1);
        assert!(error.contains(why), "{error}");
    }

    let table = server.ok(&["audit", "--key-id", &id]);
    assert!(table.starts_with("TIME ") && table.lines().count() == 4 && table.contains(r#"{"scopes":[]}"#), "{table}");
    assert!(!table.contains(&secret), "{table}");
    assert_eq!(server.ok(&["audit", "--end-time", "2000-01-01"]), "no events\n");
    assert_eq!(server.ok(&["audit", "--key-id", &id, "-q"]).lines().count(), 3);
}
