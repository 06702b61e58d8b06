//! `keyspaces …`

use serde_json::json;

use super::program::{Serving, field};

#[test]
fn a_keyspace_is_made_shown_changed_and_deleted() {
    let server = Serving::start();
    let table = server.ok(&[
        "keyspaces",
        "create",
        "prod",
        "--display-name",
        "Production",
        "--key-prefix",
        "ak_live",
        "--allowed-subject-type",
        "user",
        "--default-ttl",
        "30d",
        "--max-ttl",
        "90d",
        "--hash-policy",
        "argon2id",
    ]);
    assert_eq!(field(&table, "ID"), "prod");
    assert_eq!(field(&table, "Key prefix"), "ak_live");
    assert_eq!(field(&table, "Hash policy"), "ARGON2ID");
    assert_eq!(field(&table, "Wildcards"), "refused");

    let keyspace = &server.json(&["keyspaces", "get", "prod"])["keyspace"];
    assert_eq!(keyspace["defaultTtl"], "2592000s");
    assert_eq!(keyspace["allowedSubjectTypes"], json!(["user"]));
    assert_eq!(server.json(&["keyspaces", "create", "test"])["keyspace"]["keyPrefix"], "ak");

    let changed = server.json(&[
        "keyspaces",
        "update",
        "prod",
        "--any-subject-type",
        "--no-default-ttl",
        "--allow-wildcard-scopes",
        "--hash-policy",
        "sha256",
    ]);
    let changed = &changed["keyspace"];
    assert_eq!((&changed["allowedSubjectTypes"], &changed["displayName"]), (&json!([]), &json!("Production")));
    assert_eq!((&changed["allowWildcardScopes"], &changed["hashPolicy"]), (&json!(true), &json!("HASH_POLICY_SHA256")));
    assert!(changed.get("defaultTtl").is_none() && changed["maxTtl"] == "7776000s", "{changed}");
    server.run(&["keyspaces", "update", "prod"]).failed(64);

    let list = server.ok(&["keyspaces", "list"]);
    assert!(list.starts_with("ID ") && list.contains("\nprod ") && list.contains("\nsystem "), "{list}");
    assert_eq!(server.ok(&["keyspaces", "list", "-q"]), "default\nprod\nsystem\ntest\n");
    assert_eq!(server.ok(&["keyspaces", "list", "-q", "--all", "--page-size", "1"]), "default\nprod\nsystem\ntest\n");
    assert_eq!(server.json_page(&["keyspaces", "list", "--page-size", "1"])["keyspaces"].as_array().unwrap().len(), 1);

    assert_eq!(server.ok(&["keyspaces", "delete", "test"]), "deleted\n");
    assert_eq!(server.json(&["keyspaces", "delete", "prod"]), json!({}));
    let error = server.run(&["keyspaces", "delete", "default"]).failed(1);
    assert!(error.starts_with("error: FAILED_PRECONDITION: "), "{error}");
}
