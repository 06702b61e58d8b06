//! What lists cost the server.

use std::fs;

use portcullis::grpc::pb::{self, CreateApiKeyRequest};

use crate::support::backend::{Backend, Fixture};
use crate::support::process::{Server, serve};
use crate::support::service::new_key;

/// Keys of 120 KB each.
const KEYS: usize = 200;
/// Lists at once.
const LISTS: usize = 4;
/// What those may take: their pages have 2 MiB each, in memory and once more on the wire.
const GROWTH_MAX_KIB: usize = 64 * 1024;

#[tokio::test]
async fn pages_of_large_keys_take_no_more_memory_than_they_are_large_sqlite() {
    pages_take_no_more_memory_than_they_are_large(Backend::Sqlite).await;
}

#[tokio::test]
async fn pages_of_large_keys_take_no_more_memory_than_they_are_large_postgres() {
    pages_take_no_more_memory_than_they_are_large(Backend::Postgres).await;
}

async fn pages_take_no_more_memory_than_they_are_large(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let server = Server::start(serve(&fixture.url)).await;
    let mut admin = server.admin();
    let metadata = (0..50).map(|n| (format!("label-{n}"), "🔑".repeat(512))).collect();
    let large = CreateApiKeyRequest { metadata, ..new_key("large") };
    for _ in 0..KEYS {
        admin.create(large.clone()).await;
    }
    let whole = pb::ListApiKeysRequest { page_size: 1_000, ..Default::default() };
    let one = pb::ListApiKeysRequest { page_size: 1, ..whole.clone() };
    admin.keys.list_api_keys(one).await.expect("a page");
    let process = format!("/proc/{}", server.process.id());
    // From now on the peak is counted anew.
    fs::write(format!("{process}/clear_refs"), "5").expect("our own process");
    let before = peak_kib(&process);
    let lists = (0..LISTS).map(|_| {
        let (mut admin, whole) = (server.admin(), whole.clone());
        tokio::spawn(async move {
            let keys = admin.keys.list_api_keys(whole).await.expect("a page").into_inner();
            let events = pb::ListAuditEventsRequest { page_size: 1_000, ..Default::default() };
            let events = admin.audit.list_audit_events(events).await.expect("a page").into_inner();
            assert!(!keys.next_page_token.is_empty() && !events.next_page_token.is_empty());
            (keys.api_keys.len(), events.audit_events.len())
        })
    });
    for list in lists.collect::<Vec<_>>() {
        let (keys, events) = list.await.expect("two pages");
        assert!((2..30).contains(&keys) && (2..30).contains(&events), "{keys} keys, {events} events");
    }
    let growth = peak_kib(&process) - before;
    assert!(growth < GROWTH_MAX_KIB, "{growth} KiB more");
    server.stop().await;
}

/// The most memory that a process had.
fn peak_kib(process: &str) -> usize {
    let status = fs::read_to_string(format!("{process}/status")).expect("a process");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    peak.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn lists_have_threads_of_low_priority_and_look_ups_of_a_higher_one() {
    let fixture = Fixture::new(Backend::Sqlite).await;
    let server = Server::start(serve(&fixture.url)).await;
    let admin = server.admin();
    let lists = (0..20).map(|_| {
        let mut admin = admin.clone();
        tokio::spawn(async move { admin.keys.list_api_keys(pb::ListApiKeysRequest::default()).await.expect("a page") })
    });
    for list in lists.collect::<Vec<_>>() {
        list.await.expect("a page");
    }
    let tasks = fs::read_dir(format!("/proc/{}/task", server.process.id())).expect("our own process");
    let mut niceness = Vec::new();
    for task in tasks.map(|task| task.expect("a thread").path()) {
        // A thread may end meanwhile.
        let Ok(stat) = fs::read_to_string(task.join("stat")) else { continue };
        if stat.contains("(sqlx-sqlite") {
            // The 17th field behind the name: proc(5).
            let behind_name = stat.rsplit(") ").next().expect("fields");
            niceness.push(behind_name.split(' ').nth(16).and_then(|nice| nice.parse::<i32>().ok()).expect("a number"));
        }
    }
    let own = *niceness.iter().min().expect("threads");
    let count = |wanted: i32| niceness.iter().filter(|nice| **nice == wanted).count();
    // The writer and two readers; four for look-ups, which yield to what serves; those of lists.
    assert_eq!((count(own), count(own + 5)), (3, 4), "{niceness:?}");
    assert!(count(own + 10) >= 1 && count(own + 10) + 7 == niceness.len(), "{niceness:?}");
    server.stop().await;
}
