//! Every way a verification can end, in the order of the checks.

use std::sync::Arc;

use super::CachedKey;
use super::allowance::{RateStanding, Standing};
use crate::key::usage::Counted;

/// How a verification ended. A bad key is a verdict, not an error.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// All holds. What the key has left now.
    Valid(Arc<CachedKey>, Standing),
    /// Not a key of any known form, or a bad checksum.
    Malformed,
    /// Unknown lookup, wrong or replaced secret, or another keyspace's key.
    NotFound,
    /// The key was revoked.
    Revoked(Arc<CachedKey>),
    /// The key has expired.
    Expired(Arc<CachedKey>),
    /// The key is switched off.
    Disabled(Arc<CachedKey>),
    /// The key may not be used from there.
    IpNotAllowed(Arc<CachedKey>),
    /// The key lacks scopes.
    InsufficientScope {
        /// The key.
        key: Arc<CachedKey>,
        /// What it lacks.
        missing: Vec<String>,
    },
    /// The key was used as often as it may.
    RateLimited(Arc<CachedKey>, RateStanding),
    /// The key has so many credits left, which are not enough.
    CreditsExhausted(Arc<CachedKey>, i64),
}

impl Verdict {
    /// The key that it is about, if it is about one.
    pub fn key(&self) -> Option<&Arc<CachedKey>> {
        self.counted().map(|(key, _)| key)
    }

    /// The key that it is about, and what it counts as; `None`: it is about none.
    pub(super) fn counted(&self) -> Option<(&Arc<CachedKey>, Counted)> {
        Some(match self {
            Self::Malformed | Self::NotFound => return None,
            Self::Valid(key, _) => (key, Counted::Valid),
            Self::Revoked(key) => (key, Counted::Revoked),
            Self::Expired(key) => (key, Counted::Expired),
            Self::Disabled(key) => (key, Counted::Disabled),
            Self::IpNotAllowed(key) => (key, Counted::IpNotAllowed),
            Self::InsufficientScope { key, .. } => (key, Counted::InsufficientScope),
            Self::RateLimited(key, _) => (key, Counted::RateLimited),
            Self::CreditsExhausted(key, _) => (key, Counted::CreditsExhausted),
        })
    }
}
