//! BatchVerify.

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tonic::Status;

use super::place::Place;
use super::request::{Asked, read_batch};
use super::{verify, verify_known};
use crate::grpc::caller::Caller;
use crate::grpc::status;
use crate::manage::Violations;
use crate::verify::Verifier;
use crate::verify::verdict::Verdict;

/// Most requests of one batch.
const BATCH_MAX: usize = 1_000;
/// How many of a batch wait for the store at once: enough to keep it busy, and no more than leaves room for others.
const WAITING_MAX: usize = 32;

/// The verdicts on the requests of a batch, in order.
pub async fn verify_all(verifier: &Verifier, caller: &Caller, message: &[u8]) -> Result<Vec<Verdict>, Status> {
    let requests = read_batch(message).map_err(status::from_malformed)?;
    // Before anything is said about the requests: who may verify nothing at all learns nothing.
    caller.verification_reach("")?;
    let mut bad = Violations::default();
    if requests.is_empty() || requests.len() > BATCH_MAX {
        bad.add("requests", format!("must be 1 to {BATCH_MAX}; are {}", requests.len()));
    }
    bad.check().map_err(status::from_manage)?;
    let mut verdicts = Vec::with_capacity(requests.len());
    let mut waiting = Vec::new();
    for (nth, request) in requests.into_iter().enumerate() {
        let asked = Asked::read(request).map_err(status::from_malformed)?;
        match verify_known(verifier, caller, &asked, Place::Batch(nth))? {
            Some(verdict) => verdicts.push(verdict),
            None => {
                // Stands in until the store has answered; it denies.
                verdicts.push(Verdict::NotFound);
                waiting.push(look_up(verifier, caller, nth, asked));
            }
        }
    }
    let looked_up: Vec<_> = stream::iter(waiting).buffer_unordered(WAITING_MAX).try_collect().await?;
    for (nth, verdict) in looked_up {
        verdicts[nth] = verdict;
    }
    Ok(verdicts)
}

/// On the heap: the compiler cannot tell that a nested one may move between threads.
fn look_up<'a>(
    verifier: &'a Verifier,
    caller: &'a Caller,
    nth: usize,
    asked: Asked<'a>,
) -> BoxFuture<'a, Result<(usize, Verdict), Status>> {
    Box::pin(async move { Ok((nth, verify(verifier, caller, &asked, Place::Batch(nth)).await?)) })
}
