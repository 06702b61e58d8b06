//! Somebody who has done nothing wrong: verifies, makes and revokes keys, connects anew now and then, asks for the health,
//! and notes how long everything takes.

use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};

use crate::Error;
use crate::client::{CallError, Connection, Endpoint, connect, framed};
use crate::cores::Cores;
use crate::fixture::{Fixture, create_request, verify_request};
use crate::methods;
use crate::pb;
use crate::server::{BOOTSTRAP_ROOT_KEY, Program, Server};

/// A call that takes longer is an error.
const DEADLINE: Duration = Duration::from_secs(5);
/// So many errors are shown.
const ERRORS_SHOWN: usize = 3;
/// `grpc.health.v1.HealthCheckResponse` with SERVING, as it travels.
const SERVING: [u8; 2] = [0x08, 0x01];

/// What the bystander does. Each has a loop of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Verifies a key that the server knows.
    Warm,
    /// Verifies a key that the server has not seen.
    Cold,
    Create,
    Revoke,
    /// Connects anew and verifies a warm key.
    Connect,
    /// Connects anew and asks for the readiness, as a probe does.
    Probe,
    /// Verifies with the free-text root key that the server was started with.
    Owner,
    /// Reads the metrics on a new connection.
    Metrics,
    /// Runs `portcullis healthcheck`.
    Healthcheck,
}

impl Action {
    pub const ALL: [Self; 9] = [
        Self::Warm,
        Self::Cold,
        Self::Create,
        Self::Revoke,
        Self::Connect,
        Self::Probe,
        Self::Owner,
        Self::Metrics,
        Self::Healthcheck,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::Cold => "cold",
            Self::Create => "create",
            Self::Revoke => "revoke",
            Self::Connect => "connect",
            Self::Probe => "probe",
            Self::Owner => "owner",
            Self::Metrics => "metrics",
            Self::Healthcheck => "healthcheck",
        }
    }
}

/// What happened since the recording began.
#[derive(Clone)]
pub struct Record {
    /// Microseconds, by [`Action`].
    latencies: Vec<Histogram<u64>>,
    errors: [u64; Action::ALL.len()],
    /// The first errors.
    pub shown: Vec<String>,
}

impl Record {
    fn new() -> Self {
        let histogram = || Histogram::new_with_max(60_000_000, 3).expect("the limits make sense");
        Self {
            latencies: Action::ALL.iter().map(|_| histogram()).collect(),
            errors: [0; Action::ALL.len()],
            shown: Vec::new(),
        }
    }

    /// How many calls were answered as they must be.
    pub fn count(&self, action: Action) -> u64 {
        self.latencies[action as usize].len()
    }

    pub fn quantile(&self, action: Action, quantile: f64) -> Duration {
        Duration::from_micros(self.latencies[action as usize].value_at_quantile(quantile))
    }

    pub fn max(&self, action: Action) -> Duration {
        Duration::from_micros(self.latencies[action as usize].max())
    }

    pub fn errors(&self, action: Action) -> u64 {
        self.errors[action as usize]
    }

    pub fn errors_total(&self) -> u64 {
        self.errors.iter().sum()
    }

    fn note(&mut self, action: Action, took: Duration, result: Result<(), CallError>) {
        match result {
            Ok(()) => {
                let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                self.latencies[action as usize].saturating_record(micros);
            }
            Err(error) => {
                self.errors[action as usize] += 1;
                if self.shown.len() < ERRORS_SHOWN {
                    self.shown.push(format!("{} after {took:.1?}: {error}", action.name()));
                }
            }
        }
    }
}

/// The record, and when the call of each action began that is not answered yet.
struct Shared {
    record: Record,
    pending: [Option<Instant>; Action::ALL.len()],
}

/// Runs until it is dropped.
pub struct Bystander {
    shared: Arc<Mutex<Shared>>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Bystander {
    /// Connects, on the server's core.
    pub fn start(program: &Program, server: &Server, fixture: &Arc<Fixture>) -> Result<Self, Error> {
        let pending = [None; Action::ALL.len()];
        let shared = Arc::new(Mutex::new(Shared { record: Record::new(), pending }));
        let (stop, stopped) = watch::channel(false);
        let (ready, mut is_ready) = mpsc::channel(1);
        let caller = Caller {
            endpoint: Endpoint { address: server.address, from: None, tls: server.tls() },
            metrics: Endpoint { address: server.metrics, from: None, tls: None },
            fixture: fixture.clone(),
            shared: shared.clone(),
        };
        let calls = std::thread::spawn({
            let (cores, stopped) = (program.cores, stopped.clone());
            move || run(cores, caller, stopped, ready)
        });
        match is_ready.blocking_recv() {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(format!("the bystander cannot connect: {error}").into()),
            None => return Err("the bystander's thread ended".into()),
        }
        let checks = healthchecks(program, server, shared.clone(), stopped);
        Ok(Self { shared, stop, threads: vec![calls, checks] })
    }

    /// What happens during the next so many seconds. The calls that are not answered then are waited for: what takes
    /// longer than all of them must not be left out.
    pub fn record(&self, duration: Duration) -> Record {
        lock(&self.shared).record = Record::new();
        std::thread::sleep(duration);
        let pending = lock(&self.shared).pending;
        let waits = |shared: &Shared| {
            let mut calls = pending.iter().zip(&shared.pending);
            calls.any(|(then, now)| then.is_some() && then == now)
        };
        let began = Instant::now();
        while waits(&lock(&self.shared)) && began.elapsed() < DEADLINE + Duration::from_secs(1) {
            std::thread::sleep(Duration::from_millis(10));
        }
        std::mem::replace(&mut lock(&self.shared).record, Record::new())
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().expect("nobody panics with it")
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The program's own check, in a process as an orchestrator starts it. Not on the server's core: what a process costs to
/// start is not what is measured.
fn healthchecks(
    program: &Program,
    server: &Server,
    shared: Arc<Mutex<Shared>>,
    stopped: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let (program, url, certificate) = (program.clone(), server.url(), server.certificate.clone());
    std::thread::spawn(move || {
        while !*stopped.borrow() {
            let began = Instant::now();
            lock(&shared).pending[Action::Healthcheck as usize] = Some(began);
            let result = match Server::healthcheck(&program, &url, certificate.as_deref()) {
                Ok(true) => Ok(()),
                Ok(false) => Err(CallError::Transport("portcullis healthcheck says no".into())),
                Err(error) => Err(CallError::Transport(error.to_string())),
            };
            {
                let mut shared = lock(&shared);
                shared.pending[Action::Healthcheck as usize] = None;
                shared.record.note(Action::Healthcheck, began.elapsed(), result);
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    })
}

fn run(cores: Cores, caller: Caller, mut stopped: watch::Receiver<bool>, ready: mpsc::Sender<Result<(), CallError>>) {
    cores.pin_to_server().expect("this process may use it");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async move {
        let connection = match Connection::open(&caller.endpoint).await {
            Ok(connection) => connection,
            Err(error) => {
                let _ = ready.send(Err(error)).await;
                return;
            }
        };
        // Whoever has called before is known.
        if let Err(error) = caller.verify(&connection, &caller.fixture.bystander, &caller.fixture.warm[0]).await {
            let _ = ready.send(Err(error)).await;
            return;
        }
        let _ = ready.send(Ok(())).await;
        let everything = async {
            tokio::join!(
                caller.warm(connection.clone()),
                caller.cold(connection.clone()),
                caller.create_and_revoke(connection.clone()),
                caller.connect(),
                caller.probe(),
                caller.owner(connection.clone()),
                caller.read_metrics(),
            )
        };
        tokio::select! {
            _ = everything => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    });
}

#[derive(Clone)]
struct Caller {
    endpoint: Endpoint,
    metrics: Endpoint,
    fixture: Arc<Fixture>,
    shared: Arc<Mutex<Shared>>,
}

impl Caller {
    async fn warm(&self, mut connection: Connection) {
        let mut next = 0;
        loop {
            next = (next + 1) % self.fixture.warm.len();
            let key = &self.fixture.warm[next];
            let result = self.timed(Action::Warm, self.verify(&connection, &self.fixture.bystander, key)).await;
            self.reconnect_after(&mut connection, result).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn cold(&self, mut connection: Connection) {
        while let Some(key) = self.fixture.take_cold() {
            let result = self.timed(Action::Cold, self.verify(&connection, &self.fixture.bystander, key)).await;
            self.reconnect_after(&mut connection, result).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn create_and_revoke(&self, mut connection: Connection) {
        loop {
            let mut id = String::new();
            let mut secret = String::new();
            let create = async {
                let request = create_request("default", "of the bystander");
                let answer: pb::CreateApiKeyResponse =
                    connection.call(methods::CREATE, &self.fixture.bystander, &request, DEADLINE).await?;
                id = answer.api_key.map(|key| key.id).unwrap_or_default();
                secret = answer.secret;
                Ok(())
            };
            let result = self.timed(Action::Create, create).await;
            if result.is_ok() {
                let revoke = async {
                    let target = Some(pb::revoke_api_key_request::Target::Id(id));
                    let request = pb::RevokeApiKeyRequest { target, ..Default::default() };
                    let call = connection.call(methods::REVOKE, &self.fixture.bystander, &request, DEADLINE);
                    call.await.map(|_: pb::RevokeApiKeyResponse| ())
                };
                let revoked = self.timed(Action::Revoke, revoke).await;
                if revoked.is_ok() {
                    self.must_be_revoked(&connection, &secret).await;
                }
                self.reconnect_after(&mut connection, revoked).await;
            } else {
                self.reconnect_after(&mut connection, result).await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What was acknowledged must hold, whatever else goes on.
    async fn must_be_revoked(&self, connection: &Connection, secret: &str) {
        let request = verify_request(secret);
        let call = connection.call(methods::VERIFY, &self.fixture.bystander, &request, DEADLINE);
        let result = call.await.and_then(|answer: pb::VerifyResponse| {
            let revoked = !answer.valid && answer.verdict() == pb::Verdict::Revoked;
            if revoked { Ok(()) } else { Err(CallError::Transport("a revoked key is not REVOKED".into())) }
        });
        if result.is_err() {
            lock(&self.shared).record.note(Action::Revoke, Duration::ZERO, result);
        }
    }

    async fn connect(&self) {
        loop {
            let connect = async {
                let connection = Connection::open(&self.endpoint).await?;
                self.verify(&connection, &self.fixture.bystander, &self.fixture.warm[0]).await
            };
            let _ = self.timed(Action::Connect, within_deadline(connect)).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn probe(&self) {
        // `grpc.health.v1.HealthCheckRequest` of the readiness.
        let request = prost::bytes::Bytes::from_static(b"\0\0\0\0\x0b\x0a\x09readiness");
        loop {
            let probe = async {
                let connection = Connection::open(&self.endpoint).await?;
                let answer = connection.call_framed(methods::HEALTH_CHECK, "", request.clone(), DEADLINE).await?;
                if answer[..] == SERVING {
                    Ok(())
                } else {
                    Err(CallError::Transport("readiness is not SERVING".into()))
                }
            };
            let _ = self.timed(Action::Probe, within_deadline(probe)).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn owner(&self, mut connection: Connection) {
        loop {
            let verify = self.verify(&connection, BOOTSTRAP_ROOT_KEY, &self.fixture.warm[0]);
            let result = self.timed(Action::Owner, verify).await;
            self.reconnect_after(&mut connection, result).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn read_metrics(&self) {
        loop {
            let read = async {
                let mut stream = connect(&self.metrics).await?;
                stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).await?;
                let complete = answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"# EOF\n");
                if complete { Ok(()) } else { Err(CallError::Transport("no metrics".into())) }
            };
            let _ = self.timed(Action::Metrics, within_deadline(read)).await;
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    async fn verify(&self, connection: &Connection, root_key: &str, key: &str) -> Result<(), CallError> {
        let framed = framed(&verify_request(key));
        let answer = connection.call_framed(methods::VERIFY, root_key, framed, DEADLINE).await?;
        let answer = pb::VerifyResponse::decode(answer).map_err(|error| CallError::Transport(error.to_string()))?;
        match answer.verdict() {
            pb::Verdict::Valid if answer.valid => Ok(()),
            verdict => Err(CallError::Transport(format!("a valid key is {}", verdict.as_str_name()))),
        }
    }

    async fn timed(&self, action: Action, call: impl Future<Output = Result<(), CallError>>) -> Result<(), CallError> {
        let began = Instant::now();
        lock(&self.shared).pending[action as usize] = Some(began);
        let result = call.await;
        let mut shared = lock(&self.shared);
        shared.pending[action as usize] = None;
        shared.record.note(action, began.elapsed(), result.clone());
        result
    }

    /// A connection that was lost is an error that has been noted; the next call must not fail for it again.
    async fn reconnect_after(&self, connection: &mut Connection, result: Result<(), CallError>) {
        if matches!(result, Err(CallError::Transport(_)))
            && let Ok(opened) = Connection::open(&self.endpoint).await
        {
            *connection = opened;
        }
    }
}

async fn within_deadline(call: impl Future<Output = Result<(), CallError>>) -> Result<(), CallError> {
    tokio::time::timeout(DEADLINE, call).await.unwrap_or(Err(CallError::Deadline))
}
