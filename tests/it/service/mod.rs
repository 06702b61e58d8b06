//! The services through real generated clients, over each store.

use crate::support::backend::Backend;

mod admission;
mod batch;
mod callers;
mod cancelled;
mod credits;
mod deaths;
mod errors;
mod guesses;
mod imports;
mod keys;
mod keyspaces;
mod last_admin;
mod limits;
mod listing;
mod lookups;
mod memory;
mod ordinary;
mod probes;
mod root_tokens;
mod stream;
mod tenants;
mod trail;
mod updates;
mod usage;
mod verdicts;

/// Runs each test over both stores, under the same name.
macro_rules! over_both_stores {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $test() { super::$test(super::Backend::Sqlite).await; })*
        }
        mod postgres {
            $(#[tokio::test] async fn $test() { super::$test(super::Backend::Postgres).await; })*
        }
    };
}
pub(crate) use over_both_stores;
