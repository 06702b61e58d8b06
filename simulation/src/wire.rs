//! Calls from a process to the database, and all that can go wrong on the way.

use std::sync::Arc;

use portcullis::store::StoreError;
use tokio::sync::oneshot;

use crate::database::Database;
use crate::world::{Dice, LEASE, TICK, WAIT, World};

/// How long whoever calls waits at the most, in milliseconds.
const GIVEN_UP_AFTER: u64 = 2 * WAIT;

/// What a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Once it is answered, all that it rests on outlives every crash.
    Durable,
    /// Nothing outlives anything because of it.
    Hurried,
}

/// Who calls, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Which process.
    pub process: usize,
    /// What becomes durable by it.
    pub kind: Kind,
    /// By a connection of this life of the database.
    pub epoch: u64,
    /// The name of the call.
    pub what: &'static str,
    /// The number of what it concerns.
    pub which: usize,
}

/// Calls the database.
pub async fn call<T: Send + 'static>(
    world: &Arc<World>,
    of: Call,
    work: impl FnOnce(&mut Database) -> T + Send + 'static,
) -> Result<T, StoreError> {
    let (answer, answered) = oneshot::channel::<Result<T, &'static str>>();
    let (odds, Call { process, kind, epoch, .. }) = (world.odds(), of);
    let mut dice = world.dice(process, of.what, of.which);
    let there = latency(world, process, odds.slow, &mut dice);
    let back = latency(world, process, odds.slow, &mut dice);
    let turn = dice.draw(0..u64::MAX);
    let patience = if dice.chance(0.7) { GIVEN_UP_AFTER } else { back };
    if dice.chance(odds.refused) {
        world.plan(there + back, turn, move |_| drop(answer.send(Err("refused"))));
    } else if dice.chance(odds.late) {
        let gone = dice.draw(0..WAIT);
        let late = gone + dice.draw(0..2 * WAIT);
        world.plan(there + gone, turn, move |_| drop(answer.send(Err("the connection was lost"))));
        world.plan(there + late, turn, move |world| {
            let mut database = world.database();
            // A request that has got lost in a network ends with its connection.
            if database.epoch == epoch && world.odds().late > 0.0 && !database.is_away {
                work(&mut database);
            }
        });
    } else {
        let is_lost = dice.chance(odds.answer_lost);
        world.plan(there, turn, move |world| {
            let mut database = world.database();
            let is_cut = world.processes[process].link().is_cut;
            if is_cut || database.is_away || database.epoch != epoch {
                drop(database);
                let patience = if is_cut { patience } else { back };
                world.plan(patience, turn, move |_| drop(answer.send(Err("no connection"))));
                return;
            }
            let done = work(&mut database);
            let rests_on = database.writes();
            drop(database);
            world.plan(back, turn, move |world| {
                let is_cut = world.processes[process].link().is_cut;
                let mut database = world.database();
                if kind == Kind::Durable && database.is_waiting {
                    // Until it is lost itself.
                    world.plan(LEASE / 4, turn, move |_| drop(answer.send(Err("the connection was lost"))));
                    return;
                }
                if is_lost || is_cut || database.epoch != epoch {
                    drop(answer.send(Err("the connection was lost")));
                    return;
                }
                if kind == Kind::Durable {
                    database.keep(rests_on);
                }
                drop(database);
                drop(answer.send(Ok(done)));
            });
        });
    }
    let answered = answered.await.unwrap_or(Err("no answer"));
    answered.map_err(|why| StoreError::Unavailable(why.into()))
}

/// How long a message takes one way.
fn latency(world: &World, process: usize, slow: f64, dice: &mut Dice) -> u64 {
    match world.processes[process].link().slow {
        Some(longest) => dice.draw(0..longest + 1),
        None if dice.chance(slow) => dice.draw(0..WAIT / 4),
        None => dice.draw(0..2) * TICK,
    }
}
