//! A client of HTTP/2 that sends frames as a test writes them, and never more than that.

use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::service::in_time;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// Codes of RST_STREAM and GOAWAY.
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// A connection.
pub struct Frames {
    stream: TcpStream,
}

/// A frame that came.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The code that ends a stream or a connection.
    #[track_caller]
    pub fn code(&self) -> u32 {
        let code = match self.kind {
            RST_STREAM => &self.payload[..4],
            GOAWAY => &self.payload[4..8],
            _ => panic!("{self:?} has no code"),
        };
        u32::from_be_bytes(code.try_into().expect("four bytes"))
    }
}

impl Frames {
    /// Connects, and says no more than it must: windows of streams begin with `window` bytes.
    pub async fn connect(addr: SocketAddr, window: u32) -> Self {
        Self::connect_from([127, 0, 0, 1].into(), addr, window).await
    }

    /// The same, from this address.
    pub async fn connect_from(from: IpAddr, addr: SocketAddr, window: u32) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((from, 0).into()).expect("an address of this machine");
        let mut stream = socket.connect(addr).await.expect("it listens");
        let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let mut setting = vec![0, 4];
        setting.extend(window.to_be_bytes());
        hello.extend(frame(SETTINGS, 0, 0, &setting));
        stream.write_all(&hello).await.expect("sent");
        Self { stream }
    }

    /// Sends bytes; whether the connection still takes them.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// The next frame; `None`: the connection has ended.
    pub async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        in_time("a frame", self.stream.read_exact(&mut head)).await.ok()?;
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; len as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], stream, payload })
    }

    /// The next frame of a kind.
    pub async fn next_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            match self.next().await {
                Some(frame) if frame.kind == kind => return Some(frame),
                Some(_) => {}
                None => return None,
            }
        }
    }

    /// Reads until the connection ends: the code of its GOAWAY, if there was one.
    pub async fn ended(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                code = Some(frame.code());
            }
        }
        code
    }
}

/// A frame as bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    let mut frame = vec![len[1], len[2], len[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// HEADERS of a call of gRPC whose body is still to come.
pub fn call(stream: u32, path: &str, credential: Option<&str>) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &head(path, credential))
}

/// The header block of a call.
pub fn head(path: &str, credential: Option<&str>) -> Vec<u8> {
    // :method POST and :scheme http, by their places in HPACK's table; the rest as literals that are not kept.
    let mut block = vec![0x83, 0x86];
    let mut literal = |name: &[u8], value: &str| {
        block.extend(name);
        block.push(u8::try_from(value.len()).expect("a short value"));
        block.extend(value.as_bytes());
    };
    literal(&[0x04], path);
    literal(&[0x01], "portcullis");
    literal(&[0x0f, 0x10], "application/grpc");
    if let Some(credential) = credential {
        literal(&[0x0f, 0x08], &format!("Bearer {credential}"));
    }
    block
}

/// DATA that ends a request.
pub fn last_data(stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(DATA, END_STREAM, stream, payload)
}

/// RST_STREAM.
pub fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}
