//! One call over HTTP/2: waits for its response, then sends it as fast as the client takes it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{HeaderValue, Response, header};
use http_body::Body;
use tokio::time::{Sleep, sleep};

use super::connection::Door;
use super::state::{ConnectionState, EndReason};
use super::unsent::Held;

/// How long a client may take nothing of a response that it asked for; before it authenticates, and after.
const UNAUTHENTICATED_STALL_MAX: Duration = Duration::from_secs(10);
const STALL_MAX: Duration = Duration::from_mins(1);
/// How much of the connection's window a response claims at once, so that large responses leave room for small ones.
const CLAIM_MAX: usize = 16 * 1024;

/// A call.
pub struct Call<D: Door> {
    connection: Arc<ConnectionState>,
    respond: SendResponse<Bytes>,
    state: State<D>,
}

enum State<D: Door> {
    Answering(D::Answering),
    Sending(Sending<D::Body>),
}

/// A response on its way.
struct Sending<B> {
    body: B,
    stream: SendStream<Bytes>,
    /// Read from the body and not sent yet.
    unsent: Bytes,
    /// Nothing follows that.
    is_last: bool,
    /// While the client takes nothing.
    stall: Option<Stall>,
}

/// A client that takes nothing.
struct Stall {
    timeout: Pin<Box<Sleep>>,
    unsent: Held,
}

impl<D: Door> Call<D> {
    /// The call that `answering` answers.
    pub fn new(answering: D::Answering, respond: SendResponse<Bytes>, connection: Arc<ConnectionState>) -> Self {
        connection.call_began();
        Self { connection, respond, state: State::Answering(answering) }
    }

    fn poll_state(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let State::Answering(answering) = &mut self.state {
            let Poll::Ready(response) = Pin::new(answering).poll(cx) else {
                // The client may cancel the call: then nobody waits for the response.
                return self.respond.poll_reset(cx).map(drop);
            };
            match begin_response(response, &mut self.respond) {
                Some(sending) => self.state = State::Sending(sending),
                None => return Poll::Ready(()),
            }
        }
        match &mut self.state {
            State::Sending(sending) => sending.poll(cx, &self.connection),
            State::Answering(_) => unreachable!("it was answered"),
        }
    }
}

/// Sends the head of `response`. Returns what follows it, if anything does.
fn begin_response<B>(response: Response<B>, respond: &mut SendResponse<Bytes>) -> Option<Sending<B>>
where
    B: Body<Data = Bytes>,
{
    let (mut head, body) = response.into_parts();
    let is_empty = body.is_end_stream();
    if !is_empty && let Some(len) = body.size_hint().exact() {
        head.headers.entry(header::CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(len));
    }
    match respond.send_response(Response::from_parts(head, ()), is_empty) {
        Ok(stream) if !is_empty => Some(Sending { body, stream, unsent: Bytes::new(), is_last: false, stall: None }),
        Ok(_) => None,
        // The client is gone, or the head is none.
        Err(_) => {
            respond.send_reset(Reason::INTERNAL_ERROR);
            None
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Sending<B> {
    fn poll(&mut self, cx: &mut Context<'_>, connection: &ConnectionState) -> Poll<()> {
        loop {
            let progress = if self.unsent.is_empty() { self.poll_body(cx) } else { self.poll_send(cx, connection) };
            match progress {
                Poll::Ready(true) => return Poll::Ready(()),
                Poll::Ready(false) => {}
                Poll::Pending => return self.stream.poll_reset(cx).map(drop),
            }
        }
    }

    /// Reads on in the body; whether all of it was sent.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let sent = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    self.is_last = self.body.is_end_stream();
                    if data.is_empty() && !self.is_last {
                        return Poll::Ready(false);
                    }
                    if !data.is_empty() {
                        self.stream.reserve_capacity(data.len().min(CLAIM_MAX));
                        self.unsent = data;
                        return Poll::Ready(false);
                    }
                    self.stream.send_data(data, true)
                }
                Err(frame) => {
                    self.stream.reserve_capacity(0);
                    frame.into_trailers().map_or(Ok(()), |trailers| self.stream.send_trailers(trailers))
                }
            },
            None => self.stream.send_data(Bytes::new(), true),
            Some(Err(_)) => {
                self.stream.send_reset(Reason::INTERNAL_ERROR);
                return Poll::Ready(true);
            }
        };
        // If it cannot be sent, the client has gone away.
        drop(sent);
        Poll::Ready(true)
    }

    /// Sends as much as the client takes now; whether that was all.
    fn poll_send(&mut self, cx: &mut Context<'_>, connection: &ConnectionState) -> Poll<bool> {
        while self.stream.capacity() == 0 {
            match self.stream.poll_capacity(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(_) => return Poll::Ready(true),
                Poll::Pending => return self.poll_stall(cx, connection),
            }
        }
        self.stall = None;
        let len = self.stream.capacity().min(self.unsent.len());
        let part = self.unsent.split_to(len);
        let is_end = self.is_last && self.unsent.is_empty();
        if self.stream.send_data(part, is_end).is_err() {
            return Poll::Ready(true);
        }
        if !self.unsent.is_empty() {
            self.stream.reserve_capacity(self.unsent.len().min(CLAIM_MAX));
        }
        Poll::Ready(is_end)
    }

    /// Ends the connection once its client has taken nothing for too long, and the call if others need the memory.
    fn poll_stall(&mut self, cx: &mut Context<'_>, connection: &ConnectionState) -> Poll<bool> {
        let max = if connection.is_authenticated() { STALL_MAX } else { UNAUTHENTICATED_STALL_MAX };
        let stall = self.stall.get_or_insert_with(|| Stall {
            timeout: Box::pin(sleep(max)),
            unsent: connection.unsent().hold(self.unsent.len()),
        });
        let is_over = stall.timeout.as_mut().poll(cx).is_ready();
        if !is_over && !stall.unsent.is_dropped(cx.waker()) {
            return Poll::Pending;
        }
        self.stream.send_reset(Reason::ENHANCE_YOUR_CALM);
        if is_over {
            connection.end(EndReason::Stalled);
        } else {
            connection.unsent().log_drop(connection);
        }
        Poll::Ready(true)
    }
}

impl<D: Door> Future for Call<D> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // A panic ends this call and no other of the connection.
        match catch_unwind(AssertUnwindSafe(|| this.poll_state(cx))) {
            Ok(polled) => polled,
            Err(_) => {
                this.respond.send_reset(Reason::INTERNAL_ERROR);
                Poll::Ready(())
            }
        }
    }
}

impl<D: Door> Drop for Call<D> {
    fn drop(&mut self) {
        self.connection.call_ended();
    }
}
