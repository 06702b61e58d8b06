//! Calls over HTTP by who does not speak gRPC: curl, scripts and browsers. The Connect protocol's unary calls, in JSON or
//! binary, and gRPC-Web, over HTTP/1.1 and HTTP/2. Each becomes a call of gRPC and goes the way of those, through the same
//! checks; only what it says and hears is put differently.

mod arriving;
mod connect;
mod cors;
mod error;
mod grpc_web;
mod refusal;

use std::convert::Infallible;

use http::{HeaderMap, Method, Request, Response, Version, header};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};
use tower_http::cors::CorsLayer;

use arriving::Arriving;
use connect::Form;
pub use error::response as error;
use refusal::NoCall;

use crate::grpc::{REQUEST_SIZE_MAX, admitted, json, small_messages};
use crate::transport::{Origins, RequestBody, Sender};

/// What answers calls of gRPC.
pub trait Calls:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static> + Clone + Send + 'static
{
}

impl<S> Calls for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
        + Clone
        + Send
        + 'static
{
}

/// Whether this is gRPC itself.
pub fn is_grpc<B>(request: &Request<B>) -> bool {
    /// The content type of gRPC: what may follow it is `+proto` and parameters.
    const GRPC: &[u8] = b"application/grpc";
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.as_bytes().strip_prefix(GRPC));
    let is_typed = kind.is_some_and(|rest| matches!(rest.strip_prefix(b"+proto").unwrap_or(rest), [] | [b';', ..]));
    is_typed && request.method() == Method::POST && request.version() == Version::HTTP_2
}

/// What answers whatever is not gRPC.
pub struct Web {
    origins: Origins,
    cors: CorsLayer,
}

impl Web {
    /// Pages of `origins` may call, and no others.
    pub fn new(origins: Origins) -> Self {
        let cors = cors::layer(&origins);
        Self { origins, cors }
    }

    /// Answers `request`, which is not gRPC. A page that may call can read the answer, whatever it is.
    pub async fn answer(&self, request: Request<RequestBody>, calls: impl Calls) -> Response<Body> {
        let kind = Kind::of(&request);
        let size_max = size_max(request.uri().path(), kind);
        let (request, ending) = Arriving::of(request, size_max);
        let whole = async move |request| {
            let answer = route(request, kind, calls).await;
            match ending.finish().await {
                // What else is said then about a body that could not be read is a guess.
                Some(failed) => kind.map_or(answer, |kind| kind.error(failed)),
                None => answer,
            }
        };
        self.for_sender(request, whole).await
    }

    /// Refuses a request whose head has too many fields. Of `head` only the path and the origins count.
    pub async fn refuse_head(&self, head: Request<()>) -> Response<Body> {
        self.for_sender(head, async |head| NoCall::Head.answer(&head)).await
    }

    /// What `answer` says of `request`, with the headers that let a page read it, if it comes from one that may call.
    async fn for_sender<B, F, A>(&self, request: Request<B>, answer: F) -> Response<Body>
    where
        F: FnOnce(Request<B>) -> A,
        A: Future<Output = Response<Body>>,
    {
        match self.origins.sender(request.headers()) {
            Sender::Program => answer(request).await,
            Sender::Page => {
                let mut answer = Some(answer);
                let routed = service_fn(move |request| {
                    let answering = answer.take().expect("there is one request")(request);
                    async move { Ok::<_, Infallible>(answering.await) }
                });
                self.cors.layer(routed).oneshot(request).await.unwrap_or_else(|never| match never {})
            }
            Sender::Stranger => NoCall::Origin.answer(&request),
        }
    }
}

/// Most bytes of a body. Who is not known yet must not make this server hold much.
fn size_max(path: &str, kind: Result<Kind, NoCall>) -> usize {
    let message = if admitted::is_guarded(path) { REQUEST_SIZE_MAX } else { small_messages::MESSAGE_SIZE_MAX };
    match kind {
        // It may be text in base64, and has a head.
        Ok(Kind::GrpcWeb(_)) => message * 4 / 3 + 64,
        _ => message,
    }
}

async fn route(request: Request<Arriving>, kind: Result<Kind, NoCall>, calls: impl Calls) -> Response<Body> {
    match kind {
        Ok(Kind::Connect(form)) => connect::answer(request, form, calls).await,
        Ok(Kind::GrpcWeb(media_type)) => grpc_web::answer(request, media_type, calls).await,
        Err(no_call) => no_call.answer(&request),
    }
}

/// What a request speaks.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Connect(Form),
    /// And the content type, written as the specification has it.
    GrpcWeb(&'static str),
}

impl Kind {
    /// What `request` speaks, or why it is no call.
    fn of<B>(request: &Request<B>) -> Result<Self, NoCall> {
        let (method, path) = (request.method(), request.uri().path());
        let kind = Self::of_content(request);
        // What speaks gRPC-Web is answered in it, whatever its path.
        if let (Ok(kind @ Self::GrpcWeb(_)), &Method::POST) = (kind, method) {
            return Ok(kind);
        }
        match path {
            "/" if matches!(*method, Method::GET | Method::HEAD) => Err(NoCall::Page),
            "/" => Err(NoCall::Method),
            _ if json::method(path).is_none() => Err(NoCall::Path),
            _ if method != Method::POST => Err(NoCall::Method),
            _ => kind,
        }
    }

    fn of_content<B>(request: &Request<B>) -> Result<Self, NoCall> {
        match media_type(request.headers()).as_deref() {
            Some("application/json") => Ok(Self::Connect(Form::Json)),
            Some("application/proto") => Ok(Self::Connect(Form::Binary)),
            Some("application/grpc-web" | "application/grpc-web+proto") => {
                Ok(Self::GrpcWeb("application/grpc-web+proto"))
            }
            Some("application/grpc-web-text" | "application/grpc-web-text+proto") => {
                Ok(Self::GrpcWeb("application/grpc-web-text+proto"))
            }
            Some("application/grpc" | "application/grpc+proto") if request.version() < Version::HTTP_2 => {
                Err(NoCall::Version)
            }
            _ => Err(NoCall::ContentType),
        }
    }

    /// The answer that says `status`.
    fn error(self, status: Status) -> Response<Body> {
        match self {
            Self::Connect(_) => error::response(status),
            Self::GrpcWeb(_) => grpc_web::error(status),
        }
    }
}

/// The content type in small letters, if it is in no other character set than UTF-8.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?.to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    let kind = parts.next()?.to_owned();
    let is_utf8 = parts.all(|part| match part.split_once('=') {
        Some(("charset", set)) => set.trim_matches('"') == "utf-8",
        _ => true,
    });
    is_utf8.then_some(kind)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_is_grpc() {
        let request = |kind: &'static str, version| {
            let request = Request::post("/").version(version).header(header::CONTENT_TYPE, kind);
            request.body(()).unwrap()
        };
        for kind in ["application/grpc", "application/grpc+proto", "application/grpc;x=y"] {
            assert!(is_grpc(&request(kind, Version::HTTP_2)), "{kind}");
            assert!(!is_grpc(&request(kind, Version::HTTP_11)), "{kind}");
        }
        let others =
            ["application/grpc-web", "application/grpc-web-text+proto", "application/grpc+json", "text/plain", ""];
        for kind in others {
            assert!(!is_grpc(&request(kind, Version::HTTP_2)), "{kind}");
        }
    }

    #[test]
    fn media_types() {
        let media_type = |text: &'static str| {
            media_type(&HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(text))]))
        };
        for json in ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""] {
            assert_eq!(media_type(json).as_deref(), Some("application/json"), "{json}");
        }
        assert_eq!(media_type("application/json; charset=latin1"), None);
    }
}
