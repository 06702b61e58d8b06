//! The last root key that may do everything is not ended by its id unless that is asked for.

use portcullis::config::Flags;
use portcullis::grpc::pb::create_api_key_request::Expiration;
use portcullis::grpc::pb::revoke_api_key_request::Target;
use portcullis::grpc::pb::{
    self, CreateApiKeyRequest, DeleteApiKeyRequest, ErrorReason, RevokeApiKeyRequest, UpdateApiKeyRequest,
};
use tonic::{Code, Status};

use super::{Backend, over_both_stores};
use crate::support::service::{Caller, Service, check_error, field_mask, new_key};

over_both_stores![the_last_admin_key_is_not_ended_unasked, a_leaked_admin_key_is_ended_whatever_follows];

fn admin_key(name: &str) -> CreateApiKeyRequest {
    CreateApiKeyRequest { keyspace: "system".into(), scopes: vec!["admin".into()], ..new_key(name) }
}

/// The id of the only root key.
async fn first_id(admin: &mut Caller) -> String {
    let request = pb::ListApiKeysRequest { keyspace: "system".into(), ..Default::default() };
    admin.keys.list_api_keys(request).await.unwrap().into_inner().api_keys.remove(0).id
}

async fn revoke(caller: &mut Caller, id: &str, allow_last_admin: bool) -> Result<(), Status> {
    let target = Some(Target::Id(id.into()));
    caller.keys.revoke_api_key(RevokeApiKeyRequest { target, allow_last_admin, ..Default::default() }).await.map(drop)
}

/// Each way to end a key by its id, or to let it end earlier.
async fn end_in_each_way(caller: &mut Caller, id: &str, mut check: impl FnMut(Result<(), Status>)) {
    check(revoke(caller, id, false).await);
    let delete = DeleteApiKeyRequest { id: id.into(), ..Default::default() };
    check(caller.keys.delete_api_key(delete).await.map(drop));
    let later = Some(prost_types::Timestamp { seconds: 4_102_444_800, nanos: 0 });
    for (path, key) in [
        ("enabled", pb::ApiKey::default()),
        ("scopes", pb::ApiKey { scopes: vec!["keys:verify".into(), "admin@default".into()], ..Default::default() }),
        ("scopes", pb::ApiKey::default()),
        ("expire_time", pb::ApiKey { expire_time: later, ..Default::default() }),
    ] {
        let api_key = Some(pb::ApiKey { id: id.into(), ..key });
        let update = UpdateApiKeyRequest { api_key, update_mask: Some(field_mask(&[path])), ..Default::default() };
        check(caller.keys.update_api_key(update).await.map(drop));
    }
}

fn is_refused(result: Result<(), Status>) {
    let status = check_error(result, Code::FailedPrecondition, ErrorReason::LastAdminKey);
    assert!(status.message().contains("root-key create --offline"), "{status:?}");
}

async fn the_last_admin_key_is_not_ended_unasked(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let id = first_id(&mut admin).await;
    let before = admin.get(&id).await.unwrap();
    end_in_each_way(&mut admin, &id, is_refused).await;

    // Others that do not count: one with less, one that is disabled, one that ends earlier.
    service.root_key_with(&["keys:write", "keys:revoke"]).await;
    let (disabled, _) = admin.create(admin_key("disabled")).await;
    let disable = pb::ApiKey { id: disabled.id.clone(), ..Default::default() };
    admin.update(disable, &["enabled"]).await.unwrap();
    let ttl = Some(Expiration::Ttl(prost_types::Duration { seconds: 86_400, nanos: 0 }));
    let (brief, _) = admin.create(CreateApiKeyRequest { expiration: ttl, ..admin_key("brief") }).await;
    end_in_each_way(&mut admin, &id, is_refused).await;
    let after = admin.get(&id).await.unwrap();
    assert_eq!((after.etag, after.state), (before.etag, before.state), "nothing was changed");
    // A change that takes nothing from it is none of this, and one that ends earlier may go.
    admin.update(pb::ApiKey { id: id.clone(), name: "renamed".into(), ..Default::default() }, &["name"]).await.unwrap();
    revoke(&mut admin, &brief.id, false).await.unwrap();

    // With another that counts it may go; then that is the last.
    let (other, secret) = admin.create(admin_key("other")).await;
    revoke(&mut admin, &id, false).await.unwrap();
    let mut other_admin = service.caller(&secret);
    end_in_each_way(&mut other_admin, &other.id, is_refused).await;
    // Revoking again what is revoked is not refused.
    revoke(&mut other_admin, &id, false).await.unwrap();
    revoke(&mut other_admin, &other.id, true).await.unwrap();
    check_error(other_admin.get(&id).await, Code::Unauthenticated, ErrorReason::CredentialInvalid);
    service.stop().await;
}

async fn a_leaked_admin_key_is_ended_whatever_follows(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let target = Some(Target::Secret(service.root_key.clone()));
    admin.keys.revoke_api_key(RevokeApiKeyRequest { target, ..Default::default() }).await.unwrap();
    service.stop().await;
}

/// Each of two admin keys revokes the other at once, on two replicas.
#[tokio::test]
async fn of_the_last_two_one_stays() {
    const ROUNDS: usize = 10;
    let first = Service::start(Backend::Postgres).await;
    let second = first.start_beside(Flags::default()).await;
    let mut survivor = (first_id(&mut first.admin()).await, first.root_key.clone());
    for round in 0..ROUNDS {
        let (key, secret) = first.caller(&survivor.1).create(admin_key("other")).await;
        let other = (key.id, secret);
        let (mut here, mut there) = (first.caller(&survivor.1), second.caller(&other.1));
        // Both are known, so that neither is kept by a look-up.
        here.get(&other.0).await.unwrap();
        there.get(&other.0).await.unwrap();
        let (one, two) = tokio::join!(revoke(&mut here, &other.0, false), revoke(&mut there, &survivor.0, false));
        assert!(one.is_ok() != two.is_ok(), "round {round}: {one:?}, {two:?}");
        if two.is_ok() {
            survivor = other;
        }
    }
    first.stop().await;
    second.stop().await;
}
