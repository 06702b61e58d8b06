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
