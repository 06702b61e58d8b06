//! Ending a key: for good, or without a trace but in the audit trail.

use super::{Error, Management, Principal, Violations, check_named};
use crate::key::field;
use crate::key::id::KeyId;
use crate::key::permission::Reach;
use crate::key::record::{ApiKey, Revocation, RevocationReason};
use crate::seeded::{self, Fault};
use crate::store::{Overrides, Refusal, StoreError};

/// Why a key is revoked, checked.
#[derive(Clone, Debug)]
pub struct Grounds {
    reason: RevocationReason,
    comment: String,
}

impl Grounds {
    /// `reason` is a number of [`RevocationReason`]. `absent` is the field that should have named a key, if it did not.
    ///
    /// # Errors
    /// All that is bad.
    pub fn check(reason: i32, comment: String, absent: Option<&str>) -> Result<Self, Error> {
        let mut bad = Violations::default();
        if let Some(field) = absent {
            bad.add(field, "must name a key: give its id or a secret of it; is absent");
        }
        let known = RevocationReason::from_number(reason);
        if known.is_none() {
            bad.add("reason", format!("must be a value of RevocationReason; is {reason}"));
        }
        bad.must("comment", &comment, field::text(&comment));
        bad.check().map(|()| Self { reason: known.unwrap_or_default(), comment })
    }
}

impl Management {
    /// Revokes a key. Revoking it again succeeds, changes nothing, and promises the same. The last admin key is revoked only
    /// if `ends_last_admin`.
    pub async fn revoke(
        &self,
        id: &KeyId,
        grounds: Grounds,
        ends_last_admin: bool,
        reach: &Reach,
        by: Principal<'_>,
    ) -> Result<ApiKey, Error> {
        let at = self.clock.now();
        let revocation = Revocation { at, reason: grounds.reason, comment: grounds.comment };
        let revoked = async {
            check_named(id)?;
            let overrides = Overrides { end_last_admin: ends_last_admin, ..Overrides::default() };
            let by = self.actor_with(overrides, reach, by, at);
            let revoked = match self.store.revoke_key(id, &revocation, &by).await {
                // Whether it was made is unknown: to make it again tells.
                Err(StoreError::Unavailable(_)) => self.store.revoke_key(id, &revocation, &by).await,
                done => done,
            };
            Ok(revoked??)
        };
        let revoked = revoked.await;
        if let Ok(key) = &revoked
            && seeded::has(Fault::RepeatAtOnce)
            && key.revocation.as_ref().is_some_and(|first| first.at != at)
        {
            return revoked;
        }
        self.confirmed(revoked).await
    }

    /// Removes a key and its history of use; the last admin key only if `ends_last_admin`.
    pub async fn delete(
        &self,
        id: &KeyId,
        ends_last_admin: bool,
        reach: &Reach,
        by: Principal<'_>,
    ) -> Result<(), Error> {
        let deleted = async {
            check_named(id)?;
            let overrides = Overrides { end_last_admin: ends_last_admin, ..Overrides::default() };
            let by = self.actor_with(overrides, reach, by, self.clock.now());
            match self.store.delete_key(id, &by).await {
                Err(unknown @ StoreError::Unavailable(_)) => match self.store.delete_key(id, &by).await? {
                    // Deleted the first time perhaps, or never there: it stays unknown.
                    Err(Refusal::KeyNotFound) => Err(unknown.into()),
                    done => Ok(done?),
                },
                done => Ok(done??),
            }
        };
        self.confirmed(deleted.await).await
    }
}
