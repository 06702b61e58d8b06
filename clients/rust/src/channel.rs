//! The channel that stubs call through: it adds the root key and the deadline, retries, and spreads over replicas.

mod answer;
mod connection;
mod deadline;
mod fleet;
mod greeting;
mod readiness;
mod replica;
mod resolution;
mod retry;
mod tls;

pub use answer::Answer;
pub(crate) use resolution::Origin;
pub(crate) use tls::Tls;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderValue, USER_AGENT};
use http::{Request, Response};
use http_body_util::Either;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use self::deadline::Deadline;
use self::fleet::Fleet;
use self::readiness::ReadinessMonitor;

const NAME: &str = concat!("portcullis-client-rust/", env!("CARGO_PKG_VERSION"));

/// Methods that read a stream: it cannot be sent again, and may last.
const STREAMS: [&str; 1] = ["/portcullis.v1.VerificationService/VerifyStream"];

/// Calls Portcullis with the root key, a deadline, retries, and by turns on all replicas.
///
/// A call that ends with UNAVAILABLE is tried up to four times in all, within its deadline. A stream is tried
/// once, and has no deadline but its own.
#[derive(Clone)]
pub struct Channel(Arc<Inner>);

struct Inner {
    fleet: Arc<Fleet>,
    bearer: HeaderValue,
    timeout: Duration,
    readiness: ReadinessMonitor,
    /// Keep the fleet as it is said to be, for as long as the channel lives.
    _resolutions: JoinSet<()>,
}

impl Channel {
    pub(crate) fn open(origins: Vec<Origin>, bearer: HeaderValue, timeout: Duration, runtime: &Handle) -> Self {
        let origins: Arc<[Arc<Origin>]> = origins.into_iter().map(Arc::new).collect();
        let fleet = Arc::new(Fleet::new(origins.len()));
        let mut resolutions = JoinSet::new();
        for (index, origin) in origins.iter().enumerate() {
            resolutions.spawn_on(resolution::follow(Arc::clone(&fleet), index, Arc::clone(origin)), runtime);
        }
        let readiness = ReadinessMonitor::new(origins, runtime.clone());
        Self(Arc::new(Inner { fleet, bearer, timeout, readiness, _resolutions: resolutions }))
    }

    /// See [`ReadinessMonitor::report_failure`].
    pub(crate) fn report_failure(&self) -> bool {
        self.0.readiness.report_failure()
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Answer>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        request.headers_mut().insert(AUTHORIZATION, inner.bearer.clone());
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(NAME));
        let is_stream = STREAMS.contains(&request.uri().path());
        let timeout_default = if is_stream { deadline::NEVER } else { inner.timeout };
        let timeout = deadline::timeout(request.headers()).unwrap_or(timeout_default);
        Box::pin(async move {
            let mut deadline = Deadline::after(Instant::now(), timeout);
            let at = deadline.at();
            let calling = async {
                if is_stream {
                    return inner.fleet.send(request.map(Either::Right)).await;
                }
                retry::attempts(&inner.fleet, request, at).await
            };
            let answer = tokio::select! {
                biased;
                answer = calling => answer?,
                late = deadline.passed() => return Err(late),
            };
            Ok(answer.map(|body| Answer::new(body, deadline)))
        })
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("timeout", &self.0.timeout).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::STREAMS;

    #[test]
    fn every_stream_of_the_contract_is_known() {
        let generated = include_str!("generated/portcullis.v1.tonic.rs");
        let calls = generated.matches("self.inner.streaming(").count()
            + generated.matches("self.inner.client_streaming(").count();
        assert_eq!(calls, STREAMS.len());
        assert!(STREAMS.iter().all(|path| generated.contains(path)));
    }
}
