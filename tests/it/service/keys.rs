//! A key's life: create, rotate, revoke, delete.

use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::{Clock, ManualClock, SystemClock};
use portcullis::grpc::pb::create_api_key_request::Expiration;
use portcullis::grpc::pb::revoke_api_key_request::Target;
use portcullis::grpc::pb::{
    self, ApiKeyState, CreateApiKeyRequest, DeleteApiKeyRequest, ErrorReason, HashPolicy, RevocationReason,
    RevokeApiKeyRequest, RotateApiKeyRequest, Verdict,
};
use prost_types::value::Kind;
use tonic::{Code, Status};

use super::{Backend, over_both_stores};
use crate::support::service::{Service, bad_fields, check_error, details, eventually, new_key};

over_both_stores![
    a_keys_whole_life,
    what_was_asked_for_is_what_one_gets,
    an_expiring_key_expires,
    a_rotation_overlaps,
    a_second_rotation_retires_the_oldest_secret,
    an_overlap_is_not_cut_short_unasked,
    an_ended_key_cannot_be_rotated,
    revoking_again_changes_nothing,
    a_leaked_secret_revokes_its_key,
    a_secret_in_place_of_an_id_is_recognized,
    a_deleted_key_is_gone,
    a_request_id_makes_one_key,
    argon2id_keys_work_alike,
    last_use_is_noted,
];

async fn a_keys_whole_life(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let scopes = vec!["orders:read".to_owned(), "orders:write".to_owned()];
    let (key, secret) = admin.create(CreateApiKeyRequest { scopes, ..new_key("life") }).await;
    assert_eq!(admin.verdict(&secret).await, Verdict::Valid);

    let narrowed = pb::ApiKey { id: key.id.clone(), scopes: vec!["orders:read".into()], ..Default::default() };
    assert_eq!(admin.update(narrowed, &["scopes"]).await.unwrap().scopes, ["orders:read"]);
    let demand = |scope: &str| pb::VerifyRequest {
        key: secret.clone(),
        required_scopes: vec![scope.into()],
        ..Default::default()
    };
    assert_eq!(admin.verify_of(demand("orders:read")).await.verdict(), Verdict::Valid);
    assert_eq!(admin.verify_of(demand("orders:write")).await.verdict(), Verdict::InsufficientScope);

    let overlap = Some(prost_types::Duration { seconds: 3600, nanos: 0 });
    let rotated = admin
        .keys
        .rotate_api_key(RotateApiKeyRequest { id: key.id.clone(), overlap, ..Default::default() })
        .await
        .unwrap();
    let rotated = rotated.into_inner();
    assert_eq!(rotated.api_key.as_ref().unwrap().id, key.id);
    assert_eq!(admin.verdict(&secret).await, Verdict::Valid);
    assert_eq!(admin.verdict(&rotated.secret).await, Verdict::Valid);

    let revoked = admin.revoke(&key.id).await;
    assert_eq!(revoked.state(), ApiKeyState::Revoked);
    assert!(revoked.secrets.is_empty());
    assert_eq!(admin.verdict(&secret).await, Verdict::Revoked);
    assert_eq!(admin.verdict(&rotated.secret).await, Verdict::Revoked);
    service.stop().await;
}

async fn what_was_asked_for_is_what_one_gets(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let claims = prost_types::Struct {
        fields: [("plan".to_owned(), prost_types::Value { kind: Some(Kind::StringValue("pro \0 e\u{301}".into())) })]
            .into(),
    };
    let request = CreateApiKeyRequest {
        name: "👩‍👩‍👧 مفتاح e\u{301}".into(),
        subject: "org_7:a@b/c-d.e".into(),
        description: "two\nlines\tand a tab".into(),
        scopes: vec!["b".into(), "a".into(), "b".into()],
        claims: Some(claims.clone()),
        metadata: [("team".to_owned(), "Ω — prod".to_owned()), ("empty".to_owned(), String::new())].into(),
        expiration: Some(Expiration::Ttl(prost_types::Duration { seconds: 86_400, nanos: 0 })),
        created_by: "user_9".into(),
        ..Default::default()
    };
    let (key, secret) = admin.create(request.clone()).await;
    assert!(key.id.starts_with("key_") && key.id.len() == 30, "{}", key.id);
    assert_eq!(key.keyspace, "default");
    assert_eq!((&key.name, &key.subject, &key.description), (&request.name, &request.subject, &request.description));
    assert_eq!(key.scopes, ["b", "a"], "duplicates are folded, order is kept");
    assert_eq!((&key.claims, &key.metadata), (&Some(claims), &request.metadata));
    assert_eq!(key.state(), ApiKeyState::Active);
    assert!(key.enabled);
    assert_eq!(key.created_by, "user_9");
    let (created, expires) = (key.create_time.unwrap(), key.expire_time.unwrap());
    assert_eq!((expires.seconds - created.seconds, expires.nanos), (86_400, created.nanos));
    assert_eq!(key.update_time, key.create_time);
    assert!(key.revoke_time.is_none() && key.last_use_time.is_none());
    assert_eq!(key.hint, format!("{}…", &secret[.."ak_".len() + 4]));
    assert_eq!(key.secrets.len(), 1);
    assert_eq!(key.secrets[0].hint, key.hint);
    assert!(!key.etag.is_empty());
    assert_eq!(admin.get(&key.id).await.unwrap(), key);
    service.stop().await;
}

async fn an_expiring_key_expires(backend: Backend) {
    let clock = ManualClock::new(SystemClock.now());
    let service = Service::start_with(backend, Arc::new(clock.clone())).await;
    let mut admin = service.admin();
    let ttl = Expiration::Ttl(prost_types::Duration { seconds: 60, nanos: 0 });
    let (key, secret) = admin.create(CreateApiKeyRequest { expiration: Some(ttl), ..new_key("brief") }).await;
    clock.advance(Duration::from_micros(59_999_999));
    assert_eq!(admin.verdict(&secret).await, Verdict::Valid);
    clock.advance(Duration::from_micros(1));
    assert_eq!(admin.verdict(&secret).await, Verdict::Expired, "the expiry itself is not valid any more");
    assert_eq!(admin.get(&key.id).await.unwrap().state(), ApiKeyState::Expired);
    service.stop().await;
}

async fn a_rotation_overlaps(backend: Backend) {
    let clock = ManualClock::new(SystemClock.now());
    let service = Service::start_with(backend, Arc::new(clock.clone())).await;
    let mut admin = service.admin();
    let (key, old) = admin.create(new_key("roller")).await;
    let overlap = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let rotated = admin
        .keys
        .rotate_api_key(RotateApiKeyRequest { id: key.id.clone(), overlap, ..Default::default() })
        .await
        .unwrap();
    let rotated = rotated.into_inner();
    let shown = rotated.api_key.unwrap();
    assert_eq!(shown.secrets.len(), 2);
    assert_eq!(shown.secrets[0].expire_time, None);
    assert_eq!(shown.secrets[1].expire_time, rotated.previous_secret_expire_time);
    assert_eq!(shown.secrets[1].hint, key.hint);
    clock.advance(Duration::from_mins(1));
    assert_eq!(admin.verdict(&old).await, Verdict::NotFound);
    assert_eq!(admin.verdict(&rotated.secret).await, Verdict::Valid);
    assert_eq!(admin.get(&key.id).await.unwrap().secrets.len(), 1);

    let at_once = RotateApiKeyRequest { id: key.id.clone(), overlap: None, ..Default::default() };
    let newest = admin.keys.rotate_api_key(at_once).await.unwrap().into_inner();
    assert_eq!(admin.verdict(&rotated.secret).await, Verdict::NotFound);
    assert_eq!(admin.verdict(&newest.secret).await, Verdict::Valid);

    for seconds in [-1, 30 * 86_400 + 1, i64::MAX, i64::MIN] {
        let overlap = Some(prost_types::Duration { seconds, nanos: 0 });
        let refused =
            admin.keys.rotate_api_key(RotateApiKeyRequest { id: key.id.clone(), overlap, ..Default::default() }).await;
        assert_eq!(bad_fields(refused), ["overlap"]);
    }
    service.stop().await;
}

async fn a_second_rotation_retires_the_oldest_secret(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, first) = admin.create(new_key("twice")).await;
    let request = RotateApiKeyRequest {
        id: key.id.clone(),
        overlap: Some(prost_types::Duration { seconds: 30 * 86_400, nanos: 0 }),
        end_overlap: true,
    };
    let second = admin.keys.rotate_api_key(request.clone()).await.unwrap().into_inner().secret;
    let third = admin.keys.rotate_api_key(request).await.unwrap().into_inner();
    assert_eq!(third.api_key.unwrap().secrets.len(), 2);
    assert_eq!(admin.verdict(&first).await, Verdict::NotFound);
    assert_eq!(admin.verdict(&second).await, Verdict::Valid);
    assert_eq!(admin.verdict(&third.secret).await, Verdict::Valid);
    service.stop().await;
}

async fn an_overlap_is_not_cut_short_unasked(backend: Backend) {
    let clock = ManualClock::new(SystemClock.now());
    let service = Service::start_with(backend, Arc::new(clock.clone())).await;
    let mut admin = service.admin();
    let (key, first) = admin.create(new_key("overlapping")).await;
    let rotate = |seconds| RotateApiKeyRequest {
        id: key.id.clone(),
        overlap: Some(prost_types::Duration { seconds, nanos: 0 }),
        ..Default::default()
    };
    let second = admin.keys.rotate_api_key(rotate(3_600)).await.unwrap().into_inner();
    let rotated = second.api_key.unwrap();
    for seconds in [3_600, 0, 30 * 86_400] {
        let refused = admin.keys.rotate_api_key(rotate(seconds)).await;
        let status = check_error(refused, Code::FailedPrecondition, ErrorReason::OverlapActive);
        assert!(status.message().contains(&key.hint) && !status.message().contains(&first), "{status:?}");
    }
    assert_eq!(admin.get(&key.id).await.unwrap(), rotated, "nothing was changed");
    for secret in [&first, &second.secret] {
        assert_eq!(admin.verdict(secret).await, Verdict::Valid);
    }
    // It can be ended without a rotation.
    let api_key = Some(pb::ApiKey { id: key.id.clone(), ..Default::default() });
    let end = pb::UpdateApiKeyRequest { api_key, end_overlap: true, ..Default::default() };
    let ended = admin.keys.update_api_key(end.clone()).await.unwrap().into_inner().api_key.unwrap();
    assert_eq!(ended.secrets.iter().map(|secret| secret.hint.as_str()).collect::<Vec<_>>(), [rotated.hint.as_str()]);
    assert_eq!(admin.verdict(&first).await, Verdict::NotFound);
    assert_eq!(admin.verdict(&second.secret).await, Verdict::Valid);
    let again = admin.keys.update_api_key(end).await.unwrap().into_inner().api_key.unwrap();
    assert_eq!(again, ended, "there is none to end");
    // Once it is over, nothing is asked.
    let third = admin.keys.rotate_api_key(rotate(60)).await.unwrap().into_inner();
    clock.advance(Duration::from_mins(1));
    admin.keys.rotate_api_key(rotate(60)).await.unwrap();
    let asked = RotateApiKeyRequest { end_overlap: true, ..rotate(60) };
    admin.keys.rotate_api_key(asked).await.unwrap();
    assert_eq!(admin.verdict(&third.secret).await, Verdict::NotFound);
    service.stop().await;
}

async fn an_ended_key_cannot_be_rotated(backend: Backend) {
    let clock = ManualClock::new(SystemClock.now());
    let service = Service::start_with(backend, Arc::new(clock.clone())).await;
    let mut admin = service.admin();
    let ttl = Expiration::Ttl(prost_types::Duration { seconds: 1, nanos: 0 });
    let (expired, _) = admin.create(CreateApiKeyRequest { expiration: Some(ttl), ..new_key("brief") }).await;
    clock.advance(Duration::from_secs(1));
    let (revoked, _) = admin.create(new_key("bad")).await;
    admin.revoke(&revoked.id).await;
    for (id, reason) in [(expired.id, ErrorReason::KeyExpired), (revoked.id, ErrorReason::KeyRevoked)] {
        let refused = admin.keys.rotate_api_key(RotateApiKeyRequest { id, overlap: None, ..Default::default() }).await;
        check_error(refused, Code::FailedPrecondition, reason);
    }
    service.stop().await;
}

async fn revoking_again_changes_nothing(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, _) = admin.create(new_key("bad")).await;
    let request = |reason: RevocationReason, comment: &str| RevokeApiKeyRequest {
        target: Some(Target::Id(key.id.clone())),
        reason: reason.into(),
        comment: comment.into(),
        ..Default::default()
    };
    let first = admin.keys.revoke_api_key(request(RevocationReason::KeyCompromise, "on a screenshot")).await;
    let first = first.unwrap().into_inner().api_key.unwrap();
    assert_eq!(first.revocation_reason(), RevocationReason::KeyCompromise);
    assert_eq!(first.revocation_comment, "on a screenshot");
    assert!(first.revoke_time.is_some());
    let again = admin.keys.revoke_api_key(request(RevocationReason::Superseded, "again")).await;
    assert_eq!(again.unwrap().into_inner().api_key.unwrap(), first);
    // Nothing brings it back.
    let on = pb::ApiKey { id: key.id.clone(), enabled: true, ..Default::default() };
    assert_eq!(admin.update(on, &["enabled", "expire_time"]).await.unwrap().state(), ApiKeyState::Revoked);

    let mut bad = request(RevocationReason::Unspecified, &"x".repeat(1_001));
    bad.reason = 99;
    assert_eq!(bad_fields(admin.keys.revoke_api_key(bad).await), ["reason", "comment"]);
    assert_eq!(bad_fields(admin.keys.revoke_api_key(RevokeApiKeyRequest::default()).await), ["target"]);
    service.stop().await;
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Status>, field: &str, secret: &str) {
    let status = result.unwrap_err();
    assert!(!format!("{status:?}").contains(secret.trim()), "{status:?}");
    assert!(status.message().contains("must be an id; holds the secret of "), "{status:?}");
    assert_eq!(bad_fields(Err::<(), _>(status)), [field]);
}

/// A secret that stands where an id belongs is no key that is not there, and is not repeated.
async fn a_secret_in_place_of_an_id_is_recognized(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (_, secret) = admin.create(new_key("leaked")).await;
    let (root_key, root_secret) = admin
        .create(pb::CreateApiKeyRequest {
            keyspace: "system".into(),
            scopes: vec!["keys:verify".into()],
            ..new_key("leaked too")
        })
        .await;
    for secret in [&secret, &root_secret, &format!("\u{feff}{secret}\n")] {
        let id = secret.clone();
        refused(admin.get(secret).await, "id", secret);
        let key = pb::ApiKey { id: id.clone(), name: "n".into(), ..Default::default() };
        refused(admin.update(key, &["name"]).await, "api_key.id", secret);
        let rotate = pb::RotateApiKeyRequest { id: id.clone(), ..Default::default() };
        refused(admin.keys.rotate_api_key(rotate).await, "id", secret);
        let revoke = RevokeApiKeyRequest { target: Some(Target::Id(id.clone())), ..Default::default() };
        refused(admin.keys.revoke_api_key(revoke).await, "id", secret);
        refused(
            admin.keys.delete_api_key(pb::DeleteApiKeyRequest { id: id.clone(), ..Default::default() }).await,
            "id",
            secret,
        );
        let events = pb::ListAuditEventsRequest { key_id: id.clone(), ..Default::default() };
        refused(admin.audit.list_audit_events(events).await, "key_id", secret);
        let events = pb::ListAuditEventsRequest { actor: id.clone(), ..Default::default() };
        refused(admin.audit.list_audit_events(events).await, "actor", secret);
        let usage = pb::QueryUsageRequest {
            key_id: id,
            granularity: pb::UsageGranularity::Total.into(),
            group_by: pb::UsageGroup::Key.into(),
            ..Default::default()
        };
        refused(admin.usage.query_usage(usage).await, "key_id", secret);
        let list = pb::ListApiKeysRequest { keyspace: secret.clone(), ..Default::default() };
        let status = admin.keys.list_api_keys(list).await.unwrap_err();
        assert!(!format!("{status:?}").contains(secret.trim()), "{status:?}");
    }
    let target = Some(Target::Secret(root_secret));
    let revoked = admin.keys.revoke_api_key(RevokeApiKeyRequest { target, ..Default::default() }).await.unwrap();
    assert_eq!(revoked.into_inner().api_key.unwrap().id, root_key.id);
    service.stop().await;
}

async fn a_leaked_secret_revokes_its_key(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(new_key("leaked")).await;
    let by_secret =
        |secret: &str| RevokeApiKeyRequest { target: Some(Target::Secret(secret.into())), ..Default::default() };
    let (_, other) = admin.create(new_key("other")).await;
    // The lookup alone is public; it must not be enough.
    let forged = forge(&secret, &other);
    check_error(admin.keys.revoke_api_key(by_secret(&forged)).await, Code::NotFound, ErrorReason::KeyNotFound);
    check_error(admin.keys.revoke_api_key(by_secret("rubbish")).await, Code::NotFound, ErrorReason::KeyNotFound);
    assert_eq!(bad_fields(admin.keys.revoke_api_key(by_secret(&key.id)).await), ["secret"]);
    // Of several keys none is revoked, and a broken one is no key. What was sent is not repeated.
    let several = admin.keys.revoke_api_key(by_secret(&format!("{secret} and {other}"))).await;
    let told = format!("{several:?}");
    assert!(told.contains("holds 2") && !told.contains(&secret[..20]), "{told}");
    assert_eq!(bad_fields(several), ["secret"]);
    let broken = admin.keys.revoke_api_key(by_secret(&format!("key={}0", &secret[..secret.len() - 1]))).await;
    let told = check_error(broken, Code::NotFound, ErrorReason::KeyNotFound);
    assert!(told.message().contains("wrong checksum") && !told.message().contains(&secret[..20]), "{told:?}");
    let long = admin.keys.revoke_api_key(by_secret(&format!("{}{secret}", "x".repeat(64 * 1024)))).await;
    assert_eq!(bad_fields(long), ["secret"]);
    assert_eq!(admin.verdict(&secret).await, Verdict::Valid);
    let line = format!("GET /?token%3D{secret}_old HTTP/1.1");
    let by_line = admin.keys.revoke_api_key(by_secret(&line)).await.unwrap().into_inner().api_key.unwrap();
    assert_eq!(by_line.id, key.id);
    // As it stands in the file or the log that it leaked into.
    let wrapped = format!("export ACME_KEY=\"Bearer {secret}\"\n");
    let revoked = admin.keys.revoke_api_key(by_secret(&wrapped)).await.unwrap().into_inner().api_key.unwrap();
    assert_eq!((revoked.id.as_str(), revoked.state()), (key.id.as_str(), ApiKeyState::Revoked));
    let again = admin.keys.revoke_api_key(by_secret(&secret)).await.unwrap().into_inner().api_key.unwrap();
    assert_eq!(again, revoked);
    assert_eq!(admin.verdict(&other).await, Verdict::Valid);
    service.stop().await;
}

/// A well-formed key string with the lookup of one key and the secret part of another.
fn forge(lookup_of: &str, secret_of: &str) -> String {
    let body = "ak_".len();
    let signed = format!("{}{}", &lookup_of[..body + 16], &secret_of[body + 16..body + 48]);
    let mut rest = crc32fast::hash(signed.as_bytes());
    let mut check = String::new();
    for _ in 0..6 {
        let digit = (rest % 62) as usize;
        let alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        check.insert(0, alphabet.as_bytes()[digit] as char);
        rest /= 62;
    }
    signed + &check
}

async fn a_deleted_key_is_gone(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(new_key("gone")).await;
    let request = DeleteApiKeyRequest { id: key.id.clone(), ..Default::default() };
    admin.keys.delete_api_key(request.clone()).await.unwrap();
    assert_eq!(admin.verdict(&secret).await, Verdict::NotFound);
    check_error(admin.get(&key.id).await, Code::NotFound, ErrorReason::KeyNotFound);
    check_error(admin.keys.delete_api_key(request).await, Code::NotFound, ErrorReason::KeyNotFound);
    service.stop().await;
}

async fn a_request_id_makes_one_key(backend: Backend) {
    let clock = ManualClock::new(SystemClock.now());
    let service = Service::start_with(backend, Arc::new(clock.clone())).await;
    let mut admin = service.admin();
    let request = CreateApiKeyRequest { request_id: "0b9c-1".into(), ..new_key("once") };
    let (key, _) = admin.create(request.clone()).await;
    let status =
        check_error(admin.keys.create_api_key(request.clone()).await, Code::AlreadyExists, ErrorReason::RequestIdUsed);
    assert_eq!(details(&status).error_info().unwrap().metadata["key_id"], key.id);
    admin.create_keyspace("other").await;
    admin.create(CreateApiKeyRequest { keyspace: "other".into(), ..request.clone() }).await;
    clock.advance(Duration::from_hours(24) + Duration::from_secs(1));
    let (later, _) = admin.create(request).await;
    assert_ne!(later.id, key.id);
    service.stop().await;
}

async fn argon2id_keys_work_alike(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let keyspace = pb::Keyspace {
        id: "audited".into(),
        key_prefix: "bank_live".into(),
        hash_policy: HashPolicy::Argon2id.into(),
        ..Default::default()
    };
    admin.create_keyspace_of(keyspace).await;
    let request = CreateApiKeyRequest { keyspace: "audited".into(), ..new_key("slow") };
    let (key, secret) = admin.create(request).await;
    assert!(secret.starts_with("bank_live_"), "the prefix is the keyspace's");
    for _ in 0..2 {
        assert_eq!(admin.verdict(&secret).await, Verdict::Valid);
    }
    let rotated = admin
        .keys
        .rotate_api_key(RotateApiKeyRequest { id: key.id, overlap: None, ..Default::default() })
        .await
        .unwrap();
    assert_eq!(admin.verdict(&secret).await, Verdict::NotFound);
    assert_eq!(admin.verdict(&rotated.into_inner().secret).await, Verdict::Valid);
    service.stop().await;
}

async fn last_use_is_noted(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(new_key("used")).await;
    let before = admin.get(&key.id).await.unwrap();
    assert_eq!(before.last_use_time, None);
    assert_eq!(admin.verdict(&secret).await, Verdict::Valid);
    let used = eventually("the last use", async || {
        let key = service.admin().get(&key.id).await.unwrap();
        key.last_use_time.is_some().then_some(key)
    })
    .await;
    assert_eq!(used.etag, before.etag, "use is no change");
    assert_eq!(used.update_time, before.update_time);
    service.stop().await;
}
