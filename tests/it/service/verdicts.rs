//! Verify: every verdict, what is filled with it, and the order of the checks.

use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::{Clock, ManualClock, SystemClock};
use portcullis::grpc::pb::create_api_key_request::Expiration;
use portcullis::grpc::pb::{
    self, CreateApiKeyRequest, ErrorReason, Verdict, VerifyApiKeyRequest, VerifyRequest, VerifyResponse,
};
use tonic::Code;

use super::{Backend, over_both_stores};
use crate::support::service::{Service, bad_fields, check_error, new_key};

over_both_stores![
    each_verdict_fills_what_the_contract_says,
    the_checks_come_in_order,
    keyspaces_do_not_see_each_other,
    wildcards_cover_only_where_allowed,
    a_root_key_is_no_customers_key,
    rubbish_is_malformed,
    a_senseless_demand_is_the_callers_mistake,
    verify_api_key_shows_the_whole_key,
];

fn demand(key: &str, required: &[&str], any: &[&str]) -> VerifyRequest {
    VerifyRequest {
        key: key.into(),
        required_scopes: required.iter().map(ToString::to_string).collect(),
        any_of_scopes: any.iter().map(ToString::to_string).collect(),
        ..Default::default()
    }
}

async fn each_verdict_fills_what_the_contract_says(backend: Backend) {
    let clock = ManualClock::new(SystemClock.now());
    let service = Service::start_with(backend, Arc::new(clock.clone())).await;
    let mut admin = service.admin();
    let claims = prost_types::Struct { fields: [("plan".to_owned(), prost_types::Value::from("pro"))].into() };
    let request = CreateApiKeyRequest {
        scopes: vec!["a".into(), "b".into()],
        claims: Some(claims.clone()),
        expiration: Some(Expiration::Ttl(prost_types::Duration { seconds: 60, nanos: 0 })),
        ..new_key("k")
    };
    let (key, secret) = admin.create(request).await;
    let whose = VerifyResponse {
        key_id: key.id.clone(),
        keyspace: "default".into(),
        subject: "user_1".into(),
        ..Default::default()
    };
    let expect = VerifyResponse {
        valid: true,
        verdict: Verdict::Valid.into(),
        scopes: key.scopes.clone(),
        claims: Some(claims),
        expire_time: key.expire_time,
        ..whose.clone()
    };
    assert_eq!(admin.verify_of(demand(&secret, &["a", "b"], &["x", "b"])).await, expect);

    let expect = VerifyResponse {
        verdict: Verdict::InsufficientScope.into(),
        scopes: key.scopes.clone(),
        missing_scopes: vec!["c".into(), "x".into(), "y".into()],
        ..whose.clone()
    };
    assert_eq!(admin.verify_of(demand(&secret, &["a", "c"], &["x", "y"])).await, expect);

    let off = pb::ApiKey { id: key.id.clone(), enabled: false, ..Default::default() };
    admin.update(off, &["enabled"]).await.unwrap();
    let expect = VerifyResponse { verdict: Verdict::Disabled.into(), ..whose.clone() };
    assert_eq!(admin.verify(&secret).await, expect);

    clock.advance(Duration::from_mins(1));
    let expect = VerifyResponse { verdict: Verdict::Expired.into(), ..whose.clone() };
    assert_eq!(admin.verify(&secret).await, expect);

    admin.revoke(&key.id).await;
    let expect = VerifyResponse { verdict: Verdict::Revoked.into(), ..whose };
    assert_eq!(admin.verify(&secret).await, expect);

    let expect = VerifyResponse { verdict: Verdict::Malformed.into(), ..Default::default() };
    assert_eq!(admin.verify(&secret[1..]).await, expect);
    service.stop().await;
}

async fn the_checks_come_in_order(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(new_key("k")).await;
    let off = pb::ApiKey { id: key.id.clone(), ..Default::default() };
    admin.update(off, &["enabled"]).await.unwrap();
    assert_eq!(admin.verify_of(demand(&secret, &["missing"], &[])).await.verdict(), Verdict::Disabled);
    admin.revoke(&key.id).await;
    assert_eq!(admin.verify_of(demand(&secret, &["missing"], &[])).await.verdict(), Verdict::Revoked);
    let elsewhere = VerifyRequest { keyspace: "system".into(), ..demand(&secret, &["keys:read"], &[]) };
    assert_eq!(admin.verify_of(elsewhere).await.verdict(), Verdict::NotFound);
    service.stop().await;
}

async fn keyspaces_do_not_see_each_other(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    for id in ["prod", "dev"] {
        admin.create_keyspace(id).await;
    }
    let (_, secret) = admin.create(CreateApiKeyRequest { keyspace: "prod".into(), ..new_key("k") }).await;
    let mut within = async |keyspace: &str| {
        let request = VerifyRequest { key: secret.clone(), keyspace: keyspace.into(), ..Default::default() };
        admin.verify_of(request).await
    };
    assert_eq!(within("prod").await.verdict(), Verdict::Valid);
    assert_eq!(within("").await.verdict(), Verdict::Valid);
    let nothing = VerifyResponse { verdict: Verdict::NotFound.into(), ..Default::default() };
    assert_eq!(within("dev").await, nothing);
    assert_eq!(within("never-made").await, nothing);

    let mut dev = service.caller_with(&["keys:verify@dev"]).await;
    assert_eq!(dev.verify(&secret).await, nothing);
    let named = VerifyRequest { key: secret, keyspace: "prod".into(), ..Default::default() };
    check_error(dev.verification.verify(named).await, Code::PermissionDenied, ErrorReason::PermissionMissing);
    service.stop().await;
}

async fn wildcards_cover_only_where_allowed(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let wild = || CreateApiKeyRequest { keyspace: "wild".into(), scopes: vec!["orders:*".into()], ..new_key("wild") };
    admin.create_keyspace("wild").await;
    assert_eq!(bad_fields(admin.keys.create_api_key(wild()).await), ["scopes[0]"]);
    let allow = async |allow_wildcard_scopes: bool| {
        let keyspace = pb::Keyspace { id: "wild".into(), allow_wildcard_scopes, ..Default::default() };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["allow_wildcard_scopes".into()] });
        let request = pb::UpdateKeyspaceRequest { keyspace: Some(keyspace), update_mask };
        service.admin().keyspaces.update_keyspace(request).await.unwrap();
    };
    allow(true).await;
    let (_, secret) = admin.create(wild()).await;
    assert_eq!(admin.verify_of(demand(&secret, &["orders:read"], &[])).await.verdict(), Verdict::Valid);
    assert_eq!(admin.verify_of(demand(&secret, &["order"], &[])).await.verdict(), Verdict::InsufficientScope);
    allow(false).await;
    assert_eq!(admin.verify_of(demand(&secret, &["orders:read"], &[])).await.verdict(), Verdict::InsufficientScope);
    service.stop().await;
}

async fn a_root_key_is_no_customers_key(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let root_key = service.root_key.clone();
    assert_eq!(admin.verdict(&root_key).await, Verdict::NotFound, "unless `system` is named");
    let named = VerifyRequest { keyspace: "system".into(), ..demand(&root_key, &["admin"], &[]) };
    assert_eq!(admin.verify_of(named.clone()).await.verdict(), Verdict::Valid);
    let mut verifier = service.caller_with(&["keys:verify"]).await;
    assert_eq!(verifier.verdict(&root_key).await, Verdict::NotFound);
    check_error(verifier.verification.verify(named).await, Code::PermissionDenied, ErrorReason::PermissionMissing);
    service.stop().await;
}

async fn rubbish_is_malformed(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (_, secret) = admin.create(new_key("k")).await;
    let flipped = {
        let mut bytes = secret.clone().into_bytes();
        let at = bytes.len() - 10;
        bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
        String::from_utf8(bytes).unwrap()
    };
    let long = format!("ak_{}", "A".repeat(510));
    for rubbish in ["", " ", "ak_", "Bearer x", "☃", &flipped, &long, &format!("{secret} "), &"a".repeat(100_000)] {
        assert_eq!(admin.verdict(rubbish).await, Verdict::Malformed, "{rubbish:.80}");
    }
    service.stop().await;
}

async fn a_senseless_demand_is_the_callers_mistake(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let request = VerifyRequest {
        required_scopes: vec!["fine".into(), "NOT".into()],
        any_of_scopes: vec!["a".into(); 101],
        keyspace: "No Such".into(),
        ..Default::default()
    };
    let found = bad_fields(admin.verification.verify(request).await);
    assert_eq!(found, ["keyspace", "required_scopes[1]", "any_of_scopes"]);
    service.stop().await;
}

async fn verify_api_key_shows_the_whole_key(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(new_key("k")).await;
    let request = |key: &str, required: &[&str]| VerifyApiKeyRequest {
        key: key.into(),
        required_scopes: required.iter().map(ToString::to_string).collect(),
        ..Default::default()
    };
    let shown = admin.keys.verify_api_key(request(&secret, &[])).await.unwrap().into_inner();
    assert!(shown.valid);
    assert_eq!(shown.verdict(), Verdict::Valid);
    assert_eq!(shown.api_key.unwrap().id, key.id);
    let lacking = admin.keys.verify_api_key(request(&secret, &["x"])).await.unwrap().into_inner();
    assert_eq!((lacking.valid, lacking.verdict()), (false, Verdict::InsufficientScope));
    assert_eq!(lacking.missing_scopes, ["x"]);
    admin.revoke(&key.id).await;
    let revoked = admin.keys.verify_api_key(request(&secret, &[])).await.unwrap().into_inner();
    assert_eq!(revoked.verdict(), Verdict::Revoked);
    assert!(revoked.api_key.unwrap().revoke_time.is_some());
    let malformed = admin.keys.verify_api_key(request("x", &[])).await.unwrap().into_inner();
    assert_eq!((malformed.verdict(), malformed.api_key), (Verdict::Malformed, None));
    service.stop().await;
}
