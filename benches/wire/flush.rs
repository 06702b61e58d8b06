//! How very many keys are used is written each second: what that does to those who verify. They call as fast as they can,
//! all keys in turn; beside that, a few of the keys in turn, whose use is soon written.

use crate::Error;
use crate::options::{Mode, Options};
use crate::pairs::Pairs;
use crate::portcullis::Portcullis;
use crate::report::Report;
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
        let pairs = Pairs { options, mode: Mode::Flush, in_flight };
        let few = Unary::verify(&portcullis)?.first(FEW).named("few keys");
        pairs.run(&few, &Unary::verify(&portcullis)?.named("many keys"), report)?;
    }
    Ok(())
}
