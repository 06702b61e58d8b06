//! The kinds of attack, and the many connections that run them on a core of their own.

mod calls;
mod floods;
mod held;
mod neighbour;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio_rustls::rustls::ClientConfig;

use crate::Error;
use crate::client::{CallError, Endpoint, RESOURCE_EXHAUSTED};
use crate::cores::Cores;
use crate::fixture::Fixture;
use crate::server::Server;

/// The attackers' addresses are those from 127.0.1.1 on.
const ADDRESSES: u8 = 4;
/// A connection that was ended is opened again after this.
const REOPEN_AFTER: Duration = Duration::from_millis(100);

/// Over which store, and with or without TLS, a kind is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Sqlite,
    Tls,
    Postgres,
    /// Over SQLite and then over Postgres.
    BothStores,
}

/// A kind of attack.
#[derive(Clone, Copy)]
pub struct Kind {
    pub name: &'static str,
    pub over: Over,
    /// Connections: short, and by hand.
    pub connections: [usize; 2],
    /// Runs one connection until it ends.
    run: fn(Arc<Target>, usize) -> Running,
}

type Running = Pin<Box<dyn Future<Output = Result<(), CallError>> + Send>>;

/// Most attacks, short and by hand.
const MANY: [usize; 2] = [100, 1_000];
/// Those that use up one end's processor with few.
const FEW: [usize; 2] = [8, 1_000];

macro_rules! kind {
    ($name:literal, $over:ident, $connections:expr, $run:expr) => {
        Kind {
            name: $name,
            over: Over::$over,
            connections: $connections,
            run: |target, number| Box::pin($run(target, number)),
        }
    };
}

/// Each of them. The names are those of the command line.
pub const KINDS: [Kind; 32] = [
    kind!("reflection-unread", Sqlite, MANY, held::reflection_unread),
    kind!("health-unread", Sqlite, MANY, held::health_unread),
    kind!("health-watch", Sqlite, MANY, held::health_watch),
    kind!("half-sent", Sqlite, MANY, held::half_sent),
    kind!("slow-heads", Sqlite, MANY, held::slow_heads),
    kind!("metrics-hogs", Sqlite, MANY, held::metrics_hogs),
    kind!("idle", Sqlite, [2_000, 16_400], held::idle),
    kind!("window-update-flood", Sqlite, FEW, floods::window_update),
    kind!("ping-flood", Sqlite, FEW, floods::ping),
    kind!("settings-flood", Sqlite, FEW, floods::settings),
    kind!("empty-data-flood", Sqlite, FEW, floods::empty_data),
    kind!("continuation-flood", Sqlite, FEW, floods::continuation),
    kind!("priority-flood", Sqlite, FEW, floods::priority),
    kind!("large-heads", Sqlite, FEW, floods::large_heads),
    kind!("rapid-reset", Sqlite, FEW, floods::rapid_reset),
    kind!("made-up-root-keys", BothStores, MANY, calls::made_up_root_keys),
    kind!("free-text-bearers", Sqlite, MANY, calls::free_text_bearers),
    kind!("tls-half", Tls, MANY, held::tls_half),
    kind!("tls-full", Tls, MANY, calls::tls_full),
    kind!("neighbour-skips", BothStores, MANY, neighbour::skips),
    kind!("neighbour-names", BothStores, MANY, neighbour::names),
    kind!("neighbour-large-pages", BothStores, MANY, neighbour::large_pages),
    kind!("neighbour-unread-pages", Sqlite, MANY, neighbour::unread_pages),
    kind!("neighbour-audit", BothStores, MANY, neighbour::audit),
    kind!("neighbour-imports", Sqlite, MANY, neighbour::imports),
    kind!("neighbour-bcrypt-guesses", Sqlite, MANY, neighbour::bcrypt_guesses),
    kind!("neighbour-unknown-keys", BothStores, MANY, neighbour::unknown_keys),
    kind!("neighbour-creates", BothStores, MANY, neighbour::creates),
    kind!("neighbour-batches", Sqlite, MANY, neighbour::batches),
    kind!("neighbour-resets", Sqlite, MANY, neighbour::resets),
    kind!("cancelled-calls", BothStores, [48, 1_000], neighbour::cancelled_calls),
    kind!("cancelled-verifies", BothStores, [48, 1_000], neighbour::cancelled_verifies),
];

/// The kind with which calm is measured: connections that do nothing.
pub const IDLE: Kind = kind!("calm", Sqlite, MANY, held::idle);

/// What the attackers know, and what came of their attack.
pub struct Target {
    address: SocketAddr,
    metrics: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    pub fixture: Arc<Fixture>,
    pub tally: Tally,
}

/// What attackers did. Without it nobody could tell an attack that was withstood from none.
#[derive(Debug, Default)]
pub struct Tally {
    pub opened: AtomicU64,
    /// Connections that the server ended or refused.
    pub ended: AtomicU64,
    pub answered: AtomicU64,
    /// Calls that were refused as too many.
    pub exhausted: AtomicU64,
    /// Calls with another status, or none.
    pub failed: AtomicU64,
    /// Frames or bytes by hand.
    pub sent_bytes: AtomicU64,
}

impl Tally {
    pub fn sent(&self, bytes: usize) {
        self.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn count<A>(&self, result: &Result<A, CallError>) {
        let counter = match result {
            Ok(_) => &self.answered,
            Err(CallError::Status { code: RESOURCE_EXHAUSTED, .. }) => &self.exhausted,
            Err(_) => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether anything was attempted at all.
    pub fn attacked(&self) -> bool {
        self.opened.load(Ordering::Relaxed) > 0
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        write!(f, "{} connections, {} ended", of(&self.opened), of(&self.ended))?;
        let calls = [("answered", &self.answered), ("exhausted", &self.exhausted), ("failed", &self.failed)];
        for (name, counter) in calls.into_iter().filter(|(_, counter)| of(counter) > 0) {
            write!(f, ", {} {name}", of(counter))?;
        }
        write!(f, ", {} KiB by hand", of(&self.sent_bytes) / 1024)
    }
}

impl Target {
    pub fn new(server: &Server, fixture: &Arc<Fixture>) -> Arc<Self> {
        Arc::new(Self {
            address: server.address,
            metrics: server.metrics,
            tls: server.tls(),
            fixture: fixture.clone(),
            tally: Tally::default(),
        })
    }

    /// Where the connection of this number connects to, and from where.
    pub fn endpoint(&self, number: usize) -> Endpoint {
        Endpoint { address: self.address, from: Some(address(number)), tls: self.tls.clone() }
    }

    /// The same without TLS, for what is sent instead of a handshake.
    pub fn plain_endpoint(&self, number: usize) -> Endpoint {
        Endpoint { tls: None, ..self.endpoint(number) }
    }

    pub fn metrics_endpoint(&self, number: usize) -> Endpoint {
        Endpoint { address: self.metrics, from: Some(address(number)), tls: None }
    }
}

fn address(number: usize) -> IpAddr {
    let number = u8::try_from(number % usize::from(ADDRESSES)).expect("it is less than ADDRESSES");
    IpAddr::V4(Ipv4Addr::new(127, 0, 1, number + 1))
}

/// Attackers at work; they stop when this is dropped.
pub struct Attackers {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Attackers {
    /// Sends so many connections of each kind.
    pub fn start(cores: Cores, target: &Arc<Target>, kinds: &[(Kind, usize)]) -> Result<Self, Error> {
        let (stop, mut stopped) = watch::channel(false);
        let (target, kinds) = (target.clone(), kinds.to_vec());
        let thread = std::thread::Builder::new().name("attackers".into()).spawn(move || {
            cores.pin_to_attackers().expect("this process may use it");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                for (kind, connections) in kinds {
                    for number in 0..connections {
                        tokio::spawn(again_and_again(kind, target.clone(), number));
                    }
                }
                let _ = stopped.wait_for(|stopped| *stopped).await;
            });
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Attackers {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn again_and_again(kind: Kind, target: Arc<Target>, number: usize) {
    loop {
        target.tally.opened.fetch_add(1, Ordering::Relaxed);
        let _ = (kind.run)(target.clone(), number).await;
        target.tally.ended.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(REOPEN_AFTER).await;
    }
}
