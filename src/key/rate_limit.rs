//! How often a key may be used: so many in a window of time, spread evenly, with bursts. Several may hold at once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::length_in_words;

/// Most limits that hold for one key. Each is looked at by every verification, and has some 100 bytes of memory.
pub const LIMITS_MAX: usize = 4;
/// The highest limit, and the largest burst.
pub const LIMIT_MAX: u32 = 1_000_000_000;
/// The shortest window.
pub const WINDOW_MIN: Duration = Duration::from_secs(1);
/// The longest window, and the longest time that a burst may be saved up: a leap year.
pub const WINDOW_MAX: Duration = Duration::from_hours(366 * 24);
/// The highest rate, in uses a second: what is spent is counted in nanoseconds, and one of them more or less must not
/// matter.
pub const RATE_MAX: u32 = 1_000_000;
/// What has been spent of a limit with such a window, or a longer one, outlives the process.
pub const LASTING_WINDOW: Duration = Duration::from_hours(1);

/// One limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// What it is called; empty for the first of a key. What was spent stays spent while the name stays.
    pub name: String,
    /// How many in each window, in the long run.
    pub limit: u32,
    /// The window.
    #[serde(rename = "window_us", with = "as_micros")]
    pub window: Duration,
    /// How many at once.
    pub burst: u32,
}

impl RateLimit {
    /// What one use takes: the time until it is there again. Rounded up, so that no more than `limit` come in a window.
    pub fn interval(&self) -> Duration {
        let window = self.window.as_nanos();
        let interval = window.div_ceil(u128::from(self.limit.max(1)));
        Duration::from_nanos(u64::try_from(interval).unwrap_or(u64::MAX))
    }

    /// How long it takes until all that may be used at once is there again.
    pub fn span(&self) -> Duration {
        self.interval().saturating_mul(self.burst)
    }

    /// How much is spent and not there again, if `level` was so long ago.
    pub fn level_after(&self, level: f64, idle: Duration) -> f64 {
        let back = idle.as_secs_f64() * f64::from(self.limit) / self.window.as_secs_f64();
        (level - back).max(0.0)
    }

    /// Whether what is spent must outlive the process.
    pub fn is_lasting(&self) -> bool {
        self.window >= LASTING_WINDOW
    }
}

/// What a limit may be called: `[a-z][a-z0-9_-]{0,31}`.
pub fn is_limit_name(text: &str) -> bool {
    let part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    text.len() <= 32 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(part)
}

/// What is wrong with a limit: the field, and the rule in words that follow "must".
pub fn check(limit: i64, window: Option<Duration>, burst: i64) -> Result<(u32, Duration, u32), (&'static str, String)> {
    let number = |field, number: i64| {
        let good = u32::try_from(number).ok().filter(|number| (1..=LIMIT_MAX).contains(number));
        good.ok_or_else(|| (field, format!("be 1 to {LIMIT_MAX}; is {number}")))
    };
    let limit = number("limit", limit)?;
    let window = window.filter(|window| (WINDOW_MIN..=WINDOW_MAX).contains(window));
    let window = window.ok_or_else(|| ("window", "be 1 s to 366 days".to_owned()))?;
    if f64::from(limit) > window.as_secs_f64() * f64::from(RATE_MAX) {
        return Err(("limit", format!("be at most {RATE_MAX} a second; is {limit} in {}", length_in_words(window))));
    }
    // Not given: the whole limit.
    let burst = if burst == 0 { limit } else { number("burst", burst)? };
    let good = RateLimit { name: String::new(), limit, window, burst };
    // What rounding adds is less than a second.
    if good.span() > WINDOW_MAX.saturating_add(WINDOW_MIN) {
        let most = WINDOW_MAX.as_nanos() / good.interval().as_nanos();
        return Err(("burst", format!("be no more than what is there again after 366 days: {most}; is {burst}")));
    }
    Ok((limit, window, burst))
}

mod as_micros {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(window: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(window.as_micros()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Option<Duration> = Some(Duration::from_secs(1));

    #[test]
    fn a_limit_has_bounds() {
        assert_eq!(check(10, SECOND, 0), Ok((10, Duration::from_secs(1), 10)));
        assert_eq!(check(1, Some(WINDOW_MAX), 1), Ok((1, WINDOW_MAX, 1)));
        assert_eq!(check(i64::from(RATE_MAX), SECOND, 1), Ok((RATE_MAX, Duration::from_secs(1), 1)));
        for (limit, window, burst, field) in [
            (0, SECOND, 0, "limit"),
            (-1, SECOND, 0, "limit"),
            (i64::MAX, SECOND, 0, "limit"),
            (i64::from(RATE_MAX) + 1, SECOND, 0, "limit"),
            (10, None, 0, "window"),
            (10, Some(Duration::ZERO), 0, "window"),
            (10, Some(Duration::from_millis(999)), 0, "window"),
            (10, Some(WINDOW_MAX + Duration::from_secs(1)), 0, "window"),
            (10, SECOND, -1, "burst"),
            (10, SECOND, i64::MAX, "burst"),
            (1, Some(WINDOW_MAX), 2, "burst"),
        ] {
            assert_eq!(
                check(limit, window, burst).map_err(|(field, _)| field),
                Err(field),
                "{limit} {window:?} {burst}"
            );
        }
    }

    #[test]
    fn no_window_has_more_than_the_limit() {
        for (limit, secs) in [(3, 1), (7, 60), (999_983, 1), (LIMIT_MAX, 86_400)] {
            let of = RateLimit { name: String::new(), limit, window: Duration::from_secs(secs), burst: 1 };
            assert!(of.interval() * limit >= of.window, "{of:?}");
        }
    }

    #[test]
    fn it_is_kept_as_json() {
        let of = RateLimit { name: "a".into(), limit: 3, window: Duration::from_millis(1_500), burst: 9 };
        let json = serde_json::to_string(&of).unwrap();
        assert_eq!(json, r#"{"name":"a","limit":3,"window_us":1500000,"burst":9}"#);
        assert_eq!(serde_json::from_str::<RateLimit>(&json).unwrap(), of);
    }

    #[test]
    fn names() {
        for good in ["a", "per-day", "a_1", &"a".repeat(32)] {
            assert!(is_limit_name(good), "{good}");
        }
        for bad in ["", "1a", "A", "a b", "ä", &"a".repeat(33)] {
            assert!(!is_limit_name(bad), "{bad}");
        }
    }
}
