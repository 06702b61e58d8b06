//! Giving a key a new secret.

use std::time::Duration;

use portcullis::key::record::{ApiKey, NewSecret, Patch, SecretInfo};
use portcullis::key::verifier::{Verifier, argon2id};
use portcullis::store::{Outcome, Refusal};

use super::rig::{Rig, at, by, done, new_key, new_secret, refused};

const HOUR: Duration = Duration::from_hours(1);

async fn rotate(rig: &Rig, key: &ApiKey, newest: &NewSecret, overlap: Duration, second: i64) -> Outcome<ApiKey> {
    rig.store.rotate_key(&key.id, newest, overlap, &by(at(second))).await
}

fn info(secret: &NewSecret, created: i64, expires: Option<i64>) -> SecretInfo {
    let public_prefix = secret.public_prefix.clone();
    SecretInfo { public_prefix, create_time: at(created), expire_time: expires.map(at) }
}

/// That the key is as it was, and nothing came of the secret it was refused.
async fn check_unchanged(rig: &Rig, key: &ApiKey, refused: &NewSecret, events: usize) {
    assert_eq!(rig.get(&key.id).await, *key);
    assert_eq!(rig.find(&refused.public_prefix).await, None);
    assert_eq!(rig.events_of(&key.id).await.len(), events);
}

pub async fn the_key_stays_and_gets_a_new_secret(rig: Rig) {
    let first = new_key(|key| key.expire_time = Some(at(100_000)));
    let mut key = rig.create_new(&first).await;
    rig.record_uses(&[(key.id.clone(), at(1))]).await;
    let second = new_secret();
    let rotated = done(rotate(&rig, &key, &second, HOUR, 10).await);
    key.last_use_time = Some(at(1));
    key.update_time = at(10);
    key.revision = 2;
    key.secrets = vec![info(&second, 10, None), info(&first.secret, 0, Some(3610))];
    assert_eq!(rotated, key);
    assert_eq!(rig.get(&key.id).await, key);
}

pub async fn both_secrets_are_found_during_the_overlap(rig: Rig) {
    let first = new_key(|_| ());
    rig.create_new(&first).await;
    let mut second = new_secret();
    second.verifier = Verifier::Argon2id(argon2id("another").expect("a hash"));
    let key = done(rotate(&rig, &first.key, &second, HOUR, 10).await);
    for (secret, expire_time) in [(&first.secret, Some(at(3610))), (&second, None)] {
        let found = rig.find(&secret.public_prefix).await.expect("the secret");
        assert_eq!((found.verifier, found.secret_expire_time), (secret.verifier.clone(), expire_time));
        assert_eq!(found.key, key);
    }
}

pub async fn without_overlap_the_old_secret_is_gone(rig: Rig) {
    let first = new_key(|_| ());
    rig.create_new(&first).await;
    let second = new_secret();
    let key = done(rotate(&rig, &first.key, &second, Duration::ZERO, 10).await);
    assert_eq!(key.secrets, [info(&second, 10, None)]);
    assert_eq!(rig.get(&key.id).await, key);
    assert_eq!(rig.find(&first.secret.public_prefix).await, None);
}

pub async fn a_third_secret_drives_out_the_first(rig: Rig) {
    let first = new_key(|_| ());
    rig.create_new(&first).await;
    let (second, third) = (new_secret(), new_secret());
    done(rotate(&rig, &first.key, &second, HOUR, 10).await);
    let key = done(rotate(&rig, &first.key, &third, 2 * HOUR, 20).await);
    assert_eq!(key.secrets, [info(&third, 20, None), info(&second, 10, Some(7220))]);
    assert_eq!(rig.get(&key.id).await, key);
    assert_eq!(rig.find(&first.secret.public_prefix).await, None);
}

pub async fn an_expired_secret_is_dropped(rig: Rig) {
    let first = new_key(|_| ());
    rig.create_new(&first).await;
    let (second, third) = (new_secret(), new_secret());
    done(rotate(&rig, &first.key, &second, HOUR, 10).await);
    // Until a rotation drops it, an expired secret is there, and says itself that it has expired.
    assert_eq!(rig.get(&first.key.id).await.secrets.len(), 2);
    let key = done(rotate(&rig, &first.key, &third, Duration::ZERO, 3610).await);
    assert_eq!(key.secrets, [info(&third, 3610, None)]);
    assert_eq!(rig.get(&key.id).await, key);
}

pub async fn a_disabled_key_can_be_rotated(rig: Rig) {
    let key = rig.create(|key| key.enabled = false).await;
    let rotated = done(rotate(&rig, &key, &new_secret(), HOUR, 1).await);
    assert!(!rotated.enabled);
    let enabled = rig.update(&key.id, Patch { enabled: Some(true), ..Patch::default() }).await;
    assert_eq!(enabled.secrets, rotated.secrets);
}

pub async fn a_revoked_key_cannot_be_rotated(rig: Rig) {
    let key = rig.create(|key| key.expire_time = Some(at(5))).await;
    let revoked = rig.revoke(&key.id).await;
    for second in [3, 6] {
        let newest = new_secret();
        assert_eq!(refused(rotate(&rig, &key, &newest, HOUR, second).await), Refusal::KeyRevoked);
        check_unchanged(&rig, &revoked, &newest, 2).await;
    }
}

pub async fn an_expired_key_cannot_be_rotated(rig: Rig) {
    let key = rig.create(|key| key.expire_time = Some(at(5))).await;
    for second in [5, 6] {
        let newest = new_secret();
        assert_eq!(refused(rotate(&rig, &key, &newest, HOUR, second).await), Refusal::KeyExpired);
        check_unchanged(&rig, &key, &newest, 1).await;
    }
    done(rotate(&rig, &key, &new_secret(), HOUR, 4).await);
}

pub async fn a_taken_prefix_leaves_the_key_as_it_was(rig: Rig) {
    let new = new_key(|_| ());
    let key = rig.create_new(&new).await;
    rotate(&rig, &key, &new.secret, HOUR, 1).await.expect_err("a key has a lookup once");
    assert_eq!(rig.get(&key.id).await, key);
    assert_eq!(rig.events_of(&key.id).await.len(), 1);
    assert_eq!(rig.find(&new.secret.public_prefix).await.expect("the secret").key, key);
}

pub async fn rotations_at_once_leave_two_secrets(rig: Rig) {
    const ROTATIONS: usize = 16;
    let callers = rig.callers(4).await;
    let key = rig.create(|_| ()).await;
    let mut rotations = tokio::task::JoinSet::new();
    for number in 0..ROTATIONS {
        let (store, id) = (callers[number % callers.len()].clone(), key.id.clone());
        rotations.spawn(async move {
            let newest = new_secret();
            let rotated = done(store.rotate_key(&id, &newest, HOUR, &by(at(1))).await);
            assert_eq!(rotated.secrets[0].public_prefix, newest.public_prefix);
            (rotated.revision, newest)
        });
    }
    let mut made = rotations.join_all().await;
    made.sort_by_key(|(revision, _)| *revision);
    assert!(made.iter().map(|(revision, _)| *revision).eq((2..).take(ROTATIONS)), "each counted once");

    let (old, live) = made.split_at(ROTATIONS - 2);
    let key = rig.get(&key.id).await;
    assert_eq!(key.secrets, [info(&live[1].1, 1, None), info(&live[0].1, 1, Some(3601))]);
    for (_, secret) in old {
        assert_eq!(rig.find(&secret.public_prefix).await, None);
    }
    for (_, secret) in live {
        assert_eq!(rig.find(&secret.public_prefix).await.expect("the secret").key, key);
    }
    assert_eq!(rig.events_of(&key.id).await.len(), ROTATIONS + 1);
}
