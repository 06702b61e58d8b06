//! BatchVerify.

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use tokio::task;
use tonic::Status;

use super::ask;
use super::place::Place;
use super::request::{Asked, read_batch};
use super::response::{self, Entry};
use crate::grpc::caller::Caller;
use crate::grpc::status;
use crate::manage::Violations;
use crate::verify::Verifier;

/// Most requests of one batch.
pub const BATCH_MAX: usize = 1_000;
/// Most bytes of one answer: what clients take unasked.
const ANSWER_SIZE_MAX: usize = 4 * 1024 * 1024;
/// How many of a batch wait for the store at once: enough to keep it busy. More would only wait for each other, and too
/// long where the store is slow.
const WAITING_MAX: usize = 8;
/// How many are verified in a row before other calls of the same thread have their turn: some 30 µs.
const TURN: usize = 64;

/// The answer to a batch.
pub async fn answer(verifier: &Verifier, caller: &Caller, message: &[u8]) -> Result<Vec<u8>, Status> {
    let (count, requests) = read_batch(message).map_err(status::from_malformed)?;
    // Before anything is said about the requests: who may verify nothing at all learns nothing.
    caller.verification_reach("")?;
    let mut bad = Violations::default();
    if count == 0 || count > BATCH_MAX {
        bad.add("requests", format!("must be 1 to {BATCH_MAX}; are {count}"));
        bad.check().map_err(status::from_manage)?;
    }
    let asked: Result<Vec<_>, _> = requests.into_iter().map(Asked::read).collect();
    let asked = asked.map_err(status::from_malformed)?;
    for asked in &asked {
        asked.reach(caller)?;
    }
    for (nth, asked) in asked.iter().enumerate() {
        asked.check(Place::Batch(nth), &mut bad);
    }
    bad.check().map_err(status::from_manage)?;

    let entries = verify_all(verifier, caller, &asked).await?;
    response::batch(&entries, ANSWER_SIZE_MAX).map_err(|fit| {
        let rule = format!("must be fewer: the answers to the first {fit} take 4 MiB; are {}", entries.len());
        bad.add("requests", rule);
        bad.check().map_or_else(status::from_manage, |()| unreachable!("one was added"))
    })
}

async fn verify_all<'a, 'm: 'a>(
    verifier: &'a Verifier,
    caller: &'a Caller,
    asked: &'a [Asked<'m>],
) -> Result<Vec<Entry>, Status> {
    let mut entries = Vec::with_capacity(asked.len());
    let mut waiting = Vec::new();
    for (nth, asked) in asked.iter().enumerate() {
        if nth % TURN == TURN - 1 {
            task::yield_now().await;
        }
        entries.push(verifier.verify_known(&asked.question(caller), asked.reach(caller)?).map_or_else(
            || {
                waiting.push(nth);
                // Until the store has answered.
                Entry::Untold
            },
            Entry::Told,
        ));
    }
    // One by one: a look-up takes some KiB from when it is made, and a batch may have a thousand.
    let look_ups = stream::iter(waiting).map(|nth| look_up(verifier, caller, nth, &asked[nth]));
    let mut looked_up = look_ups.buffer_unordered(WAITING_MAX);
    while let Some(done) = looked_up.next().await {
        let (nth, entry) = done?;
        entries[nth] = entry;
    }
    Ok(entries)
}

/// On the heap: the compiler cannot tell that a nested one may move between threads.
fn look_up<'a, 'm: 'a>(
    verifier: &'a Verifier,
    caller: &'a Caller,
    nth: usize,
    asked: &'a Asked<'m>,
) -> BoxFuture<'a, Result<(usize, Entry), Status>> {
    Box::pin(async move { Ok((nth, ask(verifier, caller, asked).await?)) })
}
