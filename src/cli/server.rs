//! The commands that run the service itself.

use super::ServeArgs;
use super::exit::{Error, Exit};

pub async fn serve(_args: ServeArgs) -> Result<Exit, Error> {
    Err(Error::Failed("not built yet".into()))
}

pub async fn migrate(_args: ServeArgs) -> Result<Exit, Error> {
    Err(Error::Failed("not built yet".into()))
}

pub fn check_config(_args: ServeArgs) -> Result<Exit, Error> {
    Err(Error::Failed("not built yet".into()))
}
