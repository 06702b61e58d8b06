//! Log lines that strangers could make many of: one of a kind every so often, with the number of those left out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often a kind of line is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Lets one log line through in [`LOG_INTERVAL`].
#[derive(Debug, Default)]
pub struct LogSampler {
    /// When the last one went through, in milliseconds of [`crate::clock::Clock::elapsed`] and one more; 0: none did.
    last: AtomicU64,
    suppressed: AtomicU64,
}

impl LogSampler {
    /// A sampler that let nothing through yet.
    pub const fn new() -> Self {
        Self { last: AtomicU64::new(0), suppressed: AtomicU64::new(0) }
    }

    /// Whether a line may go through at `now`, and how many did not since the last.
    pub fn take(&self, now: Duration) -> Option<u64> {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let interval = u64::try_from(LOG_INTERVAL.as_millis()).expect("ten seconds");
        let is_due = |last: u64| (last == 0 || now.saturating_sub(last) >= interval).then_some(now);
        if self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_due).is_ok() {
            Some(self.suppressed.swap(0, Ordering::Relaxed))
        } else {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Returns what `act` logs on this thread.
    pub(crate) fn logged(act: impl FnOnce()) -> String {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);

        impl io::Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(log, act);
        let text = lines.0.lock().unwrap().clone();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn one_line_in_ten_seconds() {
        let sampler = LogSampler::new();
        assert_eq!(sampler.take(Duration::ZERO), Some(0));
        for _ in 0..5 {
            assert_eq!(sampler.take(Duration::from_secs(9)), None);
        }
        assert_eq!(sampler.take(Duration::from_secs(10)), Some(5));
    }
}
