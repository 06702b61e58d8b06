//! Claims as a caller gave them.

use super::Violations;
use crate::key::field;
use crate::key::record::Json;

/// Claims, or why what the caller sent is not JSON (a number that is not finite, say).
pub type Claims = Result<Json, String>;

/// The claims, if they are good.
pub(super) fn check(claims: Claims, path: &str, bad: &mut Violations) -> Json {
    match claims {
        Ok(claims) => {
            if let Err(rule) = field::claims(&claims) {
                bad.add(path, format!("must {rule}"));
            }
            claims
        }
        Err(reason) => {
            bad.add(path, reason);
            Json::new()
        }
    }
}
