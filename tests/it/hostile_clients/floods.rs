//! Frames that do nothing, many of them; and resets, which are no attack as such.

use super::frames::{ENHANCE_YOUR_CALM, Frames, GOAWAY, HEADERS, WINDOW_UPDATE, call, frame, last_data, reset};
use super::{Backend, CHECK, Service, VERIFY, WINDOW, check_bystander, message};

#[tokio::test]
async fn frames_that_do_nothing_end_a_connection() {
    let service = Service::start(Backend::Sqlite).await;
    let settings_payload = [0, 3, 0, 0, 0, 9];
    for (kind, payload) in
        [(WINDOW_UPDATE, &[0, 0, 0, 1][..]), (6, &[0; 8]), (4, &settings_payload), (2, &[0, 0, 0, 0, 1])]
    {
        let stream = u32::from(kind == 2);
        let mut client = Frames::connect(service.addr, WINDOW).await;
        let flood = frame(kind, 0, stream, payload).repeat(5_000);
        // It may be ended before it has sent all of it.
        client.send(&flood).await;
        let code = client.ended().await;
        assert!(code.is_none_or(|code| code == ENHANCE_YOUR_CALM), "{kind}: {code:?}");
    }
    check_bystander(&service).await;
    service.stop().await;
}

#[tokio::test]
async fn calls_that_are_reset_as_they_begin_end_the_connection_of_a_stranger() {
    let service = Service::start(Backend::Sqlite).await;
    let mut client = Frames::connect(service.addr, WINDOW).await;
    for nth in 0..400 {
        let stream = 2 * nth + 1;
        let mut rapid = call(stream, CHECK, None);
        rapid.extend(reset(stream));
        if !client.send(&rapid).await {
            break;
        }
    }
    let code = client.ended().await;
    assert!(code.is_none_or(|code| code == ENHANCE_YOUR_CALM), "{code:?}");
    service.stop().await;
}

/// What a server sees that was busy for a moment: calls, and in the same breath that their deadlines have passed.
#[tokio::test]
async fn deadlines_that_pass_while_calls_queue_end_no_connection() {
    let service = Service::start(Backend::Sqlite).await;
    let mut client = Frames::connect(service.addr, WINDOW).await;
    let verify = |stream| {
        let mut whole = call(stream, VERIFY, Some(&service.root_key));
        whole.extend(last_data(stream, &message(b"")));
        whole
    };
    client.send(&verify(1)).await;
    assert_eq!(client.next_of(HEADERS).await.expect("an answer").stream, 1);
    let late: Vec<u32> = (1..=200).map(|nth| 2 * nth + 1).collect();
    let mut burst: Vec<u8> = late.iter().flat_map(|stream| call(*stream, VERIFY, Some(&service.root_key))).collect();
    burst.extend(late.iter().flat_map(|stream| reset(*stream)));
    assert!(client.send(&burst).await, "it is open");
    client.send(&verify(1_001)).await;
    loop {
        let answer = client.next().await.expect("the connection goes on");
        assert_ne!(answer.kind, GOAWAY, "{answer:?}");
        if answer.kind == HEADERS && answer.stream == 1_001 {
            break;
        }
    }
    service.stop().await;
}
