//! How SQLite goes about lists and usage: by index and in order, over 50,000 keys.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::{AssertSqlSafe, QueryBuilder, Row as _, Sqlite, SqliteConnection};

use super::{events, open, search, usage};
use crate::clock::Timestamp;
use crate::key::id::KeyId;
use crate::key::keyspace::DEFAULT;
use crate::key::permission::Reach;
use crate::key::usage::Hour;
use crate::store::pages::Wanted;
use crate::store::usage::{Span, UsageOf};
use crate::store::{EventQuery, KeyQuery, Schema};

/// What the plan of a statement may say although others may not.
const NOTHING: &[&str] = &[];
const SORTS: &[&str] = &["USE TEMP B-TREE FOR ORDER BY", "USE TEMP B-TREE FOR GROUP BY"];
const FROM_ONE_END: &[&str] = &["SCAN e USING COVERING INDEX audit_event_newest"];
/// After so many steps of SQLite's machine they are counted.
const STEPS: u64 = 100;

/// 50,000 keys of `default`, and as many of another keyspace with the name that is rare in `default`: rows as the triggers
/// of the schema go with them. The names of three have "zeta", of a tenth "alpha", of half "beta".
const FILL: &str = "
    PRAGMA synchronous = OFF; BEGIN;
    INSERT INTO keyspace (id, uid, display_name, key_prefix, create_time_us, update_time_us)
    VALUES ('acme', 1, '', 'ak', 0, 0);
    CREATE TEMP TABLE numbers AS
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 50000) SELECT n FROM numbers;
    INSERT INTO api_key (id, keyspace, name, name_folded, description, subject, scopes, claims, metadata, enabled,
        created_by, create_time_us, update_time_us, revision)
    SELECT printf('key_%s_%08d', keyspace, n), keyspace, name, name, '', 'user_' || (n / 20), '[]', '{}', '{}', 1, '', n, n, 1
    FROM (SELECT n, 'default' AS keyspace, 'key ' || n || iif(n % 10 = 0, ' alpha', '') || iif(n % 2 = 0, ' beta', '')
              || iif(n <= 3, ' zeta', '') AS name FROM numbers
          UNION ALL SELECT n, 'acme', 'zeta ' || n FROM numbers);
    INSERT INTO api_key_metadata (name, value, key_id)
    SELECT 'team', 'team_' || (create_time_us % 500), id FROM api_key;
    INSERT INTO audit_event (id, create_time_us, actor, action, keyspace, key_id, peer, changes, keyspace_uid)
    SELECT 'evt_' || id, create_time_us, 'key_root', 'CreateApiKey', keyspace, id, '', '{}',
        (SELECT uid FROM keyspace s WHERE s.id = keyspace) FROM api_key;
    COMMIT;";

#[tokio::test]
async fn lists_and_usage_go_by_index_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("portcullis.db").display());
    let mut conn = open::open(&url, Schema::Migrate).await.unwrap().conn;
    sqlx::raw_sql(FILL).execute(&mut conn).await.unwrap();
    let mut faults = Vec::new();
    for Statement { name, sql, allowed } in statements() {
        let plan = plan(&mut conn, &sql).await;
        if let Some(fault) = fault(&plan, allowed) {
            faults.push(format!("{name}: {fault}\n  {}\n  {sql}", plan.join("\n  ")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // That it finds fault where there is one.
    for index in ["api_key_newest", "api_key_subject", "api_key_name_row", "api_key_by_id", "audit_event_keyspace_uid"]
    {
        sqlx::raw_sql(AssertSqlSafe(format!("SAVEPOINT dropping; DROP INDEX {index}")))
            .execute(&mut conn)
            .await
            .unwrap();
        let mut is_missed = false;
        for Statement { sql, allowed, .. } in statements() {
            is_missed |= fault(&plan(&mut conn, &sql).await, allowed).is_some();
        }
        assert!(is_missed, "{index} is not missed");
        sqlx::raw_sql("ROLLBACK TO dropping; RELEASE dropping").execute(&mut conn).await.unwrap();
    }
}

#[tokio::test]
async fn lists_take_few_steps() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("portcullis.db").display());
    let mut conn = open::open(&url, Schema::Migrate).await.unwrap().conn;
    sqlx::raw_sql(FILL).execute(&mut conn).await.unwrap();
    let named = |text: &str| KeyQuery { name_contains: Some(text.into()), ..every_key() };
    for (name, query, steps_max) in [
        ("all", every_key(), 600_000),
        ("of a subject", KeyQuery { subject: Some("user_7".into()), ..every_key() }, 10_000),
        ("a common name", named("beta"), 1_000_000),
        ("a tenth", named("alpha"), 600_000),
        ("a rare name", named("zeta"), 100_000),
        ("no name", named("nothing like it"), 100_000),
        ("no name, of common parts", named("alphabeta"), 100_000),
    ] {
        let steps = Arc::new(AtomicU64::new(0));
        let counted = steps.clone();
        let handler = move || {
            counted.fetch_add(STEPS, Ordering::Relaxed);
            true
        };
        conn.lock_handle().await.unwrap().set_progress_handler(i32::try_from(STEPS).unwrap(), handler);
        search::list(&mut conn, &query).await.unwrap();
        conn.lock_handle().await.unwrap().remove_progress_handler();
        let steps = steps.load(Ordering::Relaxed);
        assert!((STEPS..steps_max).contains(&steps), "{name}: {steps} steps");
    }
}

/// A statement as the store makes it.
struct Statement {
    name: &'static str,
    sql: String,
    /// What its plan may say although others may not: it sorts a bounded number of rows, or reads an index from one end.
    allowed: &'static [&'static str],
}

fn statements() -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut add = |name, allowed, sql: QueryBuilder<Sqlite>| {
        statements.push(Statement { name, sql: sql.sql().as_str().to_owned(), allowed });
    };
    let named = KeyQuery { name_contains: Some("alpha".into()), ..every_key() };
    let labelled = KeyQuery { metadata: BTreeMap::from([("team".into(), "team_7".into())]), ..every_key() };
    let of_subject = KeyQuery { subject: Some("user_7".into()), ..every_key() };
    let next =
        |query: &KeyQuery| KeyQuery { after: Some((at(7), KeyId::from_text("key_7".to_owned()))), ..query.clone() };
    for query in [&every_key(), &named, &labelled, &of_subject] {
        add("count", NOTHING, search::count_sql(query, None, Some(10_001)));
        add("probe", NOTHING, search::probe_sql(query, 2_000));
        add("first page", NOTHING, search::scan_sql(query, None, 51));
        add("next page", NOTHING, search::scan_sql(&next(query), Some(50_000), 51));
        add("where a page's scan ended", NOTHING, search::place_sql(&next(query), 50_000));
    }
    for query in [&named, &labelled, &KeyQuery { subject: Some("user_7".into()), ..named.clone() }] {
        add("by index", SORTS, search::indexed_sql(query, 51));
        add("next page by index", SORTS, search::indexed_sql(&next(query), 51));
    }
    add("keys of a page", &["USE TEMP B-TREE FOR json_group_array(ORDER BY)"], QueryBuilder::new(search::READ));

    let every_event = EventQuery {
        within: Reach::Everywhere,
        keyspace: None,
        key_id: None,
        actor: None,
        action: None,
        from: None,
        until: None,
        after: None,
        limit: 51,
        weight_max: usize::MAX,
    };
    let of_key = EventQuery { key_id: Some(KeyId::from_text("key_7".to_owned())), ..every_event.clone() };
    let of_actor = EventQuery { actor: Some("key_root".into()), ..every_event.clone() };
    let of_keyspace = EventQuery { keyspace: Some(DEFAULT.into()), ..every_event.clone() };
    let within = EventQuery { within: Reach::Only(vec![DEFAULT.into(), "acme".into()]), ..every_event.clone() };
    for query in [&every_event, &of_key, &of_actor, &of_keyspace, &within] {
        let allowed = match query.within {
            Reach::Only(_) => SORTS,
            _ => FROM_ONE_END,
        };
        add("events", allowed, events::scan_sql(query, 51).unwrap());
        let next = EventQuery { after: Some((at(7), "evt_7".into())), ..query.clone() };
        add("next events", allowed, events::scan_sql(&next, 51).unwrap());
    }
    add("events of a page", NOTHING, QueryBuilder::new(events::READ));

    let keys = |subject: Option<&str>| UsageOf::Keys { keyspace: DEFAULT.into(), subject: subject.map(str::to_owned) };
    let subjects = UsageOf::Subjects { keyspace: DEFAULT.into(), subject: None };
    let keyspaces = UsageOf::Keyspaces(Reach::Everywhere);
    for (of, allowed) in
        [(&keyspaces, NOTHING), (&keys(None), NOTHING), (&keys(Some("user_7")), SORTS), (&subjects, NOTHING)]
    {
        add("groups of usage", allowed, usage::groups_sql(of, Bound::Excluded("k"), 101).unwrap());
    }
    for of in [&keyspaces, &keys(None), &subjects] {
        let wanted = Wanted { of, groups: &["k".to_owned()], from: Hour(0), until: Hour(24), span: Span::Day };
        add("usage", SORTS, usage::sums_sql(&wanted, 909).unwrap());
    }
    statements
}

async fn plan(conn: &mut SqliteConnection, sql: &str) -> Vec<String> {
    let rows = sqlx::raw_sql(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"))).fetch_all(conn).await.unwrap();
    rows.iter().map(|row| row.get("detail")).collect()
}

/// What is wrong with a plan: a table that is read whole, an index that is made for the statement, rows that are put in
/// order.
fn fault(plan: &[String], allowed: &[&str]) -> Option<String> {
    // SQLite calls a table by its alias, and a part of the statement likewise, which is announced.
    let parts = |name: &str| {
        let mut heads = vec![format!("CO-ROUTINE {name}"), format!("MATERIALIZE {name}")];
        if name == "k" {
            heads.push("MATERIALIZE matches".to_owned());
        }
        plan.iter().filter(|line| heads.contains(line)).count()
    };
    let is_fault = |line: &String| match line.strip_prefix("SCAN ") {
        Some(scanned) => {
            let name = scanned.split(' ').next().unwrap_or_default();
            let scans = plan.iter().filter(|line| line.starts_with(&format!("SCAN {name}"))).count();
            !scanned.contains("VIRTUAL TABLE") && scanned != "CONSTANT ROW" && scans > parts(name)
        }
        None => line.contains("AUTOMATIC") || line.contains("TEMP B-TREE"),
    };
    plan.iter().find(|line| is_fault(line) && !allowed.contains(&line.as_str())).cloned()
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// All keys of `default` that are active.
fn every_key() -> KeyQuery {
    KeyQuery {
        keyspace: DEFAULT.into(),
        subject: None,
        name_contains: None,
        active_at: Some(at(i64::MAX)),
        metadata: BTreeMap::new(),
        created_by: None,
        unused_since: None,
        after: None,
        skip: 0,
        limit: 50,
        weight_max: usize::MAX,
        exact_total: false,
    }
}
