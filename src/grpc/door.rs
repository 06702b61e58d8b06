//! Which way a request goes. Verifications over gRPC are answered on the thread that serves their connection; calls that
//! work on the store all the while, and those that are not gRPC, run on other threads, for as long as the client waits for
//! them.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, Request, Response, header, request};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService as _;
use tonic::service::Routes;
use tower::{Layer as _, Service, service_fn};

use super::caller::{Callers, Guarded};
use super::deadline::Deadline;
use super::details::{CompleteErrors, Completing};
use super::health::{Health, is_health};
use super::request_message::{StreamedBody, UnaryBody};
use super::verification::{Answer, Called, Calling, VERIFY, Verification};
use super::web::{self, Web};
use super::{admitted, status};
use crate::admission::{Kind, Refused};
use crate::transport::{self, Origins, RequestBody};
use crate::verify::Verifier;

/// See the module.
#[derive(Clone)]
pub struct Door(Arc<Ways>);

struct Ways {
    callers: Callers,
    verifier: Arc<Verifier>,
    calls: Calls,
    web: Web,
    threads: Threads,
}

/// Where calls run that work on the store all the while.
pub struct Threads {
    /// Most of them.
    pub calls: Handle,
    /// Those that take long and may wait: lists, reports and imports.
    pub lists: Handle,
}

/// What answers a call, wherever it runs.
#[derive(Clone)]
struct Calls {
    verification: Completing<Guarded<Verification>>,
    health: Completing<Health>,
    others: Completing<Routes>,
}

impl Door {
    /// A door to `verification`, `health` and to the `others`, which run on `threads`. Pages of `origins` may call.
    pub fn new(
        callers: Callers,
        verifier: Arc<Verifier>,
        verification: Verification,
        health: Health,
        others: Routes,
        origins: Origins,
        threads: Threads,
    ) -> Self {
        let verification = CompleteErrors.layer(callers.guard(verification));
        let health = CompleteErrors.layer(health);
        let others = CompleteErrors.layer(others.prepare());
        Self(Arc::new(Ways {
            callers,
            verifier,
            calls: Calls { verification, health, others },
            web: Web::new(origins),
            threads,
        }))
    }

    fn go(&self, request: Request<Body>) -> Going {
        let mut calls = self.0.calls.clone();
        if is_verification(&request) || is_health(&request) {
            Box::pin(async move { calls.call(request).await.unwrap_or_else(never) })
        } else {
            let threads = self.threads_for(request.uri().path());
            in_background(threads, async move { calls.call(request).await.unwrap_or_else(never) }, Status::into_http)
        }
    }

    fn go_from_web(&self, request: Request<RequestBody>) -> Going {
        let request = described(request);
        let ways = self.0.clone();
        let threads = self.threads_for(request.uri().path());
        let answering = async move { ways.web.answer(request, ways.calls.clone()).await };
        in_background(threads, answering, web::error)
    }

    /// Says over the web that a call was refused. Nothing is looked at for that, so it needs no task.
    fn refuse_web(&self, request: Request<RequestBody>, refused: Refused) -> Going {
        let ways = self.0.clone();
        Box::pin(async move {
            let refuse = service_fn(move |_| std::future::ready(Ok(status::refusal_response(refused))));
            ways.web.answer(described(request), refuse).await
        })
    }

    fn threads_for(&self, path: &str) -> &Handle {
        match admitted::kind(path) {
            Some(Kind::List | Kind::Import) => &self.0.threads.lists,
            _ => &self.0.threads.calls,
        }
    }
}

fn in_background(
    threads: &Handle,
    answering: impl Future<Output = Response<Body>> + Send + 'static,
    as_response: fn(Status) -> Response<Body>,
) -> Going {
    let answering = AbortOnDropHandle::new(threads.spawn(answering));
    Box::pin(async move { answering.await.unwrap_or_else(|error| as_response(status::panicked(&error))) })
}

impl Service<Request<Body>> for Calls {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match () {
            () if is_verification(&request) => self.verification.call(request),
            () if is_health(&request) => self.health.call(request),
            () => self.others.call(request),
        }
    }
}

fn is_verification(request: &Request<Body>) -> bool {
    let rest = request.uri().path().strip_prefix('/').and_then(|path| path.strip_prefix(Verification::NAME));
    rest.is_some_and(|rest| rest.starts_with('/'))
}

impl transport::Door for Door {
    type Body = Answer;
    type Answering = Answering;

    fn answer(&self, mut request: Request<RequestBody>) -> Answering {
        if !web::is_grpc(&request) {
            let going = match self.0.callers.charge(&mut request) {
                Ok(()) => self.go_from_web(request),
                Err(refused) => self.refuse_web(request, refused),
            };
            return Answering { way: Way::Going(going), deadline: None };
        }
        let deadline = Deadline::of(request.headers());
        let way = match Calling::begin(request, &self.0.callers, &self.0.verifier) {
            Ok(calling) => Way::Known(calling, self.clone()),
            Err(mut unknown) => match self.0.callers.charge(&mut unknown) {
                Ok(()) => {
                    let takes_stream = admitted::takes_stream(unknown.uri().path());
                    Way::Going(self.go(described(unknown).map(|body| {
                        if takes_stream { Body::new(StreamedBody::new(body)) } else { Body::new(UnaryBody(body)) }
                    })))
                }
                Err(refused) => Way::Refused(Some(status::refusal_response(refused))),
            },
        };
        Answering { way, deadline }
    }

    fn late_patience(&self, request: &Request<RequestBody>) -> Option<Duration> {
        let is_verify = request.uri().path() == VERIFY && web::is_grpc(request);
        is_verify.then(|| Deadline::of(request.headers()).map_or(Duration::MAX, |deadline| deadline.allowed()))
    }

    fn refuse_late(&self, request: &Request<RequestBody>) -> Answering {
        self.0.callers.note_late(request);
        Answering { way: Way::Refused(Some(status::server_busy())), deadline: None }
    }

    fn refuse_head(&self, head: &request::Parts) -> Answering {
        let mut known = Request::new(());
        *known.uri_mut() = head.uri.clone();
        // Two are enough to tell that there are several.
        for origin in head.headers.get_all(header::ORIGIN).iter().take(2) {
            known.headers_mut().append(header::ORIGIN, origin.clone());
        }
        let ways = self.0.clone();
        let going = Box::pin(async move { ways.web.refuse_head(known).await });
        Answering { way: Way::Going(going), deadline: None }
    }

    fn is_known(&self, headers: &HeaderMap) -> bool {
        self.0.callers.are_likely(headers)
    }
}

/// A request that does not go the short way, with what is known of its connection.
fn described(request: Request<RequestBody>) -> Request<RequestBody> {
    let (mut head, mut body) = request.into_parts();
    body.describe(&mut head.extensions);
    Request::from_parts(head, body)
}

type Going = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// An answer to come.
pub struct Answering {
    way: Way,
    deadline: Option<Deadline>,
}

#[expect(clippy::large_enum_variant, reason = "nearly every one is the large one, and each is a call of its own")]
enum Way {
    /// An ordinary Verify over gRPC.
    Known(Calling, Door),
    /// A call that is refused before anything is done for it.
    Refused(Option<Response<Body>>),
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
            Self::Refused(response) => {
                Poll::Ready(response.take().expect("a call is answered once").map(Answer::Other))
            }
            Self::Known(..) => unreachable!("it went the long way"),
        }
    }
}

fn never(error: Infallible) -> Response<Body> {
    match error {}
}
