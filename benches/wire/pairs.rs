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
        let load = self.load();
        report.begin(&Title { mode: self.mode, load, first: first.name(), second: second.name() });
        // Warms caches, pools and the allocators' arenas.
        load.run(first)?;
        load.run(second)?;
        for pair in 1..=self.options.pairs {
            report.pair(pair, &load.run(first)?, &load.run(second)?)?;
        }
        report.end()
    }

    /// Runs both and a control, which is the first one's program once more: what sets these two apart is noise.
    /// Fails if the second costs more processor time than the options allow.
    pub fn run_with_control<T: Target>(
        &self,
        first: &T,
        second: &T,
        control: &T,
        report: &mut Report,
    ) -> Result<(), Error> {
        let load = self.load();
        report.begin(&Title { mode: self.mode, load, first: first.name(), second: second.name() });
        for target in [first, second, control] {
            load.run(target)?;
        }
        let mut controls = Vec::new();
        for pair in 1..=self.options.pairs {
            // The order alternates: a machine that slows down during a round must not speak for either side.
            let (first, second, control) = if pair % 2 == 1 {
                (load.run(first)?, load.run(second)?, load.run(control)?)
            } else {
                let control = load.run(control)?;
                let second = load.run(second)?;
                (load.run(first)?, second, control)
            };
            report.pair(pair, &first, &second)?;
            controls.push(report.control(pair, &first, &control)?);
        }
        report.end()?;
        report.judge(controls, self.options.at_most)
    }

    fn load(&self) -> Load {
        Load {
            duration: Duration::from_secs_f64(self.options.seconds),
            in_flight: self.in_flight,
            connections: self.options.connections.clamp(1, self.in_flight),
            threads: self.options.client_threads,
        }
    }
}
