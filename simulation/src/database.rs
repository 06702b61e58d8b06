//! The database: keys, the log of changes and the list of replicas, with what a crash or a failover may lose.
//!
//! Its rules are those of the PostgreSQL store: what is logged is what its triggers log, and in their order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::Timestamp;
use portcullis::key::credits::Credits;
use portcullis::key::id::KeyId;
use portcullis::key::keyspace::Keyspace;
use portcullis::key::record::{ApiKey, NewSecret, Patch, Revocation};
use portcullis::key::verifier::Verifier;
use portcullis::store::log::{Change, Incarnation, Poll, Position, Replica, Roll};
use portcullis::store::spending::{CreditsAsked, CreditsGranted, CreditsReturned, RateLevel, RateSpent, SHARE_MAX};
use portcullis::store::{Actor, Found, NewKey, Refusal};

/// What is on disk, or will be.
#[derive(Clone, Default)]
struct Tables {
    keys: BTreeMap<KeyId, Arc<ApiKey>>,
    /// By lookup.
    secrets: BTreeMap<String, (KeyId, Verifier)>,
    /// By key and name of the limit.
    rates: Rates,
    log: VecDeque<(Position, Change)>,
    /// In the order in which they registered.
    replicas: Vec<Replica>,
}

/// One primary, and what its standbys are sure to have.
pub struct Database {
    tables: Arc<Tables>,
    keyspace: Keyspace,
    /// Most entries of the log that one look shows.
    shown: usize,
    nonce: i64,
    /// How many writes there were.
    writes: u64,
    /// The tables as they were after some writes, from the first that could be lost on. Kept while failovers are to come.
    before: Option<VecDeque<(u64, Arc<Tables>)>>,
    /// Which primary, and which of its lives: connections do not outlive it.
    pub epoch: u64,
    /// It does not answer.
    pub is_away: bool,
    /// It waits for its standbys: what it writes can be read, and nobody is told that it is written.
    pub is_waiting: bool,
}

/// A change of a key.
#[derive(Clone, Debug)]
pub enum KeyChange {
    /// See `Store::update_key`.
    Update(Patch, Option<i64>),
    /// See `Store::rotate_key`.
    Rotate(NewSecret, Duration),
    /// See `Store::revoke_key`.
    Revoke(Revocation),
    /// See `Store::delete_key`.
    Delete,
}

type Rates = BTreeMap<(KeyId, String), RateLevel>;

/// Adds what was spent of one limit.
fn settle(rates: &mut Rates, spent: &RateSpent, now: Timestamp) -> RateLevel {
    let (key_id, name) = (spent.key_id.clone(), spent.limit.name.clone());
    let new = RateLevel { key_id, name, level: 0.0, at: now, now: None, spent: 0, asked: 0 };
    let level = rates.entry((new.key_id.clone(), new.name.clone())).or_insert(new);
    let passed = u64::try_from(now.as_micros().saturating_sub(level.at.as_micros())).unwrap_or(0);
    let passed = Duration::from_micros(passed).min(spent.idle_max.unwrap_or(Duration::MAX));
    let back = passed.as_secs_f64() * f64::from(spent.limit.limit) / spent.limit.window.as_secs_f64();
    let count = |many| i64::try_from(many).unwrap_or(i64::MAX);
    #[expect(clippy::cast_precision_loss, reason = "nobody spends as much as that")]
    let more = spent.spent as f64;
    level.level = (level.level - back).max(0.0) + more;
    level.at = now;
    level.spent = level.spent.saturating_add(count(spent.spent));
    level.asked = level.asked.saturating_add(count(spent.asked));
    level.clone()
}

impl Database {
    /// An empty one, that shows so many entries of its log at a time.
    pub fn new(keyspace: Keyspace, shown: usize) -> Self {
        let mut tables = Tables::default();
        tables.log.push_back((Position { seq: 0, nonce: 0 }, Change::All));
        Self {
            tables: Arc::new(tables),
            keyspace,
            shown,
            nonce: 0,
            writes: 0,
            before: None,
            epoch: 0,
            is_away: false,
            is_waiting: false,
        }
    }

    /// How many writes there were: what is read now rests on those.
    pub fn writes(&self) -> u64 {
        self.writes
    }

    /// From now on, failovers may come.
    pub fn expect_failovers(&mut self) {
        self.before.get_or_insert_default();
    }

    /// What rests on the first so many writes was answered: from now on no failover loses them.
    pub fn keep(&mut self, writes: u64) {
        if let Some(before) = &mut self.before {
            while before.front().is_some_and(|(number, _)| *number < writes) {
                before.pop_front();
            }
        }
    }

    fn write(&mut self) -> &mut Tables {
        if let Some(before) = &mut self.before {
            before.push_back((self.writes, self.tables.clone()));
        }
        self.writes += 1;
        Arc::make_mut(&mut self.tables)
    }

    /// How many writes a failover could lose.
    pub fn losable(&self) -> usize {
        self.before.as_ref().map_or(0, VecDeque::len)
    }

    /// The primary is lost, with its connections and the last `lost` of those writes that a failover can lose.
    pub fn fail_over(&mut self, lost: usize) {
        self.epoch += 1;
        self.is_waiting = false;
        if let Some(before) = &mut self.before {
            let kept = before.len().saturating_sub(lost);
            if let Some((_, tables)) = before.get(kept) {
                self.tables = tables.clone();
            }
            before.clear();
        }
        self.writes += 1;
    }

    /// The primary starts again. What was acknowledged last may be lost, `lost` tells of which.
    pub fn crash(&mut self, mut lost: impl FnMut() -> i64) {
        self.epoch += 1;
        for replica in &mut Arc::make_mut(&mut self.tables).replicas {
            replica.acked = (replica.acked - lost()).max(0);
        }
        if let Some(before) = &mut self.before {
            before.clear();
        }
    }

    fn append(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.nonce += 1;
            let nonce = self.nonce;
            let log = &mut Arc::make_mut(&mut self.tables).log;
            let seq = log.back().map_or(0, |(last, _)| last.seq) + 1;
            log.push_back((Position { seq, nonce }, change));
        }
    }

    fn head(&self) -> Position {
        self.tables.log.back().expect("the last entry stays").0
    }

    /// The keyspace of all keys.
    pub fn keyspace(&self, id: &str) -> Option<Keyspace> {
        (id == self.keyspace.id).then(|| self.keyspace.clone())
    }

    /// See `Store::key`.
    pub fn key(&self, id: &KeyId) -> Option<ApiKey> {
        self.tables.keys.get(id).map(|key| ApiKey::clone(key))
    }

    /// See `Store::find_secret`.
    pub fn find_secret(&self, lookup: &str) -> Option<Found> {
        let (id, verifier) = self.tables.secrets.get(lookup)?;
        let key = self.key(id)?;
        let info = key.secrets.iter().find(|info| info.public_prefix.as_str() == lookup)?;
        let secret_expire_time = info.expire_time;
        let of_key = |level: &&RateLevel| level.key_id == key.id;
        let rates = self.tables.rates.values().filter(of_key).cloned().collect();
        let default_rate_limits = self.keyspace.default_rate_limits.clone();
        let verifier = verifier.clone();
        Some(Found {
            verifier,
            secret_expire_time,
            key,
            wildcards: false,
            default_rate_limits,
            rates,
            keyspace_revision: 1,
            keyspace_uid: self.keyspace.uid,
        })
    }

    /// See `Store::take_credits`.
    pub fn take_credits(&mut self, asked: &[CreditsAsked], now: Timestamp) -> Vec<CreditsGranted> {
        let mut granted = Vec::new();
        for asked in asked {
            let Some(credits) = self.credits(&asked.key_id, asked.epoch) else { continue };
            if let Some(refill) = asked.refill
                && credits.refill_time.is_some_and(|at| at <= now)
            {
                credits.remaining = credits.remaining.max(refill.amount);
                credits.refill_time = Some(refill.interval.next(now));
            }
            let there = credits.remaining;
            let grant = asked.want.min(there / SHARE_MAX).max(asked.need).min(there);
            credits.remaining -= grant;
            granted.push(CreditsGranted {
                key_id: asked.key_id.clone(),
                granted: grant,
                remaining: credits.remaining,
                refill_time: credits.refill_time,
            });
        }
        granted
    }

    /// See `Store::return_credits`.
    pub fn return_credits(&mut self, returned: &[CreditsReturned]) {
        for returned in returned {
            if let Some(credits) = self.credits(&returned.key_id, returned.epoch) {
                credits.remaining += returned.amount;
            }
        }
    }

    /// The credits of a key as of this epoch, to be changed. What is spent is no change of the key.
    fn credits(&mut self, id: &KeyId, epoch: i64) -> Option<&mut Credits> {
        let of_epoch = |key: &Arc<ApiKey>| key.credits.as_ref().is_some_and(|credits| credits.epoch == epoch);
        self.tables.keys.get(id).filter(|key| of_epoch(key))?;
        Arc::make_mut(self.write().keys.get_mut(id)?).credits.as_mut()
    }

    /// See `Store::settle_rates`.
    pub fn settle_rates(&mut self, spent: &[RateSpent], now: Timestamp) -> Vec<RateLevel> {
        let there: Vec<_> = spent.iter().filter(|spent| self.tables.keys.contains_key(&spent.key_id)).collect();
        if there.is_empty() {
            return Vec::new();
        }
        let rates = &mut self.write().rates;
        there.into_iter().map(|spent| settle(rates, spent, now)).collect()
    }

    /// See `Store::create_key`. No entry of the log: nobody has ever asked for its secret.
    pub fn create_key(&mut self, new: &NewKey) -> Result<(), Refusal> {
        if new.key.keyspace != self.keyspace.id {
            return Err(Refusal::KeyspaceNotFound);
        }
        let tables = self.write();
        let lookup = new.secret.public_prefix.as_str().to_owned();
        tables.secrets.insert(lookup, (new.key.id.clone(), new.secret.verifier.clone()));
        tables.keys.insert(new.key.id.clone(), Arc::new(new.key.clone()));
        Ok(())
    }

    /// Changes a key.
    pub fn change_key(&mut self, id: &KeyId, change: &KeyChange, by: &Actor) -> Result<ApiKey, Refusal> {
        let mut key = self.key(id).ok_or(Refusal::KeyNotFound)?;
        let lookups =
            |key: &ApiKey| key.secrets.iter().map(|info| info.public_prefix.as_str().to_owned()).collect::<Vec<_>>();
        let before = lookups(&key);
        let mut logged = Vec::new();
        match change {
            KeyChange::Update(patch, revision) => {
                if revision.is_some_and(|revision| revision != key.revision) {
                    return Err(Refusal::EtagMismatch);
                }
                if key.update(patch, by.at).map_err(Refusal::CreditsNotAdded)?.is_empty() {
                    return Ok(key);
                }
                logged.extend(before);
            }
            KeyChange::Rotate(newest, overlap) => {
                let ends_overlap = by.overrides.end_overlap;
                key.rotate(newest.public_prefix.clone(), *overlap, ends_overlap, by.at).map_err(Refusal::from)?;
                let tables = self.write();
                for lookup in &before {
                    if !lookups(&key).contains(lookup) {
                        tables.secrets.remove(lookup);
                    }
                }
                let lookup = newest.public_prefix.as_str().to_owned();
                tables.secrets.insert(lookup, (id.clone(), newest.verifier.clone()));
                tables.keys.insert(id.clone(), Arc::new(key.clone()));
                self.append(before.into_iter().map(Change::Secret).collect());
                return Ok(key);
            }
            KeyChange::Revoke(revocation) => {
                if key.revoke(revocation).is_empty() {
                    return Ok(key);
                }
                logged.extend(before);
            }
            KeyChange::Delete => {
                let tables = self.write();
                tables.keys.remove(id);
                tables.rates.retain(|(of, _), _| of != id);
                for lookup in &before {
                    tables.secrets.remove(lookup);
                }
                self.append(before.into_iter().map(Change::Secret).collect());
                return Ok(key);
            }
        }
        self.write().keys.insert(id.clone(), Arc::new(key.clone()));
        self.append(logged.into_iter().map(Change::Secret).collect());
        Ok(key)
    }

    /// See `ChangeLog::register`.
    pub fn register(&mut self, incarnation: Incarnation, name: &str, lease: Duration) {
        if !self.tables.replicas.iter().any(|replica| replica.incarnation == incarnation) {
            let name = name.to_owned();
            let new = Replica { incarnation, name, lease, acked: 0, beat: 0, is_dead: false };
            self.write().replicas.push(new);
        }
    }

    /// See `ChangeLog::poll`.
    pub fn poll(&self, by: Incarnation, after: Option<i64>) -> Poll {
        let row = self.tables.replicas.iter().find(|replica| replica.incarnation == by);
        let first = self.tables.log.front().map_or(0, |(first, _)| first.seq);
        let place = |seq: i64| usize::try_from(seq - first).ok();
        let previous = after.and_then(place).and_then(|at| self.tables.log.get(at));
        let next = after.map_or(usize::MAX, |after| place(after + 1).unwrap_or(0)).min(self.tables.log.len());
        let following = self.tables.log.range(next..);
        Poll {
            is_registered: row.is_some_and(|replica| !replica.is_dead),
            acked: row.map_or(0, |replica| replica.acked),
            head: self.head(),
            previous: previous.map(|(at, _)| at.nonce),
            entries: following.take(self.shown).cloned().collect(),
        }
    }

    fn each_of(&mut self, which: &[Incarnation], change: impl Fn(&mut Replica)) {
        let tables = self.write();
        tables.replicas.iter_mut().filter(|replica| which.contains(&replica.incarnation)).for_each(change);
    }

    /// See `ChangeLog::acknowledge`.
    pub fn acknowledge(&mut self, by: &[Incarnation], at: Position) {
        if !self.tables.log.iter().any(|(position, _)| *position == at) {
            return;
        }
        self.each_of(by, |replica| {
            replica.acked = replica.acked.max(at.seq);
            replica.beat += 1;
        });
    }

    /// See `ChangeLog::roll`.
    pub fn roll(&self) -> Roll {
        Roll { head: self.head().seq, replicas: self.tables.replicas.clone() }
    }

    /// See `ChangeLog::mark_dead`.
    pub fn mark_dead(&mut self, replicas: &[Incarnation], seq: i64) {
        self.each_of(replicas, |replica| replica.is_dead |= replica.acked < seq);
    }

    /// See `ChangeLog::remove`.
    pub fn remove(&mut self, dead: &[Incarnation]) {
        self.write().replicas.retain(|replica| !(replica.is_dead && dead.contains(&replica.incarnation)));
    }

    /// See `ChangeLog::leave`.
    pub fn leave(&mut self, incarnation: Incarnation) {
        self.write().replicas.retain(|replica| replica.incarnation != incarnation);
    }

    /// Clears entries of the log away, all but the last few.
    pub fn prune(&mut self, kept: usize) {
        let tables = self.write();
        let old = tables.log.len().saturating_sub(kept.max(1));
        tables.log.drain(..old);
    }
}
