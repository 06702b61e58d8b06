//! Reading the messages of requests: the one of a unary call as a whole, before the call takes a place that others wait
//! for; those of a stream as they come.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Bytes;

use super::verification::FRAME_HEAD_LEN;
use super::{REQUEST_SIZE_MAX, message_fields, status};
use crate::admission::Kind;
use crate::transport::RequestBody;

/// A buffer that a body is gathered in grows by at least this part of what it holds.
const GROWTH: usize = 4;

/// The request of a unary call of `kind`, with its message there.
///
/// # Errors
/// The message is too large, has too many fields, or did not arrive.
pub async fn whole(mut body: Body, kind: Option<Kind>) -> Result<Body, Status> {
    let frame = gather(&mut body, FRAME_HEAD_LEN + REQUEST_SIZE_MAX, check_len).await?;
    // Verifications are read where they lie.
    if let Some(kind) = kind.filter(|kind| *kind != Kind::Batch)
        && let Some(message) = frame.get(FRAME_HEAD_LEN..)
    {
        message_fields::check(message, kind)?;
    }
    Ok(Body::new(Full::new(frame)))
}

/// All bytes of `body`, of which there may be `size_max`. A body in many pieces takes no more memory than one in few.
///
/// # Errors
/// There are more; those that are there do not pass `check`; or the body's own.
pub async fn gather<B>(
    body: &mut B,
    size_max: usize,
    check: impl Fn(&[u8]) -> Result<(), Status>,
) -> Result<Bytes, Status>
where
    B: http_body::Body<Data = Bytes, Error = Status> + Unpin,
{
    let mut first = Bytes::new();
    let mut gathered = Vec::new();
    while !body.is_end_stream()
        && let Some(frame) = body.frame().await.transpose()?
    {
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + gathered.len() + data.len() > size_max {
            return Err(status::request_too_large());
        }
        if first.is_empty() && gathered.is_empty() {
            first = data;
            check(&first)?;
            continue;
        }
        add(&mut gathered, &std::mem::take(&mut first));
        add(&mut gathered, &data);
        check(&gathered)?;
    }
    Ok(if gathered.is_empty() { first } else { gathered.into() })
}

fn add(gathered: &mut Vec<u8>, piece: &[u8]) {
    if gathered.capacity() - gathered.len() < piece.len() {
        gathered.reserve_exact(piece.len().max(gathered.len() / GROWTH));
    }
    gathered.extend_from_slice(piece);
}

/// Refuses a message that says at its beginning that it is too large, before the rest of it is there.
fn check_len(frame: &[u8]) -> Result<(), Status> {
    match message_len(frame) {
        Some(len) if len > REQUEST_SIZE_MAX => Err(status::request_too_large()),
        _ => Ok(()),
    }
}

/// The length of the message that begins with these bytes, if they say so yet.
fn message_len(frame: &[u8]) -> Option<usize> {
    let [_, len @ ..] = frame.first_chunk::<FRAME_HEAD_LEN>()?;
    Some(u32::from_be_bytes(*len) as usize)
}

/// The body of a unary call, with errors as they are told.
pub struct UnaryBody(pub RequestBody);

/// The body of a call that sends a stream: each of its messages is held until it is whole.
pub struct StreamedBody {
    body: RequestBody,
    messages: Messages,
}

/// Where in the messages of a stream the reader is.
#[derive(Default)]
struct Messages {
    head: [u8; FRAME_HEAD_LEN],
    head_len: usize,
    /// Bytes of the present message that are still to come.
    message_left: usize,
    /// Bytes of it that were read.
    held: usize,
}

impl StreamedBody {
    /// The messages of `body`.
    pub fn new(mut body: RequestBody) -> Self {
        body.set_streamed();
        Self { body, messages: Messages::default() }
    }
}

impl Messages {
    /// Follows the messages in `bytes`. How many bytes, of these and those before, are of messages that are whole now.
    fn follow(&mut self, mut bytes: &[u8]) -> usize {
        self.held += bytes.len();
        let before = self.held;
        while !bytes.is_empty() {
            let skipped = self.message_left.min(bytes.len());
            self.message_left -= skipped;
            bytes = &bytes[skipped..];
            let more = (FRAME_HEAD_LEN - self.head_len).min(bytes.len());
            if self.message_left == 0 && more > 0 {
                self.head[self.head_len..self.head_len + more].copy_from_slice(&bytes[..more]);
                self.head_len += more;
                bytes = &bytes[more..];
                if self.head_len == FRAME_HEAD_LEN {
                    self.message_left = message_len(&self.head).unwrap_or_default();
                }
            }
            if self.message_left == 0 && self.head_len == FRAME_HEAD_LEN {
                self.head_len = 0;
                self.held = bytes.len();
            }
        }
        before - self.held
    }
}

impl http_body::Body for UnaryBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.0).poll_frame(cx).map_err(|error| status::from_body(&error))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl http_body::Body for StreamedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx).map_err(|error| status::from_body(&error)));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            let whole = self.messages.follow(data);
            self.body.handled(whole);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn messages_of_a_stream_are_held_until_they_are_whole() {
        let stream = [&[0, 0, 0, 0, 2, 7, 8][..], &[0; 5], &[0, 0, 0, 0, 1, 9], &[0, 0, 0, 0, 3, 1]].concat();
        // At once, and byte by byte.
        assert_eq!(Messages::default().follow(&stream), 18);
        let mut messages = Messages::default();
        let whole: Vec<_> = stream.iter().map(|byte| messages.follow(&[*byte])).enumerate().collect();
        let ends: Vec<_> = whole.into_iter().filter(|(_, whole)| *whole > 0).collect();
        assert_eq!((ends, messages.held), (vec![(6, 7), (11, 5), (17, 6)], 6));
    }

    struct Pieces(VecDeque<&'static [u8]>);

    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(Bytes::from_static(piece)))))
        }
    }

    #[test]
    fn a_body_is_gathered_from_its_pieces() {
        let gather_all = |pieces: &[&'static [u8]], size_max| {
            let mut pieces = Pieces(pieces.iter().copied().collect());
            gather(&mut pieces, size_max, check_len).now_or_never().expect("all of it is there")
        };
        assert_eq!(gather_all(&[], 9).unwrap(), "");
        assert_eq!(gather_all(&[b"\0\0", b"", b"\0\0", b"one"], 7).unwrap(), "\0\0\0\0one");
        gather_all(&[b"one", b"two"], 5).unwrap_err();
        // The length says it before the rest is there.
        gather_all(&[&[0, 0], &[0x10, 0, 1]], 99).unwrap_err();
        gather_all(&[&[0, 0], &[0x10, 0, 0]], 99).unwrap();
    }
}
