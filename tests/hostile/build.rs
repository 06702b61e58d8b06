//! Generates the messages from `proto/`, so that the harness speaks the contract as it is checked in.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

const PROTO_DIR: &str = "../../proto";
const PACKAGE_DIR: &str = "../../proto/portcullis/v1";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO_DIR}");
    let mut files: Vec<PathBuf> =
        fs::read_dir(PACKAGE_DIR)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "proto"));
    files.sort();
    let descriptors = protox::compile(&files, [PROTO_DIR])?;
    prost_build::Config::new().btree_map(["."]).compile_fds(descriptors)?;
    Ok(())
}
