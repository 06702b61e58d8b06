//! The program: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use portcullis::cli::{self, Cli};
use zeroizing_alloc::ZeroAlloc;

/// Wipes what is freed: secrets pass through buffers that are not ours, such as those of HTTP/2.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<mimalloc::MiMalloc> = ZeroAlloc(mimalloc::MiMalloc);

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return cli::exit::of_parse_error(&error),
    };
    if cli.is_serve() {
        cli::environment::clear_secrets();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(cli::run(cli))
}
