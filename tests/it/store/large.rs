//! Lists of keyspaces with many keys: what they find, and that they read few rows for it.

use portcullis::key::record::ApiKey;
use portcullis::store::{KeyPage, KeyQuery};
use sqlx::{Connection as _, PgConnection};

use super::rig::{Rig, every_key, labels};
use crate::support::backend::Backend;

/// Keys of `default`; those of `acme` are as many again, and all of them have the name that is rare in `default`.
const KEYS: u64 = 60_000;

/// What changes the query of a list.
type Edit<'e> = &'e dyn Fn(&mut KeyQuery);

pub async fn lists_of_a_large_keyspace_read_few_rows(rig: Rig) {
    rig.create_keyspace(|_| ()).await;
    fill(&rig).await;
    let list = async |edit: Edit<'_>| {
        let mut query = every_key();
        query.limit = 50;
        edit(&mut query);
        rig.store.list_keys(&query).await.expect("an answer").page
    };
    let numbers = |page: &KeyPage| page.keys.iter().map(number).collect::<Vec<_>>();
    let newest: Vec<_> = (0..50).map(|n| KEYS - n).collect();
    let total = |page: &KeyPage| (page.total, page.total_is_lower_bound);

    let page = list(&|_| ()).await;
    assert_eq!((numbers(&page), total(&page)), (newest.clone(), (10_000, true)));
    assert!(page.next.is_some());
    let page = list(&|query| query.skip = 10_000).await;
    assert_eq!(numbers(&page)[0], KEYS - 10_000);
    let page = list(&|query| query.exact_total = true).await;
    assert_eq!((numbers(&page), total(&page)), (newest, (KEYS, false)));
    // Of one subject all are counted.
    let page = list(&|query| query.subject = Some("user_1".into())).await;
    assert_eq!((page.keys.len(), total(&page)), (50, (KEYS / 5, false)));

    let named = |text: &str| {
        let text = text.to_owned();
        move |query: &mut KeyQuery| query.name_contains = Some(text.clone())
    };
    // Rare, and old: an index leads to it, past those of the other keyspace.
    let page = list(&named("zeta")).await;
    assert_eq!((numbers(&page), total(&page), page.next.is_none()), (vec![3, 2, 1], (3, false), true));
    let page = list(&|query| {
        named("zeta")(query);
        query.skip = 1;
        query.limit = 1;
    })
    .await;
    assert_eq!((numbers(&page), total(&page), page.next.is_some()), (vec![2], (3, false), true));
    let next = list(&|query| {
        named("zeta")(query);
        query.after.clone_from(&page.next);
    })
    .await;
    assert_eq!((numbers(&next), total(&next), next.next.is_none()), (vec![1], (3, false), true));
    assert_eq!(total(&list(&named("nothing like it")).await), (0, false));
    assert_eq!(total(&list(&named("zeta\0")).await), (0, false));
    // Neither rare nor common, and exact; not exact beyond 10,000; common.
    let page = list(&named("alpha")).await;
    assert_eq!((numbers(&page)[..3].to_vec(), total(&page)), (vec![60_000, 59_990, 59_980], (KEYS / 10, false)));
    let page = list(&named("gamma")).await;
    assert_eq!((numbers(&page)[..2].to_vec(), total(&page)), (vec![60_000, 59_996], (10_000, true)));
    let page = list(&named("beta")).await;
    assert_eq!((numbers(&page)[..2].to_vec(), total(&page)), (vec![60_000, 59_998], (10_000, true)));
    let page = list(&|query| {
        named("alpha")(query);
        query.exact_total = true;
    })
    .await;
    assert_eq!(total(&page), (KEYS / 10, false));
    // By labels.
    let page = list(&|query| query.metadata = labels(&[("team", "core"), ("stage", "prod")])).await;
    assert_eq!((numbers(&page)[..2].to_vec(), total(&page)), (vec![60_000, 59_980], (KEYS / 20, false)));

    // Texts that are too short for an index, and what has none: so many keys a page, and then the next one.
    for edit in [&named("q7") as Edit<'_>, &|query| query.created_by = Some("first".into())] {
        let page = list(edit).await;
        assert_eq!((numbers(&page), total(&page)), (vec![], (0, true)));
        let next = list(&|query| {
            edit(query);
            query.after.clone_from(&page.next);
        })
        .await;
        assert_eq!((numbers(&next), next.next.is_none()), (vec![2, 1], true));
    }
    if rig.fixture.backend == Backend::Postgres {
        rig.store.close().await;
        check_reads(&rig.fixture.url).await;
    }
}

fn number(key: &ApiKey) -> u64 {
    key.id.as_str().rsplit('_').next().expect("a number").parse().expect("a number")
}

/// Writes the keys, as statements of their own would in a long time.
async fn fill(rig: &Rig) {
    let keys = |keyspace: &str, name: &str| {
        format!(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {KEYS}),
                 named (n, name) AS (SELECT n, {name} FROM numbers)
             INSERT INTO api_key (id, keyspace, name, name_folded, description, subject, scopes, claims, metadata, enabled,
                 created_by, create_time_us, update_time_us, revision)
             SELECT 'key_{keyspace}_' || substr('00000000', 1, 8 - length(CAST(n AS text))) || n, '{keyspace}', name, name,
                 '', 'user_' || (n % 5), '[]', '{{}}',
                 CASE WHEN n % 20 = 0 THEN '{{\"team\": \"core\", \"stage\": \"prod\"}}' ELSE '{{}}' END{jsonb}, TRUE,
                 CASE WHEN n <= 2 THEN 'first' ELSE '' END, n / 2, n / 2, 1 FROM named;",
            jsonb = if rig.fixture.backend == Backend::Postgres { "::jsonb" } else { "" }
        )
    };
    let name =
        "'key ' || n || CASE WHEN n % 10 = 0 THEN ' alpha' ELSE '' END || CASE WHEN n % 4 = 0 THEN ' gamma' ELSE ''
                END || CASE WHEN n % 2 = 0 THEN ' beta' ELSE '' END || CASE WHEN n <= 2 THEN ' q7' ELSE '' END
                || CASE WHEN n <= 3 THEN ' zeta' ELSE '' END";
    let (default, acme) = (keys("default", name), keys("acme", "'zeta ' || n"));
    rig.fixture
        .execute(&match rig.fixture.backend {
            // All at once, as the migration does it.
            Backend::Sqlite => format!(
                "PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; BEGIN;
                 DROP TRIGGER api_key_name_new; {default} {acme}
                 UPDATE api_key SET name_row = (SELECT name_block << 40 FROM keyspace s WHERE s.id = keyspace)
                     + CAST(substr(id, -8) AS INTEGER);
                 INSERT INTO api_key_name (api_key_name) VALUES ('rebuild');
                 INSERT INTO api_key_metadata SELECT l.key, l.value, k.id FROM api_key k, json_each(k.metadata) l;
                 COMMIT"
            ),
            Backend::Postgres => format!("{default} {acme}"),
        })
        .await;
    if rig.fixture.backend == Backend::Postgres {
        // What is not on the disk yet, as this server has it, is not visible to all for certain.
        rig.fixture.execute("CHECKPOINT").await;
        rig.fixture.execute("VACUUM ANALYZE api_key").await;
        rig.fixture.execute("SELECT pg_stat_reset()").await;
    }
}

/// Checks how many rows all these lists read: of the indexes in order some 50,000 each at the most, of the rows themselves
/// few, and never the table.
async fn check_reads(url: &str) {
    let mut conn = PgConnection::connect(url).await.expect("a server");
    let reads = "SELECT seq_scan, idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'api_key'";
    let (scans, fetched): (i64, i64) = sqlx::query_as(reads).fetch_one(&mut conn).await.expect("statistics");
    assert_eq!(scans, 0, "the table was never read whole");
    // Those of created_by must be looked at, 50,000 a page; the others are a few thousand.
    assert!((1_000..250_000).contains(&fetched), "{fetched} rows");
    conn.close().await.expect("a quiet end");
}
