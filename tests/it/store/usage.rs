//! Counting what keys did: adding it, asking for it, folding it away.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis::clock::Timestamp;
use portcullis::key::id::{KeyId, KeyspaceUid};
use portcullis::key::keyspace::{DEFAULT, SYSTEM};
use portcullis::key::permission::Reach;
use portcullis::key::usage::{Counted, Counts, Hour};
use portcullis::store::Store;
use portcullis::store::usage::{
    KeyUsage, KeyspaceUsage, Retention, Span, UsageBatch, UsageOf, UsagePage, UsagePlace, UsageQuery, UsageRow,
};

use super::rig::{Rig, at, by, done, new_id, race};

/// An hour that a day begins with.
const MIDNIGHT: i64 = 480_000;

fn valid(many: u64) -> Counts {
    Counts::of(Counted::Valid, many)
}

fn of_key(id: &KeyId, hour: i64, counts: Counts) -> KeyUsage {
    KeyUsage { id: id.clone(), hour: Hour(hour), counts, last_use: None }
}

fn of_keyspace(keyspace: KeyspaceUid, hour: i64, counts: Counts) -> KeyspaceUsage {
    KeyspaceUsage { keyspace, hour: Hour(hour), counts }
}

fn batch(seq: i64, keys: Vec<KeyUsage>, keyspaces: Vec<KeyspaceUsage>) -> UsageBatch {
    UsageBatch { writer: "one".into(), seq, at: at(0), keys, keyspaces }
}

async fn record(rig: &Rig, batch: &UsageBatch) {
    rig.store.record_usage(batch).await.expect("recorded");
}

/// All there is, in a page or two.
fn every_hour(of: UsageOf) -> UsageQuery {
    let (from, until) = (Hour(MIDNIGHT - 24 * 400), Hour(MIDNIGHT + 24 * 400));
    UsageQuery { of, from, until, span: Span::Hour, after: None, limit: 1_000 }
}

fn keys_of(keyspace: &str) -> UsageOf {
    UsageOf::Keys { keyspace: keyspace.into(), subject: None }
}

fn subjects_of(keyspace: &str) -> UsageOf {
    UsageOf::Subjects { keyspace: keyspace.into(), subject: None }
}

async fn page(store: &dyn Store, query: &UsageQuery) -> UsagePage {
    let page = store.query_usage(query).await.expect("an answer").page;
    assert!(page.rows.len() <= query.limit, "{query:?}");
    page
}

/// The rows of all pages.
async fn rows(store: &dyn Store, query: &UsageQuery) -> Vec<UsageRow> {
    let (mut query, mut rows) = (query.clone(), vec![]);
    loop {
        let page = page(store, &query).await;
        rows.extend(page.rows);
        let Some(next) = page.next else { break };
        assert!(query.after.as_ref().is_none_or(|after| *after < next), "it goes on: {next:?}");
        query.after = Some(next);
    }
    assert!(rows.is_sorted_by(|a, b| a.place < b.place), "{rows:?}");
    assert!(rows.iter().all(|row| !row.counts.is_empty()), "{rows:?}");
    rows
}

/// The rows, in whatever pages they come: by group, hour and counts.
async fn told(rig: &Rig, query: &UsageQuery) -> Vec<(String, i64, Counts)> {
    let store = rig.store.as_ref();
    let whole = rows(store, query).await;
    for limit in [1, 2, 3] {
        assert_eq!(rows(store, &UsageQuery { limit, ..query.clone() }).await, whole, "by {limit}");
    }
    whole.into_iter().map(|row| (row.place.group, row.place.hour.0, row.counts)).collect()
}

async fn count_of_key(rig: &Rig, id: &KeyId) -> Counts {
    let query = UsageQuery { span: Span::Total, ..every_hour(UsageOf::Key(id.clone())) };
    page(rig.store.as_ref(), &query).await.rows.first().map(|row| row.counts).unwrap_or_default()
}

async fn count_of_keyspace(rig: &Rig, keyspace: &str) -> Counts {
    let of = UsageOf::Keyspaces(Reach::Only(vec![keyspace.into()]));
    let query = UsageQuery { span: Span::Total, ..every_hour(of) };
    page(rig.store.as_ref(), &query).await.rows.first().map(|row| row.counts).unwrap_or_default()
}

pub async fn what_is_counted_adds_up(rig: Rig) {
    let key = rig.create(|_| ()).await;
    let mut several = valid(5);
    several.add(Counted::RateLimited, 2);
    several.add(Counted::Created, 1);
    let of_default = of_keyspace(rig.uid(DEFAULT).await, MIDNIGHT, several);
    record(&rig, &batch(1, vec![of_key(&key.id, MIDNIGHT, several)], vec![of_default])).await;
    let next_hour = of_key(&key.id, MIDNIGHT + 1, valid(7));
    record(&rig, &batch(2, vec![of_key(&key.id, MIDNIGHT, valid(3)), next_hour], vec![])).await;
    record(&rig, &batch(3, vec![], vec![])).await;
    let mut first = several;
    first.merge(&valid(3));
    let id = key.id.as_str().to_owned();
    let expect = [(id.clone(), MIDNIGHT, first), (id, MIDNIGHT + 1, valid(7))];
    assert_eq!(told(&rig, &every_hour(UsageOf::Key(key.id.clone()))).await, expect);
    assert_eq!(count_of_keyspace(&rig, DEFAULT).await, several);
    // Nothing else about the key is changed.
    assert_eq!(rig.get(&key.id).await, key);
    assert_eq!(rig.events_of(&key.id).await.len(), 1);
}

pub async fn a_batch_counts_once(rig: Rig) {
    let key = rig.create(|_| ()).await;
    let default = rig.uid(DEFAULT).await;
    let usage =
        |many| (vec![of_key(&key.id, MIDNIGHT, valid(many))], vec![of_keyspace(default, MIDNIGHT, valid(many))]);
    let numbered = |seq, many| {
        let (keys, keyspaces) = usage(many);
        batch(seq, keys, keyspaces)
    };
    for (batch, expect) in [
        (numbered(5, 1), 1),
        (numbered(5, 1), 1),
        (numbered(4, 10), 1),
        (numbered(6, 100), 101),
        (numbered(5, 1), 101),
        (numbered(9, 1_000), 1_101),
        (UsageBatch { writer: "another".into(), ..numbered(1, 10_000) }, 11_101),
    ] {
        record(&rig, &batch).await;
        assert_eq!(count_of_key(&rig, &key.id).await, valid(expect), "{batch:?}");
        assert_eq!(count_of_keyspace(&rig, DEFAULT).await, valid(expect), "{batch:?}");
    }
}

pub async fn a_batch_is_known_over_restarts_until_a_day_has_passed(mut rig: Rig) {
    let key = rig.create(|_| ()).await;
    let first = batch(1, vec![of_key(&key.id, MIDNIGHT, valid(1))], vec![]);
    record(&rig, &first).await;
    rig.reopen().await;
    record(&rig, &first).await;
    assert_eq!(count_of_key(&rig, &key.id).await, valid(1));
    for (seconds, expect) in [(86_400, 1), (86_402, 2)] {
        let other = UsageBatch { writer: "two".into(), seq: seconds, at: at(seconds), keys: vec![], keyspaces: vec![] };
        record(&rig, &other).await;
        record(&rig, &first).await;
        assert_eq!(count_of_key(&rig, &key.id).await, valid(expect), "{seconds}");
    }
}

pub async fn usage_of_what_is_gone_is_passed_over(rig: Rig) {
    let (gone, stays) = (rig.create(|_| ()).await, rig.create(|_| ()).await);
    done(rig.store.delete_key(&gone.id, &by(at(1))).await);
    let strange = [gone.id.clone(), new_id(), KeyId::from_text(""), KeyId::from_text("a\0b"), stays.id.clone()];
    let keys = strange.iter().map(|id| KeyUsage { last_use: Some(at(9)), ..of_key(id, MIDNIGHT, valid(2)) }).collect();
    let keyspaces = [rig.uid(DEFAULT).await, KeyspaceUid::random(), KeyspaceUid::from_stored(0)];
    let keyspaces = keyspaces.map(|uid| of_keyspace(uid, MIDNIGHT, valid(10))).into();
    record(&rig, &batch(1, keys, keyspaces)).await;
    assert_eq!(count_of_key(&rig, &stays.id).await, valid(2));
    assert_eq!(rig.get(&stays.id).await.last_use_time, Some(at(9)));
    assert_eq!(count_of_key(&rig, &gone.id).await, Counts::default());
    assert_eq!(count_of_key(&rig, &KeyId::from_text("a\0b")).await, Counts::default());
    assert_eq!(count_of_keyspace(&rig, DEFAULT).await, valid(10), "of all its keys, deleted ones too");
}

pub async fn a_use_in_an_earlier_hour_moves_no_time_back(rig: Rig) {
    let key = rig.create(|_| ()).await;
    let usage = |hour, last_use| KeyUsage { last_use, ..of_key(&key.id, hour, valid(1)) };
    record(&rig, &batch(1, vec![usage(MIDNIGHT, Some(at(5))), usage(MIDNIGHT + 1, Some(at(3)))], vec![])).await;
    assert_eq!(rig.get(&key.id).await.last_use_time, Some(at(5)));
    record(&rig, &batch(2, vec![usage(MIDNIGHT, Some(at(4))), usage(MIDNIGHT + 1, None)], vec![])).await;
    assert_eq!(rig.get(&key.id).await.last_use_time, Some(at(5)));
    // What was refused is no use.
    let refused = of_key(&key.id, MIDNIGHT, Counts::of(Counted::Revoked, 1));
    record(&rig, &batch(3, vec![refused], vec![])).await;
    assert_eq!(rig.get(&key.id).await.last_use_time, Some(at(5)));
}

pub async fn a_deleted_key_takes_its_usage_along_but_not_its_keyspaces(rig: Rig) {
    let (gone, stays) = (rig.create(|_| ()).await, rig.create(|_| ()).await);
    let keys = vec![of_key(&gone.id, MIDNIGHT, valid(1)), of_key(&stays.id, MIDNIGHT, valid(2))];
    record(&rig, &batch(1, keys, vec![of_keyspace(rig.uid(DEFAULT).await, MIDNIGHT, valid(3))])).await;
    done(rig.store.delete_key(&gone.id, &by(at(1))).await);
    assert_eq!(told(&rig, &every_hour(UsageOf::Key(gone.id.clone()))).await, []);
    let expect = [(stays.id.as_str().to_owned(), MIDNIGHT, valid(2))];
    assert_eq!(told(&rig, &every_hour(keys_of(DEFAULT))).await, expect);
    assert_eq!(count_of_keyspace(&rig, DEFAULT).await, valid(3));
}

pub async fn a_deleted_keyspace_takes_its_usage_along(rig: Rig) {
    let former = rig.create_keyspace(|_| ()).await.uid;
    record(&rig, &batch(1, vec![], vec![of_keyspace(former, MIDNIGHT, valid(1))])).await;
    assert_eq!(count_of_keyspace(&rig, "acme").await, valid(1));
    done(rig.store.delete_keyspace("acme", &by(at(1))).await);
    let present = rig.create_keyspace(|_| ()).await.uid;
    assert_eq!(count_of_keyspace(&rig, "acme").await, Counts::default());
    // What a process had counted before, and tells now, is not for whoever has the id now.
    let late = [former, present].map(|uid| of_keyspace(uid, MIDNIGHT, valid(2)));
    record(&rig, &batch(2, vec![], late[..1].to_vec())).await;
    assert_eq!(count_of_keyspace(&rig, "acme").await, Counts::default());
    record(&rig, &batch(3, vec![], late.to_vec())).await;
    assert_eq!(count_of_keyspace(&rig, "acme").await, valid(2));
}

pub async fn what_all_sides_count_adds_up(rig: Rig) {
    const ROUNDS: i64 = 20;
    rig.create_keyspace(|_| ()).await;
    let mut ids = Vec::new();
    for _ in 0..32 {
        ids.push(rig.create(|_| ()).await.id);
    }
    let uids = [rig.uid(DEFAULT).await, rig.uid("acme").await, rig.uid(SYSTEM).await];
    let mut counting = tokio::task::JoinSet::new();
    for (number, store) in (0..).zip(rig.callers(8).await) {
        // Each in another order: whoever locks row by row as given would deadlock here.
        let mut ids = ids.clone();
        ids.rotate_left(4 * number);
        let mut keyspaces = uids;
        keyspaces.rotate_left(number % 3);
        counting.spawn(async move {
            for seq in 1..=ROUNDS {
                let hours = [MIDNIGHT + seq % 2, MIDNIGHT + 1 - seq % 2];
                let usage = |id: &KeyId| hours.map(|hour| of_key(id, hour, valid(1)));
                let keys = ids.iter().flat_map(usage).map(|usage| KeyUsage { last_use: Some(at(seq)), ..usage });
                let keyspaces = keyspaces.iter().flat_map(|uid| hours.map(|hour| of_keyspace(*uid, hour, valid(32))));
                let (keys, keyspaces) = (keys.collect(), keyspaces.collect());
                let batch = UsageBatch { writer: format!("w{number}"), ..batch(seq, keys, keyspaces) };
                store.record_usage(&batch).await.expect("recorded");
            }
        });
    }
    counting.join_all().await;
    let expect = 8 * ROUNDS.unsigned_abs();
    for id in &ids {
        assert_eq!(count_of_key(&rig, id).await, valid(2 * expect));
        assert_eq!(rig.get(id).await.last_use_time, Some(at(ROUNDS)));
    }
    for keyspace in [DEFAULT, "acme", SYSTEM] {
        assert_eq!(count_of_keyspace(&rig, keyspace).await, valid(2 * 32 * expect));
    }
}

pub async fn usage_is_recorded_while_keys_and_keyspaces_go(rig: Rig) {
    for round in 0..20 {
        let acme = rig.create_keyspace(|_| ()).await.uid;
        let (first, second) = (rig.create(|_| ()).await, rig.create(|_| ()).await);
        let keys =
            [&first, &second].map(|key| KeyUsage { last_use: Some(at(1)), ..of_key(&key.id, MIDNIGHT, valid(1)) });
        let keyspaces = [acme, rig.uid(DEFAULT).await].map(|uid| of_keyspace(uid, MIDNIGHT, valid(1)));
        let batch = batch(i64::try_from(round).expect("few") + 1, keys.into(), keyspaces.into());
        let actor = by(at(2));
        let going = async {
            done(rig.store.delete_key(&second.id, &actor).await);
            done(rig.store.delete_keyspace("acme", &by(at(2))).await);
        };
        let (recorded, ()) = race(round, rig.store.record_usage(&batch), going).await;
        recorded.expect("recorded");
        assert_eq!(count_of_key(&rig, &first.id).await, valid(1));
        assert_eq!(count_of_key(&rig, &second.id).await, Counts::default());
    }
    assert_eq!(count_of_keyspace(&rig, DEFAULT).await, valid(20));
}

/// A batch whose commit was not confirmed comes again: nothing of it is left to write, and a commit could wait for a standby.
/// The lock on its row is that of a transaction which was rolled back.
pub async fn usage_that_was_added_before_is_not_committed(rig: Rig) {
    let batch = batch(1, vec![], vec![of_keyspace(rig.uid(DEFAULT).await, MIDNIGHT, valid(1))]);
    record(&rig, &batch).await;
    record(&rig, &batch).await;
    assert_eq!(count_of_keyspace(&rig, DEFAULT).await, valid(1));
    rig.fixture
        .execute(
            "DO $$ BEGIN
                 IF (SELECT xmax::text::xid8 <> '0' AND pg_xact_status(xmax::text::xid8) = 'committed'
                     FROM usage_batch WHERE writer = 'one') THEN
                     RAISE 'the batch that was added before was committed';
                 END IF;
             END $$",
        )
        .await;
}

pub async fn two_thousand_keys_fit_a_batch(rig: Rig) {
    let ids = many_keys(&rig, 2_000).await;
    let usage = |id| KeyUsage { last_use: Some(at(1)), ..of_key(id, MIDNIGHT, valid(1)) };
    record(&rig, &batch(1, ids.iter().map(usage).collect(), vec![])).await;
    let query = UsageQuery { span: Span::Total, ..every_hour(keys_of(DEFAULT)) };
    let told = rows(rig.store.as_ref(), &query).await;
    assert!(told.iter().map(|row| row.place.group.as_str()).eq(ids.iter().map(KeyId::as_str)));
}

/// Makes so many keys of `default` beside one that is first; their ids, in order.
async fn many_keys(rig: &Rig, many: usize) -> Vec<KeyId> {
    let first = rig.create(|_| ()).await;
    let columns = "name, name_folded, description, scopes, claims, metadata, enabled, created_by, create_time_us,
        update_time_us, revision, keyspace";
    rig.fixture
        .execute(&format!(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {many})
             INSERT INTO api_key (id, subject, {columns})
             SELECT id || '_' || (10000 + n), 'user_' || (10000 + n), {columns} FROM api_key, numbers"
        ))
        .await;
    (1..=many).map(|n| KeyId::from_text(format!("{}_{}", first.id, 10_000 + n))).collect()
}

/// Three keys of two subjects in `default`, one in `acme`, and what each did in two days and a bit.
async fn sample(rig: &Rig) -> Vec<KeyId> {
    rig.create_keyspace(|_| ()).await;
    let mut ids = Vec::new();
    for (subject, keyspace) in [("user_a", DEFAULT), ("user_b", DEFAULT), ("user_a", DEFAULT), ("user_a", "acme")] {
        let key = rig.create(|key| (key.subject, key.keyspace) = (subject.into(), keyspace.into()));
        ids.push(key.await.id);
    }
    ids.sort();
    let mut keys = Vec::new();
    for (id, many) in ids.iter().zip([1, 10, 100, 1_000]) {
        for hour in [0, 23, 24, 47, 48] {
            let mut counts = valid(many);
            counts.add(Counted::Expired, 2 * many);
            keys.push(of_key(id, MIDNIGHT + hour, counts));
        }
    }
    let keyspaces = [(rig.uid(DEFAULT).await, 111), (rig.uid("acme").await, 1_000), (rig.uid(SYSTEM).await, 5)];
    let keyspaces = keyspaces.map(|(uid, many)| [0, 30].map(|hour| of_keyspace(uid, MIDNIGHT + hour, valid(many))));
    record(rig, &batch(1, keys, keyspaces.into_iter().flatten().collect())).await;
    ids
}

fn sampled(many: u64) -> Counts {
    let mut counts = valid(many);
    counts.add(Counted::Expired, 2 * many);
    counts
}

pub async fn keys_are_told_by_id_and_time(rig: Rig) {
    let ids = sample(&rig).await;
    let mut expect = Vec::new();
    for (id, many) in ids.iter().zip([1, 10, 100]) {
        expect.extend([0, 23, 24, 47, 48].map(|hour| (id.as_str().to_owned(), MIDNIGHT + hour, sampled(many))));
    }
    assert_eq!(told(&rig, &every_hour(keys_of(DEFAULT))).await, expect);
    let of = UsageOf::Keys { keyspace: DEFAULT.into(), subject: Some("user_a".into()) };
    let of_subject: Vec<_> = expect.into_iter().filter(|(id, ..)| *id != ids[1].as_str()).collect();
    assert_eq!(told(&rig, &every_hour(of)).await, of_subject);
    for nobody in ["user_x", "", "a\0b"] {
        let of = UsageOf::Keys { keyspace: DEFAULT.into(), subject: Some(nobody.into()) };
        assert_eq!(told(&rig, &every_hour(of)).await, []);
        assert_eq!(told(&rig, &every_hour(keys_of(nobody))).await, []);
    }
}

pub async fn days_begin_at_midnight(rig: Rig) {
    let ids = sample(&rig).await;
    let id = ids[1].as_str().to_owned();
    let days = UsageQuery { span: Span::Day, ..every_hour(UsageOf::Key(ids[1].clone())) };
    let day = |day: i64, times: u64| (id.clone(), MIDNIGHT + 24 * day, sampled(10 * times));
    assert_eq!(told(&rig, &days).await, [day(0, 2), day(1, 2), day(2, 1)]);
    // Of a day that is asked about in part, that part.
    let part = UsageQuery { from: Hour(MIDNIGHT + 1), until: Hour(MIDNIGHT + 48), ..days };
    assert_eq!(told(&rig, &part).await, [day(0, 1), day(1, 2)]);
    let total = UsageQuery { span: Span::Total, ..part };
    assert_eq!(told(&rig, &total).await, [(id, MIDNIGHT + 1, sampled(30))]);
}

pub async fn hours_count_from_the_first_and_up_to_the_last(rig: Rig) {
    let ids = sample(&rig).await;
    let of = UsageOf::Key(ids[0].clone());
    for (from, until, expect) in [
        (0, 48, &[0, 23, 24, 47][..]),
        (1, 47, &[23, 24]),
        (23, 24, &[23]),
        (24, 24, &[]),
        (47, 0, &[]),
        (49, 1_000, &[]),
    ] {
        let query = UsageQuery { from: Hour(MIDNIGHT + from), until: Hour(MIDNIGHT + until), ..every_hour(of.clone()) };
        let hours: Vec<_> = told(&rig, &query).await.into_iter().map(|(_, hour, _)| hour - MIDNIGHT).collect();
        assert_eq!(hours, expect, "{from} to {until}");
    }
    let ever = UsageQuery { from: Hour(i64::MIN), until: Hour(i64::MAX), span: Span::Total, ..every_hour(of) };
    assert_eq!(told(&rig, &ever).await, [(ids[0].as_str().to_owned(), i64::MIN, sampled(5))]);
}

pub async fn subjects_are_told_with_all_their_keys(rig: Rig) {
    sample(&rig).await;
    let total = UsageQuery { span: Span::Total, from: Hour(MIDNIGHT), ..every_hour(subjects_of(DEFAULT)) };
    let subject = |name: &str, many| (name.to_owned(), MIDNIGHT, sampled(many));
    assert_eq!(told(&rig, &total).await, [subject("user_a", 505), subject("user_b", 50)]);
    let days = UsageQuery { span: Span::Day, ..total.clone() };
    let day = |name: &str, day: i64, many| (name.to_owned(), MIDNIGHT + 24 * day, sampled(many));
    let expect = [
        day("user_a", 0, 202),
        day("user_a", 1, 202),
        day("user_a", 2, 101),
        day("user_b", 0, 20),
        day("user_b", 1, 20),
        day("user_b", 2, 10),
    ];
    assert_eq!(told(&rig, &days).await, expect);
    let of = UsageOf::Subjects { keyspace: DEFAULT.into(), subject: Some("user_b".into()) };
    assert_eq!(told(&rig, &UsageQuery { of, ..days }).await, expect[3..]);
    let of = subjects_of("acme");
    assert_eq!(told(&rig, &UsageQuery { of, ..total }).await, [subject("user_a", 5_000)]);
}

pub async fn keyspaces_are_told_within_reach(rig: Rig) {
    sample(&rig).await;
    let told = async |reach, span| {
        let query = UsageQuery { span, from: Hour(MIDNIGHT), ..every_hour(UsageOf::Keyspaces(reach)) };
        let rows = told(&rig, &query).await.into_iter();
        rows.map(|(id, hour, counts)| (id, hour - MIDNIGHT, counts.get(Counted::Valid))).collect::<Vec<_>>()
    };
    let rows = |rows: &[(&str, i64, u64)]| {
        rows.iter().map(|(id, hour, many)| (String::from(*id), *hour, *many)).collect::<Vec<_>>()
    };
    let all = rows(&[("acme", 0, 2_000), (DEFAULT, 0, 222), (SYSTEM, 0, 10)]);
    assert_eq!(told(Reach::Everywhere, Span::Total).await, all);
    assert_eq!(told(Reach::AllButSystem, Span::Total).await, all[..2]);
    let these = vec!["none".into(), DEFAULT.into()];
    assert_eq!(told(Reach::Only(these.clone()), Span::Total).await, all[1..2]);
    assert_eq!(told(Reach::Only(these.clone()), Span::Day).await, rows(&[(DEFAULT, 0, 111), (DEFAULT, 24, 111)]));
    assert_eq!(told(Reach::Only(these), Span::Hour).await, rows(&[(DEFAULT, 0, 111), (DEFAULT, 30, 111)]));
    assert_eq!(told(Reach::Only(vec![]), Span::Hour).await, []);
}

pub async fn a_page_can_follow_any_place(rig: Rig) {
    let ids = sample(&rig).await;
    let after = |group: &str, hour| Some(UsagePlace { group: group.into(), hour: Hour(hour) });
    let query = UsageQuery { span: Span::Day, limit: 1, ..every_hour(keys_of(DEFAULT)) };
    let first = async |after| page(rig.store.as_ref(), &UsageQuery { after, ..query.clone() }).await.rows.pop();
    let place = |row: Option<UsageRow>| row.map(|row| (row.place.group, row.place.hour.0 - MIDNIGHT));
    let at = |id: &KeyId, hour| Some((id.as_str().to_owned(), hour));
    assert_eq!(place(first(after("", 0)).await), at(&ids[0], 0));
    assert_eq!(place(first(after(ids[0].as_str(), MIDNIGHT)).await), at(&ids[0], 24));
    assert_eq!(place(first(after(ids[0].as_str(), i64::MAX)).await), at(&ids[1], 0));
    assert_eq!(place(first(after(ids[0].as_str(), i64::MIN)).await), at(&ids[0], 0));
    // Behind a key that is of another keyspace, or gone.
    assert_eq!(place(first(after(ids[3].as_str(), i64::MIN)).await), None);
    done(rig.store.delete_key(&ids[0], &by(at_one())).await);
    assert_eq!(place(first(after(ids[0].as_str(), MIDNIGHT)).await), at(&ids[1], 0));
    assert_eq!(place(first(after("zzz", MIDNIGHT)).await), None);
}

fn at_one() -> Timestamp {
    at(1)
}

pub async fn many_keys_that_do_nothing_are_gone_through_in_steps(rig: Rig) {
    let ids = many_keys(&rig, 2_500).await;
    let busy = [&ids[700], &ids[2_499]];
    record(&rig, &batch(1, busy.map(|id| of_key(id, MIDNIGHT, valid(1))).into(), vec![])).await;
    for of in [keys_of(DEFAULT), subjects_of(DEFAULT)] {
        let query = UsageQuery { span: Span::Total, limit: 2, ..every_hour(of) };
        let store = rig.store.as_ref();
        let first = page(store, &query).await;
        assert!(first.rows.len() < 2 && first.next.is_some(), "it does not take for ever: {first:?}");
        assert_eq!(rows(store, &query).await.len(), 2);
        assert_eq!(rows(store, &UsageQuery { limit: 1_000, ..query }).await.len(), 2);
    }
}

/// Ten days of two keys and their keyspace: each first and last hour, and one between.
async fn ten_days(rig: &Rig) -> Vec<KeyId> {
    let ids = vec![rig.create(|_| ()).await.id, rig.create(|_| ()).await.id];
    let hours = || (0..10).flat_map(|day| [0, 7, 23].map(|hour| MIDNIGHT + 24 * day + hour));
    let mut counts = valid(1);
    counts.add(Counted::Disabled, 3);
    let keys = ids.iter().flat_map(|id| hours().map(|hour| of_key(id, hour, counts))).collect();
    let default = rig.uid(DEFAULT).await;
    record(rig, &batch(1, keys, hours().map(|hour| of_keyspace(default, hour, counts)).collect())).await;
    ids
}

const HOUR: Duration = Duration::from_hours(1);

fn kept(hours_in_days: u32, days: u32) -> Retention {
    Retention { hours: 24 * HOUR * hours_in_days, days: 24 * HOUR * days }
}

async fn fold(store: &dyn Store, kept: Retention, now: Timestamp) {
    let mut after = None;
    loop {
        let last = store.fold_usage(after.as_ref(), kept, now).await.expect("folded");
        if last.is_none() {
            return;
        }
        assert!(after < last, "it goes on");
        after = last;
    }
}

/// The hours of each day that there are rows of: by day, how many.
async fn days(rig: &Rig, of: UsageOf) -> BTreeMap<i64, usize> {
    let mut days = BTreeMap::new();
    for row in rows(rig.store.as_ref(), &every_hour(of)).await {
        *days.entry((row.place.hour.0 - MIDNIGHT) / 24).or_default() += 1;
    }
    days
}

pub async fn what_is_old_is_folded_into_days(rig: Rig) {
    let ids = ten_days(&rig).await;
    let all = [UsageOf::Key(ids[0].clone()), UsageOf::Key(ids[1].clone()), UsageOf::Keyspaces(Reach::Everywhere)];
    let mut before = Vec::new();
    for of in &all {
        before.push(told(&rig, &UsageQuery { span: Span::Day, ..every_hour(of.clone()) }).await);
    }
    let end = Hour(MIDNIGHT + 240).begin();
    // A microsecond earlier, the last hour of the seventh day is not old enough.
    for (now, folded) in [(Timestamp::from_micros(end.as_micros() - 1), 6), (end, 7), (end, 7)] {
        fold(rig.store.as_ref(), kept(3, 400), now).await;
        for (of, before) in all.iter().zip(&before) {
            let expect = (0..10).map(|day| (day, if day < folded { 1 } else { 3 })).collect();
            assert_eq!(days(&rig, of.clone()).await, expect);
            let after = told(&rig, &UsageQuery { span: Span::Day, ..every_hour(of.clone()) }).await;
            assert_eq!(after, *before, "nothing is lost");
        }
    }
    // What comes late is added, and folded the next time.
    let late = batch(
        2,
        vec![of_key(&ids[0], MIDNIGHT + 5, valid(1))],
        vec![of_keyspace(rig.uid(DEFAULT).await, MIDNIGHT + 5, valid(1))],
    );
    record(&rig, &late).await;
    assert_eq!(days(&rig, all[0].clone()).await[&0], 2);
    fold(rig.store.as_ref(), kept(3, 400), end).await;
    for (of, before) in all.iter().zip(&before).step_by(2) {
        let after = told(&rig, &UsageQuery { span: Span::Day, ..every_hour(of.clone()) }).await;
        assert_eq!(after[0].2.get(Counted::Valid), before[0].2.get(Counted::Valid) + 1);
        assert_eq!((days(&rig, of.clone()).await[&0], &after[1..]), (1, &before[1..]));
    }
}

pub async fn what_is_older_than_it_is_kept_is_forgotten(rig: Rig) {
    let ids = ten_days(&rig).await;
    let end = Hour(MIDNIGHT + 240).begin();
    let all = [UsageOf::Key(ids[0].clone()), UsageOf::Keyspaces(Reach::Everywhere)];
    for (kept, now, first, folded) in [
        (kept(3, 8), Timestamp::from_micros(end.as_micros() - 1), 1, 6),
        (kept(3, 8), end, 2, 7),
        // Days are kept no shorter than hours.
        (kept(5, 1), end, 5, 5),
    ] {
        fold(rig.store.as_ref(), kept, now).await;
        for of in &all {
            let expect = (first..10).map(|day| (day, if day < folded { 1 } else { 3 })).collect::<BTreeMap<_, _>>();
            let days = days(&rig, of.clone()).await;
            assert_eq!(days.keys().collect::<Vec<_>>(), expect.keys().collect::<Vec<_>>(), "{kept:?}");
            assert!(days[&9] == 3 && (first >= folded || days[&first] == 1), "{days:?}");
        }
    }
}

pub async fn many_keys_are_folded_in_steps(rig: Rig) {
    let ids = many_keys(&rig, 450).await;
    let usage = |id| [1, 2].map(|hour| of_key(id, MIDNIGHT + hour, valid(1)));
    let of_default = vec![of_keyspace(rig.uid(DEFAULT).await, MIDNIGHT + 1, valid(9))];
    record(&rig, &batch(1, ids.iter().flat_map(usage).collect(), of_default)).await;
    let now = Hour(MIDNIGHT + 240).begin();
    let first = rig.store.fold_usage(None, kept(3, 400), now).await.expect("folded").expect("there are more");
    let query = every_hour(keys_of(DEFAULT));
    let told = rows(rig.store.as_ref(), &query).await;
    assert!(told.iter().all(|row| (row.counts == valid(2)) == (row.place.group.as_str() <= first.as_str())));
    assert_eq!(count_of_keyspace(&rig, DEFAULT).await, valid(9));
    fold(rig.store.as_ref(), kept(3, 400), now).await;
    let told = rows(rig.store.as_ref(), &query).await;
    assert!(told.iter().all(|row| row.counts == valid(2) && row.place.hour == Hour(MIDNIGHT)), "{told:?}");
    assert_eq!(told.len(), 450);
}

pub async fn folding_from_all_sides_while_more_comes_loses_nothing(rig: Rig) {
    let ids = ten_days(&rig).await;
    let now = Hour(MIDNIGHT + 24 * 20).begin();
    let default = rig.uid(DEFAULT).await;
    let mut working = tokio::task::JoinSet::new();
    for (number, store) in (0..).zip(rig.callers(6).await) {
        let mut ids = ids.clone();
        ids.rotate_left(number % 2);
        working.spawn(async move {
            for seq in 1..=15 {
                if number < 3 {
                    fold(store.as_ref(), kept(3, 400), now).await;
                    continue;
                }
                // Hours that are folded meanwhile, the first of their days among them.
                let hours = [23, 0, 5].map(|hour| MIDNIGHT + hour + 24 * (seq % 3));
                let keys = ids.iter().flat_map(|id| hours.map(|hour| of_key(id, hour, valid(1)))).collect();
                let keyspaces = hours.map(|hour| of_keyspace(default, hour, valid(1))).into();
                let batch = UsageBatch { writer: format!("w{number}"), ..batch(seq, keys, keyspaces) };
                store.record_usage(&batch).await.expect("recorded");
            }
        });
    }
    working.join_all().await;
    let mut expect = valid(30 + 3 * 15 * 3);
    expect.add(Counted::Disabled, 90);
    for id in &ids {
        assert_eq!(count_of_key(&rig, id).await, expect);
    }
    assert_eq!(count_of_keyspace(&rig, DEFAULT).await, expect);
    fold(rig.store.as_ref(), kept(3, 400), now).await;
    assert_eq!(days(&rig, UsageOf::Key(ids[0].clone())).await, (0..10).map(|day| (day, 1)).collect());
    assert_eq!(count_of_key(&rig, &ids[0]).await, expect);
}
