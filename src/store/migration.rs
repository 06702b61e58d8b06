//! What versions of the schema mean: the same for every backend.

use sqlx::migrate::{MigrateError, Migrator};

use super::error::reason;
use super::{ConnectError, Schema};

/// The versions that `migrator` knows and a store does not have yet.
///
/// # Errors
/// If the store has a newer one than `migrator` knows.
pub fn pending(migrator: &Migrator, applied: &[i64]) -> Result<Vec<i64>, ConnectError> {
    let (found, known) = (newest(applied), newest(&versions(migrator)));
    if found > known {
        return Err(ConnectError::SchemaNewer { found, known });
    }
    Ok(versions(migrator).into_iter().filter(|version| !applied.contains(version)).collect())
}

/// That the store lacks `pending` and must not be changed.
pub fn behind(applied: &[i64], pending: &[i64]) -> ConnectError {
    ConnectError::SchemaBehind { found: newest(applied), needed: newest(pending) }
}

/// That migrating failed.
pub fn failed(what: &str, error: &MigrateError) -> ConnectError {
    let reason = match error {
        MigrateError::Execute(e) => format!("migration: {}", reason(e)),
        MigrateError::ExecuteMigration(e, version) => format!("migration {version}: {}", reason(e)),
        other => other.to_string(),
    };
    ConnectError::Unavailable { what: what.to_owned(), reason }
}

impl Schema {
    /// Whether a store at these versions may be brought up to date.
    pub(super) fn may_apply(self, applied: &[i64]) -> bool {
        match self {
            Self::Migrate => true,
            Self::MigrateExisting => !applied.is_empty(),
            Self::MustBeCurrent => false,
        }
    }
}

fn versions(migrator: &Migrator) -> Vec<i64> {
    migrator.iter().map(|migration| migration.version).collect()
}

fn newest(versions: &[i64]) -> i64 {
    versions.iter().copied().max().unwrap_or_default()
}
