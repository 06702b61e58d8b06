//! The audit trail: every change writes one event, and nothing else does.

use std::time::Duration;

use portcullis::clock::Timestamp;
use portcullis::key::id::KeyId;
use portcullis::key::keyspace::KeyspacePatch;
use portcullis::key::permission::Reach;
use portcullis::key::record::Patch;
use portcullis::key::verifier::{Verifier, argon2id};
use portcullis::store::{Actor, Event};
use serde_json::json;

use super::rig::{
    Rig, at, by, claims, done, every_event, labels, new_id, new_key, new_keyspace, new_secret, refused, renamed,
    revocation,
};

const HOUR: Duration = Duration::from_hours(1);

/// Somebody of this name.
fn named(name: &str, at: Timestamp) -> Actor {
    Actor { name: name.into(), ..by(at) }
}

pub async fn each_change_writes_one_event(rig: Rig) {
    let store = &rig.store;
    let actors: Vec<Actor> =
        (0..8).map(|n| Actor { peer: format!("[2001:db8::{n}]:1"), ..named("ann", at(n)) }).collect();
    let new = new_key(|key| key.keyspace = "acme".into());
    let id = new.key.id.clone();
    let patch = KeyspacePatch { display_name: Some("New".into()), ..KeyspacePatch::default() };
    done(store.create_keyspace(&new_keyspace("acme"), &actors[0]).await);
    done(store.update_keyspace("acme", &patch, None, &actors[1]).await);
    done(store.create_key(&new, &actors[2]).await);
    done(store.update_key(&id, &renamed("x"), None, &actors[3]).await);
    done(store.rotate_key(&id, &new_secret(), HOUR, &actors[4]).await);
    done(store.revoke_key(&id, &revocation(at(5)), &actors[5]).await);
    done(store.delete_key(&id, &actors[6]).await);
    done(store.delete_keyspace("acme", &actors[7]).await);

    let expect = [
        ("CreateKeyspace", None),
        ("UpdateKeyspace", None),
        ("CreateApiKey", Some(&id)),
        ("UpdateApiKey", Some(&id)),
        ("RotateApiKey", Some(&id)),
        ("RevokeApiKey", Some(&id)),
        ("DeleteApiKey", Some(&id)),
        ("DeleteKeyspace", None),
    ];
    let events: Vec<Event> = rig.events(|_| ()).await.into_iter().rev().collect();
    assert_eq!(events.len(), expect.len());
    for ((event, (action, key_id)), actor) in events.iter().zip(expect).zip(actors) {
        assert_eq!((event.action.as_str(), event.key_id.as_ref()), (action, key_id));
        assert_eq!((&event.id, event.at, event.keyspace.as_str()), (&actor.event_id, actor.at, "acme"));
        assert_eq!((&event.actor, &event.peer), (&actor.name, &actor.peer));
    }
    assert!(events[1].changes.contains_key("display_name"), "{:?}", events[1].changes);
}

pub async fn a_creation_shows_the_key(rig: Rig) {
    let key = rig
        .create(|key| {
            key.name = "e\u{301} 👩‍👧 مفتاح".into();
            key.claims = claims(json!({ "nul": "\u{0}", "big": u64::MAX, "small": 0.1 }));
        })
        .await;
    assert_eq!(rig.events_of(&key.id).await[0].changes, key.audited(at(1)));
    done(rig.store.delete_key(&key.id, &Actor { peer: String::new(), ..named("e\u{301}", at(1)) }).await);
    let deletion = &rig.events_of(&key.id).await[0];
    assert_eq!((deletion.actor.as_str(), deletion.peer.as_str()), ("e\u{301}", ""));
    assert_eq!(deletion.changes, key.audited(at(1)));
}

pub async fn an_update_shows_what_changed(rig: Rig) {
    let mut key = rig.create(|_| ()).await;
    let patch = Patch {
        name: Some(key.name.clone()),
        scopes: Some(vec!["a".into()]),
        metadata: Some(labels(&[("\u{1f511}", "\u{202e}")])),
        expire_time: Some(Some(at(100))),
        ..Patch::default()
    };
    rig.update(&key.id, patch.clone()).await;
    let changes = key.update(&patch, at(1)).expect("changes");
    assert_eq!(changes.len(), 3);
    assert_eq!(rig.events_of(&key.id).await[0].changes, changes);
}

pub async fn a_rotation_shows_the_new_hint(rig: Rig) {
    let key = rig.create(|_| ()).await;
    let newest = new_secret();
    done(rig.store.rotate_key(&key.id, &newest, HOUR, &by(at(1))).await);
    let changes = &rig.events_of(&key.id).await[0].changes;
    assert_eq!(changes["secret_hint"], newest.public_prefix.hint());
    assert_eq!(changes["previous_secret_expire_time"], at(3601).to_string());
}

pub async fn a_revocation_shows_the_reason(rig: Rig) {
    let mut key = rig.create(|_| ()).await;
    rig.revoke(&key.id).await;
    let changes = key.revoke(&revocation(at(2)));
    assert_eq!(changes["revocation_comment"], "found in a paste");
    assert_eq!(rig.events_of(&key.id).await[0].changes, changes);
}

pub async fn what_is_refused_writes_no_event(rig: Rig) {
    let store = &rig.store;
    rig.create_keyspace(|_| ()).await;
    let mut new = new_key(|key| key.keyspace = "acme".into());
    new.request_id = Some("r-1".into());
    let revoked = rig.create_new(&new).await.id;
    rig.revoke(&revoked).await;
    let expired = rig.create(|key| key.expire_time = Some(at(1))).await.id;
    let before = rig.events(|_| ()).await;

    let (gone, patch) = (new_id(), KeyspacePatch { display_name: Some("x".into()), ..KeyspacePatch::default() });
    let again = super::rig::new_key(|key| key.keyspace = "acme".into());
    let again = portcullis::store::NewKey { request_id: Some("r-1".into()), ..again };
    refused(store.create_keyspace(&new_keyspace("acme"), &by(at(3))).await);
    refused(store.update_keyspace("acme", &patch, Some(9), &by(at(3))).await);
    refused(store.update_keyspace("nowhere", &patch, None, &by(at(3))).await);
    refused(store.delete_keyspace("acme", &by(at(3))).await);
    refused(store.delete_keyspace("nowhere", &by(at(3))).await);
    refused(store.create_key(&again, &by(at(3))).await);
    refused(store.create_key(&new_key(|key| key.keyspace = "nowhere".into()), &by(at(3))).await);
    refused(store.update_key(&revoked, &renamed("x"), Some(9), &by(at(3))).await);
    refused(store.update_key(&gone, &renamed("x"), None, &by(at(3))).await);
    refused(store.rotate_key(&revoked, &new_secret(), HOUR, &by(at(3))).await);
    refused(store.rotate_key(&expired, &new_secret(), HOUR, &by(at(3))).await);
    refused(store.rotate_key(&gone, &new_secret(), HOUR, &by(at(3))).await);
    refused(store.revoke_key(&gone, &revocation(at(3)), &by(at(3))).await);
    refused(store.delete_key(&gone, &by(at(3))).await);
    assert_eq!(rig.events(|_| ()).await, before);
}

pub async fn what_changes_nothing_writes_no_event(rig: Rig) {
    let keyspace = rig.create_keyspace(|_| ()).await;
    let key = rig.create(|_| ()).await;
    rig.revoke(&key.id).await;
    let before = rig.events(|_| ()).await;
    let same = KeyspacePatch { display_name: Some(keyspace.display_name), ..KeyspacePatch::default() };
    done(rig.store.update_keyspace("acme", &same, None, &by(at(3))).await);
    done(rig.store.update_key(&key.id, &renamed(&key.name), None, &by(at(3))).await);
    done(rig.store.revoke_key(&key.id, &revocation(at(3)), &by(at(3))).await);
    rig.record_uses(&[(key.id, at(3))]).await;
    assert_eq!(rig.events(|_| ()).await, before);
}

pub async fn no_event_holds_a_secret_or_verifier(rig: Rig) {
    let mut first = new_key(|_| ());
    first.secret.verifier = Verifier::Argon2id(argon2id("chosen by somebody").expect("a hash"));
    rig.create_new(&first).await;
    let second = new_secret();
    done(rig.store.rotate_key(&first.key.id, &second, HOUR, &by(at(1))).await);
    done(rig.store.delete_key(&first.key.id, &by(at(2))).await);

    let text = format!("{:?}", rig.events(|_| ()).await);
    for secret in [&first.secret, &second] {
        let lookup = secret.public_prefix.as_str();
        assert!(!text.contains(lookup), "a hint shows four characters of the lookup, no more");
    }
    let Verifier::Sha256(digest) = &second.verifier else { unreachable!("made so") };
    let hex = digest.as_bytes().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let list = format!("{:?}", &digest.as_bytes()[..4]);
    for part in ["argon2id", "$v=19", &hex[..16], list.trim_matches(['[', ']'])] {
        assert!(!text.contains(part), "{part} is of a verifier");
    }
}

pub async fn the_newest_events_come_first(rig: Rig) {
    // No index may happen to be in the order asked for.
    let indices = ["audit_event_newest", "audit_event_keyspace", "audit_event_key"];
    rig.fixture.execute(&indices.map(|name| format!("DROP INDEX {name};")).concat()).await;
    let key = rig.create(|_| ()).await;
    // Neither in order of time nor, within one microsecond, in order of the ids.
    let mut actors: Vec<_> = [4, 1, 3, 1, 1, 2, 1].map(|second| by(at(second))).into();
    actors.swap(1, 4);
    for (actor, number) in actors.iter().zip(0..) {
        done(rig.store.update_key(&key.id, &renamed(&format!("name {number}")), None, actor).await);
    }
    actors.sort_by(|a, b| (b.at, &b.event_id).cmp(&(a.at, &a.event_id)));
    let expect: Vec<_> = actors.iter().map(|actor| actor.event_id.as_str()).collect();
    let events = rig.events(|query| query.limit = expect.len()).await;
    assert_eq!(events.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), expect);
}

pub async fn events_are_within_the_callers_reach(rig: Rig) {
    for id in ["a", "b"] {
        rig.create_keyspace(|keyspace| keyspace.id = id.into()).await;
    }
    for (keyspace, second) in [("a", 1), ("b", 2), ("system", 3), ("default", 4)] {
        rig.create(|key| (key.keyspace, key.create_time) = (keyspace.into(), at(second))).await;
    }
    let only = |ids: &[&str]| Reach::Only(ids.iter().map(ToString::to_string).collect());
    for (within, expect) in [
        (Reach::Everywhere, &["default", "system", "b", "a"][..]),
        (Reach::AllButSystem, &["default", "b", "a"]),
        (only(&["b", "system"]), &["system", "b"]),
        (only(&["a", "a", "nowhere"]), &["a"]),
        (only(&[]), &[]),
    ] {
        let shown = rig.events(|query| (query.within, query.from) = (within, Some(at(1)))).await;
        assert_eq!(shown.iter().map(|event| event.keyspace.as_str()).collect::<Vec<_>>(), expect);
    }
}

pub async fn events_are_filtered_by_key_actor_and_time(rig: Rig) {
    let (one, two) = (rig.create(|_| ()).await.id, rig.create(|_| ()).await.id);
    for (id, actor, second) in
        [(&one, "ann", 1), (&two, "ann", 2), (&one, "Ann", 3), (&one, "bob", 4), (&two, "bob", 5)]
    {
        done(rig.store.update_key(id, &renamed(&second.to_string()), None, &named(actor, at(second))).await);
    }
    let name_of = |event: &Event| event.changes["name"].as_str().map(str::to_owned).expect("a name");
    let check = async |key: Option<&KeyId>, actor: Option<&str>, from: i64, until: i64, expect: &[&str]| {
        let shown = rig
            .events(|query| {
                query.key_id = key.cloned();
                query.actor = actor.map(str::to_owned);
                (query.from, query.until) = (Some(at(from)), Some(at(until)));
            })
            .await;
        assert_eq!(shown.iter().map(name_of).collect::<Vec<_>>(), expect);
    };
    check(None, None, 1, 6, &["5", "4", "3", "2", "1"]).await;
    check(Some(&one), None, 1, 6, &["4", "3", "1"]).await;
    check(None, Some("ann"), 1, 6, &["2", "1"]).await;
    check(Some(&two), Some("bob"), 1, 6, &["5"]).await;
    check(None, None, 2, 4, &["3", "2"]).await;
    check(None, None, 2, 2, &[]).await;
    check(Some(&new_id()), None, 1, 6, &[]).await;
    check(None, Some("%"), 1, 6, &[]).await;
}

pub async fn pages_of_events_follow_each_other_while_more_are_written(rig: Rig) {
    let key = rig.create(|_| ()).await;
    for number in 0..9 {
        done(rig.store.update_key(&key.id, &renamed(&number.to_string()), None, &by(at(1))).await);
    }
    let expect = rig.events(|_| ()).await;
    for limit in [1, 2, 3, 10] {
        let mut query = every_event();
        query.limit = limit;
        // What is written from now on is newer, and so before the first page.
        query.after = Some((at(2), String::new()));
        let mut seen = Vec::new();
        loop {
            let page = rig.store.list_events(&query).await.expect("an answer").page.events;
            let Some(last) = page.last() else { break };
            assert!(page.len() <= limit);
            query.after = Some((last.at, last.id.clone()));
            seen.extend(page);
            rig.create(|key| key.create_time = at(3)).await;
        }
        assert_eq!(seen, expect, "pages of {limit}");
    }
}

pub async fn events_outlive_their_key_and_keyspace(mut rig: Rig) {
    rig.create_keyspace(|_| ()).await;
    let key = rig.create(|key| key.keyspace = "acme".into()).await;
    done(rig.store.delete_key(&key.id, &by(at(1))).await);
    done(rig.store.delete_keyspace("acme", &by(at(2))).await);
    rig.reopen().await;
    let actions: Vec<_> =
        rig.events(|query| query.keyspace = Some("acme".into())).await.into_iter().map(|event| event.action).collect();
    assert_eq!(actions, ["DeleteKeyspace", "DeleteApiKey", "CreateApiKey", "CreateKeyspace"]);
    assert_eq!(rig.events_of(&key.id).await.len(), 2);
}

pub async fn a_page_of_events_ends_with_its_bytes(rig: Rig) {
    for second in 0..7 {
        rig.create(|key| {
            key.metadata = (0..50).map(|n| (format!("label-{n}"), "x".repeat(512))).collect();
            key.create_time = at(second);
        })
        .await;
    }
    let expect = rig.events(|_| ()).await;
    assert_eq!(expect.len(), 7);
    let (mut query, mut listed) = (every_event(), Vec::new());
    query.weight_max = 100 * 1024;
    loop {
        let page = rig.store.list_events(&query).await.expect("an answer").page;
        assert!(!page.events.is_empty() && page.events.len() <= 3, "{}", page.events.len());
        listed.extend(page.events);
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(listed, expect);
}

pub async fn old_events_are_forgotten_a_few_at_a_time(rig: Rig) {
    for second in 0..3 {
        rig.create(|key| key.create_time = at(second)).await;
    }
    rig.fixture
        .execute(&format!(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 600)
             INSERT INTO audit_event (id, create_time_us, actor, action, keyspace, peer, changes)
             SELECT 'evt_old_' || n, {} - n, 'ann', 'CreateApiKey', 'default', '', '{{}}' FROM numbers",
            at(0).as_micros()
        ))
        .await;
    let expect = rig.events(|query| query.from = Some(at(1))).await;
    assert_eq!(expect.len(), 2);
    // Those of the first second are kept: that much is not old.
    let mut pruned = Vec::new();
    for _ in 0..3 {
        pruned.push(rig.store.prune_events(at(1)).await.expect("an answer"));
    }
    assert_eq!(pruned, [500, 101, 0]);
    assert_eq!(rig.events(|_| ()).await, expect);
}

pub async fn events_of_several_keyspaces_are_merged(rig: Rig) {
    let ids = ["acme", "beta", "gamma"];
    for id in ids {
        done(rig.store.create_keyspace(&new_keyspace(id), &by(at(0))).await);
    }
    for second in 1..10 {
        let keyspace = ids[usize::try_from(second).expect("a few") % 3];
        rig.create(|key| (key.keyspace, key.create_time) = (keyspace.into(), at(second))).await;
    }
    let within = Reach::Only(vec!["acme".into(), "gamma".into(), "nowhere".into()]);
    let (mut query, mut times) = (every_event(), Vec::new());
    (query.within, query.limit) = (within, 3);
    loop {
        let page = rig.store.list_events(&query).await.expect("an answer").page;
        times.extend(page.events.iter().map(|event| event.at));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(times, [9, 8, 6, 5, 3, 2, 0, 0].map(at));
    query.actor = Some("key_root".into());
    (query.from, query.until) = (Some(at(3)), Some(at(9)));
    let events = rig.store.list_events(&query).await.expect("an answer").page.events;
    assert_eq!(events.iter().map(|event| event.at).collect::<Vec<_>>(), [8, 6, 5].map(at));
}
