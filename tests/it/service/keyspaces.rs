//! Keyspaces: their life, and the rules that their keys are issued by.

use portcullis::grpc::pb::create_api_key_request::Expiration;
use portcullis::grpc::pb::{
    self, CreateApiKeyRequest, CreateKeyspaceRequest, DeleteApiKeyRequest, DeleteKeyspaceRequest, ErrorReason,
    GetKeyspaceRequest, HashPolicy, Keyspace, ListKeyspacesRequest, UpdateKeyspaceRequest,
};
use tonic::{Code, Status};

use super::{Backend, over_both_stores};
use crate::support::service::{Caller, Service, bad_fields, check_error, field_mask, new_key};

over_both_stores![
    default_and_system_always_exist,
    a_keyspaces_whole_life,
    bad_keyspaces_are_refused_by_name,
    subjects_are_held_to_their_types,
    lifetimes_are_held_to_the_keyspaces,
    keyspaces_come_in_pages,
    without_a_mask_fields_of_messages_stay,
];

#[expect(clippy::unnecessary_wraps, reason = "as the fields want it")]
fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

async fn get(caller: &mut Caller, id: &str) -> Result<Keyspace, Status> {
    let request = GetKeyspaceRequest { id: id.into() };
    Ok(caller.keyspaces.get_keyspace(request).await?.into_inner().keyspace.expect("it"))
}

async fn update(caller: &mut Caller, keyspace: Keyspace, mask: &[&str]) -> Result<Keyspace, Status> {
    let request = UpdateKeyspaceRequest { keyspace: Some(keyspace), update_mask: Some(field_mask(mask)) };
    Ok(caller.keyspaces.update_keyspace(request).await?.into_inner().keyspace.expect("it"))
}

async fn default_and_system_always_exist(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    assert_eq!(get(&mut admin, "default").await.unwrap().key_prefix, "ak");
    assert_eq!(get(&mut admin, "system").await.unwrap().key_prefix, "root");
    for id in ["default", "system"] {
        let refused = admin.keyspaces.delete_keyspace(DeleteKeyspaceRequest { id: id.into() }).await;
        check_error(refused, Code::FailedPrecondition, ErrorReason::KeyspaceReserved);
        let refused = admin.keyspaces.create_keyspace(CreateKeyspaceRequest { keyspace: Some(named(id)) }).await;
        check_error(refused, Code::AlreadyExists, ErrorReason::KeyspaceExists);
    }
    let refused = update(&mut admin, Keyspace { display_name: "x".into(), ..named("system") }, &["display_name"]).await;
    check_error(refused, Code::FailedPrecondition, ErrorReason::KeyspaceReserved);
    let renamed = Keyspace { key_prefix: "ak_live".into(), ..named("default") };
    update(&mut admin, renamed, &["key_prefix"]).await.unwrap();
    let (key, secret) = admin.create(new_key("k")).await;
    assert!(secret.starts_with("ak_live_") && key.hint.starts_with("ak_live_"));
    service.stop().await;
}

fn named(id: &str) -> Keyspace {
    Keyspace { id: id.into(), ..Default::default() }
}

async fn a_keyspaces_whole_life(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let asked = Keyspace {
        display_name: "Production — EU".into(),
        key_prefix: "ak_eu1".into(),
        allowed_subject_types: vec!["user".into(), "org".into()],
        default_ttl: seconds(3600),
        max_ttl: seconds(86_400),
        allow_wildcard_scopes: true,
        hash_policy: HashPolicy::Sha256.into(),
        ..named("prod-eu")
    };
    let made = admin.create_keyspace_of(asked.clone()).await;
    let (create_time, update_time, etag) = (made.create_time, made.update_time, made.etag.clone());
    assert_eq!(made, Keyspace { create_time, update_time, etag: etag.clone(), ..asked });
    assert_eq!(get(&mut admin, "prod-eu").await.unwrap(), made);

    // Changing nothing keeps the etag; changing something does not; a stale one is refused.
    let same = Keyspace { etag: etag.clone(), ..made.clone() };
    assert_eq!(update(&mut admin, same, &["*"]).await.unwrap(), made);
    let cleared = Keyspace { etag: etag.clone(), ..named("prod-eu") };
    let changed = update(&mut admin, cleared.clone(), &["default_ttl", "max_ttl"]).await.unwrap();
    assert_eq!((changed.default_ttl, changed.max_ttl), (None, None));
    assert_ne!(changed.etag, etag);
    check_error(update(&mut admin, cleared, &["display_name"]).await, Code::Aborted, ErrorReason::EtagMismatch);

    let (key, _) = admin.create(CreateApiKeyRequest { keyspace: "prod-eu".into(), ..new_key("k") }).await;
    admin.revoke(&key.id).await;
    let delete = || DeleteKeyspaceRequest { id: "prod-eu".into() };
    let refused = admin.keyspaces.delete_keyspace(delete()).await;
    check_error(refused, Code::FailedPrecondition, ErrorReason::KeyspaceNotEmpty);
    admin.keys.delete_api_key(DeleteApiKeyRequest { id: key.id, ..Default::default() }).await.unwrap();
    admin.keyspaces.delete_keyspace(delete()).await.unwrap();
    check_error(get(&mut admin, "prod-eu").await, Code::NotFound, ErrorReason::KeyspaceNotFound);
    check_error(admin.keyspaces.delete_keyspace(delete()).await, Code::NotFound, ErrorReason::KeyspaceNotFound);
    let orphan = CreateApiKeyRequest { keyspace: "prod-eu".into(), ..new_key("k") };
    check_error(admin.keys.create_api_key(orphan).await, Code::NotFound, ErrorReason::KeyspaceNotFound);
    service.stop().await;
}

async fn bad_keyspaces_are_refused_by_name(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let all_bad = Keyspace {
        id: "Prod".into(),
        display_name: " x".into(),
        key_prefix: "a__b".into(),
        allowed_subject_types: vec!["user".into(), "a_b".into(), String::new()],
        default_ttl: seconds(0),
        max_ttl: seconds(-5),
        hash_policy: 9,
        ..Default::default()
    };
    let refused = admin.keyspaces.create_keyspace(CreateKeyspaceRequest { keyspace: Some(all_bad) }).await;
    let expect = [
        "keyspace.id",
        "keyspace.display_name",
        "keyspace.key_prefix",
        "keyspace.allowed_subject_types[1]",
        "keyspace.allowed_subject_types[2]",
        "keyspace.default_ttl",
        "keyspace.max_ttl",
        "keyspace.hash_policy",
    ];
    assert_eq!(bad_fields(refused), expect);
    let cases = [
        ("keyspace.id", named(&"a".repeat(41))),
        ("keyspace.id", named("9a")),
        ("keyspace.id", named("")),
        ("keyspace.key_prefix", Keyspace { key_prefix: "root".into(), ..named("a") }),
        ("keyspace.key_prefix", Keyspace { key_prefix: "a".repeat(25), ..named("a") }),
        ("keyspace.default_ttl", Keyspace { default_ttl: seconds(2), max_ttl: seconds(1), ..named("a") }),
        ("keyspace.max_ttl", Keyspace { max_ttl: seconds(100 * 31_557_600 + 1), ..named("a") }),
        ("keyspace.allowed_subject_types", Keyspace { allowed_subject_types: vec!["t".into(); 21], ..named("a") }),
    ];
    for (field, keyspace) in cases {
        let refused = admin.keyspaces.create_keyspace(CreateKeyspaceRequest { keyspace: Some(keyspace) }).await;
        assert_eq!(bad_fields(refused), [field]);
    }
    let refused = update(&mut admin, named("default"), &["id", "create_time", "name"]).await;
    assert_eq!(bad_fields(refused), ["update_mask"; 3]);
    service.stop().await;
}

async fn subjects_are_held_to_their_types(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let allowed_subject_types = vec!["user".into(), "org".into()];
    admin.create_keyspace_of(Keyspace { allowed_subject_types, ..named("typed") }).await;
    let of = |subject: &str| CreateApiKeyRequest { keyspace: "typed".into(), subject: subject.into(), ..new_key("k") };
    for good in ["user_1", "org_a_b"] {
        admin.create(of(good)).await;
    }
    for bad in ["user", "users_1", "machine_1", "_1", "USER_1"] {
        assert_eq!(bad_fields(admin.keys.create_api_key(of(bad)).await), ["subject"], "{bad}");
    }
    service.stop().await;
}

async fn lifetimes_are_held_to_the_keyspaces(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    admin.create_keyspace_of(Keyspace { default_ttl: seconds(60), max_ttl: seconds(120), ..named("brief") }).await;
    admin.create_keyspace_of(Keyspace { max_ttl: seconds(120), ..named("capped") }).await;
    let of = |keyspace: &str, ttl: Option<i64>| CreateApiKeyRequest {
        keyspace: keyspace.into(),
        expiration: ttl.and_then(seconds).map(Expiration::Ttl),
        ..new_key("k")
    };
    let life = |key: &pb::ApiKey| key.expire_time.unwrap().seconds - key.create_time.unwrap().seconds;
    assert_eq!(life(&admin.create(of("brief", None)).await.0), 60);
    assert_eq!(life(&admin.create(of("brief", Some(120))).await.0), 120);
    assert_eq!(life(&admin.create(of("capped", None)).await.0), 120, "for ever is longer than the maximum");
    assert_eq!(bad_fields(admin.keys.create_api_key(of("brief", Some(121))).await), ["ttl"]);
    // The one that stays counts as well as the one that changes.
    let shorter = Keyspace { max_ttl: seconds(59), ..named("brief") };
    assert_eq!(bad_fields(update(&mut admin, shorter, &["max_ttl"]).await), ["keyspace.default_ttl"]);
    let longer = Keyspace { default_ttl: seconds(121), ..named("brief") };
    assert_eq!(bad_fields(update(&mut admin, longer, &["default_ttl"]).await), ["keyspace.default_ttl"]);
    let (key, _) = admin.create(of("capped", None)).await;
    let forever = pb::ApiKey { id: key.id.clone(), ..Default::default() };
    assert_eq!(bad_fields(admin.update(forever, &["expire_time"]).await), ["api_key.expire_time"]);
    let mut later = key.clone();
    later.expire_time.as_mut().unwrap().seconds += 3600;
    assert_eq!(bad_fields(admin.update(later, &["expire_time"]).await), ["api_key.expire_time"]);
    service.stop().await;
}

async fn keyspaces_come_in_pages(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    for id in ["c", "a-1", "b", "a"] {
        admin.create_keyspace(id).await;
    }
    let mut seen = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListKeyspacesRequest { page_size: 2, page_token };
        let page = admin.keyspaces.list_keyspaces(request).await.unwrap().into_inner();
        assert!(page.keyspaces.len() <= 2);
        seen.extend(page.keyspaces.into_iter().map(|keyspace| keyspace.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["a", "a-1", "b", "c", "default", "system"]);
    let mut without_system = service.caller_with(&["keyspaces:read"]).await;
    let page = without_system.keyspaces.list_keyspaces(ListKeyspacesRequest::default()).await.unwrap().into_inner();
    assert!(page.keyspaces.iter().all(|keyspace| keyspace.id != "system"));
    let bad = ListKeyspacesRequest { page_size: -1, page_token: "x".into() };
    assert_eq!(bad_fields(admin.keyspaces.list_keyspaces(bad).await), ["page_size", "page_token"]);
    service.stop().await;
}

async fn without_a_mask_fields_of_messages_stay(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let limits = pb::KeyspaceLimits { calls_max: Some(5), calls_per_second: Some(7), keys_max: Some(9) };
    let rate = pb::RateLimit { limit: 10, window: seconds(60), burst: 3, name: "m".into(), also: Vec::new() };
    let (default_rate_limit, some_limits) = (Some(rate.clone()), Some(limits));
    let acme = Keyspace { default_rate_limit, limits: some_limits, ..named("acme") };
    admin.create_keyspace_of(acme).await;
    let more = pb::KeyspaceLimits { keys_max: Some(90), ..Default::default() };
    let slower = pb::RateLimit { window: seconds(120), ..Default::default() };
    let asked = Keyspace { limits: Some(more), default_rate_limit: Some(slower), ..named("acme") };
    let changed = update(&mut admin, asked, &[]).await.unwrap();
    assert_eq!(changed.limits, Some(pb::KeyspaceLimits { keys_max: Some(90), ..limits }));
    assert_eq!(changed.default_rate_limit, Some(pb::RateLimit { window: seconds(120), ..rate }));
    let changed = update(&mut admin, named("acme"), &["limits.calls_max", "default_rate_limit"]).await.unwrap();
    let expect = pb::KeyspaceLimits { keys_max: Some(90), calls_max: None, ..limits };
    assert_eq!((changed.limits, changed.default_rate_limit), (Some(expect), None));
    let empty = Keyspace { limits: Some(pb::KeyspaceLimits::default()), ..named("acme") };
    assert_eq!(update(&mut admin, empty, &[]).await.unwrap().limits, Some(expect));
    service.stop().await;
}
