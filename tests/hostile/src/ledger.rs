//! Changes over Postgres by callers who give up after moments, and a ledger of what was acknowledged: each such change is
//! there afterwards, every other one is there whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::Error;
use crate::arena::{NOTICE, Store, endpoint, runtime};
use crate::client::{CallError, Connection, Endpoint, RESOURCE_EXHAUSTED};
use crate::fixture::{Fixture, NEIGHBOUR, Sizes, create_request, verify_request};
use crate::methods;
use crate::options::Options;
use crate::pb;
use crate::server::{Program, Server};

/// Callers at once.
const CALLERS: usize = 48;
/// They wait at most this long; one in eight waits for the answer.
const CANCELLED_AFTER_MS_MAX: u64 = 30;
const PATIENCE: Duration = Duration::from_secs(30);
const PAGE_SIZE: i32 = 1_000;

/// What was acknowledged, by the name of the key.
#[derive(Default)]
struct Ledger {
    created: BTreeMap<String, Created>,
    calls: u64,
    cancelled: u64,
}

struct Created {
    id: String,
    secret: String,
    revoked: bool,
}

/// Makes the calls and checks the ledger; whether it holds.
pub fn run(options: &Options, program: &Program) -> Result<bool, Error> {
    let calls = if options.long { 100_000 } else { 1_000 };
    println!("\nledger/postgres: {calls} changes by {CALLERS} callers, most of whom wait for at most 30 ms");
    let store = Store::postgres()?;
    let server = Server::start(program, "ledger", &store.url, None)?;
    let endpoint = endpoint(&server);
    let sizes = Sizes { small_keys: 0, large_keys: 0, cold_keys: 0, neighbour_keys: 0, labelled_keys: 0 };
    let wrong = runtime()?.block_on(async {
        let fixture = Arc::new(Fixture::create(&endpoint, sizes).await?);
        let ledger = change(&endpoint, &fixture, calls).await?;
        println!(
            "{} calls, {} of them cancelled; {} keys acknowledged, {} of them revoked",
            ledger.calls,
            ledger.cancelled,
            ledger.created.len(),
            ledger.created.values().filter(|key| key.revoked).count()
        );
        // What was on its way may still arrive.
        tokio::time::sleep(Duration::from_secs(2)).await;
        check(&endpoint, &fixture, &ledger).await
    })?;
    let notices = fs::read_to_string(&server.log)?.matches(NOTICE).count();
    let mut passed = wrong.is_empty();
    for line in wrong.iter().take(10) {
        println!("    FAIL: {line}");
    }
    if notices > 0 {
        println!("    FAIL: {notices} notices about transactions in the log");
        passed = false;
    }
    println!("ledger/postgres: {}", if passed { "pass" } else { "FAIL" });
    Ok(passed)
}

async fn change(endpoint: &Endpoint, fixture: &Arc<Fixture>, calls: usize) -> Result<Ledger, Error> {
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let next = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let caller = Caller { connection: Connection::open(endpoint).await?, fixture: fixture.clone() };
        let (ledger, next, endpoint) = (ledger.clone(), next.clone(), endpoint.clone());
        callers.spawn(async move {
            let mut caller = caller;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= calls {
                    return Ok::<_, CallError>(());
                }
                if let Err(CallError::Transport(_)) = caller.create_and_revoke(number, &ledger).await {
                    caller.connection = Connection::open(&endpoint).await?;
                }
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller??;
    }
    let ledger = Arc::into_inner(ledger).ok_or("a caller still writes")?;
    Ok(ledger.into_inner().expect("nobody panics with it"))
}

struct Caller {
    connection: Connection,
    fixture: Arc<Fixture>,
}

impl Caller {
    async fn create_and_revoke(&self, number: usize, ledger: &Mutex<Ledger>) -> Result<(), CallError> {
        let name = format!("ledger {number:08}");
        let root_key = &self.fixture.neighbour;
        let request = create_request(NEIGHBOUR, &name);
        let result = self.connection.call(methods::CREATE, root_key, &request, deadline()).await;
        note(ledger, &result);
        let answer: pb::CreateApiKeyResponse = result?;
        let id = answer.api_key.map(|key| key.id).unwrap_or_default();
        let created = Created { id: id.clone(), secret: answer.secret, revoked: false };
        ledger.lock().expect("nobody panics with it").created.insert(name.clone(), created);
        if !number.is_multiple_of(3) {
            return Ok(());
        }
        let target = Some(pb::revoke_api_key_request::Target::Id(id));
        let request = pb::RevokeApiKeyRequest { target, ..Default::default() };
        let result = self.connection.call(methods::REVOKE, root_key, &request, deadline()).await;
        note(ledger, &result);
        let _: pb::RevokeApiKeyResponse = result?;
        let mut ledger = ledger.lock().expect("nobody panics with it");
        ledger.created.get_mut(&name).expect("it was just put in").revoked = true;
        Ok(())
    }
}

fn note<A>(ledger: &Mutex<Ledger>, result: &Result<A, CallError>) {
    let mut ledger = ledger.lock().expect("nobody panics with it");
    ledger.calls += 1;
    ledger.cancelled += u64::from(matches!(result, Err(CallError::Deadline)));
}

fn deadline() -> Duration {
    if fastrand::u8(..8) == 0 { PATIENCE } else { Duration::from_millis(fastrand::u64(..=CANCELLED_AFTER_MS_MAX)) }
}

/// What is wrong with the store, held against the ledger.
async fn check(endpoint: &Endpoint, fixture: &Fixture, ledger: &Ledger) -> Result<Vec<String>, Error> {
    let connection = Connection::open(endpoint).await?;
    let mut wrong = Vec::new();
    let mut found = BTreeMap::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListApiKeysRequest {
            keyspace: NEIGHBOUR.into(),
            include_invalid: true,
            page_size: PAGE_SIZE,
            page_token,
            ..Default::default()
        };
        let page: pb::ListApiKeysResponse =
            patiently(|| connection.call(methods::LIST, &fixture.neighbour, &request, PATIENCE)).await?;
        for key in page.api_keys.into_iter().filter(|key| key.name.starts_with("ledger ")) {
            // A revoked key has no live secret any more.
            let secrets = usize::from(key.state() != pb::ApiKeyState::Revoked);
            if key.secrets.len() != secrets || key.subject != "user_1" || key.scopes.len() != 1 {
                wrong.push(format!("{} is there in part: {} secrets, {:?}", key.name, key.secrets.len(), key.state()));
            }
            let name = key.name.clone();
            if found.insert(name.clone(), key.id).is_some() {
                wrong.push(format!("{name} is there twice"));
            }
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    println!("{} keys are there, {} of them acknowledged", found.len(), ledger.created.len());
    for (name, created) in &ledger.created {
        if found.get(name) != Some(&created.id) {
            wrong.push(format!("{name} was acknowledged and is not there"));
            continue;
        }
        let request = verify_request(&created.secret);
        let verify = || connection.call(methods::VERIFY, &fixture.neighbour, &request, PATIENCE);
        let answer: pb::VerifyResponse = patiently(verify).await?;
        // A revocation that was not acknowledged may have come through.
        let expected: &[pb::Verdict] =
            if created.revoked { &[pb::Verdict::Revoked] } else { &[pb::Verdict::Valid, pb::Verdict::Revoked] };
        if !expected.contains(&answer.verdict()) {
            wrong.push(format!("{name} is {}; expected {expected:?}", answer.verdict().as_str_name()));
        }
    }
    if ledger.created.is_empty() || ledger.cancelled == 0 {
        wrong.push("nothing was acknowledged, or nothing was cancelled".into());
    }
    Ok(wrong)
}

/// Asks again while the server has too much to do.
async fn patiently<A, C>(call: impl Fn() -> C) -> Result<A, CallError>
where
    C: Future<Output = Result<A, CallError>>,
{
    loop {
        match call().await {
            Err(CallError::Status { code: RESOURCE_EXHAUSTED, .. }) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            result => return result,
        }
    }
}
