//! Which way a request goes. Verifications are answered on the thread that serves their connection; calls that work on
//! the store all the while run on other threads, for as long as the client waits for them.

use std::convert::Infallible;
use std::future::ready as done;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time::{self, Sleep};
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;
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

/// How long the client allows the call (gRPC over HTTP/2, "Timeout").
const TIMEOUT_HEADER: &str = "grpc-timeout";
/// How the content type of every call begins.
const GRPC: &[u8] = b"application/grpc";

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
        let path = request.uri().path();
        let is_verification = path.strip_prefix('/').and_then(|path| path.strip_prefix(Verification::NAME));
        if is_verification.is_some_and(|rest| rest.starts_with('/')) {
            let mut verification = self.0.verification.clone();
            Box::pin(async move { verification.call(request).await.unwrap_or_else(never) })
        } else {
            let mut others = self.0.others.clone();
            let answering = self.0.background.spawn(async move { others.call(request).await.unwrap_or_else(never) });
            let answering = AbortOnDropHandle::new(answering);
            Box::pin(async move { answering.await.unwrap_or_else(|error| status::panicked(&error).into_http()) })
        }
    }
}

impl transport::Door for Door {
    type Body = Answer;
    type Answering = Answering;

    fn answer(&self, request: Request<Incoming>) -> Answering {
        if let Some(no_call) = no_call(&request) {
            return Answering { way: Way::Going(Box::pin(done(no_call))), deadline: None };
        }
        let deadline = Deadline::of(request.headers());
        let way = match Calling::begin(request, &self.0.callers, &self.0.verifier) {
            Ok(calling) => Way::Known(calling, self.clone()),
            Err(request) => Way::Going(self.go(request.map(Body::new))),
        };
        Answering { way, deadline }
    }
}

type Going = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// An answer to come.
pub struct Answering {
    way: Way,
    deadline: Option<Deadline>,
}

#[expect(clippy::large_enum_variant, reason = "nearly every one is the large one, and each is in a task of its own")]
enum Way {
    /// An ordinary Verify.
    Known(Calling, Door),
    /// Anything else.
    Going(Going),
}

impl Future for Answering {
    type Output = Response<Answer>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<Answer>> {
        if let Poll::Ready(answer) = self.way.poll(cx) {
            return Poll::Ready(answer);
        }
        // Only now: most calls are answered by the time they are looked at, and need no timer.
        match self.deadline.as_mut().map(|deadline| deadline.poll(cx)) {
            Some(Poll::Ready(status)) => Poll::Ready(status.into_http::<Body>().map(Answer::Other)),
            Some(Poll::Pending) | None => Poll::Pending,
        }
    }
}

impl Way {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Response<Answer>> {
        if let Self::Known(calling, door) = self {
            match ready!(Pin::new(calling).poll(cx)) {
                Called::Answered(response) => return Poll::Ready(response),
                Called::Unanswered(request) => {
                    let going = door.go(request);
                    *self = Self::Going(going);
                }
            }
        }
        match self {
            Self::Going(going) => going.as_mut().poll(cx).map(|response| response.map(Answer::Other)),
            Self::Known(..) => unreachable!("it went the long way"),
        }
    }
}

/// The answer to what is no gRPC, which speaks by HTTP's own means: a client of another kind must not take an error for an
/// answer (gRPC over HTTP/2, "Requests").
fn no_call<B>(request: &Request<B>) -> Option<Response<Body>> {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let status = match () {
        () if request.method() != Method::POST => StatusCode::METHOD_NOT_ALLOWED,
        () if !content_type.is_some_and(|is| is.as_bytes().starts_with(GRPC)) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        () => return None,
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    Some(response)
}

/// How long a call may take, from when it is first waited for.
struct Deadline {
    allowed: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// The deadline that these headers set.
    fn of(headers: &HeaderMap) -> Option<Self> {
        Some(Self { allowed: allowed(headers.get(TIMEOUT_HEADER)?.to_str().ok()?)?, timer: None })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Status> {
        let allowed = self.allowed;
        let timer = self.timer.get_or_insert_with(|| Box::pin(time::sleep(allowed)));
        timer.as_mut().poll(cx).map(|()| status::deadline_exceeded(allowed))
    }
}

/// What a timeout says: up to eight digits and a unit. What is none is passed over.
fn allowed(text: &str) -> Option<Duration> {
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
