//! One target beside another, in turn: what else the machine does meets both alike.

use std::time::Duration;

use crate::Error;
use crate::load::Load;
use crate::options::{Mode, Options};
use crate::report::{Report, Title};
use crate::target::Target;

/// A comparison, at one number of calls in flight.
pub struct Pairs<'a> {
    pub options: &'a Options,
    pub mode: Mode,
    pub in_flight: usize,
}

impl Pairs<'_> {
    /// Runs both in turn, and reports each pair and the medians. The ratios are the second's to the first's.
    pub fn run<A: Target, B: Target>(&self, first: &A, second: &B, report: &mut Report) -> Result<(), Error> {
        let load = Load {
            duration: Duration::from_secs_f64(self.options.seconds),
            in_flight: self.in_flight,
            connections: self.options.connections.clamp(1, self.in_flight),
            threads: self.options.client_threads,
        };
        report.begin(&Title { mode: self.mode, load, first: first.name(), second: second.name() });
        // Warms caches, pools and the allocators' arenas.
        load.run(first)?;
        load.run(second)?;
        for pair in 1..=self.options.pairs {
            report.pair(pair, &load.run(first)?, &load.run(second)?)?;
        }
        report.end()
    }
}
