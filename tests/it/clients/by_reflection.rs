//! The service through `buf curl`, which has no schema but what reflection tells it: as with grpcurl, by hand.

use std::process::Command;
use std::slice;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use prost_reflect::DynamicMessage;
use serde_json::{Value, json};

use super::{Backend, check, run, search_path, tool};
use crate::readme;
use crate::service::over_both_stores;
use crate::support::reflection::descriptors_of;
use crate::support::service::{Service, new_key};

over_both_stores![a_keys_life, error_details_can_be_read];

/// `buf curl`, to be told what to do.
fn command() -> Command {
    let mut curl = tool("buf");
    curl.args(["curl", "--protocol", "grpc", "--http2-prior-knowledge"]);
    curl
}

/// A caller by `buf curl`.
struct Curl<'a> {
    service: &'a Service,
    root_key: &'a str,
}

impl<'a> Curl<'a> {
    fn new(service: &'a Service) -> Self {
        Self { service, root_key: &service.root_key }
    }

    /// The answer as JSON, or what is printed of an error.
    async fn try_call(&self, method: &str, message: &Value) -> Result<Value, Value> {
        let mut curl = command();
        // Always the first root key: the call is what may be refused.
        curl.args(["--reflect-header", &format!("authorization: Bearer {}", self.service.root_key)]);
        curl.args(["--header", &format!("authorization: Bearer {}", self.root_key), "--data", &message.to_string()]);
        curl.arg(format!("http://{}/portcullis.v1.{method}", self.service.addr));
        let output = run(curl).await;
        let json = |bytes: &[u8]| {
            serde_json::from_slice(bytes).unwrap_or_else(|_| panic!("{method}: {}", String::from_utf8_lossy(bytes)))
        };
        if output.status.success() { Ok(json(&output.stdout)) } else { Err(json(&output.stderr)) }
    }

    async fn call(&self, method: &str, message: Value) -> Value {
        self.try_call(method, &message).await.unwrap_or_else(|error| panic!("{method} of {message}: {error}"))
    }

    async fn refused(&self, method: &str, message: Value) -> Value {
        self.try_call(method, &message).await.expect_err("an error")
    }

    /// Checks the verdict on a key; the whole answer.
    async fn verdict(&self, secret: &Value, scopes: &[&str], expect: &str) -> Value {
        let asked = json!({ "key": secret, "requiredScopes": scopes });
        let answer = self.call("VerificationService/Verify", asked).await;
        assert_eq!(answer["verdict"], format!("VERDICT_{expect}"), "{answer}");
        // ProtoJSON leaves out what is false.
        assert_eq!(answer.get("valid").is_some(), expect == "VALID", "{answer}");
        answer
    }

    async fn ids(&self, filter: Value) -> Vec<Value> {
        let listed = self.call("ApiKeyService/ListApiKeys", filter).await;
        let keys = listed.get("apiKeys").and_then(Value::as_array).cloned().unwrap_or_default();
        keys.into_iter().map(|key| key["id"].clone()).collect()
    }
}

async fn a_keys_life(backend: Backend) {
    let service = Service::start(backend).await;
    let curl = Curl::new(&service);
    let mut list = command();
    list.args(["--reflect-header", &format!("authorization: Bearer {}", service.root_key)]);
    list.arg("--list-methods").arg(format!("http://{}", service.addr));
    let listed = run(list).await;
    check("--list-methods", &listed);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("portcullis.v1.ApiKeyService/CreateApiKey\n"));

    let name = "cle\u{301} 👨‍👩‍👧 مفتاح";
    let request = json!({
        "name": name,
        "subject": "user_1",
        "scopes": ["orders:read", "orders:write"],
        "claims": { "plan": "pro", "seats": 3 },
        "metadata": { "team": "a" },
        "ttl": "3600s",
    });
    let made = curl.call("ApiKeyService/CreateApiKey", request).await;
    let (id, first) = (&made["apiKey"]["id"], &made["secret"]);
    assert_eq!(made["apiKey"]["name"], name);
    assert_eq!(made["apiKey"]["state"], "API_KEY_STATE_ACTIVE");
    assert_eq!(made["apiKey"]["claims"], json!({ "plan": "pro", "seats": 3 }));
    let second = json!({ "name": "another", "subject": "org_2", "metadata": { "team": "b" } });
    curl.call("ApiKeyService/CreateApiKey", second).await;
    assert_eq!(curl.ids(json!({})).await.len(), 2);
    assert_eq!(curl.ids(json!({ "metadata": { "team": "a" } })).await, slice::from_ref(id));
    assert_eq!(curl.ids(json!({ "query": "CLE\u{301}" })).await, slice::from_ref(id));
    assert_eq!(curl.ids(json!({ "subject": "user_7" })).await, [json!(null); 0]);

    let answer = curl.verdict(first, &["orders:write"], "VALID").await;
    let expect = json!({
        "valid": true,
        "verdict": "VERDICT_VALID",
        "keyId": id,
        "keyspace": "default",
        "subject": "user_1",
        "scopes": ["orders:read", "orders:write"],
        "claims": { "plan": "pro", "seats": 3 },
        "expireTime": made["apiKey"]["expireTime"],
    });
    assert_eq!(answer, expect);

    let update = json!({ "apiKey": { "id": id, "scopes": ["orders:read"] }, "updateMask": "scopes" });
    let updated = curl.call("ApiKeyService/UpdateApiKey", update).await;
    assert_eq!((&updated["apiKey"]["scopes"], &updated["apiKey"]["name"]), (&json!(["orders:read"]), &json!(name)));
    curl.verdict(first, &["orders:read"], "VALID").await;
    let answer = curl.verdict(first, &["orders:read", "orders:write"], "INSUFFICIENT_SCOPE").await;
    assert_eq!(answer["missingScopes"], json!(["orders:write"]));

    let rotated = curl.call("ApiKeyService/RotateApiKey", json!({ "id": id, "overlap": "600s" })).await;
    assert_eq!(rotated["apiKey"]["id"], *id);
    assert_eq!(rotated["apiKey"]["secrets"][1]["expireTime"], rotated["previousSecretExpireTime"]);
    for secret in [first, &rotated["secret"]] {
        assert_eq!(curl.verdict(secret, &[], "VALID").await["keyId"], *id);
    }

    let revoke = json!({ "id": id, "reason": "REVOCATION_REASON_SUPERSEDED" });
    let revoked = curl.call("ApiKeyService/RevokeApiKey", revoke).await;
    assert_eq!(revoked["apiKey"]["state"], "API_KEY_STATE_REVOKED");
    for secret in [first, &rotated["secret"]] {
        curl.verdict(secret, &[], "REVOKED").await;
    }
    let error = curl.refused("ApiKeyService/RotateApiKey", json!({ "id": id })).await;
    assert_eq!((&error["code"], &error["message"]), (&json!("failed_precondition"), &json!("the key is revoked")));

    assert_eq!(curl.call("ApiKeyService/DeleteApiKey", json!({ "id": id })).await, json!({}));
    curl.verdict(first, &[], "NOT_FOUND").await;
    let error = curl.refused("ApiKeyService/GetApiKey", json!({ "id": id })).await;
    assert_eq!(error["code"], "not_found");
    let events = curl.call("AuditService/ListAuditEvents", json!({ "keyId": id })).await;
    assert_eq!(events["auditEvents"][0]["action"], "DeleteApiKey");
    service.stop().await;
}

/// `buf curl` prints details as base64 whatever the server tells, so they are read here as grpcurl reads them: with
/// the descriptors that reflection gives.
async fn error_details_can_be_read(backend: Backend) {
    let service = Service::start(backend).await;
    let curl = Curl::new(&service);
    let error = curl.refused("ApiKeyService/CreateApiKey", json!({ "name": " x", "subject": "no spaces" })).await;
    assert_eq!(error["code"], "invalid_argument");
    let info = json!({ "reason": "ERROR_REASON_FIELD_INVALID", "domain": "portcullis.v1" });
    let bad = json!({ "fieldViolations": [
        { "field": "name", "description": "must not start or end with white space; is \" x\"" },
        { "field": "subject", "description": "must have 1 to 128 characters of [A-Za-z0-9_.:@/-]; is \"no spaces\"" },
    ] });
    let expect = [json!(["google.rpc.ErrorInfo", info]), json!(["google.rpc.BadRequest", bad])];
    assert_eq!(details(&service, &error).await, expect);

    let stranger = Curl { service: &service, root_key: "nobody's" };
    let error = stranger.refused("VerificationService/Verify", json!({ "key": "x" })).await;
    assert_eq!(error["code"], "unauthenticated");
    let info = json!({ "reason": "ERROR_REASON_CREDENTIAL_INVALID", "domain": "portcullis.v1" });
    assert_eq!(details(&service, &error).await, [json!(["google.rpc.ErrorInfo", info])]);
    service.stop().await;
}

/// The details of an error by name, as JSON.
async fn details(service: &Service, error: &Value) -> Vec<Value> {
    let mut read = Vec::new();
    for detail in error["details"].as_array().expect("details") {
        let name = detail["type"].as_str().expect("a type");
        let bytes = STANDARD_NO_PAD.decode(detail["value"].as_str().expect("a value")).expect("base64");
        let pool = descriptors_of(service, name).await;
        let descriptor = pool.get_message_by_name(name).expect("it was asked for");
        let message = DynamicMessage::decode(descriptor, &bytes[..]).expect("such a message");
        read.push(json!([name, message]));
    }
    read
}

#[tokio::test]
async fn the_lines_in_the_readme_work() {
    let service = Service::start(Backend::Sqlite).await;
    let lines = readme::block("sh", "buf curl").replace(readme::ADDR, &service.addr.to_string());
    let (_, key) = service.admin().create(new_key("k")).await;
    let mut shell = Command::new("sh");
    shell.args(["-euc", &lines]).env_clear().env("PATH", search_path());
    shell.env("PORTCULLIS_ROOT_KEY", &service.root_key).env("KEY", key);
    let output = run(shell).await;
    check("the README's lines", &output);
    assert!(String::from_utf8_lossy(&output.stdout).contains("VERDICT_VALID"));
    service.stop().await;
}
