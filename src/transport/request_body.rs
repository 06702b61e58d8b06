//! The body of a request, as HTTP/1.1 or HTTP/2 brings it. What was read and is not whole is counted, and ends when it
//! takes too long or others need the memory.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::Extensions;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use super::request_budget::{Displaced, RequestBytes};
use super::{ConnectionState, Peer};

/// How long a body may make no progress, give or take as long again; and how long it may take to arrive on a connection
/// that has not authenticated.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// How many times that a body may take to arrive.
const IDLE_PERIODS_MAX: u32 = 3;
/// How long until a body that has no room looks again whether another has made no progress.
const ROOM_RETRY: Duration = Duration::from_millis(250);
/// How many bytes of its requests a connection may make the server hold before it authenticates. More are left to flow
/// control, which stops the sender.
const UNAUTHENTICATED_HELD_MAX: usize = 32 * 1024;
/// What is read of a body before it is counted, while the rest follows at once. A body that is whole by then is never
/// counted.
const UNCOUNTED_MAX: usize = 16 * 1024;

/// The body of a request.
pub struct RequestBody {
    kind: Kind,
    connection: Arc<ConnectionState>,
    /// Bytes that were read and are not counted: flow control has not been told that they were read.
    uncounted: usize,
    /// The bytes of the request's head, while they are not counted.
    head: usize,
    /// Those that are counted. Made when they are needed.
    bytes: Option<Arc<RequestBytes>>,
    /// How many bytes were counted before the connection authenticated.
    held: usize,
    pace: Pace,
    /// While the rest is waited for.
    wait: Option<Wait>,
}

enum Kind {
    Http1(Incoming),
    Http2 { stream: RecvStream, has_data: bool, len: Option<u64> },
}

/// How a body may arrive.
#[derive(Clone, Copy, PartialEq)]
enum Pace {
    /// As a whole.
    Whole,
    /// Message by message, for as long as the connection lives.
    Streamed,
    /// To be dropped as it is read.
    Discarded,
}

/// A body that is waited for.
struct Wait {
    period: Pin<Box<Sleep>>,
    periods: u32,
    has_progressed: bool,
    /// While there is no room for it.
    room: Option<Pin<Box<Sleep>>>,
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
    /// It took longer than it may.
    #[error("the request's body did not arrive within {0:?}")]
    Late(Duration),
    /// Others needed its memory.
    #[error("there was no memory for the rest of the request's body")]
    Displaced,
}

impl RequestBody {
    pub(super) fn http1(body: Incoming, connection: Arc<ConnectionState>) -> Self {
        Self::new(Kind::Http1(body), 0, connection)
    }

    /// A body over HTTP/2 of `len` bytes, if that is said, behind a head that takes `head` bytes. Many small calls whose bodies
    /// do not come hold little but their heads: those count while a body is waited for.
    pub(super) fn http2(stream: RecvStream, len: Option<u64>, head: usize, connection: Arc<ConnectionState>) -> Self {
        Self::new(Kind::Http2 { stream, has_data: true, len }, head, connection)
    }

    fn new(kind: Kind, head: usize, connection: Arc<ConnectionState>) -> Self {
        Self { kind, connection, uncounted: 0, head, bytes: None, held: 0, pace: Pace::Whole, wait: None }
    }

    /// The connection that it comes on.
    pub fn connection(&self) -> &Arc<ConnectionState> {
        &self.connection
    }

    /// Adds to the extensions of its request where that came from, and the bytes that are held for it.
    pub fn describe(&mut self, extensions: &mut Extensions) {
        extensions.insert(Peer(self.connection.peer()));
        extensions.insert(self.connection.clone());
        extensions.insert(self.bytes().clone());
    }

    /// Lets its messages arrive one by one for as long as the connection lives. The reader says which were
    /// [`Self::handled`].
    pub fn set_streamed(&mut self) {
        self.pace = Pace::Streamed;
    }

    /// Counts no more of it: the reader drops what it reads.
    pub fn set_discarded(&mut self) {
        self.pace = Pace::Discarded;
        self.handled(usize::MAX);
    }

    /// Notes that the reader no longer holds `len` bytes of those that it read.
    pub fn handled(&mut self, len: usize) {
        let uncounted = len.min(self.uncounted);
        self.uncounted -= uncounted;
        self.resume(uncounted);
        if len > uncounted
            && let Some(bytes) = &self.bytes
        {
            bytes.handled(len - uncounted);
        }
    }

    /// The next frame, counted as one of the root key `owner`.
    pub fn poll_frame_of(
        &mut self,
        cx: &mut Context<'_>,
        owner: Option<&str>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = self.poll_counted(cx, owner);
        if let Poll::Ready(Some(Err(error))) = &frame {
            let owner = owner.or_else(|| self.bytes.as_ref()?.owner());
            match error {
                BodyError::Displaced => self.connection.requests().log_displaced(owner, &self.connection),
                BodyError::Late(_) => self.connection.requests().log_late(owner, &self.connection),
                BodyError::Http1(_) | BodyError::Http2(_) => {}
            }
        }
        frame
    }

    fn poll_counted(
        &mut self,
        cx: &mut Context<'_>,
        owner: Option<&str>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.uncounted > UNCOUNTED_MAX {
            match self.poll_count(cx, owner) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(Displaced)) => return Poll::Ready(Some(Err(BodyError::Displaced))),
                Poll::Pending => return self.poll_wait(cx, true).map(|error| Some(Err(error))),
            }
        }
        let frame = match &mut self.kind {
            Kind::Http1(body) => Pin::new(body).poll_frame(cx).map_err(BodyError::Http1),
            Kind::Http2 { .. } => self.poll_http2(cx).map_err(BodyError::Http2),
        };
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                self.received(frame.data_ref().map_or(0, Bytes::len));
                if self.is_end_stream() {
                    self.complete(owner);
                }
            }
            Poll::Ready(None) => self.complete(owner),
            Poll::Ready(Some(Err(_))) => {}
            // Nothing of it is held, and its reader decides how long it waits. It may have ended before, and been counted.
            Poll::Pending if self.pace == Pace::Discarded => {}
            Poll::Pending => {
                if self.head > 0 && self.connection.is_authenticated() && self.pace == Pace::Whole {
                    let head = std::mem::take(&mut self.head);
                    // Without room for its head it does not wait: it would be held all the same.
                    if !matches!(self.bytes_of(owner).poll_count(head, cx), Poll::Ready(Ok(()))) {
                        self.connection.requests().note_displaced();
                        return Poll::Ready(Some(Err(BodyError::Displaced)));
                    }
                }
                let is_displaced = if self.uncounted > 0 {
                    matches!(self.poll_count(cx, owner), Poll::Ready(Err(Displaced)))
                } else {
                    self.bytes.as_ref().is_some_and(|bytes| bytes.is_displaced(cx.waker()))
                };
                if is_displaced {
                    return Poll::Ready(Some(Err(BodyError::Displaced)));
                }
                let is_blocked = self.uncounted > 0;
                return self.poll_wait(cx, is_blocked).map(|error| Some(Err(error)));
            }
        }
        frame
    }

    fn poll_http2(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let Kind::Http2 { stream, has_data, .. } = &mut self.kind else { return Poll::Ready(None) };
        if *has_data {
            match ready!(stream.poll_data(cx)) {
                Some(Ok(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(Err(error)) => return Poll::Ready(unless_early_response(error)),
                None => *has_data = false,
            }
        }
        match ready!(stream.poll_trailers(cx)) {
            Ok(trailers) => Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers)))),
            Err(error) => Poll::Ready(unless_early_response(error)),
        }
    }

    fn received(&mut self, len: usize) {
        if self.pace == Pace::Discarded {
            self.resume(len);
        } else {
            self.uncounted += len;
        }
        if let Some(wait) = &mut self.wait {
            wait.has_progressed = true;
        }
    }

    /// All of it was read.
    fn complete(&mut self, owner: Option<&str>) {
        self.wait = None;
        let uncounted = std::mem::take(&mut self.uncounted);
        self.resume(uncounted);
        let is_counted = self.bytes.as_ref().is_some_and(|bytes| bytes.is_counted());
        if is_counted || uncounted > UNCOUNTED_MAX {
            self.bytes_of(owner).complete(uncounted);
        }
    }

    /// Counts what was read, once there is room: only then may the sender go on.
    fn poll_count(&mut self, cx: &mut Context<'_>, owner: Option<&str>) -> Poll<Result<(), Displaced>> {
        let len = self.uncounted;
        let is_authenticated = self.connection.is_authenticated();
        if !is_authenticated && self.connection.held() + len > UNAUTHENTICATED_HELD_MAX {
            return Poll::Pending;
        }
        ready!(self.bytes_of(owner).poll_count(len, cx))?;
        if !is_authenticated {
            self.connection.hold(len);
            self.held += len;
        }
        self.uncounted = 0;
        self.resume(len);
        Poll::Ready(Ok(()))
    }

    /// Waits for the rest. Whether that takes too long.
    fn poll_wait(&mut self, cx: &mut Context<'_>, is_blocked: bool) -> Poll<BodyError> {
        let is_authenticated = self.connection.is_authenticated();
        let wait = self.wait.get_or_insert_with(|| Wait {
            period: Box::pin(sleep(IDLE_MAX)),
            periods: 0,
            has_progressed: false,
            room: None,
        });
        if is_blocked {
            let room = wait.room.get_or_insert_with(|| Box::pin(sleep(ROOM_RETRY)));
            if room.as_mut().poll(cx).is_ready() {
                wait.room = None;
                cx.waker().wake_by_ref();
            }
        } else {
            wait.room = None;
        }
        if is_authenticated && self.pace == Pace::Streamed {
            return Poll::Pending;
        }
        while wait.period.as_mut().poll(cx).is_ready() {
            wait.periods += 1;
            if is_authenticated && wait.has_progressed && wait.periods < IDLE_PERIODS_MAX {
                wait.has_progressed = false;
                wait.period.set(sleep(IDLE_MAX));
                continue;
            }
            // What has no room has done nothing wrong.
            return Poll::Ready(if is_blocked && is_authenticated {
                self.connection.requests().note_displaced();
                BodyError::Displaced
            } else {
                self.connection.requests().note_late();
                BodyError::Late(IDLE_MAX * wait.periods)
            });
        }
        Poll::Pending
    }

    /// Lets the sender send as much as was held back.
    fn resume(&mut self, len: usize) {
        if let Kind::Http2 { stream, .. } = &mut self.kind
            && len > 0
        {
            let _ = stream.flow_control().release_capacity(len);
        }
    }

    fn bytes(&mut self) -> &Arc<RequestBytes> {
        self.bytes.get_or_insert_with(|| Arc::new(RequestBytes::new(self.connection.requests().clone())))
    }

    fn bytes_of(&mut self, owner: Option<&str>) -> &RequestBytes {
        let bytes = self.bytes();
        if let Some(owner) = owner {
            bytes.set_owner(owner);
        }
        bytes
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
        self.poll_frame_of(cx, None)
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
