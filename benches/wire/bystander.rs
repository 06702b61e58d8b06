//! Somebody whose keys the server has long known, and who calls it now and then: what a bad day does to others shows in
//! how long he waits.

use std::ops::Range;
use std::time::Duration;

use crate::Error;
use crate::load::{Load, Sample};
use crate::options::Options;
use crate::portcullis::{Key, Portcullis};
use crate::report::Figure;
use crate::store;
use crate::sweep::{Sweep, Swept};
use crate::unary::Unary;

/// His keys: the first ones.
pub const KEYS: u64 = 1_000;
/// Longer takes nothing that is measured beside him.
const TIME_MAX: Duration = Duration::from_hours(1);

/// See the module.
pub struct Bystander<'a> {
    portcullis: &'a Portcullis,
    calls: Unary<'a>,
    load: Load,
    sweep: Sweep,
}

impl<'a> Bystander<'a> {
    /// Of a server that was started with [`KEYS`] keys known by name. Verifies them once.
    pub fn new(portcullis: &'a Portcullis, options: &Options) -> Result<Self, Error> {
        let duration = Duration::from_secs_f64(options.seconds);
        let load = Load { duration, in_flight: options.bystander_in_flight, connections: 1, threads: 1 };
        let sweep = Sweep::of(options);
        sweep.run(portcullis, 0..KEYS, store::known)?.check()?;
        Ok(Self { portcullis, calls: Unary::verify(portcullis)?, load, sweep })
    }

    /// How it is when nobody else calls.
    pub fn alone(&self) -> Result<Sample, Error> {
        self.load.run(&self.calls)
    }

    /// How it is while something happens, and what came of that.
    pub fn beside<R>(&self, work: impl FnOnce() -> Result<R, Error>) -> Result<(Sample, R), Error> {
        self.load.during(&self.calls, TIME_MAX, work)
    }

    /// How it is while each of these keys is verified once.
    pub fn beside_sweep<F>(&self, numbers: Range<u64>, key: F) -> Result<(Sample, Swept), Error>
    where
        F: Fn(u64) -> Key + 'static,
    {
        self.beside(|| self.sweep.run(self.portcullis, numbers, key))
    }
}

/// How long he waited.
pub fn figures(when: &str, sample: &Sample) -> Vec<Figure> {
    let quantile = |name: &str, quantile| Figure::new(format!("bystander {name}, {when}, µs"), us(sample, quantile), 0);
    vec![quantile("p50", 0.5), quantile("p99", 0.99)]
}

/// His 99th percentile then and otherwise.
pub fn ratio(name: &str, then: &Sample, otherwise: &Sample) -> Figure {
    Figure::new(format!("bystander p99, {name}"), us(then, 0.99) / us(otherwise, 0.99), 2)
}

#[expect(clippy::cast_precision_loss, reason = "a rounded figure is what is wanted")]
fn us(sample: &Sample, quantile: f64) -> f64 {
    sample.latencies.value_at_quantile(quantile) as f64 / 1e3
}
