//! BatchVerify: what Verify says, many at once, or nothing.

use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::{Clock, ManualClock, SystemClock};
use portcullis::grpc::pb::create_api_key_request::Expiration;
use portcullis::grpc::pb::{
    self, BatchVerifyRequest, CreateApiKeyRequest, ErrorReason, Verdict, VerifyRequest, VerifyResponse,
};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::{Backend, over_both_stores};
use crate::support::service::{Caller, Service, bad_fields, check_error, new_key, wrong_secret};

over_both_stores![
    answers_are_those_of_verify_in_order,
    a_batch_has_1_to_1000_requests,
    one_bad_request_and_none_is_answered,
    all_of_a_batch_needs_permission,
    what_is_no_request_is_refused,
];

/// A question for each verdict there is, and what the verdict is.
pub async fn every_verdict(admin: &mut Caller, clock: &ManualClock) -> Vec<(VerifyRequest, Verdict)> {
    let claims = prost_types::Struct { fields: [("plan".to_owned(), prost_types::Value::from("pro"))].into() };
    let ttl = |seconds| Some(Expiration::Ttl(prost_types::Duration { seconds, nanos: 0 }));
    let request = CreateApiKeyRequest {
        scopes: vec!["a".into(), "b".into()],
        claims: Some(claims),
        expiration: ttl(3600),
        ..new_key("rich")
    };
    let (_, rich) = admin.create(request).await;
    let (_, plain) = admin.create(new_key("plain")).await;
    let (_, expired) = admin.create(CreateApiKeyRequest { expiration: ttl(60), ..new_key("expired") }).await;
    let (disabled, disabled_secret) = admin.create(new_key("disabled")).await;
    let (revoked, revoked_secret) = admin.create(new_key("revoked")).await;
    admin.update(pb::ApiKey { id: disabled.id, ..Default::default() }, &["enabled"]).await.expect("disabled");
    admin.revoke(&revoked.id).await;
    clock.advance(Duration::from_mins(1));
    let of = |key: &str| VerifyRequest { key: key.into(), ..Default::default() };
    let scopes = |of: &[&str]| of.iter().map(ToString::to_string).collect();
    vec![
        (of(&rich), Verdict::Valid),
        (VerifyRequest { required_scopes: scopes(&["a", "x"]), ..of(&rich) }, Verdict::InsufficientScope),
        (VerifyRequest { any_of_scopes: scopes(&["x", "b"]), ..of(&rich) }, Verdict::Valid),
        (of("no key"), Verdict::Malformed),
        (of(&wrong_secret(&plain, 1)), Verdict::NotFound),
        (VerifyRequest { keyspace: "system".into(), ..of(&plain) }, Verdict::NotFound),
        (of(&plain), Verdict::Valid),
        (of(&expired), Verdict::Expired),
        (of(&disabled_secret), Verdict::Disabled),
        (of(&revoked_secret), Verdict::Revoked),
        (of(""), Verdict::Malformed),
        (of(&plain), Verdict::Valid),
    ]
}

async fn batch(caller: &mut Caller, requests: Vec<VerifyRequest>) -> Result<Vec<VerifyResponse>, Status> {
    let request = BatchVerifyRequest { requests };
    Ok(caller.verification.batch_verify(request).await?.into_inner().responses)
}

async fn answers_are_those_of_verify_in_order(backend: Backend) {
    let clock = ManualClock::new(SystemClock.now());
    let service = Service::start_with(backend, Arc::new(clock.clone())).await;
    let mut admin = service.admin();
    let (requests, verdicts): (Vec<_>, Vec<_>) = every_verdict(&mut admin, &clock).await.into_iter().unzip();
    // None is known yet.
    let cold = batch(&mut admin, requests.clone()).await.expect("verdicts");
    let found: Vec<_> = cold.iter().map(VerifyResponse::verdict).collect();
    assert_eq!(found, verdicts);
    let mut alone = Vec::new();
    for request in &requests {
        alone.push(admin.verify_of(request.clone()).await);
    }
    assert_eq!(cold, alone);
    assert_eq!(batch(&mut admin, requests.clone()).await.expect("verdicts"), alone);

    // Known ones and new ones by turns.
    let mut mixed = Vec::new();
    let mut expected = Vec::new();
    for (request, answer) in requests.iter().zip(&alone) {
        let (key, secret) = admin.create(new_key("new")).await;
        let new = VerifyRequest { key: secret, ..Default::default() };
        mixed.extend([request.clone(), new]);
        expected.extend([answer.key_id.clone(), key.id]);
    }
    let found = batch(&mut admin, mixed).await.expect("verdicts");
    assert_eq!(found.into_iter().map(|answer| answer.key_id).collect::<Vec<_>>(), expected);
    service.stop().await;
}

async fn a_batch_has_1_to_1000_requests(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(new_key("k")).await;
    let right = VerifyRequest { key: secret.clone(), ..Default::default() };
    // Every one another look-up.
    let wrong = |nth: u32| {
        let unknown = format!("ak_{nth:016}{}", &secret[19..]);
        VerifyRequest { key: wrong_secret(&unknown, 1), ..Default::default() }
    };
    let many: Vec<_> = (0..999).map(wrong).chain([right]).collect();
    let answers = batch(&mut admin, many.clone()).await.expect("verdicts");
    assert_eq!(answers.len(), 1_000);
    assert!(answers[..999].iter().all(|answer| answer.verdict() == Verdict::NotFound));
    assert_eq!(answers[999].key_id, key.id);
    assert_eq!(bad_fields(batch(&mut admin, vec![]).await), ["requests"]);
    assert_eq!(bad_fields(batch(&mut admin, [many, vec![wrong(0)]].concat()).await), ["requests"]);
    service.stop().await;
}

async fn one_bad_request_and_none_is_answered(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (_, secret) = admin.create(new_key("k")).await;
    let mut requests = vec![VerifyRequest { key: secret, ..Default::default() }; 6];
    requests[3].required_scopes = vec!["NOT".into()];
    assert_eq!(bad_fields(batch(&mut admin, requests.clone()).await), ["requests[3].required_scopes[0]"]);
    requests[5].keyspace = "No Such".into();
    requests[5].any_of_scopes = vec!["fine".into(), String::new()];
    let all = ["requests[3].required_scopes[0]", "requests[5].keyspace", "requests[5].any_of_scopes[1]"];
    assert_eq!(bad_fields(batch(&mut admin, requests).await), all);
    service.stop().await;
}

async fn all_of_a_batch_needs_permission(backend: Backend) {
    let service = Service::start(backend).await;
    service.admin().create_keyspace("dev").await;
    let denied = |result| check_error(result, Code::PermissionDenied, ErrorReason::PermissionMissing);
    denied(batch(&mut service.caller_with(&["keys:read"]).await, vec![]).await);
    let mut dev = service.caller_with(&["keys:verify@dev"]).await;
    let of = |keyspace: &str| VerifyRequest { keyspace: keyspace.into(), ..Default::default() };
    let answers = batch(&mut dev, vec![of("dev"), of("")]).await.expect("verdicts");
    assert!(answers.iter().all(|answer| answer.verdict() == Verdict::Malformed));
    denied(batch(&mut dev, vec![of("dev"), of("default")]).await);
    // That a request is bad is not said to whom may not ask.
    let bad = VerifyRequest { required_scopes: vec!["NOT".into()], ..of("dev") };
    denied(batch(&mut dev, vec![bad, of("default")]).await);
    service.stop().await;
}

/// A batch of requests that may be anything.
#[derive(Clone, PartialEq, prost::Message)]
struct Anything {
    #[prost(bytes = "vec", repeated, tag = "1")]
    requests: Vec<Vec<u8>>,
}

async fn what_is_no_request_is_refused(backend: Backend) {
    let service = Service::start(backend).await;
    let batch = async |requests: Vec<Vec<u8>>| {
        let mut calls = Grpc::new(service.channel.clone());
        calls.ready().await.expect("a connection");
        let mut request = Request::new(Anything { requests });
        let credential = format!("Bearer {}", service.root_key).parse().expect("a header");
        request.metadata_mut().insert("authorization", credential);
        let path = PathAndQuery::from_static("/portcullis.v1.VerificationService/BatchVerify");
        calls.unary(request, path, ProstCodec::<Anything, pb::BatchVerifyResponse>::default()).await
    };
    let (empty, not_utf8, cut) = (vec![], vec![0x0a, 1, 0xff], vec![0x0a, 9, b'x']);
    assert_eq!(batch(vec![empty.clone()]).await.expect("a verdict").into_inner().responses.len(), 1);
    for bad in [not_utf8, cut] {
        check_error(batch(vec![empty.clone(), bad]).await, Code::InvalidArgument, ErrorReason::RequestMalformed);
    }
    service.stop().await;
}
