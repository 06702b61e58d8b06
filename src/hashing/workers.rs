//! The threads that hash. They are this program's own: memory for Argon2 is taken and given back by a few of them, and
//! they yield to the threads that serve.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::queue::{Class, ClassQueues, Job, Requester};
use crate::clock::Clock;
use crate::key::verifier::{ARGON2_COST, HashCost};
use crate::low_priority::lower_own_priority;

/// How much less than serving threads they count to the operating system: less than lists do, as a Verify may wait for one.
const NICENESS: i32 = 5;
/// What an Argon2id run is taken to last until one was measured.
const RUN_TIME_FIRST: Duration = Duration::from_millis(20);
/// No machine is taken to be faster or slower than this.
const RUN_TIME_MIN: Duration = Duration::from_millis(1);
const RUN_TIME_MAX: Duration = Duration::from_secs(1);

/// How much may be hashed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most runs at once.
    pub runs: usize,
    /// Most of them that are costly: an imported hash may take ten times as long as one of ours, and must not take all.
    pub costly_runs: usize,
    /// Most memory of all runs together, in bytes. One cheap run and one costly run always go on.
    pub memory: usize,
}

impl Limits {
    /// Those for `cores` and so much memory. At least one core is left to what serves, where there are more than two.
    pub fn of(cores: usize, memory: usize) -> Self {
        let by_memory = memory / ARGON2_COST.memory;
        let runs = cores.saturating_sub(1).min(by_memory).max(2);
        Self { runs, costly_runs: runs / 2, memory }
    }
}

/// Whether it takes far more than a hash of ours.
pub fn is_costly(cost: HashCost) -> bool {
    cost.runs > 2 * ARGON2_COST.runs || cost.memory > 2 * ARGON2_COST.memory
}

/// What a thread does. It returns what tells the result: called once the thread counts as free.
pub type Work = Box<dyn FnOnce() -> Deliver + Send>;
/// What tells a result.
pub type Deliver = Box<dyn FnOnce() + Send>;

/// How busy a class is.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClassLoad {
    /// Hashings that wait.
    pub waiting: usize,
    /// Hashings that were begun.
    pub runs: u64,
    /// Hashings that were refused because others take too long.
    pub shed: u64,
}

/// The threads and what they do.
pub struct Workers(Arc<Shared>);

struct Shared {
    limits: Limits,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    ready: Condvar,
    runs: [AtomicU64; Class::ALL.len()],
    shed: [AtomicU64; Class::ALL.len()],
}

struct State {
    queue: ClassQueues<(Class, Work)>,
    running: Vec<Running>,
    threads: usize,
    last_id: u64,
    /// What a run of our own Argon2id lasts.
    run_time: Duration,
    is_closed: bool,
}

#[derive(Clone, Copy)]
struct Running {
    id: u64,
    class: Class,
    cost: HashCost,
    began: Duration,
}

impl Workers {
    /// No thread is begun before there is work.
    pub fn new(limits: Limits, clock: Arc<dyn Clock>) -> Self {
        let counters = || Class::ALL.map(|_| AtomicU64::new(0));
        Self(Arc::new(Shared {
            limits,
            clock,
            state: Mutex::default(),
            ready: Condvar::new(),
            runs: counters(),
            shed: counters(),
        }))
    }

    /// Puts work in the queue; what takes it out again. `None`: it would wait longer than `wait_max`, or too many wait.
    pub fn submit(&self, by: Requester<'_>, cost: HashCost, wait_max: Option<Duration>, work: Work) -> Option<Ticket> {
        let class = by.class();
        let mut state = self.0.lock();
        let admitted = self.0.admits(&state, by, cost, wait_max);
        state.last_id += 1;
        let id = state.last_id;
        if !admitted || state.queue.push(by, Job { id, cost, work: (class, work) }).is_err() {
            drop(state);
            self.0.note_shed(class);
            return None;
        }
        if state.threads < self.0.limits.runs.min(state.running.len() + state.waiting()) {
            state.threads += 1;
            let shared = self.0.clone();
            let begun = thread::Builder::new().name("hashing".into()).spawn(move || shared.work());
            if begun.is_err() {
                // Without any thread nothing would ever be hashed.
                state.threads -= 1;
                if state.threads == 0 {
                    state.queue.remove(by, id);
                    drop(state);
                    self.0.note_shed(class);
                    return None;
                }
            }
        }
        drop(state);
        self.0.ready.notify_one();
        Some(Ticket { shared: self.0.clone(), id, class, keyspace: by.keyspace().into() })
    }

    /// How long work of this cost takes here.
    pub fn time(&self, cost: HashCost) -> Duration {
        self.0.lock().time(cost)
    }

    /// How busy `class` is.
    pub fn load(&self, class: Class) -> ClassLoad {
        ClassLoad {
            waiting: self.0.lock().queue.waiting(class),
            runs: self.0.runs[class as usize].load(Ordering::Relaxed),
            shed: self.0.shed[class as usize].load(Ordering::Relaxed),
        }
    }

    /// How many hashings run.
    pub fn running(&self) -> usize {
        self.0.lock().running.len()
    }
}

/// The threads end once they have done what is under way. What waits is dropped.
impl Drop for Workers {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_closed = true;
        let dropped = std::mem::take(&mut state.queue);
        drop(state);
        drop(dropped);
        self.0.ready.notify_all();
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is room for this, and its turn would come in time.
    fn admits(&self, state: &State, by: Requester<'_>, cost: HashCost, wait_max: Option<Duration>) -> bool {
        if by.class() == Class::CallersWithoutMac {
            // Strangers have one place in all.
            let is_running = state.running.iter().any(|running| running.class == Class::CallersWithoutMac);
            if is_running || state.queue.waiting(Class::CallersWithoutMac) > 0 {
                return false;
            }
        }
        wait_max.is_none_or(|max| self.wait(state, by, cost) <= max)
    }

    /// How long until work of this cost has its turn, as far as that is known now.
    fn wait(&self, state: &State, by: Requester<'_>, cost: HashCost) -> Duration {
        let costly = is_costly(cost);
        let costly_running = state.running.iter().filter(|running| is_costly(running.cost)).count();
        let lanes = if costly { self.limits.costly_runs } else { self.limits.runs - costly_running };
        let alike = || state.running.iter().filter(|running| is_costly(running.cost) == costly);
        let now = self.clock.elapsed();
        let left = |running: &Running| (running.began + state.time(running.cost)).saturating_sub(now);
        let until_free = if alike().count() < lanes { None } else { alike().map(left).min() };
        let ahead = state.queue.ahead(by, |cost| is_costly(cost) == costly, |cost| state.time(cost));
        until_free.unwrap_or_default() + ahead / u32::try_from(lanes.max(1)).unwrap_or(u32::MAX)
    }

    fn note_shed(&self, class: Class) {
        self.shed[class as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// What a thread does until the end.
    fn work(&self) {
        lower_own_priority(NICENESS);
        let mut state = self.lock();
        while !state.is_closed {
            let Some(job) = state.next(self.limits) else {
                state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let Job { id, cost, work: (class, work) } = job;
            let began = self.clock.elapsed();
            state.running.push(Running { id, class, cost, began });
            drop(state);
            self.runs[class as usize].fetch_add(1, Ordering::Relaxed);
            // Whoever waits for it learns that it failed: what would have told is dropped.
            let done = catch_unwind(AssertUnwindSafe(work));
            let took = self.clock.elapsed().saturating_sub(began);
            state = self.lock();
            state.running.retain(|running| running.id != id);
            // Others may fit now.
            self.ready.notify_all();
            if let Ok(deliver) = done {
                state.note_time(cost, took);
                drop(state);
                deliver();
                state = self.lock();
            }
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            queue: ClassQueues::default(),
            running: Vec::new(),
            threads: 0,
            last_id: 0,
            run_time: RUN_TIME_FIRST,
            is_closed: false,
        }
    }
}

impl State {
    fn waiting(&self) -> usize {
        Class::ALL.iter().map(|class| self.queue.waiting(*class)).sum()
    }

    fn next(&mut self, limits: Limits) -> Option<Job<(Class, Work)>> {
        let (mut memory, mut cheap, mut costly) = (0, 0, 0);
        for running in &self.running {
            memory += running.cost.memory;
            *if is_costly(running.cost) { &mut costly } else { &mut cheap } += 1;
        }
        self.queue.pop(|cost| {
            let (of_its_kind, most) =
                if is_costly(cost) { (costly, limits.costly_runs) } else { (cheap, limits.runs - costly) };
            of_its_kind < most && (of_its_kind == 0 || memory + cost.memory <= limits.memory)
        })
    }

    fn time(&self, cost: HashCost) -> Duration {
        self.run_time * cost.runs
    }

    fn note_time(&mut self, cost: HashCost, took: Duration) {
        let run_time = (self.run_time * 7 + took / cost.runs.max(1)) / 8;
        self.run_time = run_time.clamp(RUN_TIME_MIN, RUN_TIME_MAX);
    }
}

/// A place in the queue. Dropped, it is given up: what has not begun is not done.
pub struct Ticket {
    shared: Arc<Shared>,
    id: u64,
    class: Class,
    keyspace: Box<str>,
}

impl Ticket {
    /// Gives up because the turn did not come in time. `false`: it has come.
    pub fn give_up(&self) -> bool {
        let gone = self.take_back().is_some();
        if gone {
            self.shared.note_shed(self.class);
        }
        gone
    }

    fn take_back(&self) -> Option<Job<(Class, Work)>> {
        self.shared.lock().queue.remove(Requester::of(self.class, &self.keyspace), self.id)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        drop(self.take_back());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::clock::SystemClock;

    const COSTLY: HashCost = HashCost { runs: 11, memory: 4 << 10 };
    const PATIENCE: Duration = Duration::from_mins(1);

    #[test]
    fn limits_follow_cores_and_memory() {
        let mib: usize = 1 << 20;
        let of = |cores: usize, memory: usize| {
            (Limits::of(cores, memory * mib).runs, Limits::of(cores, memory * mib).costly_runs)
        };
        assert_eq!(of(1, 1_000), (2, 1));
        assert_eq!(of(4, 1_000), (3, 1));
        assert_eq!(of(64, 190), (10, 5));
        assert_eq!(of(64, 1), (2, 1));
    }

    #[test]
    fn memory_and_costly_work_are_bounded() {
        let limits = Limits { runs: 4, costly_runs: 2, memory: 3 * ARGON2_COST.memory };
        let mut state = State::default();
        let large = HashCost { runs: 6, memory: 10 * ARGON2_COST.memory };
        let mut id = 0;
        let mut add = |state: &mut State, cost| {
            id += 1;
            let by = Requester::Verification("k");
            let work: Work = Box::new(|| Box::new(|| ()));
            state.queue.push(by, Job { id, cost, work: (Class::Verification, work) }).ok().expect("room");
        };
        let run = |state: &mut State| {
            let job = state.next(limits)?;
            let running = Running { id: job.id, class: Class::Verification, cost: job.cost, began: Duration::ZERO };
            state.running.push(running);
            Some(job.cost)
        };
        for cost in [large, large, ARGON2_COST, ARGON2_COST] {
            add(&mut state, cost);
        }
        assert_eq!(run(&mut state), Some(large), "one goes on even if it is larger than all");
        assert_eq!(run(&mut state), None, "the next of its keyspace is another");
        state.queue.remove(Requester::Verification("k"), 2);
        assert_eq!(run(&mut state), Some(ARGON2_COST), "and a cheap one beside it");
        assert_eq!(run(&mut state), None, "no memory is left");
        state.running.remove(0);
        assert_eq!(run(&mut state), Some(ARGON2_COST));
    }

    /// Workers of two threads, one of which may do costly work; and work that waits until it is let go.
    struct Rig {
        workers: Workers,
        done: (Sender<&'static str>, Receiver<&'static str>),
    }

    impl Rig {
        fn new() -> Self {
            let limits = Limits { runs: 2, costly_runs: 1, memory: 1 << 30 };
            Self { workers: Workers::new(limits, Arc::new(SystemClock)), done: channel() }
        }

        fn submit(&self, by: Requester<'_>, cost: HashCost, name: &'static str) -> (Option<Ticket>, Sender<()>) {
            let (go, gone) = channel::<()>();
            let done = self.done.0.clone();
            let work: Work = Box::new(move || {
                let _ = gone.recv();
                Box::new(move || {
                    let _ = done.send(name);
                })
            });
            (self.workers.submit(by, cost, None, work), go)
        }

        fn wait_for_running(&self, count: usize) {
            while self.workers.running() < count {
                thread::yield_now();
            }
        }

        fn next(&self) -> &'static str {
            self.done.1.recv_timeout(PATIENCE).expect("it is done")
        }
    }

    #[test]
    fn costly_guesses_of_one_keyspace_do_not_delay_another() {
        let rig = Rig::new();
        let evil = Requester::Verification("evil");
        let held: Vec<_> = (0..10).map(|_| rig.submit(evil, COSTLY, "evil")).collect();
        rig.wait_for_running(1);
        let (_ticket, go) = rig.submit(Requester::Verification("good"), ARGON2_COST, "good");
        go.send(()).unwrap();
        assert_eq!(rig.next(), "good", "while the first costly one is still at it");
        assert_eq!(rig.workers.load(Class::Verification).runs, 2);
        drop(held);
    }

    #[test]
    fn a_keyspace_that_sends_much_is_one_of_two() {
        let rig = Rig::new();
        let evil = Requester::Verification("evil");
        let held: Vec<_> = (0..10).map(|_| rig.submit(evil, ARGON2_COST, "evil")).collect();
        rig.wait_for_running(2);
        let (_ticket, go) = rig.submit(Requester::Verification("good"), ARGON2_COST, "good");
        go.send(()).unwrap();
        // All go on from here; of those that are done before it, two were under way and two may have been ahead.
        for (_, go) in &held {
            go.send(()).unwrap();
        }
        let place = (0..11).map(|_| rig.next()).position(|name| name == "good").expect("it is done");
        assert!(place <= 4, "{place}");
    }

    #[test]
    fn strangers_have_one_place() {
        let rig = Rig::new();
        let (first, go) = rig.submit(Requester::CallersWithoutMac, ARGON2_COST, "first");
        assert!(first.is_some());
        assert!(rig.submit(Requester::CallersWithoutMac, ARGON2_COST, "second").0.is_none());
        assert!(rig.submit(Requester::Callers, ARGON2_COST, "caller").0.is_some());
        assert_eq!(rig.workers.load(Class::CallersWithoutMac).shed, 1);
        go.send(()).unwrap();
        assert_eq!(rig.next(), "first");
    }

    #[test]
    fn what_would_wait_too_long_is_refused_at_once() {
        let rig = Rig::new();
        let evil = Requester::Verification("evil");
        let held: Vec<_> = (0..10).map(|_| rig.submit(evil, ARGON2_COST, "evil")).collect();
        rig.wait_for_running(2);
        let submit = |by, max| rig.workers.submit(by, ARGON2_COST, Some(max), Box::new(|| Box::new(|| ()))).is_some();
        // Eight wait, and two are under way: some five runs of 20 ms for each thread.
        assert!(!submit(evil, Duration::from_millis(60)));
        assert!(submit(Requester::Verification("good"), Duration::from_millis(60)));
        assert_eq!(rig.workers.load(Class::Verification).shed, 1);
        drop(held);
    }

    #[test]
    fn what_is_given_up_is_not_done() {
        let rig = Rig::new();
        let keyspace = Requester::Verification("k");
        let running: Vec<_> = (0..2).map(|_| rig.submit(keyspace, ARGON2_COST, "running")).collect();
        rig.wait_for_running(2);
        let (waiting, _go) = rig.submit(keyspace, ARGON2_COST, "waiting");
        let waiting = waiting.unwrap();
        assert!(waiting.give_up() && !waiting.give_up());
        let (dropped, _go) = rig.submit(keyspace, ARGON2_COST, "dropped");
        drop(dropped);
        assert_eq!(rig.workers.load(Class::Verification).waiting, 0);
        for (ticket, go) in running {
            assert!(!ticket.unwrap().give_up(), "it is under way");
            go.send(()).unwrap();
        }
        assert_eq!((rig.next(), rig.next()), ("running", "running"));
    }

    #[test]
    fn a_panic_ends_no_thread() {
        let rig = Rig::new();
        for _ in 0..4 {
            let (failed, told) = channel::<()>();
            let work: Work = Box::new(move || {
                let _failed = failed;
                panic!("as it should");
            });
            let _ticket = rig.workers.submit(Requester::Callers, ARGON2_COST, None, work).unwrap();
            assert!(told.recv_timeout(PATIENCE).is_err());
        }
        let (_ticket, go) = rig.submit(Requester::Callers, ARGON2_COST, "after");
        go.send(()).unwrap();
        assert_eq!(rig.next(), "after");
    }
}
