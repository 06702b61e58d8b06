//! Changing keys.

use portcullis::key::credits::CreditsPatch;
use portcullis::key::record::Patch;
use portcullis::store::Refusal;
use serde_json::json;

use super::rig::{Rig, at, by, claims, done, labels, limit, networks, refused, renamed};

pub async fn each_field_changes_alone(rig: Rig) {
    let mut key = rig.create(|key| key.expire_time = Some(at(100))).await;
    let patches = [
        renamed("another name 🗝"),
        Patch { description: Some(String::new()), ..Patch::default() },
        Patch { scopes: Some(vec!["z".into(), "a".into()]), ..Patch::default() },
        Patch { claims: Some(claims(json!({ "x": [1.5, "\u{0}"] }))), ..Patch::default() },
        Patch { metadata: Some(labels(&[("a", "b")])), ..Patch::default() },
        Patch { expire_time: Some(Some(at(200))), ..Patch::default() },
        Patch { enabled: Some(false), ..Patch::default() },
        Patch { rate_limits: Some(vec![limit("", 9, 1), limit("daily", 99, 86_400)]), ..Patch::default() },
        Patch { allowed_cidrs: Some(networks(&["10.0.0.0/8", "2001:db8::1"])), ..Patch::default() },
        Patch { rate_limits: Some(vec![]), ..Patch::default() },
        Patch { allowed_cidrs: Some(vec![]), ..Patch::default() },
    ];
    for (patch, second) in patches.into_iter().zip(1..) {
        let updated = done(rig.store.update_key(&key.id, &patch, Some(key.revision), &by(at(second))).await);
        let Patch { name, description, scopes, claims, metadata, expire_time, enabled, .. } = patch;
        key.name = name.unwrap_or(key.name);
        key.description = description.unwrap_or(key.description);
        key.scopes = scopes.unwrap_or(key.scopes);
        key.claims = claims.unwrap_or(key.claims);
        key.metadata = metadata.unwrap_or(key.metadata);
        key.expire_time = expire_time.unwrap_or(key.expire_time);
        key.enabled = enabled.unwrap_or(key.enabled);
        key.rate_limits = patch.rate_limits.unwrap_or(key.rate_limits);
        key.allowed_cidrs = patch.allowed_cidrs.unwrap_or(key.allowed_cidrs);
        key.update_time = at(second);
        key.revision += 1;
        assert_eq!(updated, key);
        assert_eq!(rig.get(&key.id).await, key);
        assert_eq!(rig.find(&key.secrets[0].public_prefix).await.expect("its secret").key, key);
    }
}

pub async fn all_fields_change_at_once(rig: Rig) {
    let other = rig.create(|_| ()).await;
    let key = rig.create(|_| ()).await;
    let patch = Patch {
        name: Some("n".into()),
        description: Some("d".into()),
        scopes: Some(vec![]),
        claims: Some(claims(json!({}))),
        metadata: Some(labels(&[])),
        expire_time: Some(Some(at(9))),
        enabled: Some(false),
        rate_limits: Some(vec![limit("", 1, 1)]),
        credits: Some(CreditsPatch::Limited { remaining: Some(4), refill: None }),
        add_credits: Some(3),
        end_overlap: true,
        allowed_cidrs: Some(networks(&["192.0.2.0/24"])),
    };
    let updated = rig.update(&key.id, patch).await;
    assert_eq!((updated.name.as_str(), updated.description.as_str()), ("n", "d"));
    assert_eq!((updated.expire_time, updated.enabled, updated.revision), (Some(at(9)), false, 2));
    assert_eq!(updated.credits.as_ref().map(|credits| (credits.remaining, credits.epoch)), Some((7, 2)));
    assert_eq!((updated.rate_limits.len(), updated.allowed_cidrs.len()), (1, 1));
    assert!(updated.scopes.is_empty() && updated.claims.is_empty() && updated.metadata.is_empty());
    assert_eq!(rig.get(&key.id).await, updated);
    assert_eq!(rig.get(&other.id).await, other);
}

pub async fn labels_and_lists_are_replaced_not_merged(rig: Rig) {
    let key = rig.create(|key| key.metadata = labels(&[("a", "1"), ("b", "2")])).await;
    let patch = Patch {
        metadata: Some(labels(&[("b", "3"), ("c", "4")])),
        scopes: Some(vec!["orders:read".into()]),
        claims: Some(claims(json!({ "only": true }))),
        ..Patch::default()
    };
    rig.update(&key.id, patch).await;
    let read = rig.get(&key.id).await;
    assert_eq!(read.metadata, labels(&[("b", "3"), ("c", "4")]));
    assert_eq!(read.scopes, ["orders:read"]);
    assert_eq!(read.claims, claims(json!({ "only": true })));
}

pub async fn an_expiry_can_be_taken_away(rig: Rig) {
    let key = rig.create(|key| key.expire_time = Some(at(100))).await;
    let updated = rig.update(&key.id, Patch { expire_time: Some(None), ..Patch::default() }).await;
    assert_eq!(updated.expire_time, None);
    assert_eq!(rig.get(&key.id).await, updated);
}

pub async fn an_update_that_changes_nothing_writes_nothing(rig: Rig) {
    let key = rig.create(|_| ()).await;
    let same = Patch {
        name: Some(key.name.clone()),
        scopes: Some(key.scopes.clone()),
        claims: Some(key.claims.clone()),
        metadata: Some(key.metadata.clone()),
        expire_time: Some(key.expire_time),
        ..Patch::default()
    };
    for patch in [same, Patch::default()] {
        assert_eq!(done(rig.store.update_key(&key.id, &patch, Some(1), &by(at(5))).await), key);
        assert_eq!(rig.get(&key.id).await, key);
    }
    assert_eq!(rig.events_of(&key.id).await.len(), 1, "the creation alone");
}

pub async fn a_stale_revision_is_refused(rig: Rig) {
    let key = rig.create(|_| ()).await;
    let update = async |patch: &Patch, revision| rig.store.update_key(&key.id, patch, revision, &by(at(1))).await;
    let second = done(update(&renamed("second"), Some(1)).await);
    for stale in [0, 1, 3, -1, i64::MAX] {
        assert_eq!(refused(update(&renamed("third"), Some(stale)).await), Refusal::EtagMismatch, "{stale}");
    }
    // Whoever has not seen the second name may not say that it is theirs.
    assert_eq!(refused(update(&renamed("second"), Some(1)).await), Refusal::EtagMismatch);
    assert_eq!(rig.get(&key.id).await, second);
    assert_eq!(done(update(&renamed("third"), Some(2)).await).revision, 3);
    assert_eq!(done(update(&renamed("fourth"), None).await).revision, 4);
}

pub async fn a_revoked_key_can_be_relabelled(rig: Rig) {
    let key = rig.create(|_| ()).await;
    let revoked = rig.revoke(&key.id).await;
    let updated = done(rig.store.update_key(&key.id, &renamed("leaked"), None, &by(at(3))).await);
    assert_eq!((updated.name.as_str(), &updated.revocation), ("leaked", &revoked.revocation));
    assert_eq!(rig.get(&key.id).await, updated);
}

pub async fn of_two_updates_with_one_revision_one_wins(rig: Rig) {
    let callers = rig.callers(2).await;
    let key = rig.create(|_| ()).await;
    for revision in 1..=25 {
        let (first, second) = (format!("first {revision}"), format!("second {revision}"));
        let (patches, actor) = ([renamed(&first), renamed(&second)], by(at(revision)));
        let other = by(at(revision));
        let (one, two) = tokio::join!(
            callers[0].update_key(&key.id, &patches[0], Some(revision), &actor),
            callers[1].update_key(&key.id, &patches[1], Some(revision), &other),
        );
        let (winner, loser, name) = match (one.expect("an answer"), two.expect("an answer")) {
            (Ok(winner), Err(loser)) => (winner, loser, first),
            (Err(loser), Ok(winner)) => (winner, loser, second),
            both => panic!("both won or both lost: {both:?}"),
        };
        assert_eq!((loser, &winner.name), (Refusal::EtagMismatch, &name));
        assert_eq!(rig.get(&key.id).await, winner);
    }
    assert_eq!(rig.events_of(&key.id).await.len(), 26);
}

pub async fn updates_without_a_revision_all_count(rig: Rig) {
    const UPDATES: usize = 32;
    let callers = rig.callers(4).await;
    let key = rig.create(|_| ()).await;
    let mut updates = tokio::task::JoinSet::new();
    for number in 0..UPDATES {
        let (store, id) = (callers[number % callers.len()].clone(), key.id.clone());
        updates.spawn(async move {
            done(store.update_key(&id, &renamed(&format!("name {number}")), None, &by(at(1))).await).revision
        });
    }
    let mut revisions = updates.join_all().await;
    revisions.sort_unstable();
    assert!(revisions.into_iter().eq((2..).take(UPDATES)), "each counted once");
    assert_eq!(rig.events_of(&key.id).await.len(), UPDATES + 1);
}
