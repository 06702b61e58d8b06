//! Clients that verify known keys by every kind of call, and count what they were answered.

use std::collections::BTreeMap;
use std::iter::Sum;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use portcullis::grpc::pb::{
    self, BatchVerifyRequest, CreateApiKeyRequest, QueryUsageRequest, UsageGranularity, UsageGroup, Verdict,
    VerifyRequest, VerifyResponse, VerifyStreamRequest,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::rig::{Door, now};
use crate::support::service::{Caller, in_time, new_key};

/// Verifications of a BatchVerify, and those that are on their way at once in a VerifyStream.
const BATCH: usize = 200;
const WINDOW: usize = 64;
/// Keys that are made at once.
const MADE_AT_ONCE: usize = 16;
/// One of so many keys is disabled.
const DISABLED: usize = 50;
/// Keys are asked about in an order of which this is the step: any prime will do that does not divide their number.
const STEP: usize = 7_919;
const READ: &str = "orders:read";
const WRITE: &str = "orders:write";

/// Keys of a keyspace or two, some of which are disabled.
pub struct Keys(Vec<Key>);

struct Key {
    id: String,
    secret: String,
    keyspace: String,
    disabled: bool,
}

/// How often what was counted, by key and verdict.
pub type Counts = BTreeMap<(String, Verdict), i64>;

/// How a client asks.
#[derive(Clone, Copy, Debug)]
pub enum By {
    Verify,
    Batch,
    Stream,
}

/// What clients saw.
#[derive(Default)]
pub struct Seen {
    pub answered: Counts,
    /// What was asked and not answered may have counted.
    pub unanswered: Counts,
    /// When so many were answered.
    pub times: Vec<(Duration, usize)>,
}

impl Keys {
    /// Makes as many keys, spread over `keyspaces`, which are made as well.
    pub async fn make(caller: &Caller, keyspaces: &[&str], count: usize) -> Arc<Self> {
        for id in keyspaces {
            caller.clone().create_keyspace(id).await;
        }
        let made = futures_util::stream::iter(0..count).map(|nth| {
            let (mut caller, keyspace) = (caller.clone(), keyspaces[nth % keyspaces.len()].to_owned());
            async move {
                let request =
                    CreateApiKeyRequest { keyspace: keyspace.clone(), scopes: vec![READ.into()], ..new_key("k") };
                let (key, secret) = caller.create(request).await;
                let disabled = nth % DISABLED == DISABLED / 2;
                if disabled {
                    let off = pb::ApiKey { id: key.id.clone(), ..Default::default() };
                    caller.update(off, &["enabled"]).await.expect("disabled");
                }
                Key { id: key.id, secret, keyspace, disabled }
            }
        });
        Arc::new(Self(made.buffer_unordered(MADE_AT_ONCE).collect().await))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The `nth` question, and what is to be answered.
    fn question(&self, nth: usize) -> (&Key, VerifyRequest, Verdict) {
        let key = &self.0[nth * STEP % self.0.len()];
        let scope = if nth / 3 % 7 == 3 { WRITE } else { READ };
        let request =
            VerifyRequest { key: key.secret.clone(), required_scopes: vec![scope.into()], ..Default::default() };
        let verdict = match scope {
            _ if key.disabled => Verdict::Disabled,
            WRITE => Verdict::InsufficientScope,
            _ => Verdict::Valid,
        };
        (key, request, verdict)
    }

    /// The counts of keyspaces that those of keys make.
    pub fn by_keyspace(&self, counts: &Counts) -> Counts {
        let keyspaces: BTreeMap<_, _> = self.0.iter().map(|key| (&key.id, &key.keyspace)).collect();
        let mut sums = Counts::new();
        for ((id, verdict), count) in counts {
            *sums.entry((keyspaces[id].clone(), *verdict)).or_default() += count;
        }
        sums
    }
}

impl Seen {
    fn hear(&mut self, keys: &Keys, nth: usize, answer: &VerifyResponse) {
        let (key, _, verdict) = keys.question(nth);
        assert_eq!((answer.key_id.as_str(), answer.verdict()), (key.id.as_str(), verdict));
        *self.answered.entry((key.id.clone(), verdict)).or_default() += 1;
    }

    fn miss(&mut self, keys: &Keys, all: impl IntoIterator<Item = usize>) {
        for nth in all {
            let (key, _, verdict) = keys.question(nth);
            *self.unanswered.entry((key.id.clone(), verdict)).or_default() += 1;
        }
    }
}

impl Sum for Seen {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        let mut sum = Self::default();
        for one in all {
            add(&mut sum.answered, one.answered);
            add(&mut sum.unanswered, one.unanswered);
            sum.times.extend(one.times);
        }
        sum
    }
}

pub fn add(to: &mut Counts, more: Counts) {
    for (what, count) in more {
        *to.entry(what).or_default() += count;
    }
}

pub fn total(counts: &Counts) -> i64 {
    counts.values().sum()
}

/// Sums by verdict, for people.
pub fn by_verdict(counts: &Counts) -> BTreeMap<Verdict, i64> {
    let mut sums = BTreeMap::new();
    for ((_, verdict), count) in counts {
        *sums.entry(*verdict).or_default() += count;
    }
    sums
}

/// Clients at work.
pub struct Traffic {
    keys: Arc<Keys>,
    clients: JoinSet<Seen>,
    answered: Arc<AtomicU64>,
}

impl Traffic {
    pub fn new(keys: &Arc<Keys>) -> Self {
        Self { keys: keys.clone(), clients: JoinSet::new(), answered: Arc::default() }
    }

    /// Puts three clients to work at each of these doors, which together ask `questions`.
    pub fn ask(mut self, doors: &[Arc<Door>], questions: Range<usize>) -> Self {
        let part = |nth: usize, of: usize, all: &Range<usize>| {
            all.start + all.len() * nth / of..all.start + all.len() * (nth + 1) / of
        };
        for (nth, door) in doors.iter().enumerate() {
            let mine = part(nth, doors.len(), &questions);
            // Single calls take longest.
            let singles = part(0, 10, &mine);
            let rest = singles.end..mine.end;
            self.put(door, By::Verify, singles);
            self.put(door, By::Batch, part(0, 2, &rest));
            self.put(door, By::Stream, part(1, 2, &rest));
        }
        self
    }

    /// Puts a client to work.
    pub fn put(&mut self, door: &Door, by: By, questions: Range<usize>) {
        let client = Client {
            // A connection of its own, as long as there are no more kinds of call than connections.
            caller: door.caller(by as usize),
            keys: self.keys.clone(),
            answered: self.answered.clone(),
            seen: Arc::default(),
        };
        self.clients.spawn(client.work(by, questions));
    }

    /// How many answers there were so far.
    pub fn answered(&self) -> i64 {
        i64::try_from(self.answered.load(Ordering::SeqCst)).expect("not that many")
    }

    /// Waits until all clients have asked all, or were left without an answer.
    pub async fn done(self) -> Seen {
        self.clients.join_all().await.into_iter().sum()
    }

    /// The same, of clients that must be answered everything.
    pub async fn all_answered(self) -> Counts {
        let seen = self.done().await;
        assert_eq!(total(&seen.unanswered), 0);
        seen.answered
    }
}

/// A client, and what it saw.
struct Client {
    caller: Caller,
    keys: Arc<Keys>,
    answered: Arc<AtomicU64>,
    seen: Arc<Mutex<Seen>>,
}

impl Client {
    async fn work(mut self, by: By, questions: Range<usize>) -> Seen {
        let left = match by {
            By::Verify => self.verify(questions).await,
            By::Batch => self.batch(questions).await,
            By::Stream => self.stream(questions).await,
        };
        let mut seen = std::mem::take(&mut *self.seen.lock().expect("no panic"));
        if let Err((status, left)) = left {
            println!("{by:?} ended with {} unanswered: {:?}: {}", left.len(), status.code(), status.message());
            seen.miss(&self.keys, left);
        }
        seen
    }

    fn hear(&self, nth: usize, answer: &VerifyResponse) {
        self.seen.lock().expect("no panic").hear(&self.keys, nth, answer);
    }

    fn heard(&self, count: usize) {
        self.seen.lock().expect("no panic").times.push((now(), count));
        self.answered.fetch_add(count as u64, Ordering::SeqCst);
    }

    /// `Err`: what was asked when it ended.
    async fn verify(&mut self, questions: Range<usize>) -> Result<(), (Status, Vec<usize>)> {
        for nth in questions {
            let (_, request, _) = self.keys.question(nth);
            let mut answer = in_time("an answer", self.caller.verification.verify(request.clone())).await;
            // Look-ups that took too long, on a machine as slow as this one may be: clients try again what says so itself.
            while answer.as_ref().is_err_and(|status| {
                matches!(status.code(), Code::ResourceExhausted | Code::Unavailable) && !status.details().is_empty()
            }) {
                answer = in_time("an answer", self.caller.verification.verify(request.clone())).await;
            }
            self.hear(nth, &answer.map_err(|status| (status, vec![nth]))?.into_inner());
            self.heard(1);
        }
        Ok(())
    }

    async fn batch(&mut self, questions: Range<usize>) -> Result<(), (Status, Vec<usize>)> {
        for first in questions.clone().step_by(BATCH) {
            let batch: Vec<_> = (first..questions.end.min(first + BATCH)).collect();
            let requests = batch.iter().map(|nth| self.keys.question(*nth).1).collect();
            let answer = self.caller.verification.batch_verify(BatchVerifyRequest { requests });
            let answer = in_time("an answer", answer).await.map_err(|status| (status, batch.clone()))?;
            let responses = answer.into_inner().responses;
            assert_eq!(responses.len(), batch.len());
            for (nth, response) in batch.iter().zip(&responses) {
                self.hear(*nth, response);
            }
            self.heard(batch.len());
        }
        Ok(())
    }

    async fn stream(&mut self, questions: Range<usize>) -> Result<(), (Status, Vec<usize>)> {
        let (asking, asked) = mpsc::channel(WINDOW);
        let begun = self.caller.verification.verify_stream(ReceiverStream::new(asked)).await;
        let mut answers = begun.map_err(|status| (status, Vec::new()))?.into_inner();
        for first in questions.clone().step_by(WINDOW) {
            let mut open: Vec<_> = (first..questions.end.min(first + WINDOW)).collect();
            for nth in &open {
                let request = Some(self.keys.question(*nth).1);
                // If nobody reads it, no answer comes.
                let _ = asking.send(VerifyStreamRequest { correlation_id: nth.to_string(), request }).await;
            }
            while !open.is_empty() {
                let answer = match in_time("an answer", answers.message()).await {
                    Ok(Some(answer)) => answer,
                    Ok(None) => return Err((Status::unavailable("the stream ended"), open)),
                    Err(status) => return Err((status, open)),
                };
                let nth: usize = answer.correlation_id.parse().expect("as it was asked");
                let place = open.iter().position(|asked| *asked == nth).expect("asked, and not answered yet");
                open.swap_remove(place);
                self.hear(nth, &answer.response.expect("a verdict"));
                self.heard(1);
            }
        }
        Ok(())
    }
}

/// What QueryUsage tells of all time, of the keys of a keyspace, or of all keyspaces but those of others.
pub async fn told(caller: &mut Caller, group: UsageGroup, keyspaces: &[&str]) -> Result<Counts, Status> {
    let mut counts = Counts::new();
    let wanted: Vec<_> = if group == UsageGroup::Key { keyspaces.to_vec() } else { vec![""] };
    for keyspace in wanted {
        let mut asked = QueryUsageRequest {
            keyspace: keyspace.into(),
            granularity: UsageGranularity::Total.into(),
            group_by: group.into(),
            page_size: 1_000,
            // Whoever pages says so.
            end_time: Some(prost_types::Timestamp { seconds: 253_402_300_799, nanos: 0 }),
            start_time: Some(prost_types::Timestamp { seconds: 0, nanos: 0 }),
            ..Default::default()
        };
        loop {
            let page = caller.usage.query_usage(asked.clone()).await?.into_inner();
            for row in page.rows {
                if group == UsageGroup::Keyspace && !keyspaces.contains(&row.group.as_str()) {
                    continue;
                }
                for one in row.counts {
                    let before = counts.insert((row.group.clone(), one.verdict()), one.count);
                    assert_eq!(before, None, "told once");
                }
            }
            asked.page_token = page.next_page_token;
            if asked.page_token.is_empty() {
                break;
            }
        }
    }
    Ok(counts)
}
