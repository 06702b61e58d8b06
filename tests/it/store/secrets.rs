//! Finding the key of a presented secret: what the hot path asks.

use std::time::Duration;

use portcullis::key::keyspace::KeyspacePatch;
use portcullis::key::record::Patch;
use portcullis::key::verifier::{Verifier, argon2id};

use super::rig::{Rig, at, by, done, new_key};

pub async fn a_secret_is_found_with_its_key(rig: Rig) {
    let new = new_key(|_| ());
    let key = rig.create_new(&new).await;
    rig.create(|_| ()).await;
    assert_eq!(rig.find(&new.secret.public_prefix).await, Some(rig.found_as(new.secret.verifier, key).await));
}

pub async fn an_argon2id_verifier_survives(rig: Rig) {
    let mut new = new_key(|_| ());
    new.secret.verifier = Verifier::Argon2id(argon2id("a secret of somebody's own choice").expect("a hash"));
    rig.create_new(&new).await;
    let found = rig.find(&new.secret.public_prefix).await.expect("its secret");
    assert_eq!(found.verifier, new.secret.verifier);
}

pub async fn a_public_prefix_is_matched_exactly(rig: Rig) {
    let key = rig.create(|_| ()).await;
    let text = key.secrets[0].public_prefix.as_str();
    let other_case: String = text.chars().map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c }).collect();
    for other in
        [other_case.as_str(), "", "ak_%", "ak_________________", "\0", &text[..text.len() - 1], &format!("{text} ")]
    {
        assert_eq!(rig.store.find_secret(other).await.expect("an answer"), [], "{other:?}");
    }
}

pub async fn a_secret_is_found_whatever_state_its_key_is_in(rig: Rig) {
    let key = rig.create(|key| key.expire_time = Some(at(10))).await;
    let disabled = rig.update(&key.id, Patch { enabled: Some(false), ..Patch::default() }).await;
    let public_prefix = &key.secrets[0].public_prefix;
    assert_eq!(rig.find(public_prefix).await.expect("the secret").key, disabled);
    let revoked = rig.revoke(&key.id).await;
    assert_eq!(rig.find(public_prefix).await.expect("the secret").key, revoked);
}

pub async fn wildcards_are_as_the_keyspace_says_now(rig: Rig) {
    rig.create_keyspace(|keyspace| keyspace.allow_wildcard_scopes = true).await;
    let key = rig.create(|key| key.keyspace = "acme".into()).await;
    let public_prefix = &key.secrets[0].public_prefix;
    assert!(rig.find(public_prefix).await.expect("the secret").wildcards);
    let patch = KeyspacePatch { allow_wildcard_scopes: Some(false), ..KeyspacePatch::default() };
    done(rig.store.update_keyspace("acme", &patch, None, &by(at(1))).await);
    assert!(!rig.find(public_prefix).await.expect("the secret").wildcards);
    // A rotation does not lose sight of it either.
    let newest = super::rig::new_secret();
    done(rig.store.rotate_key(&key.id, &newest, Duration::ZERO, &by(at(2))).await);
    assert!(!rig.find(&newest.public_prefix).await.expect("the secret").wildcards);
}
