//! What a limited key may still do, in this process: one for each key, whatever its secrets are, so that a rotation changes
//! nothing. Spending takes a lock that nobody holds while waiting for anything.

mod book;
mod bucket;
mod purse;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smallvec::SmallVec;

use crate::clock::Timestamp;
use crate::key::credits::Refill;
use crate::key::id::KeyId;
use crate::key::rate_limit::RateLimit;
use crate::store::spending::RateLevel;
use crate::store::{Found, StoreError};

pub use book::{Book, SWEEP_INTERVAL};
use bucket::Bucket;
use purse::{Purse, Spending};

/// How much a key may do, as the store had it when the key was read.
#[derive(Debug)]
pub struct Terms {
    limits: Box<[RateLimit]>,
    /// What of each limit was spent by then, in uses.
    levels: Box<[(RateLevel, f64)]>,
    credits: Option<CreditTerms>,
    /// When that was, by the clock that nobody sets.
    read_at: u64,
    /// The revisions of the key and its keyspace: which terms are the later ones.
    revision: (i64, i64),
}

#[derive(Debug)]
struct CreditTerms {
    epoch: i64,
    refill: Option<Refill>,
    refill_time: Option<Timestamp>,
}

/// What is left of what a key may do.
#[derive(Debug)]
pub struct Allowance {
    key_id: KeyId,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By which the rest is.
    terms: Option<Arc<Terms>>,
    buckets: SmallVec<[Bucket; 1]>,
    purse: Option<Purse>,
    /// Why the store could not be asked for credits the last time.
    failure: Option<Arc<StoreError>>,
    /// It is among those for which the store is asked for credits, be they of whatever epoch.
    asking: bool,
    /// It is among those that the store will be told of.
    noted: bool,
}

/// What is left once a verification has taken its part, or could not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Of the limit that is nearest to its end.
    pub rate: Option<RateStanding>,
    /// How many credits.
    pub credits: Option<i64>,
}

/// What is left of a rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateStanding {
    /// By when.
    pub at: Timestamp,
    /// Which of the key's limits.
    pub nth: u8,
    /// How many in a window.
    pub limit: u32,
    /// How many now.
    pub remaining: u32,
    /// How long until all that may be used at once is there again.
    pub reset: Duration,
    /// How long until the next is there; nothing if it is.
    pub retry: Duration,
}

/// What came of taking a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was taken.
    Yes(Standing),
    /// A limit is used up; nothing was taken.
    RateLimited(RateStanding),
    /// There are so many credits left, and they are not enough; nothing was taken.
    CreditsExhausted(i64),
    /// Only the store knows whether there are enough credits; nothing was taken.
    Unknown,
    /// The key is to be read again; nothing was taken.
    Void,
}

/// What to do beside, once a part was taken or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Chores {
    /// The store is to be told in a while.
    tell: bool,
    /// It is to be asked for credits.
    ask: bool,
}

impl Terms {
    /// Those of a key that was found at `now`, when so much had `elapsed`; `None`: it may do as much as it likes.
    pub fn of(found: &Found, now: Timestamp, elapsed: Duration) -> Option<Arc<Self>> {
        let own = &found.key.rate_limits;
        let limits = if own.is_empty() { &found.default_rate_limits } else { own };
        let credits = found.key.credits.as_ref().map(|credits| CreditTerms {
            epoch: credits.epoch,
            refill: credits.refill,
            refill_time: credits.refill_time,
        });
        if limits.is_empty() && credits.is_none() {
            return None;
        }
        let levels = found.rates.iter().map(|rate| (rate.clone(), level_at(rate, limits, now)));
        Some(Arc::new(Self {
            limits: limits.clone().into(),
            levels: levels.collect(),
            credits,
            read_at: nanos(elapsed),
            revision: (found.key.revision, found.keyspace_revision),
        }))
    }

    /// The limits.
    pub fn limits(&self) -> &[RateLimit] {
        &self.limits
    }

    /// About how many bytes they take.
    pub fn size(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.limits) + size_of_val(&*self.levels)
    }

    /// Whether these hold rather than `other`. Neither the key's nor its keyspace's changes ever come undone, so that one
    /// of the two revisions can be lower only in what was read earlier.
    fn holds_before(&self, other: &Self) -> bool {
        let (key, keyspace) = self.revision;
        let (other_key, other_keyspace) = other.revision;
        key > other_key || keyspace > other_keyspace || self.revision == other.revision
    }
}

/// How much of a limit is spent and not there again at `now`.
fn level_at(known: &RateLevel, limits: &[RateLimit], now: Timestamp) -> f64 {
    let Some(limit) = limits.iter().find(|limit| limit.name == known.name) else { return 0.0 };
    // None at all passed, if somebody set the clock back.
    let idle = known.now.unwrap_or(now).as_micros().saturating_sub(known.at.as_micros());
    let idle = Duration::from_micros(u64::try_from(idle).unwrap_or(0));
    limit.level_after(known.level, idle)
}

impl Allowance {
    /// About how many bytes one takes, its place in the book included.
    pub const SIZE: usize = size_of::<Self>() + size_of::<State>() + 128;

    /// Of the key `key_id`, of which nothing is known yet.
    pub fn new(key_id: KeyId) -> Self {
        Self { key_id, state: Mutex::default() }
    }

    /// Takes a use and `cost` credits by `terms`, or by later ones if those are known; or nothing.
    fn take(&self, terms: &Arc<Terms>, cost: i64, elapsed: Duration, now: Timestamp) -> (Taken, Chores) {
        let elapsed = nanos(elapsed);
        let mut state = self.state();
        state.go_by(terms);
        let taken = state.take(cost, elapsed, now);
        let ask = taken.1 && !std::mem::replace(&mut state.asking, true);
        let tell = !std::mem::replace(&mut state.noted, true);
        (taken.0, Chores { tell, ask })
    }

    /// What would come of taking a use and `cost` credits, of which `stored` are in the store.
    pub fn peek(&self, terms: &Arc<Terms>, cost: i64, stored: Option<i64>, elapsed: Duration, now: Timestamp) -> Taken {
        let elapsed = nanos(elapsed);
        let present = self.state();
        // Whoever looks changes nothing.
        let mut read = State::default();
        let state = if present.terms.is_some() {
            &*present
        } else {
            read.go_by(terms);
            &read
        };
        let rate = state.tightest(elapsed, now);
        if let Some(rate) = rate.filter(|rate| !rate.retry.is_zero()) {
            return Taken::RateLimited(rate);
        }
        let held = state.purse.as_ref().map_or(0, |purse| purse.remaining().max(0));
        let credits = stored.map(|stored| stored.max(held));
        match credits {
            Some(credits) if credits < cost => Taken::CreditsExhausted(credits),
            _ => Taken::Yes(Standing { rate, credits }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Goes by `terms` from now on, unless later ones are known.
    fn go_by(&mut self, terms: &Arc<Terms>) {
        if let Some(present) = &self.terms
            && (Arc::ptr_eq(present, terms) || present.holds_before(terms))
        {
            return;
        }
        let elapsed = terms.read_at;
        self.terms = Some(terms.clone());
        let mut old = std::mem::take(&mut self.buckets);
        for limit in &terms.limits {
            let kept = old.iter().position(|bucket| bucket.limit().name == limit.name).map(|at| old.swap_remove(at));
            self.buckets.push(match kept {
                Some(bucket) if bucket.limit() == limit => bucket,
                Some(bucket) => bucket.changed(limit.clone(), elapsed),
                None => {
                    let known = terms.levels.iter().find(|(known, _)| known.name == limit.name);
                    Bucket::new(limit.clone(), elapsed, known.map(|(known, level)| (known, *level)))
                }
            });
        }
        self.purse = match (self.purse.take(), &terms.credits) {
            (_, None) => None,
            (Some(mut purse), Some(credits)) if purse.epoch() == credits.epoch => {
                purse.key_changed(credits.refill, credits.refill_time);
                Some(purse)
            }
            // What was taken out of credits that were set anew since is worth nothing.
            (_, Some(credits)) => Some(Purse::new(credits.epoch, credits.refill, credits.refill_time)),
        };
    }

    /// Takes a use and `cost` credits, or nothing; and whether the store is to be asked for credits.
    fn take(&mut self, cost: i64, elapsed: u64, now: Timestamp) -> (Taken, bool) {
        let mut within = true;
        for bucket in &mut self.buckets {
            within &= bucket.ask(elapsed);
        }
        if !within && let Some(rate) = self.longest_wait(elapsed, now) {
            return (Taken::RateLimited(rate), false);
        }
        let mut ask = false;
        if let Some(purse) = &mut self.purse {
            match purse.check(cost, elapsed, now) {
                Spending::Enough { ask: more } => {
                    purse.spend(cost);
                    ask = more;
                }
                Spending::Exhausted { ask: again } => return (Taken::CreditsExhausted(purse.remaining()), again),
                wanting @ (Spending::Unknown | Spending::Void) => {
                    self.buckets.iter_mut().for_each(Bucket::unask);
                    let taken = if wanting == Spending::Void { Taken::Void } else { Taken::Unknown };
                    return (taken, false);
                }
            }
        }
        for bucket in &mut self.buckets {
            bucket.take(elapsed);
        }
        let credits = self.purse.as_ref().map(Purse::remaining);
        (Taken::Yes(Standing { rate: self.tightest(elapsed, now), credits }), ask)
    }

    /// What is left of the limit that has the smallest part of it left.
    fn tightest(&self, elapsed: u64, now: Timestamp) -> Option<RateStanding> {
        let standings = self.buckets.iter().enumerate().map(|(nth, bucket)| bucket.standing(elapsed, nth, now));
        standings.min_by_key(|rate| (rate.remaining, std::cmp::Reverse(rate.reset)))
    }

    /// What is left of the limit that is the last to have a use again.
    fn longest_wait(&self, elapsed: u64, now: Timestamp) -> Option<RateStanding> {
        let standings = self.buckets.iter().enumerate().map(|(nth, bucket)| bucket.standing(elapsed, nth, now));
        standings.max_by_key(|rate| rate.retry)
    }
}

fn nanos(of: Duration) -> u64 {
    u64::try_from(of.as_nanos()).unwrap_or(u64::MAX)
}
