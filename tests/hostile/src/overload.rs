//! More calls than can be answered, each with a deadline of a second, by callers who have done nothing wrong.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use tokio::sync::Semaphore;

use crate::Error;
use crate::arena::{Store, endpoint, runtime};
use crate::cgroup::{Cgroup, Limits};
use crate::client::{CallError, Connection, DEADLINE_EXCEEDED, Endpoint, RESOURCE_EXHAUSTED, UNAVAILABLE, framed};
use crate::fixture::{Fixture, Sizes, create_request, verify_request};
use crate::methods;
use crate::options::{self, Options};
use crate::report::{mib, ms};
use crate::server::{Program, Server};

/// Of a core, what the server gets: so that the generator never is the limit.
const CPU_PERCENT: u64 = 15;
const DEADLINE: Duration = Duration::from_secs(1);
/// Calls that fall due are begun this often.
const TICK: Duration = Duration::from_millis(2);
/// A call that waits longer at light load than this is not held against the server under overload.
const P99_AT_LEAST: Duration = Duration::from_millis(250);
/// Of the memory limit, resident memory stays below.
const RSS_PERCENT_MAX: u64 = 70;

/// What is offered, and what must come of it.
struct Overload {
    name: &'static str,
    path: &'static str,
    connections: usize,
    /// Calls in flight while the capacity is looked for: as many as it takes to be the highest.
    in_flight: usize,
    /// How many times the capacity.
    times: f64,
    /// Of the peak, what must be answered, in percent.
    goodput_percent_min: f64,
}

const VERIFY: Overload = Overload {
    name: options::OVERLOAD_VERIFY,
    path: methods::VERIFY,
    connections: 8,
    in_flight: 1_024,
    times: 2.0,
    goodput_percent_min: 80.0,
};
const CREATE: Overload = Overload {
    name: options::OVERLOAD_CREATE,
    path: methods::CREATE,
    connections: 40,
    in_flight: 24,
    times: 5.0,
    goodput_percent_min: 90.0,
};

/// Runs those that were asked for; whether all is well.
pub fn run(options: &Options, program: &Program) -> Result<bool, Error> {
    let mut passed = true;
    if options.includes(VERIFY.name) && options.has_store("sqlite") {
        passed &= VERIFY.run(options, program, "sqlite", &Store::sqlite()?)?;
    }
    if options.includes(CREATE.name) && options.has_store("sqlite") {
        passed &= CREATE.run(options, program, "sqlite", &Store::sqlite()?)?;
    }
    if options.includes(CREATE.name) && options.has_store("postgres") && options.runs_over_postgres(CREATE.name) {
        passed &= CREATE.run(options, program, "postgres", &Store::postgres()?)?;
    }
    Ok(passed)
}

/// What became of the calls.
struct Outcome {
    offered: u64,
    ok: u64,
    exhausted: u64,
    unavailable: u64,
    /// The deadline passed, here or there.
    late: u64,
    other: u64,
    /// Lost with a stream or a connection.
    lost: u64,
    shown: Vec<String>,
    elapsed: Duration,
    /// From when a call fell due: the wait for a place at the client is part of it.
    latencies: Histogram<u64>,
    /// From when the client had a place for it and sent it.
    served: Histogram<u64>,
}

impl Outcome {
    fn new() -> Self {
        let histogram = || Histogram::new_with_max(60_000_000, 3).expect("the limits make sense");
        Self {
            offered: 0,
            ok: 0,
            exhausted: 0,
            unavailable: 0,
            late: 0,
            other: 0,
            lost: 0,
            shown: Vec::new(),
            elapsed: Duration::ZERO,
            latencies: histogram(),
            served: histogram(),
        }
    }

    fn note(&mut self, waited: Duration, took: Duration, result: &Result<Bytes, CallError>) {
        match result {
            Ok(_) => {
                self.ok += 1;
                let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
                self.latencies.saturating_record(micros(took));
                self.served.saturating_record(micros(took.saturating_sub(waited)));
            }
            Err(CallError::Status { code: RESOURCE_EXHAUSTED, .. }) => self.exhausted += 1,
            Err(CallError::Status { code: UNAVAILABLE, .. }) => self.unavailable += 1,
            Err(CallError::Status { code: DEADLINE_EXCEEDED, .. } | CallError::Deadline) => self.late += 1,
            Err(error) => {
                let counter = if matches!(error, CallError::Transport(_)) { &mut self.lost } else { &mut self.other };
                *counter += 1;
                if self.shown.len() < 3 {
                    self.shown.push(error.to_string());
                }
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a rounded figure is what is wanted")]
    fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.elapsed.as_secs_f64()
    }

    fn goodput(&self) -> f64 {
        self.per_second(self.ok)
    }

    fn p99(&self) -> Duration {
        Duration::from_micros(self.served.value_at_quantile(0.99))
    }

    fn print(&self, name: &str) {
        println!(
            "{name:16} {:>7.0} offered/s {:>7.0} ok/s {:>7} exhausted {:>6} unavailable {:>6} late {:>5} other {:>5} \
             lost  p50 {} p99 {} ms, once sent {} {} ms",
            self.per_second(self.offered),
            self.goodput(),
            self.exhausted,
            self.unavailable,
            self.late,
            self.other,
            self.lost,
            ms(Duration::from_micros(self.latencies.value_at_quantile(0.5))),
            ms(Duration::from_micros(self.latencies.value_at_quantile(0.99))),
            ms(Duration::from_micros(self.served.value_at_quantile(0.5))),
            ms(self.p99()),
        );
        for error in &self.shown {
            println!("    e.g. {error}");
        }
    }
}

impl Overload {
    fn run(&self, options: &Options, program: &Program, store_name: &str, store: &Store) -> Result<bool, Error> {
        println!("\n{}/{store_name}: the server has {CPU_PERCENT} % of a core", self.name);
        let limits = Limits { cpu_percent: Some(CPU_PERCENT), ..program.limits };
        if !Cgroup::create(limits).limits_cpu {
            println!("skipped: there is no control group that limits processor time");
            return Ok(true);
        }
        let sizes = Sizes { small_keys: 1_000, large_keys: 0, cold_keys: 0, neighbour_keys: 0, labelled_keys: 0 };
        let preparing = Server::start(program, "overload-preparing", &store.url, None)?;
        let fixture = runtime()?.block_on(Fixture::create(&endpoint(&preparing), sizes))?;
        drop(preparing);
        let limited = Program { limits, ..program.clone() };
        let mut server = Server::start(&limited, self.name, &store.url, None)?;
        let endpoint = endpoint(&server);
        runtime()?.block_on(fixture.fill_cache(&endpoint))?;
        let messages: Vec<Bytes> = match self.path {
            methods::VERIFY => fixture.warm.iter().map(|key| framed(&verify_request(key))).collect(),
            _ => vec![framed(&create_request("default", "under load"))],
        };
        let seconds = if options.long { 10.0 } else { 1.5 };
        let generator = Arc::new(Generator {
            endpoint,
            path: self.path,
            root_key: fixture.bystander.clone(),
            messages,
            connections: self.connections,
            duration: Duration::from_secs_f64(seconds),
        });
        let measure = |load| generator.clone().on_attackers_core(program, load);
        let (closed, _) = measure(Load::InFlight(self.in_flight))?;
        closed.print("closed loop");
        let capacity = closed.goodput();
        let (light, _) = measure(Load::Rate(capacity * 0.7))?;
        light.print("70 %");
        let (full, _) = measure(Load::Rate(capacity))?;
        full.print("100 %");
        server.take_rss_peak();
        let (over, probes) = measure(Load::Rate(capacity * self.times))?;
        over.print(&format!("{:.0} %", self.times * 100.0));
        let rss = server.take_rss_peak();
        println!("{} MiB resident at most; readiness: {} of {} SERVING", mib(rss), probes.serving, probes.asked);

        let mut wrong = Vec::new();
        let peak = closed.goodput().max(full.goodput());
        let percent = over.goodput() / peak * 100.0;
        if percent < self.goodput_percent_min {
            wrong
                .push(format!("{percent:.0} % of the peak are answered; at least {} needed", self.goodput_percent_min));
        }
        let p99_max = P99_AT_LEAST.max(light.p99() * 3);
        if over.p99() > p99_max {
            wrong.push(format!("p99 of answered calls {} ms, at most {}", ms(over.p99()), ms(p99_max)));
        }
        let lost = light.lost + full.lost + over.lost;
        if lost > 0 {
            wrong.push(format!("{lost} calls were lost with a stream or a connection"));
        }
        if over.other > 0 {
            wrong.push(format!("{} calls failed with another status", over.other));
        }
        if probes.serving < probes.asked || probes.asked == 0 {
            wrong.push(format!("readiness was SERVING {} of {} times", probes.serving, probes.asked));
        }
        if server.memory_limit.is_some_and(|limit| rss >= limit * RSS_PERCENT_MAX / 100) {
            wrong.push(format!("{} MiB resident", mib(rss)));
        }
        if let Some(status) = server.ended() {
            wrong.push(format!("the server ended: {status}"));
        }
        for line in &wrong {
            println!("    FAIL: {line}");
        }
        println!("{}/{store_name}: {}", self.name, if wrong.is_empty() { "pass" } else { "FAIL" });
        Ok(wrong.is_empty())
    }
}

/// How calls are begun.
#[derive(Clone, Copy)]
enum Load {
    /// Each that is answered is followed by another.
    InFlight(usize),
    /// So many a second, whatever becomes of them.
    Rate(f64),
}

/// Who calls.
struct Generator {
    endpoint: Endpoint,
    path: &'static str,
    root_key: String,
    messages: Vec<Bytes>,
    connections: usize,
    duration: Duration,
}

/// How often the readiness was asked for meanwhile.
#[derive(Clone, Copy, Default)]
struct Probes {
    asked: u64,
    serving: u64,
}

/// A connection with as many places as the server allows at once. Clients wait for a place before they send anything.
struct Lane {
    connection: Mutex<Connection>,
    places: Semaphore,
}

impl Generator {
    fn on_attackers_core(self: Arc<Self>, program: &Program, load: Load) -> Result<(Outcome, Probes), Error> {
        let cores = program.cores;
        let run = move || {
            cores.pin_to_attackers()?;
            runtime()?.block_on(self.run(load))
        };
        std::thread::spawn(run).join().map_err(|_| "the generator panicked")?
    }

    async fn run(self: Arc<Self>, load: Load) -> Result<(Outcome, Probes), Error> {
        let mut lanes = Vec::new();
        for _ in 0..self.connections {
            let connection = Connection::open(&self.endpoint).await?;
            // The server's limit comes with its first answer.
            self.call(&connection, 0).await?;
            let places = Semaphore::new(connection.streams_max().clamp(1, 1_000));
            lanes.push(Arc::new(Lane { connection: Mutex::new(connection), places }));
        }
        let outcome = Arc::new(Mutex::new(Outcome::new()));
        let probes = Arc::new(Mutex::new(Probes::default()));
        let probing = tokio::spawn(probe(self.endpoint.clone(), probes.clone()));
        let began = Instant::now();
        match load {
            Load::InFlight(count) => self.clone().closed_loop(count, &lanes, &outcome, began).await,
            Load::Rate(rate) => self.clone().open_loop(rate, &lanes, &outcome, began).await,
        }
        probing.abort();
        let mut outcome = std::mem::replace(&mut *outcome.lock().expect("nobody panics with it"), Outcome::new());
        outcome.elapsed = self.duration;
        let probes = *probes.lock().expect("nobody panics with it");
        Ok((outcome, probes))
    }

    async fn closed_loop(
        self: Arc<Self>,
        count: usize,
        lanes: &[Arc<Lane>],
        outcome: &Arc<Mutex<Outcome>>,
        began: Instant,
    ) {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..count {
            let (generator, lane, outcome) = (self.clone(), lanes[number % lanes.len()].clone(), outcome.clone());
            tasks.spawn(async move {
                let mut next = number;
                while began.elapsed() < generator.duration {
                    generator.one(&lane, next, &outcome).await;
                    next += 1;
                }
            });
        }
        tasks.join_all().await;
    }

    async fn open_loop(self: Arc<Self>, rate: f64, lanes: &[Arc<Lane>], outcome: &Arc<Mutex<Outcome>>, began: Instant) {
        let mut tasks = tokio::task::JoinSet::new();
        let mut sent = 0_usize;
        let mut ticks = tokio::time::interval(TICK);
        while began.elapsed() < self.duration {
            ticks.tick().await;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of calls")]
            let due = (rate * began.elapsed().as_secs_f64()) as usize;
            for number in sent..due {
                let (generator, lane, outcome) = (self.clone(), lanes[number % lanes.len()].clone(), outcome.clone());
                tasks.spawn(async move { generator.one(&lane, number, &outcome).await });
            }
            sent = due.max(sent);
            while tasks.try_join_next().is_some() {}
        }
        tasks.join_all().await;
    }

    /// One call, with the wait for a place counted.
    async fn one(&self, lane: &Lane, number: usize, outcome: &Mutex<Outcome>) {
        let began = Instant::now();
        outcome.lock().expect("nobody panics with it").offered += 1;
        let place = tokio::time::timeout(DEADLINE, lane.places.acquire()).await;
        let waited = began.elapsed();
        let result = match place {
            Ok(place) => {
                let _place = place.expect("it is never closed");
                let connection = lane.connection.lock().expect("nobody panics with it").clone();
                let left = DEADLINE.saturating_sub(waited);
                let message = self.messages[number % self.messages.len()].clone();
                connection.call_framed(self.path, &self.root_key, message, left).await
            }
            Err(_) => Err(CallError::Deadline),
        };
        outcome.lock().expect("nobody panics with it").note(waited, began.elapsed(), &result);
        if matches!(result, Err(CallError::Transport(_)))
            && let Ok(connection) = Connection::open(&self.endpoint).await
        {
            *lane.connection.lock().expect("nobody panics with it") = connection;
        }
    }

    async fn call(&self, connection: &Connection, number: usize) -> Result<Bytes, CallError> {
        let message = self.messages[number].clone();
        connection.call_framed(self.path, &self.root_key, message, Duration::from_secs(10)).await
    }
}

/// Asks for the readiness on new connections, as an orchestrator does.
async fn probe(endpoint: Endpoint, probes: Arc<Mutex<Probes>>) {
    let request = Bytes::from_static(b"\0\0\0\0\x0b\x0a\x09readiness");
    loop {
        let ask = async {
            let connection = Connection::open(&endpoint).await?;
            connection.call_framed(methods::HEALTH_CHECK, "", request.clone(), Duration::from_secs(3)).await
        };
        let answer = tokio::time::timeout(Duration::from_secs(3), ask).await.unwrap_or(Err(CallError::Deadline));
        {
            let mut probes = probes.lock().expect("nobody panics with it");
            probes.asked += 1;
            probes.serving += u64::from(answer.is_ok_and(|answer| answer[..] == [0x08, 0x01]));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
