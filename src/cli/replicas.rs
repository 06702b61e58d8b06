//! `portcullis replicas`: who shares the database, and how far each is.

use clap::Args;

use super::client::ClientArgs;
use super::exit::{Error, Exit};
use crate::grpc::pb::ListReplicasRequest;

/// Which server to ask.
#[derive(Args, Debug)]
pub struct ReplicasArgs {
    #[command(flatten)]
    client: ClientArgs,
}

/// Shows all of them.
pub async fn run(args: ReplicasArgs) -> Result<Exit, Error> {
    let mut replicas = args.client.connect().await?.replicas();
    let answer = replicas.list_replicas(ListReplicasRequest {}).await?.into_inner();
    args.client.out().show(&answer)
}
