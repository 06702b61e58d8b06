//! What is left of one rate limit: a leaky bucket (GCRA, ITU-T I.371), shared by several processes.
//!
//! Alone it is exact: times are whole nanoseconds of a clock that nobody sets. With others, each process spends by what
//! the store last told it, at most a second ago, and lets its own uses cost as much more as its share of the demand is
//! less than all: what the others spend meanwhile is thereby taken into account before it is heard of. What was spent
//! too much all the same is owed, and missing afterwards.

use std::time::Duration;

use super::{RateStanding, nanos};
use crate::clock::Timestamp;
use crate::key::id::KeyId;
use crate::key::rate_limit::RateLimit;
use crate::store::spending::{RateLevel, RateSpent};

/// However small its share of the demand, a process takes its uses for no more than as many: so that it finds out, some
/// seconds later, that the others need less.
const PRICE_MAX: f64 = 64.0;
/// What was asked for in earlier rounds counts half as much in the next.
const DEMAND_KEPT: f64 = 0.5;

/// See the module. Times are nanoseconds.
#[derive(Debug)]
pub struct Bucket {
    limit: RateLimit,
    interval: u64,
    span: u64,
    /// When all is there again.
    full_at: u64,
    /// What one use takes, those of others that come with it included.
    price: u64,
    /// What was let through, and asked for, since the store was told.
    spent: u64,
    asked: u64,
    told: Told,
    /// Uses a second that were asked for here and elsewhere.
    own_demand: f64,
    other_demand: f64,
}

/// What the store last said.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    spent: i64,
    asked: i64,
    at: Option<u64>,
}

impl Bucket {
    /// Of `limit` as it is at `now`, if nothing was spent but what the store knows of: `level` uses.
    pub fn new(limit: RateLimit, now: u64, known: Option<(&RateLevel, f64)>) -> Self {
        let (interval, span) = (nanos(limit.interval()), nanos(limit.span()));
        let told =
            known.map_or_else(Told::default, |(known, _)| Told { spent: known.spent, asked: known.asked, at: None });
        let level = known.map_or(0.0, |(_, level)| level);
        Self {
            limit,
            interval,
            span,
            full_at: now.saturating_add(times(interval, level)),
            price: interval,
            spent: 0,
            asked: 0,
            told,
            own_demand: 0.0,
            other_demand: 0.0,
        }
    }

    /// The same bucket by another limit of the same name: what was spent stays spent.
    pub fn changed(mut self, limit: RateLimit, now: u64) -> Self {
        let level = self.level(now);
        (self.interval, self.span) = (nanos(limit.interval()), nanos(limit.span()));
        self.price = self.interval;
        self.full_at = now.saturating_add(times(self.interval, level));
        self.limit = limit;
        self
    }

    /// The limit.
    pub fn limit(&self) -> &RateLimit {
        &self.limit
    }

    /// Notes that a use was asked for. Whether there is one.
    pub fn ask(&mut self, now: u64) -> bool {
        self.asked += 1;
        self.has_one(now)
    }

    /// That it was asked for as a part of something that will be asked for again.
    pub fn unask(&mut self) {
        self.asked = self.asked.saturating_sub(1);
    }

    /// Whether there is a use.
    pub fn has_one(&self, now: u64) -> bool {
        self.full_at.saturating_add(self.interval) <= now.saturating_add(self.span)
    }

    /// Takes a use.
    pub fn take(&mut self, now: u64) {
        self.spent += 1;
        self.full_at = self.full_at.max(now).saturating_add(self.price);
    }

    /// What is left, of the `nth` limit of a key.
    pub fn standing(&self, now: u64, nth: usize, at: Timestamp) -> RateStanding {
        let owed = self.full_at.saturating_sub(now);
        let left = self.span.saturating_sub(owed) / self.interval.max(1);
        let wait = owed.saturating_add(self.interval).saturating_sub(self.span);
        RateStanding {
            at,
            nth: u8::try_from(nth).unwrap_or(u8::MAX),
            limit: self.limit.limit,
            remaining: u32::try_from(left).unwrap_or(u32::MAX),
            reset: Duration::from_nanos(owed),
            retry: Duration::from_nanos(wait),
        }
    }

    /// Whether there is anything that the store does not know of.
    pub fn is_untold(&self) -> bool {
        self.spent > 0 || self.asked > 0
    }

    /// Whether it is as if it had never been used.
    pub fn is_full(&self, now: u64) -> bool {
        self.full_at <= now
    }

    /// What to tell the store, of the key `key_id`.
    pub fn tell(&self, key_id: &KeyId, now: u64) -> RateSpent {
        RateSpent {
            key_id: key_id.clone(),
            limit: self.limit.clone(),
            spent: self.spent,
            asked: self.asked,
            idle_max: self.told.at.map(|at| Duration::from_nanos(now.saturating_sub(at))),
        }
    }

    /// Nobody need know what was spent.
    pub fn told_nobody(&mut self) {
        (self.spent, self.asked) = (0, 0);
    }

    /// The store was told `sent`, and this is what it says.
    pub fn heard(&mut self, level: &RateLevel, sent: &RateSpent, now: u64) {
        self.spent = self.spent.saturating_sub(sent.spent);
        self.asked = self.asked.saturating_sub(sent.asked);
        let others = |now: i64, before: i64, own: u64| {
            let others = now.saturating_sub(before).saturating_sub(i64::try_from(own).unwrap_or(i64::MAX));
            u64::try_from(others).unwrap_or(0)
        };
        let others_spent = others(level.spent, self.told.spent, sent.spent);
        let others_asked = others(level.asked, self.told.asked, sent.asked);
        let elapsed = self.told.at.map_or(1.0, |at| Duration::from_nanos(now.saturating_sub(at)).as_secs_f64());
        let elapsed = elapsed.max(0.001);
        self.own_demand = self.own_demand * DEMAND_KEPT + as_f64(sent.asked) / elapsed;
        self.other_demand = self.other_demand * DEMAND_KEPT + as_f64(others_asked) / elapsed;
        // Alone, what is known here is exact. With others, the store knows better, but for what was spent since.
        if others_spent > 0 || self.price != self.interval {
            let level = level.level + as_f64(self.spent);
            self.full_at = now.saturating_add(times(self.interval, level));
        }
        let share = self.own_demand / (self.own_demand + self.other_demand);
        let price = if share.is_finite() && share < 1.0 { (1.0 / share).min(PRICE_MAX) } else { 1.0 };
        self.price = times(self.interval, price);
        self.told = Told { spent: level.spent, asked: level.asked, at: Some(now) };
    }

    /// How many uses are spent and not there again.
    fn level(&self, now: u64) -> f64 {
        as_f64(self.full_at.saturating_sub(now)) / as_f64(self.interval.max(1))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share of a demand need not be exact")]
fn as_f64(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts of floats saturate")]
fn times(interval: u64, many: f64) -> u64 {
    (as_f64(interval) * many).round() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const AT: Timestamp = Timestamp::from_micros(0);

    fn limit(limit: u32, secs: u64, burst: u32) -> RateLimit {
        RateLimit { name: String::new(), limit, window: Duration::from_secs(secs), burst }
    }

    fn use_up(bucket: &mut Bucket, now: u64) -> u32 {
        let mut many = 0;
        while bucket.ask(now) {
            bucket.take(now);
            many += 1;
        }
        many
    }

    /// What a store would say that heard of `spent` and `asked` ever, and has `level` of it left.
    fn level(level: f64, spent: i64, asked: i64) -> RateLevel {
        let at = Timestamp::from_micros(0);
        RateLevel { key_id: KeyId::from_text("k"), name: String::new(), level, at, now: None, spent, asked }
    }

    #[test]
    fn a_burst_then_one_at_a_time() {
        let mut bucket = Bucket::new(limit(10, 1, 5), SECOND, None);
        assert_eq!(use_up(&mut bucket, SECOND), 5);
        assert_eq!(bucket.standing(SECOND, 0, AT).remaining, 0);
        assert_eq!(bucket.standing(SECOND, 0, AT).retry, Duration::from_millis(100));
        assert_eq!(bucket.standing(SECOND, 0, AT).reset, Duration::from_millis(500));
        assert_eq!(use_up(&mut bucket, SECOND + 99_999_999), 0);
        assert_eq!(use_up(&mut bucket, SECOND + 100_000_000), 1);
        assert_eq!(use_up(&mut bucket, 100 * SECOND), 5);
    }

    proptest! {
        #[test]
        fn alone_no_window_has_more_than_limit_and_burst(
            (of, secs, burst) in (1..50_u32, 1..5_u64, 1..50_u32),
            gaps in proptest::collection::vec(0..SECOND, 1..300),
        ) {
            let mut bucket = Bucket::new(limit(of, secs, burst), 0, None);
            let mut now = 0;
            let mut taken = Vec::new();
            for gap in gaps {
                now += gap;
                if bucket.ask(now) {
                    bucket.take(now);
                    taken.push(now);
                } else {
                    // What is refused is refused for good reason: it is there when it is said to be.
                    let retry = now + nanos(bucket.standing(now, 0, AT).retry);
                    prop_assert!(retry > now && bucket.has_one(retry) && !bucket.has_one(retry - 1));
                }
            }
            let window = secs * SECOND;
            for (first, from) in taken.iter().enumerate() {
                let within = taken[first..].iter().take_while(|at| **at < from + window).count();
                prop_assert!(within <= (of + burst) as usize, "{within}");
            }
        }
    }

    #[test]
    fn what_is_known_from_before_is_spent() {
        let known = level(7.0, 100, 200);
        let mut bucket = Bucket::new(limit(10, 3_600, 10), SECOND, Some((&known, 7.0)));
        assert_eq!(use_up(&mut bucket, SECOND), 3);
    }

    #[test]
    fn a_change_of_the_limit_keeps_what_was_spent() {
        let mut bucket = Bucket::new(limit(1_000, 86_400, 1_000), SECOND, None);
        for _ in 0..800 {
            bucket.take(SECOND);
        }
        let mut more = bucket.changed(limit(2_000, 86_400, 2_000), SECOND);
        assert_eq!(use_up(&mut more, SECOND), 1_200);
        let less = more.changed(limit(500, 86_400, 500), SECOND);
        assert!(!less.has_one(SECOND));
        assert_eq!(less.standing(SECOND, 0, AT).remaining, 0);
    }

    #[test]
    fn what_others_spent_is_missing_here() {
        let mut bucket = Bucket::new(limit(100, 10, 100), SECOND, None);
        for _ in 0..10 {
            assert!(bucket.ask(SECOND));
            bucket.take(SECOND);
        }
        let sent = bucket.tell(&KeyId::from_text("k"), SECOND);
        assert_eq!((sent.spent, sent.asked, sent.idle_max), (10, 10, None));
        bucket.heard(&level(60.0, 60, 60), &sent, SECOND);
        assert_eq!(bucket.standing(SECOND, 0, AT).remaining, 40);
        // Five of six ask elsewhere: of what is left this one takes a sixth.
        assert_eq!(use_up(&mut bucket, SECOND), 7);
        let again = bucket.tell(&KeyId::from_text("k"), 2 * SECOND);
        assert_eq!(again.idle_max, Some(Duration::from_secs(1)));
        // Nobody else asks any more.
        for round in 2..40 {
            let sent = bucket.tell(&KeyId::from_text("k"), round * SECOND);
            bucket.heard(&level(60.0, 60 + 7, 60 + 8), &sent, round * SECOND);
            bucket.asked += 10;
        }
        assert_eq!(use_up(&mut bucket, 40 * SECOND), 100);
    }

    #[test]
    fn however_small_its_share_a_process_gets_a_use_at_a_time() {
        let mut bucket = Bucket::new(limit(1, 60, 1), SECOND, None);
        bucket.asked += 1;
        let sent = bucket.tell(&KeyId::from_text("k"), SECOND);
        bucket.heard(&level(0.0, 0, 1_000), &sent, SECOND);
        assert_eq!(use_up(&mut bucket, SECOND), 1);
    }
}
