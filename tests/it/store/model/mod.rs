//! Random operations, on a store and on a naive reference of it: the same answers, and the same state in the end.
//!
//! `PROPTEST_CASES=10000` runs as many sequences. All of them use one store, each with keyspaces of its own.

mod reference;
mod steps;

use std::sync::atomic::{AtomicU32, Ordering};

use portcullis::clock::Timestamp;
use portcullis::key::id::KeyId;
use portcullis::key::keyspace::Keyspace;
use portcullis::key::permission::Reach;
use portcullis::key::record::{ApiKey, Revocation};
use portcullis::store::{Actor, EventQuery, KeyQuery, NewKey, Store};
use proptest::test_runner::{Config, TestRunner};

use super::rig::{Rig, at, by, every_event, every_key, new_id, new_key, new_keyspace, new_secret, used};
use crate::support::backend::Backend;
use reference::{Reference, Trace};
use steps::{KEYSPACES, Operation, Pick, RevisionGiven, Step};

#[test]
fn sqlite_answers_as_the_reference_does() {
    check(Backend::Sqlite, 48);
}

#[test]
fn postgres_answers_as_the_reference_does() {
    check(Backend::Postgres, 24);
}

fn check(backend: Backend, cases_by_default: u32) {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|count| count.parse().ok());
    let config = Config {
        cases: cases.unwrap_or(cases_by_default),
        source_file: Some(file!()),
        test_name: Some("store::model"),
        ..Config::default()
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let rig = runtime.block_on(Rig::new(backend));
    let outcome = TestRunner::new(config).run(&steps::sequences(), |steps| {
        runtime.block_on(async {
            let mut case = Case::new(rig.store.as_ref());
            for step in steps {
                case.take(step).await;
            }
            case.compare_everything().await;
        });
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// One sequence, on its way.
struct Case<'a> {
    store: &'a dyn Store,
    reference: Reference,
    now: Timestamp,
    keyspaces: [String; KEYSPACES],
    /// Every key there ever was, deleted ones too.
    ids: Vec<KeyId>,
    /// Every public prefix there ever was, and those of secrets that were refused.
    public_prefixes: Vec<String>,
}

impl<'a> Case<'a> {
    fn new(store: &'a dyn Store) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let keyspaces = std::array::from_fn(|which| format!("case-{number}-{which}"));
        let (ids, public_prefixes) = (vec![new_id()], vec!["ak_0000000000000000".into()]);
        Self { store, reference: Reference::default(), now: at(0), keyspaces, ids, public_prefixes }
    }

    fn id(&self, pick: Pick) -> KeyId {
        self.ids[pick.of(self.ids.len())].clone()
    }

    fn actor(&self) -> Actor {
        by(self.now)
    }

    /// The revision to give for a thing that has the revision `present`.
    fn revision(given: RevisionGiven, present: Option<i64>) -> Option<i64> {
        let present = present.unwrap_or(1);
        match given {
            RevisionGiven::None => None,
            RevisionGiven::Present => Some(present),
            RevisionGiven::Stale => Some(present - 1),
        }
    }

    /// Does one step on both, and compares the answers.
    async fn take(&mut self, step: Step) {
        self.now = Timestamp::from_micros(self.now.as_micros() + step.passed_us);
        let (by, now) = (self.actor(), self.now);
        let shown = format!("{:?}", step.operation);
        match step.operation {
            Operation::CreateKeyspace { which, allow_wildcard_scopes } => {
                let new = Keyspace {
                    allow_wildcard_scopes,
                    create_time: now,
                    update_time: now,
                    ..new_keyspace(&self.keyspaces[which])
                };
                let answer = self.store.create_keyspace(&new, &by).await.expect("an answer");
                assert_eq!(answer, self.reference.create_keyspace(new, &by), "{shown}");
            }
            Operation::UpdateKeyspace { which, patch, revision } => {
                let id = &self.keyspaces[which];
                let revision = Self::revision(revision, self.reference.keyspaces.get(id).map(|k| k.revision));
                let answer = self.store.update_keyspace(id, &patch, revision, &by).await.expect("an answer");
                assert_eq!(answer, self.reference.update_keyspace(id, &patch, revision, &by), "{shown}");
            }
            Operation::DeleteKeyspace { which } => {
                let id = &self.keyspaces[which];
                let answer = self.store.delete_keyspace(id, &by).await.expect("an answer");
                assert_eq!(answer, self.reference.delete_keyspace(id, &by), "{shown}");
            }
            Operation::ReadKeyspace { which } => {
                let id = &self.keyspaces[which];
                let answer = self.store.keyspace(id).await.expect("an answer");
                assert_eq!(answer.as_ref(), self.reference.keyspaces.get(id), "{shown}");
            }
            Operation::Create { which, like, expires_after_us, request_id } => {
                let expire_time = expires_after_us.map(|after| Timestamp::from_micros(now.as_micros() + after));
                let like = ApiKey { keyspace: self.keyspaces[which].clone(), create_time: now, expire_time, ..*like };
                self.create(like, request_id).await;
            }
            Operation::Read { pick } => {
                let id = self.id(pick);
                let answer = self.store.key(&id).await.expect("an answer");
                assert_eq!(answer.as_ref(), self.reference.keys.get(&id), "{shown}");
            }
            Operation::Update { pick, patch, revision } => {
                let id = self.id(pick);
                let revision = Self::revision(revision, self.reference.keys.get(&id).map(|key| key.revision));
                let answer = self.store.update_key(&id, &patch, revision, &by).await.expect("an answer");
                assert_eq!(answer, self.reference.update_key(&id, &patch, revision, &by), "{shown}");
            }
            Operation::Rotate { pick, overlap } => {
                let (id, newest) = (self.id(pick), new_secret());
                self.public_prefixes.push(newest.public_prefix.as_str().into());
                let answer = self.store.rotate_key(&id, &newest, overlap, &by).await.expect("an answer");
                assert_eq!(answer, self.reference.rotate_key(&id, newest, overlap, &by), "{shown}");
            }
            Operation::Revoke { pick, reason, comment } => {
                let (id, why) = (self.id(pick), Revocation { at: now, reason, comment });
                let answer = self.store.revoke_key(&id, &why, &by).await.expect("an answer");
                assert_eq!(answer, self.reference.revoke_key(&id, why, &by), "{shown}");
            }
            Operation::Delete { pick } => {
                let id = self.id(pick);
                let answer = self.store.delete_key(&id, &by).await.expect("an answer");
                assert_eq!(answer, self.reference.delete_key(&id, &by), "{shown}");
            }
            Operation::RecordUses { uses } => {
                let uses: Vec<_> = uses
                    .into_iter()
                    .map(|(pick, ago)| (self.id(pick), Timestamp::from_micros(now.as_micros() - ago)))
                    .collect();
                self.store.record_usage(&used(&uses)).await.expect("noted");
                self.reference.record_uses(&uses);
            }
            Operation::FindSecret { pick } => {
                let public_prefix = self.public_prefixes[pick.of(self.public_prefixes.len())].clone();
                self.compare_secret(&public_prefix).await;
            }
            Operation::List { which, like, active, unused_since_ago_us, after } => {
                let keyspace = self.keyspaces[which].clone();
                let unused_since = unused_since_ago_us.map(|ago| Timestamp::from_micros(now.as_micros() - ago));
                // Behind a key that may be of the other keyspace, or gone.
                let after = after.map(|pick| self.id(pick)).map(|id| {
                    let created = self.reference.keys.get(&id).map_or(now, |key| key.create_time);
                    (created, id)
                });
                self.compare_list(&KeyQuery {
                    keyspace,
                    active_at: active.then_some(now),
                    unused_since,
                    after,
                    ..like
                })
                .await;
            }
            Operation::ListEvents { which, pick, limit } => {
                let these = which.map_or(&self.keyspaces[..], |which| &self.keyspaces[which..=which]);
                let within = Reach::Only(these.to_vec());
                let key_id = pick.map(|pick| self.id(pick));
                self.compare_events(&EventQuery { within, key_id, limit, ..every_event() }).await;
            }
        }
    }

    async fn create(&mut self, like: ApiKey, request_id: Option<u8>) {
        let made = new_key(|key| *key = ApiKey { id: key.id.clone(), ..like });
        let new = NewKey { request_id: request_id.map(|number| format!("r-{number}")), ..made };
        self.ids.push(new.key.id.clone());
        self.public_prefixes.push(new.secret.public_prefix.as_str().into());
        let by = self.actor();
        let answer = self.store.create_key(&new, &by).await.expect("an answer");
        assert_eq!(answer, self.reference.create_key(new, &by), "of a creation");
    }

    async fn compare_list(&self, query: &KeyQuery) {
        let page = self.store.list_keys(query).await.expect("an answer").page;
        assert_eq!(page, self.reference.list_keys(query), "{query:?}");
    }

    async fn compare_secret(&self, public_prefix: &str) {
        let found = self.store.find_secret(public_prefix).await.expect("an answer");
        assert_eq!(found, self.reference.find_secret(public_prefix).as_slice(), "{public_prefix}");
    }

    async fn compare_events(&self, query: &EventQuery) {
        let events = self.store.list_events(query).await.expect("an answer").page.events;
        let traces: Vec<_> = events.iter().map(Trace::of).collect();
        assert_eq!(traces, self.reference.list_events(query));
    }

    async fn compare_everything(&self) {
        for keyspace in &self.keyspaces {
            let query = KeyQuery { keyspace: keyspace.clone(), ..every_key() };
            self.compare_list(&query).await;
        }
        for id in &self.ids {
            let key = self.store.key(id).await.expect("an answer");
            assert_eq!(key.as_ref(), self.reference.keys.get(id));
        }
        for public_prefix in &self.public_prefixes {
            self.compare_secret(public_prefix).await;
        }
        let within = Reach::Only(self.keyspaces.to_vec());
        let keyspaces = self.store.list_keyspaces(&within, "", 10).await.expect("an answer").page;
        assert!(keyspaces.iter().eq(self.reference.keyspaces.values()));
        self.compare_events(&EventQuery { within, ..every_event() }).await;
        for keyspace in &self.keyspaces {
            self.compare_events(&EventQuery { keyspace: Some(keyspace.clone()), ..every_event() }).await;
        }
    }
}
