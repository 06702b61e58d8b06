//! The Connect protocol's unary calls.

use std::collections::BTreeSet;

use http::Request;
use portcullis::grpc::pb::{Verdict, VerifyRequest, VerifyResponse};
use prost::Message as _;
use serde_json::{Value, json};

use super::{Backend, Caller, Http, Service, check_refused, new_secret};
use crate::service::over_both_stores;
use crate::support::raw::Raw;

over_both_stores![a_keys_life, errors_are_whole];

async fn a_keys_life(backend: Backend) {
    let service = Service::start(backend).await;
    let mut caller = Caller::of(&service).await;
    let claims = json!({"plan": "pro", "seats": 3, "deep": {"list": [1, 2.5, null, true]}});
    let made = caller
        .call(
            "ApiKeyService/CreateApiKey",
            json!({"name": "ü", "subject": "org_7", "scopes": ["a:b"], "claims": claims, "ttl": "3600s",
                   "metadata": {"team": "x"}}),
        )
        .await;
    let (id, secret) = (made["apiKey"]["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    assert_eq!(made["apiKey"]["claims"], claims);
    assert_eq!(made["apiKey"]["state"], "API_KEY_STATE_ACTIVE");

    let verified = caller
        .call("VerificationService/Verify", json!({"key": secret, "required_scopes": ["a:b"], "cost": "1"}))
        .await;
    assert_eq!(
        verified,
        json!({"valid": true, "verdict": "VERDICT_VALID", "keyId": id, "keyspace": "default", "subject": "org_7",
               "scopes": ["a:b"], "claims": claims, "expireTime": made["apiKey"]["expireTime"], "missingScopes": []})
    );
    let both = json!({"requests": [{"key": secret}, {"key": "x"}]});
    let both = caller.call("VerificationService/BatchVerify", both).await;
    assert_eq!((&both["responses"][0]["valid"], &both["responses"][1]["valid"]), (&json!(true), &json!(false)));

    let update = json!({"apiKey": {"id": id, "name": "v"}, "updateMask": "name"});
    assert_eq!(caller.call("ApiKeyService/UpdateApiKey", update).await["apiKey"]["name"], "v");
    let listed = caller.call("ApiKeyService/ListApiKeys", json!({"metadata": {"team": "x"}})).await;
    assert_eq!((&listed["totalSize"], &listed["apiKeys"][0]["id"]), (&json!("1"), &json!(id)));
    let rotated = caller.call("ApiKeyService/RotateApiKey", json!({"id": id, "overlap": "60s"})).await;
    assert_ne!(rotated["secret"], secret);
    caller.call("ApiKeyService/RevokeApiKey", json!({"id": id, "reason": "REVOCATION_REASON_KEY_COMPROMISE"})).await;
    let refused = caller.call("VerificationService/Verify", json!({"key": rotated["secret"]})).await;
    assert_eq!((&refused["valid"], &refused["verdict"]), (&json!(false), &json!("VERDICT_REVOKED")));
    let usage = json!({"granularity": "USAGE_GRANULARITY_TOTAL", "groupBy": "USAGE_GROUP_KEYSPACE"});
    caller.call("UsageService/QueryUsage", usage).await;
    assert_eq!(caller.call("ApiKeyService/DeleteApiKey", json!({"id": id})).await, json!({}));
    let trail = caller.call("AuditService/ListAuditEvents", json!({})).await;
    assert!(trail["auditEvents"].as_array().is_some_and(|events| events.len() >= 5), "{trail}");
    service.stop().await;
}

async fn errors_are_whole(backend: Backend) {
    let service = Service::start(backend).await;
    let mut caller = Caller::of(&service).await;
    let secret = new_secret(&mut caller).await;
    // What is wrong with the fields is said as over gRPC.
    let error = caller.refused("ApiKeyService/CreateApiKey", r#"{"subject": "a b"}"#, (400, "invalid_argument")).await;
    assert_eq!(error["details"][0]["debug"]["reason"], "ERROR_REASON_FIELD_INVALID");
    let violations = error["details"][1]["debug"]["fieldViolations"].as_array().unwrap();
    let fields: BTreeSet<_> = violations.iter().map(|violation| violation["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["name", "subject"].into());
    let verify = "VerificationService/Verify";
    let key = |rest: &str| format!(r#"{{"key": "{secret}"{rest}}}"#);
    // A body that is no such message, or no message: where, and nothing of what stands there.
    for (body, field, says) in [
        (key(r#", "bogus": 1"#), "bogus", "is no field"),
        (key(r#", "requiredScopes": ["a:b", 7]"#), "requiredScopes[1]", "must be a string"),
        (format!(r#"{{"key": ["{secret}"]}}"#), "key", "must be a string"),
        (key(r#", "cost": "many""#), "cost", "whole number of 64 bits"),
        (key(r#", "cost": 9223372036854775808"#), "cost", "whole number of 64 bits"),
        // A slip that would ask for less than is meant, in one spelling or two.
        (key(r#", "requiredScopes": ["admin"], "requiredScopes": []"#), "requiredScopes", "is there twice"),
        (key(r#", "requiredScopes": ["admin"], "required_scopes": []"#), "required_scopes", "is there twice"),
        (key(r#", "key": "x""#), "key", "is there twice"),
        (format!("[\"{secret}\"]"), "", "JSON object"),
        (format!("{{\"key\": \"{secret}"), "", "is none at line 1"),
        (key("} {}").replacen("}}", "}", 1), "", "is none at line 1"),
        (String::new(), "", "is none at line 1"),
        ("null".to_owned(), "", "JSON object"),
        (format!("{}{}", r#"{"a":"#.repeat(200), "}".repeat(200)), "a", "is no field"),
    ] {
        let error = caller.refused(verify, &body, (400, "invalid_argument")).await;
        let violation = &error["details"][1]["debug"]["fieldViolations"][0];
        assert_eq!(violation["field"], field, "{body}: {error}");
        assert!(violation["description"].as_str().unwrap().contains(says), "{body}: {error}");
        assert_eq!(error["details"][0]["debug"]["reason"], "ERROR_REASON_REQUEST_MALFORMED");
        assert!(!error.to_string().contains(&secret), "{body}: {error}");
    }
    let create = "ApiKeyService/CreateApiKey";
    for (body, field, says) in [
        (r#"{"metadata": {"a_b": "1", "aB": "2", "a_b": "3"}}"#, "metadata.a_b", "is there twice"),
        (r#"{"claims": {"deep": [{"x": 1, "x": 2}]}}"#, "claims.deep[0].x", "is there twice"),
        (r#"{"metadata": {"a": 1}}"#, "metadata.a", "must be a string"),
        (r#"{"ttl": "soon"}"#, "ttl", "a duration such as"),
        (r#"{"ttl": "60s", "expireTime": "2030-01-01T00:00:00Z"}"#, "", "exclude each other"),
    ] {
        let error = caller.refused(create, body, (400, "invalid_argument")).await;
        let violation = &error["details"][1]["debug"]["fieldViolations"][0];
        assert_eq!(violation["field"], field, "{body}: {error}");
        assert!(violation["description"].as_str().unwrap().contains(says), "{body}: {error}");
    }
    let claims = r#"{"name": "n", "subject": "u", "claims": {"account_id": 9007199254740993, "of": [{"x": 1234567890123456789}]}}"#;
    let error = caller.refused(create, claims, (400, "invalid_argument")).await;
    let violations = error["details"][1]["debug"]["fieldViolations"].as_array().unwrap();
    let fields: Vec<_> = violations.iter().map(|violation| violation["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["claims.account_id", "claims.of[0].x"], "{error}");
    assert!(violations[0]["description"].as_str().unwrap().contains("as a string"), "{error}");
    let reason = r#"{"id": "key_x", "reason": "BECAUSE"}"#;
    let error = caller.refused("ApiKeyService/RevokeApiKey", reason, (400, "invalid_argument")).await;
    assert!(error["message"].as_str().unwrap().contains("REVOCATION_REASON_SUPERSEDED"), "{error}");
    // What would take far more memory than its text does.
    let zeros = format!(r#"{{"claims": {{"a": [{}0]}}}}"#, "0,".repeat(200_000));
    let error = caller.refused(create, &zeros, (400, "invalid_argument")).await;
    assert!(error["message"].as_str().unwrap().contains("at most 100000"), "{error}");
    let long = format!(r#"{{"metadata": {{"{}": 7}}}}"#, "x".repeat(500_000));
    let error = caller.refused(create, &long, (400, "invalid_argument")).await;
    assert!(error.to_string().len() < 3_000, "{} bytes", error.to_string().len());
    let deep = format!(r#"{{"name": "n", "subject": "u", "claims": {}1{}}}"#, r#"{"a":"#.repeat(200), "}".repeat(200));
    caller.refused("ApiKeyService/CreateApiKey", &deep, (400, "invalid_argument")).await;
    caller.refused("ApiKeyService/GetApiKey", r#"{"id": "key_x"}"#, (404, "not_found")).await;
    caller.refused("KeyspaceService/DeleteKeyspace", r#"{"id": "default"}"#, (400, "failed_precondition")).await;
    service.stop().await;
}

#[tokio::test]
async fn who_is_not_allowed_hears_that_first() {
    let service = Service::start(Backend::Sqlite).await;
    for (credential, body) in [("", "{"), ("Bearer nothing", "{"), ("Basic eA==", "{}")] {
        let mut caller = Caller { http: Http::connect(service.addr).await, credential: credential.to_owned() };
        let answer = caller.send("ApiKeyService/CreateApiKey", &[], body.as_bytes()).await;
        check_refused(credential, &answer, (401, "unauthenticated"));
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    let mut admin = Caller::of(&service).await;
    let root = json!({"keyspace": "system", "name": "reader", "subject": "svc:r", "scopes": ["keys:read"]});
    let reader = admin.call("ApiKeyService/CreateApiKey", root).await["secret"].as_str().unwrap().to_owned();
    let mut reader = Caller { credential: format!("Bearer {reader}"), ..Caller::of(&service).await };
    let nameless = r#"{"name": ""}"#;
    let error = reader.refused("ApiKeyService/CreateApiKey", nameless, (403, "permission_denied")).await;
    assert_eq!(error["details"][0]["debug"]["metadata"]["permission"], "keys:write");
    service.stop().await;
}

#[tokio::test]
async fn binary_and_json_say_the_same() {
    let service = Service::start(Backend::Sqlite).await;
    let mut caller = Caller::of(&service).await;
    let asked = VerifyRequest { key: new_secret(&mut caller).await, ..VerifyRequest::default() };
    let binary = [("content-type", "application/proto")];
    let answer = caller.send("VerificationService/Verify", &binary, &asked.encode_to_vec()).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/proto")));
    let verdict = VerifyResponse::decode(&answer.body[..]).unwrap();
    assert_eq!((verdict.verdict(), verdict.subject.as_str()), (Verdict::Valid, "user_1"));
    // An error is JSON all the same.
    let answer = caller.send("VerificationService/Verify", &binary, &[0xff; 3]).await;
    check_refused("broken", &answer, (400, "invalid_argument"));
    // The empty message is one.
    let answer = caller.send("VerificationService/Verify", &binary, &[]).await;
    assert_eq!(VerifyResponse::decode(&answer.body[..]).unwrap().verdict(), Verdict::Malformed);
    service.stop().await;
}

#[tokio::test]
async fn over_http2_too() {
    let service = Service::start(Backend::Sqlite).await;
    let raw = Raw::connect(service.addr, &service.root_key).await;
    let request =
        Request::post("http://portcullis/grpc.health.v1.Health/Check").header("content-type", "application/json");
    let answer = raw.call(request, vec![b"{}".to_vec().into()], None).await;
    assert_eq!((answer.http_status.as_u16(), &answer.body[..]), (200, &br#"{"status":"SERVING"}"#[..]));
    service.stop().await;
}

#[tokio::test]
async fn what_is_said_around_a_message() {
    let service = Service::start(Backend::Sqlite).await;
    let mut caller = Caller::of(&service).await;
    let verify = "VerificationService/Verify";
    for (header, value) in [
        ("content-type", "Application/JSON; charset=utf-8"),
        ("connect-protocol-version", "1"),
        ("connect-timeout-ms", "60000"),
        ("connect-timeout-ms", "9999999999"),
        ("content-encoding", "identity"),
        ("accept-encoding", "gzip, br"),
    ] {
        let answer = caller.send(verify, &[(header, value)], b"{}").await;
        assert_eq!(answer.status, 200, "{header}: {value}: {answer:?}");
        assert_eq!(answer.json()["verdict"], "VERDICT_MALFORMED");
    }
    for (header, value, refused) in [
        ("connect-protocol-version", "2", (400, "invalid_argument")),
        ("connect-timeout-ms", "soon", (400, "invalid_argument")),
        ("connect-timeout-ms", "", (400, "invalid_argument")),
        ("connect-timeout-ms", "-1", (400, "invalid_argument")),
        ("connect-timeout-ms", "10000000000", (400, "invalid_argument")),
        ("content-encoding", "gzip", (501, "unimplemented")),
    ] {
        let answer = caller.send(verify, &[(header, value)], b"{}").await;
        check_refused(header, &answer, refused);
    }
    for (method, path, kind, expected) in [
        ("GET", "/portcullis.v1.VerificationService/Verify?message=%7B%7D&encoding=json", "application/json", 405),
        ("PUT", "/portcullis.v1.VerificationService/Verify", "application/json", 405),
        ("OPTIONS", "/portcullis.v1.VerificationService/Verify", "application/json", 405),
        ("POST", "/portcullis.v1.VerificationService/Verify", "text/plain", 415),
        ("POST", "/portcullis.v1.VerificationService/Verify", "application/json; charset=latin1", 415),
        ("POST", "/portcullis.v1.VerificationService/Verify", "application/connect+json", 415),
        ("POST", "/portcullis.v1.VerificationService/Verify", "application/x-www-form-urlencoded", 415),
        ("POST", "/portcullis.v1.VerificationService/Verify", "application/grpc", 505),
        ("POST", "/portcullis.v1.VerificationService/Verify", "application/grpc+json", 415),
    ] {
        let answer = caller.http.call(method, path, &[("content-type", kind)], b"{}").await;
        let error = check_refused(path, &answer, (expected, "unimplemented"));
        let message = error["message"].as_str().unwrap();
        let (name, value, named, remedy) = match expected {
            405 => ("allow", "POST", method, "send POST"),
            415 => ("accept-post", "application/json", kind, "send application/json"),
            _ => ("accept-post", "application/json", "HTTP/2", "application/grpc-web"),
        };
        assert!(answer.header(name).is_some_and(|said| said.starts_with(value)), "{answer:?}");
        assert!(message.contains(named) && message.contains(remedy), "{message}");
    }
    let answer = caller.http.call("POST", "/portcullis.v1.VerificationService/Verify", &[], b"{}").await;
    assert_eq!(
        check_refused("", &answer, (415, "unimplemented"))["message"].as_str().unwrap().find("no content-type"),
        Some(9)
    );
    for kind in ["application/json", "text/plain"] {
        for path in ["/portcullis.v1.VerificationService", "/portcullis.v1.Nothing/Verify", "/grpc.health.v1.Health/"] {
            let answer = caller.http.call("POST", path, &[("content-type", kind)], b"{}").await;
            let error = check_refused(path, &answer, (404, "unimplemented"));
            assert!(error["message"].as_str().unwrap().contains(path), "{error}");
        }
    }
    caller.refused("VerificationService/VerifyStream", "{}", (501, "unimplemented")).await;
    service.stop().await;
}

#[tokio::test]
async fn what_is_at_no_path_of_grpc_is_told_so() {
    let service = Service::start(Backend::Sqlite).await;
    let mut http = Http::connect(service.addr).await;
    for (method, path, status, code) in [
        ("GET", "/v1/api_keys?key=x", 404, "not_found"),
        ("POST", "/portcullis/none", 404, "not_found"),
        ("GET", "/favicon.ico", 404, "not_found"),
        ("POST", "//", 404, "not_found"),
        ("POST", "/", 405, "method_not_allowed"),
    ] {
        for kind in ["application/json", "text/html"] {
            let answer = http.call(method, path, &[("content-type", kind)], b"").await;
            assert_eq!((answer.status, answer.header("content-type")), (status, Some("application/json")), "{path}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
            let error = &answer.json()["errors"][0];
            assert_eq!(error["code"], code, "{path}");
            assert!(!error["message"].as_str().unwrap().is_empty());
            let told = error["long_message"].as_str().unwrap();
            let path = path.split('?').next().unwrap();
            assert!(told.contains(&format!("{method} {path}")) || told.contains("send GET"), "{told}");
        }
    }
    for method in ["GET", "HEAD"] {
        let page = http.call(method, "/", &[], b"").await;
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
        let text = String::from_utf8(page.body).unwrap();
        assert_eq!(text.contains("<h1>Portcullis</h1>"), method == "GET");
        assert!(!text.contains("src=") && !text.contains("href="), "it loads nothing");
    }
    service.stop().await;
}

/// An import answers each entry on its own, with an error that has details of types that the JSON must know.
#[tokio::test]
async fn errors_within_an_answer_are_json_too() {
    let service = Service::start(Backend::Sqlite).await;
    let mut caller = Caller::of(&service).await;
    let entries = json!({"entries": [{"name": "", "subject": "user_1", "plaintext": "abc"}]});
    let answer = caller.call("ApiKeyService/ImportApiKeys", entries).await;
    let error: &Value = &answer["results"][0]["status"];
    assert_eq!(error["code"], 3, "{answer}");
    assert_eq!(error["details"][0]["@type"], "type.googleapis.com/google.rpc.ErrorInfo", "{answer}");
    service.stop().await;
}
