//! Every way a verification can end, in the order of the checks.

use crate::key::record::ApiKey;

/// How a verification ended. A bad key is a verdict, not an error.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// All holds.
    Valid(ApiKey),
    /// Not a key of any known form, or a bad checksum.
    Malformed,
    /// Unknown lookup, wrong or replaced secret, or another keyspace's key.
    NotFound,
    /// The key was revoked.
    Revoked(ApiKey),
    /// The key has expired.
    Expired(ApiKey),
    /// The key is switched off.
    Disabled(ApiKey),
    /// The key lacks scopes.
    InsufficientScope {
        /// The key.
        key: ApiKey,
        /// What it lacks.
        missing: Vec<String>,
    },
}

impl Verdict {
    /// The key, where the verdict may show it.
    pub fn key(&self) -> Option<&ApiKey> {
        match self {
            Self::Malformed | Self::NotFound => None,
            Self::Valid(key) | Self::Revoked(key) | Self::Expired(key) | Self::Disabled(key) => Some(key),
            Self::InsufficientScope { key, .. } => Some(key),
        }
    }

    /// The key, where the verdict may show it.
    pub fn into_key(self) -> Option<ApiKey> {
        match self {
            Self::Malformed | Self::NotFound => None,
            Self::Valid(key) | Self::Revoked(key) | Self::Expired(key) | Self::Disabled(key) => Some(key),
            Self::InsufficientScope { key, .. } => Some(key),
        }
    }
}
