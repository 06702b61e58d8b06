//! The first root key, and what a store keeps about itself.

use std::sync::Arc;

use portcullis::key::keyspace::SYSTEM;
use portcullis::store::{NewKey, Store};

use super::rig::{Rig, at, by, done, new_key};
use crate::support::backend::Fixture;

fn root_key() -> NewKey {
    new_key(|key| {
        key.keyspace = SYSTEM.into();
        key.scopes = vec!["admin".into()];
    })
}

async fn is_bootstrapped(store: &Arc<dyn Store>) -> bool {
    store.installation().await.expect("an answer").bootstrapped
}

/// That `new` was not stored.
async fn check_absent(rig: &Rig, new: &NewKey) {
    assert_eq!(rig.store.key(&new.key.id).await.expect("an answer"), None);
    assert_eq!(rig.find(&new.secret.public_prefix).await, None);
    assert_eq!(rig.events_of(&new.key.id).await, []);
}

pub async fn a_new_store_is_not_bootstrapped(rig: Rig) {
    assert!(!is_bootstrapped(&rig.store).await);
    rig.create(|_| ()).await;
    assert!(!is_bootstrapped(&rig.store).await, "an ordinary key opens nothing here");
}

pub async fn the_page_token_key_is_this_stores_own(mut rig: Rig) {
    let key = rig.store.installation().await.expect("an answer").page_token_key;
    for caller in rig.callers(2).await {
        assert_eq!(caller.installation().await.expect("an answer").page_token_key, key);
    }
    rig.reopen().await;
    assert_eq!(rig.store.installation().await.expect("an answer").page_token_key, key);
    let other = Fixture::new(rig.fixture.backend).await;
    let other = other.open().await.installation().await.expect("an answer").page_token_key;
    assert_ne!(other, key);
    let distinct: std::collections::BTreeSet<_> = key.iter().collect();
    assert!(distinct.len() > 8, "random: {distinct:?}");
}

pub async fn the_first_root_key_is_stored_once(mut rig: Rig) {
    let (first, second) = (root_key(), root_key());
    assert!(rig.store.bootstrap(&first, &by(at(0))).await.expect("an answer"));
    assert!(is_bootstrapped(&rig.store).await);
    rig.reopen().await;
    assert!(is_bootstrapped(&rig.store).await);
    for new in [&second, &first] {
        assert!(!rig.store.bootstrap(new, &by(at(1))).await.expect("an answer"));
    }
    assert_eq!(rig.get(&first.key.id).await, first.key);
    assert_eq!(rig.find(&first.secret.public_prefix).await.expect("its secret").verifier, first.secret.verifier);
    assert_eq!(rig.names(|query| query.keyspace = SYSTEM.into()).await.len(), 1);
    let events = rig.events(|_| ()).await;
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].keyspace.as_str(), &events[0].key_id), (SYSTEM, &Some(first.key.id)));
    check_absent(&rig, &second).await;
}

pub async fn one_of_eight_bootstraps_succeeds(rig: Rig) {
    let mut attempts = tokio::task::JoinSet::new();
    for store in rig.callers(8).await {
        attempts.spawn(async move {
            let new = root_key();
            let succeeded = store.bootstrap(&new, &by(at(0))).await.expect("an answer");
            (new, succeeded)
        });
    }
    let (stored, not): (Vec<_>, Vec<_>) = attempts.join_all().await.into_iter().partition(|(_, succeeded)| *succeeded);
    let [(stored, _)] = &stored[..] else { panic!("{} succeeded", stored.len()) };
    assert_eq!(rig.page(|query| query.keyspace = SYSTEM.into()).await.keys, [stored.key.clone()]);
    for (new, _) in not {
        check_absent(&rig, &new).await;
    }
}

pub async fn a_deleted_root_key_is_no_reason_for_another_first(rig: Rig) {
    let (first, second) = (root_key(), root_key());
    assert!(rig.store.bootstrap(&first, &by(at(0))).await.expect("an answer"));
    done(rig.store.delete_key(&first.key.id, &by(at(1))).await);
    assert!(is_bootstrapped(&rig.store).await);
    assert!(!rig.store.bootstrap(&second, &by(at(2))).await.expect("an answer"));
    check_absent(&rig, &second).await;
}

pub async fn a_root_key_made_otherwise_is_the_first_too(rig: Rig) {
    let (first, second) = (root_key(), root_key());
    done(rig.store.create_key(&first, &by(at(0))).await);
    assert!(is_bootstrapped(&rig.store).await);
    assert!(!rig.store.bootstrap(&second, &by(at(1))).await.expect("an answer"));
    check_absent(&rig, &second).await;
}
