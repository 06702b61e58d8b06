//! A request's body as it comes, with an end to patience: over HTTP/1.1 nothing else tells a slow client from a dead one.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};
use tonic::Status;

use crate::grpc::status;

/// Most bytes of a body: a request of the largest size as gRPC-Web has it in text, with its head.
const SIZE_MAX: usize = 1024 * 1024 * 4 / 3 + 64;
/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// See the module.
pub struct Arriving {
    body: Incoming,
    left: usize,
    patience: Option<Pin<Box<Sleep>>>,
}

impl Arriving {
    /// `body`, of which nothing was read yet.
    pub fn new(body: Incoming) -> Self {
        Self { body, left: SIZE_MAX, patience: None }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            // Only now: most bodies come with their heads.
            let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
            ready!(patience.as_mut().poll(cx));
            return Poll::Ready(Some(Err(status::deadline_exceeded(PATIENCE))));
        };
        Poll::Ready(frame.map(|frame| {
            let frame = frame.map_err(|_| Status::cancelled("the request broke off"))?;
            let len = frame.data_ref().map_or(0, Bytes::len);
            self.left = self.left.checked_sub(len).ok_or_else(status::request_too_large)?;
            Ok(frame)
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
