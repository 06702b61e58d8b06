//! A page of text over HTTP/1.1, for machines that collect it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

/// Most connections at once: those that collect are few. One more ends the oldest, so that nobody is kept out by others
/// who say nothing.
const CONNECTIONS_MAX: usize = 64;
/// How long one may stay open. Each is for one request.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(30);
/// How long the head of a request may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait when the system refuses connections.
const REFUSED_WAIT: Duration = Duration::from_millis(100);

/// Serves what `text` says at `path` to whoever connects to `listener`, for as long as it runs.
pub async fn serve_text(listener: TcpListener, path: &'static str, text: Arc<dyn Fn() -> String + Send + Sync>) {
    let mut open = VecDeque::<AbortOnDropHandle<()>>::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(REFUSED_WAIT).await;
            continue;
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() == CONNECTIONS_MAX {
            open.pop_front();
        }
        let text = text.clone();
        open.push_back(AbortOnDropHandle::new(tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let response = answer(&request, path, text.as_ref());
                async move { Ok::<_, Infallible>(response) }
            });
            let mut builder = http1::Builder::new();
            let serving = builder.timer(TokioTimer::new()).keep_alive(false).header_read_timeout(HEAD_TIMEOUT);
            // However it ends, there is nobody to tell.
            let _ = timeout(CONNECTION_AGE_MAX, serving.serve_connection(TokioIo::new(stream), service)).await;
        })));
    }
}

fn answer(request: &Request<Incoming>, path: &str, text: &dyn Fn() -> String) -> Response<Full<Bytes>> {
    let (status, body) = match () {
        () if request.uri().path() != path => (StatusCode::NOT_FOUND, format!("there is nothing here: GET {path}\n")),
        () if request.method() != Method::GET && request.method() != Method::HEAD => {
            (StatusCode::METHOD_NOT_ALLOWED, format!("send GET {path}\n"))
        }
        () => (StatusCode::OK, text()),
    };
    let content_type = match status {
        StatusCode::OK => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
    }
    response
}
