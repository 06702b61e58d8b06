//! Revoking keys. For good.

use std::time::Duration;

use portcullis::key::record::{Patch, Revocation, RevocationReason, State};
use portcullis::store::Refusal;

use super::rig::{Rig, at, by, done, new_secret, race, refused, renamed, revocation};

const HOUR: Duration = Duration::from_hours(1);

pub async fn a_revoked_key_shows_when_and_why(rig: Rig) {
    let other = rig.create(|_| ()).await;
    let mut key = rig.create(|_| ()).await;
    let why = Revocation { comment: "👩‍👧 مفتاح e\u{301}\nline two".into(), ..revocation(at(7)) };
    let revoked = done(rig.store.revoke_key(&key.id, &why, &by(at(7))).await);
    key.revocation = Some(why);
    key.update_time = at(7);
    key.revision = 2;
    assert_eq!(revoked, key);
    assert_eq!(rig.get(&key.id).await, key);
    assert_eq!(rig.page(|_| ()).await.keys, [key, other]);
}

pub async fn every_reason_survives(rig: Rig) {
    for number in 0.. {
        let Some(reason) = RevocationReason::from_number(number) else {
            assert_eq!(number, 6, "all reasons were tried");
            return;
        };
        let key = rig.create(|_| ()).await;
        done(rig.store.revoke_key(&key.id, &Revocation { reason, ..revocation(at(1)) }, &by(at(1))).await);
        assert_eq!(rig.get(&key.id).await.revocation.expect("revoked").reason, reason);
    }
}

pub async fn revoke_is_for_good(rig: Rig) {
    let key = rig.create(|key| (key.enabled, key.expire_time) = (false, Some(at(5)))).await;
    let revoked = rig.revoke(&key.id).await;
    let patch = Patch { enabled: Some(true), expire_time: Some(None), ..Patch::default() };
    let patched = rig.update(&key.id, patch).await;
    assert_eq!(patched.revocation, revoked.revocation);
    let rotated = rig.store.rotate_key(&key.id, &new_secret(), HOUR, &by(at(3))).await;
    assert_eq!(refused(rotated), Refusal::KeyRevoked);
    rig.record_uses(&[(key.id.clone(), at(4))]).await;

    let read = rig.get(&key.id).await;
    assert_eq!(read.revocation, revoked.revocation);
    assert_eq!(read.state(at(10)), State::Revoked);
    assert!(rig.names(|query| query.active_at = Some(at(10))).await.is_empty());
    let found = rig.find(&key.secrets[0].public_prefix).await.expect("the secret");
    assert_eq!(found.key, read);
}

pub async fn a_second_revocation_changes_nothing(rig: Rig) {
    let key = rig.create(|_| ()).await;
    let first = rig.revoke(&key.id).await;
    let other = Revocation { at: at(9), reason: RevocationReason::NoLongerNeeded, comment: "again".into() };
    for _ in 0..3 {
        assert_eq!(done(rig.store.revoke_key(&key.id, &other, &by(at(9))).await), first);
        assert_eq!(rig.get(&key.id).await, first);
    }
    assert_eq!(rig.events_of(&key.id).await.len(), 2);
}

pub async fn an_expired_key_can_be_revoked(rig: Rig) {
    let key = rig.create(|key| key.expire_time = Some(at(1))).await;
    assert_eq!(rig.revoke(&key.id).await.state(at(2)), State::Revoked);
}

pub async fn both_secrets_show_the_revocation(rig: Rig) {
    let key = rig.create(|_| ()).await;
    let newest = new_secret();
    done(rig.store.rotate_key(&key.id, &newest, HOUR, &by(at(1))).await);
    let revoked = rig.revoke(&key.id).await;
    for public_prefix in [&key.secrets[0].public_prefix, &newest.public_prefix] {
        assert_eq!(rig.find(public_prefix).await.expect("the secret").key, revoked);
    }
    assert_eq!(revoked.live_secrets(at(2)).count(), 0);
}

pub async fn of_many_revocations_one_is_kept(rig: Rig) {
    let key = rig.create(|_| ()).await;
    let mut revoking = tokio::task::JoinSet::new();
    for (number, store) in (0..).zip(rig.callers(8).await) {
        let (id, why) = (key.id.clone(), Revocation { comment: number.to_string(), ..revocation(at(number)) });
        revoking.spawn(async move { done(store.revoke_key(&id, &why, &by(at(number))).await) });
    }
    let answers = revoking.join_all().await;
    let kept = rig.get(&key.id).await;
    assert!(answers.iter().all(|answer| *answer == kept), "all were told of the one that is kept");
    assert_eq!(kept.revision, 2);
    assert_eq!(rig.events_of(&key.id).await.len(), 2);
}

pub async fn revoke_racing_rotate_leaves_nothing_live(rig: Rig) {
    let callers = rig.callers(2).await;
    let mut rotated_first = 0;
    for round in 0..40 {
        let key = rig.create(|_| ()).await;
        let newest = new_secret();
        let why = revocation(at(1));
        let (by_rotator, by_revoker) = (by(at(1)), by(at(1)));
        let (rotated, revoked) = race(
            round,
            callers[0].rotate_key(&key.id, &newest, HOUR, &by_rotator),
            callers[1].revoke_key(&key.id, &why, &by_revoker),
        )
        .await;
        done(revoked);
        let read = rig.get(&key.id).await;
        assert_eq!(read.revocation, Some(why));
        let secrets = match rotated.expect("an answer") {
            Ok(_) => {
                rotated_first += 1;
                vec![&newest.public_prefix, &key.secrets[0].public_prefix]
            }
            Err(refusal) => {
                assert_eq!(refusal, Refusal::KeyRevoked);
                assert_eq!(rig.find(&newest.public_prefix).await, None);
                vec![&key.secrets[0].public_prefix]
            }
        };
        let kept: Vec<_> = read.secrets.iter().map(|secret| &secret.public_prefix).collect();
        assert_eq!(kept, secrets);
        for public_prefix in secrets {
            assert_eq!(rig.find(public_prefix).await.expect("the secret").key, read);
        }
        assert_eq!(rig.events_of(&key.id).await.len(), read.secrets.len() + 1);
    }
    println!("{rotated_first} of 40 were rotated before they were revoked");
}

pub async fn revoke_racing_update_stays_revoked(rig: Rig) {
    let callers = rig.callers(2).await;
    for round in 0..40 {
        let key = rig.create(|key| key.enabled = false).await;
        let patch = Patch { enabled: Some(true), ..renamed("updated") };
        let why = revocation(at(1));
        let (by_updater, by_revoker) = (by(at(1)), by(at(1)));
        let (updated, revoked) = race(
            round,
            callers[0].update_key(&key.id, &patch, None, &by_updater),
            callers[1].revoke_key(&key.id, &why, &by_revoker),
        )
        .await;
        done(updated);
        done(revoked);
        let read = rig.get(&key.id).await;
        assert_eq!((read.revocation, read.name.as_str(), read.revision), (Some(why), "updated", 3));
    }
}
