//! A client that says over HTTP/2 whatever a test likes, right or wrong.

use std::net::SocketAddr;

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::request::Builder;
use http::{HeaderMap, Request, StatusCode};
use tokio::net::TcpStream;
use tonic::{Code, Status};

use super::service::in_time;

/// A connection.
#[derive(Clone)]
pub struct Raw {
    calls: SendRequest<Bytes>,
    credential: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub http_status: StatusCode,
    /// Before the body.
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Of the trailers, or of the headers if there are none behind.
    pub status: Option<Status>,
}

impl Raw {
    pub async fn connect(addr: SocketAddr, credential: &str) -> Self {
        let stream = TcpStream::connect(addr).await.expect("it listens");
        // What the server sends in small frames, and nobody reads yet, is no attack on this client.
        let handshake = h2::client::Builder::new().data_frame_budget(usize::MAX).handshake(stream);
        let (calls, connection) = handshake.await.expect("HTTP/2");
        tokio::spawn(connection);
        Self { calls, credential: credential.to_owned() }
    }

    /// A good request of `method`, as far as its headers go.
    pub fn request(&self, method: &str) -> Builder {
        Request::post(format!("http://portcullis/portcullis.v1.VerificationService/{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {}", self.credential))
    }

    /// Begins a call.
    pub async fn begin(&self, request: Builder) -> (ResponseFuture, SendStream<Bytes>) {
        let mut calls = self.calls.clone().ready().await.expect("a connection");
        calls.send_request(request.body(()).expect("a request"), false).expect("a stream")
    }

    /// Sends a request whose body comes in these pieces, and hears the answer out.
    pub async fn call(&self, request: Builder, pieces: Vec<Bytes>, trailers: Option<HeaderMap>) -> Answer {
        let (answer, mut body) = self.begin(request).await;
        let is_last = |at: usize| at + 1 == pieces.len() && trailers.is_none();
        for (at, piece) in pieces.iter().enumerate() {
            // The server may have answered already, and stopped to listen.
            if send(&mut body, piece.clone(), is_last(at)).await.is_err() {
                break;
            }
        }
        if let Some(trailers) = trailers {
            let _ = body.send_trailers(trailers);
        } else if pieces.is_empty() {
            let _ = body.send_data(Bytes::new(), true);
        }
        hear(answer).await
    }
}

/// Sends a piece once there is room for all of it.
pub async fn send(body: &mut SendStream<Bytes>, mut piece: Bytes, is_last: bool) -> Result<(), h2::Error> {
    if piece.is_empty() {
        return body.send_data(piece, is_last);
    }
    while !piece.is_empty() {
        body.reserve_capacity(piece.len());
        let room = in_time("room to send", std::future::poll_fn(|cx| body.poll_capacity(cx))).await;
        let room = room.ok_or(h2::Reason::CANCEL)??;
        let part = piece.split_to(room.min(piece.len()));
        let is_last = is_last && piece.is_empty();
        body.send_data(part, is_last)?;
    }
    Ok(())
}

/// Hears an answer out.
pub async fn hear(answer: ResponseFuture) -> Answer {
    let response = in_time("an answer", answer).await.expect("an answer");
    let (head, mut rest) = response.into_parts();
    let body = read(&mut rest).await;
    let trailers = in_time("trailers", rest.trailers()).await.unwrap_or_default();
    let status = Status::from_header_map(trailers.as_ref().unwrap_or(&head.headers));
    Answer { http_status: head.status, headers: head.headers, body, status }
}

async fn read(from: &mut RecvStream) -> Bytes {
    let mut body = BytesMut::new();
    // An early answer may be followed by a reset that asks to stop sending.
    while let Some(Ok(piece)) = in_time("a body", from.data()).await {
        let _ = from.flow_control().release_capacity(piece.len());
        body.put(piece);
    }
    body.freeze()
}

/// A message with its frame.
pub fn framed(message: &impl prost::Message) -> Bytes {
    framed_bytes(&message.encode_to_vec())
}

pub fn framed_bytes(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).expect("a small message"));
    framed.put_slice(message);
    framed.freeze()
}

impl Answer {
    /// The one message of a call that went well.
    #[track_caller]
    pub fn message<T: prost::Message + Default>(&self) -> T {
        assert_eq!(self.http_status, StatusCode::OK);
        assert_eq!(self.status.as_ref().map(Status::code), Some(Code::Ok), "{self:?}");
        let (head, message) = self.body.split_at(5);
        assert_eq!(head[1..], u32::try_from(message.len()).expect("short").to_be_bytes(), "one whole message");
        T::decode(message).expect("a message")
    }

    /// The error of a call that did not.
    #[track_caller]
    pub fn error(self) -> Result<(), Status> {
        assert_eq!(self.http_status, StatusCode::OK);
        Err(self.status.unwrap_or_else(|| panic!("no status")))
    }
}
