//! AuditService: who did what, and never a secret.

use portcullis::grpc::pb::{self, AuditEvent, ErrorReason, ListAuditEventsRequest, RotateApiKeyRequest};
use tonic::Code;

use super::{Backend, over_both_stores};
use crate::support::service::{Caller, Service, bad_fields, check_error, eventually, new_key};

over_both_stores![
    each_change_leaves_one_event,
    events_come_in_pages,
    denials_leave_few_events,
    events_are_filtered_by_action,
    a_mistyped_filter_is_refused,
];

async fn events(caller: &mut Caller, request: ListAuditEventsRequest) -> Vec<AuditEvent> {
    caller.audit.list_audit_events(request).await.expect("events").into_inner().audit_events
}

async fn each_change_leaves_one_event(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, secret) = admin.create(new_key("k")).await;
    let id = key.id.clone();
    admin.update(pb::ApiKey { name: "renamed".into(), ..key.clone() }, &["name"]).await.unwrap();
    let renamed = pb::ApiKey { id: id.clone(), name: "renamed".into(), ..Default::default() };
    admin.update(renamed, &["name"]).await.unwrap();
    admin.verify(&secret).await;
    let rotated = admin
        .keys
        .rotate_api_key(RotateApiKeyRequest { id: id.clone(), overlap: None, ..Default::default() })
        .await
        .unwrap();
    admin.revoke(&id).await;
    admin.revoke(&id).await;
    admin.keys.delete_api_key(pb::DeleteApiKeyRequest { id: id.clone(), ..Default::default() }).await.unwrap();

    let of_key = ListAuditEventsRequest { key_id: id.clone(), ..Default::default() };
    let found = events(&mut admin, of_key).await;
    let actions: Vec<_> = found.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(actions, ["DeleteApiKey", "RevokeApiKey", "RotateApiKey", "UpdateApiKey", "CreateApiKey"]);
    let root = ListAuditEventsRequest { actor: "bootstrap".into(), ..Default::default() };
    let root = events(&mut admin, root).await.pop().expect("the first root key");
    assert_eq!((root.action.as_str(), root.keyspace.as_str()), ("CreateApiKey", "system"));
    for event in &found {
        assert_eq!((event.actor.as_str(), event.keyspace.as_str()), (root.key_id.as_str(), "default"));
        assert!(event.peer.starts_with("127.0.0.1:"), "{}", event.peer);
        assert!(event.time.is_some() && event.id.starts_with("evt_"));
    }
    assert_eq!(found[3].changes.as_ref().unwrap().fields["name"], "renamed".into());
    let text = format!("{found:?}");
    for secret in [secret, rotated.into_inner().secret] {
        assert!(!text.contains(&secret["ak_".len() + 4..]), "no secret, nor the lookup beyond its hint");
    }
    service.stop().await;
}

/// A root key that is used for what it may not do is seen, and fills no table.
async fn denials_leave_few_events(backend: Backend) {
    let service = Service::start(backend).await;
    let mut caller = service.caller_with(&["keys:read"]).await;
    for _ in 0..50 {
        let denied = caller.keys.create_api_key(new_key("k")).await.unwrap_err();
        assert_eq!(denied.code(), tonic::Code::PermissionDenied);
        caller.verification.verify(pb::VerifyRequest { key: "x".into(), ..Default::default() }).await.unwrap_err();
    }
    let mut admin = service.admin();
    let denials = eventually("both events", async || {
        let mut found =
            events(&mut admin, ListAuditEventsRequest { keyspace: "system".into(), ..Default::default() }).await;
        found.retain(|event| event.action == "PermissionDenied");
        (found.len() >= 2).then_some(found)
    })
    .await;
    let mut denied: Vec<_> = denials.iter().map(|event| event.changes.as_ref().unwrap().fields.clone()).collect();
    denied.sort_by_key(|fields| format!("{fields:?}"));
    assert_eq!(denied.len(), 2, "{denials:?}");
    assert_eq!(denied[0]["method"], "/portcullis.v1.ApiKeyService/CreateApiKey".into());
    assert_eq!(denied[0]["permission"], "keys:write".into());
    assert_eq!(denied[1]["method"], "/portcullis.v1.VerificationService/Verify".into());
    for event in &denials {
        assert!(event.actor == event.key_id && event.peer.starts_with("127.0.0.1:"), "{event:?}");
    }
    service.stop().await;
}

async fn events_come_in_pages(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    for n in 0..5 {
        admin.create(new_key(&format!("k{n}"))).await;
    }
    let mut seen = Vec::new();
    let mut request = ListAuditEventsRequest { page_size: 2, keyspace: "default".into(), ..Default::default() };
    loop {
        let page = admin.audit.list_audit_events(request.clone()).await.unwrap().into_inner();
        seen.extend(page.audit_events);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.windows(2).all(|pair| pair[0].id > pair[1].id), "newest first");
    let end_time = seen[0].time;
    let before_last = ListAuditEventsRequest { end_time, keyspace: "default".into(), ..Default::default() };
    assert_eq!(events(&mut admin, before_last).await, seen[1..]);
    let start_time = seen[0].time;
    let bad = ListAuditEventsRequest { start_time, end_time: seen[4].time, page_size: -1, ..Default::default() };
    assert_eq!(bad_fields(admin.audit.list_audit_events(bad).await), ["page_size", "end_time"]);
    service.stop().await;
}

async fn events_are_filtered_by_action(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (first, _) = admin.create(new_key("first")).await;
    admin.create(new_key("second")).await;
    admin.revoke(&first.id).await;
    let of = |action: &str| ListAuditEventsRequest {
        action: action.into(),
        keyspace: "default".into(),
        ..Default::default()
    };
    let revoked = events(&mut admin, of("RevokeApiKey")).await;
    assert_eq!(revoked.iter().map(|event| event.key_id.as_str()).collect::<Vec<_>>(), [first.id.as_str()]);
    assert_eq!(events(&mut admin, of("CreateApiKey")).await.len(), 2);
    assert_eq!(events(&mut admin, of("RotateApiKey")).await, []);
    let mut one = ListAuditEventsRequest { page_size: 1, ..of("CreateApiKey") };
    let page = admin.audit.list_audit_events(one.clone()).await.unwrap().into_inner();
    one.page_token = page.next_page_token;
    one.action = "RevokeApiKey".into();
    assert_eq!(bad_fields(admin.audit.list_audit_events(one).await), ["page_token"], "another query");
    // Each action that is written can be asked for.
    for event in events(&mut admin, ListAuditEventsRequest::default()).await {
        assert!(portcullis::manage::AUDIT_ACTIONS.contains(&event.action.as_str()), "{}", event.action);
    }
    service.stop().await;
}

/// No event is not the same as a key that is not there.
async fn a_mistyped_filter_is_refused(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (key, _) = admin.create(new_key("k")).await;
    let ask = |keyspace: &str, key_id: &str, actor: &str, action: &str| ListAuditEventsRequest {
        keyspace: keyspace.into(),
        key_id: key_id.into(),
        actor: actor.into(),
        action: action.into(),
        ..Default::default()
    };
    let absent = "key_01JDXW5Z3N8Q4T7R2M6K9P0ABC";
    for (request, reason) in [
        (ask("prdo", "", "", ""), ErrorReason::KeyspaceNotFound),
        (ask("", absent, "", ""), ErrorReason::KeyNotFound),
        (ask("", "", absent, ""), ErrorReason::KeyNotFound),
        (ask("", "", "bootstrp", ""), ErrorReason::KeyNotFound),
    ] {
        check_error(admin.audit.list_audit_events(request).await, Code::NotFound, reason);
    }
    assert_eq!(bad_fields(admin.audit.list_audit_events(ask("", "", "", "Revoke")).await), ["action"]);
    // What is there has no such event, or none at that time.
    assert_eq!(events(&mut admin, ask("default", "", "offline", "")).await, []);
    assert_eq!(events(&mut admin, ask("", &key.id, "", "RotateApiKey")).await, []);
    assert_eq!(events(&mut admin, ask("", "", &key.id, "")).await, []);
    let end_time = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
    let before = |request| ListAuditEventsRequest { end_time, ..request };
    // What was deleted has left events.
    admin.keys.delete_api_key(pb::DeleteApiKeyRequest { id: key.id.clone(), ..Default::default() }).await.unwrap();
    assert_eq!(events(&mut admin, ask("", &key.id, "", "")).await.len(), 2);
    assert_eq!(events(&mut admin, before(ask("", &key.id, "", ""))).await, []);
    assert_eq!(events(&mut admin, before(ask("default", "", "", ""))).await, []);
    service.stop().await;
}
