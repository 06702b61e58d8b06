//! Security events: which callers were refused, counted for metrics, sampled for the log, and denials written to the audit
//! trail where the caller is known. A stranger makes none of these grow: kinds are few, a kind has one log line in ten
//! seconds, and a root key has one audit event a minute for each method.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::key::permission::Permission;
use crate::log_sampler::LogSampler;

/// How often denials of one root key and method are told to the audit trail.
const AUDIT_INTERVAL: Duration = Duration::from_mins(1);
/// Most denials in an [`AUDIT_INTERVAL`] that are told to the audit trail, those of all root keys together.
const AUDITED_MAX: usize = 100;
/// Most denials that wait to be written.
const AUDIT_QUEUE_MAX: usize = 100;

/// Why a caller could not be authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthenticationFailure {
    /// There is no credential.
    Missing,
    /// The credential cannot be a root key, or there are two.
    Malformed,
    /// There is no such root key.
    Unknown,
    /// The root key was revoked.
    Revoked,
    /// The root key has expired.
    Expired,
    /// The root key is switched off, or may not be used so.
    Disabled,
    /// Too many wrong credentials came from there of late.
    Throttled,
}

impl AuthenticationFailure {
    const ALL: [Self; 7] =
        [Self::Missing, Self::Malformed, Self::Unknown, Self::Revoked, Self::Expired, Self::Disabled, Self::Throttled];

    fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Disabled => "disabled",
            Self::Throttled => "throttled",
        }
    }
}

/// Why a call was refused although its caller may make it. Named as the reason of its error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallRefusal {
    /// The budget of its root key is spent.
    CallerLimit,
    /// The budget of its keyspace is spent.
    KeyspaceLimit,
    /// Its keyspace has no room for another key.
    KeyspaceFull,
    /// Too many calls of its kind are under way, or its request did not arrive as a whole and others needed the memory.
    ManagementBusy,
    /// It waited unread for too long.
    ServerBusy,
    /// Too many keys are being looked up.
    LookupsBusy,
    /// Too many secrets are being hashed.
    HashingBusy,
    /// Too many wrong secrets were presented for a key.
    GuessingThrottled,
    /// Too many lists are being made.
    ListsBusy,
    /// Its list took too long.
    ListTooSlow,
}

impl CallRefusal {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::CallerLimit,
        Self::KeyspaceLimit,
        Self::KeyspaceFull,
        Self::ManagementBusy,
        Self::ServerBusy,
        Self::LookupsBusy,
        Self::HashingBusy,
        Self::GuessingThrottled,
        Self::ListsBusy,
        Self::ListTooSlow,
    ];

    /// The reason of its error.
    pub fn name(self) -> &'static str {
        match self {
            Self::CallerLimit => "CALLER_LIMIT",
            Self::KeyspaceLimit => "KEYSPACE_LIMIT",
            Self::KeyspaceFull => "KEYSPACE_FULL",
            Self::ManagementBusy => "MANAGEMENT_BUSY",
            Self::ServerBusy => "SERVER_BUSY",
            Self::LookupsBusy => "LOOKUPS_BUSY",
            Self::HashingBusy => "HASHING_BUSY",
            Self::GuessingThrottled => "GUESSING_THROTTLED",
            Self::ListsBusy => "LISTS_BUSY",
            Self::ListTooSlow => "LIST_TOO_SLOW",
        }
    }
}

/// A call that was refused, as the log tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedCall {
    /// The id of the root key; `None`: it is not known.
    pub root_key_id: Option<String>,
    /// The method's path.
    pub method: String,
    /// From where the call came.
    pub peer: String,
    /// The message of the error, which names the keyspace where one is the cause; `None`: it was refused before one was made.
    pub error: Option<String>,
}

/// A call that was denied.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Denial {
    /// The id of the root key.
    pub root_key_id: String,
    /// The method's path.
    pub method: String,
    /// The permission that was missing.
    pub permission: String,
    /// From where the call came.
    pub peer: String,
}

/// The events of a server.
pub struct SecurityEvents {
    clock: Arc<dyn Clock>,
    failures: [AtomicU64; AuthenticationFailure::ALL.len()],
    failure_logs: [LogSampler; AuthenticationFailure::ALL.len()],
    refusal_logs: [LogSampler; CallRefusal::ALL.len()],
    /// By the place in [`Permission::names`].
    denials: Vec<AtomicU64>,
    denial_log: LogSampler,
    audited: Mutex<HashMap<(String, String), Duration>>,
    unaudited: AtomicU64,
    audit: mpsc::Sender<Denial>,
}

impl SecurityEvents {
    /// No events yet; and the denials that are to be written to the audit trail.
    pub fn new(clock: Arc<dyn Clock>) -> (Self, mpsc::Receiver<Denial>) {
        let (audit, denials) = mpsc::channel(AUDIT_QUEUE_MAX);
        let events = Self {
            clock,
            failures: Default::default(),
            failure_logs: Default::default(),
            refusal_logs: Default::default(),
            denials: Permission::names().map(|_| AtomicU64::new(0)).collect(),
            denial_log: LogSampler::default(),
            audited: Mutex::default(),
            unaudited: AtomicU64::new(0),
            audit,
        };
        (events, denials)
    }

    /// Notes that a call from `peer` was not authenticated. Where the credential is that of a root key, though not a valid
    /// one, the log names it by `root_key_id`.
    pub fn authentication_failed(&self, failure: AuthenticationFailure, root_key_id: Option<&str>, peer: &str) {
        let at = failure as usize;
        self.failures[at].fetch_add(1, Ordering::Relaxed);
        if let Some(suppressed) = self.failure_logs[at].take(self.clock.elapsed()) {
            tracing::warn!(kind = failure.name(), root_key_id, peer, suppressed, "a caller was not authenticated");
        }
    }

    /// Notes that a call was refused. `call` is made only when a line is due: under overload there are many refusals, and
    /// each must cost little. The count of them is that of their errors.
    pub fn call_refused(&self, refusal: CallRefusal, call: impl FnOnce() -> RefusedCall) {
        if let Some(suppressed) = self.refusal_logs[refusal as usize].take(self.clock.elapsed()) {
            let RefusedCall { root_key_id, method, peer, error } = call();
            let (root_key_id, error) = (root_key_id.as_deref(), error.as_deref());
            tracing::warn!(reason = refusal.name(), root_key_id, method, peer, error, suppressed, "a call was refused");
        }
    }

    /// Notes that a call was denied.
    pub fn permission_denied(&self, denial: Denial) {
        if let Some(at) = Permission::names().position(|name| name == denial.permission) {
            self.denials[at].fetch_add(1, Ordering::Relaxed);
        }
        let now = self.clock.elapsed();
        if let Some(suppressed) = self.denial_log.take(now) {
            let Denial { root_key_id, method, permission, peer } = &denial;
            tracing::warn!(root_key_id, method, permission, peer, suppressed, "a call was denied");
        }
        if !self.is_to_be_audited(&denial, now) || self.audit.try_send(denial).is_err() {
            self.unaudited.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_to_be_audited(&self, denial: &Denial, now: Duration) -> bool {
        let mut audited = self.audited.lock().unwrap_or_else(PoisonError::into_inner);
        audited.retain(|_, at| now.saturating_sub(*at) < AUDIT_INTERVAL);
        let which = (denial.root_key_id.clone(), denial.method.clone());
        let is_due = audited.len() < AUDITED_MAX && !audited.contains_key(&which);
        if is_due {
            audited.insert(which, now);
        }
        is_due
    }

    /// The number of calls that were not authenticated, by kind.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.failures.iter().map(|count| count.load(Ordering::Relaxed));
        AuthenticationFailure::ALL.into_iter().map(AuthenticationFailure::name).zip(counts)
    }

    /// The number of calls that were denied, by the permission that was missing.
    pub fn denials(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Permission::names().zip(self.denials.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// The number of denials that are not in the audit trail, for there were others like them.
    pub fn unaudited(&self) -> u64 {
        self.unaudited.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for SecurityEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecurityEvents").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Timestamp};
    use crate::log_sampler::tests::logged;

    fn denial(root_key: usize, method: &str) -> Denial {
        Denial {
            root_key_id: format!("key_{root_key}"),
            method: method.to_owned(),
            permission: "keys:write".to_owned(),
            peer: "192.0.2.1:5".to_owned(),
        }
    }

    fn drain(denials: &mut mpsc::Receiver<Denial>) -> usize {
        std::iter::from_fn(|| denials.try_recv().ok()).count()
    }

    #[test]
    fn the_audit_trail_hears_of_a_method_once_a_minute() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
        let (events, mut denials) = SecurityEvents::new(clock.clone());
        for method in ["a", "a", "b", "a"] {
            events.permission_denied(denial(1, method));
        }
        assert_eq!((drain(&mut denials), events.unaudited()), (2, 2));
        assert_eq!(events.denials().find(|(name, _)| *name == "keys:write"), Some(("keys:write", 4)));
        clock.advance(AUDIT_INTERVAL);
        events.permission_denied(denial(1, "a"));
        assert_eq!(drain(&mut denials), 1);
    }

    #[test]
    fn a_refusal_of_each_reason_is_told_at_once_and_then_every_so_often() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
        let (events, _denials) = SecurityEvents::new(clock.clone());
        let told = AtomicU64::new(0);
        let refuse_each = || {
            for refusal in CallRefusal::ALL {
                events.call_refused(refusal, || {
                    told.fetch_add(1, Ordering::Relaxed);
                    let (method, peer) = ("a".to_owned(), "192.0.2.1:5".to_owned());
                    RefusedCall { root_key_id: Some("key_1".to_owned()), method, peer, error: None }
                });
            }
        };
        let log = logged(|| {
            for _ in 0..100 {
                refuse_each();
            }
        });
        assert_eq!(told.load(Ordering::Relaxed), CallRefusal::ALL.len() as u64, "one of each, and no other was made");
        for refusal in CallRefusal::ALL {
            let line = format!("a call was refused reason={:?} root_key_id=\"key_1\" method=\"a\"", refusal.name());
            assert_eq!(log.matches(&line).count(), 1, "{log}");
        }
        clock.advance(Duration::from_mins(1));
        let log = logged(refuse_each);
        assert_eq!(log.matches("peer=\"192.0.2.1:5\" suppressed=99").count(), CallRefusal::ALL.len(), "{log}");
    }

    #[test]
    fn many_root_keys_do_not_flood_the_audit_trail() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(0)));
        let (events, mut denials) = SecurityEvents::new(clock);
        let mut written = 0;
        for root_key in 0..10 * AUDITED_MAX {
            events.permission_denied(denial(root_key, "a"));
            written += drain(&mut denials);
        }
        assert_eq!(written, AUDITED_MAX);
    }
}
