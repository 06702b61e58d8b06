//! How long a connection may do nothing, in ticks: one timer a connection tells all of it, and no clock is read.

use std::time::Duration;

use super::state::{ConnectionState, EndReason};
use super::traffic::Snapshot;

/// How often a connection is looked at.
pub const TICK: Duration = Duration::from_secs(5);

/// How many ticks a connection may be stuck: half-sent frames, or nothing taken of what it was sent.
const UNAUTHENTICATED_STUCK_MAX: u32 = 2;
const STUCK_MAX: u32 = 12;
/// How many ticks a connection that has not authenticated may go without finishing a call.
const UNAUTHENTICATED_IDLE_MAX: u32 = 9;
/// After how many silent ticks a client of HTTP/2 is pinged, and after how many its connection ends.
const SILENT_UNTIL_PING: u32 = 6;
const SILENT_MAX: u32 = 10;

/// What was seen at the ticks so far.
#[derive(Default)]
pub struct Patience {
    last: Snapshot,
    finished: usize,
    stuck: u32,
    idle: u32,
    silent: u32,
}

/// What to do after a tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Advice {
    /// Nothing.
    Wait,
    /// Ask the client for a sign of life.
    Ping,
    /// End the connection.
    End(EndReason),
}

impl Patience {
    /// Looks at a connection, once a tick.
    pub fn tick(&mut self, connection: &ConnectionState) -> Advice {
        let (now, finished) = (connection.traffic().snapshot(), connection.finished());
        let count = |is_so: bool, ticks: u32| if is_so { ticks + 1 } else { 0 };
        self.stuck = count(now.is_stuck_since(&self.last), self.stuck);
        self.silent = count(now.is_silent_since(&self.last), self.silent);
        self.idle = count(finished == self.finished && connection.calls() == 0, self.idle);
        (self.last, self.finished) = (now, finished);
        let is_authenticated = connection.is_authenticated();
        let stuck_max = if is_authenticated { STUCK_MAX } else { UNAUTHENTICATED_STUCK_MAX };
        match () {
            () if self.stuck >= stuck_max => Advice::End(EndReason::Stalled),
            () if !is_authenticated && self.idle >= UNAUTHENTICATED_IDLE_MAX => Advice::End(EndReason::Idle),
            () if self.silent >= SILENT_MAX => Advice::End(EndReason::Silent),
            () if self.silent == SILENT_UNTIL_PING => Advice::Ping,
            () => Advice::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::transport::request_budget::RequestBudget;
    use crate::transport::unsent::Unsent;

    fn connection() -> ConnectionState {
        let (peer, requests) = ("127.0.0.1:1".parse().unwrap(), Arc::new(RequestBudget::new(0)));
        ConnectionState::new(peer, CancellationToken::new(), Arc::new(Unsent::new(0)), requests)
    }

    /// What comes of a connection on which `happens` between ticks, and after how many of them.
    fn comes(connection: &ConnectionState, mut happens: impl FnMut(u32)) -> Option<(u32, EndReason)> {
        let mut patience = Patience::default();
        (1..100).find_map(|tick| {
            happens(tick);
            match patience.tick(connection) {
                Advice::End(reason) => Some((tick, reason)),
                Advice::Wait | Advice::Ping => None,
            }
        })
    }

    #[test]
    fn who_does_not_authenticate_may_not_idle() {
        let connection = connection();
        assert_eq!(
            comes(&connection, |tick| connection.traffic().received(1, tick as usize, false)),
            Some((9, EndReason::Idle))
        );
        // One that calls may stay.
        let calls = |tick| {
            connection.traffic().received(1, tick as usize, false);
            connection.call_began();
            connection.call_ended();
        };
        assert_eq!(comes(&connection, calls), None);
        connection.authenticated("a caller");
        assert_eq!(comes(&connection, |tick| connection.traffic().received(1, tick as usize, false)), None);
    }

    #[test]
    fn half_a_frame_may_not_last() {
        let drips = |connection: &ConnectionState| comes(connection, |_| connection.traffic().received(1, 7, true));
        let connection = connection();
        assert_eq!(drips(&connection), Some((3, EndReason::Stalled)));
        connection.authenticated("a caller");
        assert_eq!(drips(&connection), Some((13, EndReason::Stalled)));
        // Many halves of different frames are progress.
        assert_eq!(comes(&connection, |tick| connection.traffic().received(1, tick as usize, true)), None);
    }

    #[test]
    fn who_takes_nothing_may_not_stay() {
        let connection = connection();
        let unread = |tick| {
            connection.traffic().received(1, tick as usize, false);
            connection.traffic().written(true);
        };
        assert_eq!(comes(&connection, unread), Some((3, EndReason::Stalled)));
    }

    #[test]
    fn the_silent_are_asked_first() {
        let connection = connection();
        connection.authenticated("a caller");
        let mut patience = Patience::default();
        patience.tick(&connection);
        let advice: Vec<_> = (1..12).map(|_| patience.tick(&connection)).collect();
        let at = |wanted: Advice| advice.iter().position(|given| *given == wanted);
        assert!(
            at(Advice::Ping).is_some_and(|ping| Some(ping + 4) == at(Advice::End(EndReason::Silent))),
            "{advice:?}"
        );
    }
}
