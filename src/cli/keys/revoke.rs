//! `keys revoke`

use clap::{Args, ValueEnum};

use crate::cli::exit::Error;
use crate::cli::{parse, terminal};
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
    #[arg(value_parser = parse::KeyIdParser)]
    id: Option<String>,
    /// Revoke the key whose secret stands in the text on stdin, at most 64 KiB: for those who found a leaked one
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
    /// Revoke the key even if it is the last admin key
    #[arg(long)]
    force: bool,
    /// Do not ask; without a terminal nothing is asked
    #[arg(long, short)]
    pub yes: bool,
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
    /// The id of the key, if it is revoked by that.
    pub fn id(&self) -> Option<&str> {
        self.target.id.as_deref()
    }

    /// The request, and what to say if there is no such key.
    pub fn request(self) -> Result<(RevokeApiKeyRequest, Option<&'static str>), Error> {
        let (target, hint) = match self.target.id {
            Some(id) => (Target::Id(id), None),
            None => {
                let secret = terminal::text_from_stdin()?;
                let hint = parse::hint_at(&secret);
                (Target::Secret(secret), hint)
            }
        };
        Ok((self.why.request(target), hint))
    }
}

impl Why {
    /// The request to revoke `target` for this reason.
    pub fn request(self, target: Target) -> RevokeApiKeyRequest {
        RevokeApiKeyRequest {
            target: Some(target),
            reason: self.reason.map_or(RevocationReason::Unspecified, Into::into).into(),
            comment: self.comment.unwrap_or_default(),
            allow_last_admin: self.force,
        }
    }
}
