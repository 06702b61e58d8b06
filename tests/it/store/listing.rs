//! The order of keys, and pages of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis::key::id::KeyId;
use portcullis::key::record::ApiKey;
use portcullis::store::Store;

use super::rig::{Rig, at, by, done, every_key, labels, new_key, new_secret};

/// Makes `count` keys of one microsecond; newest first, as they should be listed.
async fn create_at_once(rig: &Rig, count: usize) -> Vec<ApiKey> {
    let mut keys = Vec::with_capacity(count);
    for number in 0..count {
        keys.push(rig.create(|key| key.name = format!("key {number}")).await);
    }
    keys.sort_by(|a, b| b.id.cmp(&a.id));
    keys
}

/// The ids on all pages of `limit` keys; between two pages, `meanwhile` may do what it likes.
async fn walk(store: &Arc<dyn Store>, limit: usize, mut meanwhile: impl AsyncFnMut(&ApiKey)) -> Vec<KeyId> {
    let mut query = every_key();
    query.limit = limit;
    let mut ids = Vec::new();
    loop {
        let page = store.list_keys(&query).await.expect("an answer").page;
        let Some(last) = page.keys.last() else { return ids };
        assert!(page.keys.len() <= limit);
        ids.extend(page.keys.iter().map(|key| key.id.clone()));
        query.after = Some((last.create_time, last.id.clone()));
        meanwhile(last).await;
    }
}

fn ids(keys: &[ApiKey]) -> Vec<KeyId> {
    keys.iter().map(|key| key.id.clone()).collect()
}

pub async fn the_newest_come_first(rig: Rig) {
    // Neither the order of insertion nor that of the ids.
    for second in [3, 1, 4, 0, 5, 2] {
        rig.create(|key| {
            key.name = second.to_string();
            key.create_time = at(second);
        })
        .await;
    }
    assert_eq!(rig.names(|_| ()).await, ["5", "4", "3", "2", "1", "0"]);
}

pub async fn keys_of_one_microsecond_come_by_id(rig: Rig) {
    let mut new: Vec<_> = (0..20).map(|_| new_key(|_| ())).collect();
    // Insertion must not happen to be the order asked for, nor an index help.
    rig.fixture.execute("DROP INDEX api_key_newest; DROP INDEX api_key_subject").await;
    new.rotate_left(7);
    new.swap(3, 15);
    for new in &new {
        rig.create_new(new).await;
    }
    let mut expect: Vec<_> = new.into_iter().map(|new| new.key).collect();
    expect.sort_by(|a, b| b.id.cmp(&a.id));
    assert_eq!(rig.page(|_| ()).await.keys, expect);
}

pub async fn pages_follow_each_other_without_gap_or_repeat(rig: Rig) {
    let mut expect = create_at_once(&rig, 11).await;
    for second in 1..=4 {
        expect.insert(0, rig.create(|key| key.create_time = at(second)).await);
    }
    for limit in [1, 2, 5, 15, 16] {
        assert_eq!(walk(&rig.store, limit, async |_| ()).await, ids(&expect), "pages of {limit}");
    }
}

pub async fn pages_hold_while_keys_come_and_go(rig: Rig) {
    let stay: BTreeSet<_> = ids(&create_at_once(&rig, 30).await).into_iter().collect();
    let go = create_at_once(&rig, 30).await;
    let over = Arc::new(AtomicBool::new(false));
    let traffic = {
        let (store, over) = (rig.callers(1).await.remove(0), over.clone());
        tokio::spawn(async move {
            let mut go = go.into_iter();
            while !over.load(Ordering::SeqCst) {
                done(store.create_key(&new_key(|_| ()), &by(at(0))).await);
                if let Some(key) = go.next() {
                    done(store.delete_key(&key.id, &by(at(1))).await);
                }
            }
        })
    };
    for limit in [1, 3, 7, 20] {
        // New keys of the same microsecond get ever greater ids, so that they come before the page, and walks end.
        let seen = walk(&rig.store, limit, async |_| ()).await;
        let unique: BTreeSet<_> = seen.iter().cloned().collect();
        assert_eq!(unique.len(), seen.len(), "no key twice");
        assert!(unique.is_superset(&stay), "no key lost");
    }
    over.store(true, Ordering::SeqCst);
    traffic.await.expect("traffic");
}

pub async fn a_page_can_follow_a_deleted_key(rig: Rig) {
    let expect = create_at_once(&rig, 9).await;
    let delete = async |last: &ApiKey| done(rig.store.delete_key(&last.id, &by(at(1))).await);
    assert_eq!(walk(&rig.store, 2, delete).await, ids(&expect));
    assert_eq!(rig.page(|_| ()).await.total, 4, "the last of each of five pages is gone");
}

pub async fn total_counts_all_that_match(rig: Rig) {
    let keys = create_at_once(&rig, 7).await;
    rig.create(|key| key.subject = "user_2".into()).await;
    let behind = (keys[1].create_time, keys[1].id.clone());
    for (after, skip, limit, shown) in
        [(None, 0, 3, 3), (None, 5, 100, 2), (None, 100, 100, 0), (None, 0, 0, 0), (Some(behind), 2, 100, 3)]
    {
        let page = rig
            .page(|query| {
                query.subject = Some("user_1".into());
                (query.after, query.skip, query.limit) = (after, skip, limit);
            })
            .await;
        assert_eq!((page.keys.len(), page.total), (shown, 7), "skip {skip}, limit {limit}");
    }
}

pub async fn skip_passes_over_matches(rig: Rig) {
    let keys = create_at_once(&rig, 6).await;
    let page = rig.page(|query| (query.skip, query.limit) = (2, 3)).await;
    assert_eq!(page.keys, keys[2..5]);
    let behind = Some((keys[0].create_time, keys[0].id.clone()));
    let page = rig.page(|query| (query.after, query.skip, query.limit) = (behind, 2, 2)).await;
    assert_eq!(page.keys, keys[3..5]);
    let far = usize::try_from(i32::MAX).expect("as far as the wire goes");
    assert_eq!(rig.page(|query| query.skip = far).await.keys, []);
}

pub async fn listed_keys_are_whole(rig: Rig) {
    let mut expect = Vec::new();
    for second in (0..5).rev() {
        let key = rig
            .create(|key| {
                key.create_time = at(second);
                key.metadata = labels(&[("n", &second.to_string()), ("all", "yes")]);
            })
            .await;
        let overlap = std::time::Duration::from_mins(1);
        let mut key = done(rig.store.rotate_key(&key.id, &new_secret(), overlap, &by(at(6))).await);
        if second == 3 {
            key = rig.revoke(&key.id).await;
        }
        rig.record_uses(&[(key.id.clone(), at(7))]).await;
        key.last_use_time = Some(at(7));
        expect.push(key);
    }
    assert_eq!(rig.page(|_| ()).await.keys, expect);
    assert_eq!(rig.page(|query| query.metadata = labels(&[("all", "yes")])).await.keys, expect);
    assert_eq!(rig.page(|query| query.metadata = labels(&[("n", "3")])).await.keys, expect[1..2]);
}

pub async fn a_keyspace_shows_its_own_keys_only(rig: Rig) {
    rig.create_keyspace(|_| ()).await;
    rig.create(|key| key.name = "of default".into()).await;
    rig.create(|key| (key.keyspace, key.name) = ("acme".into(), "of acme".into())).await;
    assert_eq!(rig.names(|_| ()).await, ["of default"]);
    assert_eq!(rig.names(|query| query.keyspace = "acme".into()).await, ["of acme"]);
    let label = labels(&[("team", "core")]);
    assert_eq!(rig.names(|query| (query.keyspace, query.metadata) = ("acme".into(), label)).await, ["of acme"]);
    assert!(rig.names(|query| query.keyspace = "nowhere".into()).await.is_empty());
}

pub async fn a_page_of_keys_ends_with_its_bytes(rig: Rig) {
    let large: BTreeMap<_, _> = (0..50).map(|n| (format!("label-{n}"), "x".repeat(512))).collect();
    let mut made = Vec::new();
    for second in 0..12 {
        made.push(rig.create(|key| (key.metadata, key.create_time) = (large.clone(), at(second))).await);
    }
    made.reverse();
    let mut query = every_key();
    // Three labels of 512 bytes are more than 1 KiB.
    for (weight_max, most) in [(100 * 1024, 3), (1024, 1), (0, 1), (usize::MAX, 12)] {
        query.weight_max = weight_max;
        (query.after, query.limit) = (None, 1_000);
        let mut listed = Vec::new();
        loop {
            let page = rig.store.list_keys(&query).await.expect("an answer").page;
            assert_eq!((page.total, page.total_is_lower_bound), (12, false));
            assert!(!page.keys.is_empty() && page.keys.len() <= most, "{} of {weight_max}", page.keys.len());
            listed.extend(page.keys);
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
        assert_eq!(listed, made, "{weight_max}");
    }
}
