//! Time as a parameter: a point in time, and where "now" comes from.
//!
//! This is the only place that asks the machine what time it is.

use std::fmt;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// A point in time: microseconds since 1970-01-01T00:00:00Z.
///
/// Microseconds, because that is what both stores keep without loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The point `micros` microseconds after the epoch (before it, if negative).
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This point and `by` later; the end of time if there is no such point.
    pub fn saturating_add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// This point and `by` earlier; the beginning of time if there is no such point.
    pub fn saturating_sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }
}

/// A length of time for people, such as `31 days`, `1 h 30 min`, `-2.5 s`: its two largest units, or its seconds where they are
/// few. A year is one of 365.25 days, and is said only of whole years.
pub fn in_words(nanos: i128) -> String {
    const SECOND: u128 = 1_000_000_000;
    const DAY: u128 = 86_400 * SECOND;
    const YEAR: u128 = 31_557_600 * SECOND;
    const UNITS: [(u128, &str); 4] = [(DAY, "days"), (3_600 * SECOND, "h"), (60 * SECOND, "min"), (SECOND, "s")];
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    if nanos >= YEAR && nanos.is_multiple_of(YEAR) {
        let years = nanos / YEAR;
        return if years == 1 { format!("{sign}1 year") } else { format!("{sign}{years} years") };
    }
    let Some(at) = UNITS.iter().position(|(unit, _)| nanos >= *unit).filter(|at| UNITS[*at].0 > SECOND) else {
        let (whole, part) = (nanos / SECOND, nanos % SECOND);
        let part = if part == 0 { String::new() } else { format!(".{part:09}") };
        return format!("{sign}{whole}{} s", part.trim_end_matches('0'));
    };
    let ((unit, name), (next, next_name)) = (UNITS[at], UNITS[at + 1]);
    let name = if name == "days" && nanos / unit == 1 { "day" } else { name };
    match nanos % unit / next {
        0 => format!("{sign}{} {name}", nanos / unit),
        more => format!("{sign}{} {name} {more} {next_name}", nanos / unit),
    }
}

/// See [`in_words`].
pub fn length_in_words(length: Duration) -> String {
    in_words(length.as_nanos().cast_signed())
}

impl From<Timestamp> for SystemTime {
    fn from(at: Timestamp) -> Self {
        let distance = Duration::from_micros(at.0.unsigned_abs());
        if at.0 < 0 { Self::UNIX_EPOCH - distance } else { Self::UNIX_EPOCH + distance }
    }
}

/// As in RFC 3339, in UTC, with microseconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // humantime knows only times from 1970 to 9999; no other is ever stored.
        if (0..=253_402_300_799_999_999).contains(&self.0) {
            humantime::format_rfc3339_micros((*self).into()).fmt(f)
        } else {
            write!(f, "{} µs", self.0)
        }
    }
}

/// Where "now" comes from.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// The wall-clock time. May step back when somebody sets the clock.
    fn now(&self) -> Timestamp;

    /// The time since some moment before this clock was first asked, for instance since the machine started. Never steps
    /// back, nobody can set it, and it goes on while the process, or the whole machine, is suspended.
    fn elapsed(&self) -> Duration;
}

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(0).saturating_add(since)
    }

    fn elapsed(&self) -> Duration {
        let at = clock_gettime(ELAPSED);
        Duration::new(at.tv_sec.unsigned_abs(), u32::try_from(at.tv_nsec).unwrap_or_default())
    }
}

/// std's `Instant` will not do on Linux: it stands still while the machine is suspended.
#[cfg(target_os = "linux")]
const ELAPSED: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const ELAPSED: ClockId = ClockId::Monotonic;

/// Why [`SystemClock::elapsed`] may miss time here, if it may.
pub fn shortcoming() -> Option<String> {
    if cfg!(not(target_os = "linux")) {
        return Some("this system has no clock that is known to go on while it is suspended".to_owned());
    }
    // One that counts the timer's ticks loses those that are not delivered.
    let source = fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource").ok()?;
    source.contains("jiffies").then(|| format!("the clock source is {}, which loses time", source.trim()))
}

/// A clock that stands still until it is set: for tests.
#[derive(Clone, Debug)]
pub struct ManualClock {
    now_micros: Arc<AtomicI64>,
    elapsed_micros: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock that says `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { now_micros: Arc::new(AtomicI64::new(now.as_micros())), elapsed_micros: Arc::default() }
    }

    /// Puts the clock forward by `by`.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().saturating_add(by));
        self.elapsed_micros.fetch_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Sets the wall clock, back too. No time elapses by that.
    pub fn set(&self, now: Timestamp) {
        self.now_micros.store(now.as_micros(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now_micros.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_micros(self.elapsed_micros.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_said_in_their_largest_units() {
        let said = [
            (0, "0 s"),
            (12, "12 s"),
            (90, "1 min 30 s"),
            (3_600, "1 h"),
            (5_430, "1 h 30 min"),
            (86_400, "1 day"),
            (100_000, "1 day 3 h"),
            (31 * 86_400, "31 days"),
            (31_557_600, "1 year"),
            (3_155_760_000, "100 years"),
            (-9_862 * 86_400 - 7_200, "-9862 days 2 h"),
        ];
        for (seconds, words) in said {
            assert_eq!(in_words(seconds * 1_000_000_000), words);
        }
        assert_eq!((in_words(1_500_000_000), in_words(-1)), ("1.5 s".to_owned(), "-0.000000001 s".to_owned()));
    }
}
