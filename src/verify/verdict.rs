//! Every way a verification can end, in the order of the checks.

use std::sync::Arc;

use super::CachedKey;

/// How a verification ended. A bad key is a verdict, not an error.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// All holds.
    Valid(Arc<CachedKey>),
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
    /// The key lacks scopes.
    InsufficientScope {
        /// The key.
        key: Arc<CachedKey>,
        /// What it lacks.
        missing: Vec<String>,
    },
}
