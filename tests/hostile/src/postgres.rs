//! A PostgreSQL of the harness's own: that of the tests.

#[expect(dead_code, reason = "nothing crashes here")]
#[path = "../../it/support/postgres.rs"]
mod cluster;

pub use cluster::Cluster;
