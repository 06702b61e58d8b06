//! Who asks the processes for what.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::clock::interrupted;
use crate::history::{WAYS, Way};
use crate::replica::{Command, answered};
use crate::trouble::OVER;
use crate::world::{TICK, WAIT, World};
use crate::{KEYS, step};

/// How many keys are known to everybody before something is taken from them.
const SOON: usize = 6;
/// For how long after something was taken from a key everybody is asked about it, in milliseconds.
const WATCHED: u64 = 3 * WAIT;

/// What is asked for, how often, and what is to be asked again.
#[derive(Default)]
pub struct Work {
    /// The next key that something is taken from.
    next: usize,
    /// How many of the first keys are set aside: from the last one down.
    aside: usize,
    /// What is not confirmed yet: the key, the way, and when it is tried again.
    open: Vec<(usize, Way, u64)>,
    /// Since when these secrets are to end.
    ending: VecDeque<(usize, u64)>,
    /// How many changes begin in a step, on average.
    pub losses: f64,
    /// How many verifications that may read the store begin in a step, on average.
    pub verifications: f64,
    /// How many keys are made in a step, on average.
    pub creations: f64,
    /// How often a verification is held up half-way.
    pub held_up: f64,
}

thread_local! {
    static IS_HELD_UP: Cell<bool> = const { Cell::new(false) };
}

/// Who can be asked.
fn reachable(world: &World) -> Vec<usize> {
    (0..world.processes.len()).filter(|process| world.processes[*process].replica().is_some()).collect()
}

/// What is asked for in this step.
pub fn work(world: &Arc<World>) {
    let ready = reachable(world);
    let (losses, verifications, creations, held_up) = {
        let work = world.work();
        (work.losses, work.verifications, work.creations, work.held_up)
    };
    if !ready.is_empty() {
        if world.chance(losses) {
            let process = ready[world.pick(ready.len())];
            lose_next(world, process);
        }
        ask_again(world, &ready);
        if world.chance(creations) {
            world.processes[ready[world.pick(ready.len())]].call(Command::Create);
        }
        for process in &ready {
            if world.chance(verifications) {
                let secret = some_secret(world);
                world.processes[*process].call(Command::Verify { secret, scoped: world.chance(0.3) });
            }
        }
    }
    for process in ready {
        if let Some(secret) = any_ending(world)
            && world.chance(0.3)
        {
            ask_known(world, process, secret);
        }
        if world.chance(held_up)
            && let Some(secret) = any_ending(world)
        {
            hold_up(world, process, secret);
        }
    }
    watch(world);
}

/// Takes something from the next key, by this process.
pub fn lose_next(world: &Arc<World>, process: usize) {
    let way = WAYS[world.pick(WAYS.len())];
    let again = world.now() + world.draw(20..WAIT);
    let mut work = world.work();
    if work.next >= world.history().keys() {
        return;
    }
    let key = work.next;
    work.next += 1;
    if (KEYS - work.aside..KEYS).contains(&key) {
        return;
    }
    drop(work);
    begin_to_lose(world, process, key, way, again);
}

/// Keys that this process has seen, and that nothing is taken from but by whoever asks for them here.
pub fn set_aside(world: &Arc<World>, process: usize, count: usize) -> Vec<usize> {
    let mut work = world.work();
    let free = KEYS.saturating_sub(work.aside + work.next + SOON);
    let count = count.min(free);
    let end = KEYS - work.aside;
    work.aside += count;
    drop(work);
    let keys: Vec<_> = (end - count..end).collect();
    for key in &keys {
        let secret = world.history().secrets(*key)[0];
        world.processes[process].call(Command::Verify { secret, scoped: false });
    }
    keys
}

/// Takes something from a key that was set aside, by anybody but this process.
pub fn lose_aside(world: &Arc<World>, key: usize, but: usize) {
    let way = WAYS[world.pick(WAYS.len())];
    let others: Vec<_> = reachable(world).into_iter().filter(|process| *process != but).collect();
    if !others.is_empty() && world.now() < OVER {
        let again = world.now() + world.draw(20..WAIT);
        begin_to_lose(world, others[world.pick(others.len())], key, way, again);
    }
}

fn begin_to_lose(world: &Arc<World>, process: usize, key: usize, way: Way, again: u64) {
    let mut work = world.work();
    work.open.push((key, way, again));
    let secrets = world.history().secrets(key).to_vec();
    let now = world.now();
    work.ending.extend(secrets.into_iter().map(|secret| (secret, now)));
    drop(work);
    world.processes[process].call(Command::Lose { key, way });
}

/// Whoever has no answer asks again, mostly somebody else, be the first still at it or not.
fn ask_again(world: &Arc<World>, ready: &[usize]) {
    let now = world.now();
    let due: Vec<_> = {
        let mut work = world.work();
        let history = world.history();
        work.open.retain(|(key, way, _)| !history.is_confirmed(*key, *way));
        drop(history);
        work.open.iter().enumerate().filter(|(_, open)| open.2 <= now).map(|(at, open)| (at, open.0, open.1)).collect()
    };
    for (at, key, way) in due {
        let next = now + world.draw(20..WAIT);
        world.work().open[at].2 = next;
        world.processes[ready[world.pick(ready.len())]].call(Command::Lose { key, way });
    }
}

/// A secret that will end soon, or any.
fn some_secret(world: &World) -> usize {
    let next = world.work().next;
    let keys = world.history().keys();
    let soon = next..keys.min(next + SOON);
    let key = if world.chance(0.7) && !soon.is_empty() { next + world.pick(soon.len()) } else { world.pick(keys) };
    let history = world.history();
    *history.secrets(key).last().expect("every key has one")
}

/// A secret that is ending or has ended of late.
pub fn any_ending(world: &World) -> Option<usize> {
    let mut work = world.work();
    let now = world.now();
    while work.ending.front().is_some_and(|(_, since)| since + WATCHED < now) {
        work.ending.pop_front();
    }
    if work.ending.is_empty() {
        return None;
    }
    let at = world.pick(work.ending.len());
    Some(work.ending[at].0)
}

/// Every secret that is ending or has ended of late.
fn all_ending(world: &World) -> Vec<usize> {
    world.work().ending.iter().map(|(secret, _)| *secret).collect()
}

/// Asks a process that runs for a verdict from its memory.
fn ask_known(world: &World, process: usize, secret: usize) {
    let here = &world.processes[process];
    let Some(replica) = here.replica() else { return };
    if here.is_stopped() {
        return;
    }
    let scoped = world.chance(0.3);
    let asked = world.history().ask(secret, scoped);
    if let Some(verdict) = replica.known(&asked.text, scoped) {
        answered(world, process, &asked, Some(&verdict));
    }
}

/// Asks everybody about what has just been confirmed.
fn watch(world: &Arc<World>) {
    let fresh = std::mem::take(&mut world.history().fresh);
    for secret in fresh {
        for process in reachable(world) {
            ask_known(world, process, secret);
            if world.chance(0.2) {
                world.processes[process].call(Command::Verify { secret, scoped: false });
            }
        }
    }
}

/// Asks a process that has just gone on, before it does anything else, about what may have ended meanwhile.
pub fn ask_late(world: &Arc<World>, process: usize) {
    for secret in all_ending(world) {
        ask_known(world, process, secret);
        if world.chance(0.05) {
            hold_up(world, process, secret);
        }
    }
}

/// A verification from memory is held up half-way: its thread gets no time, while the others of the process do.
fn hold_up(world: &Arc<World>, process: usize, secret: usize) {
    let here = &world.processes[process];
    let Some(replica) = here.replica() else { return };
    if here.is_stopped() || IS_HELD_UP.replace(true) {
        return;
    }
    let life = here.life();
    let scoped = world.chance(0.3);
    let longest = if world.chance(0.2) { 2 * WAIT } else { 60 };
    let steps = 1 + world.draw(0..longest) / TICK;
    let asked = world.history().ask(secret, scoped);
    let meanwhile = {
        let world = world.clone();
        move || {
            for _ in 0..steps {
                step(&world);
            }
            while world.processes[process].is_stopped() {
                step(&world);
            }
        }
    };
    let verdict = interrupted(meanwhile, || replica.known(&asked.text, scoped));
    IS_HELD_UP.set(false);
    // Nobody hears what a process says that has crashed.
    if let Some(verdict) = verdict
        && world.processes[process].life() == life
    {
        answered(world, process, &asked, Some(&verdict));
    }
}

/// What must work once nothing goes wrong any more: everybody verifies, and changes.
pub fn demand_service(world: &Arc<World>) {
    for process in 0..world.processes.len() {
        if world.processes[process].replica().is_none() {
            world.history().wrong.push(format!("process {process} does not answer though nothing is wrong any more"));
        }
        lose_next(world, process);
        let secret = some_secret(world);
        world.processes[process].call(Command::Verify { secret, scoped: false });
    }
    let mut work = world.work();
    for open in &mut work.open {
        // No repeats: the first must do.
        open.2 = u64::MAX;
    }
}

/// That it did.
pub fn check_service(world: &Arc<World>, unanswered_before: u64) {
    let mut history = world.history();
    let open: Vec<_> = {
        let work = world.work();
        work.open.iter().filter(|(key, way, _)| !history.is_confirmed(*key, *way)).map(|open| open.0).collect()
    };
    if !open.is_empty() {
        history.wrong.push(format!("changes of keys {open:?} are not confirmed though nothing is wrong any more"));
    }
    if history.unanswered > unanswered_before {
        history.wrong.push("a verification was not answered though nothing is wrong any more".to_owned());
    }
}
