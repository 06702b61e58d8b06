//! Which keys a list shows.

use portcullis::key::field::folded;
use portcullis::key::record::Patch;

use super::rig::{Rig, at, by, done, labels, renamed, revocation};

/// Makes keys of these names, so that they are listed in this order.
async fn create_named(rig: &Rig, names: &[&str]) {
    for (name, second) in names.iter().rev().zip(0..) {
        rig.create(|key| (key.name, key.create_time) = (String::from(*name), at(second))).await;
    }
}

async fn named_like(rig: &Rig, part: &str) -> Vec<String> {
    rig.names(|query| query.name_contains = Some(folded(part))).await
}

pub async fn subject_is_matched_exactly(rig: Rig) {
    for subject in ["user_1", "user_2", "USER_1", "user_11", "userx1"] {
        rig.create(|key| (key.name, key.subject) = (subject.into(), subject.into())).await;
    }
    for subject in ["user_1", "USER_1", "userx1"] {
        assert_eq!(rig.names(|query| query.subject = Some(subject.into())).await, [subject]);
    }
    for nobody in ["user_", "user%", ""] {
        assert!(rig.names(|query| query.subject = Some(nobody.into())).await.is_empty(), "{nobody:?}");
    }
}

pub async fn created_by_is_matched_exactly(rig: Rig) {
    for author in ["ann", "Ann", "ann.b", ""] {
        rig.create(|key| (key.name, key.created_by) = (format!("by {author}"), author.into())).await;
    }
    assert_eq!(rig.names(|query| query.created_by = Some("ann".into())).await, ["by ann"]);
    assert_eq!(rig.names(|query| query.created_by = Some("Ann".into())).await, ["by Ann"]);
    assert_eq!(rig.names(|query| query.created_by = Some(String::new())).await, ["by "]);
}

/// An é is one character or two, depending on the keyboard and the system that it was typed on.
pub async fn a_name_is_found_however_its_letters_are_composed(rig: Rig) {
    let names = ["Caf\u{e9} composed", "Cafe\u{301} apart", "Cafe plain"];
    create_named(&rig, &names).await;
    for part in ["CAF\u{c9}", "cafe\u{301}", "f\u{e9}", "\u{e9}"] {
        assert_eq!(named_like(&rig, part).await, names[..2], "{part}: names stay as they were given");
    }
    assert_eq!(named_like(&rig, "cafe").await, ["Cafe plain"]);
}

pub async fn a_name_is_found_in_any_case(rig: Rig) {
    let names = ["Hauptstraße", "HAUPTSTRASSE", "ΟΔΥΣΣΕΥΣ", "οδυσσευς", "Ångström", "Prod 👩‍👩‍👧", "ЖУК", "مفتاح"];
    create_named(&rig, &names).await;
    assert_eq!(named_like(&rig, "STRASSE").await, ["Hauptstraße", "HAUPTSTRASSE"]);
    assert_eq!(named_like(&rig, "ptstraß").await, ["Hauptstraße", "HAUPTSTRASSE"]);
    assert_eq!(named_like(&rig, "Σεύς").await, [""; 0], "accents count");
    assert_eq!(named_like(&rig, "Σευς").await, ["ΟΔΥΣΣΕΥΣ", "οδυσσευς"]);
    assert_eq!(named_like(&rig, "åNG").await, ["Ångström"]);
    assert_eq!(named_like(&rig, "prod").await, ["Prod 👩‍👩‍👧"]);
    assert_eq!(named_like(&rig, "👩‍👧").await, ["Prod 👩‍👩‍👧"]);
    assert_eq!(named_like(&rig, "жук").await, ["ЖУК"]);
    assert_eq!(named_like(&rig, "تاح").await, ["مفتاح"]);
    assert_eq!(named_like(&rig, "").await, names);
}

pub async fn percent_and_underscore_are_plain_characters(rig: Rig) {
    create_named(&rig, &["100%", "100 percent", "a_b", "axb", r"c\d", "c/d", "*?[a-z]", "'quoted'"]).await;
    for (part, expect) in [
        ("%", "100%"),
        ("0%", "100%"),
        ("_", "a_b"),
        ("A_B", "a_b"),
        ("\\", r"c\d"),
        ("*", "*?[a-z]"),
        ("?", "*?[a-z]"),
        ("[a-z]", "*?[a-z]"),
        ("'", "'quoted'"),
    ] {
        assert_eq!(named_like(&rig, part).await, [expect], "{part}");
    }
    assert!(named_like(&rig, "%%").await.is_empty());
}

pub async fn a_new_name_is_found_and_the_old_one_is_not(rig: Rig) {
    let key = rig.create(|key| key.name = "before".into()).await;
    rig.update(&key.id, renamed("ΝΕΟΣ")).await;
    assert_eq!(named_like(&rig, "νεος").await, ["ΝΕΟΣ"]);
    assert!(named_like(&rig, "before").await.is_empty());
}

pub async fn every_label_must_match(rig: Rig) {
    for (name, pairs) in [
        ("both", &[("team", "core"), ("env", "prod")][..]),
        ("crossed", &[("team", "prod"), ("env", "core")]),
        ("team alone", &[("team", "core")]),
        ("other team", &[("team", "edge"), ("env", "prod")]),
        ("more", &[("team", "core"), ("env", "prod"), ("region", "eu")]),
        ("none", &[]),
    ] {
        rig.create(|key| (key.name, key.metadata) = (name.into(), labels(pairs))).await;
    }
    let named = async |pairs: &[(&str, &str)]| {
        let mut names = rig.names(|query| query.metadata = labels(pairs)).await;
        names.sort();
        names
    };
    assert_eq!(named(&[("team", "core"), ("env", "prod")]).await, ["both", "more"]);
    assert_eq!(named(&[("team", "core")]).await, ["both", "more", "team alone"]);
    assert_eq!(named(&[("team", "core"), ("region", "eu")]).await, ["more"]);
    assert_eq!(named(&[("team", "core"), ("region", "us")]).await, [""; 0]);
    assert_eq!(named(&[("env", "prod")]).await, ["both", "more", "other team"]);
    assert_eq!(named(&[]).await.len(), 6);
}

pub async fn labels_are_matched_exactly(rig: Rig) {
    let pairs =
        [("a", "b"), ("A", "b"), ("a", "B"), ("a", ""), ("e\u{301}", "👩‍👧"), ("a.b\"'$", r#"{"x":1}"#), ("%", "_")];
    for (key, value) in pairs {
        let name = format!("{key}={value}");
        rig.create(|new| (new.name, new.metadata) = (name, labels(&[(key, value)]))).await;
    }
    for (key, value) in pairs {
        let found = rig.names(|query| query.metadata = labels(&[(key, value)])).await;
        assert_eq!(found, [format!("{key}={value}")]);
    }
    for none in [("\u{e9}", "👩‍👧"), ("a", "%"), ("b", "a"), ("", "")] {
        assert!(rig.names(|query| query.metadata = labels(&[none])).await.is_empty(), "{none:?}");
    }
}

pub async fn labels_that_were_replaced_do_not_match(rig: Rig) {
    let key = rig.create(|key| key.metadata = labels(&[("a", "1"), ("b", "2")])).await;
    rig.update(&key.id, Patch { metadata: Some(labels(&[("a", "1"), ("b", "3")])), ..Patch::default() }).await;
    for (pairs, count) in [(&[("b", "2")][..], 0), (&[("b", "3")], 1), (&[("a", "1"), ("b", "3")], 1)] {
        assert_eq!(rig.names(|query| query.metadata = labels(pairs)).await.len(), count, "{pairs:?}");
    }
    // An update of something else leaves the labels findable.
    rig.update(&key.id, renamed("x")).await;
    assert_eq!(rig.names(|query| query.metadata = labels(&[("a", "1")])).await, ["x"]);
}

pub async fn active_keys_are_those_that_verify(rig: Rig) {
    rig.create(|key| key.name = "active".into()).await;
    rig.create(|key| (key.name, key.enabled) = ("disabled".into(), false)).await;
    rig.create(|key| (key.name, key.expire_time) = ("expires".into(), Some(at(100)))).await;
    let revoked = rig.create(|key| (key.name, key.expire_time) = ("revoked".into(), Some(at(100)))).await;
    done(rig.store.revoke_key(&revoked.id, &revocation(at(50)), &by(at(50))).await);

    let before = at(100).saturating_sub(std::time::Duration::from_micros(1));
    for (time, expect) in [(before, &["expires", "active"][..]), (at(100), &["active"]), (at(101), &["active"])] {
        assert_eq!(rig.names(|query| query.active_at = Some(time)).await, expect);
    }
    assert_eq!(rig.names(|_| ()).await, ["revoked", "expires", "disabled", "active"]);
}

pub async fn unused_keys_are_those_not_used_since(rig: Rig) {
    for (name, made, used) in [
        ("long ago", at(0), Some(at(10))),
        ("just now", at(1), Some(at(20))),
        ("never", at(2), None),
        ("new", at(15), None),
    ] {
        let key = rig.create(|key| (key.name, key.create_time) = (name.into(), made)).await;
        if let Some(used) = used {
            rig.record_uses(&[(key.id, used)]).await;
        }
    }
    for (since, expect) in [
        (at(21), &["new", "never", "just now", "long ago"][..]),
        (at(20), &["new", "never", "long ago"]),
        (at(16), &["new", "never", "long ago"]),
        // A key made at that time or later had no time to be unused since then.
        (at(15), &["never", "long ago"]),
        (at(11), &["never", "long ago"]),
        (at(10), &["never"]),
    ] {
        assert_eq!(rig.names(|query| query.unused_since = Some(since)).await, expect);
    }
}

pub async fn all_filters_must_hold_at_once(rig: Rig) {
    let odd = |name: &str, differs: &str| name == differs;
    let names = ["Wanted", "subject", "label", "disabled", "author", "used", "Other"];
    for name in names {
        let key = rig
            .create(|key| {
                key.name = if name == "Other" { "another".into() } else { format!("{name} WANTED") };
                key.subject = if odd(name, "subject") { "user_2".into() } else { "user_1".into() };
                key.metadata = labels(&[("a", if odd(name, "label") { "2" } else { "1" }), ("b", "1")]);
                key.enabled = !odd(name, "disabled");
                key.created_by = if odd(name, "author") { "bob".into() } else { "ann".into() };
            })
            .await;
        if odd(name, "used") {
            rig.record_uses(&[(key.id, at(30))]).await;
        }
    }
    let found = rig
        .names(|query| {
            query.name_contains = Some(folded("wAnted"));
            query.subject = Some("user_1".into());
            query.metadata = labels(&[("a", "1"), ("b", "1")]);
            query.active_at = Some(at(20));
            query.created_by = Some("ann".into());
            query.unused_since = Some(at(20));
        })
        .await;
    assert_eq!(found, ["Wanted WANTED"]);
}
