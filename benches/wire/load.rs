//! The calls: a closed loop of so many in flight, on as many threads as the client may have.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::{JoinSet, LocalSet};

use crate::Error;
use crate::target::{Lane, Share, Target};
use crate::usage::Usage;

/// Calls are made for this long before they count: connections are new, and congestion windows small.
const RAMP: Duration = Duration::from_millis(300);
/// How long the last calls of a run may take before it has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Latencies are kept to 1 in 1,000, up to this many nanoseconds.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

const RAMPING: u8 = 0;
const COUNTING: u8 = 1;
const ENDED: u8 = 2;

/// How to call.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub duration: Duration,
    pub in_flight: usize,
    pub connections: usize,
    pub threads: usize,
}

/// What came of it.
pub struct Sample {
    /// Keys answered for.
    pub keys: u64,
    pub elapsed: Duration,
    /// In nanoseconds.
    pub latencies: Histogram<u64>,
    /// What the target used.
    pub usage: Usage,
    /// Its memory before.
    pub rss_bytes_before: u64,
    /// What the client used.
    pub client: Usage,
}

/// Where a thread's calls are recorded.
pub struct Recorder {
    phase: Arc<AtomicU8>,
    record: RefCell<Record>,
}

struct Record {
    keys: u64,
    latencies: Histogram<u64>,
}

impl Recorder {
    /// Notes that a call about so many keys, begun then, has just been answered.
    pub fn done(&self, began: Instant, keys: u64) {
        if self.phase.load(Ordering::Relaxed) == COUNTING {
            let record = &mut *self.record.borrow_mut();
            record.keys += keys;
            record.latencies.saturating_record(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
    }

    fn ended(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == ENDED
    }
}

impl Record {
    fn new() -> Self {
        Self { keys: 0, latencies: latencies() }
    }
}

/// Where latencies are counted, in nanoseconds.
pub fn latencies() -> Histogram<u64> {
    Histogram::new_with_max(LATENCY_NS_MAX, 3).expect("the limits make sense")
}

impl Load {
    /// Calls `target` for as long as is said.
    pub fn run<T: Target>(&self, target: &T) -> Result<Sample, Error> {
        let wait = || {
            thread::sleep(self.duration);
            Ok(())
        };
        Ok(self.during(target, RAMP + self.duration + PATIENCE, wait)?.0)
    }

    /// Calls `target` for as long as `work` takes, which must end within `time`; what came of both.
    pub fn during<T, W, R>(&self, target: &T, time: Duration, work: W) -> Result<(Sample, R), Error>
    where
        T: Target,
        W: FnOnce() -> Result<R, Error>,
    {
        let phase = Arc::new(AtomicU8::new(RAMPING));
        let rss_bytes_before = target.usage()?.rss_bytes;
        thread::scope(|scope| {
            let (ready, all_ready) = mpsc::channel();
            let threads: Vec<_> = (self.shares().into_iter())
                .map(|shares| {
                    let (phase, ready) = (&phase, ready.clone());
                    scope.spawn(move || calls(target, &shares, time, phase, &ready))
                })
                .collect();
            drop(ready);
            // A thread that failed ends early; what it says comes out when it is joined.
            let connected = threads.iter().all(|_| all_ready.recv().is_ok());
            let counted = if connected { Some(count(target, &phase, work)) } else { None };
            phase.store(ENDED, Ordering::Relaxed);
            let mut total = Record::new();
            for thread in threads {
                let record = thread.join().map_err(|_| "a thread panicked")??;
                total.keys += record.keys;
                total.latencies.add(record.latencies)?;
            }
            let Counted { elapsed, usage, client, worked } = counted.ok_or("a thread ended early")??;
            let Record { keys, latencies } = total;
            Ok((Sample { keys, elapsed, latencies, usage, rss_bytes_before, client }, worked))
        })
    }

    /// The connections of each thread.
    fn shares(&self) -> Vec<Vec<Share>> {
        let connections = self.connections.clamp(1, self.in_flight);
        let mut threads = vec![Vec::new(); self.threads.clamp(1, connections)];
        let thread_count = threads.len();
        let mut first_lane = 0;
        for connection in 0..connections {
            let in_flight = self.in_flight / connections + usize::from(connection < self.in_flight % connections);
            let share = Share { first_lane, in_flight, in_flight_total: self.in_flight };
            threads[connection % thread_count].push(share);
            first_lane += in_flight;
        }
        threads
    }
}

struct Counted<R> {
    elapsed: Duration,
    usage: Usage,
    client: Usage,
    worked: R,
}

/// Lets the calls count for as long as the work takes.
fn count<T: Target, R>(
    target: &T,
    phase: &AtomicU8,
    work: impl FnOnce() -> Result<R, Error>,
) -> Result<Counted<R>, Error> {
    let own = std::process::id();
    thread::sleep(RAMP);
    let (usage, client, began) = (target.usage()?, Usage::of(own)?, Instant::now());
    phase.store(COUNTING, Ordering::Relaxed);
    let worked = work();
    phase.store(ENDED, Ordering::Relaxed);
    let elapsed = began.elapsed();
    Ok(Counted { elapsed, usage: target.usage()? - usage, client: Usage::of(own)? - client, worked: worked? })
}

/// Makes one thread's calls.
fn calls<T: Target>(
    target: &T,
    shares: &[Share],
    time: Duration,
    phase: &Arc<AtomicU8>,
    ready: &mpsc::Sender<()>,
) -> Result<Record, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let recorder = Rc::new(Recorder { phase: phase.clone(), record: RefCell::new(Record::new()) });
    let local = LocalSet::new();
    let calls = local.run_until(async {
        let mut lanes = JoinSet::new();
        for share in shares {
            for lane in target.connect(share).await? {
                lanes.spawn_local(turns(lane, recorder.clone()));
            }
        }
        ready.send(())?;
        while let Some(ended) = lanes.join_next().await {
            ended??;
        }
        Ok::<_, Error>(())
    });
    let in_time = runtime.block_on(async { tokio::time::timeout(time, calls).await });
    in_time.unwrap_or_else(|_| Err("calls are not answered".into()))?;
    let recorder = Rc::into_inner(recorder).expect("all lanes have ended");
    Ok(recorder.record.into_inner())
}

async fn turns(mut lane: impl Lane, recorder: Rc<Recorder>) -> Result<(), Error> {
    while !recorder.ended() {
        lane.turn(&recorder).await?;
    }
    Ok(())
}
