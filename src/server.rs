//! The only wiring: from settings and a listener to a running service and its orderly end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::service::Routes;

use crate::admission::Admission;
use crate::clock::{self, Clock};
use crate::config::{Config, ReflectionAccess};
use crate::fleet::{Fleet, Lease};
use crate::grpc::api_keys::ApiKeys;
use crate::grpc::audit::Audit;
use crate::grpc::caller::Callers;
use crate::grpc::door::{Door, Threads};
use crate::grpc::health::Health;
use crate::grpc::keyspaces::Keyspaces;
use crate::grpc::pb;
use crate::grpc::pb::api_key_service_server::ApiKeyServiceServer;
use crate::grpc::pb::audit_service_server::AuditServiceServer;
use crate::grpc::pb::keyspace_service_server::KeyspaceServiceServer;
use crate::grpc::pb::replica_service_server::ReplicaServiceServer;
use crate::grpc::pb::usage_service_server::UsageServiceServer;
use crate::grpc::reflection::{self, Reflection};
use crate::grpc::replicas::Replicas;
use crate::grpc::usage::Usage as UsageRows;
use crate::grpc::verification::{self, Verification};
use crate::grpc::{REQUEST_SIZE_MAX, SMALL_REQUEST_SIZE_MAX};
use crate::hashing::Hashing;
use crate::key::rate_card::RateCard;
use crate::key::secret::Secret;
use crate::low_priority::LowPriorityThreads;
use crate::manage::{self, Bootstrap, Management};
use crate::metrics::Metrics;
use crate::security_events::{Denial, SecurityEvents};
use crate::store::{self, ConnectError, Store};
use crate::transport::{self, Cores, Handshakes, OpenConnections, Origins, StartError, TlsError};
use crate::upkeep::Upkeep;
use crate::usage::Usage;
use crate::verify::{Ledger, Memory, Verifier, VerifyError};

/// The store's health is looked at this often.
const BACKGROUND_INTERVAL: Duration = Duration::from_secs(1);
/// What is known of root tokens is read anew once in so many of these intervals.
const ROOT_TOKENS_TICKS: u32 = 60;
/// A store that does not answer for this long does not answer.
const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// A service with its store open, ready to serve.
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    tls: Option<tokio_rustls::TlsAcceptor>,
    connection_age_max: Option<Duration>,
    connections: Arc<OpenConnections>,
    origins: Origins,
    reflection: ReflectionAccess,
    shutdown_grace: Duration,
    drain_timeout: Duration,
    store: Arc<dyn Store>,
    fleet: Fleet,
    verifier: Arc<Verifier>,
    admission: Arc<Admission>,
    management: Arc<Management>,
    upkeep: Upkeep,
    rate_card: RateCard,
    clock: Arc<dyn Clock>,
    bootstrap: Bootstrap,
    /// The supplied root key, while it could not be told whether it is one.
    unwarmed: Option<Secret>,
    metrics: Option<TcpListener>,
}

/// Why the server did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The store could not be opened.
    #[error(transparent)]
    Store(#[from] ConnectError),
    /// The first root key could not be made, or the store not read.
    #[error("cannot prepare the store")]
    Prepare(#[source] manage::Error),
    /// The listener cannot be used.
    #[error("cannot listen")]
    Listen(#[source] io::Error),
    /// Metrics cannot be served where they should be.
    #[error("cannot listen for metrics")]
    Metrics(#[source] io::Error),
    /// It was told to end before its store was open.
    #[error("ended before the store was open")]
    Ended,
    /// TLS cannot be served.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There are no threads to serve on.
    #[error(transparent)]
    Start(#[from] StartError),
    /// There are no threads for TLS handshakes or for lists.
    #[error("cannot start a thread")]
    Threads(#[source] io::Error),
    /// A task that must not end did.
    #[error("a task died")]
    Task(#[source] JoinError),
}

impl Server {
    /// Opens the store, makes the first root key if there never was one, and prepares to serve on `listener`. Gives up
    /// when `ended` resolves before the store is open; not later, for a root key that was made must be shown.
    ///
    /// # Errors
    /// See [`ServerError`].
    pub async fn open(
        config: Config,
        listener: TcpListener,
        clock: Arc<dyn Clock>,
        ended: impl Future<Output = ()>,
    ) -> Result<Self, ServerError> {
        let tls = config.tls.as_ref().map(|files| transport::acceptor(&files.cert, &files.key)).transpose()?;
        let addr = listener.local_addr().map_err(ServerError::Listen)?;
        let metrics = match config.metrics_listen {
            Some(addr) => Some(TcpListener::bind(addr).await.map_err(ServerError::Metrics)?),
            None => None,
        };
        let store = tokio::select! {
            store = store::connect(&config.database_url, config.schema, &config.hints) => store?,
            () = ended => return Err(ServerError::Ended),
        };
        tracing::info!(division = %config.memory, "memory is divided");
        if !config.memory.fits() {
            tracing::warn!(
                "the shares of memory do not fit below its limit: raise memory-limit-mib, or lower cache-mib"
            );
        }
        store.limit_lists(config.memory.pages / manage::PAGE_MEMORY_MAX);
        let memory = Arc::new(Memory::new(config.memory.cache));
        let name = config.replica_name.unwrap_or_else(|| replica_name(addr));
        let fleet = Fleet::join(store.clone(), memory.clone(), clock.clone(), config.lease, name);
        let fleet = fleet.await.map_err(|e| ServerError::Prepare(e.into()))?;
        if fleet.is_shared()
            && let Some(why) = clock::shortcoming()
        {
            tracing::warn!(why, "a replica that was suspended may answer from memory for too long after it resumes");
        }
        let hashing = Arc::new(Hashing::new(config.memory.hashing, clock.clone()));
        let usage = Arc::new(Usage::default());
        let ledger = Ledger::new(store.clone(), clock.clone(), usage.clone(), fleet.is_shared());
        let ledger = Arc::new(ledger);
        let verifier = Verifier::new(
            store.clone(),
            memory,
            fleet.lease().clone(),
            hashing.clone(),
            clock.clone(),
            ledger.clone(),
            verification::write_claims,
        );
        let admission = Arc::new(Admission::new(config.admission, &clock));
        let supplied = config.bootstrap_root_key;
        let prepared = async {
            let (clock, barrier) = (clock.clone(), fleet.barrier().clone());
            let management = Management::new(store.clone(), hashing, clock, barrier, usage.clone(), admission.clone());
            let management = management.await.map_err(|e| ServerError::Prepare(e.into()))?;
            let bootstrap = management.bootstrap(supplied.as_ref()).await.map_err(ServerError::Prepare)?;
            // After that: the first root key may be one whose token carries no MAC.
            verifier.refresh_root_tokens().await.map_err(|e| ServerError::Prepare(e.into()))?;
            Ok((management, bootstrap))
        };
        let (management, bootstrap) = match prepared.await {
            Ok(prepared) => prepared,
            Err(error) => {
                // Nobody shall wait for a replica that never was.
                fleet.leave().await;
                return Err(error);
            }
        };
        let unwarmed = match supplied {
            Some(supplied) if !warm(&verifier, &supplied).await => Some(supplied),
            _ => None,
        };
        let upkeep = Upkeep {
            store: store.clone(),
            lease: fleet.lease().clone(),
            clock: clock.clone(),
            usage,
            ledger,
            retention: config.usage_retention,
            audit_kept: config.audit_kept,
            events_pruned: Counter::default(),
        };
        Ok(Self {
            listener,
            addr,
            tls,
            connection_age_max: config.connection_age_max,
            connections: Arc::new(OpenConnections::new(config.memory.connections)),
            origins: config.origins,
            reflection: config.reflection,
            shutdown_grace: config.shutdown_grace,
            drain_timeout: config.drain_timeout,
            store,
            fleet,
            verifier: Arc::new(verifier),
            admission,
            management: Arc::new(management),
            upkeep,
            rate_card: config.rate_card,
            clock,
            bootstrap,
            unwarmed,
            metrics,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What verifies keys: its counters tell what memory saved the store.
    pub fn verifier(&self) -> &Arc<Verifier> {
        &self.verifier
    }

    /// Where it serves metrics, if it does.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// What became of the first root key.
    pub fn bootstrap(&self) -> &Bootstrap {
        &self.bootstrap
    }

    /// Serves until `shutdown` resolves, then ends in order: health says NOT_SERVING, a grace period if `shutdown`
    /// resolved to `true`, no new connections, calls in flight finish, the lease is given back, what was counted is
    /// written, the store is closed. If a task dies that must not end, it ends in the same order, at once.
    ///
    /// # Errors
    /// If serving threads cannot be started, or a task died.
    pub async fn run(mut self, shutdown: impl Future<Output = bool> + Send) -> Result<(), ServerError> {
        let (cores, handshakes, lists) = match start_threads() {
            Ok(threads) => threads,
            Err(error) => {
                self.fleet.leave().await;
                self.store.close().await;
                return Err(error);
            }
        };
        let health = Health::default();
        health.set_ready(self.fleet.lease().is_held() && self.store.ping().await.is_ok());

        let root_tokens = tokio::spawn(keep_root_tokens(self.verifier.clone(), self.unwarmed.take()));
        let _root_tokens = AbortOnDropHandle::new(root_tokens);
        let upkeep = Arc::new(self.upkeep);
        let mut tasks = JoinSet::new();
        let stop_background = CancellationToken::new();
        let (store, lease) = (self.store.clone(), self.fleet.lease().clone());
        tasks.spawn(background(store, lease, health.clone(), stop_background.clone()));
        // It goes on while calls do.
        let stop_upkeep = CancellationToken::new();
        let (kept_up, stop_keeping_up) = (upkeep.clone(), stop_upkeep.clone());
        tasks.spawn(async move { kept_up.run(&stop_keeping_up).await });

        let (events, denials) = SecurityEvents::new(self.clock.clone());
        let events = Arc::new(events);
        let _denials = AbortOnDropHandle::new(tokio::spawn(write_denials(self.management.clone(), denials)));
        let callers = Callers::new(self.verifier.clone(), self.admission.clone(), events.clone());
        let metrics = Metrics::of(
            &self.fleet,
            self.verifier.clone(),
            &self.admission,
            self.store.clone(),
            events,
            health.clone(),
            self.connections.clone(),
        )
        .with_events_pruned(&upkeep.events_pruned);
        let _metrics = self.metrics.take().map(|listener| serve_metrics(listener, metrics));
        let replicas = Replicas { roster: self.fleet.roster().clone() };
        let usage = UsageRows { management: self.management.clone(), rate_card: self.rate_card };
        let others = routes(&callers, &self.management, &self.verifier, &self.clock, (replicas, usage));
        let others = with_reflection(others, self.reflection, &callers);
        let close = CancellationToken::new();
        let verification = Verification::new(self.verifier.clone(), REQUEST_SIZE_MAX, close.clone());
        let door = Door::new(
            callers,
            self.verifier.clone(),
            verification,
            health.clone(),
            others,
            self.origins,
            Threads { calls: Handle::current(), lists: lists.handle().clone() },
        );
        let ending = CancellationToken::new();
        let settings = transport::Settings {
            tls: self.tls,
            age_max: self.connection_age_max,
            ending: ending.clone(),
            close: close.clone(),
            connections: self.connections,
            handshakes,
        };
        let mut serving = std::pin::pin!(transport::serve(self.listener, &cores, settings, door));

        let (graceful, mut died) = tokio::select! {
            graceful = shutdown => (graceful, None),
            () = &mut serving => unreachable!("it serves until it is closed"),
            died = self.fleet.failed() => (false, Some(died)),
            ended = tasks.join_next() => (false, Some(unexpected_end(ended))),
        };
        match &died {
            None => tracing::info!("shutting down"),
            Some(error) => tracing::error!(%error, "a task died: ending in order"),
        }
        stop_background.cancel();
        health.announce_end();
        ending.cancel();
        if graceful {
            tokio::select! {
                () = time::sleep(self.shutdown_grace) => {}
                () = &mut serving => unreachable!("it serves until it is closed"),
            }
        }
        close.cancel();
        // Whoever watches the health has learnt of the end; his stream must not hold it up.
        health.end_watches();
        serving.await;
        if time::timeout(self.drain_timeout, cores.drain()).await.is_err() {
            tracing::warn!("calls in flight did not finish in time and are cut off");
        }
        cores.stop();
        stop_upkeep.cancel();
        while let Some(ended) = tasks.join_next().await {
            died = died.or(ended.err());
        }
        self.fleet.leave().await;
        // A task of its own: whatever becomes of it, the store is closed.
        let written = tokio::spawn(async move { upkeep.end().await }).await;
        died = died.or(written.err());
        self.store.close().await;
        tracing::info!("ended");
        died.map_or(Ok(()), |died| Err(ServerError::Task(died)))
    }
}

/// Starts the threads that serve connections, those that greet them, and those for lists.
fn start_threads() -> Result<(Cores, Arc<Handshakes>, LowPriorityThreads), ServerError> {
    let handshakes = Handshakes::start().map_err(ServerError::Threads)?;
    let lists = LowPriorityThreads::start("lists").map_err(ServerError::Threads)?;
    Ok((Cores::start()?, Arc::new(handshakes), lists))
}

fn serve_metrics(listener: TcpListener, metrics: Metrics) -> AbortOnDropHandle<()> {
    let text = Arc::new(move || metrics.text());
    AbortOnDropHandle::new(tokio::spawn(transport::serve_text(listener, "/metrics", text)))
}

/// What to call a replica that listens there: that address may be the same for all of them.
fn replica_name(addr: SocketAddr) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}:{}", addr.port())
}

/// Why a task ended that must not.
fn unexpected_end(ended: Option<Result<(), JoinError>>) -> JoinError {
    ended.and_then(Result::err).expect("these tasks end only when they are told to, or by a panic")
}

/// Writes denials to the audit trail as they come. One that cannot be written is lost: it was logged, and counted.
async fn write_denials(management: Arc<Management>, mut denials: mpsc::Receiver<Denial>) {
    while let Some(denial) = denials.recv().await {
        if let Err(error) = management.record_denial(&denial).await {
            tracing::warn!(%error, "a denial could not be written to the audit trail");
        }
    }
}

/// Tells whether the supplied root key is one, before anybody calls: it costs no Argon2id run from here on, and no
/// stranger's guesses delay its owner. Whether that could be told.
async fn warm(verifier: &Verifier, supplied: &Secret) -> bool {
    use crate::verify::verdict::Verdict;
    let warmed = async {
        let is_one = verifier.warm_root(supplied.expose()).await?;
        let verdict = if is_one { Some(verifier.verify_root(supplied.expose(), None).await?) } else { None };
        Ok::<_, VerifyError>(matches!(verdict, Some(Verdict::Valid(..))))
    };
    match warmed.await {
        Ok(true) => {}
        Ok(false) => tracing::warn!(
            "the bootstrap root key is not a valid root key of this store: it was set up before, and its first root key \
             was another or has been revoked"
        ),
        Err(error) => {
            tracing::warn!(%error, "cannot tell whether the bootstrap root key is valid; this is tried again");
            return false;
        }
    }
    true
}

fn routes(
    callers: &Callers,
    management: &Arc<Management>,
    verifier: &Arc<Verifier>,
    clock: &Arc<dyn Clock>,
    (replicas, usage): (Replicas, UsageRows),
) -> Routes {
    let api_keys = ApiKeys { management: management.clone(), verifier: verifier.clone(), clock: clock.clone() };
    let keyspaces = Keyspaces { management: management.clone() };
    let audit = Audit { management: management.clone() };
    let mut routes = Routes::builder();
    routes
        .add_service(callers.guard(ApiKeyServiceServer::new(api_keys).max_decoding_message_size(REQUEST_SIZE_MAX)))
        .add_service(callers.guard(KeyspaceServiceServer::new(keyspaces).max_decoding_message_size(REQUEST_SIZE_MAX)))
        .add_service(callers.guard(AuditServiceServer::new(audit).max_decoding_message_size(REQUEST_SIZE_MAX)))
        .add_service(
            callers.guard(ReplicaServiceServer::new(replicas).max_decoding_message_size(SMALL_REQUEST_SIZE_MAX)),
        )
        .add_service(callers.guard(UsageServiceServer::new(usage).max_decoding_message_size(REQUEST_SIZE_MAX)));
    routes.routes()
}

/// `routes` and reflection, if there is to be any.
fn with_reflection(routes: Routes, access: ReflectionAccess, callers: &Callers) -> Routes {
    if access == ReflectionAccess::Off {
        return routes;
    }
    let index = Arc::new(reflection::Index::new(&[
        pb::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        // Without these, grpcurl prints the details of errors as base64.
        tonic_types::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ]));
    let v1 = Reflection::<reflection::V1>::new(index.clone());
    let v1alpha = Reflection::<reflection::V1Alpha>::new(index);
    match access {
        ReflectionAccess::Open => routes.add_service(v1).add_service(v1alpha),
        _ => routes.add_service(callers.guard(v1)).add_service(callers.guard(v1alpha)),
    }
}

/// Keeps what is known of root tokens true to the store: soon after a doubt, and now and then for what ended by itself.
/// The supplied root key is `unwarmed` until it could be told whether it is one.
async fn keep_root_tokens(verifier: Arc<Verifier>, mut unwarmed: Option<Secret>) {
    let mut ticks_left = ROOT_TOKENS_TICKS;
    let mut tick = time::interval(BACKGROUND_INTERVAL);
    tick.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Some(supplied) = &unwarmed
            && warm(&verifier, supplied).await
        {
            unwarmed = None;
        }
        ticks_left -= 1;
        if ticks_left > 0 && verifier.root_tokens().is_complete() {
            continue;
        }
        ticks_left = ROOT_TOKENS_TICKS;
        if let Err(error) = verifier.refresh_root_tokens().await {
            tracing::debug!(%error, "what tells made-up root tokens from others could not be read");
        }
    }
}

/// Keeps readiness true to the store and the lease.
async fn background(store: Arc<dyn Store>, lease: Arc<Lease>, health: Health, stop: CancellationToken) {
    let mut ready = true;
    let mut tick = time::interval(BACKGROUND_INTERVAL);
    tick.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let answers = matches!(time::timeout(PING_TIMEOUT, store.ping()).await, Ok(Ok(())));
        let is_fit = answers && lease.is_held();
        if is_fit != ready {
            ready = is_fit;
            match (ready, answers) {
                (true, _) => tracing::info!("ready: the store answers"),
                (false, false) => tracing::warn!("not ready: the store does not answer"),
                (false, true) => tracing::warn!("not ready: the lease is over"),
            }
        }
        health.set_ready(ready);
    }
}
