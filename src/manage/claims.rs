//! Claims as a caller gave them.

use super::Violations;
use crate::key::field;
use crate::key::record::Json;

/// Claims, or why what the caller sent is not JSON (a number that is not finite, say).
pub type Claims = Result<Json, String>;

/// Longest path of a number that an error repeats, in characters.
const PATH_LEN_MAX: usize = 200;

/// Refuses numbers that may not be the ones that the caller wrote. Whatever door they came through, they were doubles on the
/// way, and the digits that were lost cannot be shown.
fn check_numbers(claims: &Json, path: &str, bad: &mut Violations) {
    for below in field::inexact_numbers(claims) {
        let at: String = format!("{path}{below}").chars().take(PATH_LEN_MAX).collect();
        let most = field::CLAIMS_NUMBER_MAX;
        bad.add(
            at,
            format!("must be a number from -{most} to {most}; give a larger one as a string, which keeps its digits"),
        );
    }
}

/// The claims, if they are good.
pub(super) fn check(claims: Claims, path: &str, bad: &mut Violations) -> Json {
    match claims {
        Ok(claims) => {
            match field::claims(&claims) {
                Err(rule) => bad.add(path, format!("must {rule}")),
                Ok(()) => check_numbers(&claims, path, bad),
            }
            claims
        }
        Err(reason) => {
            bad.add(path, reason);
            Json::new()
        }
    }
}
