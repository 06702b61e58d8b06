//! Ending a key: for good, or without a trace but in the audit trail.

use super::{Error, Management, Principal, Violations};
use crate::key::field;
use crate::key::id::KeyId;
use crate::key::permission::Reach;
use crate::key::record::{ApiKey, Revocation, RevocationReason};

impl Management {
    /// Revokes a key. Revoking it again succeeds and changes nothing. `reason` is a number of [`RevocationReason`].
    pub async fn revoke(
        &self,
        id: &KeyId,
        reason: i32,
        comment: String,
        reach: &Reach,
        by: Principal<'_>,
    ) -> Result<ApiKey, Error> {
        let reason = check_revocation(reason, &comment)?;
        self.get(id, reach).await?;
        let at = self.clock.now();
        let revocation = Revocation { at, reason, comment };
        Ok(self.store.revoke_key(id, &revocation, &self.actor(by, at)).await??)
    }

    /// Removes a key and its history of use.
    pub async fn delete(&self, id: &KeyId, reach: &Reach, by: Principal<'_>) -> Result<(), Error> {
        self.get(id, reach).await?;
        Ok(self.store.delete_key(id, &self.actor(by, self.clock.now())).await??)
    }
}

fn check_revocation(reason: i32, comment: &str) -> Result<RevocationReason, Error> {
    let mut bad = Violations::default();
    let known = RevocationReason::from_number(reason);
    if known.is_none() {
        bad.add("reason", format!("must be a value of RevocationReason; is {reason}"));
    }
    bad.must("comment", comment, field::text(comment));
    bad.check().map(|()| known.unwrap_or_default())
}
