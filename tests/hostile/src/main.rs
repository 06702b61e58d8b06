//! Attacks a server of its own as strangers and as neighbours would, beside a bystander who must not notice.
//! `scripts/hostile` builds and runs it; docs/hostile.md says what must hold.
//!
//! The modules, in the order in which to read them:
//!
//! - [`options`]: what to run, and what must be reached
//! - [`cores`], [`cgroup`], [`server`], [`tls`], [`postgres`]: the server, and what it may use
//! - [`pb`], [`methods`], [`client`], [`frames`], [`raw`]: calls as they should be, and frames as they should not
//! - [`made`], [`fixture`]: what is in the store
//! - [`bystander`]: who must not notice
//! - [`attack`]: the kinds
//! - [`arena`], [`report`]: one after the other, and what came of it
//! - [`bad_clients`]: bytes that no client should send
//! - [`ledger`]: changes of callers who give up, and what is left of them
//! - [`overload`]: more calls than can be answered

mod arena;
mod attack;
mod bad_clients;
mod bystander;
mod cgroup;
mod client;
mod cores;
mod fixture;
mod frames;
mod ledger;
mod made;
mod methods;
mod options;
mod overload;
mod pb;
mod postgres;
mod raw;
mod report;
mod server;
mod tls;

use std::process::ExitCode;

use clap::Parser as _;

use arena::Arena;
use attack::{KINDS, Kind, Over};
use cgroup::{Cgroup, Limits};
use cores::Cores;
use options::Options;
use server::Program;

/// Whatever went wrong with the harness itself.
type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(true) => {
            println!("\nhostile: all passed");
            ExitCode::SUCCESS
        }
        Ok(false) => {
            println!("\nhostile: FAILED; the logs of the servers are in {}", options.logs.display());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<bool, Error> {
    // A connection is a file, and some attacks have thousands.
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: files.maximum, maximum: files.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised)?;
    let cores = Cores::of_this_process()?;
    let limits = Limits { memory_bytes: Some(options.memory_bytes()), cpu_percent: None };
    let program = Program { path: options.program.canonicalize()?, cores, limits, logs: options.logs.clone() };
    let by_kernel = Cgroup::create(limits).limits_memory;
    let who = if by_kernel { "a control group" } else { "the harness, for there is no control group" };
    println!(
        "{}: {} MiB, kept by {who}; {cores:?}; {:?} each",
        options.program.display(),
        options.memory_bytes() >> 20,
        options.duration()
    );
    let mut passed = true;
    for over in [Over::Sqlite, Over::Tls, Over::Postgres] {
        passed &= attack_over(options, &program, over)?;
    }
    if options.includes(options::BAD_CLIENTS) {
        passed &= bad_clients::run(&program)?;
    }
    if options.includes(options::LEDGER) && options.has_store("postgres") {
        passed &= ledger::run(options, &program)?;
    }
    passed &= overload::run(options, &program)?;
    Ok(passed)
}

/// Runs all kinds that are for this store.
fn attack_over(options: &Options, program: &Program, over: Over) -> Result<bool, Error> {
    let store = if over == Over::Postgres { "postgres" } else { "sqlite" };
    let is_for = |kind: &&Kind| kind.over == over || (kind.over == Over::BothStores && over != Over::Tls);
    let kinds: Vec<_> = KINDS.iter().filter(is_for).copied().collect();
    let is_chosen =
        |kind: &&Kind| options.includes(kind.name) && (over != Over::Postgres || options.runs_over_postgres(kind.name));
    let chosen: Vec<_> = kinds.iter().filter(is_chosen).collect();
    let together = options.includes(options::EVERYTHING) && over == Over::Sqlite;
    if !options.has_store(store) || (chosen.is_empty() && !together) {
        return Ok(true);
    }
    let mut arena = Arena::prepare(options, program, over)?;
    let mut passed = true;
    for kind in chosen {
        passed &= arena.run(*kind)?;
    }
    if together {
        passed &= arena.run_together(&kinds)?;
    }
    Ok(passed)
}
