//! Which way a request goes. Verifications are answered on the thread that serves their connection; all that talks to
//! the store goes to other threads, and what was begun there is finished whether or not the client stays.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time;
use tonic::body::Body;
use tonic::server::NamedService as _;
use tonic::service::Routes;
use tower::{Layer as _, Service as _};

use super::caller::{Callers, Guarded};
use super::details::{CompleteErrors, Completing};
use super::status;
use super::verification::{Answer, Called, Calling, Verification};
use crate::transport;
use crate::verify::Verifier;

/// The longest that a client can allow a call, by `grpc-timeout`; what is longer is no limit. 8 digits of hours.
const TIMEOUT_HEADER: &str = "grpc-timeout";

/// See the module.
#[derive(Clone)]
pub struct Door(Arc<Ways>);

struct Ways {
    callers: Callers,
    verifier: Arc<Verifier>,
    verification: Completing<Guarded<Verification>>,
    others: Completing<Routes>,
    background: Handle,
}

impl Door {
    /// A door to `verification` and to the `others`, which run on `background`.
    pub fn new(
        callers: Callers,
        verifier: Arc<Verifier>,
        verification: Verification,
        others: Routes,
        background: Handle,
    ) -> Self {
        let verification = CompleteErrors.layer(callers.guard(verification));
        let others = CompleteErrors.layer(others.prepare());
        Self(Arc::new(Ways { callers, verifier, verification, others, background }))
    }

    fn go(&self, request: Request<Body>) -> Going {
        let timeout = timeout(request.headers());
        let path = request.uri().path();
        let is_verification = path.strip_prefix('/').and_then(|path| path.strip_prefix(Verification::NAME));
        let going: Going = if is_verification.is_some_and(|rest| rest.starts_with('/')) {
            let mut verification = self.0.verification.clone();
            Box::pin(async move { verification.call(request).await.unwrap_or_else(never) })
        } else {
            let mut others = self.0.others.clone();
            let answering = self.0.background.spawn(async move { others.call(request).await.unwrap_or_else(never) });
            Box::pin(async move { answering.await.unwrap_or_else(|error| status::panicked(&error).into_http()) })
        };
        match timeout {
            None => going,
            Some(timeout) => Box::pin(async move {
                let answer = time::timeout(timeout, going).await;
                answer.unwrap_or_else(|_| status::deadline_exceeded(timeout).into_http())
            }),
        }
    }
}

impl transport::Door for Door {
    type Body = Answer;
    type Answering = Answering;

    fn answer(&self, request: Request<Incoming>) -> Answering {
        match Calling::begin(request, &self.0.callers, &self.0.verifier) {
            Ok(calling) => Answering::Known(calling, self.clone()),
            Err(request) => Answering::Going(self.go(request.map(Body::new))),
        }
    }
}

type Going = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// An answer to come.
#[expect(clippy::large_enum_variant, reason = "nearly every one is the large one, and each is in a task of its own")]
pub enum Answering {
    /// To an ordinary Verify.
    Known(Calling, Door),
    /// To anything else.
    Going(Going),
}

impl Future for Answering {
    type Output = Response<Answer>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<Answer>> {
        if let Self::Known(calling, door) = &mut *self {
            match ready!(Pin::new(calling).poll(cx)) {
                Called::Answered(response) => return Poll::Ready(response),
                Called::Unanswered(request) => {
                    let going = door.go(request);
                    *self = Self::Going(going);
                }
            }
        }
        match &mut *self {
            Self::Going(going) => going.as_mut().poll(cx).map(|response| response.map(Answer::Other)),
            Self::Known(..) => unreachable!("it went the long way"),
        }
    }
}

/// How long the client allows the call (gRPC over HTTP/2, "Timeout"): up to eight digits and a unit. What is none is
/// passed over.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT_HEADER)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_hours(count)),
        "M" => Some(Duration::from_mins(count)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

fn never(error: Infallible) -> Response<Body> {
    match error {}
}
