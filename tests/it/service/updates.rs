//! UpdateApiKey: masks and etags.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::{Clock, ManualClock, SystemClock};
use portcullis::grpc::pb::create_api_key_request::Expiration;
use portcullis::grpc::pb::{self, ApiKeyState, CreateApiKeyRequest, ErrorReason, UpdateApiKeyRequest, Verdict};
use tonic::Code;

use super::{Backend, over_both_stores};
use crate::support::service::{Service, bad_fields, check_error, new_key};

over_both_stores![
    a_mask_names_what_changes,
    without_a_mask_what_is_set_changes,
    a_star_replaces_all,
    a_key_can_be_switched_off_and_on,
    bad_updates_are_refused_by_name,
    of_two_updates_with_one_etag_one_wins,
    an_empty_mask_is_no_mask,
    what_was_read_can_be_sent_back,
    claims_have_no_number_that_lost_digits,
    without_a_mask_fields_of_messages_stay,
    a_path_into_a_message_changes_that_field_alone,
];

fn full() -> CreateApiKeyRequest {
    CreateApiKeyRequest {
        description: "d".into(),
        scopes: vec!["a".into()],
        claims: Some(prost_types::Struct { fields: [("c".to_owned(), 1.0.into())].into() }),
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        ..new_key("n")
    }
}

async fn a_mask_names_what_changes(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, _) = admin.create(full()).await;
    let asked = pb::ApiKey { id: key.id.clone(), name: "new".into(), subject: "ignored".into(), ..Default::default() };
    let changed = admin.update(asked, &["name", "description", "metadata"]).await.unwrap();
    let expect = pb::ApiKey {
        name: "new".into(),
        description: String::new(),
        metadata: BTreeMap::default(),
        update_time: changed.update_time,
        etag: changed.etag.clone(),
        ..key.clone()
    };
    assert_eq!(changed, expect);
    assert_ne!(changed.etag, key.etag);
    // Asking for what is so already changes nothing, not even the etag.
    assert_eq!(admin.update(changed.clone(), &["name", "scopes"]).await.unwrap(), changed);
    service.stop().await;
}

async fn without_a_mask_what_is_set_changes(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, _) = admin.create(full()).await;
    let asked = pb::ApiKey { id: key.id.clone(), scopes: vec!["b".into()], ..Default::default() };
    let request = UpdateApiKeyRequest { api_key: Some(asked), ..Default::default() };
    let changed = admin.keys.update_api_key(request).await.unwrap().into_inner().api_key.unwrap();
    assert_eq!(changed.scopes, ["b"]);
    assert_eq!((&changed.name, &changed.claims, changed.enabled), (&key.name, &key.claims, true));
    service.stop().await;
}

async fn an_empty_mask_is_no_mask(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, _) = admin.create(CreateApiKeyRequest { scopes: vec!["a".into(), "b".into()], ..new_key("n") }).await;
    let narrower = pb::ApiKey { id: key.id, scopes: vec!["a".into()], ..Default::default() };
    assert_eq!(admin.update(narrower, &[]).await.unwrap().scopes, ["a"]);
    service.stop().await;
}

async fn what_was_read_can_be_sent_back(backend: Backend) {
    let clock = ManualClock::new(SystemClock.now());
    let service = Service::start_with(backend, Arc::new(clock.clone())).await;
    let mut admin = service.admin();
    let ttl = Expiration::Ttl(prost_types::Duration { seconds: 60, nanos: 0 });
    let (key, _) = admin.create(CreateApiKeyRequest { expiration: Some(ttl), ..full() }).await;
    clock.advance(Duration::from_mins(2));
    let renamed = pb::ApiKey { name: "expired".into(), ..key.clone() };
    let changed = admin.update(renamed, &["*"]).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.expire_time), ("expired", key.expire_time));
    service.stop().await;
}

async fn a_star_replaces_all(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(full()).await;
    let asked = pb::ApiKey { id: key.id.clone(), name: "bare".into(), ..Default::default() };
    let changed = admin.update(asked, &["*"]).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.description.as_str()), ("bare", ""));
    assert!(changed.scopes.is_empty() && changed.claims.is_none() && changed.metadata.is_empty());
    assert!(!changed.enabled);
    assert_eq!(admin.verdict(&secret).await, Verdict::Disabled);
    service.stop().await;
}

async fn a_key_can_be_switched_off_and_on(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(new_key("switch")).await;
    for (enabled, state, verdict) in
        [(false, ApiKeyState::Disabled, Verdict::Disabled), (true, ApiKeyState::Active, Verdict::Valid)]
    {
        let asked = pb::ApiKey { id: key.id.clone(), enabled, ..Default::default() };
        assert_eq!(admin.update(asked, &["enabled"]).await.unwrap().state(), state);
        assert_eq!(admin.verdict(&secret).await, verdict);
    }
    service.stop().await;
}

async fn bad_updates_are_refused_by_name(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, _) = admin.create(full()).await;
    let bad = pb::ApiKey {
        id: key.id.clone(),
        name: String::new(),
        description: "\0".into(),
        scopes: vec!["orders:*".into()],
        metadata: [(String::new(), String::new())].into(),
        expire_time: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
        ..Default::default()
    };
    let expect =
        ["api_key.name", "api_key.description", "api_key.scopes[0]", "api_key.metadata", "api_key.expire_time"];
    assert_eq!(bad_fields(admin.update(bad, &["*"]).await), expect);
    assert_eq!(admin.get(&key.id).await.unwrap(), key, "nothing was changed");

    let mask = ["name", "etag", "id", "metadata.k", "*"];
    assert_eq!(bad_fields(admin.update(key.clone(), &mask).await), ["update_mask"; 4]);
    assert_eq!(bad_fields(admin.update(pb::ApiKey::default(), &["name"]).await), ["api_key.id"]);
    let absent = UpdateApiKeyRequest::default();
    assert_eq!(bad_fields(admin.keys.update_api_key(absent).await), ["api_key.id"]);
    let unknown = pb::ApiKey { id: "key_unknown".into(), ..key };
    check_error(admin.update(unknown, &["name"]).await, Code::NotFound, ErrorReason::KeyNotFound);
    service.stop().await;
}

async fn of_two_updates_with_one_etag_one_wins(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, _) = admin.create(new_key("raced")).await;
    let mut etag = key.etag.clone();
    for round in 0..10 {
        let asked = |name: String| pb::ApiKey { name, etag: etag.clone(), ..key.clone() };
        let (mut one, mut two) = (admin.clone(), admin.clone());
        let (a, b) = tokio::join!(
            one.update(asked(format!("a{round}")), &["name"]),
            two.update(asked(format!("b{round}")), &["name"]),
        );
        let (won, lost) = if a.is_ok() { (a, b) } else { (b, a) };
        check_error(lost, Code::Aborted, ErrorReason::EtagMismatch);
        etag = won.expect("one of them wins").etag;
    }
    for stale in [key.etag.as_str(), "rubbish", "ffffffffffffffffffff", " "] {
        let asked = pb::ApiKey { etag: stale.into(), name: "x".into(), ..key.clone() };
        check_error(admin.update(asked, &["name"]).await, Code::Aborted, ErrorReason::EtagMismatch);
    }
    service.stop().await;
}

/// A client has made a double of each number before it sends it: 9007199254740993 comes as 9007199254740992.
async fn claims_have_no_number_that_lost_digits(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let claims = |number: f64| Some(prost_types::Struct { fields: [("account_id".to_owned(), number.into())].into() });
    let lost = 9_007_199_254_740_992.0;
    for lost in [lost, -lost, 1_234_567_890_123_456_789.0, 1e300] {
        let made = admin.keys.create_api_key(CreateApiKeyRequest { claims: claims(lost), ..new_key("n") }).await;
        assert_eq!(bad_fields(made), ["claims.account_id"], "{lost}");
    }
    let largest = lost - 1.0;
    let (key, secret) = admin.create(CreateApiKeyRequest { claims: claims(largest), ..new_key("n") }).await;
    assert_eq!((&key.claims, &admin.verify(&secret).await.claims), (&claims(largest), &claims(largest)));
    let asked = pb::ApiKey { claims: claims(lost), ..key.clone() };
    assert_eq!(bad_fields(admin.update(asked, &["claims"]).await), ["api_key.claims.account_id"]);
    let entry = pb::ApiKeyImport {
        name: "n".into(),
        subject: "user_1".into(),
        claims: claims(lost),
        material: Some(pb::api_key_import::Material::Plaintext("sk_live_0123456789abcdef0123".into())),
        ..Default::default()
    };
    let request = pb::ImportApiKeysRequest { keyspace: String::new(), entries: vec![entry], ..Default::default() };
    let results = admin.keys.import_api_keys(request).await.unwrap().into_inner().results;
    let Some(pb::api_key_import_result::Outcome::Status(status)) = &results[0].outcome else { panic!("{results:?}") };
    assert!(status.message.contains("claims.account_id"), "{status:?}");

    // A key that has such a number from before the rule can be sent back as it was read.
    service.execute(r#"UPDATE api_key SET claims = '{"account_id":1e17}' WHERE name = 'n'"#).await;
    let read = admin.get(&key.id).await.unwrap();
    assert_eq!(read.claims, claims(1e17));
    let renamed = admin.update(pb::ApiKey { name: "m".into(), ..read }, &["*"]).await.unwrap();
    assert_eq!((renamed.name.as_str(), &renamed.claims), ("m", &claims(1e17)));
    service.stop().await;
}

fn limited() -> CreateApiKeyRequest {
    let window = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let daily = pb::RateLimit { limit: 1_000, window: window(86_400), name: "daily".into(), ..Default::default() };
    let rate_limit = pb::RateLimit { limit: 100, window: window(1), burst: 20, name: "fast".into(), also: vec![daily] };
    let refill = Some(pb::CreditsRefill { amount: 50, interval: pb::CreditsInterval::Month.into() });
    let credits = pb::Credits { remaining: Some(7), refill, refill_time: None };
    CreateApiKeyRequest { rate_limit: Some(rate_limit), credits: Some(credits), ..new_key("n") }
}

async fn without_a_mask_fields_of_messages_stay(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, _) = admin.create(limited()).await;
    let asked = |rate_limit, credits| pb::ApiKey { id: key.id.clone(), rate_limit, credits, ..Default::default() };
    let (rate_limit, credits) = (key.rate_limit.clone().unwrap(), key.credits.unwrap());

    let thousand = pb::Credits { remaining: Some(1_000), ..Default::default() };
    let changed = admin.update(asked(None, Some(thousand)), &[]).await.unwrap();
    assert_eq!(changed.credits, Some(pb::Credits { remaining: Some(1_000), ..credits }), "its refill stays");
    let daily = Some(pb::CreditsRefill { amount: 5, interval: pb::CreditsInterval::Day.into() });
    let changed =
        admin.update(asked(None, Some(pb::Credits { refill: daily, ..Default::default() })), &[]).await.unwrap();
    assert_eq!(changed.credits.map(|credits| (credits.remaining, credits.refill)), Some((Some(1_000), daily)));

    let faster = pb::RateLimit { limit: 200, ..Default::default() };
    let changed = admin.update(asked(Some(faster), None), &[]).await.unwrap();
    assert_eq!(changed.rate_limit, Some(pb::RateLimit { limit: 200, ..rate_limit }), "its other fields stay");
    // An empty message sets nothing.
    let empty = asked(Some(pb::RateLimit::default()), Some(pb::Credits::default()));
    assert_eq!(admin.update(empty, &[]).await.unwrap(), changed);
    service.stop().await;
}

async fn a_path_into_a_message_changes_that_field_alone(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, _) = admin.create(limited()).await;
    let id = key.id.clone();
    let asked = |credits| pb::ApiKey { id: id.clone(), credits, ..Default::default() };
    let rate_limit = key.rate_limit.unwrap();
    // What is named and not set is cleared.
    let changed = admin.update(asked(None), &["rate_limit.burst", "rate_limit.also"]).await.unwrap();
    assert_eq!(changed.rate_limit, Some(pb::RateLimit { burst: 100, also: Vec::new(), ..rate_limit }));
    assert_eq!(bad_fields(admin.update(asked(None), &["rate_limit.window"]).await), ["api_key.rate_limit.window"]);
    assert_eq!(admin.update(asked(None), &["rate_limit"]).await.unwrap().rate_limit, None);

    // A number of credits that is named and not set is what the refill says; never 0.
    let changed = admin.update(asked(None), &["credits.remaining"]).await.unwrap().credits.unwrap();
    assert_eq!((changed.remaining, changed.refill.unwrap().amount), (Some(50), 50));
    let changed = admin.update(asked(None), &["credits.refill"]).await.unwrap().credits.unwrap();
    assert_eq!((changed.remaining, changed.refill), (Some(50), None));
    assert_eq!(bad_fields(admin.update(asked(None), &["credits.remaining"]).await), ["api_key.credits.remaining"]);
    // A key without credits has no refill to lose, and goes on without.
    assert_eq!(admin.update(asked(None), &["credits"]).await.unwrap().credits, None);
    assert_eq!(admin.update(asked(None), &["credits.refill"]).await.unwrap().credits, None);
    let unknown = admin.update(asked(None), &["credits.epoch"]).await;
    let status = check_error(unknown, Code::InvalidArgument, ErrorReason::FieldInvalid);
    assert!(status.message().contains("credits.remaining"), "{status:?}");
    service.stop().await;
}
