//! `keys revoke`

use clap::{Args, ValueEnum};

use crate::cli::exit::Error;
use crate::cli::terminal;
use crate::grpc::pb::{RevocationReason, RevokeApiKeyRequest, revoke_api_key_request::Target};

#[derive(Args, Debug)]
pub struct RevokeArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    pub why: Why,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct TargetArgs {
    /// The id of the key
    id: Option<String>,
    /// Revoke the key whose secret is the first line of stdin: for whoever found a leaked one
    #[arg(long)]
    secret_stdin: bool,
}

/// Why a key is revoked.
#[derive(Args, Debug)]
pub struct Why {
    /// Why
    #[arg(long, value_enum)]
    reason: Option<Reason>,
    /// More about why
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Reason {
    /// Somebody else has, or may have, the secret
    KeyCompromise,
    /// Another key took its place
    Superseded,
    /// The owner left, or now belongs elsewhere
    AffiliationChanged,
    /// The owner may no longer do this
    PrivilegeWithdrawn,
    /// The owner has no more use for it
    NoLongerNeeded,
}

impl From<Reason> for RevocationReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::KeyCompromise => Self::KeyCompromise,
            Reason::Superseded => Self::Superseded,
            Reason::AffiliationChanged => Self::AffiliationChanged,
            Reason::PrivilegeWithdrawn => Self::PrivilegeWithdrawn,
            Reason::NoLongerNeeded => Self::NoLongerNeeded,
        }
    }
}

impl RevokeArgs {
    pub fn request(self) -> Result<RevokeApiKeyRequest, Error> {
        let target = match self.target.id {
            Some(id) => Target::Id(id),
            None => Target::Secret(terminal::secret_from_stdin()?),
        };
        Ok(self.why.request(target))
    }
}

impl Why {
    /// The request to revoke `target` for this reason.
    pub fn request(self, target: Target) -> RevokeApiKeyRequest {
        RevokeApiKeyRequest {
            target: Some(target),
            reason: self.reason.map_or(RevocationReason::Unspecified, Into::into).into(),
            comment: self.comment.unwrap_or_default(),
        }
    }
}
