//! A connection whose first bytes were read already, to see what it speaks, and are there to be read again.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// How every connection of HTTP/2 begins (RFC 9113, 3.4). Nothing of HTTP/1.1 does.
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spoken {
    /// HTTP/1.1, or something that HTTP/1.1 will refuse.
    Http1,
    /// HTTP/2.
    Http2,
}

/// See the module.
pub struct Rewound<S> {
    first: [u8; PREFACE.len()],
    /// How much of it there is, and how much of that was read again.
    len: usize,
    read: usize,
    stream: S,
}

impl<S: AsyncRead + Unpin> Rewound<S> {
    /// `stream`, once it has said what it speaks.
    ///
    /// # Errors
    /// If it ends before that.
    pub async fn once_it_speaks(mut stream: S) -> io::Result<(Self, Spoken)> {
        let mut first = [0; PREFACE.len()];
        let mut len = 0;
        while len < PREFACE.len() && first[..len] == PREFACE[..len] {
            match stream.read(&mut first[len..]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => len += more,
            }
        }
        let spoken = if first == *PREFACE { Spoken::Http2 } else { Spoken::Http1 };
        Ok((Self { first, len, read: 0, stream }, spoken))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read < self.len {
            let count = buf.remaining().min(self.len - self.read);
            buf.put_slice(&self.first[self.read..self.read + count]);
            self.read += count;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
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

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    async fn spoken(sent: &[u8]) -> (io::Result<Spoken>, Vec<u8>) {
        match Rewound::once_it_speaks(Cursor::new(sent.to_vec())).await {
            Ok((mut stream, spoken)) => {
                let mut again = Vec::new();
                stream.read_to_end(&mut again).await.unwrap();
                (Ok(spoken), again)
            }
            Err(error) => (Err(error), Vec::new()),
        }
    }

    #[tokio::test]
    async fn nothing_is_lost_whatever_is_spoken() {
        let mut http2 = PREFACE.to_vec();
        http2.extend(b"and more");
        for (sent, expected) in [
            (&http2[..], Spoken::Http2),
            (PREFACE, Spoken::Http2),
            (b"GET / HTTP/1.1\r\n\r\n", Spoken::Http1),
            (b"PRI * HTTP/1.1\r\n\r\nand a long rest of it", Spoken::Http1),
            (b"x", Spoken::Http1),
        ] {
            let (found, again) = spoken(sent).await;
            assert_eq!(found.unwrap(), expected);
            assert_eq!(again, sent);
        }
        for broken in [&PREFACE[..10], b"", b"P"] {
            assert_eq!(spoken(broken).await.0.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
