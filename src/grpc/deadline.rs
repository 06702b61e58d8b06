//! How long a call may take, as gRPC says it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use tokio::time::{self, Sleep};
use tonic::Status;

use super::status;

/// How long the client allows the call (gRPC over HTTP/2, "Timeout").
const TIMEOUT_HEADER: HeaderName = HeaderName::from_static("grpc-timeout");

/// How long a call may take, from when it is first waited for.
pub struct Deadline {
    allowed: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// The deadline that these headers set.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        Some(Self { allowed: allowed(headers.get(TIMEOUT_HEADER)?.to_str().ok()?)?, timer: None })
    }

    /// The deadline this long from now on.
    pub fn after(allowed: Duration) -> Self {
        Self { allowed, timer: None }
    }

    /// How long the call may take in all.
    pub fn allowed(&self) -> Duration {
        self.allowed
    }

    /// The error, once it is over.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Status> {
        let allowed = self.allowed;
        let timer = self.timer.get_or_insert_with(|| Box::pin(time::sleep(allowed)));
        timer.as_mut().poll(cx).map(|()| status::deadline_exceeded(allowed))
    }
}

/// What `call` comes to before `deadline`, if there is one.
///
/// # Errors
/// DEADLINE_EXCEEDED.
pub async fn within<T>(deadline: Option<Deadline>, call: impl Future<Output = T>) -> Result<T, Status> {
    match deadline {
        Some(Deadline { allowed, .. }) => {
            time::timeout(allowed, call).await.map_err(|_| status::deadline_exceeded(allowed))
        }
        None => Ok(call.await),
    }
}

/// What a timeout says: up to eight digits and a unit. What is none is passed over.
fn allowed(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_hours(count)),
        "M" => Some(Duration::from_mins(count)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}
