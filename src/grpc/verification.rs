//! VerificationService.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::pb::verification_service_server::VerificationService;
use super::{caller, convert, pb, status};
use crate::key::keyspace::{SYSTEM, is_keyspace_id};
use crate::key::permission::Grant;
use crate::key::scope::{self, Demand, SCOPES_MAX};
use crate::key::secret::Secret;
use crate::manage::Violations;
use crate::verify::Verifier;

/// The handlers.
pub struct Verification {
    /// Who decides.
    pub verifier: Arc<Verifier>,
}

#[tonic::async_trait]
impl VerificationService for Verification {
    async fn verify(&self, request: Request<pb::VerifyRequest>) -> Result<Response<pb::VerifyResponse>, Status> {
        let caller = caller::of(&request)?;
        let reach = caller.verification_reach(&request.get_ref().keyspace)?;
        let asked = request.into_inner();
        let demand = demand(&asked.required_scopes, &asked.any_of_scopes, &asked.keyspace)?;
        let key = Secret::new(asked.key);
        let judged = self.verifier.verify(key.expose(), demand, &reach).await.map_err(status::from_verify)?;
        Ok(Response::new(convert::verify_response(judged)))
    }
}

/// The demand of a request, if it makes sense: a demand that no key can ever meet is a mistake of the caller's.
pub(super) fn demand<'a>(
    required_scopes: &'a [String],
    any_of_scopes: &'a [String],
    keyspace: &str,
) -> Result<Demand<'a>, Status> {
    let mut bad = Violations::default();
    if !keyspace.is_empty() && !is_keyspace_id(keyspace) {
        bad.must("keyspace", keyspace, Err("match [a-z][a-z0-9-]{0,39}"));
    }
    for (field, scopes) in [("required_scopes", required_scopes), ("any_of_scopes", any_of_scopes)] {
        if scopes.len() > SCOPES_MAX {
            bad.add(field, format!("must be at most {SCOPES_MAX} scopes; are {}", scopes.len()));
            continue;
        }
        for (at, scope) in scopes.iter().enumerate() {
            if keyspace == SYSTEM {
                bad.must(format!("{field}[{at}]"), scope, scope.parse::<Grant>().map(drop));
            } else if let Err(rule) = scope::check(scope) {
                bad.must(format!("{field}[{at}]"), scope, Err(rule));
            }
        }
    }
    match bad.check() {
        Ok(()) => Ok(Demand { all_of: required_scopes, any_of: any_of_scopes }),
        Err(error) => Err(status::from_manage(error)),
    }
}
