//! Whether every replica is unready, by grpc.health.v1.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Request;
use http::uri::PathAndQuery;
use http_body_util::Either;
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{self, Instant};
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::connection::{Connection, Failure};
use super::resolution::Origin;

/// Health is asked at most once in this time, and has as long to answer, the connection included.
const INTERVAL: Duration = Duration::from_secs(1);
/// A check that ends later than this says nothing: this process was busy, not Portcullis.
const LATE: Duration = Duration::from_secs(2);
/// What a check found holds for this long.
const VALID: Duration = Duration::from_secs(3);
/// Health is asked for this long after the last failure.
const WATCH: Duration = Duration::from_secs(30);

const METHOD: &str = "/grpc.health.v1.Health/Check";
const SERVING: i32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// Asks for some time after a failure, over connections of its own: those of the channel may be full of calls that wait.
pub struct ReadinessMonitor {
    origins: Arc<[Arc<Origin>]>,
    runtime: Handle,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Of the task that asks, while there is one.
    watch: Option<AbortHandle>,
    watch_until: Option<Instant>,
    unready_until: Option<Instant>,
}

impl ReadinessMonitor {
    pub fn new(origins: Arc<[Arc<Origin>]>, runtime: Handle) -> Self {
        Self { origins, runtime, state: Arc::default() }
    }

    /// Whether every replica is known to be unready, now that a call failed. Does not wait: a first failure has health
    /// asked in the background, until there was none for a while. Up to the first answer, no replica is known to be
    /// unready.
    pub fn report_failure(&self) -> bool {
        let mut state = lock(&self.state);
        let now = Instant::now();
        state.watch_until = Some(now + WATCH);
        if state.watch.is_none() {
            let task = self.runtime.spawn(watch(Arc::clone(&self.origins), Arc::clone(&self.state)));
            state.watch = Some(task.abort_handle());
        }
        state.unready_until.is_some_and(|until| now < until)
    }
}

impl Drop for ReadinessMonitor {
    fn drop(&mut self) {
        if let Some(watch) = lock(&self.state).watch.take() {
            watch.abort();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Whoever panicked left nothing half done.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks once in an interval, until no failure was reported for a while.
async fn watch(origins: Arc<[Arc<Origin>]>, state: Arc<Mutex<State>>) {
    let mut replicas = HashMap::new();
    loop {
        let start = Instant::now();
        let is_unready = check(&origins, &mut replicas).await && start.elapsed() < LATE;
        {
            let mut state = lock(&state);
            let now = Instant::now();
            state.unready_until = is_unready.then(|| now + VALID);
            if state.watch_until.is_none_or(|until| until <= now) {
                state.watch = None;
                return;
            }
        }
        time::sleep_until(start + INTERVAL).await;
    }
}

/// One address of a replica, by the number of its origin.
type Id = (usize, SocketAddr);

/// A connection, and what keeps it alive.
struct Replica {
    connection: Connection,
    _life: JoinSet<()>,
}

/// Asks every replica at once; whether none is ready. Keeps the connections for the next time.
async fn check(origins: &[Arc<Origin>], replicas: &mut HashMap<Id, Replica>) -> bool {
    let mut asking = JoinSet::new();
    for (number, origin) in origins.iter().enumerate() {
        // A name that has no address is that of a replica which cannot be reached.
        for address in super::resolution::resolve(origin).await.unwrap_or_default() {
            let id = (number, address);
            let known = replicas.remove(&id).filter(|replica| !replica.connection.is_closed());
            let origin = Arc::clone(origin);
            asking.spawn(async move { (id, time::timeout(INTERVAL, ask(known, &origin, address)).await) });
        }
    }
    // Those of addresses that are no more.
    replicas.clear();
    let mut is_one_ready = false;
    while let Some(Ok((id, answer))) = asking.join_next().await {
        if let Ok((is_ready, replica)) = answer {
            is_one_ready |= is_ready;
            replicas.extend(replica.map(|replica| (id, replica)));
        }
    }
    !is_one_ready
}

/// Whether a replica is ready, and the connection to it, if there is one.
async fn ask(known: Option<Replica>, origin: &Origin, address: SocketAddr) -> (bool, Option<Replica>) {
    let replica = match known {
        Some(replica) => replica,
        None => match connect(origin, address).await {
            Some(replica) => replica,
            None => return (false, None),
        },
    };
    let is_ready = match status(replica.connection.clone()).await {
        Ok(status) => status == SERVING,
        // Any other error comes from a replica that is there.
        Err(error) => !matches!(error.code(), Code::Unavailable | Code::DeadlineExceeded),
    };
    (is_ready, Some(replica))
}

async fn connect(origin: &Origin, address: SocketAddr) -> Option<Replica> {
    let (connection, life) = Connection::open(origin, address).await.ok()?;
    let mut keeping = JoinSet::new();
    keeping.spawn(life);
    Some(Replica { connection, _life: keeping })
}

/// What a replica says of its readiness.
async fn status(connection: Connection) -> Result<i32, Status> {
    let service = service_fn(move |request: Request<Body>| {
        let connection = connection.clone();
        async move {
            connection.send(request.map(Either::Right)).await.map_err(|failure| match failure {
                Failure::Unsent(_) => Status::unavailable("the connection is closed"),
                Failure::Sent(status) => status,
            })
        }
    });
    let mut client = Grpc::new(service);
    client.ready().await?;
    let request = HealthCheckRequest { service: "readiness".to_owned() };
    let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let answer = client.unary(tonic::Request::new(request), PathAndQuery::from_static(METHOD), codec).await?;
    Ok(answer.into_inner().status)
}
