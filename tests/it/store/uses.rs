//! Noting when keys were last used.

use portcullis::key::id::KeyId;

use super::rig::{Rig, at, by, done, new_id, used};

pub async fn a_use_is_noted(rig: Rig) {
    let mut key = rig.create(|_| ()).await;
    rig.record_uses(&[(key.id.clone(), at(7))]).await;
    // Nothing else changes: neither the etag, nor the time of update, nor the audit trail.
    key.last_use_time = Some(at(7));
    assert_eq!(rig.get(&key.id).await, key);
    assert_eq!(rig.find(&key.secrets[0].public_prefix).await.expect("its secret").key, key);
    assert_eq!(rig.events_of(&key.id).await.len(), 1);
}

pub async fn a_use_never_moves_back(rig: Rig) {
    let key = rig.create(|_| ()).await;
    for (used, expect) in [(5, 5), (3, 5), (5, 5), (6, 6)] {
        rig.record_uses(&[(key.id.clone(), at(used))]).await;
        assert_eq!(rig.get(&key.id).await.last_use_time, Some(at(expect)));
    }
}

pub async fn the_latest_of_several_uses_counts(rig: Rig) {
    let (one, two) = (rig.create(|_| ()).await, rig.create(|_| ()).await);
    let uses = [(&one, 2), (&two, 9), (&one, 4), (&two, 8), (&one, 3)];
    let uses: Vec<_> = uses.map(|(key, second)| (key.id.clone(), at(second))).into();
    rig.record_uses(&uses).await;
    assert_eq!(rig.get(&one.id).await.last_use_time, Some(at(4)));
    assert_eq!(rig.get(&two.id).await.last_use_time, Some(at(9)));
    rig.record_uses(&[]).await;
}

pub async fn uses_of_keys_that_are_gone_are_passed_over(rig: Rig) {
    let (gone, stays) = (rig.create(|_| ()).await, rig.create(|_| ()).await);
    done(rig.store.delete_key(&gone.id, &by(at(1))).await);
    let uses = [(gone.id.clone(), at(2)), (new_id(), at(2)), (KeyId::from_text(""), at(2)), (stays.id.clone(), at(2))];
    rig.record_uses(&uses).await;
    assert_eq!(rig.get(&stays.id).await.last_use_time, Some(at(2)));
    assert_eq!(rig.store.key(&gone.id).await.expect("an answer"), None);
}

pub async fn many_uses_at_once_are_noted(rig: Rig) {
    let (first, last) = (rig.create(|_| ()).await, rig.create(|_| ()).await);
    // More than a driver takes as parameters of one statement.
    let mut uses: Vec<_> = (0..70_000).map(|_| (new_id(), at(1))).collect();
    uses.insert(0, (first.id.clone(), at(3)));
    uses.push((last.id.clone(), at(4)));
    rig.record_uses(&uses).await;
    assert_eq!(rig.get(&first.id).await.last_use_time, Some(at(3)));
    assert_eq!(rig.get(&last.id).await.last_use_time, Some(at(4)));
}

pub async fn uses_from_all_sides_end_at_the_latest(rig: Rig) {
    const ROUNDS: i64 = 20;
    let mut ids = Vec::new();
    for _ in 0..32 {
        ids.push(rig.create(|_| ()).await.id);
    }
    let mut noting = tokio::task::JoinSet::new();
    for (number, store) in (0..).zip(rig.callers(8).await) {
        // Each in another order: whoever locks row by row as given would deadlock here.
        let mut ids = ids.clone();
        ids.rotate_left(4 * number);
        noting.spawn(async move {
            for round in 1..=ROUNDS {
                let uses: Vec<_> = ids.iter().map(|id| (id.clone(), at(round))).collect();
                store.record_usage(&used(&uses)).await.expect("noted");
            }
        });
    }
    noting.join_all().await;
    for id in &ids {
        assert_eq!(rig.get(id).await.last_use_time, Some(at(ROUNDS)));
    }
}
