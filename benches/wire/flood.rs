//! Keys that do not exist, well-formed and each another: whoever makes them up knows how, and no checksum stops him.

use crate::Error;
use crate::bystander::{self, Bystander, KEYS};
use crate::options::{Mode, Options};
use crate::portcullis::Portcullis;
use crate::report::{Figure, Report, mib};
use crate::store::{self, Store};

/// As many again as the bystander has, so that finding nothing takes a look at more than one page.
const OTHER_KEYS: u64 = 99_000;

/// In two halves: memory that grows with the first must not grow with the second. Then as many keys that are known.
pub fn measure(options: &Options, report: &mut Report) -> Result<(), Error> {
    let store = Store::with(options, KEYS + OTHER_KEYS)?;
    let portcullis = Portcullis::start_over(&store, &[], KEYS)?;
    let bystander = Bystander::new(&portcullis, options)?;
    let alone = bystander.alone()?;
    let process = &portcullis.process;
    let half = options.flood_keys / 2;
    let (before, read_before) = (process.usage()?, process.file_bytes_read()?);
    let (_, first) = bystander.beside_sweep(0..half, store::unknown)?;
    let halfway = process.usage()?;
    let (beside_unknown, second) = bystander.beside_sweep(half..2 * half, store::unknown)?;
    let (after, read) = (process.usage()?, process.file_bytes_read()? - read_before);
    let peak_bytes = process.peak_rss_bytes()?;
    let (beside_known, known) = bystander.beside_sweep(0..half, |number| store::known(number % KEYS))?;

    let mut figures = first.figures("unknown, first half");
    figures.extend(second.figures("unknown, second half"));
    figures.extend(known.figures("known"));
    figures.extend(bystander::figures("alone", &alone));
    figures.extend(bystander::figures("beside unknown keys", &beside_unknown));
    figures.extend(bystander::figures("beside known keys", &beside_known));
    figures.push(bystander::ratio("beside unknown to alone", &beside_unknown, &alone));
    figures.push(bystander::ratio("beside unknown to beside known", &beside_unknown, &beside_known));
    figures.push(Figure::new("memory before, MiB", mib(before.rss_bytes), 1));
    figures.push(Figure::new("memory halfway, MiB", mib(halfway.rss_bytes), 1));
    figures.push(Figure::new("memory after, MiB", mib(after.rss_bytes), 1));
    figures.push(Figure::new("most memory ever, MiB", mib(peak_bytes), 1));
    figures.push(Figure::new("read from the store, MiB", mib(read), 1));
    report.figures(Mode::Flood, &format!("{} keys that do not exist", 2 * half), &figures)?;
    first.check()?;
    second.check()?;
    known.check()
}
