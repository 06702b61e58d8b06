//! Budgets: how many calls a caller or a keyspace has in flight, and how many it makes a second.
//!
//! What is spent is remembered for those only that have calls in flight or made some within the last second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;

/// Most names that are remembered, at about 200 bytes each. Any more share one budget.
const NAMES_MAX: usize = 16_384;
/// The name of that budget: no root key and no keyspace has it.
const REST: &str = "";
/// How many seconds' worth of calls may come at once.
const BURST: Duration = Duration::from_secs(1);
/// How often those that spend nothing are forgotten, at the most.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How much may be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Most calls in flight.
    pub calls_max: u32,
    /// Most calls a second.
    pub calls_per_second: u32,
}

/// A budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Too many calls are in flight.
    Calls {
        /// The most there may be.
        max: u32,
    },
    /// Too many calls came within a second.
    Rate {
        /// The most there may be.
        max: u32,
        /// How long until one more may come.
        wait: Duration,
    },
}

/// What was spent, by name.
pub struct Budgets {
    clock: Arc<dyn Clock>,
    spent: Arc<Mutex<Spent>>,
}

#[derive(Default)]
struct Spent {
    names: HashMap<Arc<str>, Account>,
    swept: Duration,
}

#[derive(Default)]
struct Account {
    calls: u32,
    /// Keys that calls in flight are about to make.
    keys: u64,
    /// When all that came is paid for, one call at a time: GCRA (ITU-T I.371).
    paid_at: Duration,
}

/// A call in flight: ends when it is dropped.
pub struct Spending {
    name: Arc<str>,
    keys: u64,
    spent: Arc<Mutex<Spent>>,
}

impl Budgets {
    /// Of which nothing is spent.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, spent: Arc::default() }
    }

    /// Spends a call of the budget of `name`; of its rate only if `rated`.
    ///
    /// # Errors
    /// There is nothing left of it.
    pub fn spend(&self, name: &str, budget: Budget, rated: bool) -> Result<Spending, Over> {
        let now = self.clock.elapsed();
        let mut spent = lock(&self.spent);
        let name = spent.known(name, now);
        let account = spent.names.entry(name.clone()).or_default();
        if account.calls >= budget.calls_max {
            return Err(Over::Calls { max: budget.calls_max });
        }
        if rated {
            let paid_at = account.paid_at.max(now) + Duration::from_secs(1) / budget.calls_per_second.max(1);
            let early = paid_at.saturating_sub(now);
            if early > BURST {
                return Err(Over::Rate { max: budget.calls_per_second, wait: early.saturating_sub(BURST) });
            }
            account.paid_at = paid_at;
        }
        account.calls += 1;
        Ok(Spending { name, keys: 0, spent: self.spent.clone() })
    }
}

impl Spent {
    /// `name` as it is remembered; [`REST`] if there is no room for it.
    fn known(&mut self, name: &str, now: Duration) -> Arc<str> {
        if let Some((known, _)) = self.names.get_key_value(name) {
            return known.clone();
        }
        if self.names.len() >= NAMES_MAX && now.saturating_sub(self.swept) >= SWEEP_INTERVAL {
            self.swept = now;
            self.names.retain(|_, account| account.calls > 0 || account.paid_at > now);
        }
        if self.names.len() < NAMES_MAX { name.into() } else { REST.into() }
    }
}

impl Spending {
    /// Whose it is.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Notes that the call is about to make `keys`. How many all calls in flight are about to make.
    pub fn reserve(&mut self, keys: u64) -> u64 {
        self.keys += keys;
        let mut spent = lock(&self.spent);
        spent.names.get_mut(&self.name).map_or(keys, |account| {
            account.keys += keys;
            account.keys
        })
    }
}

impl Drop for Spending {
    fn drop(&mut self) {
        if let Some(account) = lock(&self.spent).names.get_mut(&self.name) {
            account.calls -= 1;
            account.keys -= self.keys;
        }
    }
}

fn lock(spent: &Mutex<Spent>) -> MutexGuard<'_, Spent> {
    spent.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Timestamp};

    const BUDGET: Budget = Budget { calls_max: 3, calls_per_second: 10 };

    #[test]
    fn calls_in_flight_are_bounded_for_each_name() {
        let budgets = Budgets::new(Arc::new(ManualClock::new(Timestamp::from_micros(0))));
        let spend = |name| budgets.spend(name, BUDGET, false);
        let mut held: Vec<_> = (0..3).map(|_| spend("a").unwrap()).collect();
        assert_eq!(spend("a").err(), Some(Over::Calls { max: 3 }));
        let _other = spend("b").unwrap();
        held.pop();
        drop(spend("a").unwrap());
    }

    #[test]
    fn a_second_s_worth_at_once_then_by_the_clock() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
        let budgets = Budgets::new(clock.clone());
        let spend = || budgets.spend("a", BUDGET, true).map(drop);
        assert!((0..10).all(|_| spend().is_ok()));
        let Err(Over::Rate { max: 10, wait }) = spend() else { panic!("it is spent") };
        assert!(budgets.spend("a", BUDGET, false).is_ok(), "what is not rated goes on");
        clock.advance(wait);
        spend().unwrap();
        spend().unwrap_err();
    }

    #[test]
    fn names_that_spend_nothing_are_forgotten_and_too_many_share_one_budget() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
        let budgets = Budgets::new(clock.clone());
        clock.advance(SWEEP_INTERVAL);
        let held: Vec<_> = (0..NAMES_MAX).map(|nth| budgets.spend(&nth.to_string(), BUDGET, false).unwrap()).collect();
        assert_eq!(&**budgets.spend("one more", BUDGET, false).unwrap().name(), REST);
        drop(held);
        clock.advance(SWEEP_INTERVAL);
        assert_eq!(&**budgets.spend("one more", BUDGET, false).unwrap().name(), "one more");
        assert!(lock(&budgets.spent).names.len() < 3);
    }
}
