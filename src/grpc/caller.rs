//! Who is calling, and may they. Decided before anything of the request is validated or looked up (AIP-211).

use std::sync::Arc;

use tonic::{Request, Status};

use super::status;
use crate::key::permission::{Grant, Permission, Reach, reach};
use crate::manage::Principal;
use crate::verify::Verifier;
use crate::verify::verdict::Verdict;

/// Tells callers by their root keys.
#[derive(Clone)]
pub struct Callers {
    verifier: Arc<Verifier>,
}

/// An authenticated caller.
#[derive(Debug)]
pub struct Caller {
    key_id: String,
    peer: String,
    grants: Vec<Grant>,
}

impl Callers {
    /// Callers whose root keys `verifier` verifies.
    pub fn new(verifier: Arc<Verifier>) -> Self {
        Self { verifier }
    }

    /// The caller of `request`.
    ///
    /// # Errors
    /// UNAUTHENTICATED without a valid root key; UNAVAILABLE if that cannot be found out.
    pub async fn authenticate<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        let header = request.metadata().get("authorization").ok_or_else(status::credential_missing)?;
        let credential = header.to_str().ok().and_then(bearer).ok_or_else(status::credential_invalid)?;
        match self.verifier.verify_root(credential).await.map_err(status::from_verify)? {
            Verdict::Valid(key) => Ok(Caller {
                key_id: key.id.as_str().to_owned(),
                peer: request.remote_addr().map(|addr| addr.to_string()).unwrap_or_default(),
                // What is no permission any more grants nothing.
                grants: key.scopes.iter().filter_map(|scope| scope.parse().ok()).collect(),
            }),
            _ => Err(status::credential_invalid()),
        }
    }
}

/// The credential of an `authorization` header. The scheme's case does not matter (RFC 9110, 11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, credential) = header.split_once(' ')?;
    let credential = credential.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !credential.is_empty()).then_some(credential)
}

impl Caller {
    /// Where the caller may do this; PERMISSION_DENIED if nowhere.
    pub fn reach(&self, permission: Permission) -> Result<Reach, Status> {
        reach(&self.grants, permission).ok_or_else(|| status::permission_missing(permission))
    }

    /// Whether the caller may do this in `keyspace`; PERMISSION_DENIED if not, whether or not there is such a keyspace.
    pub fn may(&self, permission: Permission, keyspace: &str) -> Result<(), Status> {
        if self.reach(permission)?.includes(keyspace) { Ok(()) } else { Err(status::permission_missing(permission)) }
    }

    /// Where a verification may look: in the keyspace that is named, else wherever the caller may. Root keys are found
    /// only by naming `system`, so that no request of a customer's is ever let in by one.
    pub fn verification_reach(&self, keyspace: &str) -> Result<Reach, Status> {
        if keyspace.is_empty() {
            return Ok(match self.reach(Permission::KeysVerify)? {
                Reach::Everywhere => Reach::AllButSystem,
                reach => reach,
            });
        }
        self.may(Permission::KeysVerify, keyspace)?;
        Ok(Reach::Only(vec![keyspace.to_owned()]))
    }

    /// The caller as the audit trail names it.
    pub fn principal(&self) -> Principal<'_> {
        Principal { name: &self.key_id, peer: &self.peer }
    }
}
