//! The credits of a key that this process has taken out of the store and not spent yet.
//!
//! They are taken out ahead of use, about a fifth of a second's worth. What is taken out is this process's alone, so
//! that spending takes no asking, and nobody can spend it twice; what a process had when it died is lost.

use crate::clock::Timestamp;
use crate::key::credits::Refill;
use crate::key::id::KeyId;
use crate::store::spending::{CreditsAsked, CreditsGranted, CreditsReturned};

/// For how long what is taken out should last, in nanoseconds.
const AHEAD: u64 = 200_000_000;
/// The least that is taken out ahead, where there is eight times as much: a key that is used now and then shall not make each
/// verification wait, and to ask the store costs as much as ten verifications.
const AHEAD_MIN: i64 = 64;
/// The most that is taken out ahead.
const AHEAD_MAX: i64 = 1_000_000;
/// How many rounds what is not used is kept.
const IDLE_ROUNDS: u32 = 5;
/// How long it is believed that there is nothing left in the store: others may give back.
const EMPTY_FOR: u64 = 1_000_000_000;

/// See the module. Times are nanoseconds of a clock that nobody sets, but for that of the refill.
#[derive(Debug)]
pub struct Purse {
    epoch: i64,
    refill: Option<Refill>,
    refill_time: Option<Timestamp>,
    held: i64,
    /// How many were left in the store when it was last asked.
    left: i64,
    heard_at: Option<u64>,
    /// The key was changed since the store was last asked: what it answers may be from before.
    is_outdated: bool,
    /// Spent since `since`, to tell how many to take out.
    spent: i64,
    since: u64,
    /// How many to take out ahead.
    ahead: i64,
    /// How many those need together who wait.
    need: i64,
    /// What it was asked for came to nothing: its credits were set anew, or it is gone.
    void: bool,
    /// For how many rounds it was not used.
    idle: u32,
}

/// What came of an attempt to spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spending {
    /// There are enough. Whether the store should be asked for more.
    Enough {
        /// More should be taken out soon.
        ask: bool,
    },
    /// There are not enough anywhere. Whether the store should be asked whether that is still so.
    Exhausted {
        /// It should.
        ask: bool,
    },
    /// Only the store knows.
    Unknown,
    /// What is known of the credits is not so any more: the key is to be read again.
    Void,
}

impl Purse {
    /// Of a key whose credits are of this epoch.
    pub fn new(epoch: i64, refill: Option<Refill>, refill_time: Option<Timestamp>) -> Self {
        Self {
            epoch,
            refill,
            refill_time,
            held: 0,
            left: 0,
            heard_at: None,
            is_outdated: false,
            spent: 0,
            since: 0,
            ahead: AHEAD_MIN,
            need: 0,
            void: false,
            idle: 0,
        }
    }

    /// Of which credits.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Notes that the key was changed: its refill, or how many credits the store has. What is held here stays; what the store
    /// last said of the rest, or is about to say, may be over.
    pub fn key_changed(&mut self, refill: Option<Refill>, refill_time: Option<Timestamp>) {
        if self.refill != refill {
            (self.refill, self.refill_time) = (refill, refill_time);
        }
        self.heard_at = None;
        self.is_outdated = true;
    }

    /// Whether `cost` could be spent; what is in the way otherwise.
    pub fn check(&self, cost: i64, elapsed: u64, now: Timestamp) -> Spending {
        if cost <= self.held {
            let ask = self.left > 0 && self.held - cost < self.ahead / 4;
            return Spending::Enough { ask };
        }
        if self.void {
            return Spending::Void;
        }
        let is_due = self.refill_time.is_some_and(|at| at <= now);
        match self.heard_at {
            Some(at) if !is_due && cost > self.remaining() => {
                Spending::Exhausted { ask: elapsed.saturating_sub(at) > EMPTY_FOR }
            }
            _ => Spending::Unknown,
        }
    }

    /// Spends `cost`, which was checked.
    pub fn spend(&mut self, cost: i64) {
        self.held -= cost;
        self.spent = self.spent.saturating_add(cost);
        self.idle = 0;
    }

    /// How many are left, as far as is known here.
    pub fn remaining(&self) -> i64 {
        self.held.saturating_add(self.left)
    }

    /// Whether anything can be given back.
    pub fn holds(&self) -> bool {
        self.held > 0
    }

    /// Notes that somebody waits for `cost`.
    pub fn need(&mut self, cost: i64) {
        self.need = self.need.saturating_add(cost);
    }

    /// What to ask the store for, at `elapsed`.
    pub fn ask(&mut self, key_id: &KeyId, elapsed: u64) -> CreditsAsked {
        let lasted = elapsed.saturating_sub(self.since).max(1);
        // Half of what the last while says, half of what those before it did.
        let worth = i128::from(self.spent) * i128::from(AHEAD) / i128::from(lasted);
        let worth = i64::try_from(worth).unwrap_or(AHEAD_MAX).min(AHEAD_MAX);
        self.ahead = (self.ahead.midpoint(worth)).clamp(AHEAD_MIN, AHEAD_MAX);
        (self.spent, self.since) = (0, elapsed);
        self.is_outdated = false;
        let need = self.need.saturating_sub(self.held).max(0);
        let want = self.ahead.saturating_sub(self.held).max(need);
        CreditsAsked { key_id: key_id.clone(), epoch: self.epoch, want, need, refill: self.refill }
    }

    /// What the store said to `asked`; `None`: that there are no such credits any more.
    pub fn heard(&mut self, asked: &CreditsAsked, granted: Option<&CreditsGranted>, elapsed: u64) {
        if asked.epoch != self.epoch {
            return;
        }
        self.need = 0;
        let Some(granted) = granted else {
            self.void = true;
            return;
        };
        self.held = self.held.saturating_add(granted.granted);
        self.left = granted.remaining;
        self.refill_time = granted.refill_time;
        self.heard_at = (!self.is_outdated).then_some(elapsed);
    }

    /// The store could not be asked.
    pub fn failed(&mut self) {
        self.need = 0;
    }

    /// A round is over. Whether there is something that is of use no more.
    pub fn is_idle(&mut self) -> bool {
        self.idle += 1;
        self.idle > IDLE_ROUNDS
    }

    /// Takes back what could not be given back.
    pub fn keep(&mut self, returned: &CreditsReturned) {
        if returned.epoch == self.epoch {
            self.held = self.held.saturating_add(returned.amount);
        }
    }

    /// What to give back: all.
    pub fn empty(&mut self, key_id: &KeyId) -> Option<CreditsReturned> {
        if self.held == 0 {
            return None;
        }
        let amount = std::mem::take(&mut self.held);
        // Whatever was known is not so any more.
        self.heard_at = None;
        Some(CreditsReturned { key_id: key_id.clone(), epoch: self.epoch, amount })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000);
    const SECOND: u64 = 1_000_000_000;

    fn granted(granted: i64, remaining: i64) -> CreditsGranted {
        CreditsGranted { key_id: KeyId::from_text("k"), granted, remaining, refill_time: None }
    }

    fn hear(purse: &mut Purse, elapsed: u64, got: i64, left: i64) -> CreditsAsked {
        let asked = purse.ask(&KeyId::from_text("k"), elapsed);
        purse.heard(&asked, Some(&granted(got, left)), elapsed);
        asked
    }

    #[test]
    fn nothing_is_spent_that_was_not_taken_out() {
        let mut purse = Purse::new(1, None, None);
        assert_eq!(purse.check(1, 0, NOW), Spending::Unknown);
        purse.need(3);
        let asked = hear(&mut purse, 0, 3, 0);
        assert_eq!((asked.need, asked.want), (3, AHEAD_MIN));
        assert_eq!(purse.check(3, 0, NOW), Spending::Enough { ask: false });
        assert_eq!(purse.check(4, 0, NOW), Spending::Exhausted { ask: false });
        purse.need(2);
        purse.need(4);
        assert_eq!(purse.ask(&KeyId::from_text("k"), 0).need, 3, "what they need together, less what there is");
        purse.spend(3);
        assert_eq!(purse.check(1, 0, NOW), Spending::Exhausted { ask: false });
        assert_eq!(purse.check(0, 0, NOW), Spending::Enough { ask: false });
        assert_eq!(purse.check(1, 2 * SECOND, NOW), Spending::Exhausted { ask: true });
    }

    #[test]
    fn as_much_is_taken_out_as_a_fifth_of_a_second_needs() {
        let mut purse = Purse::new(1, None, None);
        for second in 1..20 {
            hear(&mut purse, second * SECOND, 10_000, 1_000_000);
            purse.spend(10_000);
        }
        let asked = hear(&mut purse, 20 * SECOND, 2_000, 1_000);
        assert!((1_990..=2_000).contains(&asked.want), "{asked:?}");
        assert_eq!(purse.check(900, 0, NOW), Spending::Enough { ask: false });
        assert_eq!(purse.check(1_600, 0, NOW), Spending::Enough { ask: true });
        assert_eq!(purse.check(2_001, 0, NOW), Spending::Unknown);
    }

    #[test]
    fn a_refill_that_is_due_is_asked_for() {
        let mut purse = Purse::new(1, None, Some(NOW));
        purse.heard_at = Some(0);
        assert_eq!(purse.check(1, 0, Timestamp::from_micros(999_999)), Spending::Exhausted { ask: false });
        assert_eq!(purse.check(1, 0, NOW), Spending::Unknown);
    }

    #[test]
    fn a_changed_key_is_asked_for_again() {
        let mut purse = Purse::new(1, None, None);
        hear(&mut purse, 0, 0, 0);
        assert_eq!(purse.check(1, 0, NOW), Spending::Exhausted { ask: false });
        purse.key_changed(None, None);
        assert_eq!(purse.check(1, 0, NOW), Spending::Unknown);
        // What the store was asked before the change, and answers after it, gives credits and tells nothing of the rest.
        let asked = purse.ask(&KeyId::from_text("k"), 0);
        purse.key_changed(None, None);
        purse.heard(&asked, Some(&granted(2, 0)), 0);
        assert_eq!(purse.check(2, 0, NOW), Spending::Enough { ask: false });
        assert_eq!(purse.check(3, 0, NOW), Spending::Unknown);
        hear(&mut purse, 0, 0, 0);
        assert_eq!(purse.check(3, 0, NOW), Spending::Exhausted { ask: false });
    }

    #[test]
    fn what_is_of_another_epoch_is_worth_nothing() {
        let mut old = Purse::new(1, None, None);
        let asked = old.ask(&KeyId::from_text("k"), 0);
        let mut purse = Purse::new(2, None, None);
        purse.heard(&asked, Some(&granted(10, 10)), 0);
        assert_eq!(purse.check(1, 0, NOW), Spending::Unknown);
        let asked = purse.ask(&KeyId::from_text("k"), 0);
        purse.heard(&asked, None, 0);
        assert_eq!(purse.check(1, 0, NOW), Spending::Void);
    }

    #[test]
    fn all_is_given_back_once() {
        let mut purse = Purse::new(1, None, None);
        hear(&mut purse, 0, 10, 5);
        let back = purse.empty(&KeyId::from_text("k")).unwrap();
        assert_eq!((back.amount, back.epoch), (10, 1));
        assert_eq!(purse.empty(&KeyId::from_text("k")), None);
        assert_eq!(purse.check(1, 0, NOW), Spending::Unknown);
    }
}
