//! Giving a key a new secret.

use std::time::Duration;

use super::{Error, Management, Nanos, Principal, Violations, check_id};
use crate::clock::{Timestamp, in_words, length_in_words};
use crate::key::id::KeyId;
use crate::key::permission::Reach;
use crate::key::record::{ApiKey, OVERLAP_MAX};
use crate::key::secret::Secret;
use crate::store::Overrides;

/// A key with a new secret.
#[derive(Debug)]
pub struct Rotated {
    /// The key.
    pub key: ApiKey,
    /// The new secret, returned this once.
    pub secret: Secret,
    /// When the secret before it stops working.
    pub previous_expire_time: Timestamp,
}

impl Management {
    /// Gives a key a new secret; the one before it goes on working for `overlap`. One before that ends at once: refused while
    /// it works, unless `ends_overlap`.
    pub async fn rotate(
        &self,
        id: &KeyId,
        overlap: Nanos,
        ends_overlap: bool,
        reach: &Reach,
        by: Principal<'_>,
    ) -> Result<Rotated, Error> {
        let mut bad = Violations::default();
        check_id("id", id, &mut bad);
        let overlap = check_overlap(overlap, &mut bad);
        bad.check()?;
        let key = self.get(id, reach).await?;
        let keyspace = self.keyspace(&key.keyspace).await?;
        let _charged = self.charge(&keyspace)?;
        let (newest, secret) = self.issue(&keyspace, keyspace.hash_policy).await?;
        let now = self.clock.now();
        let overrides = Overrides { end_overlap: ends_overlap, ..Overrides::default() };
        let actor = self.actor_with(overrides, reach, by, now);
        let rotated = self.store.rotate_key(id, &newest, overlap, &actor).await?;
        let key = self.confirmed(rotated.map_err(Error::Refused)).await?;
        Ok(Rotated { key, secret, previous_expire_time: now.saturating_add(overlap) })
    }
}

fn check_overlap(nanos: Nanos, bad: &mut Violations) -> Duration {
    let overlap = u64::try_from(nanos / 1_000).map(Duration::from_micros).ok();
    overlap.filter(|overlap| nanos >= 0 && *overlap <= OVERLAP_MAX).unwrap_or_else(|| {
        bad.add("overlap", format!("must be 0 s to {}; is {}", length_in_words(OVERLAP_MAX), in_words(nanos)));
        Duration::ZERO
    })
}
