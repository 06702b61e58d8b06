//! Every kind of change, made on one replica, shows in the next verdict of another that knew the key by heart.
//!
//! Two services in this process, over one PostgreSQL.

use std::time::{Duration, SystemTime};

use portcullis::clock::{Clock as _, SystemClock};
use portcullis::config::Flags;
use portcullis::grpc::pb::revoke_api_key_request::Target;
use portcullis::grpc::pb::{self, CreateApiKeyRequest, ErrorReason, RevokeApiKeyRequest, Verdict, VerifyRequest};
use tonic::Code;

use crate::support::backend::Backend;
use crate::support::service::{Caller, Service, check_error, eventually, field_mask, new_key};
use crate::support::talk::Talk;

/// Two replicas: what is changed on one is verified on the other, and the other way round.
struct Pair([Service; 2]);

/// One of the two ways.
struct Way<'a> {
    /// Where keys are changed.
    here: Caller,
    /// Where they are verified.
    there: Caller,
    verifying: &'a Service,
}

impl Pair {
    async fn start() -> Self {
        Self::start_with(Flags::default).await
    }

    async fn start_with(flags: fn() -> Flags) -> Self {
        let first = Service::start_set(Backend::Postgres, flags()).await;
        let second = first.start_beside(flags()).await;
        Self([first, second])
    }

    fn ways(&self) -> [Way<'_>; 2] {
        let [first, second] = &self.0;
        [(first, second), (second, first)].map(|(here, there)| Way {
            here: here.admin(),
            there: there.admin(),
            verifying: there,
        })
    }

    async fn stop(self) {
        for service in self.0 {
            service.stop().await;
        }
    }
}

impl Way<'_> {
    /// Verifies there until it is answered from memory.
    async fn warm(&mut self, secret: &str) {
        let known = async || {
            let before = self.verifying.verifier.lookups();
            assert_eq!(self.there.verdict(secret).await, Verdict::Valid);
            (self.verifying.verifier.lookups() == before).then_some(())
        };
        // A look at the log may have come between.
        eventually("to be known by heart", known).await;
    }

    async fn create(&mut self, request: CreateApiKeyRequest) -> (pb::ApiKey, String) {
        let (key, secret) = self.here.create(request).await;
        assert_eq!(self.there.verdict(&secret).await, Verdict::Valid, "it is known at once");
        self.warm(&secret).await;
        (key, secret)
    }

    async fn demanding(&mut self, secret: &str, scope: &str) -> Verdict {
        let request = VerifyRequest { key: secret.into(), required_scopes: vec![scope.into()], ..Default::default() };
        self.there.verify_of(request).await.verdict()
    }
}

fn only(id: &str) -> pb::ApiKey {
    pb::ApiKey { id: id.to_owned(), ..Default::default() }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn plan(plan: &str) -> prost_types::Struct {
    prost_types::Struct { fields: [("plan".to_owned(), prost_types::Value::from(plan))].into() }
}

async fn check_every_change(way: &mut Way<'_>) {
    let (key, secret) = way.create(CreateApiKeyRequest { scopes: words(&["a", "b"]), ..new_key("k") }).await;
    let id = key.id.as_str();

    way.here.update(pb::ApiKey { scopes: words(&["a"]), ..only(id) }, &["scopes"]).await.unwrap();
    assert_eq!(way.demanding(&secret, "b").await, Verdict::InsufficientScope);
    way.here.update(pb::ApiKey { scopes: words(&["a", "c"]), ..only(id) }, &["scopes"]).await.unwrap();
    assert_eq!(way.demanding(&secret, "c").await, Verdict::Valid);

    for name in ["pro", "free"] {
        way.here.update(pb::ApiKey { claims: Some(plan(name)), ..only(id) }, &["claims"]).await.unwrap();
        assert_eq!(way.there.verify(&secret).await.claims, Some(plan(name)));
    }

    way.here.update(only(id), &["enabled"]).await.unwrap();
    assert_eq!(way.there.verdict(&secret).await, Verdict::Disabled);
    way.here.update(pb::ApiKey { enabled: true, ..only(id) }, &["enabled"]).await.unwrap();
    way.warm(&secret).await;

    let later = SystemTime::from(SystemClock.now().saturating_add(Duration::from_hours(1)));
    let later = pb::ApiKey { expire_time: Some(later.into()), ..only(id) };
    let expire_time = way.here.update(later, &["expire_time"]).await.unwrap().expire_time;
    assert!(expire_time.is_some());
    assert_eq!(way.there.verify(&secret).await.expire_time, expire_time);
    way.here.update(only(id), &["expire_time"]).await.unwrap();
    assert_eq!(way.there.verify(&secret).await.expire_time, None);

    way.here.revoke(id).await;
    assert_eq!(way.there.verdict(&secret).await, Verdict::Revoked);

    let (_, secret) = way.create(new_key("revoked by its secret")).await;
    let leaked = RevokeApiKeyRequest { target: Some(Target::Secret(secret.clone())), ..Default::default() };
    way.here.keys.revoke_api_key(leaked).await.expect("revoked");
    assert_eq!(way.there.verdict(&secret).await, Verdict::Revoked);

    let (key, secret) = way.create(new_key("deleted")).await;
    way.here.keys.delete_api_key(pb::DeleteApiKeyRequest { id: key.id, ..Default::default() }).await.expect("deleted");
    assert_eq!(way.there.verdict(&secret).await, Verdict::NotFound);
}

#[tokio::test]
async fn every_change_shows_in_the_next_verdict_elsewhere() {
    let pair = Pair::start().await;
    for mut way in pair.ways() {
        check_every_change(&mut way).await;
    }
    pair.stop().await;
}

#[tokio::test]
async fn hints_are_only_faster() {
    let pair = Pair::start_with(|| Flags { notify_url: Some("none".into()), ..Flags::default() }).await;
    for mut way in pair.ways() {
        check_every_change(&mut way).await;
    }
    pair.stop().await;
}

#[tokio::test]
async fn a_rotation_shows_in_the_next_verdict_elsewhere() {
    let pair = Pair::start().await;
    for mut way in pair.ways() {
        let (key, first) = way.create(new_key("k")).await;
        let second = way.here.rotate(&key.id, 0).await;
        assert_eq!(way.there.verdict(&first).await, Verdict::NotFound);
        way.warm(&second).await;
        let third = way.here.rotate(&key.id, 3_600).await;
        for secret in [&second, &third] {
            way.warm(secret).await;
        }
        let fourth = way.here.rotate(&key.id, 3_600).await;
        assert_eq!(way.there.verdict(&second).await, Verdict::NotFound, "there are two at most");
        for secret in [&third, &fourth] {
            way.warm(secret).await;
        }
        way.here.revoke(&key.id).await;
        for secret in [&third, &fourth] {
            assert_eq!(way.there.verdict(secret).await, Verdict::Revoked);
        }
    }
    pair.stop().await;
}

#[tokio::test]
async fn wildcards_go_and_come_elsewhere_with_their_keyspace() {
    let pair = Pair::start().await;
    for (mut way, id) in pair.ways().into_iter().zip(["first", "second"]) {
        let wild = pb::Keyspace { id: id.into(), allow_wildcard_scopes: true, ..Default::default() };
        way.here.create_keyspace_of(wild.clone()).await;
        let request = CreateApiKeyRequest { keyspace: id.into(), scopes: words(&["orders:*"]), ..new_key("wild") };
        let (_, secret) = way.create(request).await;
        for (allow_wildcard_scopes, verdict) in [(false, Verdict::InsufficientScope), (true, Verdict::Valid)] {
            let keyspace = Some(pb::Keyspace { allow_wildcard_scopes, ..wild.clone() });
            let update_mask = Some(field_mask(&["allow_wildcard_scopes"]));
            way.here.keyspaces.update_keyspace(pb::UpdateKeyspaceRequest { keyspace, update_mask }).await.unwrap();
            assert_eq!(way.demanding(&secret, "orders:read").await, verdict);
            way.warm(&secret).await;
        }
    }
    pair.stop().await;
}

#[tokio::test]
async fn what_was_asked_for_in_vain_is_found_elsewhere_once_imported() {
    let pair = Pair::start().await;
    for (mut way, name) in pair.ways().into_iter().zip(["first-way", "other-way--"]) {
        for nth in 0..10 {
            let text = format!("{name}-{nth}");
            for _ in 0..2 {
                let verdict = way.there.verdict(&text).await;
                // Nothing is of this form until the first is imported.
                assert!(matches!(verdict, Verdict::Malformed | Verdict::NotFound), "{verdict:?}");
            }
            way.here.import_digest(&text).await;
            assert_eq!(way.there.verdict(&text).await, Verdict::Valid, "{text}");
        }
    }
    pair.stop().await;
}

#[tokio::test]
async fn a_callers_rights_end_elsewhere_with_the_change() {
    let pair = Pair::start().await;
    for mut way in pair.ways() {
        let (_, secret) = way.create(new_key("k")).await;
        let request =
            CreateApiKeyRequest { keyspace: "system".into(), scopes: words(&["keys:verify"]), ..new_key("caller") };
        let (root, credential) = way.here.create(request).await;
        let mut caller = way.verifying.caller(&credential);
        let (mut first, mut second) = (Talk::begin(&mut caller).await, Talk::begin(&mut caller).await);
        for talk in [&mut first, &mut second] {
            assert_eq!(talk.verdict(&secret).await.expect("a verdict"), Verdict::Valid);
        }
        let asked = || VerifyRequest { key: secret.clone(), ..Default::default() };
        let change = |scopes: &[&str]| pb::ApiKey { scopes: words(scopes), ..only(&root.id) };

        way.here.create_keyspace("elsewhere").await;
        way.here.update(change(&["keys:verify@elsewhere"]), &["scopes"]).await.unwrap();
        assert_eq!(caller.verdict(&secret).await, Verdict::NotFound, "it may verify elsewhere only");
        assert_eq!(first.verdict(&secret).await.expect("a verdict"), Verdict::NotFound);
        // With the keyspace goes what was granted in it.
        let gone = pb::DeleteKeyspaceRequest { id: "elsewhere".into() };
        way.here.keyspaces.delete_keyspace(gone).await.expect("deleted");
        check_error(first.verdict(&secret).await, Code::PermissionDenied, ErrorReason::PermissionMissing);
        check_error(caller.verification.verify(asked()).await, Code::PermissionDenied, ErrorReason::PermissionMissing);
        way.here.update(change(&["keys:verify"]), &["scopes"]).await.unwrap();
        assert_eq!(second.verdict(&secret).await.expect("a verdict"), Verdict::Valid);

        way.here.revoke(&root.id).await;
        check_error(second.verdict(&secret).await, Code::Unauthenticated, ErrorReason::CredentialInvalid);
        check_error(caller.verification.verify(asked()).await, Code::Unauthenticated, ErrorReason::CredentialInvalid);
    }
    pair.stop().await;
}

/// Whoever hears nothing of the first answer asks again, wherever he gets through.
#[tokio::test]
async fn to_repeat_a_change_elsewhere_promises_the_same() {
    let pair = Pair::start().await;
    for mut way in pair.ways() {
        let mut other = way.there.clone();
        let (key, secret) = way.create(new_key("revoked")).await;
        let first = way.here.revoke(&key.id).await;
        assert_eq!(other.revoke(&key.id).await.revoke_time, first.revoke_time);
        let leaked = RevokeApiKeyRequest { target: Some(Target::Secret(secret.clone())), ..Default::default() };
        other.keys.revoke_api_key(leaked).await.expect("it is revoked");
        assert_eq!(way.there.verdict(&secret).await, Verdict::Revoked);

        let (key, secret) = way.create(new_key("disabled")).await;
        for caller in [&mut way.here, &mut other] {
            assert!(!caller.update(only(&key.id), &["enabled"]).await.unwrap().enabled);
        }
        assert_eq!(way.there.verdict(&secret).await, Verdict::Disabled);

        let (key, secret) = way.create(new_key("deleted")).await;
        let delete = pb::DeleteApiKeyRequest { id: key.id, ..Default::default() };
        way.here.keys.delete_api_key(delete.clone()).await.expect("deleted");
        check_error(other.keys.delete_api_key(delete).await, Code::NotFound, ErrorReason::KeyNotFound);
        assert_eq!(way.there.verdict(&secret).await, Verdict::NotFound);
    }
    pair.stop().await;
}

#[tokio::test]
async fn what_is_changed_by_hand_shows_soon() {
    let pair = Pair::start_with(|| Flags { notify_url: Some("none".into()), ..Flags::default() }).await;
    for mut way in pair.ways() {
        let (key, secret) = way.create(new_key("changed by hand")).await;
        let (_, neighbour) = way.create(new_key("left alone")).await;
        let shows = async |way: &mut Way<'_>, verdict: Verdict| {
            eventually("the change by hand", async || (way.there.verdict(&secret).await == verdict).then_some(()))
                .await;
        };
        way.verifying.execute(&format!("UPDATE api_key SET enabled = false WHERE id = '{}'", key.id)).await;
        shows(&mut way, Verdict::Disabled).await;
        way.verifying.execute(&format!("UPDATE api_key SET enabled = true WHERE id = '{}'", key.id)).await;
        shows(&mut way, Verdict::Valid).await;
        way.verifying.execute(&format!("DELETE FROM api_key WHERE id = '{}'", key.id)).await;
        shows(&mut way, Verdict::NotFound).await;
        assert_eq!(way.there.verdict(&neighbour).await, Verdict::Valid);
    }
    pair.stop().await;
}

/// As after a failover that lost changes, or a restored backup: what was changed is in no log that anybody has read.
#[tokio::test]
async fn another_history_is_noticed() {
    let pair = Pair::start().await;
    let [mut way, _] = pair.ways();
    let (key, secret) = way.create(new_key("another history")).await;
    let unseen =
        format!("SET session_replication_role = replica; UPDATE api_key SET enabled = false WHERE id = '{}'", key.id);
    way.verifying.execute(&unseen).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(way.there.verdict(&secret).await, Verdict::Valid, "nothing told of it");
    let forked = "BEGIN; UPDATE change_head SET nonce = nonce + 1;
                  UPDATE change_log SET nonce = change_log.nonce + 1 FROM change_head h WHERE h.seq = change_log.seq;
                  COMMIT";
    way.verifying.execute(forked).await;
    let verdict = async || (way.there.verdict(&secret).await == Verdict::Disabled).then_some(());
    eventually("the other history", verdict).await;
    pair.stop().await;
}

/// After a failover that lost changes, numbers are given out again: what was done under one of them before proves nothing.
#[tokio::test]
async fn what_is_revoked_in_another_history_is_revoked() {
    let service = Service::start_set(Backend::Postgres, Flags::default()).await;
    let mut admin = service.admin();
    for round in 0..10 {
        let (lost, _) = admin.create(new_key("its revocation is lost")).await;
        let (key, secret) = admin.create(new_key("k")).await;
        service.execute("CREATE TABLE kept AS SELECT * FROM change_head").await;
        admin.revoke(&lost.id).await;
        assert_eq!(admin.verdict(&secret).await, Verdict::Valid);
        // The log's reader finds its connection broken, and comes a little later than the revocation.
        let back = "BEGIN; DELETE FROM change_log WHERE seq > (SELECT seq FROM kept);
                    UPDATE replica SET acked = least(acked, (SELECT seq FROM kept));
                    UPDATE change_head SET seq = kept.seq, nonce = kept.nonce FROM kept;
                    DROP TABLE kept; COMMIT;
                    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()
                        AND query ~ 'is_standby|SET acked = greatest'";
        service.execute(back).await;
        admin.revoke(&key.id).await;
        assert_eq!(admin.verdict(&secret).await, Verdict::Revoked, "round {round}");
    }
    service.stop().await;
}

/// One that ends takes nothing with it, and a new one begins with what is there.
#[tokio::test]
async fn replicas_come_and_go() {
    let first = Service::start_set(Backend::Postgres, Flags::default()).await;
    let (key, secret) = first.admin().create(new_key("k")).await;
    let second = first.start_beside(Flags::default()).await;
    assert_eq!(second.admin().verdict(&secret).await, Verdict::Valid);
    first.admin().revoke(&key.id).await;
    assert_eq!(second.admin().verdict(&secret).await, Verdict::Revoked);
    let third = second.start_beside(Flags::default()).await;
    first.stop().await;
    let (key, secret) = second.admin().create(new_key("k")).await;
    assert_eq!(third.admin().verdict(&secret).await, Verdict::Valid);
    third.admin().revoke(&key.id).await;
    assert_eq!(second.admin().verdict(&secret).await, Verdict::Revoked);
    third.stop().await;
    second.stop().await;
}
