//! Stubs generated from `proto/` by grpcio-tools, as a caller in Python would have them, and the package for Python.

use std::fs;
use std::path::Path;

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

/// Runs a program that imports what is at `path`.
async fn run_program(what: &str, program: &str, path: &Path, service: &Service) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("program.py");
    fs::write(&file, program).expect("a file");
    let mut python = tool("python");
    python.arg(&file).env("PYTHONPATH", path).env("PYTHONDONTWRITEBYTECODE", "1");
    python.env("PORTCULLIS_ADDR", service.addr.to_string());
    python.env("PORTCULLIS_SERVER", format!("http://{}", service.addr));
    python.env("PORTCULLIS_ROOT_KEY", &service.root_key);
    check(what, &run(python).await);
}

async fn a_keys_life(backend: Backend) {
    let service = Service::start(backend).await;
    run_program("walk.py", include_str!("walk.py"), stubs().await.path(), &service).await;
    service.stop().await;
}

#[tokio::test]
async fn the_program_in_the_readme_runs() {
    let service = Service::start(Backend::Sqlite).await;
    let package = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/clients/python/src"));
    run_program("the README's program", &readme::block("python", "import Client"), package, &service).await;
    service.stop().await;
}
