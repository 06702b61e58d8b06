//! Verify, the way that nearly every call goes: the caller is known, the key is known, the request came in one piece.
//! Nothing that anybody waits for stands between reading the request and writing the answer.
//!
//! Whatever is out of the ordinary goes the long way, through [`super::Verification`], which answers alike.

use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::Full;
use tonic::Status;
use tonic::body::Body;

use super::place::Place;
use super::request::Asked;
use super::service::VERIFY;
use super::wire::FRAME_HEAD_LEN;
use super::{response, verify_known};
use crate::grpc::caller::{Caller, Callers};
use crate::grpc::status;
use crate::transport::RequestBody;
use crate::verify::Verifier;

/// Largest request that goes this way, its frame included. What is larger is no ordinary Verify.
const SIZE_MAX: usize = 16 * 1024;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: header::HeaderName = header::HeaderName::from_static("grpc-status");
const OK: HeaderValue = HeaderValue::from_static("0");

/// A body of an answer.
pub enum Answer {
    /// Of a verdict: one message and its status.
    Verdict(Option<Bytes>, Option<HeaderMap>),
    /// Any other.
    Other(Body),
}

/// A Verify that is being answered. Ends with the request if it must go the long way.
pub struct Calling {
    verifier: Arc<Verifier>,
    caller: Caller,
    request: Option<(Parts, RequestBody)>,
    body: Received,
}

/// What has come of a body.
enum Received {
    Nothing,
    Piece(Bytes),
    Pieces(BytesMut),
}

/// How a call ends.
pub enum Called {
    /// With an answer.
    Answered(Response<Answer>),
    /// By going the long way.
    Unanswered(Request<Body>),
}

impl Calling {
    /// Begins to answer `request`, if it is an ordinary Verify of a caller who is known.
    ///
    /// # Errors
    /// It is not: the request.
    #[expect(clippy::result_large_err, reason = "no error but the request itself, which moves on")]
    pub fn begin(
        request: Request<RequestBody>,
        callers: &Callers,
        verifier: &Arc<Verifier>,
    ) -> Result<Self, Request<RequestBody>> {
        if !is_ordinary(&request) {
            return Err(request);
        }
        let Some(caller) = callers.known(request.headers()) else { return Err(request) };
        request.body().connection().authenticated(caller.id());
        let request = Some(request.into_parts());
        Ok(Self { verifier: verifier.clone(), caller, request, body: Received::Nothing })
    }

    /// The headers of the request, until it is answered.
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.request.as_ref().map(|(parts, _)| &parts.headers)
    }

    /// Once the whole request is here.
    fn end(&mut self) -> Called {
        let body = mem::replace(&mut self.body, Received::Nothing).into_bytes();
        match self.answer(&body) {
            Some(answer) => Called::Answered(answer),
            None => self.hand_on(Body::new(Full::new(body))),
        }
    }

    /// The answer to `body`; `None`: it takes more than what is known.
    fn answer(&self, body: &[u8]) -> Option<Response<Answer>> {
        let (head, message) = body.split_at_checked(FRAME_HEAD_LEN)?;
        let is_whole = head[0] == 0 && head[1..] == u32::try_from(message.len()).ok()?.to_be_bytes();
        let asked = Asked::read(message).ok().filter(|_| is_whole)?;
        // The message may have come long after its headers.
        if !self.caller.is_current(&self.verifier) {
            return None;
        }
        // What is refused goes the long way, on which denials are noted.
        let verdict = verify_known(&self.verifier, &self.caller, &asked, Place::Message).ok()?;
        Some(verdict_response(response::framed(&verdict?)))
    }

    fn hand_on(&mut self, body: Body) -> Called {
        let (mut parts, mut received) = self.request.take().expect("a call ends once");
        received.describe(&mut parts.extensions);
        Called::Unanswered(Request::from_parts(parts, body))
    }
}

impl Future for Calling {
    type Output = Called;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Called> {
        loop {
            let Self { caller, request, .. } = &mut *self;
            let (_, incoming) = request.as_mut().expect("not polled after its end");
            let frame = ready!(incoming.poll_frame_of(cx, Some(caller.id())));
            let ended = incoming.is_end_stream();
            match frame {
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        self.body.add(piece);
                    }
                    if self.body.len() > SIZE_MAX {
                        let received = mem::replace(&mut self.body, Received::Nothing).into_bytes();
                        let (mut parts, mut rest) = self.request.take().expect("not polled after its end");
                        rest.describe(&mut parts.extensions);
                        let body = Body::new(Prefixed { first: Some(received), rest });
                        return Poll::Ready(Called::Unanswered(Request::from_parts(parts, body)));
                    }
                    if ended {
                        return Poll::Ready(self.end());
                    }
                }
                None => return Poll::Ready(self.end()),
                Some(Err(error)) => {
                    let failed = status::from_body(&error).into_http::<Body>();
                    return Poll::Ready(Called::Answered(failed.map(Answer::Other)));
                }
            }
        }
    }
}

/// Whether a request is as those of Verify are: gRPC over POST, not compressed.
fn is_ordinary(request: &Request<RequestBody>) -> bool {
    let headers = request.headers();
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    request.uri().path() == VERIFY
        && request.method() == Method::POST
        && matches!(content_type, Some(b"application/grpc" | b"application/grpc+proto"))
        && headers.get("grpc-encoding").is_none_or(|encoding| encoding == "identity")
}

fn verdict_response(message: Vec<u8>) -> Response<Answer> {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS, OK);
    let mut response = Response::new(Answer::Verdict(Some(message.into()), Some(trailers)));
    response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    response
}

impl Received {
    fn add(&mut self, piece: Bytes) {
        *self = match mem::replace(self, Self::Nothing) {
            Self::Nothing => Self::Piece(piece),
            Self::Piece(first) => {
                let mut pieces = BytesMut::from(first);
                pieces.extend_from_slice(&piece);
                Self::Pieces(pieces)
            }
            Self::Pieces(mut pieces) => {
                pieces.extend_from_slice(&piece);
                Self::Pieces(pieces)
            }
        };
    }

    fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Piece(piece) => piece.len(),
            Self::Pieces(pieces) => pieces.len(),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::Piece(piece) => piece,
            Self::Pieces(pieces) => pieces.freeze(),
        }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.get_mut() {
            Self::Verdict(message, trailers) => {
                let frame = message.take().map(Frame::data).or_else(|| trailers.take().map(Frame::trailers));
                Poll::Ready(frame.map(Ok))
            }
            Self::Other(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Verdict(_, trailers) => trailers.is_none(),
            Self::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            // A length would be sent as a header, which no client of gRPC reads.
            Self::Verdict(..) => SizeHint::default(),
            Self::Other(body) => body.size_hint(),
        }
    }
}

/// A body of which a part was read already.
struct Prefixed {
    first: Option<Bytes>,
    rest: RequestBody,
}

impl http_body::Body for Prefixed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => Pin::new(&mut self.rest).poll_frame(cx).map_err(|error| status::from_body(&error)),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }
}
