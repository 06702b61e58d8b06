//! The guards of this crate, each as a small server, for `clients/conformance/run`.

mod axum;
mod stage;
mod tonic;

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fs;

use tokio::io::{AsyncReadExt as _, stdin};

use stage::Stage;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let stage: Stage = serde_json::from_slice(&fs::read(env::var("PORTCULLIS_STAGE")?)?)?;
    let clients = stage.clients()?;
    let mut addresses = BTreeMap::new();
    match env::args().nth(1).as_deref() {
        Some("axum") => {
            let address = axum::serve(&stage, &clients).await?;
            addresses.extend(stage.profiles.keys().map(|name| (name.clone(), format!("http://{address}/{name}"))));
        }
        Some("tonic") => {
            for (name, profile) in &stage.profiles {
                addresses.insert(name.clone(), tonic::serve(profile, &clients[&profile.server]).await?.to_string());
            }
        }
        _ => return Err("say axum or tonic".into()),
    }
    let mut line = serde_json::to_value(&addresses)?;
    line["invalid_guards"] = serde_json::to_value(stage.guard_errors())?;
    println!("{line}");
    stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}
