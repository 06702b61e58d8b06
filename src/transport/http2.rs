//! A connection over HTTP/2. Its calls are polled in its own task: most of them are answered as soon as they are read, and
//! need no task, no timer and no place in memory of their own.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, Stream as _};
use h2::server::{self, SendResponse};
use h2::{Ping, PingPong, Reason, RecvStream};
use http::{HeaderMap, Request, header};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{self, Instant, Sleep};
use tokio_util::sync::WaitForCancellationFuture;

use super::call::Call;
use super::caller_turns;
use super::connection::{Door, Settings, age_grace, in_handshake_time, jittered};
use super::frame_meter::FrameMeter;
use super::open_connections::{OpenConnections, WindowGrant};
use super::patience::{Advice, Patience, TICK};
use super::queue_time::{QueueTime, UNNOTICED};
use super::request_body::RequestBody;
use super::state::{ConnectionState, EndReason};

/// Most calls in flight on one connection; more wait at the client. With the size of a request this bounds what one
/// connection of a caller's can make the server hold: h2 keeps some 1.5 KiB for each call, also once it has ended. RFC 9113
/// (6.5.2) advises against less.
pub(super) const STREAMS_MAX: u32 = 100;
/// Most calls that are served at once on a connection that has not authenticated, and the bytes of their heads.
const UNAUTHENTICATED_CALLS_MAX: usize = 8;
const UNAUTHENTICATED_HEADS_MAX: usize = 8 * 1024;
/// How much of a request's body may arrive before it is read.
const STREAM_WINDOW: u32 = 64 * 1024;
/// And of those of all requests on a connection, once it has authenticated and while there is memory for it. Before, that is
/// the least that HTTP/2 allows: 64 KiB.
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;
/// A message of a stream is a frame of its own, and h2 takes too many small frames that nobody has read for an attack, on
/// which it closes the connection: more than this, where each counts as 256 bytes less its own. Messages of 40 bytes and
/// more, as those with a key are, stay below that on several streams that wait for the store.
const DATA_FRAME_BUDGET: usize = 1024 * 1024;
/// Most fields in the head of a request, as over HTTP/1.1: each takes a hundred bytes of memory and may take one of a frame.
const HEAD_FIELDS_MAX: usize = 100;
/// About what a field of a head takes in memory: a place in the map, its index, and a short text.
const HEAD_FIELD_SIZE: usize = 192;
/// Largest head of a request.
const HEAD_SIZE_MAX: u32 = 16 * 1024;
/// How much of a response is held for a client beyond what its window takes.
const SEND_BUFFER_MAX: usize = 64 * 1024;
/// Streams that were reset before they were looked at: more than the meter lets be read before that.
const RESET_BEFORE_ACCEPT_MAX: usize = 1_024;
/// Room for so many calls is kept between rounds, at 300 bytes each.
const ACCEPTED_KEPT_MAX: usize = 32;
/// How long a client may take to hear that its connection ends.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves `stream` to its end.
pub async fn serve<S, D>(stream: S, state: Arc<ConnectionState>, settings: &Settings, door: D) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    D: Door,
{
    let stream = FrameMeter::new(stream, state.clone());
    let handshake = server::Builder::new()
        .max_concurrent_streams(STREAMS_MAX)
        .initial_window_size(STREAM_WINDOW)
        .max_header_list_size(HEAD_SIZE_MAX)
        .max_send_buffer_size(SEND_BUFFER_MAX)
        .max_pending_accept_reset_streams(RESET_BEFORE_ACCEPT_MAX)
        .data_frame_budget(DATA_FRAME_BUDGET)
        // Not limited over the life of a connection: what is read of a call that was refused before all of it had arrived
        // counts as an error as well.
        .max_local_error_reset_streams(None)
        .handshake(stream);
    let mut h2 = in_handshake_time(&state, async { handshake.await.map_err(io::Error::other) }).await?;
    let pings = h2.ping_pong();
    let timer = Box::pin(time::sleep(TICK));
    let age = settings.age_max.map(|age| time::sleep(jittered(age)).deadline());
    let mut close = pin!(settings.close.cancelled());
    let mut connection = Connection {
        h2,
        pings,
        door,
        next_tick: timer.deadline(),
        timer,
        age_grace: age_grace(settings.age_max.unwrap_or_default()),
        next_age: age.map(|at| (at, Age::Reached)),
        state,
        calls: FuturesUnordered::new(),
        accepted: Vec::new(),
        heads: 0,
        patience: Patience::default(),
        queue_time: QueueTime::new(),
        turns_of: 0,
        connections: settings.connections.clone(),
        window: Window::Least,
        has_begun: false,
        phase: Phase::Open,
    };
    connection.set_timer();
    std::future::poll_fn(|cx| connection.poll(cx, close.as_mut())).await.map_err(io::Error::other)
}

struct Connection<S, D: Door> {
    h2: server::Connection<FrameMeter<S>, Bytes>,
    pings: Option<PingPong>,
    door: D,
    state: Arc<ConnectionState>,
    calls: FuturesUnordered<WithHead<D>>,
    /// Read and not begun. Empty but for while it is polled.
    accepted: Vec<(Request<RecvStream>, SendResponse<Bytes>)>,
    /// The bytes of the heads of calls that began before the connection authenticated.
    heads: usize,
    patience: Patience,
    queue_time: QueueTime,
    /// The caller whose turns it takes.
    turns_of: u64,
    connections: Arc<OpenConnections>,
    window: Window,
    /// The next tick, or the next step of its age, whichever is earlier.
    timer: Pin<Box<Sleep>>,
    next_tick: Instant,
    next_age: Option<(Instant, Age)>,
    age_grace: Duration,
    /// Whether there ever was a call.
    has_begun: bool,
    phase: Phase,
}

/// How much may be sent on a connection before it is read.
enum Window {
    /// The least that HTTP/2 allows.
    Least,
    /// It has authenticated: as much as a caller may, or still the least, if memory is short.
    #[expect(dead_code, reason = "the grant counts for as long as it is kept")]
    Decided(Option<WindowGrant>),
}

/// How far a connection is from its end.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Open,
    /// The server ends: the connection does once its calls have.
    Closing,
    /// Its calls were cut off, and its client is told so.
    Ending,
}

/// The steps in which a connection that is old enough ends.
#[derive(Clone, Copy)]
enum Age {
    /// Its client is asked to connect anew for what is next; calls in flight go on.
    Reached,
    /// Streams that last are asked to end.
    GraceOver,
    /// What is still open is cut off.
    Over,
}

/// A call, with the size of its head while that is counted.
struct WithHead<D: Door>(Call<D>, usize);

impl<D: Door> Future for WithHead<D> {
    type Output = usize;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        let size = self.1;
        Pin::new(&mut self.0).poll(cx).map(|()| size)
    }
}

impl<S, D> Connection<S, D>
where
    S: AsyncRead + AsyncWrite + Unpin,
    D: Door,
{
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        close: Pin<&mut WaitForCancellationFuture<'_>>,
    ) -> Poll<Result<(), h2::Error>> {
        self.queue_time.register(cx.waker());
        let waker = self.queue_time.waker.clone();
        let cx = &mut Context::from_waker(&waker);
        self.state.task().register(cx.waker());
        if self.phase == Phase::Open && close.poll(cx).is_ready() {
            self.phase = Phase::Closing;
            // Nothing was asked, so nothing is lost; the client may never confirm that it is told to go.
            if !self.has_begun {
                return Poll::Ready(Ok(()));
            }
            self.h2.graceful_shutdown();
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if self.phase == Phase::Ending {
                return Poll::Ready(Ok(()));
            }
            self.timer_fired(cx);
        }
        if let Poll::Ready(ended) = self.poll_calls(cx) {
            return Poll::Ready(ended);
        }
        if let Some(reason) = self.state.end_reason() {
            return self.poll_end(reason, cx);
        }
        if matches!(self.window, Window::Least) && self.state.is_authenticated() {
            let grant = self.connections.grant_window(CONNECTION_WINDOW as usize);
            if grant.is_some() {
                self.h2.set_target_window_size(CONNECTION_WINDOW);
                self.state.set_wide();
            }
            self.window = Window::Decided(grant);
        }
        Poll::Pending
    }

    /// Reads and answers until there is nothing to do, or it is others' turn.
    fn poll_calls(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        loop {
            let (caller, connection) = (self.state.caller(), Arc::as_ptr(&self.state).addr());
            if caller != self.turns_of {
                caller_turns::forget(self.turns_of, connection);
                self.turns_of = caller;
            }
            if !caller_turns::may_go_on(caller, connection) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.state.next_round();
            // What has arrived is read before any of it is answered, so that responses leave together. Of much it is a part:
            // the next round reads on.
            loop {
                match self.h2.poll_accept(cx) {
                    Poll::Ready(Some(Ok(call))) => self.accepted.push(call),
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                    Poll::Ready(None) => return Poll::Ready(Ok(())),
                    Poll::Pending => break,
                }
            }
            let mut accepted = std::mem::take(&mut self.accepted);
            let mut steps = accepted.len();
            let waited = self.queue_time.note_read(steps, self.state.is_cut_short());
            for (request, respond) in accepted.drain(..) {
                self.begin(request, respond, waited, cx);
            }
            if self.state.is_authenticated() {
                accepted.shrink_to(ACCEPTED_KEPT_MAX);
                self.accepted = accepted;
            }
            while let Poll::Ready(Some(head)) = Pin::new(&mut self.calls).poll_next(cx) {
                self.heads -= head;
                steps += 1;
            }
            if steps == 0 {
                return Poll::Pending;
            }
            caller_turns::note_calls(caller, steps);
            if self.state.is_cut_short() {
                // Other connections of this thread have their turn first.
                return Poll::Pending;
            }
        }
    }

    fn begin(
        &mut self,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
        waited: Duration,
        cx: &mut Context<'_>,
    ) {
        self.has_begun = true;
        let mut head = 0;
        if !self.state.is_authenticated() {
            head = head_size(&request);
            let is_too_much = self.state.calls() >= UNAUTHENTICATED_CALLS_MAX
                || (self.heads > 0 && self.heads + head > UNAUTHENTICATED_HEADS_MAX);
            if is_too_much && !self.door.is_known(request.headers()) {
                respond.send_reset(Reason::REFUSED_STREAM);
                return;
            }
        }
        if waited > UNNOTICED && respond.poll_reset(cx).is_ready() {
            return;
        }
        if request.headers().len() > HEAD_FIELDS_MAX {
            let answering = self.door.refuse_head(&request.into_parts().0);
            self.keep(answering, respond, head, cx);
            return;
        }
        let len = content_length(request.headers());
        let taken = request.headers().len() * HEAD_FIELD_SIZE;
        let request = request.map(|stream| RequestBody::http2(stream, len, taken, self.state.clone()));
        let patience = if waited > UNNOTICED { self.door.late_patience(&request) } else { None };
        let answering = match patience {
            Some(patience) if !self.queue_time.is_served(waited, patience) => self.door.refuse_late(&request),
            _ => self.door.answer(request),
        };
        self.keep(answering, respond, head, cx);
    }

    /// Polls a call whose head takes `head` bytes, and keeps it until it is answered.
    fn keep(&mut self, answering: D::Answering, respond: SendResponse<Bytes>, head: usize, cx: &mut Context<'_>) {
        let mut call = Call::new(answering, respond, self.state.clone());
        if Pin::new(&mut call).poll(cx).is_pending() {
            self.heads += head;
            self.calls.push(WithHead(call, head));
        }
    }

    /// Tells the client that its connection ends, and gives it a moment to hear of it.
    fn poll_end(&mut self, reason: EndReason, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        if self.phase != Phase::Ending {
            self.phase = Phase::Ending;
            self.calls.clear();
            self.h2.abrupt_shutdown(match reason {
                EndReason::FrameFlood | EndReason::Stalled => Reason::ENHANCE_YOUR_CALM,
                _ => Reason::NO_ERROR,
            });
            self.timer.set(time::sleep(GOODBYE_TIMEOUT));
            // The timer and the shutdown are polled anew.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn timer_fired(&mut self, cx: &mut Context<'_>) {
        let fired = self.timer.deadline();
        if let Some((at, step)) = self.next_age
            && at <= fired
        {
            self.next_age = match step {
                Age::Reached => {
                    self.h2.graceful_shutdown();
                    Some((at + self.age_grace, Age::GraceOver))
                }
                Age::GraceOver => {
                    self.state.closing().cancel();
                    Some((at + TICK, Age::Over))
                }
                Age::Over => {
                    self.state.end(EndReason::Age);
                    None
                }
            };
        }
        if self.next_tick <= fired {
            self.next_tick = fired + TICK;
            match self.patience.tick(&self.state) {
                Advice::Wait => {}
                Advice::Ping => {
                    if let Some(pings) = &mut self.pings {
                        // The answer to the one before is taken first. If there is none yet, that ping serves as well.
                        let _ = pings.poll_pong(cx);
                        let _ = pings.send_ping(Ping::opaque());
                    }
                }
                Advice::End(reason) => self.state.end(reason),
            }
        }
        self.set_timer();
    }

    fn set_timer(&mut self) {
        let next = self.next_age.map_or(self.next_tick, |(age, _)| age.min(self.next_tick));
        self.timer.as_mut().reset(next);
    }
}

impl<S, D: Door> Drop for Connection<S, D> {
    fn drop(&mut self) {
        caller_turns::forget(self.turns_of, Arc::as_ptr(&self.state).addr());
    }
}

/// The bytes of a head, as HTTP/2 counts them but for what is the same in each.
fn head_size(request: &Request<RecvStream>) -> usize {
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 32);
    headers.sum::<usize>() + request.uri().path().len() + 32
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};
    use std::net::SocketAddr;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use futures_util::future::join_all;
    use http::Response;
    use http_body_util::Full;
    use tokio::runtime;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::transport::Handshakes;
    use crate::transport::request_budget::RequestBudget;
    use crate::transport::unsent::Unsent;

    /// Answers `/slow` by keeping the thread busy from when `began` says so, and everything else at once. `/late` may be
    /// refused.
    #[derive(Clone)]
    struct Busy {
        began: Arc<Barrier>,
        refused: Arc<AtomicUsize>,
    }

    impl Door for Busy {
        type Body = Full<Bytes>;
        type Answering = Ready<Response<Full<Bytes>>>;

        fn answer(&self, request: Request<RequestBody>) -> Self::Answering {
            if request.uri().path() == "/slow" {
                self.began.wait();
                thread::sleep(Duration::from_millis(700));
            }
            ready(Response::new(Full::new(Bytes::new())))
        }

        fn late_patience(&self, request: &Request<RequestBody>) -> Option<Duration> {
            (request.uri().path() == "/late").then_some(Duration::from_mins(1))
        }

        fn refuse_late(&self, _: &Request<RequestBody>) -> Self::Answering {
            self.refused.fetch_add(1, Ordering::Relaxed);
            ready(Response::new(Full::new(Bytes::new())))
        }

        fn refuse_head(&self, _: &http::request::Parts) -> Self::Answering {
            ready(Response::new(Full::new(Bytes::new())))
        }

        fn is_known(&self, _: &HeaderMap) -> bool {
            true
        }
    }

    #[test]
    fn calls_that_waited_unread_behind_others_are_refused_and_those_that_may_not_be_are_served() {
        let serving = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let door = Busy { began: Arc::new(Barrier::new(2)), refused: Arc::default() };
        let (Busy { began, refused }, stop) = (door.clone(), CancellationToken::new());
        let (handle, stopped) = (serving.handle().clone(), stop.clone());
        let thread = thread::spawn(move || serving.block_on(stopped.cancelled()));
        let calling = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        calling.block_on(async {
            let settings = Settings {
                tls: None,
                age_max: None,
                ending: CancellationToken::new(),
                close: CancellationToken::new(),
                connections: Arc::new(OpenConnections::new(1 << 20)),
                handshakes: Arc::new(Handshakes::start().unwrap()),
            };
            let connect = || async {
                let (client, server) = tokio::io::duplex(64 * 1024);
                let peer = SocketAddr::from(([127, 0, 0, 1], 1));
                let unsent = Arc::new(Unsent::new(1 << 20));
                let requests = Arc::new(RequestBudget::new(1 << 20));
                let state = Arc::new(ConnectionState::new(peer, CancellationToken::new(), unsent, requests));
                let (settings, door) = (settings.clone(), door.clone());
                handle.spawn(async move { serve(server, state, &settings, door).await });
                let (send, connection) = h2::client::handshake(client).await.unwrap();
                tokio::spawn(connection);
                send
            };
            let (busy, idle) = (connect().await, connect().await);
            let texts = AtomicUsize::new(0);
            let call = |send: &h2::client::SendRequest<Bytes>, path| {
                let mut send = send.clone();
                // A few of them are read in a round.
                let text = format!("{}{}", texts.fetch_add(1, Ordering::Relaxed), "~".repeat(700));
                let request = Request::get(format!("http://localhost{path}")).header("x-text", text).body(()).unwrap();
                tokio::spawn(send.send_request(request, true).unwrap().0)
            };
            call(&idle, "/late").await.unwrap().unwrap();
            assert_eq!(refused.load(Ordering::Relaxed), 0, "it did not wait");
            let slow = call(&busy, "/slow");
            tokio::task::spawn_blocking(move || began.wait()).await.unwrap();
            let late = (0..16).map(|_| call(&idle, "/late"));
            for answered in join_all([slow, call(&idle, "/other")].into_iter().chain(late)).await {
                answered.unwrap().unwrap();
            }
            // Of those that waited for 700 ms, two of seven.
            assert!(refused.load(Ordering::Relaxed) >= 3);
        });
        stop.cancel();
        thread.join().unwrap();
    }
}
