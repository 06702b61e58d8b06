//! The clock of a process: simulated time, at a pace of its own.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::{Clock, Timestamp};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::world::World;

/// 2026-01-01.
const EPOCH_MICROS: i64 = 1_767_225_600_000_000;

/// The clock of one process.
pub struct SimulatedClock {
    world: Arc<World>,
    process: usize,
}

thread_local! {
    /// What happens when a clock is next asked what time it is.
    static MEANWHILE: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// What `work` answers, if `meanwhile` happens when it first asks for the time of day: a verification does so between
/// its look into the memory and its last look at the lease.
pub fn interrupted<T>(meanwhile: impl FnOnce() + 'static, work: impl FnOnce() -> T) -> T {
    MEANWHILE.set(Some(Box::new(meanwhile)));
    let done = work();
    MEANWHILE.set(None);
    done
}

impl SimulatedClock {
    /// That of this process.
    pub fn new(world: Arc<World>, process: usize) -> Self {
        Self { world, process }
    }

    /// The simulated time: within a step of a process, it goes on.
    fn time(&self) -> Duration {
        let in_step = Handle::try_current().is_ok().then(|| self.world.processes[self.process].started()).flatten();
        match in_step {
            Some((at, then)) => then + Instant::now().duration_since(at),
            None => Duration::from_millis(self.world.now()),
        }
    }
}

impl fmt::Debug for SimulatedClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedClock").field("process", &self.process).finish_non_exhaustive()
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        if Handle::try_current().is_err()
            && let Some(meanwhile) = MEANWHILE.take()
        {
            meanwhile();
        }
        Timestamp::from_micros(EPOCH_MICROS).saturating_add(self.time())
    }

    fn elapsed(&self) -> Duration {
        let process = &self.world.processes[self.process];
        process.boot + self.time().mul_f64(process.pace)
    }
}
