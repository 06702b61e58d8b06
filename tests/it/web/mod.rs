//! Calls by who does not speak gRPC: JSON over HTTP/1.1 and HTTP/2, gRPC-Web, and what a browser asks first.

use serde_json::{Value, json};

use crate::support::backend::Backend;
use crate::support::http::{Answer, Http};
use crate::support::service::Service;

mod bad_days;
mod connections;
mod grpc_web;
mod json;
mod origins;

/// A caller in JSON.
struct Caller {
    http: Http,
    credential: String,
}

impl Caller {
    async fn of(service: &Service) -> Self {
        let credential = format!("Bearer {}", service.root_key);
        Self { http: Http::connect(service.addr).await, credential }
    }

    /// Whatever is answered.
    async fn send(&mut self, method: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let path = format!("/portcullis.v1.{method}");
        let mut all = vec![("authorization", self.credential.as_str())];
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            all.push(("content-type", "application/json"));
        }
        all.extend(headers);
        self.http.call("POST", &path, &all, body).await
    }

    /// The answer, which must be one.
    async fn call(&mut self, method: &str, message: Value) -> Value {
        let answer = self.send(method, &[], message.to_string().as_bytes()).await;
        assert_eq!(answer.status, 200, "{method}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{method}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{method}");
        answer.json()
    }

    /// The error, which must be one.
    async fn refused(&mut self, method: &str, body: &str, (http, code): (u16, &str)) -> Value {
        let answer = self.send(method, &[], body.as_bytes()).await;
        check_refused(method, &answer, (http, code))
    }
}

/// Checks the form of an error; its JSON.
#[track_caller]
fn check_refused(what: &str, answer: &Answer, (http, code): (u16, &str)) -> Value {
    assert_eq!(answer.status, http, "{what}: {answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
    let error = answer.json();
    assert_eq!(error["code"], code, "{what}: {error}");
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{what}: {error}");
    assert_eq!(error["details"][0]["type"], "google.rpc.ErrorInfo", "{what}: {error}");
    assert_eq!(error["details"][0]["debug"]["domain"], "portcullis.v1", "{what}: {error}");
    error
}

/// A new key's secret.
async fn new_secret(caller: &mut Caller) -> String {
    let made = caller.call("ApiKeyService/CreateApiKey", json!({"name": "n", "subject": "user_1", "scopes": ["a:b"]}));
    made.await["secret"].as_str().expect("a secret").to_owned()
}
