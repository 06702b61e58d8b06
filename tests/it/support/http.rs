//! A client of HTTP/1.1 that says whatever a test likes, over a plain socket.

use std::net::SocketAddr;
use std::task::Poll;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::service::in_time;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// A connection.
pub struct Http {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Http {
    pub async fn connect(addr: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(addr).await.expect("it listens"), received: Vec::new() }
    }

    /// Sends a request and hears the answer out.
    pub async fn call(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: portcullis\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        let mut request = (request + "\r\n").into_bytes();
        request.extend(body);
        self.send(&request).await;
        self.hear().await
    }

    /// Sends these bytes; the server may have stopped to listen.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = in_time("the bytes being taken", self.stream.write_all(bytes)).await;
    }

    /// Whether the server closes the connection without another word.
    pub async fn is_closed(&mut self) -> bool {
        self.received.is_empty() && matches!(in_time("the end", self.stream.read(&mut [0; 1])).await, Ok(0) | Err(_))
    }

    /// Whether the connection has ended, or there is something to hear, without waiting for either.
    pub async fn has_ended(&mut self) -> bool {
        !matches!(futures_util::poll!(Box::pin(self.stream.read(&mut [0; 1]))), Poll::Pending)
    }

    /// The next answer.
    pub async fn hear(&mut self) -> Answer {
        let head_len = loop {
            if let Some(at) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.read_more().await;
        };
        let head = String::from_utf8(self.received.drain(..head_len).collect()).expect("text");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status").parse().expect("a number");
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Answer { status, headers, body: Vec::new() };
        answer.body = match answer.header("content-length").map(|len| len.parse().expect("a number")) {
            Some(len) => self.take(len).await,
            None if answer.header("transfer-encoding") == Some("chunked") => self.take_chunks().await,
            None => Vec::new(),
        };
        answer
    }

    async fn take_chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line_len = loop {
                if let Some(at) = self.received.windows(2).position(|two| two == b"\r\n") {
                    break at + 2;
                }
                self.read_more().await;
            };
            let line = self.take(line_len).await;
            let len = usize::from_str_radix(String::from_utf8_lossy(&line).trim(), 16).expect("a length");
            body.extend(self.take(len).await);
            self.take(2).await;
            if len == 0 {
                return body;
            }
        }
    }

    async fn take(&mut self, len: usize) -> Vec<u8> {
        while self.received.len() < len {
            self.read_more().await;
        }
        self.received.drain(..len).collect()
    }

    async fn read_more(&mut self) {
        let read = in_time("an answer", self.stream.read_buf(&mut self.received)).await.expect("an answer");
        assert_ne!(read, 0, "the connection ended in {:?}", String::from_utf8_lossy(&self.received));
    }
}
