//! VerificationService: messages are read where they lie and verdicts written as they go out, with nothing between.

mod batch;
mod known;
mod place;
mod request;
mod response;
mod service;
mod stream;
mod wire;

use tonic::Status;

use super::caller::Caller;
use super::status;
use crate::key::keyspace::{SYSTEM, is_keyspace_id};
use crate::key::permission::Grant;
use crate::key::scope::{self, Demand, SCOPES_MAX};
use crate::manage::Violations;
use crate::verify::Verifier;
use crate::verify::verdict::Verdict;

pub use known::{Answer, Called, Calling};
pub use place::Place;
pub use response::{number, write_claims};
pub use service::Verification;
pub use wire::Malformed;

use request::Asked;

/// The verdict that `caller` asks for.
async fn verify(verifier: &Verifier, caller: &Caller, asked: &Asked<'_>, at: Place) -> Result<Verdict, Status> {
    let (question, reach) = asked.put(caller, at)?;
    verifier.verify(&question, reach).await.map_err(status::from_verify)
}

/// The same without waiting for anything; `None`: it takes [`verify`].
fn verify_known(verifier: &Verifier, caller: &Caller, asked: &Asked<'_>, at: Place) -> Result<Option<Verdict>, Status> {
    let (question, reach) = asked.put(caller, at)?;
    Ok(verifier.verify_known(&question, reach))
}

/// The demand of a request, if it makes sense: a demand that no key can ever meet is a mistake of the caller's.
pub(super) fn demand<'a>(
    all_of: &'a [&'a str],
    any_of: &'a [&'a str],
    keyspace: &str,
    at: Place,
) -> Result<Demand<'a>, Status> {
    let mut bad = Violations::default();
    if !keyspace.is_empty() && !is_keyspace_id(keyspace) {
        bad.must(format!("{at}keyspace"), keyspace, Err("match [a-z][a-z0-9-]{0,39}"));
    }
    for (field, scopes) in [("required_scopes", all_of), ("any_of_scopes", any_of)] {
        if scopes.len() > SCOPES_MAX {
            bad.add(format!("{at}{field}"), format!("must be at most {SCOPES_MAX} scopes; are {}", scopes.len()));
            continue;
        }
        for (nth, scope) in scopes.iter().enumerate() {
            let rule = if keyspace == SYSTEM {
                scope.parse::<Grant>().map(drop).map_err(|rule| rule.to_string())
            } else {
                scope::check(scope).map_err(str::to_owned)
            };
            if let Err(rule) = rule {
                bad.must(format!("{at}{field}[{nth}]"), scope, Err(rule));
            }
        }
    }
    match bad.check() {
        Ok(()) => Ok(Demand { all_of, any_of }),
        Err(error) => Err(status::from_manage(error)),
    }
}
