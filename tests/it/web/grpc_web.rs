//! gRPC-Web, as its clients send it: binary and as text, over HTTP/1.1.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis::grpc::pb::{Verdict, VerifyRequest, VerifyResponse};
use prost::Message as _;

use super::{Backend, Caller, Service, new_secret};
use crate::support::http::Answer;

fn framed(message: &impl prost::Message) -> Vec<u8> {
    let message = message.encode_to_vec();
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    frame
}

/// The message, if there is one, and the trailers, which are a frame behind it or the headers.
fn read(answer: &Answer, body: &[u8]) -> (Option<VerifyResponse>, String) {
    let (mut rest, mut message, mut trailers) = (body, None, String::new());
    while let Some((head, more)) = rest.split_at_checked(5) {
        let len = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        let (data, more) = more.split_at(len);
        match head[0] {
            0 => message = Some(VerifyResponse::decode(data).unwrap()),
            0x80 => trailers = String::from_utf8(data.to_vec()).unwrap(),
            other => panic!("a frame of {other}"),
        }
        rest = more;
    }
    if trailers.is_empty() {
        trailers = format!("grpc-status:{}", answer.header("grpc-status").expect("a status"));
    }
    (message, trailers)
}

#[tokio::test]
async fn in_binary_and_as_text() {
    let service = Service::start(Backend::Sqlite).await;
    let mut caller = Caller::of(&service).await;
    let asked = framed(&VerifyRequest { key: new_secret(&mut caller).await, ..VerifyRequest::default() });
    let method = "VerificationService/Verify";
    for kind in ["application/grpc-web", "application/grpc-web+proto", "Application/grpc-web; charset=utf-8"] {
        let answer = caller.send(method, &[("content-type", kind), ("x-grpc-web", "1")], &asked).await;
        let (message, trailers) = read(&answer, &answer.body);
        assert_eq!((answer.status, message.unwrap().verdict()), (200, Verdict::Valid));
        assert!(trailers.replace(' ', "").contains("grpc-status:0"), "{trailers}");
    }
    let kind = "application/grpc-web-text";
    let headers = [("content-type", kind), ("accept", kind)];
    let answer = caller.send(method, &headers, STANDARD.encode(&asked).as_bytes()).await;
    assert!(answer.header("content-type").is_some_and(|said| said.starts_with(kind)), "{answer:?}");
    // Each part is padded for itself.
    let text = String::from_utf8(answer.body.clone()).unwrap();
    let body: Vec<u8> = text
        .split_inclusive('=')
        .map(str::to_owned)
        .fold(Vec::<String>::new(), |mut parts, piece| {
            match parts.last_mut() {
                Some(last) if piece == "=" => last.push('='),
                _ => parts.push(piece),
            }
            parts
        })
        .iter()
        .flat_map(|part| STANDARD.decode(part).unwrap())
        .collect();
    assert_eq!(read(&answer, &body).0.unwrap().verdict(), Verdict::Valid);
    service.stop().await;
}

#[tokio::test]
async fn refusals_are_those_of_grpc() {
    let service = Service::start(Backend::Sqlite).await;
    let mut caller = Caller::of(&service).await;
    let method = "VerificationService/Verify";
    let headers = [("content-type", "application/grpc-web+proto")];
    let answer =
        caller.send(method, &headers, &framed(&VerifyRequest { cost: Some(-1), ..VerifyRequest::default() })).await;
    let (message, trailers) = read(&answer, &answer.body);
    assert!(message.is_none() && trailers.replace(' ', "").contains("grpc-status:3"), "{answer:?}");
    // Of a length that is a lie.
    let answer = caller.send(method, &headers, &[0, 0xff, 0xff, 0xff, 0xff, 1]).await;
    let (message, trailers) = read(&answer, &answer.body);
    assert!(message.is_none() && trailers.replace(' ', "").contains("grpc-status:8"), "{answer:?}");
    caller.credential = "Bearer nobody".into();
    let answer = caller.send(method, &headers, &framed(&VerifyRequest::default())).await;
    assert!(read(&answer, &answer.body).1.replace(' ', "").contains("grpc-status:16"), "{answer:?}");
    service.stop().await;
}

#[tokio::test]
async fn deadlines_sizes_and_streams() {
    let service = Service::start(Backend::Sqlite).await;
    let mut caller = Caller::of(&service).await;
    let kind = ("content-type", "application/grpc-web+proto");
    let status = |answer: &Answer| answer.header("grpc-status").map(str::to_owned);
    let large = framed(&VerifyRequest { key: "x".repeat(3 * 1024 * 1024), ..VerifyRequest::default() });
    let answer = caller.send("VerificationService/Verify", &[kind], &large).await;
    assert_eq!((answer.status, status(&answer).as_deref()), (200, Some("8")), "{answer:?}");
    let answer = caller.send("VerificationService/VerifyStream", &[kind], &framed(&VerifyRequest::default())).await;
    assert_eq!(status(&answer).as_deref(), Some("12"), "{answer:?}");
    // The head alone: the message never comes.
    let head = format!(
        "POST /portcullis.v1.VerificationService/Verify HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\ncontent-type: \
         application/grpc-web+proto\r\ngrpc-timeout: 100m\r\nexpect: 100-continue\r\ncontent-length: 1000\r\n\r\n",
        caller.credential
    );
    caller.http.send(head.as_bytes()).await;
    let mut answer = caller.http.hear().await;
    if answer.status == 100 {
        answer = caller.http.hear().await;
    }
    assert_eq!(status(&answer).as_deref(), Some("4"), "{answer:?}");
    service.stop().await;
}
