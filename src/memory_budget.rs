//! How the memory of this process is divided between what holds most of it. All shares together stay below 70 % of the
//! limit, so that what nobody counts has room too: the allocator's slack, the store's own caches, stacks.

use std::fmt;

const MIB: usize = 1024 * 1024;
/// What the process holds beside the shares: code, threads, the store's connections with their page caches, and what the
/// allocator keeps once a cache has been filled. Measured: 30 MiB at start, 90 MiB with 64 MiB of keys.
const BASE: usize = 64 * MIB;
/// The part of the limit that may be planned with, in percent.
const PLANNED_PERCENT: usize = 70;
/// The shares of what is planned, in percent. What hashes takes 19 MiB a run and what reads a page some MiB, so that
/// small limits still leave room for one of each.
const CACHE_PERCENT: usize = 36;
const CONNECTIONS_PERCENT: usize = 30;
const HASHING_PERCENT: usize = 18;
/// No share is larger than this unless it is set: on a large machine other programs want memory too.
const CACHE_MAX: usize = 4096 * MIB;
const CONNECTIONS_MAX: usize = 2048 * MIB;
const HASHING_MAX: usize = 1024 * MIB;
const PAGES_MAX: usize = 1024 * MIB;
/// And none is smaller.
const SHARE_MIN: usize = MIB;

/// The division, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBudget {
    /// The memory that this process may use.
    pub limit: usize,
    /// For the keys that Verify answers from.
    pub cache: usize,
    /// For connections: their state, requests that were received and not handled, answers that were not sent.
    pub connections: usize,
    /// For Argon2id and other costly hashes that run at once.
    pub hashing: usize,
    /// For the rows of lists that are read at once.
    pub pages: usize,
}

impl MemoryBudget {
    /// Divides `limit` bytes; `cache` and `connections` are what the operator set for them, if so. A share that is set
    /// does not change the others.
    pub fn divide(limit: usize, cache: Option<usize>, connections: Option<usize>) -> Self {
        let planned = (limit / 100 * PLANNED_PERCENT).saturating_sub(BASE);
        let share = |percent: usize, max: usize| (planned / 100 * percent).clamp(SHARE_MIN, max) / MIB * MIB;
        let pages_percent = 100 - CACHE_PERCENT - CONNECTIONS_PERCENT - HASHING_PERCENT;
        Self {
            limit,
            cache: cache.unwrap_or_else(|| share(CACHE_PERCENT, CACHE_MAX)),
            connections: connections.unwrap_or_else(|| share(CONNECTIONS_PERCENT, CONNECTIONS_MAX)),
            hashing: share(HASHING_PERCENT, HASHING_MAX),
            pages: share(pages_percent, PAGES_MAX),
        }
    }

    /// Whether the shares, as they were set, fit into the part of the limit that may be planned with.
    pub fn fits(&self) -> bool {
        let shares = [self.cache, self.connections, self.hashing, self.pages];
        shares.into_iter().fold(BASE, usize::saturating_add) <= self.limit / 100 * PLANNED_PERCENT
    }
}

impl fmt::Display for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, cache, connections, hashing, pages } = self;
        let mib = |bytes: &usize| bytes / MIB;
        write!(
            f,
            "{} MiB: cache {} MiB, connections {} MiB, hashing {} MiB, pages {} MiB",
            mib(limit),
            mib(cache),
            mib(connections),
            mib(hashing),
            mib(pages)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divided(limit_mib: usize) -> [usize; 4] {
        let budget = MemoryBudget::divide(limit_mib * MIB, None, None);
        assert!(budget.fits(), "{budget}");
        [budget.cache, budget.connections, budget.hashing, budget.pages].map(|bytes| bytes / MIB)
    }

    #[test]
    fn limits_are_divided() {
        assert_eq!(divided(256), [41, 34, 20, 18]);
        assert_eq!(divided(512), [105, 88, 52, 47]);
        assert_eq!(divided(4096), [1009, 840, 504, 448]);
        assert_eq!(divided(256 * 1024), [4096, 2048, 1024, 1024]);
    }

    #[test]
    fn one_argon2id_run_fits_where_a_container_is_small() {
        assert!(MemoryBudget::divide(256 * MIB, None, None).hashing >= 19 * MIB);
    }

    #[test]
    fn no_limit_is_too_small_to_divide() {
        let budget = MemoryBudget::divide(16 * MIB, None, None);
        assert_eq!([budget.cache, budget.connections, budget.hashing, budget.pages], [MIB; 4]);
        assert!(!budget.fits());
    }

    #[test]
    fn what_is_set_counts() {
        let budget = MemoryBudget::divide(512 * MIB, Some(400 * MIB), None);
        assert_eq!((budget.cache, budget.connections), (400 * MIB, 88 * MIB));
        assert!(!budget.fits());
        assert_eq!(budget.to_string(), "512 MiB: cache 400 MiB, connections 88 MiB, hashing 52 MiB, pages 47 MiB");
    }
}
