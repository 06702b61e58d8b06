//! What the service is told by flags, environment and file.

/// The flags of `serve`, as given.
#[derive(clap::Args, Debug)]
pub struct Flags {}
