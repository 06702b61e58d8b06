//! A store with a server over it, on which one attack after the other is tried.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Error;
use crate::attack::{Attackers, IDLE, Kind, Over, Target};
use crate::bystander::{Bystander, Record};
use crate::fixture::Fixture;
use crate::options::Options;
use crate::postgres::Cluster;
use crate::report::Row;
use crate::server::{Program, Server};
use crate::tls::Certificate;

/// How long attackers may take to get going before anything is measured.
const RAMP: Duration = Duration::from_millis(400);
/// In this time after an attack the server must serve a new caller.
const BACK_WITHIN: Duration = Duration::from_secs(30);
/// What the server logs when Postgres complains about transactions.
pub const NOTICE: &str = "transaction in progress";
/// So many cold keys are more than one measurement needs a second.
const COLD_KEYS_A_SECOND: usize = 50;

/// See the module.
pub struct Arena<'a> {
    options: &'a Options,
    program: &'a Program,
    name: &'static str,
    server: Server,
    fixture: Arc<Fixture>,
    calm: Option<Record>,
    certificate: Option<Arc<Certificate>>,
    store: Store,
}

/// Where the keys are. Kept as long as servers run over it.
pub struct Store {
    pub url: String,
    dir: tempfile::TempDir,
    _cluster: Option<Cluster>,
}

impl Store {
    pub fn sqlite() -> Result<Self, Error> {
        let dir = tempfile::tempdir()?;
        let url = format!("sqlite://{}", dir.path().join("portcullis.db").display());
        Ok(Self { url, dir, _cluster: None })
    }

    pub fn postgres() -> Result<Self, Error> {
        let cluster = Cluster::start();
        Ok(Self { url: cluster.url("postgres"), dir: tempfile::tempdir()?, _cluster: Some(cluster) })
    }
}

impl<'a> Arena<'a> {
    /// Makes a store, fills it, and starts a server over it whose cache is full.
    pub fn prepare(options: &'a Options, program: &'a Program, over: Over) -> Result<Self, Error> {
        let name = match over {
            Over::Sqlite | Over::BothStores => "sqlite",
            Over::Tls => "tls",
            Over::Postgres => "postgres",
        };
        let store = if over == Over::Postgres { Store::postgres()? } else { Store::sqlite()? };
        let certificate = if over == Over::Tls { Some(Arc::new(Certificate::create(store.dir.path())?)) } else { None };
        let began = Instant::now();
        let mut preparing = Server::start(program, &format!("{name}-preparing"), &store.url, certificate.clone())?;
        let fixture = Arc::new(runtime()?.block_on(Fixture::create(&endpoint(&preparing), options.sizes()))?);
        preparing.stop();
        let server = start(program, name, &store, certificate.clone(), &fixture)?;
        println!(
            "\n{name}: prepared in {:.1} s, {} MiB resident with the cache full",
            began.elapsed().as_secs_f64(),
            crate::report::mib(server.rss_bytes())
        );
        crate::report::print_heading();
        Ok(Self { options, program, name, server, fixture, calm: None, certificate, store })
    }

    /// Tries one kind; whether it was withstood.
    pub fn run(&mut self, kind: Kind) -> Result<bool, Error> {
        let connections = self.options.connections(kind.connections);
        self.run_kinds(&format!("{}/{}", kind.name, self.name), &[(kind, connections)])
    }

    /// Tries all of them together, with as many connections in all as one would have.
    pub fn run_together(&mut self, kinds: &[Kind]) -> Result<bool, Error> {
        let each = self.options.connections([200, 1_000]).div_ceil(kinds.len());
        let kinds: Vec<_> = kinds.iter().map(|&kind| (kind, each)).collect();
        self.run_kinds(&format!("everything/{}", self.name), &kinds)
    }

    fn run_kinds(&mut self, name: &str, kinds: &[(Kind, usize)]) -> Result<bool, Error> {
        let mut row = self.measure(name, kinds)?;
        let mut wrong = row.failures(self.options.errors_percent_max());
        // Times depend on what else the machine does: once more, calm included. All else does not.
        if wrong.is_empty() && !row.late(&self.options.time_limits()).is_empty() {
            self.calm = None;
            row = self.measure(name, kinds)?;
            wrong = row.failures(self.options.errors_percent_max());
        }
        wrong.extend(row.late(&self.options.time_limits()));
        row.print(&wrong);
        Ok(wrong.is_empty())
    }

    fn measure(&mut self, name: &str, kinds: &[(Kind, usize)]) -> Result<Row, Error> {
        self.make_ready()?;
        let connections = kinds.iter().map(|(_, connections)| connections).sum();
        let calm = self.calm(connections)?;
        let target = Target::new(&self.server, &self.fixture);
        let notices_before = notices(&self.server);
        let bystander = Bystander::start(self.program, &self.server, &self.fixture)?;
        self.server.take_rss_peak();
        let attackers = Attackers::start(self.program.cores, &target, kinds)?;
        std::thread::sleep(RAMP);
        let attack = bystander.record(self.options.duration());
        let rss_peak = self.server.take_rss_peak();
        drop(bystander);
        drop(attackers);
        let back_after = self.back_after();
        let killed = self.server.ended().map(|status| status.to_string());
        Ok(Row {
            name: name.to_owned(),
            connections,
            calm,
            attack,
            rss_peak,
            rss_after: self.server.rss_bytes(),
            memory_limit: self.server.memory_limit,
            killed,
            back_after,
            notices: notices(&self.server) - notices_before,
            attackers: target.tally.to_string(),
            attacked: target.tally.attacked(),
        })
    }

    /// How the bystander fares beside connections that do nothing. By hand it is measured each time.
    fn calm(&mut self, connections: usize) -> Result<Record, Error> {
        if let Some(calm) = self.calm.as_ref().filter(|_| !self.options.long) {
            return Ok(calm.clone());
        }
        let connections = connections.min(self.options.connections([100, 1_000]));
        let target = Target::new(&self.server, &self.fixture);
        let bystander = Bystander::start(self.program, &self.server, &self.fixture)?;
        let idle = Attackers::start(self.program.cores, &target, &[(IDLE, connections)])?;
        std::thread::sleep(RAMP);
        let calm = bystander.record(self.options.duration());
        drop(idle);
        if calm.errors_total() > 0 {
            println!("    calm has {} errors, e.g. {}", calm.errors_total(), calm.shown.join("; "));
        }
        self.calm = Some(calm.clone());
        Ok(calm)
    }

    /// Starts the server again if the last attack ended it, or if the cold keys are used up.
    fn make_ready(&mut self) -> Result<(), Error> {
        let seconds = usize::try_from(self.options.duration().as_secs()).unwrap_or(usize::MAX) + 2;
        let needs = 2 * seconds * COLD_KEYS_A_SECOND;
        if self.server.ended().is_none() && self.fixture.cold_left() >= needs {
            return Ok(());
        }
        self.server.stop();
        self.server = start(self.program, self.name, &self.store, self.certificate.clone(), &self.fixture)?;
        Ok(())
    }

    /// When a new caller is served again.
    fn back_after(&mut self) -> Option<Duration> {
        let began = Instant::now();
        while began.elapsed() < BACK_WITHIN && self.server.ended().is_none() {
            if Bystander::start(self.program, &self.server, &self.fixture).is_ok() {
                return Some(began.elapsed());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        None
    }
}

/// Starts a server over the store and fills its cache.
fn start(
    program: &Program,
    name: &str,
    store: &Store,
    certificate: Option<Arc<Certificate>>,
    fixture: &Fixture,
) -> Result<Server, Error> {
    let server = Server::start(program, name, &store.url, certificate)?;
    runtime()?.block_on(fixture.fill_cache(&endpoint(&server)))?;
    Ok(server)
}

/// As an ordinary caller reaches it.
pub fn endpoint(server: &Server) -> crate::client::Endpoint {
    crate::client::Endpoint { address: server.address, from: None, tls: server.tls() }
}

pub fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn notices(server: &Server) -> usize {
    fs::read_to_string(&server.log).unwrap_or_default().matches(NOTICE).count()
}
