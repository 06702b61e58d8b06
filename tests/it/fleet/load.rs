//! Clients that make keys, take something away from them through changing replicas, and verify them on all; what they
//! saw is for the checker.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis::grpc::pb::revoke_api_key_request::Target;
use portcullis::grpc::pb::{self, Verdict, VerifyRequest};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::checker::{Counts, End, History, Story, Verification};
use super::rig::{Door, Rig, now};
use crate::support::service::{Caller, eventually, in_time, new_key};

/// Keys that live at the same time.
const LIVES: usize = 4;
/// Clients that verify without pause, on each replica.
const VERIFIERS: usize = 2;
/// How many of the latest keys those verify.
const LATEST: usize = 3 * LIVES;
/// How long a client waits for an answer to a change until it asks another replica: longer than most faults last.
const PATIENCE_WITH_A_CALL: Duration = Duration::from_secs(10);
const READ: &str = "orders:read";
/// The scope that a narrowed key has no longer.
const WRITE: &str = "orders:write";

/// Clients at work.
pub struct Load {
    shared: Arc<Shared>,
    workers: JoinSet<()>,
}

/// What takes something away from a key.
#[derive(Clone, Copy, Debug)]
enum Change {
    Revoke,
    RevokeBySecret,
    Delete,
    Narrow,
    Disable,
    Rotate,
}

struct Key {
    /// Its place in the history.
    nth: usize,
    id: String,
    secret: String,
}

struct Shared {
    doors: Vec<Arc<Door>>,
    /// Replicas that changes are not sent to: they would not be answered for a while.
    shunned: Vec<AtomicBool>,
    stop: AtomicBool,
    /// How many changes were answered with OK.
    ended: AtomicUsize,
    stories: Mutex<Vec<Story>>,
    seen: Mutex<Vec<Verification>>,
    /// Keys that every replica knows by heart, for later.
    hoard: Mutex<VecDeque<Arc<Key>>>,
    latest: Mutex<VecDeque<Arc<Key>>>,
    all: Mutex<Vec<Arc<Key>>>,
    /// Errors that no client should ever get.
    faults: Mutex<Vec<Status>>,
}

impl Change {
    fn of(nth: usize) -> Self {
        [Self::Revoke, Self::Delete, Self::RevokeBySecret, Self::Narrow, Self::Revoke, Self::Rotate, Self::Disable]
            [nth % 7]
    }

    /// What is found of the secret afterwards.
    fn verdict(self) -> Verdict {
        match self {
            Self::Revoke | Self::RevokeBySecret => Verdict::Revoked,
            Self::Delete | Self::Rotate => Verdict::NotFound,
            Self::Narrow => Verdict::InsufficientScope,
            Self::Disable => Verdict::Disabled,
        }
    }

    async fn make(self, caller: &mut Caller, key: &Key) -> Result<(), Status> {
        let id = key.id.clone();
        let revoke = |target| pb::RevokeApiKeyRequest { target: Some(target), ..Default::default() };
        match self {
            Self::Revoke => drop(caller.keys.revoke_api_key(revoke(Target::Id(id))).await?),
            Self::RevokeBySecret => {
                drop(caller.keys.revoke_api_key(revoke(Target::Secret(key.secret.clone()))).await?);
            }
            Self::Delete => {
                drop(caller.keys.delete_api_key(pb::DeleteApiKeyRequest { id, ..Default::default() }).await?);
            }
            Self::Narrow => {
                let narrower = pb::ApiKey { id, scopes: vec![READ.into()], ..Default::default() };
                caller.update(narrower, &["scopes"]).await?;
            }
            Self::Disable => drop(caller.update(pb::ApiKey { id, ..Default::default() }, &["enabled"]).await?),
            Self::Rotate => {
                let request = pb::RotateApiKeyRequest {
                    id,
                    overlap: Some(prost_types::Duration::default()),
                    ..Default::default()
                };
                drop(caller.keys.rotate_api_key(request).await?);
            }
        }
        Ok(())
    }
}

impl Load {
    /// Puts clients to work on every replica, and makes `hoard` keys that every replica knows by heart.
    pub async fn start(rig: &Rig, hoard: usize) -> Self {
        let doors = rig.doors();
        let shared = Arc::new(Shared {
            shunned: doors.iter().map(|_| AtomicBool::new(false)).collect(),
            doors,
            stop: AtomicBool::new(false),
            ended: AtomicUsize::new(0),
            stories: Mutex::default(),
            seen: Mutex::default(),
            hoard: Mutex::default(),
            latest: Mutex::default(),
            all: Mutex::default(),
            faults: Mutex::default(),
        });
        let mut load = Self { shared, workers: JoinSet::new() };
        load.hoard(hoard).await;
        for nth in 0..LIVES {
            load.workers.spawn(load.shared.clone().live_and_let_die(nth));
        }
        for nth in 0..VERIFIERS * load.shared.doors.len() {
            load.workers.spawn(load.shared.clone().verify_on_and_on(nth));
        }
        load
    }

    async fn hoard(&self, count: usize) {
        let mut making = JoinSet::new();
        for nth in 0..LIVES {
            let shared = self.shared.clone();
            making.spawn(async move {
                for turn in 0..count / LIVES {
                    let key = shared.create(nth + turn).await.expect("all is well yet");
                    for on in 0..shared.doors.len() {
                        shared.verify(&key, on, nth).await;
                        shared.verify(&key, on, nth + 1).await;
                    }
                    shared.hoard.lock().expect("no panic").push_back(key);
                }
            });
        }
        in_time("the hoard", making.join_all()).await;
    }

    /// Sends changes to the other replicas only.
    pub fn shun(&self, replica: usize, is_shunned: bool) {
        self.shared.shunned[replica].store(is_shunned, Ordering::Relaxed);
    }

    /// Waits until that many more changes are answered with OK.
    pub async fn ends(&self, count: usize) {
        let enough = self.shared.ended.load(Ordering::Relaxed) + count;
        let is_enough = async || (self.shared.ended.load(Ordering::Relaxed) >= enough).then_some(());
        eventually("enough changes", is_enough).await;
    }

    /// Verifies on one replica, all at once, the keys whose change was answered since then.
    pub async fn ask_for_all_ended_since(&self, since: Duration, on: usize) -> usize {
        let is_recent = |story: &Story| {
            let end = story.end.as_ref();
            end.and_then(|end| end.answered).is_some_and(|answered| answered >= since)
        };
        let recent = |stories: &[Story]| stories.iter().map(is_recent).collect::<Vec<_>>();
        let recent = recent(&self.shared.stories.lock().expect("no panic"));
        let keys = self.shared.all.lock().expect("no panic").clone();
        let mut asking = JoinSet::new();
        for (nth, key) in keys.into_iter().filter(|key| recent[key.nth]).enumerate() {
            let shared = self.shared.clone();
            asking.spawn(async move { shared.verify(&key, on, nth).await });
        }
        in_time("the verdicts", asking.join_all()).await.len()
    }

    /// Lets the clients finish what they are at: what they saw.
    pub async fn stop(self) -> History {
        self.shared.stop.store(true, Ordering::Relaxed);
        in_time("the end of the clients", self.workers.join_all()).await;
        let faults = self.shared.faults.lock().expect("no panic");
        assert!(faults.is_empty(), "{faults:?}");
        let keys = std::mem::take(&mut *self.shared.stories.lock().expect("no panic"));
        let verifications = std::mem::take(&mut *self.shared.seen.lock().expect("no panic"));
        History { keys, verifications }
    }

    /// The same, checked.
    pub async fn stop_and_check(self, what: &str) -> (History, Counts) {
        let history = self.stop().await;
        match history.check() {
            Ok(counts) => {
                println!("{what}: {counts}");
                (history, counts)
            }
            Err(wrong) => panic!("{what}:\n{}", wrong.join("\n")),
        }
    }
}

impl Shared {
    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Makes key after key, or takes one from the hoard, and takes something away from it.
    async fn live_and_let_die(self: Arc<Self>, nth: usize) {
        let mut asking = JoinSet::new();
        let mut turn = nth;
        while !self.is_stopping() {
            turn += 1;
            // They know it from their memory by the time it ends; a new one they mostly look up.
            let hoarded = if turn.is_multiple_of(2) { self.hoard.lock().expect("no panic").pop_front() } else { None };
            let key = match hoarded {
                Some(key) => Some(key),
                None => self.create(turn).await,
            };
            let Some(key) = key else {
                sleep(Duration::from_millis(20)).await;
                continue;
            };
            {
                let mut latest = self.latest.lock().expect("no panic");
                latest.push_back(key.clone());
                let surplus = latest.len().saturating_sub(LATEST);
                latest.drain(..surplus);
            }
            sleep(Duration::from_millis(turn as u64 * 7 % 23)).await;
            if !self.end(&key, turn).await {
                break;
            }
            // At once, and everywhere. Some may not answer for long.
            for on in 0..self.doors.len() {
                let (shared, key) = (self.clone(), key.clone());
                asking.spawn(async move { shared.verify(&key, on, turn).await });
            }
            while asking.try_join_next().is_some() {}
        }
        asking.join_all().await;
    }

    async fn verify_on_and_on(self: Arc<Self>, nth: usize) {
        let on = nth % self.doors.len();
        let mut turn = nth;
        while !self.is_stopping() {
            turn += 1;
            let key = {
                let latest = self.latest.lock().expect("no panic");
                latest.get(turn % latest.len().max(1)).cloned()
            };
            let is_answered = match key {
                Some(key) => self.verify(&key, on, nth / self.doors.len()).await,
                None => false,
            };
            // Leaves some of the machine to the replicas.
            sleep(Duration::from_millis(if is_answered { 1 } else { 10 })).await;
        }
    }

    /// Issues a key through one replica, and verifies it at once on another. `None`: no answer came.
    async fn create(&self, turn: usize) -> Option<Arc<Key>> {
        let on = self.door(turn)?;
        let request =
            pb::CreateApiKeyRequest { scopes: vec![READ.into(), WRITE.into()], ..new_key(&format!("turn {turn}")) };
        let mut caller = self.doors[on].caller(turn);
        let made = timeout(PATIENCE_WITH_A_CALL, caller.keys.create_api_key(request)).await;
        let made = match made.ok()? {
            Ok(made) => made.into_inner(),
            Err(status) => {
                self.note(status);
                return None;
            }
        };
        let story = Story { made: now(), end: None };
        let key = {
            let mut stories = self.stories.lock().expect("no panic");
            stories.push(story);
            Arc::new(Key { nth: stories.len() - 1, id: made.api_key.expect("the key").id, secret: made.secret })
        };
        self.all.lock().expect("no panic").push(key.clone());
        if let Some(other) = self.door(on + 1) {
            self.verify(&key, other, turn).await;
        }
        Some(key)
    }

    /// Takes something away from a key, and repeats that through other replicas until the answer is OK. Whether it is.
    async fn end(&self, key: &Key, turn: usize) -> bool {
        let change = Change::of(key.nth);
        let story = |with: &dyn Fn(&mut Story)| with(&mut self.stories.lock().expect("no panic")[key.nth]);
        let end = End { verdict: change.verdict(), sent: now(), answered: None };
        story(&|story| story.end = Some(end.clone()));
        let mut tries = 0;
        loop {
            let Some(on) = self.door(turn / 2 + tries) else {
                sleep(Duration::from_millis(20)).await;
                continue;
            };
            // Some do not wait for the first answer: to repeat it must be as good.
            let is_hasty = tries == 0 && turn.is_multiple_of(5);
            let patience = if is_hasty { Duration::from_millis(turn as u64 % 13) } else { PATIENCE_WITH_A_CALL };
            let mut caller = self.doors[on].caller(turn);
            let answer = timeout(patience, change.make(&mut caller, key)).await;
            let answered = now();
            let is_done = match answer {
                Ok(Ok(())) => true,
                // By the attempt before.
                Ok(Err(status)) if status.code() == Code::NotFound && matches!(change, Change::Delete) && tries > 0 => {
                    true
                }
                Ok(Err(status)) => {
                    self.note(status);
                    sleep(Duration::from_millis(20)).await;
                    false
                }
                Err(_) => false,
            };
            if is_done {
                let end = End { answered: Some(answered), ..end };
                story(&|story| story.end = Some(end.clone()));
                self.ended.fetch_add(1, Ordering::Relaxed);
                return true;
            }
            if self.is_stopping() {
                return false;
            }
            tries += 1;
        }
    }

    /// Whether it was answered with a verdict.
    async fn verify(&self, key: &Key, on: usize, connection: usize) -> bool {
        let mut caller = self.doors[on].caller(connection);
        let required_scopes = vec![READ.to_owned(), WRITE.to_owned()];
        let request = VerifyRequest { key: key.secret.clone(), required_scopes, ..Default::default() };
        let sent = now();
        let answer = caller.verification.verify(request).await;
        let answered = now();
        let heard = match answer {
            Ok(answer) => Ok(answer.into_inner().verdict()),
            Err(status) => Err(name(&status)),
        };
        let is_answered = heard.is_ok();
        self.seen.lock().expect("no panic").push(Verification { key: key.nth, on, sent, answered, heard });
        is_answered
    }

    /// The `nth` replica that is not shunned.
    fn door(&self, nth: usize) -> Option<usize> {
        let count = self.doors.len();
        (0..count).map(|more| (nth + more) % count).find(|on| !self.shunned[*on].load(Ordering::Relaxed))
    }

    /// An error of a change: it must be one that says "ask again".
    fn note(&self, status: Status) {
        let name = name(&status);
        let passes = ["LEASE_OVER", "STORE_UNAVAILABLE", "CHANGE_UNCONFIRMED", "SERVER_ENDING", "connection"];
        if !passes.iter().any(|passing| name.ends_with(passing)) {
            self.faults.lock().expect("no panic").push(status);
        }
    }
}

/// An error by its reason. The server's have one; without, it is the client's own, of a connection that broke.
pub fn name(status: &Status) -> String {
    match status.get_error_details().error_info() {
        Some(info) => info.reason.clone(),
        None => format!("{:?} of the connection", status.code()),
    }
}
