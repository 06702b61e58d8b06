//! Many callers at once. (Races about one method are with that method.)

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use portcullis::key::id::KeyId;
use portcullis::store::{Refusal, Store, StoreError};

use super::rig::{Rig, at, by, done, every_key, new_key, new_secret, race, renamed, revocation};

async fn create_some(store: Arc<dyn Store>, count: usize) -> Vec<KeyId> {
    let mut ids = Vec::with_capacity(count);
    for _ in 0..count {
        let new = new_key(|_| ());
        done(store.create_key(&new, &by(at(0))).await);
        ids.push(new.key.id);
    }
    ids
}

pub async fn keys_of_many_creators_are_all_there(mut rig: Rig) {
    const CREATORS: usize = 64;
    const KEYS_EACH: usize = 50;
    let callers = rig.callers(4).await;
    let mut creators = tokio::task::JoinSet::new();
    for number in 0..CREATORS {
        creators.spawn(create_some(callers[number % callers.len()].clone(), KEYS_EACH));
    }
    let made: BTreeSet<_> = creators.join_all().await.into_iter().flatten().collect();
    assert_eq!(made.len(), CREATORS * KEYS_EACH);
    drop(callers);
    rig.reopen().await;
    let page = rig.page(|query| query.limit = 2 * CREATORS * KEYS_EACH).await;
    assert_eq!(page.total, made.len() as u64);
    assert_eq!(page.keys.into_iter().map(|key| key.id).collect::<BTreeSet<_>>(), made);
    let events = rig.events(|query| query.limit = 2 * CREATORS * KEYS_EACH).await;
    assert_eq!(events.len(), made.len());
}

pub async fn a_reader_never_sees_half_a_rotation(rig: Rig) {
    const ROTATIONS: usize = 150;
    let first = new_key(|_| ());
    let id = rig.create_new(&first).await.id;
    let mut secrets = vec![first.secret];
    secrets.extend((0..ROTATIONS).map(|_| new_secret()));

    let over = Arc::new(AtomicBool::new(false));
    let rotator = {
        let (store, id, over, secrets) = (rig.callers(1).await.remove(0), id.clone(), over.clone(), secrets.clone());
        tokio::spawn(async move {
            for newest in &secrets[1..] {
                done(store.rotate_key(&id, newest, Duration::from_mins(1), &by(at(1))).await);
            }
            over.store(true, Ordering::SeqCst);
        })
    };
    while !over.load(Ordering::SeqCst) {
        let by_id = rig.get(&id).await;
        let listed = rig.page(|_| ()).await.keys.remove(0);
        let newest = &by_id.secrets[0].public_prefix;
        let found = rig.find(newest).await.map(|found| found.key);
        for key in [Some(by_id.clone()), Some(listed), found].into_iter().flatten() {
            // The revision says which secrets the key has at that moment.
            let newest = usize::try_from(key.revision).expect("it counts from 1") - 1;
            let expect: Vec<_> =
                secrets[newest.saturating_sub(1)..=newest].iter().rev().map(|secret| &secret.public_prefix).collect();
            let seen: Vec<_> = key.secrets.iter().map(|secret| &secret.public_prefix).collect();
            assert_eq!(seen, expect, "at revision {}", key.revision);
            let still_lives: Vec<_> = key.secrets.iter().map(|secret| secret.expire_time.is_none()).collect();
            assert_eq!(still_lives, [true, false][..seen.len()], "at revision {}", key.revision);
        }
    }
    rotator.await.expect("rotations");
}

pub async fn a_page_agrees_with_its_total_while_keys_come(rig: Rig) {
    let creator = tokio::spawn(create_some(rig.callers(1).await.remove(0), 150));
    while !creator.is_finished() {
        let page = rig.page(|_| ()).await;
        assert_eq!(page.total, page.keys.len() as u64);
    }
    assert_eq!(rig.page(|_| ()).await.total, creator.await.expect("keys").len() as u64);
}

pub async fn delete_racing_rotate_leaves_no_secret(rig: Rig) {
    let callers = rig.callers(2).await;
    for round in 0..40 {
        let key = rig.create(|_| ()).await;
        let newest = new_secret();
        let (by_rotator, by_deleter) = (by(at(1)), by(at(1)));
        let (rotated, deleted) = race(
            round,
            callers[0].rotate_key(&key.id, &newest, Duration::from_mins(1), &by_rotator),
            callers[1].delete_key(&key.id, &by_deleter),
        )
        .await;
        done(deleted);
        let rotated = rotated.expect("an answer");
        assert!(matches!(rotated, Ok(_) | Err(Refusal::KeyNotFound)), "{rotated:?}");
        assert_eq!(rig.find(&newest.public_prefix).await, None);
        assert_eq!(rig.find(&key.secrets[0].public_prefix).await, None);
        assert_eq!(rig.store.key(&key.id).await.expect("an answer"), None);
    }
}

pub async fn a_call_that_is_dropped_is_done_or_not(rig: Rig) {
    let store = &rig.store;
    let mut dropped = 0;
    for (round, change) in (0..).zip(["create", "update", "rotate", "revoke", "delete"].repeat(25)) {
        let (new, newest, by_dropper) = (new_key(|_| ()), new_secret(), by(at(1)));
        let (id, patch, why) = (&new.key.id, renamed("dropped"), revocation(at(1)));
        if change != "create" {
            rig.create_new(&new).await;
        }
        let overlap = Duration::from_mins(1);
        let call = async {
            match change {
                "create" => done(store.create_key(&new, &by_dropper).await),
                "update" => drop(done(store.update_key(id, &patch, None, &by_dropper).await)),
                "rotate" => drop(done(store.rotate_key(id, &newest, overlap, &by_dropper).await)),
                "revoke" => drop(done(store.revoke_key(id, &why, &by_dropper).await)),
                _ => done(store.delete_key(id, &by_dropper).await),
            }
        };
        dropped += u32::from(drop_after(round / 5, call).await.is_none());
        // Whoever comes next need not wait for somebody who is gone, and from then on it is settled.
        if change == "create" {
            let again = store.create_key(&new, &by(at(2))).await;
            assert!(matches!(again, Ok(Ok(())) | Err(StoreError::Fault(_))), "{again:?}");
        }
        let next = store.update_key(id, &renamed("after"), None, &by(at(2))).await.expect("an answer");

        let actions: Vec<_> = rig.events_of(id).await.into_iter().map(|event| event.action).collect();
        let key = store.key(id).await.expect("an answer");
        assert_eq!(key.as_ref(), next.ok().as_ref(), "{change}");
        // Every change has its event: a revision is one, and so is the end.
        match &key {
            Some(key) => assert_eq!(key.revision, i64::try_from(actions.len()).expect("few"), "{change}: {actions:?}"),
            None => assert_eq!(actions, ["DeleteApiKey", "CreateApiKey"], "{change}"),
        }
        for public_prefix in [&new.secret.public_prefix, &newest.public_prefix] {
            let secrets = key.iter().flat_map(|key| &key.secrets);
            let kept = secrets.filter(|secret| secret.public_prefix == *public_prefix).count();
            assert_eq!(usize::from(rig.find(public_prefix).await.is_some()), kept, "{change}");
        }
        let rotations = actions.iter().filter(|action| *action == "RotateApiKey").count();
        let revocations = actions.iter().filter(|action| *action == "RevokeApiKey").count();
        if let Some(key) = key {
            assert_eq!((key.secrets.len(), key.revocation.iter().len()), (1 + rotations, revocations), "{change}");
        }
    }
    println!("{dropped} of 125 were dropped before they were answered");
}

/// Polls the call until it is done, or has had to wait once more than `waits` times: then its caller goes away.
async fn drop_after<T>(waits: usize, call: impl Future<Output = T>) -> Option<T> {
    let mut call = pin!(call);
    let mut left = waits;
    poll_fn(|context| match (call.as_mut().poll(context), left) {
        (Poll::Ready(done), _) => Poll::Ready(Some(done)),
        (Poll::Pending, 0) => Poll::Ready(None),
        (Poll::Pending, _) => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

/// As do those that read on threads of low priority while others keep the processor.
pub async fn callers_that_get_no_processor_keep_no_other_from_reading(rig: Rig) {
    let id = rig.create(|_| ()).await.id;
    let (newest, reader) = (rig.get(&id).await.secrets[0].public_prefix.clone(), rig.store.clone());
    let mut stalled: Vec<Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::new();
    for _ in 0..64 {
        let (store, id, newest) = (reader.clone(), id.clone(), newest.clone());
        stalled.push(Box::pin(async move { drop(store.keyspace("default").await) }));
        let store = reader.clone();
        stalled.push(Box::pin(async move { drop(store.key(&id).await) }));
        let store = reader.clone();
        stalled.push(Box::pin(async move { drop(store.find_secret(newest.as_str()).await) }));
    }
    for call in &mut stalled {
        // Some may be done at once.
        let _is_done = poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_ready())).await;
    }
    assert_eq!(rig.get(&id).await.id, id);
    assert!(rig.find(&newest).await.is_some());
    drop(stalled);
}

pub async fn closing_lets_writes_finish(mut rig: Rig) {
    let mut creators = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let store = rig.store.clone();
        creators.spawn(async move {
            let mut acknowledged = Vec::new();
            loop {
                let new = new_key(|_| ());
                match store.create_key(&new, &by(at(0))).await {
                    Ok(outcome) => outcome.expect("not refused"),
                    // Closed.
                    Err(_) => return acknowledged,
                }
                acknowledged.push(new.key.id);
            }
        });
    }
    let mut query = every_key();
    query.limit = 1;
    while rig.store.list_keys(&query).await.expect("an answer").page.total < 50 {
        tokio::task::yield_now().await;
    }
    rig.reopen().await;
    for id in creators.join_all().await.into_iter().flatten() {
        assert_eq!(rig.get(&id).await.id, id, "acknowledged, and so kept");
    }
}
