//! Compiles `proto/` without protoc and keeps the descriptor set, for reflection and for JSON.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message as _;

const PROTO_DIR: &str = "proto";
const PACKAGE_DIR: &str = "proto/portcullis/v1";

/// Messages with a secret in them: their `Debug` is written by hand in `src/grpc/pb.rs`.
const SECRET_BEARING: [&str; 9] = [
    ".portcullis.v1.ApiKeyImport",
    ".portcullis.v1.ApiKeyImport.material",
    ".portcullis.v1.CreateApiKeyResponse",
    ".portcullis.v1.RotateApiKeyResponse",
    ".portcullis.v1.RevokeApiKeyRequest",
    ".portcullis.v1.RevokeApiKeyRequest.target",
    ".portcullis.v1.SecretDigest",
    ".portcullis.v1.VerifyApiKeyRequest",
    ".portcullis.v1.VerifyRequest",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO_DIR}");
    println!("cargo::rerun-if-changed=src/store");
    let mut files: Vec<PathBuf> =
        fs::read_dir(PACKAGE_DIR)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "proto"));
    files.sort();

    let descriptors = protox::compile(&files, [PROTO_DIR])?;
    let out = Path::new(&env::var("OUT_DIR")?).join("portcullis.bin");
    fs::write(out, descriptors.encode_to_vec())?;

    tonic_prost_build::configure()
        .skip_debug(SECRET_BEARING)
        .btree_map(".portcullis.v1")
        .boxed(".portcullis.v1.ApiKeyImportResult.outcome.api_key")
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .codec_path("crate::grpc::codec::ExactCodec")
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    Ok(())
}
