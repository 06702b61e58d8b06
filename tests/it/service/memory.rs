//! Verify answers from memory: whatever is changed shows in the very next verdict all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis::clock::{Clock, ManualClock, SystemClock};
use portcullis::grpc::pb::revoke_api_key_request::Target;
use portcullis::grpc::pb::{self, CreateApiKeyRequest, ErrorReason, RevokeApiKeyRequest, Verdict, VerifyRequest};
use tokio::task::{JoinSet, yield_now};
use tonic::Code;

use super::{Backend, over_both_stores};
use crate::support::service::{Caller, Service, check_error, eventually, field_mask, in_time, new_key};

over_both_stores![
    every_change_of_a_key_shows_in_the_next_verdict,
    a_rotation_shows_in_the_next_verdict,
    wildcards_go_and_come_with_their_keyspace,
    a_callers_rights_end_with_the_change,
    what_was_asked_for_in_vain_is_found_once_imported,
    a_revocation_that_nobody_waits_for_leaves_nothing_behind,
    no_verdict_is_older_than_an_answered_change,
];

/// Verifies `secret` until it is known by heart.
async fn warm(service: &Service, caller: &mut Caller, secret: &str) {
    assert_eq!(caller.verdict(secret).await, Verdict::Valid);
    let lookups = service.verifier.lookups();
    assert_eq!(caller.verdict(secret).await, Verdict::Valid);
    let is_known = service.verifier.remembered() > 0;
    assert!(!is_known || service.verifier.lookups() == lookups, "it was looked up again");
}

async fn demanding(caller: &mut Caller, secret: &str, scope: &str) -> Verdict {
    let request = VerifyRequest { key: secret.into(), required_scopes: vec![scope.into()], ..VerifyRequest::default() };
    caller.verify_of(request).await.verdict()
}

async fn every_change_of_a_key_shows_in_the_next_verdict(backend: Backend) {
    let clock = ManualClock::new(SystemClock.now());
    let service = Service::start_with(backend, Arc::new(clock.clone())).await;
    // On a connection of its own, which another thread serves.
    let (mut admin, mut asking) = (service.admin(), service.admin_elsewhere().await);
    let request = CreateApiKeyRequest { scopes: vec!["a".into(), "b".into()], ..new_key("k") };
    let (key, secret) = admin.create(request).await;
    let with = |change: fn(&mut pb::ApiKey)| {
        let mut changed = pb::ApiKey { id: key.id.clone(), ..pb::ApiKey::default() };
        change(&mut changed);
        changed
    };
    warm(&service, &mut asking, &secret).await;
    assert!(service.verifier.remembered() > 0, "it is answered from memory");

    admin.update(with(|key| key.scopes = vec!["a".into()]), &["scopes"]).await.unwrap();
    assert_eq!(demanding(&mut asking, &secret, "b").await, Verdict::InsufficientScope);
    admin.update(with(|key| key.scopes = vec!["a".into(), "c".into()]), &["scopes"]).await.unwrap();
    assert_eq!(demanding(&mut asking, &secret, "c").await, Verdict::Valid);

    let claims =
        |plan: &str| prost_types::Struct { fields: [("plan".to_owned(), prost_types::Value::from(plan))].into() };
    for plan in ["pro", "free"] {
        let changed = pb::ApiKey { claims: Some(claims(plan)), ..with(|_| ()) };
        admin.update(changed, &["claims"]).await.unwrap();
        assert_eq!(asking.verify(&secret).await.claims, Some(claims(plan)));
    }

    admin.update(with(|_| ()), &["enabled"]).await.unwrap();
    assert_eq!(asking.verdict(&secret).await, Verdict::Disabled);
    admin.update(with(|key| key.enabled = true), &["enabled"]).await.unwrap();
    warm(&service, &mut asking, &secret).await;

    let soon = clock.now().saturating_add(Duration::from_secs(10));
    let soon = pb::ApiKey { expire_time: Some(std::time::SystemTime::from(soon).into()), ..with(|_| ()) };
    let expire_time = admin.update(soon, &["expire_time"]).await.unwrap().expire_time;
    assert_eq!(asking.verify(&secret).await.expire_time, expire_time);
    clock.advance(Duration::from_secs(10));
    assert_eq!(asking.verdict(&secret).await, Verdict::Expired);
    admin.update(with(|_| ()), &["expire_time"]).await.unwrap();
    warm(&service, &mut asking, &secret).await;

    admin.revoke(&key.id).await;
    assert_eq!(asking.verdict(&secret).await, Verdict::Revoked);

    let (_, secret) = admin.create(new_key("revoked by its secret")).await;
    warm(&service, &mut asking, &secret).await;
    let leaked = RevokeApiKeyRequest { target: Some(Target::Secret(secret.clone())), ..Default::default() };
    admin.keys.revoke_api_key(leaked).await.expect("revoked");
    assert_eq!(asking.verdict(&secret).await, Verdict::Revoked);

    let (key, secret) = admin.create(new_key("deleted")).await;
    warm(&service, &mut asking, &secret).await;
    admin.keys.delete_api_key(pb::DeleteApiKeyRequest { id: key.id, ..Default::default() }).await.expect("deleted");
    assert_eq!(asking.verdict(&secret).await, Verdict::NotFound);
    service.stop().await;
}

async fn a_rotation_shows_in_the_next_verdict(backend: Backend) {
    let clock = ManualClock::new(SystemClock.now());
    let service = Service::start_with(backend, Arc::new(clock.clone())).await;
    let (mut admin, mut asking) = (service.admin(), service.admin_elsewhere().await);
    let (key, first) = admin.create(new_key("k")).await;
    warm(&service, &mut asking, &first).await;
    let second = admin.rotate(&key.id, 0).await;
    assert_eq!(asking.verdict(&first).await, Verdict::NotFound);
    warm(&service, &mut asking, &second).await;

    let third = admin.rotate(&key.id, 60).await;
    for secret in [&second, &third] {
        warm(&service, &mut asking, secret).await;
    }
    let fourth = admin.rotate(&key.id, 60).await;
    assert_eq!(asking.verdict(&second).await, Verdict::NotFound, "there are two at most");
    for secret in [&third, &fourth] {
        warm(&service, &mut asking, secret).await;
    }
    clock.advance(Duration::from_secs(59));
    assert_eq!(asking.verdict(&third).await, Verdict::Valid);
    clock.advance(Duration::from_secs(1));
    assert_eq!(asking.verdict(&third).await, Verdict::NotFound);
    assert_eq!(asking.verdict(&fourth).await, Verdict::Valid);
    admin.revoke(&key.id).await;
    assert_eq!(asking.verdict(&fourth).await, Verdict::Revoked);
    service.stop().await;
}

async fn wildcards_go_and_come_with_their_keyspace(backend: Backend) {
    let service = Service::start(backend).await;
    let (mut admin, mut asking) = (service.admin(), service.admin_elsewhere().await);
    let wild = pb::Keyspace { id: "wild".into(), allow_wildcard_scopes: true, ..Default::default() };
    admin.create_keyspace_of(wild.clone()).await;
    let request = CreateApiKeyRequest { keyspace: "wild".into(), scopes: vec!["orders:*".into()], ..new_key("wild") };
    let (_, secret) = admin.create(request).await;
    for (allow_wildcard_scopes, verdict) in
        [(true, Verdict::Valid), (false, Verdict::InsufficientScope), (true, Verdict::Valid)]
    {
        let keyspace = Some(pb::Keyspace { allow_wildcard_scopes, ..wild.clone() });
        let update_mask = Some(field_mask(&["allow_wildcard_scopes"]));
        admin.keyspaces.update_keyspace(pb::UpdateKeyspaceRequest { keyspace, update_mask }).await.unwrap();
        assert_eq!(demanding(&mut asking, &secret, "orders:read").await, verdict);
        warm(&service, &mut asking, &secret).await;
    }
    service.stop().await;
}

async fn a_callers_rights_end_with_the_change(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (_, secret) = admin.create(new_key("k")).await;
    let scopes = |scopes: &[&str]| scopes.iter().map(ToString::to_string).collect::<Vec<_>>();
    let request =
        CreateApiKeyRequest { keyspace: "system".into(), scopes: scopes(&["keys:verify"]), ..new_key("caller") };
    let (root, credential) = admin.create(request).await;
    let mut caller = service.caller(&credential);
    let asked = || VerifyRequest { key: secret.clone(), ..Default::default() };
    warm(&service, &mut caller, &secret).await;

    admin.create_keyspace("elsewhere").await;
    let change = |with: &[&str]| pb::ApiKey { id: root.id.clone(), scopes: scopes(with), ..Default::default() };
    for narrower in ["keys:read", "keys:verify@elsewhere"] {
        admin.update(change(&[narrower]), &["scopes"]).await.unwrap();
        let named = VerifyRequest { keyspace: "default".into(), ..asked() };
        check_error(caller.verification.verify(named).await, Code::PermissionDenied, ErrorReason::PermissionMissing);
    }
    assert_eq!(caller.verdict(&secret).await, Verdict::NotFound, "it may verify elsewhere only");
    admin.update(change(&["keys:verify"]), &["scopes"]).await.unwrap();
    warm(&service, &mut caller, &secret).await;
    admin.revoke(&root.id).await;
    check_error(caller.verification.verify(asked()).await, Code::Unauthenticated, ErrorReason::CredentialInvalid);
    service.stop().await;
}

async fn what_was_asked_for_in_vain_is_found_once_imported(backend: Backend) {
    let service = Service::start(backend).await;
    let (mut admin, mut asking) = (service.admin(), service.admin_elsewhere().await);
    assert_eq!(asking.verdict("imported-0").await, Verdict::Malformed, "nothing is of this form yet");
    admin.import_digest("imported-0").await;
    assert_eq!(asking.verdict("imported-0").await, Verdict::Valid);
    for nth in 1..20 {
        let text = format!("imported-{nth}");
        assert_eq!(asking.verdict(&text).await, Verdict::NotFound);
        let lookups = service.verifier.lookups();
        assert_eq!(asking.verdict(&text).await, Verdict::NotFound);
        assert!(backend != Backend::Sqlite || service.verifier.lookups() == lookups, "that it is not there is known");
        admin.import_digest(&text).await;
        assert_eq!(asking.verdict(&text).await, Verdict::Valid, "{text}");
    }
    service.stop().await;
}

async fn a_revocation_that_nobody_waits_for_leaves_nothing_behind(backend: Backend) {
    let service = Service::start(backend).await;
    let (mut admin, asking) = (service.admin(), service.admin_elsewhere().await);
    for round in 0..40 {
        let (key, secret) = admin.create(new_key("k")).await;
        warm(&service, &mut asking.clone(), &secret).await;
        let mut verifying = JoinSet::new();
        for _ in 0..4 {
            let (mut asking, secret) = (asking.clone(), secret.clone());
            verifying.spawn(async move {
                // Until the revocation that is waited for, or the one that is not.
                while asking.verdict(&secret).await == Verdict::Valid {}
            });
        }
        let request = RevokeApiKeyRequest { target: Some(Target::Id(key.id.clone())), ..Default::default() };
        let mut revoking = service.admin();
        // The client goes away after as many turns: before it is sent, on the way there, or on the way back.
        let patience = async {
            for _ in 0..round * 2 {
                yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _ = revoking.keys.revoke_api_key(request) => {}
            () = patience => {}
        }
        admin.revoke(&key.id).await;
        assert_eq!(asking.clone().verdict(&secret).await, Verdict::Revoked, "round {round}");
        in_time("the end of verifying", verifying.join_all()).await;
    }
    service.stop().await;
}

/// A key that is changed and verified at once, and what its changer last heard.
struct Shared {
    id: String,
    secret: String,
    /// Four times the number of changes that were begun or answered, and what must be seen: see [`Shared::settle`].
    stage: AtomicU64,
}

/// What must be seen between the answer to one change and the beginning of the next.
const SETTLED: [Option<Verdict>; 4] = [None, Some(Verdict::Valid), Some(Verdict::Disabled), Some(Verdict::Revoked)];

impl Shared {
    /// From now on `verdict` must be seen; `None`: nothing certain.
    fn settle(&self, verdict: Option<Verdict>) {
        let at = SETTLED.iter().position(|settled| *settled == verdict).expect("one of them") as u64;
        let stage = self.stage.load(Ordering::SeqCst);
        self.stage.store((stage / 4 + 1) * 4 + at, Ordering::SeqCst);
    }

    /// What must be seen by a call that begins after `before` was loaded and was answered before this was called.
    fn must_be(&self, before: u64) -> Option<Verdict> {
        let at = usize::try_from(before % 4).expect("below 4");
        // Nothing comes after a revocation.
        (at == 3 || self.stage.load(Ordering::SeqCst) == before).then_some(SETTLED[at]).flatten()
    }
}

async fn no_verdict_is_older_than_an_answered_change(backend: Backend) {
    const KEYS: usize = 4;
    const VERIFYING: usize = 6;
    let service = Service::start(backend).await;
    let mut checked = 0;
    for _ in 0..5 {
        let mut keys = Vec::new();
        for _ in 0..KEYS {
            let (key, secret) = service.admin().create(new_key("k")).await;
            keys.push(Arc::new(Shared { id: key.id, secret, stage: AtomicU64::new(1) }));
        }
        let mut changing = JoinSet::new();
        for key in keys.clone() {
            let mut admin = service.admin();
            changing.spawn(async move {
                for enabled in [false, true, false, true] {
                    key.settle(None);
                    let change = pb::ApiKey { id: key.id.clone(), enabled, ..Default::default() };
                    admin.update(change, &["enabled"]).await.expect("changed");
                    key.settle(Some(if enabled { Verdict::Valid } else { Verdict::Disabled }));
                    for _ in 0..20 {
                        yield_now().await;
                    }
                }
                key.settle(None);
                admin.revoke(&key.id).await;
                key.settle(Some(Verdict::Revoked));
            });
        }
        let mut verifying = JoinSet::new();
        for nth in 0..VERIFYING {
            let (mut asking, keys) = (service.admin_elsewhere().await, keys.clone());
            verifying.spawn(async move {
                let mut checked = 0;
                for key in keys.iter().cycle().skip(nth) {
                    let before = key.stage.load(Ordering::SeqCst);
                    let verdict = asking.verdict(&key.secret).await;
                    if let Some(must_be) = key.must_be(before) {
                        assert_eq!(verdict, must_be, "stage {before}");
                        checked += 1;
                    }
                    if keys.iter().all(|key| key.stage.load(Ordering::SeqCst) % 4 == 3) {
                        return checked;
                    }
                }
                unreachable!("it goes round for ever");
            });
        }
        in_time("the changes", changing.join_all()).await;
        checked += in_time("the verdicts", verifying.join_all()).await.into_iter().sum::<usize>();
    }
    assert!(checked > 0, "nothing was checked");
    service.stop().await;
}

#[tokio::test]
async fn a_thousand_who_ask_for_one_key_cost_one_look_up() {
    let service = Service::start(Backend::Sqlite).await;
    let (_, secret) = service.admin().create(new_key("k")).await;
    let mut callers = Vec::new();
    for _ in 0..4 {
        let mut caller = service.admin_elsewhere().await;
        assert_eq!(caller.verdict("nothing").await, Verdict::Malformed);
        callers.push(caller);
    }
    let before = service.verifier.lookups();
    let mut asking = JoinSet::new();
    for nth in 0..1_000 {
        let (mut caller, secret) = (callers[nth % callers.len()].clone(), secret.clone());
        asking.spawn(async move { caller.verdict(&secret).await });
    }
    let verdicts = in_time("a thousand verdicts", asking.join_all()).await;
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Valid));
    assert_eq!(service.verifier.lookups() - before, 1);
    service.stop().await;
}

#[tokio::test]
async fn a_look_up_that_fails_is_not_remembered() {
    let service = Service::start(Backend::Sqlite).await;
    let mut admin = service.admin();
    let (_, secret) = admin.create(new_key("k")).await;
    service.execute("ALTER TABLE api_key_secret RENAME TO hidden").await;
    let asked = || VerifyRequest { key: secret.clone(), ..Default::default() };
    for _ in 0..2 {
        check_error(admin.verification.verify(asked()).await, Code::Internal, ErrorReason::Internal);
    }
    service.execute("ALTER TABLE hidden RENAME TO api_key_secret").await;
    let verdict = eventually("a verdict", async || admin.verification.verify(asked()).await.ok()).await;
    assert_eq!(verdict.into_inner().verdict(), Verdict::Valid);
    service.stop().await;
}
