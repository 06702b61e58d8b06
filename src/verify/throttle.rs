//! How often one slow secret may be guessed at: a leaky bucket (GCRA, ITU-T I.371) for each.
//!
//! It is for the owner of a secret as well, until he has presented it once: a guesser can keep him waiting. The other way
//! would let a guesser keep everybody waiting.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Guesses that may be hashed at once.
pub const BURST: u32 = 10;
/// After those, one more as often at most.
pub const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// And as much later as hashing takes long: 2 % of one core's time for each lookup that is guessed at. Argon2id as it is
/// made here takes 20 ms, some imported strings take half a second.
const COST_SHARE: u32 = 50;

/// Counts the guesses at one secret.
#[derive(Debug, Default)]
pub struct Throttle {
    /// When the bucket will be empty, in milliseconds of the monotonic clock.
    empty_at: AtomicU64,
    /// How long the last guess took, in milliseconds.
    cost: AtomicU64,
}

impl Throttle {
    /// Takes a guess at `now`.
    ///
    /// # Errors
    /// There are none left; how long until there is one.
    pub fn take(&self, now: Duration) -> Result<(), Duration> {
        let cost = Duration::from_millis(self.cost.load(Ordering::Relaxed));
        let (now, interval) = (millis(now), millis(INTERVAL_MIN.max(cost * COST_SHARE)));
        let tolerance = interval * u64::from(BURST - 1);
        let next = |empty_at: u64| (empty_at <= now + tolerance).then(|| empty_at.max(now) + interval);
        match self.empty_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) {
            Ok(_) => Ok(()),
            Err(empty_at) => Err(Duration::from_millis(empty_at - now - tolerance)),
        }
    }

    /// Notes how long a guess took.
    pub fn note_cost(&self, cost: Duration) {
        // Not more than a minute: a machine that slept says nothing about hashing.
        self.cost.store(millis(cost).min(60_000), Ordering::Relaxed);
    }
}

fn millis(of: Duration) -> u64 {
    u64::try_from(of.as_millis()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_a_second() {
        let throttle = Throttle::default();
        let at = |millis: u64| Duration::from_millis(1_000_000 + millis);
        for _ in 0..BURST {
            assert_eq!(throttle.take(at(0)), Ok(()));
        }
        assert_eq!(throttle.take(at(0)), Err(Duration::from_secs(1)));
        assert_eq!(throttle.take(at(900)), Err(Duration::from_millis(100)));
        assert_eq!(throttle.take(at(1_000)), Ok(()));
        assert!(throttle.take(at(1_000)).is_err());
        for _ in 0..BURST {
            assert_eq!(throttle.take(at(20_000)), Ok(()));
        }
        assert!(throttle.take(at(20_000)).is_err());
    }

    #[test]
    fn a_costly_guess_is_rarer() {
        let throttle = Throttle::default();
        let at = |millis: u64| Duration::from_millis(1_000_000 + millis);
        throttle.note_cost(Duration::from_millis(500));
        for _ in 0..BURST {
            assert_eq!(throttle.take(at(0)), Ok(()));
        }
        assert_eq!(throttle.take(at(0)), Err(Duration::from_secs(25)));
    }
}
