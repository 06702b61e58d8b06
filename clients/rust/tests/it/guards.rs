//! The guards before services that the tests play.

use std::convert::Infallible;
use std::net::IpAddr;

use http::{HeaderMap, Request, Response};
use portcullis_client::Client;
use portcullis_client::guard::{GrpcGuard, Guard, HttpGuard, Identity, Reason, Rule};
use portcullis_client::pb::{RateLimitStatus, VerifyResponse};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::played::{Act, Played};

const KEY: &str = "ak_s3cret";

fn headers() -> HeaderMap {
    HeaderMap::from_iter([(http::header::AUTHORIZATION, format!("Bearer {KEY}").parse().unwrap())])
}

#[tokio::test]
async fn only_an_outage_opens_and_only_by_demand() {
    for code in (1..=16).map(Code::from) {
        let server = Played::start(move |_| Act::Error(code)).await;
        let guard = Guard::new(&server.client());
        let refusal = guard.check(&Rule::new("default"), &headers(), None).await.unwrap_err();
        assert_eq!(refusal.reason(), Reason::Unavailable, "{code}");

        let open = guard.dangerously_allow_when_unavailable(true).check(&Rule::new("default"), &headers(), None).await;
        // A deadline is one only while Portcullis is not ready.
        assert_eq!(open.is_ok(), code == Code::Unavailable, "{code}");
        if let Ok(identity) = open {
            assert!(!identity.authenticated && identity.subject.is_none());
        }
    }
}

#[tokio::test]
async fn a_request_costs_one_call_and_one_without_a_key_none() {
    let server = Played::start(|_| Act::valid()).await;
    let guard = Guard::new(&server.client());
    let refusal = guard.check(&Rule::new("default"), &HeaderMap::new(), None).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::MissingKey);
    assert_eq!(server.calls().len(), 0);
    assert!(guard.check(&Rule::new("default"), &headers(), None).await.unwrap().authenticated);
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn a_verdict_without_valid_denies() {
    let verdict = VerifyResponse { verdict: 1, subject: "user_1".to_owned(), ..VerifyResponse::default() };
    let server = Played::start(move |_| Act::Verdict(verdict.clone())).await;
    let refusal = Guard::new(&server.client()).check(&Rule::new("default"), &headers(), None).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::Denied);
}

async fn refuse_http(verdict: VerifyResponse) -> Response<String> {
    let server = Played::start(move |_| Act::Verdict(verdict.clone())).await;
    let guard = HttpGuard::new(&server.client(), Rule::new("default")).realm("orders \"beta\"");
    let inner = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(String::new())) });
    let mut request = Request::new(());
    *request.headers_mut() = headers();
    guard.layer(inner).oneshot(request).await.unwrap()
}

#[tokio::test]
async fn a_refusal_is_a_challenge() {
    let missing_scopes = vec!["orders:read".to_owned(), "orders:write".to_owned()];
    let answer = refuse_http(VerifyResponse { verdict: 8, missing_scopes, ..VerifyResponse::default() }).await;
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(
        answer.headers()["www-authenticate"],
        "Bearer realm=\"orders \\\"beta\\\"\", error=\"insufficient_scope\", error_description=\"The API key lacks a \
         scope that this needs.\", scope=\"orders:read orders:write\""
    );
    let body: serde_json::Value = serde_json::from_str(answer.body()).unwrap();
    assert_eq!(body["missing_scopes"], serde_json::json!(["orders:read", "orders:write"]));

    let rate_limit = Some(RateLimitStatus::default());
    let answer = refuse_http(VerifyResponse { verdict: 9, rate_limit, ..VerifyResponse::default() }).await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (429, &"1".parse().unwrap()));
    assert!(!answer.headers().contains_key("www-authenticate"));
}

#[tokio::test]
async fn a_lack_of_scopes_without_their_names_names_none() {
    let verdict = VerifyResponse { verdict: 8, ..VerifyResponse::default() };
    let answer = refuse_http(verdict.clone()).await;
    assert!(!answer.headers()["www-authenticate"].to_str().unwrap().contains("scope="));
    let body: serde_json::Value = serde_json::from_str(answer.body()).unwrap();
    assert_eq!((&body["error"], body.get("missing_scopes")), (&"insufficient_scope".into(), None));

    let server = Played::start(move |_| Act::Verdict(verdict.clone())).await;
    let refusal = Guard::new(&server.client()).check(&Rule::new("default"), &headers(), None).await.unwrap_err();
    let info = Status::from(&refusal).get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.metadata.len()), ("INSUFFICIENT_SCOPE", 0));
}

#[tokio::test]
async fn a_setting_that_cannot_work_is_refused() {
    let client = Client::builder().root_key("k").build().unwrap();
    for path in ["orders.v1.Orders/Create", "/orders.v1.Orders", "/orders.v1.Orders/Create/", ""] {
        let client = client.clone();
        let set = move || drop(GrpcGuard::new(&client, Rule::new("default")).method(path, Rule::new("default")));
        assert!(std::thread::spawn(set).join().is_err(), "{path}");
    }
    for realm in ["", "orders\n", "Aufträge", "\u{7f}"] {
        let client = client.clone();
        let set = move || drop(HttpGuard::new(&client, Rule::new("default")).realm(realm));
        assert!(std::thread::spawn(set).join().is_err(), "{realm:?}");
    }
}

#[tokio::test]
async fn a_route_sees_whose_key_it_is() {
    let server = Played::start(|_| Act::valid()).await;
    let guard =
        HttpGuard::new(&server.client(), Rule::new("default")).client_ip(|_| Some(IpAddr::from([192, 0, 2, 1])));
    let inner = service_fn(|request: Request<()>| async move {
        let identity = request.extensions().get::<Identity>().unwrap().clone();
        Ok::<_, Infallible>(Response::new(format!("{identity:?}")))
    });
    let mut request = Request::new(());
    *request.headers_mut() = headers();
    let answer = guard.layer(inner).oneshot(request).await.unwrap();
    assert!(answer.body().contains("user_1") && !answer.body().contains(KEY), "{}", answer.body());
}
