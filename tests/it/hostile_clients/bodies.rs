//! Requests of authenticated callers that do not arrive as a whole.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::client::SendRequest;
use portcullis::config::Flags;
use portcullis::grpc::pb;
use prost::Message as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::frames::{DATA, Frames, HEADERS, call, frame};
use super::{Backend, Service, VERIFY, WINDOW, check_bystander, message};
use crate::support::http::Http;
use crate::support::service::{eventually, in_time, new_key};

const CREATE: &str = "/portcullis.v1.ApiKeyService/CreateApiKey";
const IMPORT: &str = "/portcullis.v1.ApiKeyService/ImportApiKeys";
const STREAM: &str = "/portcullis.v1.VerificationService/VerifyStream";
const HELD: &str = "portcullis_requests_held_bytes";

const MIB: usize = 1024 * 1024;
/// An eighth of the memory for connections.
const BUDGET: usize = 4 * MIB;
/// More than there are places for calls that make keys.
const PLACES: u32 = 64;

async fn service() -> Service {
    let flags =
        Flags { connections_mib: Some("32".into()), metrics_listen: Some("127.0.0.1:0".into()), ..Flags::default() };
    Service::start_set(Backend::Sqlite, flags).await
}

/// Waits until the server holds as many bytes of requests.
async fn wait_until_held(service: &Service, bytes: usize) {
    let is_held = async || (service.metric(HELD).await >= bytes).then_some(());
    eventually("the bytes being held", is_held).await;
}

/// Sends all of a request of 1 MiB but its last byte, as flow control allows; counts it once it has ended.
async fn send_but_one(mut client: SendRequest<Bytes>, path: &str, root_key: String, ended: Arc<AtomicUsize>) {
    let request = http::Request::post(format!("http://portcullis{path}"))
        .header("content-type", "application/grpc")
        .header("authorization", format!("Bearer {root_key}"))
        .body(())
        .expect("a request");
    let Ok((response, mut stream)) = client.send_request(request, false) else { return };
    let sending = async {
        let mut left = Bytes::from(message(&vec![0; MIB - 5]));
        left.truncate(left.len() - 1);
        while !left.is_empty() {
            stream.reserve_capacity(left.len());
            let Some(Ok(capacity)) = poll_fn(|cx| stream.poll_capacity(cx)).await else { break };
            let len = capacity.min(left.len());
            if stream.send_data(left.split_to(len), false).is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    // A stream is answered as it begins, and ends later.
    let answer = async {
        let mut body = response.await.ok()?.into_body();
        while body.data().await?.is_ok() {}
        Some(())
    };
    tokio::select! {
        () = sending => {}
        _ = answer => {
            ended.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Keys of nearly 1 MiB together.
fn large_import() -> pb::ImportApiKeysRequest {
    let metadata = |entry: u32| (0..50).map(move |nth| (format!("label{nth}"), format!("{entry}").repeat(200)));
    let entries = (10..90).map(|nth: u32| pb::ApiKeyImport {
        name: "large".into(),
        subject: "user_1".into(),
        metadata: metadata(nth).collect(),
        material: Some(pb::api_key_import::Material::Digest(pb::SecretDigest {
            algorithm: pb::DigestAlgorithm::Sha256.into(),
            value: portcullis::key::verifier::sha256(&format!("secret {nth}")).as_bytes().to_vec(),
        })),
        ..Default::default()
    });
    let mut request = pb::ImportApiKeysRequest { keyspace: String::new(), entries: Vec::new(), ..Default::default() };
    for entry in entries {
        if request.encoded_len() + entry.encoded_len() > MIB - 1024 {
            break;
        }
        request.entries.push(entry);
    }
    assert!(request.encoded_len() > 3 * MIB / 4, "it is large");
    request
}

#[tokio::test]
async fn half_sent_requests_leave_room_for_those_of_others() {
    let service = service().await;
    let root_key = service.root_key_with(&["keys:write", "keys:verify"]).await;
    let (mut attack, ended) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    for path in [IMPORT, STREAM, IMPORT, STREAM] {
        let stream = TcpStream::connect(service.addr).await.expect("it listens");
        let (client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        attack.spawn(async move {
            let _ = connection.await;
        });
        for _ in 0..16 {
            attack.spawn(send_but_one(client.clone(), path, root_key.clone(), ended.clone()));
        }
    }
    // 64 MiB were sent, if they had been taken. A root key has three quarters of the budget.
    wait_until_held(&service, BUDGET / 2).await;
    for _ in 0..5 {
        check_bystander(&service).await;
        let held = service.metric(HELD).await;
        assert!(held <= BUDGET, "{held} bytes are held");
    }
    let mut other = service.admin_elsewhere().await;
    in_time("an import", other.keys.import_api_keys(large_import())).await.expect("imported");
    // Those that had come furthest made room for the others that go on.
    eventually("the end of one", async || (ended.load(Ordering::Relaxed) > 0).then_some(())).await;
    assert!(service.metric("portcullis_requests_ended_total{reason=\"displaced\"}").await >= 1);
    attack.shutdown().await;
    eventually("all being let go", async || (service.metric(HELD).await == 0).then_some(())).await;
    service.stop().await;
}

#[tokio::test]
async fn half_sent_creates_take_no_place() {
    let service = service().await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let root_key = service.root_key_with(&["keys:write"]).await;
        let mut client = Frames::connect(service.addr, WINDOW).await;
        for nth in 0..PLACES {
            let stream = 2 * nth + 1;
            let mut half = call(stream, CREATE, Some(&root_key));
            half.extend(frame(DATA, 0, stream, &message(&[0; 100])[..50]));
            assert!(client.send(&half).await);
        }
        clients.push(client);
    }
    wait_until_held(&service, 2 * PLACES as usize * 50).await;
    service.admin_elsewhere().await.create(new_key("k")).await;
    service.stop().await;
}

#[tokio::test]
async fn half_sent_creates_in_json_take_no_place() {
    let service = service().await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let root_key = service.root_key_with(&["keys:write"]).await;
        let half = format!(
            "POST {CREATE} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {root_key}\r\ncontent-type: application/json\r\n\
             content-length: 1000\r\n\r\n{}",
            " ".repeat(50)
        );
        for _ in 0..PLACES {
            let mut client = Http::connect(service.addr).await;
            client.send(half.as_bytes()).await;
            clients.push(client);
        }
    }
    wait_until_held(&service, 2 * PLACES as usize * 50).await;
    service.admin_elsewhere().await.create(new_key("k")).await;
    service.stop().await;
}

#[tokio::test]
async fn a_request_that_does_not_arrive_ends_and_a_stream_goes_on() {
    let service = service().await;
    let mut client = Frames::connect(service.addr, WINDOW).await;
    let asked = pb::VerifyStreamRequest { correlation_id: "x".repeat(90), ..Default::default() };
    let whole = message(&asked.encode_to_vec());
    let (half, rest) = whole.split_at(50);
    let mut begun = Vec::new();
    for (stream, path) in [(1, STREAM), (3, CREATE), (5, super::VERIFY)] {
        begun.extend(call(stream, path, Some(&service.root_key)));
        begun.extend(frame(DATA, 0, stream, half));
    }
    assert!(client.send(&begun).await);
    wait_until_held(&service, 150).await;
    let mut answered: Vec<u32> = Vec::new();
    while !(answered.contains(&3) && answered.contains(&5)) {
        answered.push(client.next_of(HEADERS).await.expect("it is open").stream);
    }
    assert_eq!(service.metric("portcullis_requests_ended_total{reason=\"late\"}").await, 2);
    assert_eq!(service.metric(HELD).await, 50);
    // The rest of its message: nothing of what is whole is held, and the stream goes on.
    assert!(client.send(&frame(DATA, 0, 1, rest)).await);
    eventually("the message being handled", async || (service.metric(HELD).await == 0).then_some(())).await;
    assert!(client.send(&frame(DATA, 0, 1, &[&whole, half].concat())).await);
    wait_until_held(&service, 50).await;
    service.stop().await;
}

/// Over HTTP/1.1 what is left of a body is read once it is given up, so that the client hears why.
#[tokio::test]
async fn a_request_over_http1_that_does_not_arrive_is_counted_once() {
    let service = service().await;
    let mut client = Http::connect(service.addr).await;
    let half = format!(
        "POST {CREATE} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: 1000\r\n\r\n{{",
        service.root_key
    );
    client.send(half.as_bytes()).await;
    let answer = client.hear().await;
    assert_eq!(answer.json()["code"], "deadline_exceeded");
    assert_eq!(service.metric("portcullis_requests_ended_total{reason=\"late\"}").await, 1);
    service.stop().await;
}

#[tokio::test]
async fn heads_of_calls_whose_bodies_do_not_come_are_bounded() {
    let service = service().await;
    let root_key = service.root_key_with(&["keys:verify"]).await;
    service.caller(&root_key).verify("x").await;
    let mut connections = JoinSet::new();
    let mut clients = Vec::new();
    for _ in 0..3 {
        let stream = TcpStream::connect(service.addr).await.expect("it listens");
        let (client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        connections.spawn(connection);
        clients.push(client);
    }
    let request = |fields: usize| {
        let request = http::Request::post(format!("http://portcullis{VERIFY}"))
            .header("content-type", "application/grpc")
            .header("authorization", format!("Bearer {root_key}"));
        (2..fields).fold(request, |request, nth| request.header(format!("x-{nth}"), "")).body(()).expect("a request")
    };
    let (response, _) = clients[0].send_request(request(101), false).expect("it is open");
    assert_eq!(in_time("an answer", response).await.expect("an answer").status(), 431);
    // More heads than the root key's share holds: those that do not fit are refused at once.
    let mut calls = Vec::new();
    for mut client in clients {
        for _ in 0..90 {
            client = client.ready().await.expect("it is open");
            calls.push(client.send_request(request(100), false).expect("it is open"));
        }
    }
    let refused = "portcullis_requests_ended_total{reason=\"displaced\"}";
    eventually("refusals", async || (service.metric(refused).await > 0).then_some(())).await;
    assert!(service.metric(HELD).await <= BUDGET);
    check_bystander(&service).await;
    drop((calls, connections));
    service.stop().await;
}

#[tokio::test]
async fn a_message_of_many_empty_parts_is_refused_before_it_is_decoded() {
    let service = service().await;
    let entries = vec![pb::ApiKeyImport::default(); 200_000];
    let request = pb::ImportApiKeysRequest { keyspace: "default".into(), entries, ..Default::default() };
    let refused = service.admin().keys.import_api_keys(request).await.expect_err("refused");
    assert!(refused.message().contains("131072 fields"), "{refused}");
    service.stop().await;
}
