//! Who may call what: decided before anything is validated or looked up.

use portcullis::grpc::pb::{
    self, CreateApiKeyRequest, DeleteApiKeyRequest, ErrorReason, GetApiKeyRequest, ListApiKeysRequest,
    RotateApiKeyRequest, VerifyRequest,
};
use tonic::Code;

use super::{Backend, over_both_stores};
use crate::support::http::Http;
use crate::support::raw::{Raw, framed};
use crate::support::service::{Caller, Service, check_error, details, new_key};

over_both_stores![
    without_a_root_key_nothing_is_answered,
    a_second_credential_is_refused,
    a_root_key_that_ended_opens_nothing,
    a_permission_opens_its_own_methods_only,
    a_permission_is_asked_for_before_the_request_is_read,
    a_permission_in_one_keyspace_stays_there,
    root_keys_belong_to_admins,
    root_keys_have_permissions_for_scopes,
    a_stranger_learns_nothing_from_a_bad_request,
    a_root_key_of_free_text_is_one_like_any_other,
];

async fn without_a_root_key_nothing_is_answered(backend: Backend) {
    let service = Service::start(backend).await;
    let (_, customers) = service.admin().create(new_key("k")).await;
    let nobody = service.stranger().verification.verify(VerifyRequest::default()).await;
    check_error(nobody, Code::Unauthenticated, ErrorReason::CredentialMissing);
    let long = "x".repeat(600);
    for credential in ["wrong", "", &service.root_key[..50], &customers, &long] {
        let mut caller = service.caller(credential);
        let refused = caller.verification.verify(VerifyRequest { key: customers.clone(), ..Default::default() }).await;
        check_error(refused, Code::Unauthenticated, ErrorReason::CredentialInvalid);
        let refused = caller.keys.list_api_keys(ListApiKeysRequest::default()).await;
        check_error(refused, Code::Unauthenticated, ErrorReason::CredentialInvalid);
    }
    service.stop().await;
}

/// What stands before the server may look at the last one, where the server would take the first.
async fn a_second_credential_is_refused(backend: Backend) {
    let service = Service::start(backend).await;
    let (_, key) = service.admin().create(new_key("k")).await;
    assert_eq!(service.admin().verdict(&key).await, pb::Verdict::Valid);
    let verify = VerifyRequest { key, ..Default::default() };
    let raw = Raw::connect(service.addr, &service.root_key).await;
    for second in ["Bearer nobody", &format!("Bearer {}", service.root_key)] {
        let request = raw.request("Verify").header("authorization", second);
        let refused = raw.call(request, vec![framed(&verify)], None).await.error();
        check_error(refused, Code::Unauthenticated, ErrorReason::CredentialInvalid);

        let first = format!("Bearer {}", service.root_key);
        for content_type in ["application/json", "application/grpc-web+proto"] {
            let headers =
                [("content-type", content_type), ("authorization", first.as_str()), ("authorization", second)];
            let mut http = Http::connect(service.addr).await;
            let path = "/portcullis.v1.VerificationService/Verify";
            let answer = http.call("POST", path, &headers, br#"{"key": "x"}"#).await;
            let said = format!("{} {:?} {}", answer.status, answer.headers, String::from_utf8_lossy(&answer.body));
            assert!(said.contains("401 ") || answer.header("grpc-status") == Some("16"), "{said}");
        }
    }
    service.stop().await;
}

async fn a_root_key_that_ended_opens_nothing(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let request =
        CreateApiKeyRequest { keyspace: "system".into(), scopes: vec!["keys:read".into()], ..new_key("caller") };
    let (key, secret) = admin.create(request).await;
    let mut caller = service.caller(&secret);
    caller.keys.list_api_keys(ListApiKeysRequest::default()).await.unwrap();
    let off = pb::ApiKey { id: key.id.clone(), ..Default::default() };
    admin.update(off, &["enabled"]).await.unwrap();
    let refused = caller.keys.list_api_keys(ListApiKeysRequest::default()).await;
    check_error(refused, Code::Unauthenticated, ErrorReason::CredentialInvalid);
    let on = pb::ApiKey { id: key.id.clone(), enabled: true, ..Default::default() };
    admin.update(on, &["enabled"]).await.unwrap();
    caller.keys.list_api_keys(ListApiKeysRequest::default()).await.unwrap();
    admin.revoke(&key.id).await;
    let refused = caller.keys.list_api_keys(ListApiKeysRequest::default()).await;
    check_error(refused, Code::Unauthenticated, ErrorReason::CredentialInvalid);
    service.stop().await;
}

/// Calls every method with empty or senseless requests and tells which ones were denied for want of permission.
async fn denied(caller: &mut Caller) -> Vec<&'static str> {
    let mut denied = Vec::new();
    macro_rules! call {
        ($client:ident.$method:ident($request:expr)) => {
            if let Err(status) = caller.$client.$method($request).await {
                assert_ne!(status.code(), Code::Unauthenticated);
                assert_ne!(status.code(), Code::Internal, "{status:?}");
                if status.code() == Code::PermissionDenied {
                    assert!(details(&status).error_info().unwrap().metadata.contains_key("permission"));
                    denied.push(stringify!($method));
                }
            }
        };
    }
    call!(keys.create_api_key(CreateApiKeyRequest::default()));
    call!(keys.get_api_key(GetApiKeyRequest::default()));
    call!(keys.list_api_keys(ListApiKeysRequest { page_size: -1, ..Default::default() }));
    call!(keys.update_api_key(pb::UpdateApiKeyRequest::default()));
    call!(keys.rotate_api_key(RotateApiKeyRequest::default()));
    call!(keys.revoke_api_key(pb::RevokeApiKeyRequest::default()));
    call!(keys.delete_api_key(DeleteApiKeyRequest::default()));
    call!(keys.verify_api_key(pb::VerifyApiKeyRequest::default()));
    call!(verification.verify(VerifyRequest::default()));
    call!(keyspaces.create_keyspace(pb::CreateKeyspaceRequest::default()));
    call!(keyspaces.get_keyspace(pb::GetKeyspaceRequest::default()));
    call!(keyspaces.list_keyspaces(pb::ListKeyspacesRequest::default()));
    call!(keyspaces.update_keyspace(pb::UpdateKeyspaceRequest::default()));
    call!(keyspaces.delete_keyspace(pb::DeleteKeyspaceRequest::default()));
    call!(audit.list_audit_events(pb::ListAuditEventsRequest::default()));
    call!(replicas.list_replicas(pb::ListReplicasRequest {}));
    denied
}

async fn a_permission_opens_its_own_methods_only(backend: Backend) {
    let service = Service::start(backend).await;
    let all = [
        ("keys:write", "create_api_key"),
        ("keys:read", "get_api_key"),
        ("keys:read", "list_api_keys"),
        ("keys:write", "update_api_key"),
        ("keys:write", "rotate_api_key"),
        ("keys:revoke", "revoke_api_key"),
        ("keys:revoke", "delete_api_key"),
        ("keys:verify", "verify_api_key"),
        ("keys:verify", "verify"),
        ("keyspaces:write", "create_keyspace"),
        ("keyspaces:read", "get_keyspace"),
        ("keyspaces:read", "list_keyspaces"),
        ("keyspaces:write", "update_keyspace"),
        ("keyspaces:write", "delete_keyspace"),
        ("audit:read", "list_audit_events"),
        ("admin", "list_replicas"),
    ];
    let permissions =
        ["keys:read", "keys:write", "keys:revoke", "keys:verify", "keyspaces:read", "keyspaces:write", "audit:read"];
    for permission in permissions {
        let closed: Vec<_> = all.iter().filter(|(opens, _)| *opens != permission).map(|(_, method)| *method).collect();
        assert_eq!(denied(&mut service.caller_with(&[permission]).await).await, closed, "with {permission}");
    }
    let everything: Vec<_> = all.iter().map(|(_, method)| *method).collect();
    assert_eq!(denied(&mut service.caller_with(&["usage:read"]).await).await, everything);
    assert_eq!(denied(&mut service.caller_with(&[]).await).await, everything);
    assert_eq!(denied(&mut service.admin()).await, [""; 0]);
    service.stop().await;
}

async fn a_permission_is_asked_for_before_the_request_is_read(backend: Backend) {
    let service = Service::start(backend).await;
    let (key, _) = service.admin().create(new_key("k")).await;
    let mut caller = service.caller_with(&["keys:verify"]).await;
    for id in [key.id.as_str(), "key_unknown", ""] {
        check_error(caller.get(id).await, Code::PermissionDenied, ErrorReason::PermissionMissing);
    }
    let rubbish = CreateApiKeyRequest { keyspace: "No Such".into(), name: "\0".into(), ..Default::default() };
    let refused = caller.keys.create_api_key(rubbish).await;
    check_error(refused, Code::PermissionDenied, ErrorReason::PermissionMissing);
    service.stop().await;
}

async fn a_permission_in_one_keyspace_stays_there(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    admin.create_keyspace("prod").await;
    admin.create_keyspace("dev").await;
    let (prod, _) = admin.create(CreateApiKeyRequest { keyspace: "prod".into(), ..new_key("p") }).await;
    let (dev, secret) = admin.create(CreateApiKeyRequest { keyspace: "dev".into(), ..new_key("d") }).await;
    let permissions = ["keys:read@dev", "keys:write@dev", "keys:revoke@dev", "keyspaces:read@dev", "audit:read@dev"];
    let mut caller = service.caller_with(&permissions).await;

    assert_eq!(caller.get(&dev.id).await.unwrap().id, dev.id);
    check_error(caller.get(&prod.id).await, Code::NotFound, ErrorReason::KeyNotFound);
    let change = |id: &str| pb::ApiKey { id: id.into(), name: "changed".into(), ..Default::default() };
    check_error(caller.update(change(&prod.id), &["name"]).await, Code::NotFound, ErrorReason::KeyNotFound);
    caller.update(change(&dev.id), &["name"]).await.unwrap();
    let rotate = RotateApiKeyRequest { id: prod.id.clone(), overlap: None, ..Default::default() };
    check_error(caller.keys.rotate_api_key(rotate).await, Code::NotFound, ErrorReason::KeyNotFound);
    let delete = DeleteApiKeyRequest { id: prod.id.clone(), ..Default::default() };
    check_error(caller.keys.delete_api_key(delete).await, Code::NotFound, ErrorReason::KeyNotFound);
    for keyspace in ["prod", "", "system", "never-made"] {
        let list = ListApiKeysRequest { keyspace: keyspace.into(), ..Default::default() };
        let refused = caller.keys.list_api_keys(list).await;
        check_error(refused, Code::PermissionDenied, ErrorReason::PermissionMissing);
        let create = CreateApiKeyRequest { keyspace: keyspace.into(), ..new_key("x") };
        let refused = caller.keys.create_api_key(create).await;
        check_error(refused, Code::PermissionDenied, ErrorReason::PermissionMissing);
    }
    let seen = caller.keyspaces.list_keyspaces(pb::ListKeyspacesRequest::default()).await.unwrap().into_inner();
    assert_eq!(seen.keyspaces.iter().map(|k| k.id.as_str()).collect::<Vec<_>>(), ["dev"]);
    let hidden = caller.keyspaces.get_keyspace(pb::GetKeyspaceRequest { id: "prod".into() }).await;
    check_error(hidden, Code::NotFound, ErrorReason::KeyspaceNotFound);
    let events = caller.audit.list_audit_events(pb::ListAuditEventsRequest::default()).await.unwrap().into_inner();
    assert!(!events.audit_events.is_empty());
    assert!(events.audit_events.iter().all(|event| event.keyspace == "dev"));
    // By secret, too, only what may be revoked is found.
    let target = Some(pb::revoke_api_key_request::Target::Secret(secret));
    caller.keys.revoke_api_key(pb::RevokeApiKeyRequest { target, ..Default::default() }).await.unwrap();
    service.stop().await;
}

async fn root_keys_belong_to_admins(backend: Backend) {
    let service = Service::start(backend).await;
    let all = ["keys:read", "keys:write", "keys:revoke", "keyspaces:read", "keyspaces:write", "audit:read"];
    let mut caller = service.caller_with(&all).await;
    let in_system =
        CreateApiKeyRequest { keyspace: "system".into(), scopes: vec!["admin".into()], ..new_key("escalation") };
    let refused = caller.keys.create_api_key(in_system.clone()).await;
    check_error(refused, Code::PermissionDenied, ErrorReason::PermissionMissing);
    let list = || ListApiKeysRequest { keyspace: "system".into(), ..Default::default() };
    let refused = caller.keys.list_api_keys(list()).await;
    check_error(refused, Code::PermissionDenied, ErrorReason::PermissionMissing);

    let mut admin = service.admin();
    let roots = admin.keys.list_api_keys(list()).await.unwrap().into_inner().api_keys;
    let first = roots.last().unwrap();
    check_error(caller.get(&first.id).await, Code::NotFound, ErrorReason::KeyNotFound);
    let target = Some(pb::revoke_api_key_request::Target::Id(first.id.clone()));
    let revoke = pb::RevokeApiKeyRequest { target, ..Default::default() };
    check_error(caller.keys.revoke_api_key(revoke).await, Code::NotFound, ErrorReason::KeyNotFound);
    let target = Some(pb::revoke_api_key_request::Target::Secret(service.root_key.clone()));
    let revoke = pb::RevokeApiKeyRequest { target, ..Default::default() };
    check_error(caller.keys.revoke_api_key(revoke).await, Code::NotFound, ErrorReason::KeyNotFound);
    let (_, secret) = admin.create(in_system).await;
    service.caller(&secret).keys.list_api_keys(list()).await.unwrap();
    service.stop().await;
}

async fn a_root_key_of_free_text_is_one_like_any_other(backend: Backend) {
    let text = "an-operators-own-words-are-long-enough";
    let service = Service::start_supplied(backend, text).await;
    let wrong =
        service.caller("an-operators-other-words-are-as-long").keys.list_api_keys(ListApiKeysRequest::default()).await;
    check_error(wrong, Code::Unauthenticated, ErrorReason::CredentialInvalid);
    let request = CreateApiKeyRequest { keyspace: "system".into(), scopes: vec!["admin".into()], ..new_key("another") };
    let (_, another) = service.admin().create(request).await;
    let mut another = service.caller(&another);
    let named = VerifyRequest { key: text.into(), keyspace: "system".into(), ..Default::default() };
    assert!(another.verify_of(named.clone()).await.valid);
    // It is no key of a customer's, nor of any known form as one.
    assert_eq!(another.verdict(text).await, pb::Verdict::Malformed);
    let target = Some(pb::revoke_api_key_request::Target::Secret(text.into()));
    another.keys.revoke_api_key(pb::RevokeApiKeyRequest { target, ..Default::default() }).await.unwrap();
    let ended = service.admin().keys.list_api_keys(ListApiKeysRequest::default()).await;
    check_error(ended, Code::Unauthenticated, ErrorReason::CredentialInvalid);
    assert_eq!(another.verify_of(named).await.verdict(), pb::Verdict::Revoked);
    service.stop().await;
}

async fn a_stranger_learns_nothing_from_a_bad_request(backend: Backend) {
    let service = Service::start(backend).await;
    let large = CreateApiKeyRequest { description: "x".repeat(1_100_000), ..new_key("n") };
    let refused = service.stranger().keys.create_api_key(large).await;
    check_error(refused, Code::Unauthenticated, ErrorReason::CredentialMissing);
    service.stop().await;
}

async fn root_keys_have_permissions_for_scopes(backend: Backend) {
    let service = Service::start(backend).await;
    let request = CreateApiKeyRequest {
        keyspace: "system".into(),
        scopes: ["keys:read", "orders:read", "keys:read@Nope", "admin@system", "keys:*"].map(String::from).into(),
        ..new_key("caller")
    };
    let refused = service.admin().keys.create_api_key(request).await;
    let found = crate::support::service::bad_fields(refused);
    assert_eq!(found, ["scopes[1]", "scopes[2]", "scopes[3]", "scopes[4]"]);
    service.stop().await;
}
