//! `keys create`

use clap::Args;
use prost_types::{Duration, Struct, Timestamp};

use crate::cli::exit::Error;
use crate::cli::limits::Allowance;
use crate::cli::parse;
use crate::grpc::pb::CreateApiKeyRequest;
use crate::grpc::pb::create_api_key_request;

#[derive(Args, Debug)]
pub struct CreateArgs {
    /// What people will call the key
    #[arg(long)]
    name: String,
    /// Whom the key acts for, e.g. user_42
    #[arg(long)]
    subject: String,
    /// The keyspace to issue it in [default: default]
    #[arg(long, value_parser = parse::keyspace)]
    keyspace: Option<String>,
    /// Free text for people
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A right of the key, e.g. orders:read; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// A JSON object that travels with every verdict, or @FILE that holds one
    #[arg(long, value_name = "JSON", value_parser = parse::claims)]
    claims: Option<Struct>,
    /// A label to find the key by; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::label)]
    metadata: Vec<(String, String)>,
    #[command(flatten)]
    expiration: Expiration,
    #[command(flatten)]
    allowance: Allowance,
    /// Who asks for the key
    #[arg(long, value_name = "ID")]
    created_by: Option<String>,
    /// An id of this request, best a UUID: repeated within 24 hours it makes no second key
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
}

/// When a new key expires.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub struct Expiration {
    /// How long the key is valid from now, e.g. 30d or 12h [default: what the keyspace says, else for ever]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    ttl: Option<Duration>,
    /// From when on the key is invalid, e.g. 2030-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    expire_time: Option<Timestamp>,
}

impl From<Expiration> for Option<create_api_key_request::Expiration> {
    fn from(given: Expiration) -> Self {
        use create_api_key_request::Expiration::{ExpireTime, Ttl};
        given.ttl.map(Ttl).or(given.expire_time.map(ExpireTime))
    }
}

impl CreateArgs {
    pub fn request(self) -> Result<CreateApiKeyRequest, Error> {
        let (rate_limit, credits, allowed_cidrs) = self.allowance.fields();
        Ok(CreateApiKeyRequest {
            keyspace: self.keyspace.unwrap_or_default(),
            name: self.name,
            subject: self.subject,
            description: self.description.unwrap_or_default(),
            scopes: self.scopes,
            claims: self.claims,
            metadata: parse::labels(self.metadata)?,
            expiration: self.expiration.into(),
            created_by: self.created_by.unwrap_or_default(),
            request_id: self.request_id.unwrap_or_default(),
            rate_limit,
            credits,
            allowed_cidrs,
        })
    }
}
