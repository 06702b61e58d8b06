//! Opening a store: the schema, the lock, what a restart keeps.

use std::time::Duration;

use portcullis::store::{ConnectError, Schema};

use super::rig::{Rig, at, by, done, new_key, new_secret};
use crate::support::backend::{Backend, Fixture};

/// A version that no program knows yet, as sqlx would have noted it.
const FROM_THE_FUTURE: &str = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                               VALUES (999999, 'from the future', TRUE, '', 0)";

pub async fn an_empty_store_must_be_migrated_first(rig: Rig) {
    let empty = Fixture::new(rig.fixture.backend).await;
    // Asking twice: to be refused changes nothing.
    for _ in 0..2 {
        match empty.try_open(Schema::MustBeCurrent).await.map(drop) {
            Err(ConnectError::SchemaBehind { found: 0, needed }) => assert!(needed > 0),
            other => panic!("{other:?}"),
        }
    }
    empty.open().await;
}

pub async fn a_migrated_store_is_current(rig: Rig) {
    let key = rig.create(|_| ()).await;
    rig.store.close().await;
    let store = rig.fixture.try_open(Schema::MustBeCurrent).await.expect("current");
    assert_eq!(store.key(&key.id).await.expect("an answer"), Some(key));
}

pub async fn migrating_again_is_fine(mut rig: Rig) {
    let keyspace = rig.keyspace("default").await;
    for _ in 0..2 {
        rig.reopen().await;
        assert_eq!(rig.keyspace("default").await, keyspace);
    }
}

pub async fn a_newer_schema_is_refused(rig: Rig) {
    rig.store.close().await;
    rig.fixture.execute(FROM_THE_FUTURE).await;
    for schema in [Schema::Migrate, Schema::MustBeCurrent] {
        match rig.fixture.try_open(schema).await.map(drop) {
            Err(ConnectError::SchemaNewer { found: 999_999, known }) => assert!(known > 0),
            other => panic!("{other:?}"),
        }
    }
    // The refusal let go of everything.
    rig.fixture.execute("DELETE FROM _sqlx_migrations WHERE version = 999999").await;
    rig.fixture.open().await;
}

pub async fn a_restart_keeps_everything(mut rig: Rig) {
    let keyspace = rig.create_keyspace(|_| ()).await;
    let new = new_key(|key| key.keyspace = "acme".into());
    rig.create_new(&new).await;
    let newest = new_secret();
    done(rig.store.rotate_key(&new.key.id, &newest, Duration::from_mins(1), &by(at(1))).await);
    rig.record_uses(&[(new.key.id.clone(), at(2))]).await;
    rig.revoke(&new.key.id).await;
    let before = rig.get(&new.key.id).await;
    let events = rig.events(|_| ()).await;
    let found = rig.find(&newest.public_prefix).await;

    rig.reopen().await;
    assert_eq!(rig.keyspace("acme").await, Some(keyspace));
    assert_eq!(rig.get(&new.key.id).await, before);
    assert_eq!(rig.page(|query| query.keyspace = "acme".into()).await.keys, [before]);
    assert_eq!(rig.events(|_| ()).await, events);
    assert_eq!(rig.find(&newest.public_prefix).await, found);
}

pub async fn an_open_store_answers_a_ping(mut rig: Rig) {
    rig.store.ping().await.expect("it answers");
    let closed = rig.store.clone();
    rig.reopen().await;
    rig.store.ping().await.expect("it answers");
    closed.ping().await.expect_err("it is closed");
    closed.close().await;
    rig.store.ping().await.expect("what the closed one does is nothing to it");
}

pub async fn sqlite_refuses_a_second_process(rig: Rig) {
    let key = rig.create(|_| ()).await;
    // The lock is one on a file, which knows nothing of processes: within this one it is the same.
    match rig.fixture.try_open(Schema::Migrate).await.map(drop) {
        Err(ConnectError::Locked { path, holder }) => {
            assert!(rig.fixture.url.ends_with(&path), "{path}");
            assert!(holder.contains(&std::process::id().to_string()), "{holder}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(rig.get(&key.id).await, key, "whoever was refused did no harm");
    rig.store.close().await;
    let again = rig.fixture.open().await;
    assert_eq!(again.key(&key.id).await.expect("an answer"), Some(key));
}

pub async fn postgres_is_migrated_once_by_four() {
    let fixture = Fixture::new(Backend::Postgres).await;
    let (one, two, three, four) = tokio::join!(fixture.open(), fixture.open(), fixture.open(), fixture.open());
    let mut page_token_keys = Vec::new();
    for store in [one, two, three, four] {
        assert!(store.keyspace("default").await.expect("an answer").is_some());
        page_token_keys.push(store.installation().await.expect("an answer").page_token_key);
    }
    page_token_keys.dedup();
    assert_eq!(page_token_keys.len(), 1);
}
