//! Replicas as processes, each with a way of its own to one PostgreSQL.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis::clock::{Clock as _, SystemClock};
use portcullis::grpc::pb::Verdict;
use rustix::process::Signal;

use crate::support::postgres::Cluster;
use crate::support::process::{Ended, ROOT_KEY, Server, connect, serve};
use crate::support::proxy::{Proxy, Way};
use crate::support::service::{Caller, eventually, new_key};

/// How often each scenario is gone through.
const ROUNDS: usize = 1;
/// Connections to each replica: different threads serve them.
const CONNECTIONS: usize = 4;

/// A lease as short as it mostly is here, so that what has to wait for its end does not wait for long.
pub const LEASE: Duration = Duration::from_secs(1);

/// `PORTCULLIS_TEST_FLEET_ROUNDS` says how often each scenario is gone through.
pub fn rounds() -> usize {
    match std::env::var("PORTCULLIS_TEST_FLEET_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("a number of rounds"),
        Err(_) => ROUNDS,
    }
}

/// The clock that stamps everything: the one that leases are measured by.
pub fn now() -> Duration {
    SystemClock.elapsed()
}

/// How long until nobody rests on a lease that began before.
pub fn wait(lease: Duration) -> Duration {
    lease + lease / 4
}

/// Replicas of one database.
pub struct Rig {
    replicas: Vec<Replica>,
    pub lease: Duration,
    notify_url: String,
}

struct Replica {
    /// `None`: it was killed, or has ended.
    server: Option<Server>,
    proxy: Proxy,
    url: String,
    door: Arc<Door>,
}

/// Where clients reach a replica, wherever it is just now.
pub struct Door(Mutex<Vec<Caller>>);

impl Door {
    /// A caller, on one of its connections.
    pub fn caller(&self, nth: usize) -> Caller {
        self.0.lock().expect("no panic")[nth % CONNECTIONS].clone()
    }
}

impl Rig {
    /// Starts as many replicas over a new database of a cluster.
    pub async fn start(cluster: &Cluster, count: usize, lease: Duration) -> Self {
        let database = cluster.fresh_name().await;
        Self::start_by(&cluster.socket(), &database, "", count, lease).await
    }

    /// Starts as many replicas over a database that is reached by a socket. They hear hints by `notify_url`, or the same way
    /// if it is empty.
    pub async fn start_by(socket: &Path, database: &str, notify_url: &str, count: usize, lease: Duration) -> Self {
        let mut rig = Self { replicas: Vec::new(), lease, notify_url: notify_url.to_owned() };
        for _ in 0..count {
            let proxy = Proxy::start(socket.to_owned());
            let url = proxy.url(database);
            let server = start(&url, notify_url, lease).await;
            let door = Arc::new(Door(Mutex::new(callers(&server).await)));
            rig.replicas.push(Replica { server: Some(server), proxy, url, door });
        }
        rig
    }

    pub fn doors(&self) -> Vec<Arc<Door>> {
        self.replicas.iter().map(|replica| replica.door.clone()).collect()
    }

    pub fn signal(&self, replica: usize, signal: Signal) {
        self.server(replica).process.signal(signal);
    }

    /// Makes the way of one replica to the database good or bad.
    pub fn set(&self, replica: usize, way: Way) {
        self.replicas[replica].proxy.set(way);
    }

    /// Of how many commits one replica did not hear.
    pub fn commits_lost(&self, replica: usize) -> usize {
        self.replicas[replica].proxy.commits_lost()
    }

    /// From now on all ways lead to another server.
    pub fn lead_to(&self, to: &Path) {
        for replica in &self.replicas {
            replica.proxy.lead_to(to.to_path_buf());
        }
    }

    /// Kills a replica.
    pub async fn kill(&mut self, replica: usize) {
        self.replicas[replica].server.take().expect("it runs").process.kill().await.by_kill();
    }

    /// Ends a replica in order.
    pub async fn stop(&mut self, replica: usize) -> Ended {
        self.replicas[replica].server.take().expect("it runs").stop().await
    }

    /// Ends all that run in order and at the same time, as an orchestrator would.
    pub async fn stop_all(&mut self) {
        self.signal_all(Signal::TERM);
        self.ended_all().await;
    }

    pub fn signal_all(&self, signal: Signal) {
        for server in self.replicas.iter().filter_map(|replica| replica.server.as_ref()) {
            server.process.signal(signal);
        }
    }

    /// Waits until all that were told to have ended.
    pub async fn ended_all(&mut self) {
        let servers = self.replicas.iter_mut().filter_map(|replica| replica.server.take());
        let ends = servers.map(|server| async {
            server.process.ended().await.with_code(0);
        });
        futures_util::future::join_all(ends).await;
    }

    /// Starts a replica that was killed, or has ended.
    pub async fn start_again(&mut self, replica: usize) {
        let replica = &mut self.replicas[replica];
        let server = start(&replica.url, &self.notify_url, self.lease).await;
        *replica.door.0.lock().expect("no panic") = callers(&server).await;
        replica.server = Some(server);
    }

    /// Waits until every replica says that it is ready, and answers.
    pub async fn is_well(&self) {
        for replica in &self.replicas {
            let server = replica.server.as_ref().expect("it runs");
            eventually("SERVING", async || server.is_ready().await.then_some(())).await;
            let mut caller = replica.door.caller(0);
            let made = async || caller.keys.create_api_key(new_key("well")).await.ok();
            let made = eventually("a key", made).await.into_inner();
            for other in &self.replicas {
                let mut caller = other.door.caller(0);
                let request = portcullis::grpc::pb::VerifyRequest { key: made.secret.clone(), ..Default::default() };
                let verdict = async || caller.verification.verify(request.clone()).await.ok();
                let verdict = eventually("a verdict", verdict).await.into_inner().verdict();
                assert_eq!(verdict, Verdict::Valid);
            }
        }
    }

    /// Ends every replica in order.
    pub async fn end(self) {
        let (servers, _proxies): (Vec<_>, Vec<_>) =
            self.replicas.into_iter().map(|replica| (replica.server, replica.proxy)).unzip();
        let ends = servers.into_iter().flatten().map(Server::stop);
        futures_util::future::join_all(ends).await;
    }

    /// What each replica has logged.
    pub fn logs(&self) -> Vec<String> {
        self.replicas.iter().flat_map(|replica| &replica.server).map(|server| server.process.stderr()).collect()
    }

    fn server(&self, replica: usize) -> &Server {
        self.replicas[replica].server.as_ref().expect("it runs")
    }
}

async fn start(url: &str, notify_url: &str, lease: Duration) -> Server {
    let mut command = serve(url);
    command.env("PORTCULLIS_NOTIFY_URL", notify_url);
    command.env("PORTCULLIS_LEASE_MS", lease.as_millis().to_string());
    // Nobody here finds servers by their readiness.
    command.env("PORTCULLIS_SHUTDOWN_GRACE_MS", "0");
    Server::start(command).await
}

async fn callers(server: &Server) -> Vec<Caller> {
    let mut callers = Vec::new();
    for _ in 0..CONNECTIONS {
        callers.push(Caller::with(&connect(&server.address).await, ROOT_KEY));
    }
    callers
}
