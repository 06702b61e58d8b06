//! What somebody does who has a root key for a keyspace of their own: everything that is dear, all the time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prost::Message;

use super::Target;
use super::calls::{in_flight, lost};
use crate::client::{CallError, Connection, framed};
use crate::fixture::{NEIGHBOUR, NEIGHBOUR_LABELS, create_request, import, verify_request};
use crate::frames;
use crate::made;
use crate::methods;
use crate::pb;
use crate::raw::Raw;

const DEADLINE: Duration = Duration::from_secs(10);
/// The largest page.
const PAGE_SIZE: i32 = 1_000;
/// Deadlines of cancelled calls are shorter than this.
const CANCELLED_AFTER_MS_MAX: u64 = 30;
/// The dearest Argon2id that may be imported. No secret of it is known here.
const COSTLY: &str =
    "$argon2id$v=19$m=65536,t=6,p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b4dWRWJTmaaJObG4Wd4Wd4Wd4U";
/// Calls that are begun and cancelled without a pause. Of fewer than 5,000 a second no connection is ended.
const RESETS: usize = 4_000;
/// Streams whose answers are not taken.
const UNREAD_STREAMS: u32 = 100;

/// Lists from far behind the beginning.
pub async fn skips(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    let skip = i32::try_from(target.fixture.sizes.neighbour_keys.saturating_sub(1_000)).unwrap_or(i32::MAX);
    let request = pb::ListApiKeysRequest { keyspace: NEIGHBOUR.into(), skip, page_size: 50, ..Default::default() };
    repeat(target, number, 1, methods::LIST, move || request.clone()).await
}

/// Searches names for what no index finds.
pub async fn names(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    let request = || pb::ListApiKeysRequest {
        keyspace: NEIGHBOUR.into(),
        query: made::text(3).to_lowercase(),
        ..Default::default()
    };
    repeat(target, number, 1, methods::LIST, request).await
}

/// Asks for pages of keys whose labels are as large as they may be.
pub async fn large_pages(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    repeat(target, number, 1, methods::LIST, large_page).await
}

/// The same, and takes a byte of each.
pub async fn unread_pages(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    let window = [(frames::SETTINGS_INITIAL_WINDOW_SIZE, 1)];
    let mut raw = Raw::open(&target.plain_endpoint(number), &window).await?;
    let request = large_page().encode_to_vec();
    for stream in (0..UNREAD_STREAMS).map(|number| 2 * number + 1) {
        let mut call = frames::grpc_headers(stream, methods::LIST, Some(&target.fixture.neighbour));
        call.extend(frames::grpc_data(stream, frames::END_STREAM, &request));
        target.tally.sent(call.len());
        raw.send(&call).await?;
    }
    raw.ended().await;
    Ok(())
}

fn large_page() -> pb::ListApiKeysRequest {
    pb::ListApiKeysRequest { keyspace: NEIGHBOUR_LABELS.into(), page_size: PAGE_SIZE, ..Default::default() }
}

/// Asks for the whole audit trail, and for what it does not hold.
pub async fn audit(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    let actor = if number.is_multiple_of(2) { String::new() } else { "nobody".to_owned() };
    let request = pb::ListAuditEventsRequest {
        keyspace: NEIGHBOUR_LABELS.into(),
        actor,
        page_size: PAGE_SIZE,
        ..Default::default()
    };
    repeat(target, number, 1, methods::AUDIT, move || request.clone()).await
}

/// Imports the dearest hashes, and guesses at each right away.
pub async fn imports(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    let connection = Connection::open(&target.endpoint(number)).await?;
    loop {
        let prefix = format!("costly_{}", made::text(12));
        let mut entry = import("costly");
        entry.material = Some(pb::api_key_import::Material::Phc(COSTLY.to_owned()));
        entry.lookup_prefix.clone_from(&prefix);
        let request =
            pb::ImportApiKeysRequest { keyspace: NEIGHBOUR.into(), entries: vec![entry], ..Default::default() };
        let root_key = &target.fixture.neighbour;
        let result: Result<pb::ImportApiKeysResponse, _> =
            connection.call(methods::IMPORT, root_key, &request, DEADLINE).await;
        target.tally.count(&result);
        lost(result)?;
        for _ in 0..4 {
            let guess = framed(&verify_request(&format!("{prefix}{}", made::text(24))));
            let result = connection.call_framed(methods::VERIFY, root_key, guess, DEADLINE).await;
            target.tally.count(&result);
            lost(result)?;
        }
    }
}

/// Guesses at secrets whose hash is dear.
pub async fn bcrypt_guesses(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    let prefix = target.fixture.guessable[number % target.fixture.guessable.len()].clone();
    let request = move || verify_request(&format!("{prefix}{}", made::text(24)));
    repeat(target, number, 4, methods::VERIFY, request).await
}

/// Verifies keys that nobody issued.
pub async fn unknown_keys(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    repeat(target, number, 8, methods::VERIFY, || verify_request(&made::key("neighbour"))).await
}

/// Makes keys.
pub async fn creates(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    repeat(target, number, 8, methods::CREATE, || create_request(NEIGHBOUR, "one of many")).await
}

/// Verifies a thousand keys at once that nobody issued.
pub async fn batches(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    let request =
        || pb::BatchVerifyRequest { requests: (0..1_000).map(|_| verify_request(&made::key("neighbour"))).collect() };
    repeat(target, number, 2, methods::BATCH_VERIFY, request).await
}

/// Changes and lists, and gives up after moments.
pub async fn cancelled_calls(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    let connection = Connection::open(&target.endpoint(number)).await?;
    in_flight(1, || async {
        let list = pb::ListApiKeysRequest { keyspace: NEIGHBOUR.into(), page_size: 50, ..Default::default() };
        let (path, message) = match fastrand::u8(..4) {
            0 => (methods::LIST, framed(&list)),
            _ => (methods::CREATE, framed(&create_request(NEIGHBOUR, "cancelled"))),
        };
        cancelled(&target, &connection, path, message).await
    })
    .await
}

/// Verifies keys that are not known yet, and gives up after moments.
pub async fn cancelled_verifies(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    let connection = Connection::open(&target.endpoint(number)).await?;
    in_flight(1, || {
        let message = framed(&verify_request(&made::key("neighbour")));
        cancelled(&target, &connection, methods::VERIFY, message)
    })
    .await
}

/// Begins calls and cancels them at once, as many as wait to be looked at.
pub async fn resets(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    let raw = Raw::open(&target.plain_endpoint(number), &[]).await?;
    let root_key = Some(target.fixture.neighbour.as_str());
    let message = verify_request(&made::key("neighbour")).encode_to_vec();
    let mut call = frames::grpc_headers(1, methods::VERIFY, root_key);
    call.extend(frames::grpc_data(1, frames::END_STREAM, &message));
    raw.send(&call).await?;
    while raw.peer.heads.load(Ordering::Relaxed) == 0 && !raw.is_ended() {
        raw.heard().await;
    }
    let mut streams = (1..).map(|number| 2 * number + 1);
    loop {
        let resets: Vec<u8> = streams.by_ref().take(RESETS).flat_map(reset).collect();
        target.tally.sent(resets.len());
        if raw.is_ended() {
            return Ok(());
        }
        raw.send(&resets).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// A call that its caller cancels, in 25 bytes.
fn reset(stream: u32) -> Vec<u8> {
    // POST, http and / in HPACK's table of what is known (RFC 7541, appendix A).
    let head = frames::frame(frames::HEADERS, frames::END_HEADERS, stream, &[0x83, 0x86, 0x84]);
    [head, frames::reset(stream)].concat()
}

async fn cancelled(
    target: &Target,
    connection: &Connection,
    path: &str,
    message: bytes::Bytes,
) -> Result<(), CallError> {
    let deadline = Duration::from_millis(fastrand::u64(..=CANCELLED_AFTER_MS_MAX));
    let result = connection.call_framed(path, &target.fixture.neighbour, message, deadline).await;
    target.tally.count(&result);
    lost(result)
}

async fn repeat<M: Message>(
    target: Arc<Target>,
    number: usize,
    count: usize,
    path: &'static str,
    request: impl Fn() -> M,
) -> Result<(), CallError> {
    let connection = Connection::open(&target.endpoint(number)).await?;
    in_flight(count, || async {
        let message = framed(&request());
        let result = connection.call_framed(path, &target.fixture.neighbour, message, DEADLINE).await;
        target.tally.count(&result);
        lost(result)
    })
    .await
}
