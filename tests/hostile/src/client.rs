//! A gRPC client that tells what became of a call: answered, refused by a status, or lost with its connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, HeaderValue, Method, Request, Version};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

const WINDOW: u32 = 1 << 24;
/// Flag and length in front of every message.
const PREFIX_LEN: usize = 5;
/// gRPC's numbers of the statuses that are told apart.
pub const DEADLINE_EXCEEDED: u32 = 4;
pub const RESOURCE_EXHAUSTED: u32 = 8;
pub const UNAVAILABLE: u32 = 14;

/// Where to connect to, and from which address.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub address: SocketAddr,
    pub from: Option<IpAddr>,
    pub tls: Option<Arc<ClientConfig>>,
}

/// Why a call has no answer.
#[derive(Clone, Debug)]
pub enum CallError {
    /// The server said so.
    Status { code: u32, message: String },
    /// The caller's own deadline passed.
    Deadline,
    /// The connection, or the stream below the call, ended.
    Transport(String),
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status { code, message } => write!(f, "status {code}: {message}"),
            Self::Deadline => write!(f, "no answer by the deadline"),
            Self::Transport(error) => write!(f, "transport: {error}"),
        }
    }
}

impl std::error::Error for CallError {}

impl From<h2::Error> for CallError {
    fn from(error: h2::Error) -> Self {
        Self::Transport(error.to_string())
    }
}

impl From<std::io::Error> for CallError {
    fn from(error: std::io::Error) -> Self {
        Self::Transport(error.to_string())
    }
}

/// Opens a TCP connection.
pub async fn connect(endpoint: &Endpoint) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(from) = endpoint.from {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    let stream = socket.connect(endpoint.address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A connection; clones share it.
#[derive(Clone)]
pub struct Connection {
    send: SendRequest<Bytes>,
    authority: Arc<str>,
}

impl Connection {
    /// Connects. Lives on a task of its own until the last clone is gone.
    pub async fn open(endpoint: &Endpoint) -> Result<Self, CallError> {
        let stream = connect(endpoint).await?;
        let authority = endpoint.address.to_string().into();
        let Some(tls) = &endpoint.tls else { return Self::over(stream, authority).await };
        let name = ServerName::from(endpoint.address.ip());
        let stream = TlsConnector::from(tls.clone()).connect(name, stream).await?;
        Self::over(stream, authority).await
    }

    async fn over<S>(stream: S, authority: Arc<str>) -> Result<Self, CallError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
        let (send, connection) = builder.handshake(stream).await?;
        // What ends a connection ends the calls on it, and those are looked at.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { send, authority })
    }

    /// How many calls the server allows at once.
    pub fn streams_max(&self) -> usize {
        self.send.current_max_send_streams()
    }

    /// Makes one unary call that must be answered within `deadline`, the wait for a free stream counted.
    pub async fn call<A: Message + Default>(
        &self,
        path: &str,
        root_key: &str,
        message: &impl Message,
        deadline: Duration,
    ) -> Result<A, CallError> {
        let answer = self.call_framed(path, root_key, framed(message), deadline).await?;
        A::decode(answer).map_err(|error| CallError::Transport(error.to_string()))
    }

    /// The same with a message that is encoded already, and the answer as bytes.
    pub async fn call_framed(
        &self,
        path: &str,
        root_key: &str,
        framed: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, CallError> {
        let call = self.unary(path, root_key, framed, deadline);
        tokio::time::timeout(deadline, call).await.unwrap_or(Err(CallError::Deadline))
    }

    async fn unary(&self, path: &str, root_key: &str, framed: Bytes, deadline: Duration) -> Result<Bytes, CallError> {
        let mut send = self.send.clone().ready().await?;
        let (answer, mut body) = send.send_request(self.request(path, root_key, deadline), false)?;
        body.send_data(framed, true)?;
        let answer = answer.await?;
        check_status(answer.headers())?;
        let mut arrived = BytesMut::new();
        let mut body = answer.into_body();
        while let Some(piece) = body.data().await.transpose()? {
            body.flow_control().release_capacity(piece.len())?;
            arrived.extend_from_slice(&piece);
        }
        let trailers = body.trailers().await?.ok_or_else(|| CallError::Transport("no status".into()))?;
        check_status(&trailers)?;
        if arrived.len() < PREFIX_LEN {
            return Err(CallError::Transport("no message".into()));
        }
        Ok(arrived.freeze().slice(PREFIX_LEN..))
    }

    fn request(&self, path: &str, root_key: &str, deadline: Duration) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = format!("http://{}{path}", self.authority).parse().expect("a path");
        let headers = request.headers_mut();
        headers.insert("te", HeaderValue::from_static("trailers"));
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        let timeout = format!("{}m", deadline.as_millis());
        headers.insert("grpc-timeout", timeout.parse().expect("digits"));
        if !root_key.is_empty() {
            headers.insert("authorization", format!("Bearer {root_key}").parse().expect("ASCII"));
        }
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

fn check_status(headers: &HeaderMap) -> Result<(), CallError> {
    match headers.get("grpc-status") {
        Some(status) if status != "0" => {
            let text = |name| headers.get(name).map_or("", |value| value.to_str().unwrap_or("?"));
            Err(CallError::Status {
                code: text("grpc-status").parse().unwrap_or(2),
                message: text("grpc-message").to_owned(),
            })
        }
        _ => Ok(()),
    }
}
