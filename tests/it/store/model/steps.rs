//! Which operations a sequence is made of.
//!
//! There are few names, labels, times and keys to choose from, so that operations meet.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis::key::field::folded;
use portcullis::key::keyspace::KeyspacePatch;
use portcullis::key::record::{ApiKey, Json, Patch, RevocationReason};
use portcullis::store::KeyQuery;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

use super::super::rig::{at, every_key, new_key};

/// How many keyspaces a sequence has.
pub const KEYSPACES: usize = 2;

#[derive(Clone, Debug)]
pub struct Step {
    /// How much time passed before it. Clocks step back, too.
    pub passed_us: i64,
    pub operation: Operation,
}

/// One of the things there were so far.
#[derive(Clone, Copy, Debug)]
pub struct Pick(Index);

impl Pick {
    pub fn of(self, count: usize) -> usize {
        self.0.index(count)
    }
}

#[derive(Clone, Copy, Debug)]
pub enum RevisionGiven {
    None,
    Present,
    Stale,
}

#[derive(Clone, Debug)]
pub enum Operation {
    CreateKeyspace { which: usize, allow_wildcard_scopes: bool },
    UpdateKeyspace { which: usize, patch: KeyspacePatch, revision: RevisionGiven },
    DeleteKeyspace { which: usize },
    ReadKeyspace { which: usize },
    Create { which: usize, like: Box<ApiKey>, expires_after_us: Option<i64>, request_id: Option<u8> },
    Read { pick: Pick },
    Update { pick: Pick, patch: Patch, revision: RevisionGiven },
    Rotate { pick: Pick, overlap: Duration },
    Revoke { pick: Pick, reason: RevocationReason, comment: String },
    Delete { pick: Pick },
    RecordUses { uses: Vec<(Pick, i64)> },
    FindSecret { pick: Pick },
    List { which: usize, like: KeyQuery, active: bool, unused_since_ago_us: Option<i64>, after: Option<Pick> },
    ListEvents { which: Option<usize>, pick: Option<Pick>, limit: usize },
}

const HOUR_US: i64 = 3600 * 1_000_000;

/// A keyspace, and then anything.
pub fn sequences() -> impl Strategy<Value = Vec<Step>> {
    let first = Step { passed_us: 0, operation: Operation::CreateKeyspace { which: 0, allow_wildcard_scopes: false } };
    vec(steps(), 1..40).prop_map(move |mut steps| {
        steps.insert(0, first.clone());
        steps
    })
}

fn steps() -> impl Strategy<Value = Step> {
    // No sum of these is a whole day: what holds in the very microsecond in which a request_id is a day old is open.
    let passed = prop_oneof![4 => Just(0), 4 => Just(1), 1 => Just(-2), 1 => Just(11 * HOUR_US)];
    (passed, operations()).prop_map(|(passed_us, operation)| Step { passed_us, operation })
}

fn operations() -> impl Strategy<Value = Operation> {
    let which = || 0..KEYSPACES;
    let ago = || select(&[-1_i64, 0, 1, 2, 11 * HOUR_US][..]);
    prop_oneof![
        1 => (which(), any::<bool>())
            .prop_map(|(which, allow_wildcard_scopes)| Operation::CreateKeyspace { which, allow_wildcard_scopes }),
        1 => (which(), keyspace_patches(), revisions())
            .prop_map(|(which, patch, revision)| Operation::UpdateKeyspace { which, patch, revision }),
        1 => which().prop_map(|which| Operation::DeleteKeyspace { which }),
        1 => which().prop_map(|which| Operation::ReadKeyspace { which }),
        12 => (select(&[0, 0, 0, 1][..]), keys(), option::of(select(&[1, 2, 12 * HOUR_US][..])), option::of(0..2_u8))
            .prop_map(|(which, like, expires_after_us, request_id)| {
                Operation::Create { which, like: Box::new(like), expires_after_us, request_id }
            }),
        2 => picks().prop_map(|pick| Operation::Read { pick }),
        6 => (picks(), patches(), revisions())
            .prop_map(|(pick, patch, revision)| Operation::Update { pick, patch, revision }),
        6 => (picks(), select(&[0, 1, 3, 12 * 3_600_000_000][..]))
            .prop_map(|(pick, overlap_us)| Operation::Rotate { pick, overlap: Duration::from_micros(overlap_us) }),
        3 => (picks(), 0..6, texts()).prop_map(|(pick, number, comment)| {
            let reason = RevocationReason::from_number(number).expect("there are six");
            Operation::Revoke { pick, reason, comment }
        }),
        2 => picks().prop_map(|pick| Operation::Delete { pick }),
        3 => vec((picks(), ago()), 0..4).prop_map(|uses| Operation::RecordUses { uses }),
        3 => picks().prop_map(|pick| Operation::FindSecret { pick }),
        6 => (which(), queries(), any::<bool>(), option::of(ago()), option::of(picks())).prop_map(
            |(which, like, active, unused_since_ago_us, after)| {
                Operation::List { which, like, active, unused_since_ago_us, after }
            }
        ),
        2 => (option::of(which()), option::of(picks()), 1..20_usize)
            .prop_map(|(which, pick, limit)| Operation::ListEvents { which, pick, limit }),
    ]
}

fn picks() -> impl Strategy<Value = Pick> {
    any::<Index>().prop_map(Pick)
}

fn revisions() -> impl Strategy<Value = RevisionGiven> {
    select(&[RevisionGiven::None, RevisionGiven::Present, RevisionGiven::Stale][..])
}

fn keys() -> impl Strategy<Value = ApiKey> {
    (names(), texts(), subjects(), scopes(), claims(), labels(), any::<bool>(), authors()).prop_map(
        |(name, description, subject, scopes, claims, metadata, enabled, created_by)| ApiKey {
            name,
            description,
            subject,
            scopes,
            claims,
            metadata,
            enabled,
            created_by,
            ..new_key(|_| ()).key
        },
    )
}

fn patches() -> impl Strategy<Value = Patch> {
    let expiries = option::of(option::of(select(&[0, 1, 40_000][..]).prop_map(at)));
    (
        option::of(names()),
        option::of(texts()),
        option::of(scopes()),
        option::of(claims()),
        option::of(labels()),
        expiries,
        option::of(any::<bool>()),
    )
        .prop_map(|(name, description, scopes, claims, metadata, expire_time, enabled)| Patch {
            name,
            description,
            scopes,
            claims,
            metadata,
            expire_time,
            enabled,
            ..Patch::default()
        })
}

fn keyspace_patches() -> impl Strategy<Value = KeyspacePatch> {
    let ttls = option::of(select(&[60_u64, 3600][..]).prop_map(Duration::from_secs));
    (option::of(names()), option::of(any::<bool>()), option::of(ttls)).prop_map(
        |(display_name, allow_wildcard_scopes, max_ttl)| KeyspacePatch {
            display_name,
            allow_wildcard_scopes,
            max_ttl,
            ..KeyspacePatch::default()
        },
    )
}

fn queries() -> impl Strategy<Value = KeyQuery> {
    let parts = select(&["", "A", "a_", "%", "ss", "ß", "BETA", "\u{1f469}"][..]).prop_map(folded);
    (option::of(parts), option::of(subjects()), labels(), option::of(authors()), 0..3_usize, 0..6_usize).prop_map(
        |(name_contains, subject, metadata, created_by, skip, limit)| KeyQuery {
            name_contains,
            subject,
            metadata,
            created_by,
            skip,
            limit,
            ..every_key()
        },
    )
}

fn names() -> impl Strategy<Value = String> {
    let some =
        select(&["a_b", "axb", "Alpha Beta", "BETA", "50%", "Straße", "STRASSE", "👩‍👧"][..]).prop_map(String::from);
    prop_oneof![4 => some, 1 => "\\PC{1,12}"]
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), Just("text".into()), "[\\PC\\n\\t]{0,20}"]
}

fn subjects() -> impl Strategy<Value = String> {
    select(&["user_1", "user_2", "USER_1"][..]).prop_map(String::from)
}

fn authors() -> impl Strategy<Value = String> {
    select(&["", "ann", "Ann"][..]).prop_map(String::from)
}

fn scopes() -> impl Strategy<Value = Vec<String>> {
    select(&["", "a", "b a", "orders:* a"][..])
        .prop_map(|scopes: &str| scopes.split_whitespace().map(String::from).collect())
}

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    let of = |texts: &'static [&'static str]| select(texts).prop_map(String::from);
    btree_map(of(&["a", "b", "%"]), of(&["1", "2", ""]), 0..3)
}

fn claims() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((any::<String>(), inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    });
    vec(("[ab\\x00]{0,3}", value), 0..3).prop_map(|pairs| pairs.into_iter().collect())
}
