//! What is called.

use crate::Error;
use crate::load::Recorder;
use crate::usage::Usage;

/// A server, or whatever else answers, together with the calls to make.
pub trait Target: Sync {
    /// What makes one call after the other.
    type Lane: Lane + 'static;

    /// What to call it in the table.
    fn name(&self) -> &'static str;

    /// What its processes have used so far.
    fn usage(&self) -> Result<Usage, Error>;

    /// Connects once, for calls of which `share` says how many are in flight and with which keys they begin.
    async fn connect(&self, share: &Share) -> Result<Vec<Self::Lane>, Error>;
}

/// Calls, one after the other.
pub trait Lane {
    /// Makes the next call, or as many as are made at a time; checks and records each.
    async fn turn(&mut self, recorder: &Recorder) -> Result<(), Error>;
}

/// A connection's share of the calls in flight.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// The first of its lanes, counted over all connections.
    pub first_lane: usize,
    /// How many of its calls are in flight.
    pub in_flight: usize,
    /// How many are, over all connections.
    pub in_flight_total: usize,
}

impl Share {
    /// With which of so many keys each lane begins: they are spread evenly, for no key shall be asked about by all at
    /// once.
    pub fn beginnings(&self, keys: usize) -> impl Iterator<Item = usize> {
        let total = self.in_flight_total;
        (self.first_lane..self.first_lane + self.in_flight).map(move |lane| lane * keys / total)
    }
}
