//! `portcullis keys …`

use clap::{Args, Subcommand};
use tonic::Code;

use super::client::{Client, ClientArgs};
use super::exit::{Error, Exit};
use super::{parse, terminal};
use crate::clock::{Clock as _, SystemClock};
use crate::grpc::pb::{DeleteApiKeyRequest, GetApiKeyRequest};

mod create;
mod import;
pub mod list;
pub mod revoke;
mod rotate;
mod update;
mod verify;

pub use create::Expiration;

/// `keys` and what follows.
#[derive(Args, Debug)]
pub struct KeysArgs {
    #[command(flatten)]
    pub client: ClientArgs,
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Issue a key; its secret is shown this once
    Create(create::CreateArgs),
    /// Take in keys whose secrets another system made, from a file; exits 1 if any line was refused
    Import(import::ImportArgs),
    /// Show one key
    Get {
        /// The id of the key
        #[arg(value_parser = parse::KeyIdParser)]
        id: String,
    },
    /// List keys, newest first; by default only those that verify
    List(list::ListArgs),
    /// Change what is given and nothing else
    Update(update::UpdateArgs),
    /// Give a key a new secret under the same id; the new secret is shown this once
    Rotate(rotate::RotateArgs),
    /// End a key for good, everywhere at once
    Revoke(revoke::RevokeArgs),
    /// Remove a key and its history of use
    Delete(DeleteArgs),
    /// Ask whether a key is valid; exits 0 if so, 1 if not
    Verify(verify::VerifyArgs),
}

#[derive(Args, Debug)]
struct DeleteArgs {
    /// The id of the key
    #[arg(value_parser = parse::KeyIdParser)]
    id: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Delete the key even if it is the last admin key
    #[arg(long)]
    force: bool,
}

/// The key of this id in words, with its name and subject if they can be read.
async fn describe(client: &Client, id: &str) -> String {
    let key = client.keys().get_api_key(GetApiKeyRequest { id: id.to_owned() }).await;
    match key.ok().and_then(|key| key.into_inner().api_key) {
        Some(key) => format!("key {id}, {:?} of {}", key.name, key.subject),
        None => format!("key {id}"),
    }
}

/// Runs one of them.
pub async fn run(args: KeysArgs) -> Result<Exit, Error> {
    let KeysArgs { client, command } = args;
    let out = client.out();
    match command {
        KeysCommand::Create(args) => {
            let request = args.request()?;
            out.show(&client.connect().await?.keys().create_api_key(request).await?.into_inner())
        }
        KeysCommand::Import(args) => import::run(args, &client).await,
        KeysCommand::Get { id } => {
            out.show(&client.connect().await?.keys().get_api_key(GetApiKeyRequest { id }).await?.into_inner())
        }
        KeysCommand::List(args) => list::run(args, &client).await,
        KeysCommand::Update(args) => {
            let request = args.request(SystemClock.now())?;
            out.show(&client.connect().await?.keys().update_api_key(request).await?.into_inner())
        }
        KeysCommand::Rotate(args) => {
            out.show(&client.connect().await?.keys().rotate_api_key(args.request()).await?.into_inner())
        }
        KeysCommand::Revoke(args) => {
            let connected = client.connect().await?;
            if let Some(id) = args.id().filter(|_| !args.why.yes && terminal::is_interactive()) {
                terminal::confirm(&format!("Revoke {} for good?", describe(&connected, id).await))?;
            }
            let (request, hint) = args.request()?;
            let revoked = connected.keys().revoke_api_key(request).await;
            if let (Err(status), Some(hint)) = (&revoked, hint)
                && status.code() == Code::NotFound
            {
                terminal::note(hint);
            }
            out.show(&revoked?.into_inner())
        }
        KeysCommand::Delete(DeleteArgs { id, yes, force }) => {
            if !yes && !terminal::is_interactive() {
                terminal::confirm(&format!("Delete key {id} and its history of use?"))?;
            }
            let connected = client.connect().await?;
            if !yes {
                let key = describe(&connected, &id).await;
                terminal::confirm(&format!("Delete {key} and its history of use?"))?;
            }
            let request = DeleteApiKeyRequest { id, allow_last_admin: force };
            out.show(&connected.keys().delete_api_key(request).await?.into_inner())
        }
        KeysCommand::Verify(args) => verify::run(args, &client).await,
    }
}
