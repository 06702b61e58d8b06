//! Which part of a list to show.

use clap::Args;

/// The largest page that the server gives; asking for as much saves calls when all pages are wanted.
const SIZE_MAX: i32 = 1_000;

/// The flags of every list.
#[derive(Args, Debug)]
pub struct Page {
    /// How many to show, up to 1000 [default: 50]
    #[arg(long = "page-size", value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
    size: Option<i32>,
    /// Go on where the page that gave this token ended; the other flags must be the same
    #[arg(long = "page-token", value_name = "TOKEN")]
    pub token: Option<String>,
    /// Show all pages as one list
    #[arg(long)]
    pub all: bool,
}

impl Page {
    /// The size to ask for; 0 leaves it to the server.
    pub fn size(&self) -> i32 {
        self.size.unwrap_or(if self.all { SIZE_MAX } else { 0 })
    }
}
