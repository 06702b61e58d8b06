//! Reading the messages of services that anyone may call, into a buffer that holds no more than has arrived: a stranger
//! who sends half a message, or many at once, holds a few KiB at most.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::Body as _;
use tokio::time::{Sleep, sleep};
use tonic::Status;
use tonic::body::Body;

use super::status;
use super::verification::FRAME_HEAD_LEN;

/// Largest message, in bytes: it only ever names something.
pub const MESSAGE_SIZE_MAX: usize = 1024;
/// Most bytes that may arrive ahead of being read.
const BUFFER_SIZE_MAX: usize = 4 * 1024;
/// How long the next message may take to arrive.
const MESSAGE_WAIT_MAX: Duration = Duration::from_secs(30);

/// The messages of a request's body.
pub struct SmallMessages {
    body: Body,
    buffer: Vec<u8>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl SmallMessages {
    /// Those of `body`.
    pub fn new(body: Body) -> Self {
        Self { body, buffer: Vec::new(), timer: None }
    }

    /// The next message; `None` at the end, or after a long silence between two messages.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>, Status>>> {
        loop {
            if let Some(message) = self.take_message().transpose() {
                self.timer = None;
                return Poll::Ready(Some(message));
            }
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(MESSAGE_WAIT_MAX)));
                ready!(timer.as_mut().poll(cx));
                let late = (!self.buffer.is_empty()).then(|| Err(status::request_late(MESSAGE_WAIT_MAX)));
                return Poll::Ready(late);
            };
            match frame {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    if self.buffer.len() + data.len() > BUFFER_SIZE_MAX {
                        return Poll::Ready(Some(Err(status::message_too_large(MESSAGE_SIZE_MAX))));
                    }
                    self.buffer.reserve_exact(data.len());
                    self.buffer.extend_from_slice(&data);
                }
                // An error of the body's own says more than that it broke off, such as that it is no valid JSON.
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None if self.buffer.is_empty() => return Poll::Ready(None),
                None => return Poll::Ready(Some(Err(status::malformed("the request ended within a message")))),
            }
        }
    }

    /// The only message of a unary call.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub async fn only(mut self) -> Result<Vec<u8>, Status> {
        let missing = || status::malformed("the request has no message");
        let message = std::future::poll_fn(|cx| self.poll_next(cx)).await.unwrap_or_else(|| Err(missing()))?;
        match std::future::poll_fn(|cx| self.poll_next(cx)).await {
            None => Ok(message),
            Some(Err(error)) => Err(error),
            Some(Ok(_)) => Err(status::malformed("the request has more than one message")),
        }
    }

    /// The message at the head of the buffer, if it is there as a whole.
    fn take_message(&mut self) -> Result<Option<Vec<u8>>, Status> {
        let Some((head, rest)) = self.buffer.split_at_checked(FRAME_HEAD_LEN) else { return Ok(None) };
        if head[0] != 0 {
            return Err(status::unspoken("a compressed request is not understood: send it uncompressed"));
        }
        let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if len > MESSAGE_SIZE_MAX {
            return Err(status::message_too_large(MESSAGE_SIZE_MAX));
        }
        let Some(message) = rest.get(..len).map(<[u8]>::to_vec) else { return Ok(None) };
        self.buffer.drain(..FRAME_HEAD_LEN + len);
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    fn messages(pieces: &[&[u8]]) -> SmallMessages {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect();
        SmallMessages::new(Body::new(StreamBody::new(stream::iter(pieces as Vec<Result<_, Status>>))))
    }

    async fn next(messages: &mut SmallMessages) -> Option<Result<Vec<u8>, Status>> {
        std::future::poll_fn(|cx| messages.poll_next(cx)).await
    }

    #[tokio::test]
    async fn messages_arrive_in_any_pieces() {
        let mut both = messages(&[&[0, 0], &[0, 0, 2, 7], &[8, 0, 0, 0, 0, 1, 9]]);
        assert_eq!(next(&mut both).await.unwrap().unwrap(), [7, 8]);
        assert_eq!(next(&mut both).await.unwrap().unwrap(), [9]);
        assert!(next(&mut both).await.is_none());
    }

    #[tokio::test]
    async fn what_is_no_small_message_is_refused() {
        let too_large = [&[0, 0, 0, 4, 1][..], &[0; 100]].concat();
        let flood = [0; BUFFER_SIZE_MAX + 1];
        let (compressed, cut) = ([1, 0, 0, 0, 0], [0, 0, 0, 0, 2, 1]);
        for bytes in [&too_large[..], &flood[..], &compressed[..], &cut[..]] {
            let mut read = messages(&[bytes]);
            let refused = loop {
                match next(&mut read).await.expect("an error") {
                    Ok(message) => assert!(message.is_empty()),
                    Err(status) => break status,
                }
            };
            assert!(!refused.details().is_empty(), "{refused:?}");
        }
    }
}
