//! A request's body as it comes: so much of it. Over HTTP/1.1 an answer is lost on a client that is still sending when the
//! connection closes (RFC 9112, 9.6): what such a client still sends is read first.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Version, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::time::timeout;
use tonic::Status;

use crate::grpc::status;
use crate::transport::RequestBody;

/// How long what is left of a body may take to come.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most bytes that are heard out of a body that nobody reads.
const UNREAD_SIZE_MAX: usize = 8 * 1024 * 1024;
/// A piece counts as so many bytes at least.
const UNREAD_PIECE_MIN: usize = 1_024;
/// Who sends nothing for this long is taken to be listening.
const SILENCE: Duration = Duration::from_millis(500);

/// See the module.
pub struct Arriving {
    /// `None` once it is over.
    body: Option<RequestBody>,
    left: usize,
    end: Arc<Mutex<End>>,
}

/// How the reading of a body ended.
#[derive(Default)]
struct End {
    failed: Option<Status>,
    unread: Option<RequestBody>,
}

/// What is left to do about a body once its request is answered.
pub struct Ending {
    end: Arc<Mutex<End>>,
    /// Whether the client must have sent all before it can hear an answer.
    is_heard_out: bool,
}

impl Arriving {
    /// `request` with at most `size_max` bytes of its body as they come, and what is left to do then.
    pub fn of(request: Request<RequestBody>, size_max: usize) -> (Request<Self>, Ending) {
        let end = Arc::<Mutex<End>>::default();
        // Who expects to be told to go on has sent nothing yet, and need not.
        let waits = request.headers().contains_key(header::EXPECT);
        let ending = Ending { end: end.clone(), is_heard_out: request.version() < Version::HTTP_2 && !waits };
        let request = request.map(|body| Self { body: Some(body), left: size_max, end });
        (request, ending)
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            let frame = frame.map_err(|error| status::from_body(&error))?;
            let len = frame.data_ref().map_or(0, Bytes::len);
            self.left = self.left.checked_sub(len).ok_or_else(status::request_too_large)?;
            Ok(frame)
        }))
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(self.poll_incoming(cx));
        if let Some(Err(status)) = &frame {
            lock(&self.end).failed = Some(status.clone());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(RequestBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), RequestBody::size_hint)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        lock(&self.end).unread = self.body.take().filter(|body| !body.is_end_stream());
    }
}

impl Ending {
    /// Why the body could not be read, if so. Reads what is left of it and forgets it, so that the client hears the answer.
    pub async fn finish(self) -> Option<Status> {
        let End { failed, unread } = std::mem::take(&mut *lock(&self.end));
        if let Some(unread) = unread
            && self.is_heard_out
        {
            // Whoever goes on for longer loses the answer.
            let _ = timeout(PATIENCE, hear_out(unread)).await;
        }
        failed
    }
}

async fn hear_out(mut body: RequestBody) {
    body.set_discarded();
    let mut left = UNREAD_SIZE_MAX;
    while let Ok(Some(Ok(frame))) = timeout(SILENCE, body.frame()).await {
        // Many small pieces cost more than their bytes.
        let len = frame.data_ref().map_or(0, Bytes::len).max(UNREAD_PIECE_MIN);
        let Some(rest) = left.checked_sub(len) else { return };
        left = rest;
    }
}

fn lock(end: &Mutex<End>) -> std::sync::MutexGuard<'_, End> {
    end.lock().unwrap_or_else(PoisonError::into_inner)
}
