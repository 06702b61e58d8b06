//! How long a call may take, and how gRPC writes that.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::time::{self, Instant, Sleep};
use tonic::Status;

const TIMEOUT_HEADER: &str = "grpc-timeout";
/// Longer than any call, and short enough to be added to any time.
pub const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
/// A timeout has at most 8 digits.
const COUNT_MAX: u128 = 99_999_999;

/// When a call must have ended.
pub struct Deadline(Pin<Box<Sleep>>);

impl Deadline {
    /// `timeout` after `now`.
    pub fn after(now: Instant, timeout: Duration) -> Self {
        Self(Box::pin(time::sleep_until(now + timeout.min(NEVER))))
    }

    /// The time it is.
    pub fn at(&self) -> Instant {
        self.0.deadline()
    }

    /// Waits until it has passed.
    pub async fn passed(&mut self) -> Status {
        self.0.as_mut().await;
        passed()
    }

    /// Whether it has passed.
    pub fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<Status> {
        self.0.as_mut().poll(cx).map(|()| passed())
    }
}

/// The status of a call whose deadline has passed.
pub fn passed() -> Status {
    Status::deadline_exceeded("no answer before the deadline")
}

/// The timeout that a call has of its own.
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT_HEADER)?.to_str().ok()?;
    let (count, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: u32 = count.parse().ok()?;
    let count = u64::from(count);
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Tells the server how much time is left.
pub fn set_timeout(headers: &mut HeaderMap, left: Duration) {
    let text = if left.as_micros() <= COUNT_MAX {
        format!("{}u", left.as_micros())
    } else if left.as_millis() <= COUNT_MAX {
        format!("{}m", left.as_millis())
    } else {
        format!("{}M", u128::from(left.as_secs() / 60).min(COUNT_MAX))
    };
    headers.insert(TIMEOUT_HEADER, HeaderValue::try_from(text).expect("digits and a letter"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_written_as_they_are_read() {
        let mut headers = HeaderMap::new();
        assert_eq!(timeout(&headers), None);
        for left in [Duration::ZERO, Duration::from_micros(1), Duration::from_secs(1), Duration::from_secs(3600)] {
            set_timeout(&mut headers, left);
            assert_eq!(timeout(&headers), Some(left));
        }
        set_timeout(&mut headers, Duration::MAX);
        assert_eq!(timeout(&headers), Some(Duration::from_secs(99_999_999 * 60)));
    }

    #[test]
    fn tonic_writes_what_is_read() {
        for own in [Duration::from_millis(250), Duration::from_secs(7), Duration::from_secs(1_000_000)] {
            let mut request = tonic::Request::new(());
            request.set_timeout(own);
            assert_eq!(timeout(request.metadata().as_ref()), Some(own));
        }
    }
}
