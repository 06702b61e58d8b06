//! `portcullis migrate`: brings the schema of the store up to date.

use std::path::PathBuf;

use clap::Args;

use super::exit::{Error, Exit};
use super::output;
use crate::config::{self, StoreFlags};
use crate::store;

/// Where the store is.
#[derive(Args, Debug)]
pub struct MigrateArgs {
    /// A TOML file with settings
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    store: StoreFlags,
}

/// Migrates, and says what it did.
pub async fn migrate(args: MigrateArgs) -> Result<Exit, Error> {
    let (url, _) = args.store.resolve(args.config.as_deref())?;
    let applied = store::migrate(&url).await?;
    let shown = config::location(&url);
    let said = match applied.last() {
        Some(version) if applied.first() == Some(&1) => {
            format!("{shown}: schema brought to version {version}; this store is new\n")
        }
        Some(version) => format!("{shown}: schema brought to version {version}\n"),
        None => format!("{shown}: the schema is up to date\n"),
    };
    output::write_stdout(&said).map_err(|error| Error::Failed(format!("cannot write to stdout: {error}")))?;
    Ok(Exit::Done)
}
