//! Plaintext on a port that speaks TLS: the client is told, in its own protocol, what to do instead.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time;

/// What it is told.
const USE_TLS: &str = "this port speaks TLS: use https://";
/// An empty SETTINGS, and the head of a GOAWAY (RFC 9113, 6.5 and 6.8).
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const GOAWAY: u8 = 7;
/// INADEQUATE_SECURITY (RFC 9113, 7).
const REASON: u32 = 0xc;
/// How much of a request is read before the connection is closed, and for how long: what is closed with something unread takes
/// the answer with it.
const UNREAD_MAX: usize = 16 * 1024;
const UNREAD_WAIT_MAX: Duration = Duration::from_secs(1);

/// Waits for the first byte. If it is that of a request in plaintext, answers it and says so by an error.
pub async fn refuse(stream: &mut TcpStream) -> io::Result<()> {
    let mut first = [0; 4];
    // A handshake begins with 22 (RFC 8446, 5.1), and a request with the name of a method.
    if stream.peek(&mut first).await? == 0 || !first[0].is_ascii_uppercase() {
        return Ok(());
    }
    let answer = if first.starts_with(b"PRI") { goaway() } else { bad_request() };
    stream.write_all(&answer).await?;
    stream.shutdown().await?;
    // Whether it comes or not, the connection ends.
    let _ = time::timeout(UNREAD_WAIT_MAX, discard(stream)).await;
    Err(io::Error::new(io::ErrorKind::InvalidData, "plaintext where TLS is spoken"))
}

/// Reads on and keeps nothing: a client that sent this has no credential here, and may be one of many.
async fn discard(stream: &mut TcpStream) -> io::Result<()> {
    let (mut piece, mut left) = ([0; 512], UNREAD_MAX);
    while left > 0 {
        match stream.read(&mut piece).await? {
            0 => break,
            read => left = left.saturating_sub(read),
        }
    }
    Ok(())
}

fn goaway() -> Vec<u8> {
    let len = u8::try_from(8 + USE_TLS.len()).expect("it is short");
    let head = [0, 0, len, GOAWAY, 0, 0, 0, 0, 0];
    [&SETTINGS[..], &head, &[0; 4], &REASON.to_be_bytes(), USE_TLS.as_bytes()].concat()
}

fn bad_request() -> Vec<u8> {
    let body =
        format!(r#"{{"errors":[{{"code":"tls_required","message":"TLS required","long_message":"{USE_TLS}"}}]}}"#);
    let len = body.len();
    format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {len}\r\nconnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
