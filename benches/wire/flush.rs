//! How very many keys are used is written each second: what that does to those who verify. They call as fast as they can,
//! all keys in turn. Before that, a few of the keys in turn, whose use is soon written: not in between, for what was used
//! before would be written meanwhile.

use std::time::Duration;

use crate::Error;
use crate::load::{Load, Sample};
use crate::options::{Mode, Options};
use crate::portcullis::Portcullis;
use crate::report::{Figure, Report};
use crate::store::{self, Store};
use crate::sweep::Sweep;
use crate::unary::Unary;

/// A few keys.
const FEW: usize = 1_000;

/// See the module.
pub fn measure(options: &Options, report: &mut Report) -> Result<(), Error> {
    let store = Store::with(options, options.active_keys)?;
    let portcullis = Portcullis::start_over(&store, &[], options.active_keys)?;
    Sweep::of(options).run(&portcullis, 0..options.active_keys, store::known)?.check()?;
    for &in_flight in &options.in_flight {
        let load = Load {
            duration: Duration::from_secs_f64(options.seconds),
            in_flight,
            connections: options.connections.clamp(1, in_flight),
            threads: options.client_threads,
        };
        let few = median_p99(options, &load, &Unary::verify(&portcullis)?.first(FEW))?;
        let many = median_p99(options, &load, &Unary::verify(&portcullis)?)?;
        let figures = [
            Figure::new("p99, few keys, µs", few, 0),
            Figure::new("p99, all keys, µs", many, 0),
            Figure::new("p99, all to few", many / few, 2),
        ];
        report.figures(
            Mode::Flush,
            &format!("{} keys in use, {in_flight} in flight", options.active_keys),
            &figures,
        )?;
    }
    Ok(())
}

/// Of as many runs as there would be pairs, behind one that warms up.
fn median_p99(options: &Options, load: &Load, calls: &Unary<'_>) -> Result<f64, Error> {
    load.run(calls)?;
    let runs: Result<Vec<_>, Error> = (0..options.pairs.max(1)).map(|_| Ok(p99(&load.run(calls)?))).collect();
    let mut runs = runs?;
    runs.sort_by(f64::total_cmp);
    Ok(runs[runs.len() / 2])
}

#[expect(clippy::cast_precision_loss, reason = "a rounded figure is what is wanted")]
fn p99(sample: &Sample) -> f64 {
    sample.latencies.value_at_quantile(0.99) as f64 / 1e3
}
