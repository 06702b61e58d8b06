//! `keys verify`

use std::fmt;

use clap::Args;

use crate::cli::client::ClientArgs;
use crate::cli::exit::{Error, Exit};
use crate::cli::{parse, terminal};
use crate::grpc::pb::{Verdict, VerifyApiKeyRequest, VerifyRequest};

#[derive(Args)]
pub struct VerifyArgs {
    /// The key, or a text with one key in it; - or nothing reads it from stdin, which keeps it out of the shell's history
    key: Option<String>,
    /// A scope that the key must have; may be repeated, then it must have all
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// A scope of which the key must have one; may be repeated
    #[arg(long = "any-scope", value_name = "SCOPE")]
    any_scopes: Vec<String>,
    /// The keyspace that the key must belong to [default: any that the root key may verify in]
    #[arg(long, value_parser = parse::keyspace)]
    keyspace: Option<String>,
    /// The address that the key is presented from; needed for keys that may be used only from some networks
    #[arg(long, value_name = "ADDRESS")]
    client_ip: Option<String>,
    /// How many credits to take; with --full, how many there must be [default: 1]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i64).range(0..))]
    cost: Option<i64>,
    /// Read the store itself and show the whole key: for incidents and audits. It takes no credit and does not count as a use
    #[arg(long)]
    full: bool,
}

/// By hand, because of the key.
impl fmt::Debug for VerifyArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyArgs").finish_non_exhaustive()
    }
}

pub async fn run(args: VerifyArgs, client: &ClientArgs) -> Result<Exit, Error> {
    let key = match args.key {
        Some(key) if key != "-" => parse::key_in(&key)?,
        _ => parse::key_in(&terminal::text_from_stdin()?)?,
    };
    let (required_scopes, any_of_scopes, cost) = (args.scopes, args.any_scopes, args.cost);
    let (keyspace, client_ip) = (args.keyspace.unwrap_or_default(), args.client_ip.unwrap_or_default());
    let hint = parse::hint_at(&key);
    let asked = keyspace.clone();
    let server = client.connect().await?;
    let (valid, verdict) = if args.full {
        let request = VerifyApiKeyRequest { key, required_scopes, any_of_scopes, keyspace, client_ip, cost };
        let answer = server.keys().verify_api_key(request).await?.into_inner();
        client.out().show(&answer)?;
        (answer.valid, answer.verdict())
    } else {
        let request = VerifyRequest { key, required_scopes, any_of_scopes, keyspace, client_ip, cost };
        let answer = server.verification().verify(request).await?.into_inner();
        client.out().show(&answer)?;
        (answer.valid, answer.verdict())
    };
    // To a service that verifies, all that it may not see is NOT_FOUND. A person should learn of a typing error.
    if verdict == Verdict::NotFound && !asked.is_empty() {
        server.check_keyspace(&asked).await?;
    }
    if matches!(verdict, Verdict::Malformed | Verdict::NotFound)
        && let Some(hint) = hint
    {
        terminal::note(hint);
    }
    Ok(if valid { Exit::Done } else { Exit::Denied })
}
