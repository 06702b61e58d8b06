//! Ending a key: for good, or without a trace but in the audit trail.

use super::{Error, Management, Principal, Violations};
use crate::key::field;
use crate::key::id::KeyId;
use crate::key::permission::Reach;
use crate::key::record::{ApiKey, Revocation, RevocationReason};

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
    /// Revokes a key. Revoking it again succeeds and changes nothing.
    pub async fn revoke(
        &self,
        id: &KeyId,
        grounds: Grounds,
        reach: &Reach,
        by: Principal<'_>,
    ) -> Result<ApiKey, Error> {
        self.get(id, reach).await?;
        let at = self.clock.now();
        let revocation = Revocation { at, reason: grounds.reason, comment: grounds.comment };
        Ok(self.store.revoke_key(id, &revocation, &self.actor(by, at)).await??)
    }

    /// Removes a key and its history of use.
    pub async fn delete(&self, id: &KeyId, reach: &Reach, by: Principal<'_>) -> Result<(), Error> {
        self.get(id, reach).await?;
        Ok(self.store.delete_key(id, &self.actor(by, self.clock.now())).await??)
    }
}
