//! Keys by the million: how soon after the start the first is answered for, and what memory they take.

use std::time::Instant;

use crate::Error;
use crate::options::{Mode, Options};
use crate::portcullis::Portcullis;
use crate::report::{Figure, Report, mib};
use crate::store::{self, Store};
use crate::sweep::{Sweep, Swept};

/// What the second server may remember, in MiB.
const SMALL_CACHE_MIB: &str = "64";

/// With memory as it is by default, and with little.
pub fn measure(options: &Options, report: &mut Report) -> Result<(), Error> {
    let store = Store::with(options, options.memory_keys)?;
    for (how, flags) in [("memory as by default", &[][..]), ("--cache-mib 64", &["--cache-mib", SMALL_CACHE_MIB])] {
        let (figures, halves) = verify_all(options, &store, flags)?;
        let title = format!("{} keys in the store, {how}", options.memory_keys);
        report.figures(Mode::Memory, &title, &figures)?;
        halves.iter().try_for_each(Swept::check)?;
    }
    Ok(())
}

/// Starts a server, and verifies one key, then all others in two halves: memory that is full after the first must not
/// grow with the second.
#[expect(clippy::cast_precision_loss, reason = "a rounded figure is what is wanted")]
fn verify_all(options: &Options, store: &Store, flags: &[&str]) -> Result<(Vec<Figure>, [Swept; 2]), Error> {
    let began = Instant::now();
    let portcullis = Portcullis::start_over(store, flags, 0)?;
    let one = Sweep { in_flight: 1, connections: 1 };
    one.run(&portcullis, 0..1, store::known)?.check()?;
    let first_answer = began.elapsed();

    let (process, all, half) = (&portcullis.process, options.memory_keys, options.memory_keys / 2);
    let at_first = process.usage()?.rss_bytes;
    let first = Sweep::of(options).run(&portcullis, 1..half, store::known)?;
    let halfway = process.usage()?.rss_bytes;
    let second = Sweep::of(options).run(&portcullis, half..all, store::known)?;
    let after = process.usage()?.rss_bytes;

    let mut figures = vec![
        Figure::new("filling the store, s", store.filled_in.as_secs_f64(), 1),
        Figure::new("start to first VALID, ms", first_answer.as_secs_f64() * 1e3, 0),
    ];
    figures.extend(first.figures("first half"));
    figures.extend(second.figures("second half"));
    figures.push(Figure::new("memory at the first VALID, MiB", mib(at_first), 1));
    figures.push(Figure::new("memory halfway, MiB", mib(halfway), 1));
    figures.push(Figure::new("memory after all, MiB", mib(after), 1));
    figures.push(Figure::new("most memory ever, MiB", mib(process.peak_rss_bytes()?), 1));
    let keys = first.keys + second.keys;
    figures.push(Figure::new("memory for each key, bytes", after.saturating_sub(at_first) as f64 / keys as f64, 0));
    Ok((figures, [first, second]))
}
