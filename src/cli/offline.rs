//! `root-key create --offline`: a root key made on the store itself, for when every other is lost.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::exit::{Error, Exit};
use super::output::Out;
use super::terminal;
use crate::admission::{Admission, Settings};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, StoreFlags};
use crate::fleet::Barrier;
use crate::grpc::{convert, pb, status};
use crate::hashing::Hashing;
use crate::manage::{Management, Principal};
use crate::store::{self, ConnectError, Hints, Schema};

/// Where the store is.
#[derive(Args, Debug)]
pub struct OfflineArgs {
    /// Work on the store itself, not through a server: for when every root key is lost. On SQLite the server must be
    /// stopped
    #[arg(long)]
    pub offline: bool,
    // Not `requires = "offline"`: where the variable is set, nothing else would work any more.
    /// With --offline: a TOML file with settings
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    store: StoreFlags,
}

/// Makes the root key and shows it as a server would.
pub async fn create_root_key(args: OfflineArgs, asked: pb::CreateApiKeyRequest, out: Out) -> Result<Exit, Error> {
    let (url, schema) = args.store.resolve(args.config.as_deref())?;
    let location = config::location(&url);
    // A key of a store that no server uses would open nothing.
    let schema = if schema == Schema::Migrate { Schema::MigrateExisting } else { schema };
    let store = store::connect(&url, schema, &Hints::None).await.map_err(|error| match error {
        ConnectError::SchemaBehind { found: 0, .. } => Error::Usage(format!(
            "there is no store at {location}, and --offline makes none: name the store of the server with \
             --database-url or PORTCULLIS_DATABASE_URL"
        )),
        error => error.into(),
    })?;
    terminal::note(&format!("store: {location}"));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let unavailable = |error: store::StoreError| status::from_manage(error.into());
    let management = Management::new(
        store.clone(),
        Arc::new(Hashing::default()),
        clock.clone(),
        Arc::new(Barrier::alone()),
        Arc::default(),
        Arc::new(Admission::new(Settings::default(), &clock)),
    );
    let management = management.await.map_err(unavailable)?;
    let by = Principal { name: "offline", peer: "" };
    let made = management.create(convert::create_key(asked), by).await.map_err(status::from_manage);
    store.close().await;
    let (key, secret) = made?;
    let api_key = Some(convert::api_key(key, clock.now()));
    out.show(&pb::CreateApiKeyResponse { api_key, secret: secret.expose().to_owned() })
}
