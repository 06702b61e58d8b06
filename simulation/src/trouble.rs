//! What goes wrong, and when.

use std::sync::Arc;

use crate::process::Link;
use crate::replica::Command;
use crate::work::{ask_late, lose_aside, lose_next, set_aside};
use crate::world::{LEASE, Odds, TICK, WAIT, World};
use crate::{hosts, work};

/// Until when things go wrong, in milliseconds.
pub const OVER: u64 = 6 * WAIT;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A process stops for a moment.
    Pause,
    /// A process stops for longer than anybody waits for it.
    LongPause,
    /// A process is killed, and started again later.
    Crash,
    /// A process ends in order, and is started again later.
    Leave,
    /// A process has a slow way to the database.
    SlowLink,
    /// A process has no way to the database.
    CutLink,
    /// The database does not answer for a while, and has lost nothing but acknowledgements.
    Restart,
    /// The database is lost, and with it what nobody was told of.
    Failover,
    /// Many keys end at once.
    Burst,
    /// The log is cleared away but for its end.
    Prune,
    /// A process stops until it is off the list. When it goes on, its way is slow and many keys end.
    Return,
    /// A process stops while the history that it has read is replaced by another.
    Fork,
}

/// All of it.
pub const ALL: [Trouble; 12] = [
    Trouble::Pause,
    Trouble::LongPause,
    Trouble::Crash,
    Trouble::Leave,
    Trouble::SlowLink,
    Trouble::CutLink,
    Trouble::Restart,
    Trouble::Failover,
    Trouble::Burst,
    Trouble::Prune,
    Trouble::Return,
    Trouble::Fork,
];

/// Lets some of these happen now and then, about so many milliseconds apart, until it is over.
pub fn begin(world: &Arc<World>, kinds: Vec<Trouble>, apart: u64) {
    if kinds.is_empty() {
        return;
    }
    let pause = world.draw(TICK..2 * apart);
    world.after(pause, move |world| {
        if world.now() < OVER {
            let kind = kinds[world.pick(kinds.len())];
            let process = world.pick(world.processes.len());
            make(world, kind, process);
            begin(world, kinds, apart);
        }
    });
}

/// Ends all that is wrong.
pub fn calm(world: &Arc<World>) {
    world.set_odds(Odds::default());
    {
        let mut database = world.database();
        database.is_away = false;
        database.is_waiting = false;
    }
    for process in 0..world.processes.len() {
        world.processes[process].set_link(Link::default());
        // Nobody is asked who was held up meanwhile: to wait for that answer would hold up those that come after.
        if world.processes[process].is_stopped() {
            world.processes[process].go_on(world);
            world.note("goes on", process, 0);
        }
        for millis in [0, LEASE, 2 * LEASE] {
            // One that was told to leave may do so only now.
            world.after(millis, move |world| hosts::restart(world, process));
        }
    }
    world.note("calm", 0, 0);
}

fn make(world: &Arc<World>, kind: Trouble, process: usize) {
    world.note(&format!("{kind:?}"), process, 0);
    let here = &world.processes[process];
    match kind {
        Trouble::Pause => {
            let most = if world.chance(0.5) { 60 } else { LEASE };
            let pause = world.draw(TICK..most);
            stop(world, process, pause);
        }
        Trouble::LongPause => {
            let pause = world.draw(LEASE..4 * WAIT);
            stop(world, process, pause);
        }
        Trouble::Crash => {
            hosts::crash(world, process);
            let down = world.draw(TICK..2 * WAIT);
            world.after(down, move |world| hosts::restart(world, process));
        }
        Trouble::Leave => {
            here.call(Command::Leave);
            let down = world.draw(200..2 * WAIT);
            world.after(down, move |world| hosts::restart(world, process));
        }
        Trouble::SlowLink => {
            let longest = world.draw(TICK..LEASE / 3);
            let lasts = world.draw(50..2 * WAIT);
            set_link(world, process, Link { slow: Some(longest), is_cut: false }, lasts);
        }
        Trouble::CutLink => {
            let lasts = if world.chance(0.5) { world.draw(TICK..LEASE) } else { world.draw(LEASE..3 * WAIT) };
            set_link(world, process, Link { slow: None, is_cut: true }, lasts);
        }
        Trouble::Restart => {
            let away = if world.chance(0.6) { world.draw(TICK..LEASE) } else { world.draw(LEASE..3 * WAIT) };
            let most = world.draw(1..5);
            let mut database = world.database();
            database.crash(|| world.draw(0..most).cast_signed());
            database.is_away = true;
            drop(database);
            world.after(away, |world| world.database().is_away = false);
        }
        Trouble::Failover => {
            let away = if world.chance(0.5) { 0 } else { world.draw(0..LEASE) };
            fail_over(world, away);
        }
        Trouble::Burst => burst(world, 10),
        Trouble::Prune => {
            let kept = world.pick(4);
            world.database().prune(kept);
        }
        Trouble::Return => {
            let (pause, longest) = (2 * WAIT + world.draw(0..WAIT), world.draw(TICK..LEASE / 6));
            let keys = set_aside(world, process, 8);
            world.after(30, move |world| {
                burst(world, 2);
                stop(world, process, pause);
            });
            world.after(30 + pause, move |world| {
                set_link(world, process, Link { slow: Some(longest), is_cut: false }, WAIT);
                for key in keys {
                    let soon = world.draw(0..4 * longest + 20);
                    world.after(soon, move |world| lose_aside(world, key, process));
                }
            });
        }
        Trouble::Fork => {
            // What is under way is seen by this process, and then lost.
            let keys = set_aside(world, process, 6);
            let seen_for = world.draw(6..40);
            world.after(30, |world| {
                world.database().is_waiting = world.now() < OVER;
                burst(world, 4);
            });
            world.after(30 + seen_for, move |world| {
                if world.now() >= OVER {
                    return;
                }
                let pause = world.draw(10..LEASE);
                stop(world, process, pause);
                fail_over(world, 0);
                for key in keys {
                    let soon = world.draw(0..30);
                    world.after(soon, move |world| lose_aside(world, key, process));
                }
            });
        }
    }
}

fn fail_over(world: &Arc<World>, away: u64) {
    let losable = world.database().losable();
    let lost = if losable == 0 { 0 } else { world.pick(losable + 1) };
    let mut database = world.database();
    database.fail_over(lost);
    database.is_away = away > 0;
    drop(database);
    world.note("lost", 0, lost);
    if away > 0 {
        world.after(away, |world| world.database().is_away = false);
    }
}

fn burst(world: &Arc<World>, most: u64) {
    if world.now() >= OVER {
        return;
    }
    for _ in 0..=world.draw(0..most) {
        let process = world.pick(world.processes.len());
        lose_next(world, process);
    }
}

fn set_link(world: &Arc<World>, process: usize, link: Link, lasts: u64) {
    if world.now() < OVER {
        world.processes[process].set_link(link);
        world.after(lasts, move |world| world.processes[process].set_link(Link::default()));
    }
}

fn stop(world: &Arc<World>, process: usize, pause: u64) {
    if !world.processes[process].is_stopped() && world.now() < OVER {
        world.processes[process].stop();
        world.after(pause, move |world| go_on(world, process));
    }
}

fn go_on(world: &Arc<World>, process: usize) {
    if !world.processes[process].is_stopped() {
        return;
    }
    world.processes[process].go_on(world);
    world.note("goes on", process, 0);
    ask_late(world, process);
    for _ in 0..3 {
        if let Some(secret) = work::any_ending(world) {
            world.processes[process].call(Command::Verify { secret, scoped: false });
        }
    }
}
