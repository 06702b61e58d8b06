//! What is told of changes to those who answer from memory: by the store itself, or by its log.

use std::collections::BTreeSet;
use std::mem;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis::key::credits::{Credits, CreditsPatch, Interval, Refill};
use portcullis::key::imported::{DigestAlgorithm, Form};
use portcullis::key::keyspace::{DEFAULT, KeyspacePatch};
use portcullis::key::record::Patch;
use portcullis::key::token::PublicPrefix;
use portcullis::key::usage::{Counted, Counts, Hour};
use portcullis::key::verifier::{Verifier, argon2id, sha256};
use portcullis::store::NewImport;
use portcullis::store::log::{Change, ChangeLog, Incarnation, Listener, News, Position};
use portcullis::store::spending::{CreditsAsked, CreditsReturned, RateSpent};
use portcullis::store::usage::{KeyspaceUsage, Retention, UsageBatch};

use super::rig::{Rig, at, by, done, limit, networks, new_key, new_secret, refused, used};
use crate::support::backend::Backend;

/// Whoever listens, whichever way.
struct Ear {
    heard: Arc<Heard>,
    /// Where to read, and how far it was read.
    log: Option<(Box<dyn ChangeLog>, i64)>,
}

#[derive(Default)]
struct Heard(Mutex<Vec<Change>>);

impl Listener for Heard {
    fn changed(&self, changes: &[Change]) {
        self.0.lock().expect("no panic").extend_from_slice(changes);
    }
}

const NOBODY: Incarnation = Incarnation(0);

impl Ear {
    async fn new(rig: &Rig) -> Self {
        let heard = Arc::new(Heard::default());
        let log = match rig.store.listen(heard.clone()) {
            News::Told => None,
            News::Logged(log) => {
                let at = log.poll(NOBODY, None).await.expect("a look").head;
                Some((log, at.seq))
            }
        };
        Self { heard, log }
    }

    /// What was changed since this was last asked.
    async fn news(&mut self) -> Vec<Change> {
        let Some((log, seen)) = &mut self.log else {
            return mem::take(&mut *self.heard.0.lock().expect("no panic"));
        };
        let poll = log.poll(NOBODY, Some(*seen)).await.expect("a look");
        assert!(poll.previous.is_some(), "what was seen last is there");
        let numbers: Vec<_> = poll.entries.iter().map(|(position, _)| position.seq).collect();
        assert_eq!(numbers, (*seen + 1..=poll.head.seq).collect::<Vec<_>>(), "there are no gaps");
        *seen = poll.head.seq;
        poll.entries.into_iter().map(|(_, change)| change).collect()
    }

    /// Checks that these secrets were told of, and no others.
    async fn hears_of(&mut self, secrets: &[&PublicPrefix]) {
        let told: BTreeSet<_> = self.news().await.into_iter().map(|change| format!("{change:?}")).collect();
        let changed = secrets.iter().map(|secret| format!("{:?}", Change::Secret(secret.as_str().to_owned())));
        assert_eq!(told, changed.collect());
    }
}

pub async fn each_change_of_a_key_is_told(rig: Rig) {
    let first = new_key(|_| ());
    rig.create_new(&first).await;
    let id = &first.key.id;
    let mut ear = Ear::new(&rig).await;
    let patches = [
        Patch { scopes: Some(vec!["x".into()]), ..Patch::default() },
        Patch { enabled: Some(false), ..Patch::default() },
        Patch { expire_time: Some(Some(at(9))), ..Patch::default() },
        Patch { claims: Some([("a".to_owned(), 1.into())].into_iter().collect()), ..Patch::default() },
        Patch { rate_limits: Some(vec![limit("", 9, 1)]), ..Patch::default() },
        Patch { rate_limits: Some(vec![limit("", 9, 2)]), ..Patch::default() },
        Patch { allowed_cidrs: Some(networks(&["10.0.0.0/8"])), ..Patch::default() },
        set_credits(Some(5), None),
        set_credits(Some(6), None),
        Patch { add_credits: Some(1), ..Patch::default() },
        set_credits(None, Some(Some(Refill { amount: 5, interval: Interval::Day }))),
        set_credits(None, Some(Some(Refill { amount: 6, interval: Interval::Day }))),
        set_credits(None, Some(None)),
        Patch { credits: Some(CreditsPatch::Unlimited), ..Patch::default() },
    ];
    for patch in patches {
        rig.update(id, patch).await;
        ear.hears_of(&[&first.secret.public_prefix]).await;
    }
    rig.update(id, Patch { expire_time: Some(None), ..Patch::default() }).await;
    ear.news().await;

    let second = new_secret();
    done(rig.store.rotate_key(id, &second, Duration::from_hours(1), &by(at(3))).await);
    let told = ear.news().await;
    assert!(told.contains(&Change::Secret(first.secret.public_prefix.as_str().to_owned())), "{told:?}");
    rig.revoke(id).await;
    ear.hears_of(&[&first.secret.public_prefix, &second.public_prefix]).await;
    done(rig.store.delete_key(id, &by(at(4))).await);
    ear.hears_of(&[&first.secret.public_prefix, &second.public_prefix]).await;
}

pub async fn what_changes_no_verdict_is_not_told(rig: Rig) {
    let key = rig.create(|_| ()).await;
    let mut ear = Ear::new(&rig).await;
    rig.record_uses(&[(key.id.clone(), at(1))]).await;
    refused(rig.store.update_key(&key.id, &Patch::default(), Some(77), &by(at(1))).await);
    rig.update(&key.id, Patch::default()).await;
    let renamed = KeyspacePatch { display_name: Some("another".into()), ..KeyspacePatch::default() };
    done(rig.store.update_keyspace(DEFAULT, &renamed, None, &by(at(1))).await);
    assert_eq!(ear.news().await, []);
    rig.revoke(&key.id).await;
    assert_eq!(ear.news().await.len(), 1);
    rig.revoke(&key.id).await;
    assert_eq!(ear.news().await, [], "it was revoked already");
}

#[expect(clippy::option_option, reason = "as the patch has it")]
fn set_credits(remaining: Option<i64>, refill: Option<Option<Refill>>) -> Patch {
    Patch { credits: Some(CreditsPatch::Limited { remaining, refill }), ..Patch::default() }
}

pub async fn what_a_key_spends_is_not_told(rig: Rig) {
    let refill = Refill { amount: 5, interval: Interval::Day };
    let of_key = Credits { remaining: 9, refill: Some(refill), refill_time: Some(at(1)), epoch: 1 };
    let id = rig.create(|key| key.credits = Some(of_key)).await.id;
    let mut ear = Ear::new(&rig).await;
    let asked = CreditsAsked { key_id: id.clone(), epoch: 1, want: 1, need: 1, refill: Some(refill) };
    assert_eq!(rig.store.take_credits(&[asked], at(2)).await.expect("an answer").len(), 1);
    let returned = CreditsReturned { key_id: id.clone(), epoch: 1, amount: 1 };
    rig.store.return_credits(&[returned]).await.expect("taken back");
    let limit = limit("", 9, 1);
    let spent = RateSpent { key_id: id.clone(), limit, spent: 1, asked: 1, idle_max: None };
    for _ in 0..2 {
        assert_eq!(rig.store.settle_rates(std::slice::from_ref(&spent), at(2)).await.expect("an answer").len(), 1);
    }
    let keyspaces = vec![KeyspaceUsage {
        keyspace: rig.uid(DEFAULT).await,
        hour: Hour::of(at(1)),
        counts: Counts::of(Counted::Valid, 1),
    }];
    let usage = UsageBatch { keyspaces, ..used(&[(id, at(1))]) };
    rig.store.record_usage(&usage).await.expect("recorded");
    let kept = Retention { hours: Duration::ZERO, days: Duration::ZERO };
    assert_eq!(rig.store.fold_usage(None, kept, at(9_000_000)).await.expect("folded"), None);
    assert_eq!(ear.news().await, []);
}

pub async fn what_was_asked_for_in_vain_is_told(rig: Rig) {
    let mut ear = Ear::new(&rig).await;
    let mut chosen = new_key(|_| ());
    chosen.secret.verifier = Verifier::Argon2id(argon2id("chosen").expect("a hash"));
    rig.create_new(&chosen).await;
    ear.hears_of(&[&chosen.secret.public_prefix]).await;

    let lookup = DigestAlgorithm::Sha256.lookup(sha256("imported").as_bytes());
    let mut key = new_key(|_| ()).key;
    key.secrets.clear();
    let form = Form::Digest(DigestAlgorithm::Sha256);
    let (verifier, event_id) = (Verifier::Sha256(sha256("imported")), by(at(0)).event_id);
    let lookups = vec![lookup.clone()];
    let new = NewImport { key, verifier, lookups, form: Some(form), others: None, request_id: None, event_id };
    done(rig.store.import_keys(DEFAULT, None, &[new], &by(at(1))).await);
    let told = ear.news().await;
    for change in [Change::Secret(lookup.as_str().to_owned()), Change::Form(DEFAULT.to_owned(), form)] {
        assert!(told.contains(&change), "{change:?} is not in {told:?}");
    }
}

pub async fn a_rule_of_a_keyspace_is_told(rig: Rig) {
    let mut ear = Ear::new(&rig).await;
    let wild = KeyspacePatch { allow_wildcard_scopes: Some(true), ..KeyspacePatch::default() };
    done(rig.store.update_keyspace(DEFAULT, &wild, None, &by(at(1))).await);
    assert_eq!(ear.news().await, [Change::Keyspace(DEFAULT.to_owned())]);
    let limits = KeyspacePatch { default_rate_limits: Some(vec![limit("", 9, 1)]), ..KeyspacePatch::default() };
    for expect in [&[Change::Keyspace(DEFAULT.to_owned())][..], &[]] {
        done(rig.store.update_keyspace(DEFAULT, &limits, None, &by(at(1))).await);
        assert_eq!(ear.news().await, expect);
    }
}

/// Only where others can be at the store.
pub async fn what_is_edited_by_hand_is_told(rig: Rig) {
    assert_eq!(rig.fixture.backend, Backend::Postgres);
    let new = new_key(|_| ());
    rig.create_new(&new).await;
    let lookup = &new.secret.public_prefix;
    let mut ear = Ear::new(&rig).await;
    rig.fixture.execute("UPDATE api_key SET enabled = false").await;
    ear.hears_of(&[lookup]).await;
    rig.fixture.execute("UPDATE api_key SET name = 'renamed by hand'").await;
    ear.hears_of(&[]).await;
    rig.fixture.execute("BEGIN; UPDATE api_key SET enabled = true; ROLLBACK").await;
    ear.hears_of(&[]).await;
    rig.fixture.execute("SET search_path = pg_catalog; DELETE FROM public.api_key").await;
    ear.hears_of(&[lookup]).await;
}

/// The list of replicas, by its rules.
pub async fn replicas_come_and_go(rig: Rig) {
    assert_eq!(rig.fixture.backend, Backend::Postgres);
    let News::Logged(log) = rig.store.listen(Arc::new(Heard::default())) else { panic!("there is a log") };
    let (one, two) = (Incarnation(1), Incarnation(2));
    let lease = Duration::from_millis(2_400);
    for _ in 0..2 {
        log.register(one, "one", lease).await.expect("registered");
    }
    log.register(two, "two", lease).await.expect("registered");
    let key = rig.create(|_| ()).await;
    rig.revoke(&key.id).await;
    let head = log.roll().await.expect("the list").head;
    assert!(log.poll(one, None).await.expect("a look").is_registered);
    assert!(!log.poll(NOBODY, None).await.expect("a look").is_registered);

    let at_head = log.poll(one, None).await.expect("a look").head;
    let before = Position { seq: 0, nonce: log.poll(one, Some(0)).await.expect("a look").previous.expect("the first") };
    let elsewhere = Position { nonce: at_head.nonce ^ 1, ..at_head };
    log.acknowledge(&[one, two], elsewhere).await.expect("not noted");
    log.acknowledge(&[one], at_head).await.expect("noted");
    log.acknowledge(&[one], before).await.expect("noted");
    log.mark_dead(&[one, two], head).await.expect("marked");
    let roll = log.roll().await.expect("the list");
    let listed: Vec<_> = roll.replicas.iter().map(|r| (r.name.as_str(), r.acked == head, r.is_dead)).collect();
    assert_eq!(listed, [("one", true, false), ("two", false, true)], "who has acknowledged is not late");
    assert_eq!((roll.replicas[0].lease, roll.replicas[0].beat), (lease, 2));
    assert!(!log.poll(two, None).await.expect("a look").is_registered);

    log.remove(&[one, two]).await.expect("removed");
    assert_eq!(log.roll().await.expect("the list").replicas.len(), 1, "who is alive stays");
    log.leave(one).await.expect("gone");
    assert!(log.roll().await.expect("the list").replicas.is_empty());
}

pub async fn the_end_of_the_log_is_never_cleared_away(rig: Rig) {
    assert_eq!(rig.fixture.backend, Backend::Postgres);
    let News::Logged(log) = rig.store.listen(Arc::new(Heard::default())) else { panic!("there is a log") };
    let key = rig.create(|_| ()).await;
    for enabled in [false, true, false] {
        rig.update(&key.id, Patch { enabled: Some(enabled), ..Patch::default() }).await;
    }
    let head = log.roll().await.expect("the list").head;
    log.prune().await.expect("pruned");
    let shown = log.poll(NOBODY, Some(0)).await.expect("a look").entries;
    assert_eq!(shown.last().expect("entries").0.seq, head, "they are new");
    rig.fixture.execute("UPDATE change_log SET at = at - interval '20 minutes'").await;
    log.prune().await.expect("pruned");
    assert!(log.poll(NOBODY, Some(0)).await.expect("a look").previous.is_none(), "the reader at the start is behind");
    let at_head = log.poll(NOBODY, Some(head)).await.expect("a look");
    assert_eq!(at_head.previous, Some(at_head.head.nonce));
}
