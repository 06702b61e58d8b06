//! Bad input: every limit, every bad field at once, and details on every error.

use std::time::Duration;

use portcullis::grpc::pb::create_api_key_request::Expiration;
use portcullis::grpc::pb::{self, CreateApiKeyRequest, ErrorReason, ListApiKeysRequest};
use prost_types::value::Kind;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use super::{Backend, over_both_stores};
use crate::support::service::{Service, bad_fields, check_error, details, new_key};

over_both_stores![
    every_bad_field_is_named_at_once,
    each_limit_holds_and_one_less_is_fine,
    errors_name_field_value_and_limit,
    what_tonic_refuses_has_details_too,
    strange_times_are_refused,
    however_much_is_bad_the_answer_arrives,
    a_bad_keyspace_hides_nothing_else,
    a_nul_is_refused_or_finds_nothing,
];

async fn every_bad_field_is_named_at_once(backend: Backend) {
    let service = Service::start(backend).await;
    let request = CreateApiKeyRequest {
        keyspace: String::new(),
        name: " padded".into(),
        subject: "no spaces".into(),
        description: "x".repeat(1_001),
        scopes: vec!["ok".into(), "Not Ok".into(), "orders:*".into(), "a*b".into()],
        claims: Some(prost_types::Struct {
            fields: [("n".to_owned(), prost_types::Value { kind: Some(Kind::NumberValue(f64::NAN)) })].into(),
        }),
        metadata: [("k".repeat(65), String::new())].into(),
        expiration: Some(Expiration::Ttl(prost_types::Duration { seconds: 0, nanos: 0 })),
        created_by: "é".into(),
        request_id: "\n".into(),
        ..CreateApiKeyRequest::default()
    };
    let expect = [
        "name",
        "subject",
        "description",
        "claims",
        "metadata",
        "created_by",
        "request_id",
        "scopes[1]",
        "scopes[2]",
        "scopes[3]",
        "ttl",
    ];
    assert_eq!(bad_fields(service.admin().keys.create_api_key(request).await), expect);
    service.stop().await;
}

async fn each_limit_holds_and_one_less_is_fine(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let scopes = |count: usize| (0..count).map(|n| format!("s{n}")).collect::<Vec<_>>();
    let pairs = |count: usize| (0..count).map(|n| (format!("k{n}"), "v".to_owned())).collect();
    let pair = |key: usize, value: usize| [("é".repeat(key), "ü".repeat(value))].into();
    let text_claims = |length: usize| {
        let frame = r#"{"a":""}"#.len();
        Some(prost_types::Struct { fields: [("a".to_owned(), "x".repeat(length - frame).into())].into() })
    };
    let deep_claims = |levels: usize| {
        let nest = |inner: prost_types::Value, _| {
            let fields = [("a".to_owned(), inner)].into();
            prost_types::Value { kind: Some(Kind::StructValue(prost_types::Struct { fields })) }
        };
        let inner = (1..levels).fold(1.0.into(), nest);
        Some(prost_types::Struct { fields: [("a".to_owned(), inner)].into() })
    };
    let ttl = |seconds: i64| Some(Expiration::Ttl(prost_types::Duration { seconds, nanos: 0 }));
    let hundred_years = 100 * 31_557_600;
    let base = || new_key("n");
    let cases: Vec<(&str, CreateApiKeyRequest, CreateApiKeyRequest)> = vec![
        ("name", new_key(&"é".repeat(100)), new_key(&"é".repeat(101))),
        ("name", new_key("a b"), new_key("a\u{7}b")),
        ("name", new_key("x"), new_key("")),
        ("description", with(|k| k.description = "é".repeat(1_000)), with(|k| k.description = "é".repeat(1_001))),
        ("description", with(|k| k.description = "a\tb".into()), with(|k| k.description = "a\0b".into())),
        ("subject", with(|k| k.subject = "a".repeat(128)), with(|k| k.subject = "a".repeat(129))),
        ("subject", with(|k| k.subject = "a:b@c/d.e-f_G9".into()), with(|k| k.subject = String::new())),
        ("created_by", with(|k| k.created_by = "a".repeat(128)), with(|k| k.created_by = "a".repeat(129))),
        ("request_id", with(|k| k.request_id = "a".repeat(128)), with(|k| k.request_id = "a".repeat(129))),
        ("scopes", with(|k| k.scopes = scopes(100)), with(|k| k.scopes = scopes(101))),
        ("scopes[0]", with(|k| k.scopes = vec!["a".repeat(128)]), with(|k| k.scopes = vec!["a".repeat(129)])),
        ("claims", with(|k| k.claims = text_claims(8_192)), with(|k| k.claims = text_claims(8_193))),
        ("claims", with(|k| k.claims = deep_claims(8)), with(|k| k.claims = deep_claims(9))),
        ("metadata", with(|k| k.metadata = pairs(50)), with(|k| k.metadata = pairs(51))),
        ("metadata", with(|k| k.metadata = pair(64, 512)), with(|k| k.metadata = pair(65, 512))),
        ("metadata", with(|k| k.metadata = pair(1, 0)), with(|k| k.metadata = pair(1, 513))),
        (
            "ttl",
            CreateApiKeyRequest { expiration: ttl(1), ..base() },
            CreateApiKeyRequest { expiration: ttl(0), ..base() },
        ),
        (
            "ttl",
            CreateApiKeyRequest { expiration: ttl(hundred_years), ..base() },
            CreateApiKeyRequest { expiration: ttl(hundred_years + 1), ..base() },
        ),
    ];
    for (field, good, bad) in cases {
        admin.create(good).await;
        assert_eq!(bad_fields(admin.keys.create_api_key(bad).await), [field]);
    }
    // A hundred scopes, all of them many times over, are a hundred scopes.
    let (key, _) = admin.create(with(|k| k.scopes = (0..20).flat_map(|_| scopes(100)).collect())).await;
    assert_eq!(key.scopes.len(), 100);
    service.stop().await;
}

fn with(change: impl FnOnce(&mut CreateApiKeyRequest)) -> CreateApiKeyRequest {
    let mut request = new_key("n");
    change(&mut request);
    request
}

async fn however_much_is_bad_the_answer_arrives(backend: Backend) {
    let service = Service::start(backend).await;
    let scopes = (0..100).map(|n| format!("{n} {}", "☃".repeat(50))).collect();
    for keyspace in ["", "system"] {
        let request = CreateApiKeyRequest { keyspace: keyspace.into(), scopes: Vec::clone(&scopes), ..new_key("n") };
        let found = bad_fields_loosely(service.admin().keys.create_api_key(request).await);
        assert_eq!((found[0].as_str(), found.last().unwrap().as_str()), ("scopes[0]", "*"));
    }
    service.stop().await;
}

/// As [`bad_fields`], of an error whose message is cut short.
fn bad_fields_loosely<T: std::fmt::Debug>(result: Result<T, tonic::Status>) -> Vec<String> {
    let status = check_error(result, Code::InvalidArgument, ErrorReason::FieldInvalid);
    details(&status).bad_request().unwrap().field_violations.iter().map(|violation| violation.field.clone()).collect()
}

async fn a_bad_keyspace_hides_nothing_else(backend: Backend) {
    let service = Service::start(backend).await;
    let request = CreateApiKeyRequest { keyspace: "No Such".into(), subject: String::new(), ..new_key("") };
    assert_eq!(bad_fields(service.admin().keys.create_api_key(request).await), ["keyspace", "name", "subject"]);
    service.stop().await;
}

async fn a_nul_is_refused_or_finds_nothing(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let events = pb::ListAuditEventsRequest { keyspace: "a\0".into(), ..Default::default() };
    assert_eq!(bad_fields(admin.audit.list_audit_events(events).await), ["keyspace"]);
    let events = pb::ListAuditEventsRequest { key_id: "a\0".into(), actor: "\0".into(), ..Default::default() };
    check_error(admin.audit.list_audit_events(events).await, Code::NotFound, ErrorReason::KeyNotFound);
    let nul = || "\0".to_owned();
    let keys = ListApiKeysRequest { subject: nul(), query: nul(), created_by: nul(), ..Default::default() };
    assert!(admin.keys.list_api_keys(keys).await.unwrap().into_inner().api_keys.is_empty());
    check_error(admin.get("\0").await, Code::NotFound, ErrorReason::KeyNotFound);
    service.stop().await;
}

async fn errors_name_field_value_and_limit(backend: Backend) {
    let service = Service::start(backend).await;
    let refused = service.admin().keys.create_api_key(with(|k| k.subject = "no spaces".into())).await;
    let status = check_error(refused, Code::InvalidArgument, ErrorReason::FieldInvalid);
    let bad = details(&status).bad_request().unwrap().field_violations[0].clone();
    assert_eq!(bad.field, "subject");
    assert_eq!(bad.description, "must have 1 to 128 characters of [A-Za-z0-9_.:@/-]; is \"no spaces\"");
    service.stop().await;
}

async fn strange_times_are_refused(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    for seconds in [0, -1, i64::MIN, i64::MAX, 253_402_300_800] {
        let expiration = Some(Expiration::ExpireTime(prost_types::Timestamp { seconds, nanos: 0 }));
        let refused = admin.keys.create_api_key(CreateApiKeyRequest { expiration, ..new_key("n") }).await;
        assert_eq!(bad_fields(refused), ["expire_time"], "{seconds}");
    }
    for (seconds, nanos) in [(-1, 0), (i64::MIN, i32::MIN), (i64::MAX, i32::MAX), (0, 999)] {
        let expiration = Some(Expiration::Ttl(prost_types::Duration { seconds, nanos }));
        let refused = admin.keys.create_api_key(CreateApiKeyRequest { expiration, ..new_key("n") }).await;
        assert_eq!(bad_fields(refused), ["ttl"], "{seconds} s {nanos} ns");
    }
    for seconds in [i64::MIN, i64::MAX] {
        let unused_since = Some(prost_types::Timestamp { seconds, nanos: 0 });
        admin.keys.list_api_keys(ListApiKeysRequest { unused_since, ..Default::default() }).await.unwrap();
    }
    service.stop().await;
}

async fn what_tonic_refuses_has_details_too(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let large = with(|k| k.description = "x".repeat(1_100_000));
    check_error(admin.keys.create_api_key(large).await, Code::ResourceExhausted, ErrorReason::RequestTooLarge);

    let call = async |method: &'static str, message: pb::ApiKeySecret| {
        let mut client = tonic::client::Grpc::new(service.channel.clone());
        client.ready().await.unwrap();
        let codec: ProstCodec<pb::ApiKeySecret, pb::CreateApiKeyResponse> = ProstCodec::default();
        let mut request = Request::new(message);
        request.set_timeout(Duration::from_mins(1));
        request.metadata_mut().insert("authorization", format!("Bearer {}", service.root_key).parse().unwrap());
        client.unary(request, PathAndQuery::from_static(method), codec).await
    };
    let unknown = call("/portcullis.v1.ApiKeyService/Rob", pb::ApiKeySecret::default()).await;
    check_error(unknown, Code::Unimplemented, ErrorReason::MethodUnknown);
    let unknown = call("/portcullis.v2.ApiKeyService/CreateApiKey", pb::ApiKeySecret::default()).await;
    check_error(unknown, Code::Unimplemented, ErrorReason::MethodUnknown);
    // Field 2 is a message there and a string here.
    let create_time = Some(prost_types::Timestamp { seconds: -1, nanos: -1 });
    let other = pb::ApiKeySecret { create_time, ..Default::default() };
    let malformed = call("/portcullis.v1.ApiKeyService/CreateApiKey", other).await;
    check_error(malformed, Code::InvalidArgument, ErrorReason::RequestMalformed);
    service.stop().await;
}
