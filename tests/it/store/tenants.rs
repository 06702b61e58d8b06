//! A keyspace whose id another had before: what was the former one's is not the successor's.

use portcullis::clock::Timestamp;
use portcullis::key::id::KeyspaceUid;
use portcullis::key::keyspace::SYSTEM;
use portcullis::key::permission::Reach;
use portcullis::key::record::{ApiKey, Patch};
use portcullis::store::usage::{KeyUsage, UsageBatch};
use portcullis::store::{EventQuery, NewKey, Refusal, Schema};
use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection, SqliteConnection};

use super::rig::{Rig, at, by, done, every_event, new_key, race, refused};
use crate::support::backend::{Backend, Fixture};

fn root_key(scopes: &[&str]) -> NewKey {
    new_key(|key| {
        key.keyspace = SYSTEM.into();
        key.scopes = scopes.iter().map(ToString::to_string).collect();
    })
}

fn scoped(scopes: &[&str]) -> Patch {
    Patch { scopes: Some(scopes.iter().map(ToString::to_string).collect()), ..Patch::default() }
}

pub async fn permissions_end_with_the_keyspace_they_name(rig: Rig) {
    for id in ["acme", "acme-2"] {
        rig.create_keyspace(|keyspace| keyspace.id = id.into()).await;
    }
    let both = rig.create_new(&root_key(&["keys:read@acme-2", "keys:write@acme", "audit:read", "admin@acme"])).await;
    let one = rig.create_new(&root_key(&["keys:verify@acme"])).await;
    let other = rig.create_new(&root_key(&["keys:verify@acme-2", "admin"])).await;
    // Elsewhere a scope is a scope, whatever it looks like.
    let plain = rig.create(|key| key.scopes = vec!["keys:write@acme".into()]).await;

    // What is refused ends nothing.
    let key = rig.create(|key| key.keyspace = "acme".into()).await;
    assert_eq!(refused(rig.store.delete_keyspace("acme", &by(at(5))).await), Refusal::KeyspaceNotEmpty);
    assert_eq!(rig.get(&both.id).await, both);
    done(rig.store.delete_key(&key.id, &by(at(6))).await);

    let actor = by(at(7));
    done(rig.store.delete_keyspace("acme", &actor).await);
    for (before, left) in [(&both, &["keys:read@acme-2", "audit:read"][..]), (&one, &[])] {
        let scopes: Vec<_> = left.iter().map(ToString::to_string).collect();
        let after = ApiKey { scopes, revision: 2, update_time: at(7), ..before.clone() };
        assert_eq!(rig.get(&before.id).await, after);
        let event = rig.events_of(&before.id).await.swap_remove(0);
        assert_eq!((event.action.as_str(), event.keyspace.as_str(), event.at), ("DeleteKeyspace", SYSTEM, at(7)));
        assert_eq!((&event.actor, &event.peer), (&actor.name, &actor.peer));
        assert_eq!(event.changes["scopes"], serde_json::json!(left));
    }
    assert_eq!((rig.get(&other.id).await, rig.get(&plain.id).await), (other, plain));
}

pub async fn a_permission_needs_a_keyspace_to_be_for(rig: Rig) {
    rig.create_keyspace(|_| ()).await;
    let asked = root_key(&["keys:read@nowhere", "keys:read@acme", "admin@never", "keys:write@nowhere"]);
    let nowhere = Refusal::GrantsNowhere(vec!["never".into(), "nowhere".into()]);
    assert_eq!(refused(rig.store.create_key(&asked, &by(at(1))).await), nowhere);
    assert_eq!(rig.store.key(&asked.key.id).await.expect("an answer"), None);

    let key = rig.create_new(&root_key(&["keys:read@acme"])).await;
    let wider = scoped(&["keys:read@acme", "keys:read@nowhere"]);
    let refusal = refused(rig.store.update_key(&key.id, &wider, None, &by(at(2))).await);
    assert_eq!(refusal, Refusal::GrantsNowhere(vec!["nowhere".into()]));
    assert_eq!(rig.get(&key.id).await, key);
    assert_eq!(rig.events_of(&key.id).await.len(), 1);
    // In no other keyspace is a scope a permission.
    let plain = rig.create(|key| key.scopes = vec!["keys:read@nowhere".into()]).await;
    done(rig.store.update_key(&plain.id, &wider, None, &by(at(2))).await);
}

pub async fn no_permission_slips_past_a_deletion(rig: Rig) {
    let callers = rig.callers(3).await;
    for round in 0..30 {
        let keyspace = rig.create_keyspace(|_| ()).await;
        // One has it already, one gets it, one is made with it; and usage of theirs is written meanwhile.
        let has = rig.create_new(&root_key(&["keys:read@acme"])).await;
        let gets = rig.create_new(&root_key(&["audit:read"])).await;
        let made = root_key(&["keys:read@acme"]);
        let (grant, actors) = (scoped(&["audit:read", "keys:read@acme"]), [by(at(1)), by(at(2)), by(at(3))]);
        let keys = [&has, &gets].map(|key| KeyUsage {
            id: key.id.clone(),
            hour: portcullis::key::usage::Hour(1),
            counts: portcullis::key::usage::Counts::default(),
            last_use: Some(at(1)),
        });
        let keyspaces = vec![portcullis::store::usage::KeyspaceUsage {
            keyspace: keyspace.uid,
            hour: portcullis::key::usage::Hour(1),
            counts: portcullis::key::usage::Counts::of(portcullis::key::usage::Counted::Valid, 1),
        }];
        let usage = UsageBatch {
            writer: "w".into(),
            seq: i64::try_from(round).expect("few") + 1,
            at: at(0),
            keys: keys.into(),
            keyspaces,
        };
        let granting = async {
            tokio::join!(
                callers[0].update_key(&gets.id, &grant, None, &actors[0]),
                callers[1].create_key(&made, &actors[1]),
                callers[1].record_usage(&usage),
            )
        };
        let ((updated, created, recorded), deleted) =
            race(round, granting, callers[2].delete_keyspace("acme", &actors[2])).await;
        recorded.expect("recorded");
        done(deleted);
        let nowhere = Refusal::GrantsNowhere(vec!["acme".into()]);
        if let Err(refusal) = updated.expect("an answer") {
            assert_eq!(refusal, nowhere);
        }
        match created.expect("an answer") {
            Ok(()) => assert_eq!(rig.get(&made.key.id).await.scopes, [""; 0]),
            Err(refusal) => assert_eq!(refusal, nowhere),
        }
        assert_eq!(rig.get(&has.id).await.scopes, [""; 0]);
        assert_eq!(rig.get(&gets.id).await.scopes, ["audit:read"]);
    }
}

pub async fn events_are_not_the_successors(rig: Rig) {
    let former = rig.create_keyspace(|_| ()).await;
    let key = rig.create(|key| key.keyspace = "acme".into()).await;
    done(rig.store.update_key(&key.id, &super::rig::renamed("x"), None, &by(at(1))).await);
    done(rig.store.delete_key(&key.id, &by(at(2))).await);
    done(rig.store.delete_keyspace("acme", &by(at(3))).await);
    let only = |ids: &[&str]| Reach::Only(ids.iter().map(ToString::to_string).collect());
    let actions = async |within: Reach, keyspace: Option<&str>| {
        let query = EventQuery { within, keyspace: keyspace.map(str::to_owned), ..every_event() };
        let events = rig.store.list_events(&query).await.expect("an answer").page.events;
        events.into_iter().map(|event| event.action).collect::<Vec<_>>()
    };
    assert_eq!(actions(only(&["acme"]), None).await, [""; 0], "nobody has the id");

    // Made at the same time as the former one, as a clock that steps back would have it.
    let successor = rig.create_keyspace(|_| ()).await;
    assert_ne!(former.uid, successor.uid);
    rig.create(|key| (key.keyspace, key.create_time) = ("acme".into(), at(4))).await;
    for within in [only(&["acme"]), only(&["acme", "nowhere"])] {
        assert_eq!(actions(within, None).await, ["CreateApiKey", "CreateKeyspace"]);
    }
    // Who reads of all keyspaces reads of the former one too.
    for within in [Reach::Everywhere, Reach::AllButSystem] {
        assert_eq!(actions(within, Some("acme")).await.len(), 7);
    }
    assert_eq!(actions(Reach::Everywhere, Some("a\0b")).await, [""; 0]);
    assert_eq!(actions(Reach::Everywhere, Some("default")).await, [""; 0]);
}

pub async fn a_key_is_made_in_the_keyspace_that_was_meant(rig: Rig) {
    let former = rig.create_keyspace(|_| ()).await;
    done(rig.store.delete_keyspace("acme", &by(at(1))).await);
    let successor = rig.create_keyspace(|_| ()).await;
    let new = |uid: KeyspaceUid| NewKey { keyspace_uid: Some(uid), ..new_key(|key| key.keyspace = "acme".into()) };
    let late = new(former.uid);
    assert_eq!(refused(rig.store.create_key(&late, &by(at(2))).await), Refusal::KeyspaceNotFound);
    assert_eq!(rig.store.key(&late.key.id).await.expect("an answer"), None);
    done(rig.store.create_key(&new(successor.uid), &by(at(2))).await);
    let imported = rig.store.import_keys("acme", Some(former.uid), &[], &by(at(3))).await;
    assert_eq!(refused(imported), Refusal::KeyspaceNotFound);
    assert_eq!(done(rig.store.import_keys("acme", Some(successor.uid), &[], &by(at(3))).await), []);
}

/// All there was before there were uids.
fn before(mut all: Migrator) -> Migrator {
    all.migrations = all.migrations.iter().filter(|migration| migration.version < 5).cloned().collect();
    all
}

/// The store as the version before left it: `acme` was deleted and made again, and root keys may do things in it, and in
/// keyspaces that are gone.
pub async fn what_there_was_before_is_told_apart(rig: Rig) {
    let fixture = Fixture::new(rig.fixture.backend).await;
    match fixture.backend {
        Backend::Sqlite => {
            drop(std::fs::File::create(fixture.url.trim_start_matches("sqlite://")).expect("a file"));
            let mut connection = SqliteConnection::connect(&fixture.url).await.expect("a file");
            before(sqlx::migrate!("src/store/migrations/sqlite")).run(&mut connection).await.expect("a schema");
            connection.close().await.expect("a quiet end");
        }
        Backend::Postgres => {
            let mut connection = PgConnection::connect(&fixture.url).await.expect("a server");
            before(sqlx::migrate!("src/store/migrations/postgres")).run(&mut connection).await.expect("a schema");
            connection.close().await.expect("a quiet end");
        }
    }
    let root = |id: &str, scopes: &str| {
        format!(
            "INSERT INTO api_key (id, keyspace, name, name_folded, description, subject, scopes, claims, metadata, enabled,
                 created_by, create_time_us, update_time_us, revision)
             VALUES ('{id}', 'system', 'n', 'n', '', 's', '{scopes}', '{{}}', '{{}}', true, '', 1, 1, 7);"
        )
    };
    let event = |id: &str, keyspace: &str, at: i64| {
        format!(
            "INSERT INTO audit_event (id, create_time_us, actor, action, keyspace, peer, changes)
             VALUES ('{id}', {at}, 'a', 'x', '{keyspace}', '', '{{}}');"
        )
    };
    let acme = "INSERT INTO keyspace (id, display_name, key_prefix, create_time_us, update_time_us)
                VALUES ('acme', '', 'ak', 100, 100);";
    let whole = [
        acme.to_owned(),
        root("key_ended", r#"["keys:read@gone","keys:write@acme","admin@gone-too"]"#),
        root("key_powerless", r#"["keys:read@gone"]"#),
        root("key_stays", r#"["admin","keys:read@acme"]"#),
        event("evt_1", "acme", 99),
        event("evt_2", "acme", 100),
        event("evt_3", "gone", 101),
    ];
    fixture.execute(&whole.concat()).await;

    let store = fixture.try_open(Schema::Migrate).await.expect("migrated");
    let uids =
        ["acme", "default", "system"].map(async |id| store.keyspace(id).await.expect("an answer").expect("it").uid);
    let uids = futures_util::future::join_all(uids).await;
    assert!(uids[0] != uids[1] && uids[1] != uids[2] && uids[0] != uids[2], "{uids:?}");
    let events = async |within: Reach| {
        let until = Some(Timestamp::from_micros(1_000));
        let query = EventQuery { within, until, ..every_event() };
        let events = store.list_events(&query).await.expect("an answer").page.events;
        events.into_iter().map(|event| event.id).collect::<Vec<_>>()
    };
    assert_eq!(events(Reach::Only(vec!["acme".into()])).await, ["evt_2"]);
    assert_eq!(events(Reach::Everywhere).await, ["evt_3", "evt_2", "evt_1"]);
    for (id, scopes, revision) in [
        ("key_ended", &["keys:write@acme"][..], 8),
        ("key_powerless", &[], 8),
        ("key_stays", &["admin", "keys:read@acme"], 7),
    ] {
        let id = portcullis::key::id::KeyId::from_text(id);
        let key = store.key(&id).await.expect("an answer").expect("the key");
        assert_eq!(
            (key.scopes.iter().map(String::as_str).collect::<Vec<_>>(), key.revision),
            (scopes.to_vec(), revision)
        );
        let query = EventQuery { key_id: Some(id), within: Reach::Only(vec![SYSTEM.into()]), ..every_event() };
        let events = store.list_events(&query).await.expect("an answer").page.events;
        let told: Vec<_> = events.iter().map(|event| (event.actor.as_str(), &event.changes["scopes"])).collect();
        let scopes = serde_json::json!(scopes);
        assert_eq!(told, if revision == 8 { vec![("migration", &scopes)] } else { vec![] });
    }
    store.close().await;
}
