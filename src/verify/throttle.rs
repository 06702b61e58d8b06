//! How often one slow secret may be guessed at: a leaky bucket (GCRA, ITU-T I.371) for each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Wrong secrets that cost an Argon2id run at once.
pub const BURST: u32 = 10;
/// And after those, one more as often. On one core that is 2 % of its time for each lookup that is guessed at.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// Counts the guesses at one secret.
#[derive(Debug, Default)]
pub struct Throttle {
    /// When the bucket will be empty, in milliseconds of the monotonic clock.
    empty_at: AtomicU64,
}

impl Throttle {
    /// Takes a guess at `now`.
    ///
    /// # Errors
    /// There are none left; how long until there is one.
    pub fn take(&self, now: Duration) -> Result<(), Duration> {
        let (now, interval) = (millis(now), millis(INTERVAL));
        let tolerance = interval * u64::from(BURST - 1);
        let next = |empty_at: u64| (empty_at <= now + tolerance).then(|| empty_at.max(now) + interval);
        match self.empty_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) {
            Ok(_) => Ok(()),
            Err(empty_at) => Err(Duration::from_millis(empty_at - now - tolerance)),
        }
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
}
