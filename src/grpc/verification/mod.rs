//! VerificationService: messages are read where they lie and verdicts written as they go out, with nothing between.

mod batch;
mod known;
mod place;
mod request;
mod response;
mod service;
mod stream;
mod wire;

use std::time::Duration;

use tonic::Status;

use super::caller::Caller;
use super::pb::ErrorReason;
use super::status;
use crate::key::credits::COST_MAX;
use crate::key::keyspace::{SYSTEM, is_keyspace_id};
use crate::key::network;
use crate::key::permission::Grant;
use crate::key::scope::{self, Demand, SCOPES_MAX};
use crate::manage::Violations;
use crate::security_events::CallRefusal;
use crate::verify::verdict::Verdict;
use crate::verify::{Question, Verifier, VerifyError};

pub use known::{Answer, Called, Calling};
pub use place::Place;
pub use response::{number, write_claims};
pub use service::{VERIFY, Verification};
pub use wire::{FRAME_HEAD_LEN, Malformed, Value, read_fields};

use request::Asked;
use response::Entry;

/// The verdict that `caller` asks for.
async fn verify(verifier: &Verifier, caller: &Caller, asked: &Asked<'_>) -> Result<Verdict, Status> {
    let reach = asked.allowed(caller, Place::Message)?;
    verifier.verify(&asked.question(caller), reach).await.map_err(status::from_verify)
}

/// The same without waiting for anything; `None`: it takes [`verify`].
fn verify_known(verifier: &Verifier, caller: &Caller, asked: &Asked<'_>, at: Place) -> Result<Option<Verdict>, Status> {
    let reach = asked.allowed(caller, at)?;
    Ok(verifier.verify_known(&asked.question(caller), reach))
}

/// How long one of many keys waits for its turn to be looked up. Few of them wait at once, and if one got none, all of the
/// others would be asked about again.
const ENTRY_WAIT_MAX: Duration = Duration::from_secs(4);

/// The entry on one of many keys, asked about by a request that was checked. What concerns this key alone fails none of
/// the others: who owns a key must not be able to fail calls about other people's.
async fn ask(verifier: &Verifier, caller: &Caller, asked: &Asked<'_>) -> Result<Entry, Status> {
    let reach = asked.reach(caller)?;
    let question = Question { lookup_wait_max: ENTRY_WAIT_MAX, ..asked.question(caller) };
    match verifier.verify(&question, reach).await {
        Ok(verdict) => Ok(Entry::Told(verdict)),
        Err(VerifyError::Throttled(_)) => {
            Ok(untold(caller, ErrorReason::GuessingThrottled, CallRefusal::GuessingThrottled))
        }
        Err(VerifyError::Hashing(_)) => Ok(untold(caller, ErrorReason::HashingBusy, CallRefusal::HashingBusy)),
        Err(error) => Err(status::from_verify(error)),
    }
}

/// The entry on a key that cannot be checked just now. No error is made of it, but it counts as one.
fn untold(caller: &Caller, why: ErrorReason, refusal: CallRefusal) -> Entry {
    status::note(why);
    caller.note_refused(refusal);
    Entry::Untold
}

/// Notes what makes no sense about who presents a key, and what it costs.
pub(super) fn check_spending(client_ip: &str, cost: Option<i64>, at: Place, bad: &mut Violations) {
    if !client_ip.is_empty() {
        bad.must(format!("{at}client_ip"), client_ip, network::address(client_ip).map(drop));
    }
    if let Some(cost) = cost.filter(|cost| !(0..=COST_MAX).contains(cost)) {
        bad.add(format!("{at}cost"), format!("must be 0 to {COST_MAX}; is {cost}"));
    }
}

/// Notes what makes no sense about the demand of a request: a demand that no key can ever meet is a mistake of the
/// caller's.
pub(super) fn check_demand(demand: Demand<'_>, keyspace: &str, at: Place, bad: &mut Violations) {
    if !keyspace.is_empty() && !is_keyspace_id(keyspace) {
        bad.must(format!("{at}keyspace"), keyspace, Err("match [a-z][a-z0-9-]{0,39}"));
    }
    for (field, scopes) in [("required_scopes", demand.all_of), ("any_of_scopes", demand.any_of)] {
        if scopes.len() > SCOPES_MAX {
            bad.add(format!("{at}{field}"), format!("must be at most {SCOPES_MAX} scopes; are more"));
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
}
