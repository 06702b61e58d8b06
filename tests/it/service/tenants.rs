//! A keyspace deleted and made again under its id: nothing of the former tenant's is the new one's, nor the other way.

use portcullis::grpc::pb;
use portcullis::grpc::pb::{
    CreateApiKeyRequest, DeleteApiKeyRequest, DeleteKeyspaceRequest, ErrorReason, ListApiKeysRequest,
    ListAuditEventsRequest, QueryUsageRequest, RotateApiKeyRequest, UsageGroup, VerifyRequest,
};
use tonic::Code;

use super::{Backend, over_both_stores};
use crate::support::service::{Caller, Service, bad_fields, check_error, details, new_key};
use crate::support::talk::Talk;

over_both_stores![
    a_former_tenants_rights_end,
    a_permission_for_no_keyspace_is_refused,
    a_former_tenants_events_are_its_own,
    pages_do_not_go_on_in_another_keyspace,
];

fn of_acme(name: &str) -> CreateApiKeyRequest {
    CreateApiKeyRequest { keyspace: "acme".into(), ..new_key(name) }
}

async fn delete(admin: &mut Caller, keys: &[&str]) {
    for id in keys {
        admin
            .keys
            .delete_api_key(DeleteApiKeyRequest { id: (*id).into(), ..Default::default() })
            .await
            .expect("deleted");
    }
    admin.keyspaces.delete_keyspace(DeleteKeyspaceRequest { id: "acme".into() }).await.expect("deleted");
}

fn denied<T: std::fmt::Debug>(result: Result<T, tonic::Status>) {
    check_error(result, Code::PermissionDenied, ErrorReason::PermissionMissing);
}

async fn a_former_tenants_rights_end(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    admin.create_keyspace("acme").await;
    let all = ["keys:read@acme", "keys:write@acme", "keys:verify@acme", "audit:read@acme", "usage:read@acme"];
    let mut former = service.caller_with(&all).await;
    let (key, secret) = admin.create(of_acme("old")).await;
    assert!(former.verify(&secret).await.valid);
    let mut talk = Talk::begin(&mut former).await;
    talk.verdict(&secret).await.expect("a verdict");
    delete(&mut admin, &[&key.id]).await;

    admin.create_keyspace("acme").await;
    let (key, secret) = admin.create(of_acme("new")).await;
    let list = ListApiKeysRequest { keyspace: "acme".into(), ..Default::default() };
    denied(former.keys.list_api_keys(list).await);
    denied(
        former
            .keys
            .rotate_api_key(RotateApiKeyRequest { id: key.id.clone(), overlap: None, ..Default::default() })
            .await,
    );
    denied(former.keys.create_api_key(of_acme("mine")).await);
    denied(former.audit.list_audit_events(ListAuditEventsRequest::default()).await);
    denied(former.usage.query_usage(QueryUsageRequest { keyspace: "acme".into(), ..Default::default() }).await);
    denied(former.verification.verify(VerifyRequest { key: secret.clone(), ..Default::default() }).await);
    denied(talk.verdict(&secret).await);
    assert_eq!(admin.get(&key.id).await.unwrap().etag, key.etag, "nobody rotated it");
    service.stop().await;
}

async fn a_permission_for_no_keyspace_is_refused(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    admin.create_keyspace("acme").await;
    let root = |scopes: &[&str]| CreateApiKeyRequest {
        keyspace: "system".into(),
        scopes: scopes.iter().map(ToString::to_string).collect(),
        ..new_key("root")
    };
    let refused = admin.keys.create_api_key(root(&["keys:read@acme", "keys:read@acmee", "audit:read"])).await;
    let status = refused.expect_err("refused");
    let told = details(&status).bad_request().expect("the fields").field_violations.clone();
    assert_eq!((status.code(), told.len(), told[0].field.as_str()), (Code::InvalidArgument, 1, "scopes[1]"));
    for part in ["create acmee first", "leave the permission out", "keys:read@acmee"] {
        assert!(told[0].description.contains(part), "{}", told[0].description);
    }
    let (key, _) = admin.create(root(&["keys:read@acme"])).await;
    let wider = pb::ApiKey { id: key.id, scopes: vec!["keys:read@acmee".into()], ..Default::default() };
    assert_eq!(bad_fields(admin.update(wider, &["scopes"]).await), ["api_key.scopes[0]"]);
    service.stop().await;
}

async fn a_former_tenants_events_are_its_own(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    admin.create_keyspace("acme").await;
    let (old, _) = admin.create(of_acme("old")).await;
    delete(&mut admin, &[&old.id]).await;
    admin.create_keyspace("acme").await;
    let (new, _) = admin.create(of_acme("new")).await;
    let mut reader = service.caller_with(&["audit:read@acme"]).await;
    let mut auditor = service.caller_with(&["audit:read"]).await;
    let events = async |caller: &mut Caller, keyspace: &str| {
        let asked = ListAuditEventsRequest { keyspace: keyspace.into(), ..Default::default() };
        let events = caller.audit.list_audit_events(asked).await.unwrap().into_inner().audit_events;
        events.into_iter().map(|event| (event.action, event.key_id)).collect::<Vec<_>>()
    };
    let own = [("CreateApiKey".to_owned(), new.id.clone()), ("CreateKeyspace".to_owned(), String::new())];
    assert_eq!(events(&mut reader, "").await, own);
    assert_eq!(events(&mut reader, "acme").await, own);
    assert_eq!(events(&mut auditor, "acme").await.len(), 6);
    service.stop().await;
}

async fn pages_do_not_go_on_in_another_keyspace(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    admin.create_keyspace("acme").await;
    let (one, two) = (admin.create(of_acme("1")).await.0, admin.create(of_acme("2")).await.0);
    let mut reader = service.caller_with(&["audit:read@acme"]).await;
    let mut keys = ListApiKeysRequest { keyspace: "acme".into(), page_size: 1, ..Default::default() };
    keys.page_token = admin.keys.list_api_keys(keys.clone()).await.unwrap().into_inner().next_page_token;
    let mut events = ListAuditEventsRequest { page_size: 1, ..Default::default() };
    events.page_token = reader.audit.list_audit_events(events.clone()).await.unwrap().into_inner().next_page_token;
    // The same reader goes on.
    reader.audit.list_audit_events(events.clone()).await.unwrap();
    assert!(!keys.page_token.is_empty() && !events.page_token.is_empty());
    delete(&mut admin, &[&one.id, &two.id]).await;

    admin.create_keyspace("acme").await;
    admin.create(of_acme("3")).await;
    assert_eq!(bad_fields(admin.keys.list_api_keys(keys).await), ["page_token"]);
    let mut reader = service.caller_with(&["audit:read@acme"]).await;
    assert_eq!(bad_fields(reader.audit.list_audit_events(events).await), ["page_token"]);
    let usage = QueryUsageRequest {
        keyspace: "acme".into(),
        group_by: UsageGroup::Key.into(),
        page_token: "x".into(),
        ..Default::default()
    };
    assert_eq!(bad_fields(admin.usage.query_usage(usage).await), ["page_token"]);
    service.stop().await;
}
