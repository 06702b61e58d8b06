//! Clients that make and change keys without pause and note what they were promised; and whether it was kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use portcullis::grpc::pb::{self, ApiKeyState, Verdict, VerifyRequest};
use tokio::task::JoinSet;
use tonic::Status;

use crate::support::service::{Caller, eventually, new_key};

const WORKERS: usize = 8;
const READ: &str = "orders:read";
/// The scope that a narrowed key has no longer.
const WRITE: &str = "orders:write";
const OVERLAP_S: i64 = 3_600;

/// Whether a change of a key was asked for, and acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// It was never asked for.
    No,
    /// No answer came: it was made, or not.
    Asked,
    /// It was acknowledged.
    Done,
}

/// A key whose creation was acknowledged.
#[derive(Debug)]
struct Key {
    id: String,
    first: String,
    newer: Option<String>,
    has_overlap: bool,
    narrowed: Told,
    rotated: Told,
    revoked: Told,
}

/// What the clients of one round were promised, in a keyspace of the round's own.
#[derive(Debug, Default)]
pub struct Ledger {
    keyspace: String,
    keys: Vec<Key>,
    /// Creations that were not answered.
    unanswered: usize,
    /// The errors that were answered.
    pub errors: Vec<Status>,
}

/// How much was acknowledged and found to be kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub rounds: usize,
    pub created: usize,
    pub narrowed: usize,
    pub rotated: usize,
    pub revoked: usize,
    /// Changes that were neither acknowledged nor refused: they were made wholly, or not at all.
    pub uncertain: usize,
}

/// Clients at work.
pub struct Load {
    keyspace: String,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    workers: JoinSet<Ledger>,
}

impl Load {
    /// Puts clients to work in a new keyspace.
    pub async fn start(mut caller: Caller, keyspace: &str) -> Self {
        caller.create_keyspace(keyspace).await;
        let (stop, acknowledged) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            let worker =
                Worker { caller: caller.clone(), acknowledged: acknowledged.clone(), ledger: Ledger::default() };
            workers.spawn(worker.run(keyspace.to_owned(), stop.clone()));
        }
        Self { keyspace: keyspace.to_owned(), stop, acknowledged, workers }
    }

    /// Waits until that many more changes are acknowledged.
    pub async fn acknowledges(&self, count: usize) {
        let enough = self.acknowledged.load(Ordering::Relaxed) + count;
        let is_enough = async || (self.acknowledged.load(Ordering::Relaxed) >= enough).then_some(());
        eventually("enough changes", is_enough).await;
    }

    /// Lets the clients finish what they are at.
    pub async fn stop(self) -> Ledger {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Ledger { keyspace: self.keyspace, ..Ledger::default() };
        for part in self.workers.join_all().await {
            all.keys.extend(part.keys);
            all.errors.extend(part.errors);
            all.unanswered += part.unanswered;
        }
        all
    }
}

struct Worker {
    caller: Caller,
    acknowledged: Arc<AtomicUsize>,
    ledger: Ledger,
}

impl Worker {
    async fn run(mut self, keyspace: String, stop: Arc<AtomicBool>) -> Ledger {
        let mut count = 0;
        while !stop.load(Ordering::Relaxed) {
            if let Err(error) = self.live(&keyspace, count).await {
                self.ledger.errors.push(error);
                // Not to spin while there is nobody to answer.
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            count += 1;
        }
        self.ledger
    }

    /// The life of one key, up to the first error. The bits of `plan` say what happens in it.
    async fn live(&mut self, keyspace: &str, plan: usize) -> Result<(), Status> {
        let request = pb::CreateApiKeyRequest {
            keyspace: keyspace.to_owned(),
            scopes: vec![READ.into(), WRITE.into()],
            metadata: BTreeMap::from([("plan".to_owned(), plan.to_string()), ("load".to_owned(), "yes".to_owned())]),
            ..new_key(&format!("plan {plan}"))
        };
        self.ledger.unanswered += 1;
        let made = self.caller.keys.create_api_key(request).await?.into_inner();
        self.ledger.unanswered -= 1;
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        let id = made.api_key.expect("the key").id;
        let has_overlap = plan & 8 != 0;
        let (narrowed, rotated, revoked) = (Told::No, Told::No, Told::No);
        let key = Key { id, first: made.secret, newer: None, has_overlap, narrowed, rotated, revoked };
        self.ledger.keys.push(key);
        let key = self.ledger.keys.last_mut().expect("it was just pushed");
        if plan & 1 != 0 {
            key.narrowed = Told::Asked;
            let change = pb::ApiKey { id: key.id.clone(), scopes: vec![READ.into()], ..Default::default() };
            self.caller.update(change, &["scopes"]).await?;
            key.narrowed = Told::Done;
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        if plan & 2 != 0 {
            key.rotated = Told::Asked;
            let seconds = if has_overlap { OVERLAP_S } else { 0 };
            let overlap = Some(prost_types::Duration { seconds, nanos: 0 });
            let request = pb::RotateApiKeyRequest { id: key.id.clone(), overlap, ..Default::default() };
            key.newer = Some(self.caller.keys.rotate_api_key(request).await?.into_inner().secret);
            key.rotated = Told::Done;
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        if plan & 4 != 0 {
            key.revoked = Told::Asked;
            let target = Some(pb::revoke_api_key_request::Target::Id(key.id.clone()));
            self.caller.keys.revoke_api_key(pb::RevokeApiKeyRequest { target, ..Default::default() }).await?;
            key.revoked = Told::Done;
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Ledger {
    /// Checks that every promise was kept, and that whatever was not promised was made wholly or not at all.
    pub async fn check(&self, mut caller: Caller) -> Counts {
        let trail = trail(&mut caller, &self.keyspace).await;
        let mut listed = list(&mut caller, &self.keyspace, BTreeMap::new()).await;
        // Labels have a table of their own.
        let labels = BTreeMap::from([("load".to_owned(), "yes".to_owned())]);
        let labelled = list(&mut caller, &self.keyspace, labels).await;
        assert_eq!(listed.len(), labelled.len());
        assert_eq!(listed.len(), trail.len(), "as many keys as were created by the audit trail");
        for (id, key) in &listed {
            check_against_trail(key, &trail[id]);
        }
        for key in &self.keys {
            let now = listed.remove(&key.id).unwrap_or_else(|| panic!("lost: {key:?}"));
            key.check(&mut caller, &now).await;
        }
        assert!(listed.len() <= self.unanswered, "nobody asked for all of {listed:?}");
        for key in listed.values() {
            assert_eq!((key.scopes.len(), key.secrets.len(), key.state()), (2, 1, ApiKeyState::Active), "{key:?}");
        }
        let told = |what: fn(&Key) -> Told, this| self.keys.iter().filter(|key| what(key) == this).count();
        let [narrowed, rotated, revoked] = CHANGES.map(|what| told(what, Told::Done));
        let uncertain = CHANGES.map(|what| told(what, Told::Asked)).iter().sum::<usize>() + listed.len();
        Counts { rounds: 1, created: self.keys.len(), narrowed, rotated, revoked, uncertain }
    }
}

/// What may be asked of a key once it is there.
const CHANGES: [fn(&Key) -> Told; 3] = [|key| key.narrowed, |key| key.rotated, |key| key.revoked];

impl Key {
    /// Checks that the key is, and verifies, as was promised. `now` is how it is shown.
    async fn check(&self, caller: &mut Caller, now: &pb::ApiKey) {
        let is_narrowed = !now.scopes.contains(&WRITE.to_owned());
        let is_revoked = now.state() == ApiKeyState::Revoked;
        let is_rotated = now.hint != hint(&self.first);
        for (told, is_so) in [(self.narrowed, is_narrowed), (self.rotated, is_rotated), (self.revoked, is_revoked)] {
            assert!(told == Told::Asked || is_so == (told == Told::Done), "{self:?} is {now:?}");
        }
        let verdict = match (is_revoked, is_narrowed) {
            (true, _) => Verdict::Revoked,
            (false, true) => Verdict::InsufficientScope,
            (false, false) => Verdict::Valid,
        };
        let first = if is_rotated && !self.has_overlap { Verdict::NotFound } else { verdict };
        assert_eq!(verify(caller, &self.first).await, first, "{self:?} is {now:?}");
        if let Some(newer) = &self.newer {
            assert_eq!(verify(caller, newer).await, verdict, "{self:?} is {now:?}");
        }
    }
}

async fn verify(caller: &mut Caller, secret: &str) -> Verdict {
    let request =
        VerifyRequest { key: secret.into(), required_scopes: vec![READ.into(), WRITE.into()], ..Default::default() };
    let response = caller.verify_of(request).await;
    assert_eq!(response.valid, response.verdict() == Verdict::Valid);
    response.verdict()
}

/// The hint of a secret of the default prefix.
fn hint(secret: &str) -> String {
    format!("{}…", &secret[.."ak_".len() + 4])
}

/// A change and its audit event are one.
fn check_against_trail(key: &pb::ApiKey, actions: &[String]) {
    let count = |action: &str| actions.iter().filter(|done| *done == action).count();
    assert_eq!(count("CreateApiKey"), 1, "{key:?}: {actions:?}");
    assert_eq!(count("UpdateApiKey"), usize::from(key.scopes.len() == 1), "{key:?}: {actions:?}");
    assert_eq!(count("RevokeApiKey"), usize::from(key.state() == ApiKeyState::Revoked), "{key:?}: {actions:?}");
    // A revoked key has no live secret to show.
    if let Some(newest) = key.secrets.first() {
        let is_rotated = newest.create_time != key.create_time;
        assert_eq!(count("RotateApiKey"), usize::from(is_rotated), "{key:?}: {actions:?}");
    }
}

/// Every key of a keyspace with these labels, by its id.
async fn list(caller: &mut Caller, keyspace: &str, metadata: BTreeMap<String, String>) -> HashMap<String, pb::ApiKey> {
    let mut request = pb::ListApiKeysRequest {
        keyspace: keyspace.to_owned(),
        include_invalid: true,
        metadata,
        page_size: 1_000,
        ..Default::default()
    };
    let mut keys = HashMap::new();
    loop {
        let page = caller.keys.list_api_keys(request.clone()).await.expect("a page").into_inner();
        keys.extend(page.api_keys.into_iter().map(|key| (key.id.clone(), key)));
        if page.next_page_token.is_empty() {
            return keys;
        }
        request.page_token = page.next_page_token;
    }
}

/// What was done to every key of a keyspace.
async fn trail(caller: &mut Caller, keyspace: &str) -> HashMap<String, Vec<String>> {
    let mut request =
        pb::ListAuditEventsRequest { keyspace: keyspace.to_owned(), page_size: 1_000, ..Default::default() };
    let mut actions: HashMap<_, Vec<_>> = HashMap::new();
    loop {
        let page = caller.audit.list_audit_events(request.clone()).await.expect("a page").into_inner();
        for event in page.audit_events.into_iter().filter(|event| !event.key_id.is_empty()) {
            actions.entry(event.key_id).or_default().push(event.action);
        }
        if page.next_page_token.is_empty() {
            return actions;
        }
        request.page_token = page.next_page_token;
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.rounds += more.rounds;
        self.created += more.created;
        self.narrowed += more.narrowed;
        self.rotated += more.rotated;
        self.revoked += more.revoked;
        self.uncertain += more.uncertain;
    }
}
