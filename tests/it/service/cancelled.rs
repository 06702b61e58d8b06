//! Callers that give up at any moment of a change: nothing is left half-way, and nobody else waits for them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis::grpc::pb::{self, Verdict};
use rand::RngExt as _;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;
use tonic::Code;

use crate::support::backend::{Backend, Fixture};
use crate::support::postgres::Cluster;
use crate::support::service::{Caller, PATIENCE, Service, field_mask, in_time, new_key};

/// How many callers give up.
const CALLERS: usize = 48;
/// How many calls they give up, unless the variable says otherwise.
const CALLS: usize = 3_000;
const CALLS_VARIABLE: &str = "PORTCULLIS_TEST_CANCELLED_CALLS";
/// The longest that one of them waits, but for one call in eight, which waits for its answer.
const PATIENCE_MAX: Duration = Duration::from_millis(30);
/// What PostgreSQL says of a transaction that somebody left open, or ended twice.
const NOTICES: [&str; 2] = ["already a transaction in progress", "no transaction in progress"];

/// The creations that were answered: the secret by the name of the key.
type Answered = HashMap<String, (String, String)>;

#[tokio::test]
async fn a_change_that_is_given_up_leaves_no_transaction_open_and_is_whole_or_absent() {
    let calls = std::env::var(CALLS_VARIABLE).map_or(CALLS, |text| text.parse().expect("a number of calls"));
    let cluster = Cluster::start_hurried();
    let url = cluster.fresh_database().await;
    let service = Service::start_over(Fixture::at(Backend::Postgres, &url), None).await;
    let mut admin = service.admin();
    let shared = admin.create(new_key("shared")).await.0;

    let over = Arc::new(AtomicBool::new(false));
    let bystander = service.caller_with(&["keys:read", "keys:write", "keys:revoke"]).await;
    let bystander = tokio::spawn(go_on(bystander, over.clone()));
    let mut givers_up = JoinSet::new();
    for nth in 0..CALLERS {
        let caller = service.admin_elsewhere().await;
        givers_up.spawn(give_up(caller, nth, calls / CALLERS, shared.id.clone()));
    }
    let mut answered = Answered::new();
    while let Some(some) = givers_up.join_next().await {
        answered.extend(some.expect("no panic"));
    }
    over.store(true, Ordering::Relaxed);
    let undisturbed = in_time("the bystander's last call", bystander).await.expect("each of its calls succeeds");
    eprintln!("{} of {calls} calls answered with a key, {undisturbed} rounds beside them", answered.len());
    assert!(undisturbed > 0 && !answered.is_empty());

    for (name, (id, secret)) in answered.iter().take(500) {
        assert_eq!(admin.verdict(secret).await, Verdict::Valid, "{name} {id}");
    }
    service.stop().await;
    check_whole(&url, &answered).await;
    let log = cluster.log();
    for notice in NOTICES {
        let count = log.lines().filter(|line| line.contains(notice)).count();
        assert_eq!(count, 0, "{notice}");
    }
}

/// Calls, and gives most calls up after no time or a little more. The keys that it was told of.
async fn give_up(mut caller: Caller, nth: usize, calls: usize, shared: String) -> Answered {
    let mut answered = Answered::new();
    for at in 0..calls {
        let patience = rand::rng().random_range(Duration::ZERO..PATIENCE_MAX);
        let patience = if at % 8 == 0 { PATIENCE } else { patience };
        let name = format!("given-up-{nth}-{at}");
        match at % 4 {
            0 | 1 => {
                let request = pb::CreateApiKeyRequest { request_id: name.clone(), ..new_key(&name) };
                let made = tokio::time::timeout(patience, caller.keys.create_api_key(request)).await;
                match made {
                    Ok(Ok(made)) => {
                        let made = made.into_inner();
                        answered.insert(name, (made.api_key.expect("the key").id, made.secret));
                    }
                    // Its own other calls wait for too long: nothing was done.
                    Ok(Err(status)) => assert_eq!(status.code(), Code::ResourceExhausted, "{status}"),
                    Err(_) => {}
                }
            }
            2 => {
                let key = pb::ApiKey { id: shared.clone(), description: name, ..Default::default() };
                let _ = tokio::time::timeout(patience, caller.update(key, &["description"])).await;
            }
            _ => {
                let keyspace = pb::Keyspace { id: "default".into(), display_name: name, ..Default::default() };
                let update_mask = Some(field_mask(&["display_name"]));
                let request = pb::UpdateKeyspaceRequest { keyspace: Some(keyspace), update_mask };
                let _ = tokio::time::timeout(patience, caller.keyspaces.update_keyspace(request)).await;
            }
        }
    }
    answered
}

/// Makes, reads and revokes keys until it is over: how many. Every call succeeds.
async fn go_on(mut caller: Caller, over: Arc<AtomicBool>) -> usize {
    let mut rounds = 0;
    while !over.load(Ordering::Relaxed) {
        let (key, _) = caller.create(new_key("beside")).await;
        caller.get(&key.id).await.expect("the key");
        caller.revoke(&key.id).await;
        rounds += 1;
    }
    rounds
}

/// Checks that every key that was acknowledged is there, and that each key has all that belongs to it.
async fn check_whole(url: &str, answered: &Answered) {
    let mut connection = PgConnection::connect(url).await.expect("the server is up");
    let rows: Vec<(String, String, i64, i64, i64)> = sqlx::query_as(
        "SELECT k.id, k.name, (SELECT count(*) FROM api_key_secret s WHERE s.key_id = k.id),
             (SELECT count(*) FROM audit_event e WHERE e.key_id = k.id AND e.action = 'CreateApiKey'),
             (SELECT count(*) FROM request_id r WHERE r.key_id = k.id AND r.request_id = k.name)
         FROM api_key k WHERE k.name LIKE 'given-up-%'",
    )
    .fetch_all(&mut connection)
    .await
    .expect("keys");
    let mut there = HashMap::new();
    for (id, name, secrets, events, request_ids) in rows {
        assert_eq!((secrets, events, request_ids), (1, 1, 1), "{name} {id}");
        assert_eq!(there.insert(name, id), None);
    }
    for (name, (id, _)) in answered {
        assert_eq!(there.get(name), Some(id), "{name} was acknowledged");
    }
    let stray: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM request_id r WHERE NOT EXISTS (SELECT FROM api_key k WHERE k.id = r.key_id))
             + (SELECT count(*) FROM audit_event e
                WHERE e.action = 'CreateApiKey' AND NOT EXISTS (SELECT FROM api_key k WHERE k.id = e.key_id))",
    )
    .fetch_one(&mut connection)
    .await
    .expect("a count");
    assert_eq!(stray, 0, "of what was not made there is no trace");
}
