//! A connection over HTTP/1.1.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time;

use super::connection::{Door, Settings, age_grace, of_age};
use super::head_meter::{HeadMeter, head_completed};
use super::patience::{Advice, Patience, TICK};
use super::request_body::RequestBody;
use super::state::{ConnectionState, EndReason};
use super::unsent::Held;

/// HTTP/1.1 has no pings: a connection is closed that sends no whole head of a request for this long. Until it authenticates,
/// a head that has begun has less time: see [`Patience`].
const IDLE_MAX: Duration = Duration::from_mins(1);
/// Largest head of a request, in bytes: as large as one of HTTP/2 may be.
const HEAD_SIZE_MAX: usize = 16 * 1024;

/// How much of a response is given to the connection at once.
const SLICE_SIZE: usize = 16 * 1024;

/// Serves `stream` to its end.
pub async fn serve<S, D>(stream: S, state: Arc<ConnectionState>, settings: &Settings, door: D) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    D: Door,
{
    let has_begun = Arc::new(AtomicBool::new(false));
    let is_of_age = Arc::new(AtomicBool::new(false));
    let (begins, ends, connection) = (has_begun.clone(), is_of_age.clone(), state.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        begins.store(true, Ordering::Relaxed);
        let (counted, unsent) = (Counted::new(connection.clone()), connection.clone());
        head_completed(&connection);
        let request = request.map(|body| RequestBody::http1(body, connection.clone()));
        let (answering, ends) = (door.answer(request), ends.clone());
        async move {
            let mut response = answering.await;
            drop(counted);
            // Closed with an answer, as no client can tell whether a connection closed between two took its request.
            if ends.load(Ordering::Relaxed) {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response.map(|body| SlicedBody::new(body, unsent)))
        }
    });
    let mut serving = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_MAX)
            .max_buf_size(HEAD_SIZE_MAX)
            .serve_connection(TokioIo::new(HeadMeter::new(stream, state.clone())), service)
    );
    let aging = async {
        of_age(settings).await;
        is_of_age.store(true, Ordering::Relaxed);
        time::sleep(age_grace(settings.age_max.unwrap_or_default()) + TICK).await;
        state.end(EndReason::Age);
        pending::<()>().await;
    };
    let ending = async {
        settings.ending.cancelled().await;
        is_of_age.store(true, Ordering::Relaxed);
        pending::<()>().await;
    };
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = aging => unreachable!("nothing comes after it"),
        () = ending => unreachable!("nothing comes after it"),
        () = wait_until_stuck(&state) => Ok(()),
        _ = state.ended() => Ok(()),
        () = settings.close.cancelled() => {
            serving.as_mut().graceful_shutdown();
            // Nothing was asked, so there is nothing to wait for.
            if has_begun.load(Ordering::Relaxed) { serving.await } else { Ok(()) }
        }
    };
    if let Some(reason) = served.as_ref().err().and_then(end_reason) {
        state.end(reason);
    }
    served.map_err(io::Error::other)
}

/// Why the server ended a connection, if it did so with this error of hyper's: no whole head came within [`IDLE_MAX`].
fn end_reason(error: &hyper::Error) -> Option<EndReason> {
    error.is_timeout().then_some(EndReason::Idle)
}

/// Ends a connection that has not authenticated and is idle for too long, and one that is stuck. A client may be silent while
/// its call is served.
async fn wait_until_stuck(state: &ConnectionState) {
    let mut patience = Patience::default();
    loop {
        time::sleep(TICK).await;
        if let Advice::End(reason @ (EndReason::Idle | EndReason::Stalled)) = patience.tick(state) {
            state.end(reason);
            return;
        }
    }
}

/// The body of a response, in slices: the next is taken once the client has taken those before, so that what is left is
/// known to be unsent.
struct SlicedBody<B> {
    body: B,
    left: Bytes,
    held: Option<Held>,
    connection: Arc<ConnectionState>,
}

impl<B> SlicedBody<B> {
    fn new(body: B, connection: Arc<ConnectionState>) -> Self {
        Self { body, left: Bytes::new(), held: None, connection }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for SlicedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        if this.left.is_empty() {
            let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) if data.len() > SLICE_SIZE => {
                    this.held = Some(this.connection.unsent().hold_on(data.len(), this.connection.clone()));
                    this.left = data;
                }
                Some(Ok(Ok(data))) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let slice = this.left.split_to(this.left.len().min(SLICE_SIZE));
        if this.left.is_empty() {
            this.held = None;
        }
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.left.is_empty() { self.body.size_hint() } else { SizeHint::default() }
    }
}

/// A call that is being served, for as long as this lives.
struct Counted(Arc<ConnectionState>);

impl Counted {
    fn new(connection: Arc<ConnectionState>) -> Self {
        connection.call_began();
        Self(connection)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.call_ended();
    }
}

#[cfg(test)]
mod tests {
    use http::Response;
    use http_body_util::Empty;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_connection_that_sends_no_head_is_ended_as_idle() {
        for sent in [&b""[..], b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"GET / HTTP/1.1\r\n"] {
            let (mut client, server) = tokio::io::duplex(1024);
            let service = service_fn(async |_| Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())));
            let serving = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_millis(20))
                .serve_connection(TokioIo::new(server), service);
            let talking = async {
                client.write_all(sent).await.unwrap();
                client.read_to_end(&mut Vec::new()).await.unwrap();
            };
            let (ended, ()) = tokio::join!(serving, talking);
            assert_eq!(ended.err().as_ref().and_then(end_reason), Some(EndReason::Idle), "{sent:?}");
        }
    }
}
