//! A connection over HTTP/1.1.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderValue, Request, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time;

use super::connection::{Door, Settings, age_grace, of_age};
use super::patience::{Advice, Patience, TICK};
use super::request_body::RequestBody;
use super::state::{ConnectionState, EndReason};

/// HTTP/1.1 has no pings: a connection is closed that sends no whole head of a request for this long.
const IDLE_MAX: Duration = Duration::from_mins(1);
/// Largest head of a request, in bytes: as large as one of HTTP/2 may be.
const HEAD_SIZE_MAX: usize = 16 * 1024;

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
        let counted = Counted::new(connection.clone());
        let request = request.map(|body| RequestBody::http1(body, connection.clone()));
        let (answering, ends) = (door.answer(request), ends.clone());
        async move {
            let mut response = answering.await;
            drop(counted);
            // Closed with an answer, as no client can tell whether a connection closed between two took its request.
            if ends.load(Ordering::Relaxed) {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut serving = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_MAX)
            .max_buf_size(HEAD_SIZE_MAX)
            .serve_connection(TokioIo::new(stream), service)
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
        () = wait_until_idle(&state) => Ok(()),
        _ = state.ended() => Ok(()),
        () = settings.close.cancelled() => {
            serving.as_mut().graceful_shutdown();
            // Nothing was asked, so there is nothing to wait for.
            if has_begun.load(Ordering::Relaxed) { serving.await } else { Ok(()) }
        }
    };
    served.map_err(io::Error::other)
}

/// Ends a connection that has not authenticated and is idle for too long.
async fn wait_until_idle(state: &ConnectionState) {
    let mut patience = Patience::default();
    loop {
        time::sleep(TICK).await;
        if patience.tick(state) == Advice::End(EndReason::Idle) {
            state.end(EndReason::Idle);
            return;
        }
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
