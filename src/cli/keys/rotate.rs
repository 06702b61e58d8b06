//! `keys rotate`

use clap::Args;
use prost_types::Duration;

use crate::cli::parse;
use crate::grpc::pb::RotateApiKeyRequest;

#[derive(Args, Debug)]
pub struct RotateArgs {
    /// The id of the key
    #[arg(value_parser = parse::KeyIdParser)]
    id: String,
    /// How long the present secret goes on working, e.g. 1h; up to 30 days [default: it stops at once]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    overlap: Option<Duration>,
    /// End a secret that still works after an earlier rotation
    #[arg(long)]
    end_overlap: bool,
}

impl RotateArgs {
    pub fn request(self) -> RotateApiKeyRequest {
        RotateApiKeyRequest { id: self.id, overlap: self.overlap, end_overlap: self.end_overlap }
    }
}
