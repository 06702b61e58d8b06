//! The body of a request, as HTTP/1.1 or HTTP/2 brings it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use super::ConnectionState;

/// How long a body may take to arrive on a connection that has not authenticated.
const UNAUTHENTICATED_TIMEOUT: Duration = Duration::from_secs(10);
/// How many bytes of its requests a connection may make the server hold before it authenticates. More are left to flow
/// control, which stops the sender.
const UNAUTHENTICATED_HELD_MAX: usize = 32 * 1024;

/// The body of a request.
pub struct RequestBody {
    kind: Kind,
    connection: Arc<ConnectionState>,
    /// How many bytes were read before the connection authenticated: the reader collects them.
    held: usize,
    timeout: Option<Pin<Box<Sleep>>>,
}

enum Kind {
    Http1(Incoming),
    Http2 { stream: RecvStream, has_data: bool, len: Option<u64> },
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It broke off, over HTTP/1.1.
    #[error("the request's body broke off")]
    Http1(#[source] hyper::Error),
    /// It broke off, over HTTP/2.
    #[error("the request's body broke off")]
    Http2(#[source] h2::Error),
    /// It took longer than a caller may who has not authenticated.
    #[error("the request's body did not arrive within {0:?}")]
    Late(Duration),
}

impl RequestBody {
    pub(super) fn http1(body: Incoming, connection: Arc<ConnectionState>) -> Self {
        Self { kind: Kind::Http1(body), connection, held: 0, timeout: None }
    }

    pub(super) fn http2(stream: RecvStream, len: Option<u64>, connection: Arc<ConnectionState>) -> Self {
        Self { kind: Kind::Http2 { stream, has_data: true, len }, connection, held: 0, timeout: None }
    }

    /// The connection that it comes on.
    pub fn connection(&self) -> &Arc<ConnectionState> {
        &self.connection
    }

    fn poll_http2(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let Kind::Http2 { stream, has_data, .. } = &mut self.kind else { return Poll::Ready(None) };
        if *has_data {
            match ready!(stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    let may_grow = if self.connection.is_authenticated() || stream.is_end_stream() {
                        true
                    } else {
                        self.held += data.len();
                        self.connection.hold(data.len()) <= UNAUTHENTICATED_HELD_MAX
                    };
                    // What is not released is taken from the windows of stream and connection.
                    if may_grow {
                        let _ = stream.flow_control().release_capacity(data.len());
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(unless_early_response(error)),
                None => *has_data = false,
            }
        }
        match ready!(stream.poll_trailers(cx)) {
            Ok(trailers) => Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers)))),
            Err(error) => Poll::Ready(unless_early_response(error)),
        }
    }
}

/// A reset with NO_ERROR asks to stop sending, as the response is there already (RFC 9113, 8.1): it is no failure.
fn unless_early_response<T>(error: h2::Error) -> Option<Result<T, h2::Error>> {
    if error.reason() == Some(Reason::NO_ERROR) { None } else { Some(Err(error)) }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let frame = match &mut this.kind {
            Kind::Http1(body) => Pin::new(body).poll_frame(cx).map_err(BodyError::Http1),
            Kind::Http2 { .. } => this.poll_http2(cx).map_err(BodyError::Http2),
        };
        if frame.is_pending() && !this.connection.is_authenticated() {
            let timeout = this.timeout.get_or_insert_with(|| Box::pin(sleep(UNAUTHENTICATED_TIMEOUT)));
            ready!(timeout.as_mut().poll(cx));
            return Poll::Ready(Some(Err(BodyError::Late(UNAUTHENTICATED_TIMEOUT))));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Http1(body) => body.is_end_stream(),
            Kind::Http2 { stream, .. } => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Http1(body) => body.size_hint(),
            Kind::Http2 { len, .. } => len.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if self.held > 0 {
            self.connection.release(self.held);
        }
    }
}
