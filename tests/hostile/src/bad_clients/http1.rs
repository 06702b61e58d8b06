//! Requests of HTTP/1.1 that are none.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::PATIENCE;
use crate::client::{Endpoint, connect};

/// By name; each must be answered or the connection ended.
pub const CASES: [(&str, &[u8]); 8] = [
    ("http/1: no request line", b"\x01\x02\x03\r\n\r\n"),
    ("http/1: no such version", b"GET / HTTP/9.9\r\nHost: x\r\n\r\n"),
    ("http/1: a header without a colon", b"GET / HTTP/1.1\r\nHost x\r\n\r\n"),
    ("http/1: a name with a NUL", b"GET / HTTP/1.1\r\nHo\0st: x\r\n\r\n"),
    ("http/1: a negative length", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"),
    ("http/1: two lengths", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
    (
        "http/1: length and chunks",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("http/1: no chunk", b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
];

pub async fn run(endpoint: &Endpoint, bytes: &[u8]) -> Result<(), String> {
    let heard = async {
        let mut stream = connect(endpoint).await?;
        stream.write_all(bytes).await?;
        let mut answer = [0; 16];
        stream.read(&mut answer).await
    };
    match tokio::time::timeout(PATIENCE, heard).await {
        // An end by reset is an end.
        Ok(_) => Ok(()),
        Err(_) => Err("neither answered nor ended".into()),
    }
}
