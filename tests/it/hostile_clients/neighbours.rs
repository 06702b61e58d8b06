//! What a caller may make the server hold who has a root key of his own.

use portcullis::config::Flags;
use portcullis::grpc::pb::CreateApiKeyRequest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::frames::{ENHANCE_YOUR_CALM, Frames, RST_STREAM, call, last_data};
use super::{Backend, Service, check_bystander, message};
use crate::support::service::{in_time, new_key};

const LIST: &str = "/portcullis.v1.ApiKeyService/ListApiKeys";
/// More than are held: 2 MiB of 8, where a page has some 500 KB.
const PAGES: u32 = 12;

/// A service with little memory for connections, and a keyspace whose first page is large.
async fn service() -> Service {
    let flags = Flags { connections_mib: Some("8".into()), ..Flags::default() };
    let service = Service::start_set(Backend::Sqlite, flags).await;
    let labels = (0..50).map(|nth| (format!("label{nth}"), "x".repeat(500)));
    let mut admin = service.admin();
    for _ in 0..20 {
        admin.create(CreateApiKeyRequest { metadata: labels.clone().collect(), ..new_key("large") }).await;
    }
    service
}

#[tokio::test]
async fn pages_that_are_not_taken_make_room_for_others() {
    let service = service().await;
    let mut client = Frames::connect(service.addr, 0).await;
    for nth in 0..PAGES {
        let mut list = call(2 * nth + 1, LIST, Some(&service.root_key));
        list.extend(last_data(2 * nth + 1, &message(b"")));
        assert!(client.send(&list).await);
    }
    // One that was answered first goes first.
    let dropped = in_time("a reset", client.next_of(RST_STREAM)).await.expect("the connection is open");
    assert_eq!(dropped.code(), ENHANCE_YOUR_CALM);
    check_bystander(&service).await;
    service.stop().await;
}

#[tokio::test]
async fn pages_that_are_not_taken_over_http1_end_their_connections() {
    let service = service().await;
    let mut clients = Vec::new();
    for _ in 0..PAGES {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a size");
        let mut client: TcpStream = socket.connect(service.addr).await.expect("it listens");
        let list = format!(
            "POST {LIST} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: 2\r\n\r\n{{}}",
            service.root_key
        );
        client.write_all(list.as_bytes()).await.expect("sent");
        // The head of the answer: from here on nothing is read.
        let mut head = [0; 64];
        client.read_exact(&mut head).await.expect("an answer");
        clients.push(client);
    }
    // The first is cut off in the middle of its page.
    let mut page = Vec::new();
    let _ = in_time("the end of the first", clients[0].read_to_end(&mut page)).await;
    assert!(!page.ends_with(b"}"), "all {} bytes came", page.len());
    check_bystander(&service).await;
    service.stop().await;
}
