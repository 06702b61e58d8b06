//! `root-key create --offline`: a root key made on the store itself, for when every other is lost.

use super::exit::{Error, Exit};
use super::output::Out;
use crate::grpc::pb::CreateApiKeyRequest;

/// Where the store is.
#[derive(clap::Args, Debug)]
pub struct OfflineArgs {
    /// Work on the store itself, not through a server: for when every root key is lost. On SQLite the server must be
    /// stopped
    #[arg(long)]
    pub offline: bool,
}

pub async fn create_root_key(_args: OfflineArgs, _request: CreateApiKeyRequest, _out: Out) -> Result<Exit, Error> {
    Err(Error::Failed("not built yet".into()))
}
