//! A connection whose frames are written by hand, and whose other side is answered as little as keeps it open.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;

use crate::client::{CallError, Endpoint, connect};
use crate::frames;

/// What is known of the other side.
#[derive(Default)]
pub struct Peer {
    /// What it lets us send on all streams together, and on each new one.
    pub connection_window: AtomicI64,
    pub stream_window: AtomicI64,
    /// What it sent.
    pub heads: AtomicU32,
    pub resets: AtomicU32,
    pub goaways: AtomicU32,
    /// The last stream that it answered or reset.
    pub last_stream: AtomicU32,
    changed: Notify,
}

/// See the module.
pub struct Raw {
    writer: Arc<Mutex<OwnedWriteHalf>>,
    pub peer: Arc<Peer>,
    reader: JoinHandle<()>,
}

impl Raw {
    /// Connects and sends the preface with these settings.
    pub async fn open(endpoint: &Endpoint, settings: &[(u16, u32)]) -> Result<Self, CallError> {
        let raw = Self::silent(endpoint).await?;
        raw.send(&[frames::PREFACE, &frames::settings(settings)].concat()).await?;
        Ok(raw)
    }

    /// Connects and sends nothing.
    pub async fn silent(endpoint: &Endpoint) -> Result<Self, CallError> {
        let (reader, writer) = connect(endpoint).await?.into_split();
        let writer = Arc::new(Mutex::new(writer));
        let peer = Arc::new(Peer::default());
        peer.connection_window.store(65_535, Ordering::Relaxed);
        peer.stream_window.store(65_535, Ordering::Relaxed);
        let reader = tokio::spawn(read(reader, writer.clone(), peer.clone()));
        Ok(Self { writer, peer, reader })
    }

    pub async fn send(&self, bytes: &[u8]) -> Result<(), CallError> {
        Ok(self.writer.lock().await.write_all(bytes).await?)
    }

    /// Waits until the other side has ended it.
    pub async fn ended(&mut self) {
        let _ = (&mut self.reader).await;
    }

    /// Whether the other side has ended it.
    pub fn is_ended(&self) -> bool {
        self.reader.is_finished()
    }

    /// Waits until the other side has sent its settings or anything else that counts.
    pub async fn heard(&self) {
        self.peer.changed.notified().await;
    }

    /// Sends a part of a body that fits into the windows; how much it was.
    pub async fn send_body(&self, stream: u32, body: &[u8]) -> Result<usize, CallError> {
        let window = self.peer.connection_window.load(Ordering::Relaxed).max(0);
        let window = window.min(self.peer.stream_window.load(Ordering::Relaxed));
        let sent = body.len().min(usize::try_from(window).unwrap_or(0));
        for piece in body[..sent].chunks(frames::FRAME_LEN_MAX) {
            self.send(&frames::frame(frames::DATA, 0, stream, piece)).await?;
        }
        self.peer.connection_window.fetch_sub(i64::try_from(sent).unwrap_or(i64::MAX), Ordering::Relaxed);
        Ok(sent)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Reads until the connection ends; answers PING and SETTINGS, and never says that anything was read.
async fn read(mut reader: OwnedReadHalf, writer: Arc<Mutex<OwnedWriteHalf>>, peer: Arc<Peer>) {
    let mut payload = vec![0; 1 << 24];
    let mut head = [0; frames::HEAD_LEN];
    while reader.read_exact(&mut head).await.is_ok() {
        let [a, b, c, kind, flags, stream @ ..] = head;
        let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
        let len = u32::from_be_bytes([0, a, b, c]) as usize;
        if reader.read_exact(&mut payload[..len]).await.is_err() {
            break;
        }
        let payload = &payload[..len];
        let answer = match kind {
            frames::SETTINGS if flags & frames::ACK == 0 => {
                for setting in payload.chunks_exact(6) {
                    if setting[..2] == frames::SETTINGS_INITIAL_WINDOW_SIZE.to_be_bytes() {
                        peer.stream_window.store(number(&setting[2..]), Ordering::Relaxed);
                    }
                }
                Some(frames::frame(frames::SETTINGS, frames::ACK, 0, &[]))
            }
            frames::PING if flags & frames::ACK == 0 => Some(frames::frame(frames::PING, frames::ACK, 0, payload)),
            frames::WINDOW_UPDATE if stream == 0 => {
                peer.connection_window.fetch_add(number(payload), Ordering::Relaxed);
                None
            }
            _ => {
                let count = match kind {
                    frames::HEADERS => Some(&peer.heads),
                    frames::RST_STREAM => Some(&peer.resets),
                    frames::GOAWAY => Some(&peer.goaways),
                    _ => None,
                };
                if let Some(count) = count {
                    count.fetch_add(1, Ordering::Relaxed);
                    peer.last_stream.fetch_max(stream, Ordering::Relaxed);
                }
                None
            }
        };
        if let Some(answer) = answer
            && writer.lock().await.write_all(&answer).await.is_err()
        {
            break;
        }
        peer.changed.notify_one();
    }
}

fn number(bytes: &[u8]) -> i64 {
    bytes.try_into().map_or(0, |bytes| i64::from(u32::from_be_bytes(bytes)))
}
