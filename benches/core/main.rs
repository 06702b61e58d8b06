//! What a verification costs inside the process, without the wire: `scripts/bench core`.
//!
//! Beside it, what it can be held against: one SHA-256 of a secret, and one read from memory that no cache has.
//!
//! - [`keys`]: keys without end that nobody has to keep
//! - [`subject`]: the verifier. All that knows how one is made
//! - [`chase`]: reads that miss every cache

mod chase;
mod keys;
mod subject;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion};
use keys::Keys;
use portcullis::key::verifier::sha256;
use subject::{Answer, Subject};

/// How many keys there are. Beyond the last one a cache of a gigabyte and more is filled: see [`KEYS_MAX`].
const SIZES: [u64; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
/// Names the largest size to measure; a million unless it says more.
const KEYS_MAX: &str = "BENCH_CORE_KEYS_MAX";
/// As many keys are asked about in turn. What is known of so many fits no processor's cache, unless it fits one whole.
const ASKED_MAX: u64 = 1 << 20;
/// Those that are not valid are few: their cost does not depend on how many there are.
const REFUSED: u64 = 1 << 12;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    yardsticks(&mut criterion);
    let keys_max = std::env::var(KEYS_MAX).map_or(1_000_000, |max| max.parse().expect("a number of keys"));
    for size in SIZES.into_iter().filter(|size| *size <= keys_max) {
        verify(&mut criterion, size);
    }
    criterion.final_summary();
}

/// How many bytes of memory this process has.
fn resident_size() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

fn yardsticks(criterion: &mut Criterion) {
    let secret = keys::secret(0);
    criterion.bench_function("sha256 of a secret", |bencher| bencher.iter(|| sha256(black_box(&secret))));
    let mut chase = chase::Chase::new();
    criterion.bench_function("a read from memory", |bencher| bencher.iter(|| chase.step()));
}

/// Every kind of answer, with so many keys.
fn verify(criterion: &mut Criterion, size: u64) {
    let keys = Keys { live: size, revoked: REFUSED };
    let asked: Vec<String> = keys.some_live(size.min(ASKED_MAX)).collect();
    let refused = |kind: &dyn Fn(u64) -> String| (0..REFUSED).map(kind).collect::<Vec<_>>();
    let cases = [
        ("valid", asked, Answer::Valid),
        ("not found", refused(&keys::unknown), Answer::NotFound),
        ("wrong secret", refused(&|at| keys::wrong(at % size)), Answer::NotFound),
        ("malformed", refused(&keys::mistyped), Answer::Malformed),
        ("revoked", refused(&|at| keys.revoked(at)), Answer::Revoked),
    ];
    let before = resident_size();
    let subject = Subject::new(keys);
    subject.know(keys.all_live());
    println!("{size} keys take {} bytes each", (resident_size() - before) / size);
    subject.know(cases.iter().flat_map(|(_, keys, _)| keys.iter().cloned()));
    // Every key is known from here on, as it is in a process that has been up for a while.
    for number in 0..size {
        assert_eq!(subject.verify(&keys::key(number)), Answer::Valid);
    }
    let mut group = criterion.benchmark_group("verify");
    for (name, presented, expected) in cases {
        for key in &presented {
            assert_eq!(subject.verify(key), expected, "{name}");
        }
        let mut turn = presented.iter().cycle();
        group.bench_function(BenchmarkId::new(name, size), |bencher| {
            bencher.iter(|| subject.verify(black_box(turn.next().expect("it goes round"))));
        });
    }
    group.finish();
}
