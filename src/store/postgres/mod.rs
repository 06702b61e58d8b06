//! PostgreSQL: to come.

use super::ConnectError;

pub async fn migrate(_url: &str) -> Result<Vec<i64>, ConnectError> {
    Err(ConnectError::Url("PostgreSQL is not supported yet".into()))
}
