//! How verifications of customers' keys ended. Counted beside each key and added up from there: a known key's
//! verification writes to no counter that others write to.

use std::sync::atomic::{AtomicU64, Ordering};

use super::verdict::Verdict;
use crate::key::usage::{Counted, Counts};

/// The number of verifications by verdict.
#[derive(Debug, Default)]
pub struct VerdictCounts {
    /// By the place in [`Counted::ALL`].
    known: [AtomicU64; Counted::ALL.len()],
    malformed: AtomicU64,
    not_found: AtomicU64,
}

impl VerdictCounts {
    /// Adds what was counted beside a key.
    pub(super) fn add(&self, counts: &Counts) {
        for (counted, many) in counts.iter() {
            self.known[counted.place()].fetch_add(many, Ordering::Relaxed);
        }
    }

    /// Counts a verdict that is about no key.
    pub(super) fn count_unknown(&self, verdict: &Verdict) {
        match verdict {
            Verdict::Malformed => &self.malformed,
            _ => &self.not_found,
        }
        .fetch_add(1, Ordering::Relaxed);
    }

    /// The number of each verdict, by its name in the contract.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let known = Counted::ALL.into_iter().zip(&self.known).filter_map(|(counted, count)| {
            let name = match counted {
                Counted::Created => return None,
                Counted::Valid => "VALID",
                Counted::Revoked => "REVOKED",
                Counted::Expired => "EXPIRED",
                Counted::Disabled => "DISABLED",
                Counted::IpNotAllowed => "IP_NOT_ALLOWED",
                Counted::InsufficientScope => "INSUFFICIENT_SCOPE",
                Counted::RateLimited => "RATE_LIMITED",
                Counted::CreditsExhausted => "CREDITS_EXHAUSTED",
            };
            Some((name, count))
        });
        let unknown = [("MALFORMED", &self.malformed), ("NOT_FOUND", &self.not_found)];
        known.chain(unknown).map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }
}
