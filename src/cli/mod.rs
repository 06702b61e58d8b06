//! The program: what it can be told, and who does it.
//!
//! Client commands speak to a running server over gRPC, as any other client does.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::Flags;
use exit::{Error, Exit};

mod audit;
mod client;
mod completions;
pub mod environment;
pub mod exit;
mod first_bytes;
mod healthcheck;
mod keys;
mod keyspaces;
mod limits;
mod list;
mod migrate;
mod offline;
mod output;
mod parse;
mod replicas;
mod root_keys;
mod serve;
mod show;
mod terminal;
mod usage;

/// A self-hosted API-key service: issues, lists, changes, rotates, revokes and verifies keys over gRPC.
///
/// Without a command it serves.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(flatten)]
    serve: ServeArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

impl Cli {
    /// Whether it says to run the service.
    pub fn is_serve(&self) -> bool {
        matches!(self.command, None | Some(Command::Serve(_)))
    }
}

/// What `serve` is told.
#[derive(Args, Debug)]
#[command(
    after_help = "The variable PORTCULLIS_BOOTSTRAP_ROOT_KEY supplies the first root key of an empty store, or a \
                        file (--bootstrap-root-key-file); without either one is made and printed. There is no flag for \
                        the key itself: every user of the machine could see it."
)]
pub struct ServeArgs {
    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service; what `portcullis` alone does too
    Serve(ServeArgs),
    /// Bring the database's schema up to date and exit
    Migrate(migrate::MigrateArgs),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Issue, find, change, rotate, revoke and verify keys
    Keys(keys::KeysArgs),
    /// Make, find, change and delete keyspaces
    Keyspaces(keyspaces::KeyspacesArgs),
    /// Make, list and revoke the credentials of the services that call Portcullis
    RootKey(root_keys::RootKeyArgs),
    /// See who changed what
    Audit(audit::AuditArgs),
    /// See how often keys were used, with what verdicts, and what that costs
    Usage(usage::UsageArgs),
    /// See which replicas share the database, and how far each of them is
    Replicas(replicas::ReplicasArgs),
    /// Print what makes a shell complete this program's commands and flags
    #[command(after_help = completions::HELP)]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write the manual pages, one for each command, into a folder
    Man {
        /// The folder; it must exist
        folder: PathBuf,
    },
    /// Ask a server whether it is fit to serve; exits 0 if so, 1 if not, 69 if it cannot be reached
    Healthcheck(healthcheck::HealthcheckArgs),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Report every error in the configuration of `serve`, without starting
    Check(ServeArgs),
}

/// Does what the command line says and reports how it went.
pub async fn run(cli: Cli) -> ExitCode {
    let ended = match cli.command {
        None => serve::serve(cli.serve.flags).await,
        Some(command) => dispatch(command).await,
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => error.report(),
    }
}

async fn dispatch(command: Command) -> Result<Exit, Error> {
    match command {
        Command::Serve(args) => serve::serve(args.flags).await,
        Command::Migrate(args) => migrate::migrate(args).await,
        Command::Config(ConfigCommand::Check(args)) => serve::check_config(args.flags),
        Command::Keys(args) => keys::run(args).await,
        Command::Keyspaces(args) => keyspaces::run(args).await,
        Command::RootKey(args) => root_keys::run(args).await,
        Command::Audit(args) => audit::run(args).await,
        Command::Usage(args) => usage::run(args).await,
        Command::Replicas(args) => replicas::run(args).await,
        Command::Completions { shell } => completions::print(shell),
        Command::Man { folder } => completions::write_manual(&folder),
        Command::Healthcheck(args) => healthcheck::run(args).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// The command that `line` says, or the kind of error it is.
    pub fn parsed(line: &str) -> Result<Command, clap::error::ErrorKind> {
        Cli::try_parse_from(std::iter::once("portcullis").chain(line.split_whitespace()))
            .map(|cli| cli.command.expect("no command"))
            .map_err(|error| error.kind())
    }

    #[test]
    fn the_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn nothing_said_is_serve() {
        let cli = Cli::try_parse_from(["portcullis"]).unwrap();
        assert!(cli.command.is_none());
        assert!(matches!(parsed("serve"), Ok(Command::Serve(_))));
    }

    #[test]
    fn client_flags_stand_before_or_after_the_command() {
        for line in ["keys --output json list", "keys list --output json", "keys -o json list", "keys list -ojson -q"] {
            let Ok(Command::Keys(args)) = parsed(line) else { panic!("{line}") };
            assert_eq!(args.client.out().format, output::Format::Json, "{line}");
        }
    }
}
