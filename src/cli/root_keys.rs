//! `portcullis root-key …`: the keys of keyspace `system`.

use clap::{Args, Subcommand};

use super::client::ClientArgs;
use super::exit::{Error, Exit};
use super::keys::revoke::Why;
use super::keys::{self, Expiration};
use super::list::Page;
use super::offline::{self, OfflineArgs};
use super::{parse, terminal};
use crate::grpc::pb::{CreateApiKeyRequest, GetApiKeyRequest, ListApiKeysRequest, revoke_api_key_request::Target};
use crate::key::keyspace::SYSTEM;

/// `root-key` and what follows.
#[derive(Args, Debug)]
pub struct RootKeyArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: RootKeyCommand,
}

#[derive(Debug, Subcommand)]
enum RootKeyCommand {
    /// Make a root key; its secret is shown this once
    Create(CreateArgs),
    /// List root keys, newest first; by default only those that are valid
    List(ListArgs),
    /// End a root key for good
    Revoke(RevokeArgs),
}

#[derive(Args, Debug)]
struct CreateArgs {
    /// What people will call the key
    #[arg(long)]
    name: String,
    /// What the key opens, e.g. keys:verify, or keys:read@prod for keyspace prod only; may be repeated
    #[arg(long = "permission", value_name = "PERMISSION", required = true)]
    permissions: Vec<String>,
    /// Which service will hold the key
    #[arg(long, default_value = "operator")]
    subject: String,
    /// Free text for people
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    #[command(flatten)]
    expiration: Expiration,
    #[command(flatten)]
    offline: OfflineArgs,
}

#[derive(Args, Debug)]
struct ListArgs {
    /// Also keys that are revoked, expired or disabled
    #[arg(long)]
    include_invalid: bool,
    #[command(flatten)]
    page: Page,
}

#[derive(Args, Debug)]
struct RevokeArgs {
    /// The id of the root key
    #[arg(value_parser = parse::KeyIdParser)]
    id: String,
    #[command(flatten)]
    why: Why,
}

impl CreateArgs {
    fn request(self) -> (CreateApiKeyRequest, OfflineArgs) {
        let request = CreateApiKeyRequest {
            keyspace: SYSTEM.to_owned(),
            name: self.name,
            subject: self.subject,
            description: self.description.unwrap_or_default(),
            scopes: self.permissions,
            expiration: self.expiration.into(),
            ..CreateApiKeyRequest::default()
        };
        (request, self.offline)
    }
}

/// Runs one of them.
pub async fn run(args: RootKeyArgs) -> Result<Exit, Error> {
    let RootKeyArgs { client, command } = args;
    match command {
        RootKeyCommand::Create(args) => {
            let (request, offline) = args.request();
            if offline.offline {
                return offline::create_root_key(offline, request, client.out()).await;
            }
            client.out().show(&client.connect().await?.keys().create_api_key(request).await?.into_inner())
        }
        RootKeyCommand::List(args) => {
            let request = ListApiKeysRequest {
                keyspace: SYSTEM.to_owned(),
                include_invalid: args.include_invalid,
                ..ListApiKeysRequest::default()
            };
            keys::list::show(request, args.page, &client).await
        }
        RootKeyCommand::Revoke(RevokeArgs { id, why }) => revoke(id, why, &client).await,
    }
}

/// Whoever may revoke root keys may revoke every key; one that is no root key was surely not meant.
async fn revoke(id: String, why: Why, client: &ClientArgs) -> Result<Exit, Error> {
    let mut keys = client.connect().await?.keys();
    let key = keys.get_api_key(GetApiKeyRequest { id: id.clone() }).await?.into_inner().api_key.unwrap_or_default();
    if key.keyspace != SYSTEM {
        return Err(Error::Failed(format!("{id} is no root key; `portcullis keys revoke` revokes the others")));
    }
    if !why.yes && terminal::is_interactive() {
        terminal::confirm(&format!("Revoke root key {id}, {:?} of {}, for good?", key.name, key.subject))?;
    }
    client.out().show(&keys.revoke_api_key(why.request(Target::Id(id))).await?.into_inner())
}
