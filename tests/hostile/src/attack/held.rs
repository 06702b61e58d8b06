//! What makes a server hold memory or a place for nothing: answers not taken, bodies not ended, silence.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Target;
use crate::client::{CallError, connect};
use crate::frames;
use crate::methods;
use crate::raw::Raw;

/// What the server allows at once.
const STREAMS: u32 = 100;
/// Requests on each stream.
const REQUESTS: usize = 4;
/// `ServerReflectionRequest` with `file_containing_symbol`, and `HealthCheckRequest`.
const REFLECTION_REQUEST: &[u8] = b"\x22\x1bportcullis.v1.ApiKeyService";
const HEALTH_REQUEST: &[u8] = b"\x0a\x09readiness";
/// What a message claims to be, within what health and reflection take, and what it then is.
const CLAIMED_LEN: u32 = 16_000;
const HALF_LEN: usize = 15_000;

/// Asks for large files and takes one byte of each answer.
pub async fn reflection_unread(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    let path = if number.is_multiple_of(2) { methods::REFLECTION_V1 } else { methods::REFLECTION_V1_ALPHA };
    unread(&target, number, path, REFLECTION_REQUEST, REQUESTS).await
}

/// Asks for the health, and takes one byte of each answer.
pub async fn health_unread(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    unread(&target, number, methods::HEALTH_CHECK, HEALTH_REQUEST, 1).await
}

async fn unread(target: &Target, number: usize, path: &str, request: &[u8], requests: usize) -> Result<(), CallError> {
    let window = [(frames::SETTINGS_INITIAL_WINDOW_SIZE, 1)];
    let mut raw = Raw::open(&target.plain_endpoint(number), &window).await?;
    for stream in (0..STREAMS).map(|number| 2 * number + 1) {
        let mut call = frames::grpc_headers(stream, path, None);
        for _ in 0..requests {
            call.extend(frames::grpc_data(stream, 0, request));
        }
        target.tally.sent(call.len());
        raw.send(&call).await?;
    }
    raw.ended().await;
    Ok(())
}

/// Watches the health on as many streams as there may be.
pub async fn health_watch(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    let mut raw = Raw::open(&target.plain_endpoint(number), &[]).await?;
    for stream in (0..STREAMS).map(|number| 2 * number + 1) {
        let mut call = frames::grpc_headers(stream, methods::HEALTH_WATCH, None);
        call.extend(frames::grpc_data(stream, frames::END_STREAM, HEALTH_REQUEST));
        target.tally.sent(call.len());
        raw.send(&call).await?;
    }
    raw.ended().await;
    Ok(())
}

/// Begins bodies and never ends them: of health, reflection, Verify, and JSON, as much as the windows let through.
pub async fn half_sent(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    let mut raw = Raw::open(&target.plain_endpoint(number), &[]).await?;
    // The windows of the server come with its settings.
    let _ = tokio::time::timeout(Duration::from_secs(1), raw.heard()).await;
    let mut body = vec![0];
    body.extend(CLAIMED_LEN.to_be_bytes());
    body.resize(HALF_LEN, b'x');
    let mut json = br#"{"key": ""#.to_vec();
    json.resize(HALF_LEN, b'x');
    let paths = [methods::HEALTH_CHECK, methods::REFLECTION_V1, methods::VERIFY];
    for (count, stream) in (0..STREAMS).map(|number| 2 * number + 1).enumerate() {
        let (head, body) = match paths.get(count % (paths.len() + 1)) {
            Some(path) => (frames::grpc_headers(stream, path, None), &body),
            None => (frames::frame(frames::HEADERS, frames::END_HEADERS, stream, &json_block()), &json),
        };
        raw.send(&head).await?;
        let mut sent = 0;
        while sent < body.len() {
            let more = raw.send_body(stream, &body[sent..]).await?;
            target.tally.sent(more);
            sent += more;
            if more == 0 {
                // Until the server has read what it got.
                if tokio::time::timeout(Duration::from_millis(500), raw.heard()).await.is_err() {
                    break;
                }
            }
        }
    }
    raw.ended().await;
    Ok(())
}

fn json_block() -> Vec<u8> {
    frames::block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", methods::VERIFY),
        (":authority", "localhost"),
        ("content-type", "application/json"),
        ("content-length", "1000000"),
    ])
}

/// Says hello in HTTP/2 and nothing more.
pub async fn idle(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    let endpoint = target.endpoint(number);
    if endpoint.tls.is_some() {
        // Calm over TLS: a connection as a client leaves it.
        let connection = crate::client::Connection::open(&endpoint).await?;
        std::future::pending::<()>().await;
        drop(connection);
        return Ok(());
    }
    // The buffers of a reader for each would be the harness's to pay.
    let mut stream = connect(&endpoint).await?;
    stream.write_all(&[frames::PREFACE, &frames::settings(&[])].concat()).await?;
    let mut buffer = [0; 256];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Sends the head of an HTTP/1.1 request byte by byte.
pub async fn slow_heads(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    let mut stream = connect(&target.plain_endpoint(number)).await?;
    stream.write_all(b"POST /portcullis.v1.VerificationService/Verify HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await?;
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        stream.write_all(b"x").await?;
        target.tally.sent(1);
        let mut answer = [0; 512];
        match stream.try_read(&mut answer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads the metrics again and again on a connection that stays.
pub async fn metrics_hogs(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    let mut stream = connect(&target.metrics_endpoint(number)).await?;
    let mut buffer = vec![0; 65_536];
    loop {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
        if stream.read(&mut buffer).await? == 0 {
            return Ok(());
        }
        target.tally.answered.fetch_add(1, Ordering::Relaxed);
        // A few never let go of the processor, the others of their place.
        let pause = if number < 4 { Duration::ZERO } else { Duration::from_secs(1) };
        tokio::time::sleep(pause).await;
    }
}

/// Begins a TLS handshake and never ends it.
pub async fn tls_half(target: Arc<Target>, number: usize) -> Result<(), CallError> {
    let mut stream = connect(&target.plain_endpoint(number)).await?;
    // A record of 512 bytes with a ClientHello, of which half is sent.
    let mut hello = vec![22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];
    hello.resize(256, 7);
    stream.write_all(&hello).await?;
    target.tally.sent(hello.len());
    let mut buffer = [0; 256];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}
