//! Follows the heads of requests over HTTP/1.1: bytes that arrive while no request is served are a head that has begun.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::state::ConnectionState;

/// A stream whose traffic is noted.
pub struct HeadMeter<S> {
    stream: S,
    connection: Arc<ConnectionState>,
}

impl<S> HeadMeter<S> {
    /// Notes the traffic of `stream`.
    pub fn new(stream: S, connection: Arc<ConnectionState>) -> Self {
        Self { stream, connection }
    }
}

/// Notes that a head is whole: its call has begun.
pub fn head_completed(connection: &ConnectionState) {
    connection.traffic().received(0, heads(connection), false);
}

/// The number of heads that were whole.
fn heads(connection: &ConnectionState) -> usize {
    connection.finished().wrapping_add(connection.calls())
}

impl<S: AsyncRead + Unpin> AsyncRead for HeadMeter<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let len = buf.filled().len() - before;
        if len > 0 {
            let is_head = self.connection.calls() == 0;
            self.connection.traffic().received(len, heads(&self.connection), is_head);
        }
        polled
    }
}

impl<S> HeadMeter<S> {
    fn written(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.connection.traffic().written(polled.is_pending());
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HeadMeter<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
