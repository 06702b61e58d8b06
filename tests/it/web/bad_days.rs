//! Callers over HTTP that are slow, broken or hostile.

use serde_json::json;

use super::{Backend, Caller, Http, Service, check_refused, new_secret};

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let service = Service::start(Backend::Sqlite).await;
    let mut caller = Caller::of(&service).await;
    let verify = "VerificationService/Verify";
    // As JSON and as the message that it is, each has its end.
    for (method, len) in
        [(verify, 1024 * 1024 + 1), (verify, 3 * 1024 * 1024), ("../grpc.health.v1.Health/Check", 16 * 1024)]
    {
        let body = json!({"key": "x".repeat(len)}).to_string();
        let path = format!("/portcullis.v1.{method}").replace("/portcullis.v1.../", "/");
        let credential = caller.credential.clone();
        let headers = [("authorization", credential.as_str()), ("content-type", "application/json")];
        let answer = caller.http.call("POST", &path, &headers, body.as_bytes()).await;
        check_refused("too large", &answer, (429, "resource_exhausted"));
        caller = Caller::of(&service).await;
    }
    let answer = caller.call(verify, json!({"key": "x".repeat(1024 * 1024 - 100)})).await;
    assert_eq!(answer["verdict"], "VERDICT_MALFORMED");
    // A head without end.
    let mut http = Http::connect(service.addr).await;
    http.send(format!("POST / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(100 * 1024)).as_bytes()).await;
    assert_eq!(http.hear().await.status, 431);
    assert!(http.is_closed().await);
    service.stop().await;
}

#[tokio::test]
async fn what_is_no_http_is_sent_away() {
    let service = Service::start(Backend::Sqlite).await;
    for sent in ["hello\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}", "PRI * HTTP/3.0\r\n\r\n"]
    {
        let mut http = Http::connect(service.addr).await;
        http.send(sent.as_bytes()).await;
        assert_eq!(http.hear().await.status, 400, "{sent:?}");
        assert!(http.is_closed().await);
    }
    // Two lengths are how one server is made to see another request than the next (RFC 9112, 6.3).
    let mut http = Http::connect(service.addr).await;
    http.send(b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab").await;
    assert_eq!(http.hear().await.status, 400);
    service.stop().await;
}

#[tokio::test]
async fn a_deadline_ends_a_call() {
    let service = Service::start(Backend::Sqlite).await;
    let mut caller = Caller::of(&service).await;
    // The head alone: the message never comes.
    let head = format!(
        "POST /portcullis.v1.VerificationService/Verify HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\ncontent-type: \
         application/json\r\nconnect-timeout-ms: 100\r\ncontent-length: 1000\r\n\r\n",
        caller.credential
    );
    caller.http.send(head.as_bytes()).await;
    let answer = caller.http.hear().await;
    let error = check_refused("no time", &answer, (504, "deadline_exceeded"));
    assert_eq!(error["details"][0]["debug"]["reason"], "ERROR_REASON_DEADLINE_EXCEEDED");
    service.stop().await;
}

#[tokio::test]
async fn many_calls_on_a_connection_and_at_once() {
    let service = Service::start(Backend::Sqlite).await;
    let mut caller = Caller::of(&service).await;
    let secret = new_secret(&mut caller).await;
    let asked = json!({"key": secret}).to_string();
    let one = format!(
        "POST /portcullis.v1.VerificationService/Verify HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\ncontent-type: \
         application/json\r\ncontent-length: {}\r\n\r\n{asked}",
        caller.credential,
        asked.len()
    );
    // Sent before any is answered, they are answered in order.
    caller.http.send(one.repeat(50).as_bytes()).await;
    for _ in 0..50 {
        assert_eq!(caller.http.hear().await.json()["valid"], true);
    }
    // In pieces of a byte.
    for byte in one.as_bytes() {
        caller.http.send(&[*byte]).await;
    }
    assert_eq!(caller.http.hear().await.json()["valid"], true);
    service.stop().await;
}

/// What is answered before the body has come must reach a client that sends its body out before it listens.
#[tokio::test]
async fn a_refusal_reaches_who_is_still_sending() {
    let service = Service::start(Backend::Sqlite).await;
    for (kind, expected) in
        [("application/json", 401), ("application/proto", 401), ("text/plain", 415), ("application/grpc-web", 200)]
    {
        let mut http = Http::connect(service.addr).await;
        let head = format!(
            "POST /portcullis.v1.VerificationService/Verify HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\ncontent-length: \
             900000\r\n\r\n"
        );
        http.send(head.as_bytes()).await;
        for _ in 0..90 {
            // As slowly as it takes for the server to have made up its mind.
            tokio::task::yield_now().await;
            http.send(&[b'x'; 10_000]).await;
        }
        let answer = http.hear().await;
        assert_eq!(answer.status, expected, "{kind}");
        // And the connection goes on.
        let answer =
            http.call("POST", "/grpc.health.v1.Health/Check", &[("content-type", "application/json")], b"{}").await;
        assert_eq!(answer.status, 200, "{kind}");
    }
    // Who waits to be told to go on is told no instead.
    let mut http = Http::connect(service.addr).await;
    let head = "POST /portcullis.v1.VerificationService/Verify HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: \
                100-continue\r\ncontent-length: 900000\r\n\r\n";
    http.send(head.as_bytes()).await;
    assert_eq!(http.hear().await.status, 401);
    service.stop().await;
}
