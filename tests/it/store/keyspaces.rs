//! Keyspaces.

use std::time::Duration;

use portcullis::key::keyspace::{KeyspacePatch, TTL_MAX};
use portcullis::key::permission::Reach;
use portcullis::key::verifier::HashPolicy;
use portcullis::store::Refusal;

use super::rig::{Rig, at, by, done, new_key, new_keyspace, race, refused};

fn shown_as(name: &str) -> KeyspacePatch {
    KeyspacePatch { display_name: Some(name.into()), ..KeyspacePatch::default() }
}

/// The ids of the keyspaces within reach, in pages of `limit`.
async fn ids(rig: &Rig, within: &Reach, limit: usize) -> Vec<String> {
    let mut ids = vec![String::new()];
    loop {
        let after = ids.last().expect("one at least").clone();
        let page = rig.store.list_keyspaces(within, &after, limit).await.expect("an answer").page;
        if page.is_empty() {
            return ids.split_off(1);
        }
        assert!(page.len() <= limit);
        ids.extend(page.into_iter().map(|keyspace| keyspace.id));
    }
}

pub async fn default_and_system_are_there_at_first(rig: Rig) {
    for (id, prefix) in [("default", "ak"), ("system", "root")] {
        let keyspace = rig.keyspace(id).await.expect("it always exists");
        assert_eq!((keyspace.key_prefix.as_str(), keyspace.revision), (prefix, 1));
        assert!(!keyspace.allow_wildcard_scopes && keyspace.allowed_subject_types.is_empty());
        assert_eq!((keyspace.default_ttl, keyspace.max_ttl, keyspace.hash_policy), (None, None, HashPolicy::Sha256));
    }
    assert_eq!(ids(&rig, &Reach::Everywhere, 10).await, ["default", "system"]);
    assert_eq!(rig.events(|_| ()).await, [], "nobody made them");
}

pub async fn a_new_keyspace_comes_back_as_given(rig: Rig) {
    let full = rig
        .create_keyspace(|keyspace| {
            keyspace.id = format!("a{}", "-0".repeat(19));
            keyspace.display_name = "👩‍👧 مفتاح e\u{301} 100%".into();
            keyspace.key_prefix = "a2345_789_1_3456_890_234".parse().expect("the longest prefix");
            keyspace.allowed_subject_types = ["org", "user", "a.b"].map(String::from).into();
            keyspace.default_ttl = Some(Duration::from_micros(1));
            keyspace.max_ttl = Some(TTL_MAX);
            keyspace.allow_wildcard_scopes = true;
            keyspace.hash_policy = HashPolicy::Argon2id;
        })
        .await;
    let bare = rig.create_keyspace(|keyspace| keyspace.display_name = String::new()).await;
    assert_eq!(rig.keyspace(&full.id).await, Some(full.clone()));
    assert_eq!(rig.keyspace(&bare.id).await, Some(bare.clone()));
    let listed = rig.store.list_keyspaces(&Reach::Everywhere, "", 10).await.expect("an answer").page;
    assert_eq!(listed[..2], [full, bare]);
}

pub async fn an_id_of_no_keyspace_finds_nothing(rig: Rig) {
    rig.create_keyspace(|_| ()).await;
    for id in ["", "acm", "acmee", "ACME", "acme ", "%", "\0"] {
        assert_eq!(rig.keyspace(id).await, None, "{id:?}");
    }
}

pub async fn a_keyspace_is_made_once(rig: Rig) {
    let first = rig.create_keyspace(|_| ()).await;
    let mut second = new_keyspace("acme");
    second.display_name = "another".into();
    assert_eq!(refused(rig.store.create_keyspace(&second, &by(at(1))).await), Refusal::KeyspaceExists);
    assert_eq!(rig.keyspace("acme").await, Some(first));
    for id in ["default", "system"] {
        assert_eq!(refused(rig.store.create_keyspace(&new_keyspace(id), &by(at(1))).await), Refusal::KeyspaceExists);
    }
    // Two keyspaces may issue keys that look alike.
    rig.create_keyspace(|keyspace| keyspace.id = "acme-2".into()).await;
}

pub async fn each_setting_changes_alone(rig: Rig) {
    let mut keyspace = rig.create_keyspace(|_| ()).await;
    let patches = [
        shown_as("Ätzend 🔑"),
        KeyspacePatch { key_prefix: Some("other".parse().expect("a prefix")), ..KeyspacePatch::default() },
        KeyspacePatch { allowed_subject_types: Some(vec!["org".into()]), ..KeyspacePatch::default() },
        KeyspacePatch { default_ttl: Some(Some(Duration::from_mins(1))), ..KeyspacePatch::default() },
        KeyspacePatch { max_ttl: Some(Some(Duration::from_secs(90))), ..KeyspacePatch::default() },
        KeyspacePatch { allow_wildcard_scopes: Some(true), ..KeyspacePatch::default() },
        KeyspacePatch { hash_policy: Some(HashPolicy::Argon2id), ..KeyspacePatch::default() },
        KeyspacePatch { default_ttl: Some(None), ..KeyspacePatch::default() },
        KeyspacePatch { max_ttl: Some(None), ..KeyspacePatch::default() },
        KeyspacePatch { allowed_subject_types: Some(vec![]), ..KeyspacePatch::default() },
        KeyspacePatch { hash_policy: Some(HashPolicy::Sha256), ..KeyspacePatch::default() },
    ];
    for (patch, second) in patches.into_iter().zip(1..) {
        let revision = Some(keyspace.revision);
        let updated = done(rig.store.update_keyspace("acme", &patch, revision, &by(at(second))).await);
        keyspace.display_name = patch.display_name.unwrap_or(keyspace.display_name);
        keyspace.key_prefix = patch.key_prefix.unwrap_or(keyspace.key_prefix);
        keyspace.allowed_subject_types = patch.allowed_subject_types.unwrap_or(keyspace.allowed_subject_types);
        keyspace.default_ttl = patch.default_ttl.unwrap_or(keyspace.default_ttl);
        keyspace.max_ttl = patch.max_ttl.unwrap_or(keyspace.max_ttl);
        keyspace.allow_wildcard_scopes = patch.allow_wildcard_scopes.unwrap_or(keyspace.allow_wildcard_scopes);
        keyspace.hash_policy = patch.hash_policy.unwrap_or(keyspace.hash_policy);
        keyspace.update_time = at(second);
        keyspace.revision += 1;
        assert_eq!(updated, keyspace);
        assert_eq!(rig.keyspace("acme").await, Some(keyspace.clone()));
    }
}

pub async fn a_patch_that_changes_nothing_writes_nothing(rig: Rig) {
    let keyspace = rig.create_keyspace(|_| ()).await;
    let same = KeyspacePatch {
        display_name: Some(keyspace.display_name.clone()),
        max_ttl: Some(keyspace.max_ttl),
        ..KeyspacePatch::default()
    };
    for patch in [same, KeyspacePatch::default()] {
        assert_eq!(done(rig.store.update_keyspace("acme", &patch, Some(1), &by(at(1))).await), keyspace);
        assert_eq!(rig.keyspace("acme").await, Some(keyspace.clone()));
    }
    assert_eq!(rig.events(|_| ()).await.len(), 1, "the creation alone");
}

pub async fn a_stale_keyspace_revision_is_refused(rig: Rig) {
    rig.create_keyspace(|_| ()).await;
    let update = async |name, revision| rig.store.update_keyspace("acme", &shown_as(name), revision, &by(at(1))).await;
    let second = done(update("second", Some(1)).await);
    for stale in [0, 1, 3, -1, i64::MAX] {
        assert_eq!(refused(update("third", Some(stale)).await), Refusal::EtagMismatch, "{stale}");
    }
    assert_eq!(refused(update("second", Some(1)).await), Refusal::EtagMismatch, "not theirs to say");
    assert_eq!(rig.keyspace("acme").await, Some(second));
    assert_eq!(done(update("third", None).await).revision, 3);
}

pub async fn keyspaces_are_listed_by_id_in_pages(rig: Rig) {
    // Language-aware collations pass over hyphens; ids are compared byte by byte.
    let mut expect = ["ab", "a-c", "a", "a1", "b-", "a--b", "aa", "z9", "a-1"].map(String::from).to_vec();
    for id in expect.clone() {
        rig.create_keyspace(|keyspace| keyspace.id = id).await;
    }
    expect.extend(["default", "system"].map(String::from));
    expect.sort();
    for limit in [1, 2, 11, 12] {
        assert_eq!(ids(&rig, &Reach::Everywhere, limit).await, expect, "pages of {limit}");
    }
    let behind = rig.store.list_keyspaces(&Reach::Everywhere, "a-2", 2).await.expect("an answer").page;
    assert_eq!(behind.iter().map(|keyspace| keyspace.id.as_str()).collect::<Vec<_>>(), ["a-c", "a1"]);
}

pub async fn keyspaces_are_listed_within_the_callers_reach(rig: Rig) {
    for id in ["a", "b", "c"] {
        rig.create_keyspace(|keyspace| keyspace.id = id.into()).await;
    }
    let only = |ids: &[&str]| Reach::Only(ids.iter().map(ToString::to_string).collect());
    for (within, expect) in [
        (Reach::Everywhere, &["a", "b", "c", "default", "system"][..]),
        (Reach::AllButSystem, &["a", "b", "c", "default"]),
        (only(&["c", "a", "a", "nowhere", "system"]), &["a", "c", "system"]),
        (only(&[]), &[]),
    ] {
        assert_eq!(ids(&rig, &within, 2).await, expect);
    }
}

pub async fn an_empty_keyspace_can_be_deleted_and_made_again(rig: Rig) {
    rig.create_keyspace(|_| ()).await;
    let key = rig.create(|key| key.keyspace = "acme".into()).await;
    done(rig.store.delete_key(&key.id, &by(at(1))).await);
    done(rig.store.delete_keyspace("acme", &by(at(2))).await);
    assert_eq!(rig.keyspace("acme").await, None);
    assert_eq!(ids(&rig, &Reach::Everywhere, 10).await, ["default", "system"]);
    let again = rig.create_keyspace(|keyspace| keyspace.display_name = "again".into()).await;
    assert_eq!(rig.keyspace("acme").await, Some(again));
}

pub async fn a_keyspace_with_keys_cannot_be_deleted(rig: Rig) {
    let keyspace = rig.create_keyspace(|_| ()).await;
    let key = rig.create(|key| key.keyspace = "acme".into()).await;
    // A key that does not verify is a key.
    let revoked = rig.revoke(&key.id).await;
    assert_eq!(refused(rig.store.delete_keyspace("acme", &by(at(3))).await), Refusal::KeyspaceNotEmpty);
    assert_eq!(rig.keyspace("acme").await, Some(keyspace));
    assert_eq!(rig.get(&key.id).await, revoked);
}

pub async fn nothing_can_be_done_to_a_keyspace_that_is_not_there(rig: Rig) {
    for id in ["nowhere", "", "\0"] {
        let updated = rig.store.update_keyspace(id, &shown_as("x"), None, &by(at(1))).await;
        assert_eq!(refused(updated), Refusal::KeyspaceNotFound);
        let updated = rig.store.update_keyspace(id, &KeyspacePatch::default(), Some(7), &by(at(1))).await;
        assert_eq!(refused(updated), Refusal::KeyspaceNotFound);
        assert_eq!(refused(rig.store.delete_keyspace(id, &by(at(1))).await), Refusal::KeyspaceNotFound);
    }
}

pub async fn of_many_creations_of_one_keyspace_one_succeeds(rig: Rig) {
    let callers = rig.callers(8).await;
    let mut creations = tokio::task::JoinSet::new();
    for (number, store) in callers.into_iter().enumerate() {
        creations.spawn(async move {
            let mut keyspace = new_keyspace("acme");
            keyspace.display_name = format!("number {number}");
            let outcome = store.create_keyspace(&keyspace, &by(at(0))).await.expect("an answer");
            (keyspace, outcome)
        });
    }
    let (made, refused): (Vec<_>, Vec<_>) =
        creations.join_all().await.into_iter().partition(|(_, outcome)| outcome.is_ok());
    assert!(refused.iter().all(|(_, outcome)| *outcome == Err(Refusal::KeyspaceExists)));
    let [(made, _)] = &made[..] else { panic!("{} were made", made.len()) };
    assert_eq!(rig.keyspace("acme").await.as_ref(), Some(made));
    assert_eq!(rig.events(|_| ()).await.len(), 1);
}

pub async fn of_two_patches_with_one_revision_one_wins(rig: Rig) {
    let callers = rig.callers(2).await;
    rig.create_keyspace(|_| ()).await;
    for revision in 1..=25 {
        let patches = [shown_as(&format!("first {revision}")), shown_as(&format!("second {revision}"))];
        let (by_one, by_two) = (by(at(revision)), by(at(revision)));
        let (one, two) = tokio::join!(
            callers[0].update_keyspace("acme", &patches[0], Some(revision), &by_one),
            callers[1].update_keyspace("acme", &patches[1], Some(revision), &by_two),
        );
        let (winner, loser) = match (one.expect("an answer"), two.expect("an answer")) {
            (Ok(winner), Err(loser)) | (Err(loser), Ok(winner)) => (winner, loser),
            both => panic!("both won or both lost: {both:?}"),
        };
        assert_eq!(loser, Refusal::EtagMismatch);
        assert_eq!(rig.keyspace("acme").await, Some(winner));
    }
    assert_eq!(rig.events(|_| ()).await.len(), 26);
}

fn lasting(default_ttl: Option<u64>, max_ttl: Option<u64>) -> KeyspacePatch {
    let ttl = |seconds: Option<u64>| seconds.map(|seconds| Some(Duration::from_secs(seconds)));
    KeyspacePatch { default_ttl: ttl(default_ttl), max_ttl: ttl(max_ttl), ..KeyspacePatch::default() }
}

pub async fn of_two_ttls_that_conflict_one_is_refused(rig: Rig) {
    let callers = rig.callers(2).await;
    rig.create_keyspace(|_| ()).await;
    let (default, max) = (Duration::from_mins(1), Duration::from_secs(30));
    let conflict = Refusal::DefaultTtlTooLong { default_ttl: default, max_ttl: max };
    for round in 0..20 {
        let clear = KeyspacePatch { default_ttl: Some(None), max_ttl: Some(None), ..KeyspacePatch::default() };
        done(rig.store.update_keyspace("acme", &clear, None, &by(at(1))).await);
        let (longer, shorter) = (lasting(Some(60), None), lasting(None, Some(30)));
        let (by_one, by_two) = (by(at(2)), by(at(2)));
        let (one, two) = race(
            round,
            callers[0].update_keyspace("acme", &longer, None, &by_one),
            callers[1].update_keyspace("acme", &shorter, None, &by_two),
        )
        .await;
        match (one.expect("an answer"), two.expect("an answer")) {
            (Ok(winner), Err(refusal)) | (Err(refusal), Ok(winner)) => {
                assert_eq!(refusal, conflict);
                assert_eq!(rig.keyspace("acme").await, Some(winner));
            }
            both => panic!("both won or both lost: {both:?}"),
        }
    }
}

pub async fn a_keyspace_with_broken_ttls_can_be_mended(rig: Rig) {
    rig.create_keyspace(|keyspace| {
        (keyspace.default_ttl, keyspace.max_ttl) = (Some(Duration::from_mins(1)), Some(Duration::from_secs(30)));
    })
    .await;
    let update = async |patch| rig.store.update_keyspace("acme", &patch, None, &by(at(1))).await;
    assert_eq!(done(update(shown_as("other")).await).display_name, "other");
    assert!(matches!(refused(update(lasting(Some(50), None)).await), Refusal::DefaultTtlTooLong { .. }));
    done(update(lasting(None, Some(60))).await);
    assert!(matches!(refused(update(lasting(Some(61), None)).await), Refusal::DefaultTtlTooLong { .. }));
}

/// Whoever repeats an update whose outcome nobody told him finds it made, and rests on it: it must be in the standby by
/// then. The server waits for that only with a transaction that commits.
pub async fn an_update_that_changes_nothing_is_committed(rig: Rig) {
    rig.create_keyspace(|_| ()).await;
    done(rig.store.update_keyspace("acme", &KeyspacePatch::default(), None, &by(at(1))).await);
    rig.fixture
        .execute(
            "DO $$ BEGIN
                 IF (SELECT xmax::text::xid8 = '0' OR pg_xact_status(xmax::text::xid8) <> 'committed'
                     FROM keyspace WHERE id = 'acme') THEN
                     RAISE 'the update that changed nothing was not committed';
                 END IF;
             END $$",
        )
        .await;
}

pub async fn delete_racing_create_key_leaves_no_orphan(rig: Rig) {
    let callers = rig.callers(2).await;
    let mut deleted_first = 0;
    for round in 0..40 {
        rig.create_keyspace(|_| ()).await;
        let new = new_key(|key| key.keyspace = "acme".into());
        let (by_creator, by_deleter) = (by(at(1)), by(at(1)));
        let (created, deleted) =
            race(round, callers[0].create_key(&new, &by_creator), callers[1].delete_keyspace("acme", &by_deleter))
                .await;
        match (created.expect("an answer"), deleted.expect("an answer")) {
            (Ok(()), Err(Refusal::KeyspaceNotEmpty)) => {
                assert_eq!(rig.get(&new.key.id).await, new.key);
                done(rig.store.delete_key(&new.key.id, &by(at(2))).await);
                done(rig.store.delete_keyspace("acme", &by(at(2))).await);
            }
            (Err(Refusal::KeyspaceNotFound), Ok(())) => {
                deleted_first += 1;
                assert_eq!(rig.keyspace("acme").await, None);
                assert_eq!(rig.store.key(&new.key.id).await.expect("an answer"), None);
                assert_eq!(rig.find(&new.secret.public_prefix).await, None);
            }
            other => panic!("{other:?}"),
        }
    }
    println!("{deleted_first} of 40 were deleted before their first key came");
}
