//! The hosts that the processes run on, which turmoil steps one after the other.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use turmoil::{Builder, Sim};

use crate::replica::software;
use crate::world::{TICK, World};

thread_local! {
    /// Those of the simulation that this thread runs. Not a value that is handed on, for a verification that is held up
    /// lets them go on from within.
    static HOSTS: RefCell<Option<Sim<'static>>> = const { RefCell::new(None) };
}

/// Starts a host for each process.
pub fn start(world: &Arc<World>, seed: u64) {
    let mut sim = Builder::new()
        .tick_duration(Duration::from_millis(TICK))
        .simulation_duration(Duration::MAX)
        .rng_seed(seed)
        .enable_random_order()
        .build();
    for (process, here) in world.processes.iter().enumerate() {
        let world = world.clone();
        sim.host(here.name.as_str(), move || software(world.clone(), process));
    }
    HOSTS.set(Some(sim));
}

/// Lets each host run for the time of a step.
pub fn step() {
    with(|sim| sim.step().expect("no process fails"));
}

/// Ends a process as `kill -9` does.
pub fn crash(world: &World, process: usize) {
    let here = &world.processes[process];
    with(|sim| sim.crash(here.name.as_str()));
    here.end();
    here.go_on(world);
}

/// Starts a process that is not there.
pub fn restart(world: &World, process: usize) {
    let name = world.processes[process].name.as_str();
    with(|sim| {
        if !sim.is_host_running(name) {
            sim.bounce(name);
        }
    });
}

/// Ends all.
pub fn end() {
    drop(HOSTS.take());
}

fn with<T>(work: impl FnOnce(&mut Sim<'static>) -> T) -> T {
    HOSTS.with_borrow_mut(|sim| work(sim.as_mut().expect("the simulation runs")))
}
