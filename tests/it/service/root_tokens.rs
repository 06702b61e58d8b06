//! Made-up root credentials cost the store nothing. Root keys from before tokens carried a MAC go on working.

use std::sync::Arc;

use portcullis::clock::{Clock as _, SystemClock};
use portcullis::grpc::pb::revoke_api_key_request::Target;
use portcullis::grpc::pb::{ErrorReason, RevokeApiKeyRequest, Verdict, VerifyRequest};
use portcullis::key::id::IdSource;
use portcullis::key::keyspace::SYSTEM;
use portcullis::key::record::{ApiKey, NewSecret};
use portcullis::key::token::{self, Token};
use portcullis::key::verifier::{Verifier, sha256};
use portcullis::store::{Actor, NewKey, Store};
use tonic::Code;

use super::{Backend, over_both_stores};
use crate::support::backend::Fixture;
use crate::support::process::{Process, ROOT_KEY, portcullis};
use crate::support::service::{Service, check_error, new_key, wrong_secret};

over_both_stores![
    made_up_root_credentials_cost_no_look_up,
    a_root_key_from_before_goes_on_working_until_it_is_gone,
    a_supplied_root_key_is_known_and_others_cost_nothing,
    a_root_key_that_is_made_offline_carries_a_mac,
];

/// How many are made up of each kind.
const MADE_UP: u32 = 300;

/// A root token as it was issued before tokens carried a MAC.
fn old_token() -> String {
    token::generate(&"root".parse().expect("a prefix")).expect("random bytes").1.expose().to_owned()
}

/// Stores a root key with such a token; its id and the token.
async fn store_old_root_key(store: &Arc<dyn Store>) -> (String, String) {
    let secret = old_token();
    let parsed = Token::parse(&secret).expect("a token");
    let now = SystemClock.now();
    let public_prefix = portcullis::key::token::PublicPrefix::from_stored(parsed.public_prefix.to_owned());
    let verifier = Verifier::Sha256(sha256(parsed.secret));
    let ids = IdSource::default();
    let key = ApiKey {
        scopes: vec!["admin".to_owned()],
        ..ApiKey::issued(ids.key(now), SYSTEM, "old", "operator", public_prefix.clone(), now)
    };
    let id = key.id.to_string();
    let secret_row = NewSecret { public_prefix, verifier, has_mac: false };
    let by = Actor {
        event_id: ids.event(now),
        at: now,
        name: "test".to_owned(),
        peer: String::new(),
        within: portcullis::key::permission::Reach::Everywhere,
        overrides: portcullis::store::Overrides::default(),
    };
    let new = NewKey { key, secret: secret_row, request_id: None, keyspace_uid: None };
    store.create_key(&new, &by).await.expect("an answer").expect("it is made");
    (id, secret)
}

/// Calls with each of `credentials`, all of which are refused; how many look-ups that took.
async fn lookups_of_refused(service: &Service, credentials: impl Iterator<Item = String>) -> u64 {
    let before = service.verifier.lookups();
    for credential in credentials {
        let request = VerifyRequest { key: "ak_x".into(), ..VerifyRequest::default() };
        let refused = service.caller(&credential).verification.verify(request).await;
        check_error(refused, Code::Unauthenticated, ErrorReason::CredentialInvalid);
    }
    service.verifier.lookups() - before
}

async fn made_up_root_credentials_cost_no_look_up(backend: Backend) {
    let service = Service::start(backend).await;
    let (_, key) = service.admin().create(new_key("k")).await;
    assert_eq!(service.admin().verdict(&key).await, Verdict::Valid);
    let of_customers =
        || token::generate(&"ak".parse().expect("a prefix")).expect("random bytes").1.expose().to_owned();
    assert_eq!(lookups_of_refused(&service, (0..MADE_UP).map(|_| old_token())).await, 0);
    assert_eq!(lookups_of_refused(&service, (0..MADE_UP).map(|_| of_customers())).await, 0);
    assert_eq!(lookups_of_refused(&service, (0..MADE_UP).map(|nth| format!("{ROOT_KEY}-{nth}"))).await, 0);
    // Of a lookup that there is, too.
    let wrong = (0..MADE_UP).map(|nth| wrong_secret(&service.root_key, nth));
    assert_eq!(lookups_of_refused(&service, wrong).await, 0);
    assert!(service.verifier.root_tokens().refused() >= u64::from(2 * MADE_UP));

    // Nor where a caller asks about them.
    let before = service.verifier.lookups();
    let about = VerifyRequest { key: old_token(), keyspace: SYSTEM.into(), ..VerifyRequest::default() };
    assert_eq!(service.admin().verify_of(about).await.verdict(), Verdict::NotFound);
    assert_eq!(service.verifier.lookups(), before);

    // A new root key is looked up: it carries a MAC.
    let mut caller = service.caller_with(&["keys:verify"]).await;
    assert_eq!(caller.verdict(&key).await, Verdict::Valid);
    assert_eq!(service.verifier.lookups(), before + 1);
    assert!(service.verifier.is_plausible_root(&service.root_key));
    assert!(!service.verifier.is_plausible_root(&old_token()));
    service.stop().await;
}

async fn a_root_key_from_before_goes_on_working_until_it_is_gone(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let store = fixture.open().await;
    let (_, first) = store_old_root_key(&store).await;
    let (id, second) = store_old_root_key(&store).await;
    store.close().await;
    let service = Service::start_over(fixture, Some(first.clone())).await;
    let (_, key) = service.admin().create(new_key("k")).await;
    for old in [&first, &second] {
        assert_eq!(service.caller(old).verdict(&key).await, Verdict::Valid);
        assert!(!service.verifier.is_plausible_root(old));
    }
    assert_eq!(service.verifier.root_tokens().without_mac(), 2);
    assert_eq!(lookups_of_refused(&service, (0..MADE_UP).map(|_| old_token())).await, 0);

    // What is rotated gets a token with a MAC; the old one goes on for as long as it should.
    let rotated = service.admin().rotate(&id, 60).await;
    assert!(service.verifier.is_plausible_root(&rotated));
    for secret in [&rotated, &second] {
        assert_eq!(service.caller(secret).verdict(&key).await, Verdict::Valid);
    }
    let target = Some(Target::Id(id));
    service.caller(&rotated).keys.revoke_api_key(RevokeApiKeyRequest { target, ..Default::default() }).await.unwrap();
    let ended = [rotated, second];
    lookups_of_refused(&service, ended.iter().cloned()).await;
    service.verifier.refresh_root_tokens().await.expect("it is read");
    assert_eq!(service.verifier.root_tokens().without_mac(), 1);
    assert_eq!(lookups_of_refused(&service, ended.into_iter()).await, 0);
    service.stop().await;
}

async fn a_supplied_root_key_is_known_and_others_cost_nothing(backend: Backend) {
    let service = Service::start_supplied(backend, ROOT_KEY).await;
    let (_, key) = service.admin().create(new_key("k")).await;
    assert_eq!(service.admin().verdict(&key).await, Verdict::Valid);
    assert_eq!(service.verifier.root_tokens().without_mac(), 1);
    assert_eq!(lookups_of_refused(&service, (0..MADE_UP).map(|_| old_token())).await, 0);
    // All free text has one lookup. It is remembered, but for a lease that ran out meanwhile.
    assert!(lookups_of_refused(&service, (0..10).map(|nth| format!("{ROOT_KEY}-{nth}"))).await <= 1);
    service.stop().await;
}

async fn a_root_key_that_is_made_offline_carries_a_mac(backend: Backend) {
    let service = Service::start(backend).await;
    let (_, key) = service.admin().create(new_key("k")).await;
    let root_key = service.root_key.clone();
    let fixture = service.stop_and_keep().await;
    let mut create =
        portcullis(["root-key", "create", "--name", "n", "--permission", "keys:verify", "--offline", "-q"]);
    create.args(["--database-url", &fixture.url]);
    let made = Process::run(create).await.with_code(0).stdout;
    let made = made.trim_end();

    let service = Service::start_over(fixture, Some(root_key)).await;
    let wrong = (0..MADE_UP).map(|nth| wrong_secret(made, nth));
    assert_eq!(lookups_of_refused(&service, wrong).await, 0);
    assert!(service.verifier.is_plausible_root(made));
    assert_eq!(service.verifier.root_tokens().without_mac(), 0);
    assert_eq!(service.caller(made).verdict(&key).await, Verdict::Valid);
    service.stop().await;
}

/// While a replica runs that issues tokens without a MAC, each such token may be new.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_replica_issues_works_at_once() {
    let service = Service::start(Backend::Postgres).await;
    let (_, key) = service.admin().create(new_key("k")).await;
    service
        .execute(
            "INSERT INTO replica (incarnation, name, lease_ms, state) VALUES (gen_random_uuid(), 'older', 1000, 1);",
        )
        .await;
    service.verifier.refresh_root_tokens().await.expect("it is read");
    assert!(!service.verifier.root_tokens().is_complete());
    let store = portcullis::store::connect(
        service.database_url(),
        portcullis::store::Schema::MustBeCurrent,
        &portcullis::store::Hints::None,
    );
    let store = store.await.expect("a store");
    let (_, old) = store_old_root_key(&store).await;
    assert_eq!(service.caller(&old).verdict(&key).await, Verdict::Valid);
    assert_eq!(lookups_of_refused(&service, (0..3).map(|_| old_token())).await, 3);
    // It leaves. What it issued is known.
    service.execute("DELETE FROM replica WHERE name = 'older'").await;
    service.verifier.refresh_root_tokens().await.expect("it is read");
    assert!(service.verifier.root_tokens().is_complete());
    assert_eq!(service.caller(&old).verdict(&key).await, Verdict::Valid);
    assert_eq!(lookups_of_refused(&service, (0..MADE_UP).map(|_| old_token())).await, 0);
    store.close().await;
    service.stop().await;
}
