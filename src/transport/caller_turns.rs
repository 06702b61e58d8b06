//! Callers take turns on a serving thread: one with many connections, each of which has calls all the time, keeps those of
//! others waiting for a part of them only.
//!
//! A thread runs the tasks of its connections one after the other, in a round. In each round a caller has so many calls;
//! its connections beyond that are put off to the next, and are not read. The first that was put off comes again when
//! the round is over. While there is one caller only, nothing is put off.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use super::queue_time::coarse_now;

/// How many calls of a caller may begin in a round, and how many of those that had to wait may end: half a millisecond's
/// worth of verifications, and a few milliseconds' worth of what costs most.
const CALLS_PER_ROUND: usize = 64;
/// How long after a call of another caller there is held to be more than one.
const CONTENDED_FOR: Duration = Duration::from_secs(1);
/// Most callers that are remembered, at some 50 bytes each. Then all begin anew.
const CALLERS_MAX: usize = 4_096;

thread_local! {
    static CALLERS: RefCell<Callers> = RefCell::default();
}

/// The callers of one thread.
#[derive(Default)]
struct Callers {
    turns: HashMap<u64, Turn>,
    /// Whose call was the last.
    latest: u64,
    /// When a call followed one of another caller.
    contended_at: Duration,
}

/// What a caller had of the present round.
#[derive(Default)]
struct Turn {
    calls: usize,
    /// The connection that was put off first.
    first_put_off: Option<usize>,
}

/// Returns whether `connection` of `caller` may go on in this round; else it is to be run again in the next.
pub fn may_go_on(caller: u64, connection: usize) -> bool {
    CALLERS.with_borrow_mut(|callers| callers.may_go_on(caller, connection, coarse_now))
}

/// Notes that `calls` of `caller` began, or ended after they had to wait, or as much was done for one that lasts.
pub fn note_calls(caller: u64, calls: usize) {
    CALLERS.with_borrow_mut(|callers| callers.note_calls(caller, calls, coarse_now));
}

/// Forgets a connection that has ended, or has calls of another caller from now on: others may wait for it to come again.
/// Those that have not authenticated take turns as one caller, whose number is 0.
pub fn forget(caller: u64, connection: usize) {
    CALLERS.with_borrow_mut(|callers| callers.forget(caller, connection));
}

impl Callers {
    fn may_go_on(&mut self, caller: u64, connection: usize, now: impl Fn() -> Duration) -> bool {
        let Some(turn) = self.turns.get_mut(&caller) else { return true };
        if turn.calls < CALLS_PER_ROUND {
            return true;
        }
        let is_contended = now().saturating_sub(self.contended_at) < CONTENDED_FOR;
        if !is_contended || turn.first_put_off == Some(connection) {
            *turn = Turn::default();
            return true;
        }
        turn.first_put_off.get_or_insert(connection);
        false
    }

    fn note_calls(&mut self, caller: u64, calls: usize, now: impl Fn() -> Duration) {
        if caller != self.latest {
            self.latest = caller;
            self.contended_at = now();
        }
        if self.turns.len() >= CALLERS_MAX {
            self.turns.clear();
        }
        self.turns.entry(caller).or_default().calls += calls;
    }

    fn forget(&mut self, caller: u64, connection: usize) {
        if self.turns.get(&caller).is_some_and(|turn| turn.first_put_off == Some(connection)) {
            self.turns.remove(&caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_hours(1);

    #[test]
    fn a_caller_with_many_connections_leaves_room_for_others_in_each_round() {
        let mut callers = Callers::default();
        callers.note_calls(2, 1, || NOW);
        // Three connections with 30 calls each get through.
        for connection in 0..3 {
            assert!(callers.may_go_on(1, connection, || NOW));
            callers.note_calls(1, 30, || NOW);
        }
        assert!(!callers.may_go_on(1, 3, || NOW) && !callers.may_go_on(1, 4, || NOW));
        assert!(callers.may_go_on(2, 9, || NOW), "another caller");
        assert!(callers.may_go_on(1, 3, || NOW), "it comes again: the round is over");
        callers.note_calls(1, 300, || NOW);
        assert!(!callers.may_go_on(1, 4, || NOW));
        callers.forget(1, 4);
        assert!(callers.may_go_on(1, 5, || NOW), "what ended is not waited for");
    }

    #[test]
    fn a_connection_that_authenticates_leaves_nothing_behind() {
        let mut callers = Callers::default();
        callers.note_calls(2, 1, || NOW);
        callers.note_calls(0, CALLS_PER_ROUND, || NOW);
        assert!(!callers.may_go_on(0, 1, || NOW) && !callers.may_go_on(0, 2, || NOW));
        callers.forget(0, 1);
        assert!(callers.may_go_on(3, 1, || NOW) && callers.may_go_on(0, 2, || NOW));
    }

    #[test]
    fn a_caller_that_is_alone_is_never_put_off() {
        let mut callers = Callers::default();
        let go_on = |callers: &mut Callers, at| {
            (0..100).all(|connection| {
                let may = callers.may_go_on(1, connection, || at);
                callers.note_calls(1, 100, || at);
                may
            })
        };
        callers.note_calls(2, 1, || NOW);
        assert!(!go_on(&mut callers, NOW), "there was another a moment ago");
        assert!(go_on(&mut callers, NOW + CONTENDED_FOR));
    }

    #[test]
    fn callers_are_bounded() {
        let mut callers = Callers::default();
        (1..10 * CALLERS_MAX as u64).for_each(|caller| callers.note_calls(caller, 1, || NOW));
        assert!(callers.turns.len() <= CALLERS_MAX);
    }
}
