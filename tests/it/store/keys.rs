//! Making keys, reading them back, deleting them.

use portcullis::clock::Timestamp;
use portcullis::key::field;
use portcullis::key::id::KeyId;
use portcullis::key::permission::Reach;
use portcullis::key::record::Patch;
use portcullis::store::{Actor, NewKey, Refusal};
use serde_json::{Value, json};
use std::time::Duration;

use super::rig::{Rig, at, by, claims, done, labels, new_key, new_secret, refused, renamed, revocation};

/// Texts that stores and drivers are known to trip over.
const TEXTS: [&str; 8] = [
    "e\u{301}, which is not \u{e9}",
    "👩‍👩‍👧‍👦 🏴󠁧󠁢󠁳󠁣󠁴󠁿 🇨🇭",
    "مفتاح الطلبات",
    "abc \u{202e}gnimoc\u{202c} def",
    "鍵🗝\u{fe0f}\u{10ffff}",
    r#"'; DROP TABLE keys; -- "\" \\ $1 ?1 :a %s {}"#,
    "Z\u{335}\u{321}\u{34d}a\u{36b}l\u{312}g\u{31b}o\u{322}",
    "İstanbul, STRASSE, ΣΊΣΥΦΟΣ, ǅ",
];

/// Stores the key and reads it back in every way.
async fn check(rig: &Rig, new: &NewKey) {
    let key = rig.create_new(new).await;
    assert_eq!(rig.get(&key.id).await, key);
    assert_eq!(rig.find(&new.secret.public_prefix).await.expect("its secret").key, key);
    assert!(rig.page(|_| ()).await.keys.contains(&key), "listed as given");
}

pub async fn a_new_key_comes_back_as_given(rig: Rig) {
    let new = new_key(|key| {
        key.enabled = false;
        key.expire_time = Some(at(3600));
        key.last_use_time = None;
        key.scopes = ["z", "a", "m:*", "0"].map(String::from).into();
        key.metadata = labels(&[("team", "core"), ("env", "prod")]);
    });
    check(&rig, &new).await;
}

pub async fn texts_of_any_script_survive(rig: Rig) {
    for text in TEXTS {
        let new = new_key(|key| {
            key.name = text.into();
            key.description = format!("{text}\n\t{text}\r\n");
            key.claims = claims(json!({ text: text }));
            key.metadata = labels(&[(text, text)]);
        });
        check(&rig, &new).await;
    }
}

pub async fn the_longest_values_survive(rig: Rig) {
    let wide = |count: usize| "\u{1f511}".repeat(count);
    let new = new_key(|key| {
        key.name = wide(field::NAME_LEN_MAX);
        key.description = wide(field::TEXT_LEN_MAX);
        key.subject = "s".repeat(field::REFERENCE_LEN_MAX);
        key.created_by = "c".repeat(field::REFERENCE_LEN_MAX);
        key.scopes = (0..100).map(|n| format!("{n:0>128}")).collect();
        key.claims = claims(json!({ "a": "x".repeat(field::CLAIMS_SIZE_MAX - 8) }));
        key.metadata = (0..field::METADATA_PAIRS_MAX)
            .map(|n| (format!("{}{n:02}", wide(field::METADATA_KEY_LEN_MAX - 2)), wide(field::METADATA_VALUE_LEN_MAX)))
            .collect();
    });
    assert_eq!(field::claims(&new.key.claims), Ok(()));
    for (key, value) in &new.key.metadata {
        assert_eq!((field::label_key(key), field::label_value(value)), (Ok(()), Ok(())));
    }
    check(&rig, &new).await;
}

pub async fn empty_values_stay_empty(rig: Rig) {
    let new = new_key(|key| {
        key.description = String::new();
        key.created_by = String::new();
        key.scopes = vec![];
        key.claims = claims(json!({}));
        key.metadata = labels(&[("label", "")]);
    });
    check(&rig, &new).await;
    check(&rig, &new_key(|key| key.metadata.clear())).await;
    let mut revoked = revocation(at(1));
    revoked.comment = String::new();
    let key = done(rig.store.revoke_key(&new.key.id, &revoked, &by(at(1))).await);
    assert_eq!(key.revocation, Some(revoked));
    assert_eq!(rig.get(&key.id).await, key);
}

pub async fn claims_keep_every_kind_of_json(rig: Rig) {
    let nested = (1..field::CLAIMS_DEPTH_MAX - 1).fold(json!([]), |inner, _| json!({ "": [inner] }));
    for value in [
        Value::Null,
        json!("nul \u{0} and \u{1f} and \u{7f} and \\u0000"),
        json!([true, false, null, "", [], {}, [[]]]),
        json!([u64::MAX, i64::MIN, 9_007_199_254_740_993_i64, 0, -1]),
        json!([0.1, 1.0, -0.0, 1e308, f64::MIN_POSITIVE, 5e-324, 123_456_789.123_456_79, 2.5e-9]),
        json!({ "b": 1, "a": 2, "B": 3, "": 4, "a\u{0}": 5, "ä": 6 }),
        nested,
    ] {
        check(&rig, &new_key(|key| key.claims = claims(json!({ "value": value, "\u{0}": 1 })))).await;
    }
}

pub async fn times_survive_to_the_microsecond(rig: Rig) {
    // The ends of what can be asked for: a hundred years from the end of what RFC 3339 can say.
    for micros in [1, 999_999, 1_793_000_000_000_001, 253_402_300_799_999_999] {
        let time = Timestamp::from_micros(micros);
        let new = new_key(|key| {
            key.create_time = time;
            key.expire_time = Some(time.saturating_add(Duration::from_micros(1)));
        });
        check(&rig, &new).await;
    }
}

pub async fn an_id_of_no_key_finds_nothing(rig: Rig) {
    let key = rig.create(|_| ()).await;
    let id = key.id.as_str();
    for text in ["", "%", "key_%", "\0", &id.to_lowercase(), &format!("{id} "), &format!("{id}\0"), &id[..id.len() - 1]]
    {
        assert_eq!(rig.store.key(&KeyId::from_text(text)).await.expect("an answer"), None, "{text:?}");
    }
}

pub async fn a_key_needs_a_keyspace(rig: Rig) {
    let new = new_key(|key| key.keyspace = "nowhere".into());
    assert_eq!(refused(rig.store.create_key(&new, &by(at(0))).await), Refusal::KeyspaceNotFound);
    assert_eq!(rig.store.key(&new.key.id).await.expect("an answer"), None);
    assert_eq!(rig.find(&new.secret.public_prefix).await, None);
    assert_eq!(rig.events_of(&new.key.id).await, []);
}

pub async fn an_id_is_taken_once(rig: Rig) {
    let first = rig.create(|_| ()).await;
    let second = new_key(|key| {
        key.id = first.id.clone();
        key.name = "another".into();
    });
    rig.store.create_key(&second, &by(at(1))).await.expect_err("an id is made once");
    assert_eq!(rig.get(&first.id).await, first);
    assert_eq!(rig.find(&second.secret.public_prefix).await, None);
    assert_eq!(rig.events_of(&first.id).await.len(), 1);
}

pub async fn a_public_prefix_can_be_of_several_keys(rig: Rig) {
    // An issued one is random; an imported one may be of several keyspaces.
    let first = new_key(|_| ());
    rig.create_new(&first).await;
    rig.create_keyspace(|_| ()).await;
    let mut second = new_key(|key| key.keyspace = "acme".into());
    second.secret.public_prefix = first.secret.public_prefix.clone();
    second.key.secrets[0].public_prefix = first.secret.public_prefix.clone();
    done(rig.store.create_key(&second, &by(at(1))).await);
    let found = rig.store.find_secret(first.secret.public_prefix.as_str()).await.expect("an answer");
    let found: Vec<_> = found.into_iter().map(|found| (found.verifier, found.key)).collect();
    assert_eq!(found, [(first.secret.verifier, first.key), (second.secret.verifier, second.key)]);
}

pub async fn a_deleted_key_is_gone_with_its_secrets(rig: Rig) {
    let stays = rig.create(|key| key.name = "stays".into()).await;
    let new = new_key(|_| ());
    let key = rig.create_new(&new).await;
    let newest = new_secret();
    done(rig.store.rotate_key(&key.id, &newest, Duration::from_mins(1), &by(at(1))).await);
    done(rig.store.delete_key(&key.id, &by(at(2))).await);

    assert_eq!(rig.store.key(&key.id).await.expect("an answer"), None);
    assert_eq!(rig.find(&key.secrets[0].public_prefix).await, None);
    assert_eq!(rig.find(&newest.public_prefix).await, None);
    assert_eq!(rig.names(|_| ()).await, ["stays"]);
    assert_eq!(rig.names(|query| query.metadata = key.metadata.clone()).await, ["stays"]);
    assert_eq!(rig.get(&stays.id).await, stays);
    // Not hidden but gone: the same could be stored again.
    check(&rig, &new).await;
    done(rig.store.rotate_key(&key.id, &newest, Duration::from_mins(1), &by(at(3))).await);
}

pub async fn nothing_can_be_done_to_a_key_that_is_not_there(rig: Rig) {
    let gone = rig.create(|_| ()).await.id;
    done(rig.store.delete_key(&gone, &by(at(1))).await);
    for id in [gone, KeyId::from_text(""), KeyId::from_text("\0")] {
        let (store, actor) = (&rig.store, by(at(2)));
        assert_eq!(refused(store.update_key(&id, &renamed("x"), None, &actor).await), Refusal::KeyNotFound);
        assert_eq!(refused(store.update_key(&id, &Patch::default(), Some(1), &actor).await), Refusal::KeyNotFound);
        let rotated = store.rotate_key(&id, &new_secret(), Duration::ZERO, &actor).await;
        assert_eq!(refused(rotated), Refusal::KeyNotFound);
        assert_eq!(refused(store.revoke_key(&id, &revocation(at(2)), &actor).await), Refusal::KeyNotFound);
        assert_eq!(refused(store.delete_key(&id, &actor).await), Refusal::KeyNotFound);
    }
}

pub async fn nothing_can_be_done_to_a_key_beyond_the_callers_reach(rig: Rig) {
    let key = rig.create(|_| ()).await;
    let by = Actor { within: Reach::Only(vec!["elsewhere".into()]), ..by(at(1)) };
    let not_there = Refusal::KeyNotFound;
    assert_eq!(refused(rig.store.update_key(&key.id, &Patch::default(), None, &by).await), not_there);
    assert_eq!(refused(rig.store.rotate_key(&key.id, &new_secret(), Duration::ZERO, &by).await), not_there);
    assert_eq!(refused(rig.store.revoke_key(&key.id, &revocation(at(1)), &by).await), not_there);
    assert_eq!(refused(rig.store.delete_key(&key.id, &by).await), not_there);
    assert_eq!(rig.get(&key.id).await, key);
}
