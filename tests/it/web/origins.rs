//! What web pages may do.

use http::Request;
use portcullis::config::{AdmissionFlags, Flags};

use super::{Backend, Caller, Http, Service, check_refused};
use crate::support::raw::Raw;

const CONSOLE: &str = "https://console.example.com";

#[tokio::test]
async fn a_page_may_call_if_its_origin_is_named() {
    let named = Flags { cors_origins: Some(format!("http://localhost:3000, {CONSOLE}")), ..Flags::default() };
    let service = Service::start_set(Backend::Sqlite, named).await;
    let mut caller = Caller::of(&service).await;
    let verify = "/portcullis.v1.VerificationService/Verify";
    let ask = [
        ("origin", CONSOLE),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type,connect-protocol-version"),
    ];
    let allowed = caller.http.call("OPTIONS", verify, &ask, b"").await;
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.header("access-control-allow-origin"), Some(CONSOLE));
    assert_eq!(allowed.header("access-control-allow-methods"), Some("POST"));
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    let headers = allowed.header("access-control-allow-headers").unwrap();
    assert!(["authorization", "content-type", "x-grpc-web"].iter().all(|name| headers.contains(name)), "{headers}");

    let answer = caller.send("VerificationService/Verify", &[("origin", CONSOLE)], b"{}").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some(CONSOLE)));
    assert_eq!(answer.header("vary").map(str::to_lowercase).as_deref(), Some("origin"));
    service.stop().await;
}

/// A page that may call can read why it was refused, wherever that was found.
#[tokio::test]
async fn a_page_can_read_each_refusal() {
    let named = Flags {
        cors_origins: Some(CONSOLE.to_owned()),
        admission: AdmissionFlags { caller_calls_per_second: Some("1".to_owned()), ..AdmissionFlags::default() },
        ..Flags::default()
    };
    let service = Service::start_set(Backend::Sqlite, named).await;
    let mut caller = Caller::of(&service).await;
    let too_large = vec![b' '; 1024 * 1024 + 1];
    let page = [("origin", CONSOLE)];
    let [json, text, web] = ["application/json", "text/plain", "application/grpc-web"]
        .map(|kind| [("origin", CONSOLE), ("content-type", kind)]);
    for (what, method, headers, body, status) in [
        ("too large", "VerificationService/Verify", &json, &too_large[..], 429),
        ("too large over gRPC-Web", "VerificationService/Verify", &web, &too_large.repeat(2)[..], 200),
        ("no such method", "VerificationService/None", &json, b"{}", 404),
        ("content type", "VerificationService/Verify", &text, b"{}", 415),
        ("no JSON", "VerificationService/Verify", &json, b"{", 400),
    ] {
        let answer = caller.send(method, headers, body).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (status, Some(CONSOLE)), "{what}");
        caller = Caller::of(&service).await;
    }
    // Refused by budget, before anything is read.
    let mut limited = caller.send("ApiKeyService/ListApiKeys", &json, b"{}").await;
    for _ in 0..100 {
        if limited.status == 429 {
            break;
        }
        limited = caller.send("ApiKeyService/ListApiKeys", &json, b"{}").await;
    }
    assert_eq!((limited.status, limited.header("access-control-allow-origin")), (429, Some(CONSOLE)));
    for (method, path) in [("GET", "/"), ("GET", "/none"), ("PUT", "/portcullis.v1.VerificationService/Verify")] {
        let answer = caller.http.call(method, path, &page, b"").await;
        assert_eq!(answer.header("access-control-allow-origin"), Some(CONSOLE), "{method} {path}");
    }
    // Too many fields: refused before the path is looked at.
    let raw = Raw::connect(service.addr, &service.root_key).await;
    let mut request =
        Request::post("http://portcullis/portcullis.v1.VerificationService/Verify").header("origin", CONSOLE);
    for n in 0..100 {
        request = request.header(format!("x-{n}"), "y");
    }
    let answer = raw.call(request, vec![b"{}".to_vec().into()], None).await;
    assert_eq!(answer.http_status, 431);
    assert_eq!(answer.headers.get("access-control-allow-origin").unwrap(), CONSOLE);
    assert!(String::from_utf8_lossy(&answer.body).contains("too many fields"), "{:?}", answer.body);
    service.stop().await;
}

#[tokio::test]
async fn no_other_page_may() {
    for named in [None, Some(CONSOLE.to_owned())] {
        let service = Service::start_set(Backend::Sqlite, Flags { cors_origins: named, ..Flags::default() }).await;
        let mut caller = Caller::of(&service).await;
        for origin in
            ["https://evil.example", "null", "https://console.example.com.evil.example", "HTTPS://CONSOLE.EXAMPLE.COM"]
        {
            for kind in ["application/json", "application/proto", "application/grpc-web+proto"] {
                let headers = [("origin", origin), ("content-type", kind)];
                let answer = caller.send("VerificationService/Verify", &headers, b"{}").await;
                let error = check_refused(kind, &answer, (403, "permission_denied"));
                let message = error["message"].as_str().unwrap();
                assert!(message.contains(origin) && message.contains("--cors-origins"), "{message}");
                assert_eq!(answer.header("access-control-allow-origin"), None);
            }
            let ask = [("origin", origin), ("access-control-request-method", "POST")];
            let asked = caller.http.call("OPTIONS", "/portcullis.v1.VerificationService/Verify", &ask, b"").await;
            assert_eq!((asked.status, asked.header("access-control-allow-origin")), (403, None), "{origin}");
        }
        // Said twice, nobody knows which is meant.
        let twice = [("origin", CONSOLE), ("origin", CONSOLE), ("content-type", "application/json")];
        let mut http = Http::connect(service.addr).await;
        let answer = http.call("POST", "/grpc.health.v1.Health/Check", &twice, b"{}").await;
        assert_eq!(answer.status, 403);
        service.stop().await;
    }
}
