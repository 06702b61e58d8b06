//! `portcullis keyspaces …`

use clap::{Args, Subcommand, ValueEnum};
use prost_types::{Duration, FieldMask};

use super::client::ClientArgs;
use super::exit::{Error, Exit};
use super::limits::{self, Set};
use super::list::Page;
use super::parse;
use crate::grpc::pb::{
    self, CreateKeyspaceRequest, DeleteKeyspaceRequest, GetKeyspaceRequest, Keyspace, KeyspaceLimits,
    ListKeyspacesRequest, RateLimit, UpdateKeyspaceRequest,
};

/// `keyspaces` and what follows.
#[derive(Args, Debug)]
pub struct KeyspacesArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: KeyspacesCommand,
}

#[derive(Debug, Subcommand)]
enum KeyspacesCommand {
    /// Make a keyspace
    Create(CreateArgs),
    /// Show one keyspace
    Get {
        /// The id of the keyspace
        id: String,
    },
    /// List the keyspaces by id
    List(Page),
    /// Change what is given and nothing else; keys issued before stay as they are
    Update(UpdateArgs),
    /// Delete a keyspace that has no keys
    Delete {
        /// The id of the keyspace
        id: String,
    },
}

#[derive(Args, Debug)]
struct CreateArgs {
    /// The id: lower-case letters, digits and -, starting with a letter, up to 40
    id: String,
    /// What people call it
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// What its key strings start with, e.g. ak_live [default: ak]
    #[arg(long, value_name = "PREFIX")]
    key_prefix: Option<String>,
    /// What may stand before the first _ of a subject, e.g. user; may be repeated [default: anything]
    #[arg(long = "allowed-subject-type", value_name = "TYPE")]
    allowed_subject_types: Vec<String>,
    /// How long a key is valid if its creation does not say, e.g. 90d
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    default_ttl: Option<Duration>,
    /// How long a key may be valid at the most, e.g. 365d
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    max_ttl: Option<Duration>,
    /// Let a scope end in * and cover all that start with what stands before it
    #[arg(long)]
    allow_wildcard_scopes: bool,
    /// How the secrets of its keys are kept [default: sha256]
    #[arg(long, value_enum, value_name = "POLICY")]
    hash_policy: Option<Policy>,
    /// How often each key may be used that has no rate of its own, e.g. 100/s or daily=1000/day; may be repeated, then
    /// all hold [default: as often as it likes]
    #[arg(long = "default-rate", value_name = "RATE", value_parser = limits::rate)]
    default_rates: Vec<RateLimit>,
    /// Most calls in flight that make or change its keys [default: as the server is set]
    #[arg(long, value_name = "CALLS")]
    calls_max: Option<i32>,
    /// Most calls a second that make or change its keys [default: as the server is set]
    #[arg(long, value_name = "CALLS")]
    calls_per_second: Option<i32>,
    /// Most keys, revoked ones too [default: as the server is set]
    #[arg(long, value_name = "KEYS")]
    keys_max: Option<i64>,
}

#[derive(Args, Debug)]
#[command(override_usage = "portcullis keyspaces update [OPTIONS] <ID>")]
struct UpdateArgs {
    /// The id of the keyspace
    id: String,
    #[command(flatten)]
    change: Change,
    /// Change the keyspace only if this is still its etag
    #[arg(long)]
    etag: Option<String>,
}

/// What to change: at least one.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct Change {
    /// What people call it; '' clears it
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// What its new key strings start with, e.g. ak_live
    #[arg(long, value_name = "PREFIX")]
    key_prefix: Option<String>,
    /// What may stand before the first _ of a subject, in place of what may now; may be repeated
    #[arg(long = "allowed-subject-type", value_name = "TYPE")]
    allowed_subject_types: Vec<String>,
    /// Let any subject be
    #[arg(long, conflicts_with = "allowed_subject_types")]
    any_subject_type: bool,
    /// How long a key is valid if its creation does not say, e.g. 90d
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    default_ttl: Option<Duration>,
    /// Let keys be valid for as long as they may be if their creation does not say
    #[arg(long, conflicts_with = "default_ttl")]
    no_default_ttl: bool,
    /// How long a key may be valid at the most, e.g. 365d
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    max_ttl: Option<Duration>,
    /// Let keys be valid for ever
    #[arg(long, conflicts_with = "max_ttl")]
    no_max_ttl: bool,
    /// Let a scope end in * and cover all that start with what stands before it
    #[arg(long, conflicts_with = "refuse_wildcard_scopes")]
    allow_wildcard_scopes: bool,
    /// Refuse such scopes; those that keys have cover only themselves
    #[arg(long)]
    refuse_wildcard_scopes: bool,
    /// How the secrets of its new keys are kept
    #[arg(long, value_enum, value_name = "POLICY")]
    hash_policy: Option<Policy>,
    /// How often each key may be used that has no rate of its own, keys issued before too, e.g. 100/s; may be repeated,
    /// then all hold; none: as often as it likes
    #[arg(long = "default-rate", value_name = "RATE", value_parser = limits::or_none(limits::rate))]
    default_rates: Vec<Set<RateLimit>>,
    /// Most calls in flight that make or change its keys. This and the next two are set together: what is not given is as
    /// the server is set
    #[arg(long, value_name = "CALLS")]
    calls_max: Option<i32>,
    /// Most calls a second that make or change its keys
    #[arg(long, value_name = "CALLS")]
    calls_per_second: Option<i32>,
    /// Most keys, revoked ones too
    #[arg(long, value_name = "KEYS")]
    keys_max: Option<i64>,
    /// Let all three be as the server is set
    #[arg(long, conflicts_with_all = ["calls_max", "calls_per_second", "keys_max"])]
    no_limits: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Policy {
    /// Right for issued secrets, which cannot be guessed, and fast
    Sha256,
    /// For those whose auditors ask for it
    Argon2id,
}

impl Policy {
    fn number(policy: Option<Self>) -> i32 {
        match policy {
            None => pb::HashPolicy::Unspecified,
            Some(Self::Sha256) => pb::HashPolicy::Sha256,
            Some(Self::Argon2id) => pb::HashPolicy::Argon2id,
        }
        .into()
    }
}

impl CreateArgs {
    fn request(self) -> CreateKeyspaceRequest {
        let keyspace = Keyspace {
            id: self.id,
            display_name: self.display_name.unwrap_or_default(),
            key_prefix: self.key_prefix.unwrap_or_default(),
            allowed_subject_types: self.allowed_subject_types,
            default_ttl: self.default_ttl,
            max_ttl: self.max_ttl,
            allow_wildcard_scopes: self.allow_wildcard_scopes,
            hash_policy: Policy::number(self.hash_policy),
            default_rate_limit: limits::together(self.default_rates),
            limits: together(self.calls_max, self.calls_per_second, self.keys_max),
            ..Keyspace::default()
        };
        CreateKeyspaceRequest { keyspace: Some(keyspace) }
    }
}

impl UpdateArgs {
    /// The request: the mask names what was given.
    fn request(self) -> Result<UpdateKeyspaceRequest, Error> {
        let Self { id, change, etag } = self;
        let own_limits = together(change.calls_max, change.calls_per_second, change.keys_max);
        let given = [
            ("display_name", change.display_name.is_some()),
            ("key_prefix", change.key_prefix.is_some()),
            ("allowed_subject_types", !change.allowed_subject_types.is_empty() || change.any_subject_type),
            ("default_ttl", change.default_ttl.is_some() || change.no_default_ttl),
            ("max_ttl", change.max_ttl.is_some() || change.no_max_ttl),
            ("allow_wildcard_scopes", change.allow_wildcard_scopes || change.refuse_wildcard_scopes),
            ("hash_policy", change.hash_policy.is_some()),
            ("default_rate_limit", !change.default_rates.is_empty()),
            ("limits", own_limits.is_some() || change.no_limits),
        ];
        let paths = given.into_iter().filter(|(_, given)| *given).map(|(path, _)| path.to_owned()).collect();
        let keyspace = Keyspace {
            id,
            display_name: change.display_name.unwrap_or_default(),
            key_prefix: change.key_prefix.unwrap_or_default(),
            allowed_subject_types: change.allowed_subject_types,
            default_ttl: change.default_ttl,
            max_ttl: change.max_ttl,
            allow_wildcard_scopes: change.allow_wildcard_scopes,
            hash_policy: Policy::number(change.hash_policy),
            default_rate_limit: limits::together(limits::all("--default-rate", change.default_rates)?),
            limits: own_limits,
            etag: etag.unwrap_or_default(),
            ..Keyspace::default()
        };
        Ok(UpdateKeyspaceRequest { keyspace: Some(keyspace), update_mask: Some(FieldMask { paths }) })
    }
}

fn together(calls_max: Option<i32>, calls_per_second: Option<i32>, keys_max: Option<i64>) -> Option<KeyspaceLimits> {
    let limits = KeyspaceLimits { calls_max, calls_per_second, keys_max };
    (limits != KeyspaceLimits::default()).then_some(limits)
}

/// Runs one of them.
pub async fn run(args: KeyspacesArgs) -> Result<Exit, Error> {
    let KeyspacesArgs { client, command } = args;
    let out = client.out();
    let mut keyspaces = client.connect().await?.keyspaces();
    match command {
        KeyspacesCommand::Create(args) => out.show(&keyspaces.create_keyspace(args.request()).await?.into_inner()),
        KeyspacesCommand::Get { id } => {
            out.show(&keyspaces.get_keyspace(GetKeyspaceRequest { id }).await?.into_inner())
        }
        KeyspacesCommand::List(page) => {
            let fetch = async |page_size, page_token| {
                let request = ListKeyspacesRequest { page_size, page_token };
                Ok(keyspaces.list_keyspaces(request).await?.into_inner())
            };
            page.show(out, fetch).await
        }
        KeyspacesCommand::Update(args) => out.show(&keyspaces.update_keyspace(args.request()?).await?.into_inner()),
        KeyspacesCommand::Delete { id } => {
            out.show(&keyspaces.delete_keyspace(DeleteKeyspaceRequest { id }).await?.into_inner())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: UpdateArgs,
    }

    fn mask(args: &[&str]) -> Option<Vec<String>> {
        let line = Line::try_parse_from(["update", "prod"].iter().chain(args)).ok()?;
        line.args.request().ok()?.update_mask.map(|mask| mask.paths)
    }

    #[track_caller]
    fn check(args: &[&str], paths: &[&str]) {
        assert_eq!(mask(args), Some(paths.iter().map(ToString::to_string).collect()), "{args:?}");
    }

    #[test]
    fn the_mask_names_what_was_given() {
        check(&["--display-name", ""], &["display_name"]);
        check(&["--key-prefix", "ak"], &["key_prefix"]);
        check(&["--allowed-subject-type", "user", "--allowed-subject-type", "org"], &["allowed_subject_types"]);
        check(&["--any-subject-type"], &["allowed_subject_types"]);
        check(&["--default-ttl", "1d", "--no-max-ttl"], &["default_ttl", "max_ttl"]);
        check(&["--no-default-ttl", "--max-ttl", "1d"], &["default_ttl", "max_ttl"]);
        check(&["--allow-wildcard-scopes"], &["allow_wildcard_scopes"]);
        check(&["--refuse-wildcard-scopes", "--etag", "e"], &["allow_wildcard_scopes"]);
        check(&["--hash-policy", "argon2id"], &["hash_policy"]);
        check(&["--default-rate", "1/s", "--default-rate", "9/day"], &["default_rate_limit"]);
        check(&["--default-rate", "none"], &["default_rate_limit"]);
        check(&["--keys-max", "9"], &["limits"]);
        check(&["--no-limits"], &["limits"]);
    }

    #[test]
    fn what_cannot_be_meant() {
        for bad in [
            &[][..],
            &["--etag", "e"],
            &["--allow-wildcard-scopes", "--refuse-wildcard-scopes"],
            &["--default-ttl", "1d", "--no-default-ttl"],
            &["--max-ttl", "1d", "--no-max-ttl"],
            &["--allowed-subject-type", "user", "--any-subject-type"],
            &["--default-rate", "1/s", "--default-rate", "none"],
            &["--default-rate", "1"],
        ] {
            assert_eq!(mask(bad), None, "{bad:?}");
        }
    }
}
