//! What limited keys have spent, as processes tell the store and hear from it.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::key::credits::Refill;
use crate::key::id::KeyId;
use crate::key::rate_limit::RateLimit;

/// What a process spent of a rate limit since it last said so.
#[derive(Clone, Debug, PartialEq)]
pub struct RateSpent {
    /// The key.
    pub key_id: KeyId,
    /// The limit.
    pub limit: RateLimit,
    /// How much it let through.
    pub spent: u64,
    /// How much it was asked to.
    pub asked: u64,
    /// No more time has passed since anybody said anything, by a clock that nobody sets; `None`: that is not known.
    pub idle_max: Option<Duration>,
}

/// What the store knows of a rate limit.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLevel {
    /// The key.
    pub key_id: KeyId,
    /// The name of the limit.
    pub name: String,
    /// What is spent and not there again yet.
    pub level: f64,
    /// When that was so.
    pub at: Timestamp,
    /// What time it is, if the store has a clock of its own, which `at` is by; `None`: both are by the process's.
    pub now: Option<Timestamp>,
    /// What was spent ever, by all processes.
    pub spent: i64,
    /// What was asked for ever.
    pub asked: i64,
}

/// That a process wants credits of a key, to spend them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreditsAsked {
    /// The key.
    pub key_id: KeyId,
    /// As of which its credits are known: of another epoch it gets none.
    pub epoch: i64,
    /// How many it would like.
    pub want: i64,
    /// How many somebody waits for; of more than those it gets no more than an eighth of what there is.
    pub need: i64,
    /// When there will be more.
    pub refill: Option<Refill>,
}

/// What it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreditsGranted {
    /// The key.
    pub key_id: KeyId,
    /// How many: they are the process's to spend, and gone if it does not give them back.
    pub granted: i64,
    /// How many are left.
    pub remaining: i64,
    /// When there will be more.
    pub refill_time: Option<Timestamp>,
}

/// Credits that a process gives back unspent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreditsReturned {
    /// The key.
    pub key_id: KeyId,
    /// As of which they were taken: of another epoch they are worth nothing.
    pub epoch: i64,
    /// How many.
    pub amount: i64,
}

/// Of more than is needed at once, no process takes more than this share of what there is, so that others find some.
pub const SHARE_MAX: i64 = 8;

impl RateSpent {
    /// How much of the limit is there again after a microsecond.
    pub(super) fn rate(&self) -> f64 {
        f64::from(self.limit.limit) / (self.limit.window.as_secs_f64() * 1e6)
    }

    /// What is spent and not there again yet, if it was `before` so many microseconds ago and this is added.
    pub(super) fn level(&self, before: f64, idle_micros: i64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a level need not be exact")]
        let spent = self.spent as f64;
        self.limit.level_after(before, Duration::from_micros(idle_micros.unsigned_abs())) + spent
    }

    /// The most that has passed, in microseconds.
    pub(super) fn idle_max_micros(&self) -> i64 {
        self.idle_max.and_then(|idle| i64::try_from(idle.as_micros()).ok()).unwrap_or(i64::MAX)
    }
}

/// A number as the store has it.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
