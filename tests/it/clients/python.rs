//! Stubs generated from `proto/` by grpcio-tools, as a caller in Python would have them.

use std::fs;

use tempfile::TempDir;

use super::{Backend, check, run, tool};
use crate::readme;
use crate::service::over_both_stores;
use crate::support::service::Service;

over_both_stores![a_keys_life];

const PROTO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");

/// Generates the stubs into a directory of their own.
async fn stubs() -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut generate = tool("python");
    generate.args(["-m", "grpc_tools.protoc", "--proto_path", PROTO]);
    for kind in ["--python_out", "--grpc_python_out"] {
        generate.arg(kind).arg(dir.path());
    }
    let files = fs::read_dir(format!("{PROTO}/portcullis/v1")).expect("the contract");
    generate.args(files.map(|file| file.expect("a file").path()));
    check("generating the stubs", &run(generate).await);
    dir
}

/// Runs a program that imports the stubs.
async fn run_program(what: &str, program: &str, service: &Service) {
    let stubs = stubs().await;
    let path = stubs.path().join("program.py");
    fs::write(&path, program).expect("a file");
    let mut python = tool("python");
    python.arg(&path).env("PORTCULLIS_ADDR", service.addr.to_string());
    python.env("PORTCULLIS_ROOT_KEY", &service.root_key);
    check(what, &run(python).await);
}

async fn a_keys_life(backend: Backend) {
    let service = Service::start(backend).await;
    run_program("walk.py", include_str!("walk.py"), &service).await;
    service.stop().await;
}

#[tokio::test]
async fn the_program_in_the_readme_runs() {
    let service = Service::start(Backend::Sqlite).await;
    let program = readme::block("python", "grpc.insecure_channel").replace(readme::ADDR, &service.addr.to_string());
    run_program("the README's program", &program, &service).await;
    service.stop().await;
}
