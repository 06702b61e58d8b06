//! Keys that the server has not seen: each costs a read of the store, once.

use crate::Error;
use crate::bystander::{self, Bystander, KEYS};
use crate::options::{Mode, Options};
use crate::portcullis::Portcullis;
use crate::report::{Figure, Report, mib};
use crate::store::{self, Store};

/// All of them once, then once more now that they are known: the load is the same, but for the reads.
pub fn measure(options: &Options, report: &mut Report) -> Result<(), Error> {
    let keys = KEYS..KEYS + options.cold_keys;
    let store = Store::with(options, keys.end)?;
    let portcullis = Portcullis::start_over(&store, &[], KEYS)?;
    let bystander = Bystander::new(&portcullis, options)?;
    let alone = bystander.alone()?;
    let before = portcullis.process.usage()?;
    let (beside_cold, cold) = bystander.beside_sweep(keys.clone(), store::known)?;
    let after = portcullis.process.usage()?;
    let (beside_known, known) = bystander.beside_sweep(keys, store::known)?;

    let mut figures = cold.figures("cold");
    figures.extend(known.figures("known"));
    figures.extend(bystander::figures("alone", &alone));
    figures.extend(bystander::figures("beside cold keys", &beside_cold));
    figures.extend(bystander::figures("beside known keys", &beside_known));
    figures.push(bystander::ratio("beside cold to alone", &beside_cold, &alone));
    figures.push(bystander::ratio("beside cold to beside known", &beside_cold, &beside_known));
    figures.push(Figure::new("memory before, MiB", mib(before.rss_bytes), 1));
    figures.push(Figure::new("memory after, MiB", mib(after.rss_bytes), 1));
    report.figures(Mode::Cold, &format!("{} keys that the server has not seen", options.cold_keys), &figures)?;
    cold.check()?;
    known.check()
}
