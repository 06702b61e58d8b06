//! Replicas, those who revoke, those who verify, and a store with faults, all simulated from a seed.
//!
//! It is the service's own code that runs: `fleet`, `verify` and `manage`, three to five times, over one simulated
//! database. turmoil gives each of them a host with a runtime and a clock of its own, and kills and restarts it. What
//! is simulated beyond that:
//!
//! - processes that stop between any two of their steps, for milliseconds or for longer than anybody waits for them, and
//!   all of whose tasks go on at once ([`process`]); clocks that go up to 4 % too fast or too slow ([`clock`]);
//!   verifications that are held up half-way, while the other tasks of their process go on ([`work`]);
//! - calls to the store that are slow, are refused, happen without an answer, or happen long after they were given up
//!   ([`wire`]); processes that cannot reach it; hints that are lost, late, or come twice ([`store`]);
//! - a database that shows its log in small parts, clears it away, restarts and loses acknowledgements, or fails over and
//!   loses all that nobody was told of: then other entries get the same numbers ([`database`], [`trouble`]);
//! - keys that are made, revoked, deleted, switched off, narrowed and rotated, by several at once and again by others
//!   until somebody is told that it is done ([`work`]).
//!
//! The promise is checked with every answer ([`history`]): nothing is accepted in a verification that began after it was
//! confirmed that it is taken; what was handed out is known; and when nothing goes wrong any more, everything works.
//!
//! Nothing but the seed decides what happens: one thread, no real time, no order that a random id has a part in. To see
//! what a seed does, in words: `SEED=1234 make simulate`.

pub mod clock;
pub mod database;
pub mod history;
pub mod hosts;
pub mod process;
pub mod replica;
pub mod store;
pub mod trouble;
pub mod wire;
pub mod work;
pub mod world;

use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::Timestamp;
use portcullis::key::id::{IdSource, KeyspaceUid};
use portcullis::key::keyspace::{DEFAULT, Keyspace, KeyspaceLimits};
use portcullis::key::record::{ApiKey, NewSecret};
use portcullis::key::token::{self, Prefix, Token};
use portcullis::key::verifier::{HashPolicy, Verifier, sha256};
use portcullis::seeded::{self, Fault};
use portcullis::store::NewKey;
use rand::RngExt as _;

use crate::database::Database;
use crate::history::LOST_SCOPE;
use crate::process::Process;
use crate::trouble::{ALL, OVER, Trouble};
use crate::world::{Odds, WAIT, World};

/// How many keys there are from the beginning.
const KEYS: usize = 160;
/// How long after the last trouble everything must work as ever: what crashed is on the list until then.
const RECOVERED_AFTER: u64 = 3 * WAIT;
/// How long that may take then.
const SERVED_WITHIN: u64 = 160;

/// What became of a seed.
#[derive(Debug, Default)]
pub struct Report {
    /// What must not be; empty: all is well.
    pub wrong: Vec<String>,
    /// How many changes were confirmed.
    pub confirmed: u64,
    /// How many verifications were answered.
    pub verified: u64,
    /// How many of them with VALID.
    pub valid: u64,
    /// How many were not answered.
    pub unanswered: u64,
    /// A digest of all that happened.
    pub trace: u64,
    /// All that happened, if that was asked for.
    pub words: Vec<String>,
}

/// Runs a seed, with a fault in the service if one is given.
pub fn run(seed: u64, fault: Option<Fault>, in_words: bool) -> Report {
    seeded::seed(fault);
    let mut plan = Plan::default();
    let world = World::new(seed, |chance| {
        let processes = (0..chance.random_range(3..=5)).map(|number| {
            let pace = f64::from(chance.random_range(960..=1040)) / 1_000.0;
            Process::new(format!("process-{number}"), pace, Duration::from_millis(chance.random_range(1..1_000_000)))
        });
        let processes = processes.collect();
        let shown = [1_000, 1_000, 3, 2, 1][chance.random_range(0..5)];
        let mut odds = || [0.0, 0.0, 0.01, 0.05, 0.2][chance.random_range(0..5)];
        let odds = Odds {
            refused: odds(),
            answer_lost: odds(),
            late: odds() / 4.0,
            slow: odds(),
            hint_lost: odds() * 4.0,
            hint_again: odds() * 2.0,
        };
        plan.kinds = ALL.into_iter().filter(|_| chance.random_bool(0.4)).collect();
        plan.apart = chance.random_range(100..WAIT);
        plan.losses = [0.005, 0.02, 0.05][chance.random_range(0..3)];
        (processes, Database::new(keyspace(), shown), odds)
    });
    if in_words {
        world.history().words = Some(vec![format!("{plan:?} {:?}", world.odds())]);
    }
    if plan.kinds.iter().any(|kind| matches!(kind, Trouble::Failover | Trouble::Fork)) {
        world.database().expect_failovers();
    }
    stock(&world);
    {
        let mut work = world.work();
        work.verifications = 0.1;
        work.creations = 0.005;
        work.held_up = 0.001;
    }
    hosts::start(&world, seed);
    let losses = plan.losses;
    world.after(WAIT / 3, move |world| {
        world.work().losses = losses;
        trouble::begin(world, plan.kinds, plan.apart);
    });
    world.after(OVER, |world| {
        trouble::calm(world);
        let mut work = world.work();
        work.losses = 0.01;
        work.held_up = 0.0;
    });
    until(&world, OVER + RECOVERED_AFTER);
    let unanswered = world.history().unanswered;
    if world.history().wrong.is_empty() {
        world.work().losses = 0.0;
        work::demand_service(&world);
        // From now on, not from when it was due: a verification that was held up may have taken longer than that.
        until(&world, world.now() + SERVED_WITHIN);
        work::check_service(&world, unanswered);
    }
    hosts::end();
    seeded::seed(None);
    let mut history = world.history();
    Report {
        wrong: std::mem::take(&mut history.wrong),
        confirmed: history.confirmed,
        verified: history.verified.0,
        valid: history.verified.1,
        unanswered: history.unanswered,
        trace: history.trace(),
        words: history.words.take().unwrap_or_default(),
    }
}

/// How things go wrong in a seed.
#[derive(Debug, Default)]
struct Plan {
    kinds: Vec<Trouble>,
    apart: u64,
    losses: f64,
}

/// A step of the simulation.
pub fn step(world: &Arc<World>) {
    world.pass();
    work::work(world);
    hosts::step();
}

fn until(world: &Arc<World>, end: u64) {
    while world.now() < end && world.history().wrong.is_empty() {
        step(world);
    }
}

fn prefix() -> Prefix {
    "sim".parse().expect("a prefix")
}

fn keyspace() -> Keyspace {
    let at = Timestamp::from_micros(1_700_000_000_000_000);
    Keyspace {
        id: DEFAULT.to_owned(),
        uid: KeyspaceUid::from_stored(1),
        display_name: String::new(),
        key_prefix: prefix(),
        allowed_subject_types: Vec::new(),
        default_ttl: None,
        max_ttl: None,
        allow_wildcard_scopes: false,
        hash_policy: HashPolicy::Sha256,
        default_rate_limits: Vec::new(),
        limits: KeyspaceLimits::default(),
        create_time: at,
        update_time: at,
        revision: 1,
    }
}

/// Makes the keys that are there from the beginning.
fn stock(world: &World) {
    let (ids, at) = (IdSource::default(), Timestamp::from_micros(1_700_000_000_000_000));
    for _ in 0..KEYS {
        let (public_prefix, secret) = token::generate(&prefix()).expect("random bytes");
        let verifier = Verifier::Sha256(sha256(Token::parse(secret.expose()).expect("a key").secret));
        let mut key = ApiKey::issued(ids.key(at), DEFAULT, "stocked", "user_1", public_prefix.clone(), at);
        key.scopes = vec![LOST_SCOPE.to_owned()];
        let id = key.id.clone();
        let stored = NewSecret { public_prefix, verifier, has_mac: false };
        let new = NewKey { key, secret: stored, request_id: None, keyspace_uid: None };
        world.database().create_key(&new).expect("a keyspace");
        world.history().made(id, secret.expose().to_owned());
    }
}
