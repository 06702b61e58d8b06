//! Verify by a short way and by a long one: whichever a request goes, the answer is the same.

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use portcullis::grpc::pb::{self, ErrorReason, Verdict, VerifyRequest, VerifyResponse};
use prost::Message as _;
use tonic::Code;

use super::{Backend, over_both_stores};
use crate::support::raw::{Answer, Raw, framed, framed_bytes, hear, send};
use crate::support::service::{Service, check_error, new_key};

over_both_stores![
    however_a_request_arrives_it_is_answered_alike,
    whatever_is_no_request_is_refused_with_a_reason,
    a_key_is_any_bytes_of_text,
    a_deadline_holds_while_the_request_is_awaited,
];

/// Of a field that nobody knows: what is larger than an ordinary request goes the long way.
fn padded(message: &[u8], size: usize) -> Vec<u8> {
    let mut padded = message.to_vec();
    prost::encoding::bytes::encode(15, &vec![b'x'; size], &mut padded);
    padded
}

async fn however_a_request_arrives_it_is_answered_alike(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (_, secret) = admin.create(pb::CreateApiKeyRequest { scopes: vec!["a".into()], ..new_key("k") }).await;
    let request = VerifyRequest { key: secret, required_scopes: vec!["a".into()], ..Default::default() };
    let expected = admin.verify_of(request.clone()).await;
    assert_eq!(expected.verdict(), Verdict::Valid);
    let raw = Raw::connect(service.addr, &service.root_key).await;

    let whole = framed(&request);
    let bytes = || -> Vec<Bytes> { (0..whole.len()).map(|at| whole.slice(at..=at)).collect() };
    // h2 stands no more than 100 empty frames of a connection.
    let and_nothing = vec![Bytes::new(), whole.slice(..9), Bytes::new(), whole.slice(9..), Bytes::new()];
    let large = framed_bytes(&padded(&request.encode_to_vec(), 20 * 1024));
    let largest = framed_bytes(&padded(&request.encode_to_vec(), 1_000_000));
    let pieces = |of: &Bytes, size: usize| -> Vec<Bytes> { of.chunks(size).map(Bytes::copy_from_slice).collect() };
    let twice = framed_bytes(&[request.encode_to_vec(), VerifyRequest::default().encode_to_vec()].concat());
    for (how, pieces) in [
        ("whole", vec![whole.clone()]),
        ("head and message", vec![whole.slice(..5), whole.slice(5..)]),
        ("cut within the head", vec![whole.slice(..3), whole.slice(3..)]),
        ("byte by byte", bytes()),
        ("with empty frames between", and_nothing),
        ("large", vec![large.clone()]),
        ("large, in pieces", pieces(&large, 1_000)),
        ("as large as may be", pieces(&largest, 16 * 1024)),
        ("with an unknown field", vec![framed_bytes(&padded(&request.encode_to_vec(), 10))]),
        ("with an empty message merged", vec![twice]),
    ] {
        let answer = raw.call(raw.request("Verify"), pieces.clone(), None).await;
        assert_eq!(answer.message::<VerifyResponse>(), expected, "{how}");
        let mut trailers = HeaderMap::new();
        trailers.insert("x-any", "thing".parse().expect("a header"));
        let answer = raw.call(raw.request("Verify"), pieces, Some(trailers)).await;
        assert_eq!(answer.message::<VerifyResponse>(), expected, "{how}, with trailers");
    }

    let headers: [(&str, &dyn Fn() -> http::request::Builder); 5] = [
        ("application/grpc+proto", &|| with_header(raw.request("Verify"), "content-type", "application/grpc+proto")),
        ("no te", &|| without_header(raw.request("Verify"), "te")),
        ("identity", &|| raw.request("Verify").header("grpc-encoding", "identity")),
        ("accepts gzip", &|| raw.request("Verify").header("grpc-accept-encoding", "gzip,identity")),
        ("scheme in capitals", &|| {
            with_header(raw.request("Verify"), "authorization", &format!("BEARER  {}", service.root_key))
        }),
    ];
    for (how, request) in headers {
        let answer = raw.call(request(), vec![whole.clone()], None).await;
        assert_eq!(answer.message::<VerifyResponse>(), expected, "{how}");
    }
    service.stop().await;
}

fn with_header(mut request: http::request::Builder, name: &'static str, value: &str) -> http::request::Builder {
    let headers = request.headers_mut().expect("good so far");
    headers.insert(name, value.parse().expect("a header"));
    request
}

fn without_header(mut request: http::request::Builder, name: &str) -> http::request::Builder {
    request.headers_mut().expect("good so far").remove(name);
    request
}

async fn whatever_is_no_request_is_refused_with_a_reason(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (_, secret) = admin.create(new_key("k")).await;
    assert_eq!(admin.verdict(&secret).await, Verdict::Valid);
    let raw = Raw::connect(service.addr, &service.root_key).await;
    let message = VerifyRequest { key: secret, ..Default::default() }.encode_to_vec();
    let whole = framed_bytes(&message);
    let altered = |at: usize, by: u8| {
        let mut altered = BytesMut::from(whole.as_ref());
        altered[at] = altered[at].wrapping_add(by);
        altered.freeze()
    };
    let malformed = (Code::InvalidArgument, ErrorReason::RequestMalformed);
    for (what, body) in [
        ("nothing", Bytes::new()),
        ("half a head", whole.slice(..3)),
        ("a head alone", whole.slice(..5)),
        ("cut short", whole.slice(..whole.len() - 1)),
        ("compressed, and not said how", altered(0, 1)),
        ("a senseless flag", altered(0, 2)),
        ("longer than it says", altered(4, 255)),
        ("shorter than it says", altered(4, 1)),
        ("not UTF-8", framed_bytes(&[0x0a, 2, 0xc3, 0x28])),
        ("a field that is cut", framed_bytes(&[0x0a, 200, 1])),
        ("a field of no number", framed_bytes(&[0x02, 0])),
        ("noise", framed_bytes(&[0xff; 100])),
        ("noise that is large", framed_bytes(&vec![0xff; 20_000])),
    ] {
        for pieces in [vec![body.clone()], body.chunks(body.len() / 50 + 1).map(Bytes::copy_from_slice).collect()] {
            // Frames that arrive behind the answer count against a connection: see CONNECTION_WINDOW_SIZE.
            let raw = Raw::connect(service.addr, &service.root_key).await;
            let answer = raw.call(raw.request("Verify"), pieces, None).await;
            check_refused(what, answer, malformed);
        }
    }
    let too_large = framed_bytes(&padded(&message, 1024 * 1024));
    let pieces = too_large.chunks(16 * 1024).map(Bytes::copy_from_slice).collect();
    let answer = raw.call(raw.request("Verify"), pieces, None).await;
    check_refused("too large", answer, (Code::ResourceExhausted, ErrorReason::RequestTooLarge));
    let mut endless = BytesMut::from(&[0u8][..]);
    endless.put_u32(u32::MAX);
    let answer = raw.call(raw.request("Verify"), vec![endless.freeze()], None).await;
    check_refused("4 GiB", answer, (Code::ResourceExhausted, ErrorReason::RequestTooLarge));

    for (what, request, expected) in [
        (
            "gzip",
            raw.request("Verify").header("grpc-encoding", "gzip"),
            (Code::Unimplemented, ErrorReason::RequestMalformed),
        ),
        ("an unknown method", raw.request("VerifyNot"), (Code::Unimplemented, ErrorReason::MethodUnknown)),
        ("more than the method", raw.request("Verify/"), (Code::Unimplemented, ErrorReason::MethodUnknown)),
        (
            "no credential",
            without_header(raw.request("Verify"), "authorization"),
            (Code::Unauthenticated, ErrorReason::CredentialMissing),
        ),
        (
            "a wrong credential",
            with_header(raw.request("Verify"), "authorization", "Basic eA=="),
            (Code::Unauthenticated, ErrorReason::CredentialInvalid),
        ),
    ] {
        check_refused(what, raw.call(request, vec![whole.clone()], None).await, expected);
    }

    // No gRPC at all: HTTP says so, and the connection lives.
    let get = raw.request("Verify").method(Method::GET);
    let html = with_header(raw.request("Verify"), "content-type", "text/html");
    let untyped = without_header(raw.request("Verify"), "content-type");
    for (request, http_status) in [
        (get, StatusCode::METHOD_NOT_ALLOWED),
        (html, StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (untyped, StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        let answer = raw.call(request, vec![whole.clone()], None).await;
        assert_eq!((answer.http_status, answer.status.is_none()), (http_status, true));
        // What a client of JSON can read: what was wrong, and what to send.
        let said: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert!(said["code"].is_string() && said["message"].is_string(), "{said}");
    }
    let answer = raw.call(raw.request("Verify"), vec![whole], None).await;
    assert_eq!(answer.message::<VerifyResponse>().verdict(), Verdict::Valid);
    service.stop().await;
}

#[track_caller]
fn check_refused(what: &str, answer: Answer, (code, reason): (Code, ErrorReason)) {
    assert!(answer.body.is_empty(), "{what}: {answer:?}");
    assert_eq!(answer.status.as_ref().map(tonic::Status::code), Some(code), "{what}: {answer:?}");
    check_error(answer.error(), code, reason);
}

async fn a_key_is_any_bytes_of_text(backend: Backend) {
    let service = Service::start(backend).await;
    let mut admin = service.admin();
    let (_, secret) = admin.create(new_key("k")).await;
    assert_eq!(admin.verdict(&secret).await, Verdict::Valid);
    let nothing = VerifyResponse { verdict: Verdict::Malformed.into(), ..Default::default() };
    let control: String = (0..=127).map(char::from).collect();
    for key in [
        String::new(),
        "x".repeat(512),
        "x".repeat(513),
        "x".repeat(17 * 1024),
        "x".repeat(1024 * 1024 - 8),
        "\0".into(),
        control,
        format!("{secret}\0"),
        format!("\u{feff}{secret}"),
        format!("{}{}", "a".repeat(512), secret),
    ] {
        assert_eq!(admin.verify(&key).await, nothing, "{} bytes: {key:.20?}", key.len());
    }
    let larger = VerifyRequest { key: "x".repeat(1024 * 1024), ..Default::default() };
    check_error(admin.verification.verify(larger).await, Code::ResourceExhausted, ErrorReason::RequestTooLarge);
    service.stop().await;
}

async fn a_deadline_holds_while_the_request_is_awaited(backend: Backend) {
    let service = Service::start(backend).await;
    // The caller is known from here on.
    assert_eq!(service.admin().verdict("no key").await, Verdict::Malformed);
    let raw = Raw::connect(service.addr, &service.root_key).await;
    for method in ["Verify", "BatchVerify"] {
        let request = raw.request(method).header("grpc-timeout", "50m");
        let (answer, mut body) = raw.begin(request).await;
        // All but the last byte.
        let whole = framed(&VerifyRequest { key: "no key".into(), ..Default::default() });
        send(&mut body, whole.slice(..whole.len() - 1), false).await.expect("sent");
        let error = check_error(hear(answer).await.error(), Code::DeadlineExceeded, ErrorReason::DeadlineExceeded);
        assert!(error.message().contains("50ms"), "{error:?}");
    }
    // A deadline that is far away changes nothing.
    let mut request = tonic::Request::new(VerifyRequest { key: "no key".into(), ..Default::default() });
    request.set_timeout(Duration::from_hours(1));
    let answer = service.admin().verification.verify(request).await.expect("a verdict").into_inner();
    assert_eq!(answer.verdict(), Verdict::Malformed);
    service.stop().await;
}
