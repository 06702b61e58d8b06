//! Thousands of seeds, each of which must keep the promise; each fault, which one of them must find; and that a seed
//! always does the same.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use portcullis::seeded::Fault;
use portcullis_simulation::{Report, run};

/// How many threads run seeds; each runs one at a time.
const THREADS: u64 = 2;
/// Most seeds that it may take to find a fault.
const FAULT_SEEDS: u64 = 400;

/// The number in the environment, if there is one.
fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number; is {text:?}")))
}

/// Runs these seeds in no order, until one has it that all further ones are needless.
fn each(seeds: u64, fault: Option<Fault>, look: impl Fn(u64, &Report) -> bool + Sync) {
    let (next, end) = (AtomicU64::new(0), AtomicU64::new(seeds));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end.load(Ordering::Relaxed) {
                        break;
                    }
                    if look(seed, &run(seed, fault, false)) {
                        end.fetch_min(seed, Ordering::Relaxed);
                    }
                }
            });
        }
    });
}

#[test]
fn every_seed_keeps_the_promise() {
    if let Some(seed) = from_environment("SEED") {
        let report = run(seed, None, true);
        println!("{}", report.words.join("\n"));
        assert!(report.wrong.is_empty(), "seed {seed}:\n{}", report.wrong.join("\n"));
        return;
    }
    let seeds = from_environment("SEEDS").unwrap_or(2_000);
    let counts: [AtomicU64; 6] = Default::default();
    each(seeds, None, |seed, report| {
        if !report.wrong.is_empty() {
            println!("seed {seed}:\n  {}\n  again, in words: SEED={seed} make simulate", report.wrong.join("\n  "));
        }
        let wrong = u64::from(!report.wrong.is_empty());
        let found = [wrong, report.confirmed, report.verified, report.valid, report.unanswered, report.trace];
        for (count, found) in counts.iter().zip(found) {
            count.fetch_add(found, Ordering::Relaxed);
        }
        false
    });
    let [wrong, confirmed, verified, valid, unanswered, trace] = counts.map(AtomicU64::into_inner);
    println!(
        "{seeds} seeds: {confirmed} changes were confirmed; {verified} verifications were answered, {valid} of them with \
         VALID, and {unanswered} were not; all in all {trace:016x}"
    );
    assert_eq!(wrong, 0, "seeds that break the promise");
}

#[test]
fn a_seed_always_does_the_same() {
    for seed in 0..20 {
        let (first, second) = (run(seed, None, false), run(seed, None, false));
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.verified, second.verified, "seed {seed}");
    }
}

/// Checks that a seed finds `fault`.
#[track_caller]
fn finds(fault: Fault) {
    let found = AtomicU64::new(u64::MAX);
    let most = from_environment("FAULT_SEEDS").unwrap_or(FAULT_SEEDS);
    each(most, Some(fault), |seed, report| {
        let is_found = report.wrong.iter().any(|wrong| wrong.contains("accepts"));
        if is_found && found.fetch_min(seed, Ordering::Relaxed) > seed {
            println!("{fault:?}: seed {seed}: {}", report.wrong[0]);
        }
        is_found
    });
    let found = found.into_inner();
    assert_ne!(found, u64::MAX, "no seed of {most} finds {fault:?}");
    println!("{fault:?} is found by seed {found} first");
}

macro_rules! each_fault_is_found {
    ($($name:ident: $fault:ident,)*) => {
        $(
            #[test]
            fn $name() {
                finds(Fault::$fault);
            }
        )*

        #[test]
        fn no_fault_is_left_out() {
            let all = [$(Fault::$fault),*];
            assert_eq!(all, Fault::ALL);
        }
    };
}

each_fault_is_found! {
    a_truncated_look_that_extends_the_lease_is_found: TruncatedLookExtends,
    a_lease_from_the_reply_is_found: LeaseFromReply,
    an_unpoisoned_fill_is_found: UnpoisonedFill,
    a_late_registration_is_found: LateRegistration,
    a_repeat_that_is_confirmed_at_once_is_found: RepeatAtOnce,
    a_dead_replica_that_is_skipped_is_found: DeadSkippedAtOnce,
    an_acknowledgement_before_its_time_is_found: AckBeforeApply,
    a_deadline_that_is_looked_at_late_is_found: DeadlineLate,
    a_hint_that_is_trusted_is_found: HintTrusted,
    a_fork_that_goes_unnoticed_is_found: ForkUnnoticed,
}
