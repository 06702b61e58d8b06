//! A gRPC client that does as little as can be done, so that what is measured is the server: HTTP/2 by h2, messages
//! encoded beforehand, answers looked at as bytes.

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};
use prost::Message;
use tokio::net::TcpStream;

use crate::Error;

/// Flow control must not be what is measured: with windows this large the client hardly ever says that it has read.
const STREAM_WINDOW: u32 = 1 << 24;
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// Flag and length in front of every message.
const PREFIX_LEN: usize = 5;
const STATUS: &str = "grpc-status";

/// What every call of a method begins with.
#[derive(Clone)]
pub struct Head {
    uri: Uri,
    headers: HeaderMap,
}

impl Head {
    /// Calls `path` of the server at `address` as the holder of `root_key`. The headers are those of a tonic client.
    pub fn new(address: &str, path: &str, root_key: &str) -> Result<Self, Error> {
        let mut headers = HeaderMap::new();
        headers.insert("te", HeaderValue::from_static("trailers"));
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        headers.insert("authorization", format!("Bearer {root_key}").parse()?);
        headers.insert("user-agent", HeaderValue::from_static("tonic/0.14.9"));
        Ok(Self { uri: format!("http://{address}{path}").parse()?, headers })
    }

    fn request(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// A message as it travels.
pub fn framed(message: &impl Message) -> Bytes {
    let len = message.encoded_len();
    let mut framed = BytesMut::with_capacity(PREFIX_LEN + len);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(len).expect("no message is that large"));
    message.encode(&mut framed).expect("there is room");
    framed.freeze()
}

/// Takes the first whole message off what arrived.
pub fn take_message(arrived: &mut Bytes) -> Option<Bytes> {
    let len = arrived.get(1..PREFIX_LEN)?.try_into().map(u32::from_be_bytes).ok()? as usize;
    if arrived.len() < PREFIX_LEN + len {
        return None;
    }
    Some(arrived.split_to(PREFIX_LEN + len).split_off(PREFIX_LEN))
}

/// A connection; clones share it.
#[derive(Clone)]
pub struct Connection(SendRequest<Bytes>);

impl Connection {
    /// Connects. Lives on a task of its own until the last clone is gone.
    pub async fn open(address: &str) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
        let (send, connection) = builder.handshake(stream).await?;
        // What ends a connection ends the calls on it, and those are looked at.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self(send))
    }

    /// Makes one unary call; the message answered.
    pub async fn unary(&mut self, head: &Head, framed: Bytes) -> Result<Bytes, Error> {
        let (mut send, answer) = self.begin(head).await?;
        send.send_data(framed, true)?;
        let mut answers = answer.begun().await?;
        let mut arrived = answers.next().await?.ok_or("no message was answered")?;
        loop {
            if let Some(message) = take_message(&mut arrived) {
                answers.end().await?;
                return Ok(message);
            }
            // A large message arrives in pieces.
            let more = answers.next().await?.ok_or("half a message was answered")?;
            arrived = [arrived, more].concat().into();
        }
    }

    /// Begins a call whose messages are sent by and by.
    pub async fn begin(&mut self, head: &Head) -> Result<(SendStream<Bytes>, Answer), Error> {
        // A connection that has as many calls in flight as the server allows makes the others wait here.
        self.0 = self.0.clone().ready().await?;
        let (answer, send) = self.0.send_request(head.request(), false)?;
        Ok((send, Answer(answer)))
    }
}

/// The answer to a call.
pub struct Answer(h2::client::ResponseFuture);

impl Answer {
    /// Waits for its beginning.
    pub async fn begun(self) -> Result<Answers, Error> {
        let answer = self.0.await?;
        // A call that failed at once has its status here.
        check_status(answer.headers())?;
        Ok(Answers(answer.into_body()))
    }
}

/// What a call answers, piece by piece.
pub struct Answers(RecvStream);

impl Answers {
    /// The next bytes; `None`: there are no more.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(piece) = self.0.data().await.transpose()? else {
            self.end().await?;
            return Ok(None);
        };
        self.0.flow_control().release_capacity(piece.len())?;
        Ok(Some(piece))
    }

    /// Waits for the end, which must be a good one.
    async fn end(&mut self) -> Result<(), Error> {
        let trailers = self.0.trailers().await?.ok_or("a call ended without a status")?;
        if !trailers.contains_key(STATUS) {
            return Err("a call ended without a status".into());
        }
        check_status(&trailers)
    }
}

/// Whether a status, if there is one, is OK.
fn check_status(headers: &HeaderMap) -> Result<(), Error> {
    match headers.get(STATUS) {
        Some(status) if status != "0" => {
            let text = |name| headers.get(name).map_or("", |value| value.to_str().unwrap_or("?"));
            Err(Box::new(CallError { code: text(STATUS).to_owned(), message: text("grpc-message").to_owned() }))
        }
        _ => Ok(()),
    }
}

/// A call that ended with another status than OK.
#[derive(Debug)]
pub struct CallError {
    /// The status, as a number.
    pub code: String,
    message: String,
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a call failed with status {}: {}", self.code, self.message)
    }
}

impl std::error::Error for CallError {}
