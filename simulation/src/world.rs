//! What a seed decides: the time, what happens when, and every choice that is left to chance.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::database::Database;
use crate::history::History;
use crate::process::Process;
use crate::work::Work;

/// How long a step of the simulation is, in milliseconds: the processes take their turns within it.
pub const TICK: u64 = 2;
/// The lease of all replicas, in milliseconds. It is a quarter of what is usual, for more to happen in less time.
pub const LEASE: u64 = 600;
/// How long a change waits for whoever does not answer.
pub const WAIT: u64 = LEASE + LEASE / 4;

/// Something that will happen. It happens between two steps of the processes.
pub type Event = Box<dyn FnOnce(&Arc<World>) + Send>;

/// All that is simulated.
pub struct World {
    seed: u64,
    time: Mutex<Time>,
    chance: Mutex<StdRng>,
    database: Mutex<Database>,
    history: Mutex<History>,
    odds: Mutex<Odds>,
    work: Mutex<Work>,
    /// The processes.
    pub processes: Vec<Process>,
}

struct Time {
    now: u64,
    order: u64,
    /// By time; those of one time in an order that chance decides, not the order in which they were planned.
    coming: BTreeMap<(u64, u64, u64), Event>,
}

/// How often what goes wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Odds {
    /// A call to the store is refused, and nothing happens.
    pub refused: f64,
    /// What was called for happens, and no answer comes.
    pub answer_lost: f64,
    /// What was called for happens long after the caller was told that it failed.
    pub late: f64,
    /// A call takes long.
    pub slow: f64,
    /// A hint does not arrive.
    pub hint_lost: f64,
    /// A hint arrives again, later.
    pub hint_again: f64,
}

/// Chances of one call.
pub struct Dice(StdRng);

impl Dice {
    /// A number of `from`, each as likely.
    pub fn draw(&mut self, from: Range<u64>) -> u64 {
        self.0.random_range(from)
    }

    /// True so often.
    pub fn chance(&mut self, odds: f64) -> bool {
        odds > 0.0 && self.0.random_bool(odds)
    }
}

/// FNV-1a of numbers and a word.
pub fn digest(numbers: &[u64], word: &str) -> u64 {
    let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).chain(word.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |digest, byte| (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The lock, whoever panicked with it.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// A world in which nothing has happened yet.
    pub fn new(seed: u64, mut with: impl FnMut(&mut StdRng) -> (Vec<Process>, Database, Odds)) -> Arc<Self> {
        let mut chance = StdRng::seed_from_u64(seed);
        let (processes, database, odds) = with(&mut chance);
        Arc::new(Self {
            seed,
            time: Mutex::new(Time { now: 0, order: 0, coming: BTreeMap::new() }),
            chance: Mutex::new(chance),
            database: Mutex::new(database),
            history: Mutex::new(History::default()),
            odds: Mutex::new(odds),
            work: Mutex::default(),
            processes,
        })
    }

    /// The time, in milliseconds.
    pub fn now(&self) -> u64 {
        lock(&self.time).now
    }

    /// Lets the time of a step pass, and what is due happen.
    pub fn pass(self: &Arc<Self>) {
        lock(&self.time).now += TICK;
        while let Some(event) = self.due() {
            event(self);
        }
    }

    fn due(&self) -> Option<Event> {
        let mut time = lock(&self.time);
        let now = time.now;
        time.coming.first_entry().filter(|first| first.key().0 <= now).map(|first| first.remove())
    }

    /// Lets `event` happen in so many milliseconds; at the next step at the earliest.
    pub fn after(&self, millis: u64, event: impl FnOnce(&Arc<Self>) + Send + 'static) {
        self.plan(millis, 0, event);
    }

    /// The same. Of all that happens at that time, `turn` decides when it is its turn.
    pub fn plan(&self, millis: u64, turn: u64, event: impl FnOnce(&Arc<Self>) + Send + 'static) {
        let mut time = lock(&self.time);
        time.order += 1;
        let at = (time.now + millis, turn, time.order);
        time.coming.insert(at, Box::new(event));
    }

    /// What chance decides about one call of a process. It depends on nothing but who calls, when, and for what: which of
    /// several tasks that wait for the same tokio wakes first is its own secret, and must make no difference.
    pub fn dice(&self, process: usize, what: &str, which: usize) -> Dice {
        let numbers = [self.seed, self.now(), process as u64, which as u64];
        Dice(StdRng::seed_from_u64(digest(&numbers, what)))
    }

    /// A number of `from`, each as likely.
    pub fn draw(&self, from: Range<u64>) -> u64 {
        lock(&self.chance).random_range(from)
    }

    /// A place in a list that is not empty.
    pub fn pick(&self, len: usize) -> usize {
        lock(&self.chance).random_range(0..len)
    }

    /// True so often.
    pub fn chance(&self, odds: f64) -> bool {
        odds > 0.0 && lock(&self.chance).random_bool(odds)
    }

    /// How often what goes wrong.
    pub fn odds(&self) -> Odds {
        *lock(&self.odds)
    }

    /// From now on, this.
    pub fn set_odds(&self, odds: Odds) {
        *lock(&self.odds) = odds;
    }

    /// The database.
    pub fn database(&self) -> MutexGuard<'_, Database> {
        lock(&self.database)
    }

    /// What is asked for.
    pub fn work(&self) -> MutexGuard<'_, Work> {
        lock(&self.work)
    }

    /// What happened.
    pub fn history(&self) -> MutexGuard<'_, History> {
        lock(&self.history)
    }

    /// Notes for the trace that something happened.
    pub fn note(&self, what: &str, process: usize, which: usize) {
        let now = self.now();
        self.history().note(now, what, process, which);
    }
}
