//! Every key once, as fast as they are answered for: what is new to the server stays so only once.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::{JoinSet, LocalSet};

use crate::Error;
use crate::grpc::{Connection, Head, framed};
use crate::load::latencies;
use crate::options::Options;
use crate::portcullis::{Key, Portcullis, VERIFY};
use crate::report::Figure;

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// A server that fails so often fails always.
const ERRORS_MAX: u64 = 1_000;

/// How to call. All of it on one thread.
#[derive(Clone, Copy)]
pub struct Sweep {
    pub in_flight: usize,
    pub connections: usize,
}

/// What came of it.
pub struct Swept {
    pub keys: u64,
    /// Calls that failed, or answered what they must not.
    pub errors: u64,
    pub error: Option<String>,
    pub elapsed: Duration,
    /// In nanoseconds.
    pub latencies: Histogram<u64>,
}

struct Progress<F> {
    numbers: RefCell<Range<u64>>,
    key: F,
    head: Head,
    errors: Cell<u64>,
    error: RefCell<Option<String>>,
    latencies: RefCell<Histogram<u64>>,
}

impl Sweep {
    /// As many calls in flight as are allowed at most.
    pub fn of(options: &Options) -> Self {
        let in_flight = options.in_flight.iter().copied().max().unwrap_or(1);
        Self { in_flight, connections: options.connections }
    }

    /// Verifies each of the keys once.
    pub fn run<F>(&self, portcullis: &Portcullis, numbers: Range<u64>, key: F) -> Result<Swept, Error>
    where
        F: Fn(u64) -> Key + 'static,
    {
        let address = portcullis.process.address.as_str();
        let keys = numbers.end - numbers.start;
        let progress = Rc::new(Progress {
            numbers: RefCell::new(numbers),
            key,
            head: Head::new(address, VERIFY, &portcullis.root_key)?,
            errors: Cell::new(0),
            error: RefCell::new(None),
            latencies: RefCell::new(latencies()),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let elapsed = LocalSet::new().block_on(&runtime, async {
            let mut connections = Vec::new();
            for _ in 0..self.connections.max(1) {
                connections.push(Connection::open(address).await?);
            }
            let began = Instant::now();
            let mut lanes = JoinSet::new();
            for connection in connections.iter().cycle().take(self.in_flight) {
                lanes.spawn_local(progress.clone().lane(connection.clone()));
            }
            while let Some(ended) = lanes.join_next().await {
                ended?;
            }
            Ok::<_, Error>(began.elapsed())
        })?;
        let Ok(progress) = Rc::try_unwrap(progress) else { unreachable!("all lanes have ended") };
        let (errors, latencies) = (progress.errors.get(), progress.latencies.into_inner());
        Ok(Swept { keys, errors, error: progress.error.into_inner(), elapsed, latencies })
    }
}

impl<F: Fn(u64) -> Key> Progress<F> {
    async fn lane(self: Rc<Self>, mut connection: Connection) {
        while self.errors.get() < ERRORS_MAX {
            let Some(number) = self.numbers.borrow_mut().next() else { return };
            let key = (self.key)(number);
            let call = framed(&key.request);
            let began = Instant::now();
            let answer = tokio::time::timeout(PATIENCE, connection.unary(&self.head, call)).await;
            let nanoseconds = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.latencies.borrow_mut().saturating_record(nanoseconds);
            let checked = match answer {
                Ok(answer) => answer.and_then(|answer| key.check(&answer)),
                Err(_) => Err("a call is not answered".into()),
            };
            if let Err(error) = checked {
                self.errors.set(self.errors.get() + 1);
                self.error.borrow_mut().get_or_insert_with(|| error.to_string());
            }
        }
    }
}

impl Swept {
    #[expect(clippy::cast_precision_loss, reason = "a rounded figure is what is wanted")]
    pub fn figures(&self, name: &str) -> Vec<Figure> {
        let seconds = self.elapsed.as_secs_f64();
        let us = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1e3;
        vec![
            Figure::new(format!("errors, {name}"), self.errors as f64, 0),
            Figure::new(format!("time, {name}, s"), seconds, 2),
            Figure::new(format!("keys/s, {name}"), self.keys as f64 / seconds, 0),
            Figure::new(format!("p50, {name}, µs"), us(0.5), 0),
            Figure::new(format!("p99, {name}, µs"), us(0.99), 0),
        ]
    }

    /// Fails if anything did.
    pub fn check(&self) -> Result<(), Error> {
        match &self.error {
            Some(error) => Err(format!("{} calls went wrong; the first: {error}", self.errors).into()),
            None => Ok(()),
        }
    }
}
