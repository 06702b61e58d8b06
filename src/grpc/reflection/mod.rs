//! grpc.reflection.v1 and v1alpha, whose messages are alike: the server's own descriptors, for tools such as grpcurl.
//!
//! Whatever a client does not read costs next to nothing: an answer is a few bytes about its request and a static
//! descriptor, which all answers share, and no request is read before the answer to the one before has gone.

mod index;

use std::convert::Infallible;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::future::{Ready, ready as at_once};
use http_body::Frame;
use prost::Message as _;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response, header};
use tonic::server::NamedService;
use tonic::{Code, Status};
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ErrorResponse, ServerReflectionRequest, ServerReflectionResponse};
use tower::Service;

use super::small_messages::SmallMessages;
use super::status;
use super::verification::{FRAME_HEAD_LEN, Malformed};
use crate::transport::ConnectionState;

pub use index::Index;

/// Most requests on one stream: far more than there are files and symbols that a tool asks for.
const REQUESTS_MAX: u32 = 1_000;
/// The field of a ServerReflectionResponse that an encoded FileDescriptorResponse stands in.
const FILE_DESCRIPTOR_RESPONSE: u32 = 4;
/// The field of a ServerReflectionResponse that an encoded ListServiceResponse stands in.
const LIST_SERVICES_RESPONSE: u32 = 6;

/// A version of the protocol.
pub trait Version: Clone + Send + Sync + 'static {
    /// The full name of its service.
    const SERVICE: &'static str;
}

/// grpc.reflection.v1.
#[derive(Clone)]
pub struct V1;

/// grpc.reflection.v1alpha.
#[derive(Clone)]
pub struct V1Alpha;

impl Version for V1 {
    const SERVICE: &'static str = "grpc.reflection.v1.ServerReflection";
}

impl Version for V1Alpha {
    const SERVICE: &'static str = "grpc.reflection.v1alpha.ServerReflection";
}

/// The service.
#[derive(Clone)]
pub struct Reflection<V> {
    index: Arc<Index>,
    version: PhantomData<V>,
}

impl<V> Reflection<V> {
    /// A service that tells what is in `index`.
    pub fn new(index: Arc<Index>) -> Self {
        Self { index, version: PhantomData }
    }
}

impl<V: Version> NamedService for Reflection<V> {
    const NAME: &'static str = V::SERVICE;
}

impl<V: Version> Service<Request<Body>> for Reflection<V> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = request.uri().path().rsplit_once('/').map(|(_, method)| method);
        if method != Some("ServerReflectionInfo") {
            return at_once(Ok(status::method_unknown().into_http()));
        }
        let connection = request.extensions().get::<Arc<ConnectionState>>();
        let closing = connection.map(|connection| Box::pin(connection.closing().clone().cancelled_owned()));
        let answers = Answers {
            requests: SmallMessages::new(request.into_body()),
            closing,
            index: self.index.clone(),
            tail: None,
            answered: 0,
            is_over: false,
        };
        let mut response = Response::new(Body::new(answers));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        at_once(Ok(response))
    }
}

/// The body of an answer: one message to each request.
struct Answers {
    requests: SmallMessages,
    /// Resolves when the server or the connection ends. `None`: the request came over none of ours.
    closing: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    index: Arc<Index>,
    /// The rest of the message that is being sent.
    tail: Option<Bytes>,
    answered: u32,
    is_over: bool,
}

impl Answers {
    /// Begins the answer to a request: the first bytes of it. The rest is in `tail`.
    fn begin(&mut self, message: &[u8]) -> Result<Bytes, Status> {
        self.answered += 1;
        if self.answered > REQUESTS_MAX {
            return Err(status::too_many_messages(REQUESTS_MAX));
        }
        let request = ServerReflectionRequest::decode(message).map_err(|_| status::from_malformed(Malformed))?;
        let answer = self.index.answer(request.message_request.as_ref());
        let message_response = match &answer {
            Answer::Unknown => Some(MessageResponse::ErrorResponse(ErrorResponse {
                error_code: Code::NotFound.into(),
                error_message: "there is no such file or symbol".to_owned(),
            })),
            Answer::Unanswerable => return Err(status::from_malformed(Malformed)),
            Answer::File(_) | Answer::Services(_) => None,
        };
        let valid_host = request.host.clone();
        let head = ServerReflectionResponse { valid_host, original_request: Some(request), message_response };
        let mut head = head.encode_to_vec();
        self.tail = match answer {
            Answer::File(encoded) => Some((FILE_DESCRIPTOR_RESPONSE, encoded)),
            Answer::Services(encoded) => Some((LIST_SERVICES_RESPONSE, encoded)),
            Answer::Unknown | Answer::Unanswerable => None,
        }
        .map(|(field, encoded)| {
            prost::encoding::encode_key(field, prost::encoding::WireType::LengthDelimited, &mut head);
            prost::encoding::encode_varint(encoded.len() as u64, &mut head);
            encoded
        });
        let len = head.len() + self.tail.as_ref().map_or(0, Bytes::len);
        let mut framed = BytesMut::with_capacity(FRAME_HEAD_LEN + head.len());
        framed.put_u8(0);
        framed.put_u32(u32::try_from(len).expect("descriptors are far below 4 GiB"));
        framed.put_slice(&head);
        Ok(framed.freeze())
    }
}

impl http_body::Body for Answers {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(tail) = self.tail.take() {
            return Poll::Ready(Some(Ok(Frame::data(tail))));
        }
        if self.is_over {
            return Poll::Ready(None);
        }
        let status = match self.requests.poll_next(cx) {
            Poll::Ready(Some(Ok(message))) => match self.begin(&message) {
                Ok(head) => return Poll::Ready(Some(Ok(Frame::data(head)))),
                Err(status) => status,
            },
            Poll::Ready(Some(Err(status))) => status,
            Poll::Ready(None) => Status::ok(""),
            // Not before: what was asked is answered.
            Poll::Pending => {
                let Some(closing) = &mut self.closing else { return Poll::Pending };
                ready!(closing.as_mut().poll(cx));
                status::ending()
            }
        };
        self.is_over = true;
        let mut trailers = HeaderMap::new();
        // Fails on text that no header can carry; none of these is such.
        let _ = status.add_header(&mut trailers);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

/// What the index knows of what is asked for.
pub enum Answer {
    /// An encoded FileDescriptorResponse.
    File(Bytes),
    /// An encoded ListServiceResponse.
    Services(Bytes),
    /// Nothing.
    Unknown,
    /// Nothing is asked for.
    Unanswerable,
}

impl Index {
    fn answer(&self, request: Option<&MessageRequest>) -> Answer {
        let file = match request {
            None => return Answer::Unanswerable,
            Some(MessageRequest::ListServices(_)) => return Answer::Services(self.services()),
            Some(MessageRequest::FileByFilename(name)) => self.file(name),
            Some(MessageRequest::FileContainingSymbol(name)) => self.file_of(name),
            // No message has extensions.
            Some(MessageRequest::FileContainingExtension(_) | MessageRequest::AllExtensionNumbersOfType(_)) => None,
        };
        file.map_or(Answer::Unknown, Answer::File)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};

    use super::*;
    use crate::grpc::pb;

    fn framed(request: MessageRequest) -> Vec<u8> {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
        let message = request.encode_to_vec();
        [&[0, 0, 0, 0, u8::try_from(message.len()).unwrap()], &message[..]].concat()
    }

    fn answers(index: &Arc<Index>, requests: Vec<u8>) -> Body {
        let request = Request::post("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
        let request = request.body(Body::new(Full::new(Bytes::from(requests)))).unwrap();
        Reflection::<V1>::new(index.clone()).call(request).into_inner().unwrap().into_body()
    }

    /// What nobody reads is held for as long as its connection lives.
    #[tokio::test]
    async fn answers_share_the_descriptors() {
        let index = Arc::new(Index::new(&[pb::FILE_DESCRIPTOR_SET]));
        let symbol = "portcullis.v1.ApiKeyService";
        let mut body = answers(&index, framed(MessageRequest::FileContainingSymbol(symbol.into())).repeat(2));
        for _ in 0..2 {
            let head = body.frame().await.unwrap().unwrap().into_data().unwrap();
            let shared = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(head.len() < 100 && shared.len() > 10_000);
            assert_eq!(shared.as_ptr(), index.file_of(symbol).unwrap().as_ptr());
        }
        assert!(body.frame().await.unwrap().unwrap().is_trailers());
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_stream_ends() {
        let index = Arc::new(Index::new(&[pb::FILE_DESCRIPTOR_SET]));
        // In pieces of less than may arrive at once.
        let one = framed(MessageRequest::FileByFilename("x".into()));
        let pieces =
            (0..=REQUESTS_MAX).map(|_| Ok::<_, Status>(Frame::data(Bytes::from(one.clone())))).collect::<Vec<_>>();
        let request = Request::post("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
        let body = http_body_util::StreamBody::new(futures_util::stream::iter(pieces));
        let request = request.body(Body::new(body)).unwrap();
        let body = Reflection::<V1>::new(index).call(request).into_inner().unwrap().into_body();
        let trailers = body.collect().await.unwrap().trailers().cloned().unwrap();
        assert_eq!(Status::from_header_map(&trailers).unwrap().code(), Code::ResourceExhausted);
    }
}
