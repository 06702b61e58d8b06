//! A PostgreSQL of the harness's own: that of the tests.

#[expect(dead_code, reason = "nothing crashes here; the tests have lints of their own")]
#[path = "../../it/support/postgres.rs"]
mod cluster;

pub use cluster::Cluster;
