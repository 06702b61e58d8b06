//! What web pages may do.

use portcullis::config::Flags;

use super::{Backend, Caller, Http, Service};

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
                assert_eq!((answer.status, answer.body.len()), (403, 0), "{origin} {kind}");
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
