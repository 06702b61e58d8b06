//! What a verification costs on the wire: Portcullis beside a server that does nothing, and beside what one would write
//! instead; and what a bad day does to it. `scripts/bench` builds both and runs this; `--help` lists the options.
//!
//! The modules, in the order in which to read them:
//!
//! - [`options`]: what to measure
//! - [`echo`]: the server that does nothing, a process of its own
//! - [`portcullis`]: the program that is measured, with keys in it
//! - [`process`], [`usage`]: servers as processes, and what they use
//! - [`grpc`], [`messages`]: a client that is as light as can be
//! - [`target`], [`unary`], [`batch`], [`stream`]: what is called
//! - [`postgres`], [`redis`]: what one would write instead
//! - [`load`]: the calls
//! - [`pairs`]: one target beside another, in turn
//! - [`flush`]: what it costs to write how very many keys are used
//! - [`made`], [`store`], [`sweep`], [`bystander`]: many keys, each verified once, and who suffers from it
//! - [`cold`], [`flood`], [`connections`], [`memory`]: bad days
//! - [`revoke`]: how long it takes until a key is refused everywhere
//! - [`lists`]: pages of a keyspace with very many keys
//! - [`report`]: the table and the JSON

mod batch;
mod bystander;
mod cold;
mod connections;
mod echo;
mod flood;
mod flush;
mod grpc;
mod lists;
mod load;
mod made;
mod memory;
mod messages;
mod options;
mod pairs;
mod portcullis;
mod postgres;
mod process;
mod redis;
mod report;
mod revoke;
mod store;
mod stream;
mod sweep;
mod target;
mod unary;
mod usage;

use std::cell::LazyCell;
use std::process::ExitCode;

use batch::Batch;
use clap::Parser as _;
use options::{Mode, Options};
use pairs::Pairs;
use portcullis::Portcullis;
use postgres::Postgres;
use redis::Redis;
use report::Report;
use stream::Stream;
use unary::Unary;

/// Whatever went wrong: a benchmark can only say so and end.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// Why some are not measured.
const NO_SUCH_METHOD: &str = "the program has no such method";

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match options.echo_response_bytes {
        Some(bytes) => echo::serve(bytes),
        None => measure(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<(), Error> {
    // All that compare share one; each bad day has its own.
    let portcullis = LazyCell::new(|| Portcullis::start(options));
    let mut report = Report::create(&options.json)?;
    for &mode in &options.modes {
        let compare = match measurement(mode) {
            Measurement::Comparison(compare) => compare,
            Measurement::BadDay(measure) => {
                measure(options, &mut report)?;
                continue;
            }
        };
        let portcullis = portcullis.as_ref().map_err(ToString::to_string)?;
        for &in_flight in &options.in_flight {
            compare(&Pairs { options, mode, in_flight }, portcullis, &mut report)?;
        }
    }
    Ok(())
}

/// How a mode is measured.
enum Measurement {
    /// In turn with something, for each number of calls in flight.
    Comparison(fn(&Pairs<'_>, &Portcullis, &mut Report) -> Result<(), Error>),
    /// Over a store of its own.
    BadDay(fn(&Options, &mut Report) -> Result<(), Error>),
}

fn measurement(mode: Mode) -> Measurement {
    match mode {
        Mode::Verify => Measurement::Comparison(verify),
        Mode::Postgres => Measurement::Comparison(postgres),
        Mode::Redis => Measurement::Comparison(redis),
        Mode::Batch => Measurement::Comparison(batch),
        Mode::Stream => Measurement::Comparison(stream),
        Mode::Build => Measurement::Comparison(build),
        Mode::Limits => Measurement::Comparison(limits),
        Mode::Flush => Measurement::BadDay(flush::measure),
        Mode::Cold => Measurement::BadDay(cold::measure),
        Mode::Flood => Measurement::BadDay(flood::measure),
        Mode::Connections => Measurement::BadDay(connections::measure),
        Mode::Memory => Measurement::BadDay(memory::measure),
        Mode::Lists => Measurement::BadDay(lists::measure),
        Mode::Revoke => Measurement::BadDay(revoke::measure),
    }
}

/// Verify beside an RPC of the same size that does nothing.
fn verify(pairs: &Pairs<'_>, portcullis: &Portcullis, report: &mut Report) -> Result<(), Error> {
    let verify = Unary::verify(portcullis)?;
    let echo = echo::start(portcullis.response_len)?;
    let echo = Unary::echo(&echo, portcullis)?;
    pairs.run(&echo, &verify, report)
}

/// Verify beside Verify of another build, and that beside itself.
fn build(pairs: &Pairs<'_>, portcullis: &Portcullis, report: &mut Report) -> Result<(), Error> {
    let beside = pairs.options.beside.clone().ok_or("--beside names no build")?;
    let options = Options { program: Some(beside), ..pairs.options.clone() };
    let (other, control) = (Portcullis::start(&options)?, Portcullis::start(&options)?);
    let (other, control) = (Unary::verify(&other)?.named("beside"), Unary::verify(&control)?.named("control"));
    pairs.run_with_control(&other, &Unary::verify(portcullis)?, &control, report)
}

/// Verify of keys that have a rate limit and credits beside Verify of keys that have neither.
fn limits(pairs: &Pairs<'_>, portcullis: &Portcullis, report: &mut Report) -> Result<(), Error> {
    let limited = Portcullis::start_limited(pairs.options)?;
    pairs.run(&Unary::verify(portcullis)?, &Unary::verify(&limited)?.named("limited"), report)
}

/// Verify beside a SELECT.
fn postgres(pairs: &Pairs<'_>, portcullis: &Portcullis, report: &mut Report) -> Result<(), Error> {
    let postgres = Postgres::start(pairs.options, portcullis)?;
    pairs.run(&postgres, &Unary::verify(portcullis)?, report)
}

/// Verify beside a GET.
fn redis(pairs: &Pairs<'_>, portcullis: &Portcullis, report: &mut Report) -> Result<(), Error> {
    match Redis::start(portcullis)? {
        Some(redis) => pairs.run(&redis, &Unary::verify(portcullis)?, report),
        None => report.skip(pairs.mode, "there is no redis-server on the PATH"),
    }
}

/// BatchVerify beside Verify.
fn batch(pairs: &Pairs<'_>, portcullis: &Portcullis, report: &mut Report) -> Result<(), Error> {
    let batch = Batch::new(portcullis, pairs.options.batch)?;
    if !portcullis.has(batch::PATH)? {
        return report.skip(pairs.mode, NO_SUCH_METHOD);
    }
    pairs.run(&Unary::verify(portcullis)?, &batch, report)
}

/// VerifyStream beside Verify.
fn stream(pairs: &Pairs<'_>, portcullis: &Portcullis, report: &mut Report) -> Result<(), Error> {
    if !portcullis.has(stream::PATH)? {
        return report.skip(pairs.mode, NO_SUCH_METHOD);
    }
    pairs.run(&Unary::verify(portcullis)?, &Stream::new(portcullis)?, report)
}
