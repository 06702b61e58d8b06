//! What is wrong with a request: every bad field at once.

use std::fmt::Display;
use std::mem;

use super::Error;
use crate::key::recognize::{self, TextKind};

/// Most characters of a bad value that an error repeats.
const SHOWN_LEN_MAX: usize = 60;
/// Most text of all that one error lists, in bytes. It travels in a header, and clients take no more than 8 to 16 KiB
/// of those; base64 makes it a third longer.
const LISTED_SIZE_MAX: usize = 4_000;

/// A bad field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its path in the request.
    pub field: String,
    /// What it must be, and what it was.
    pub description: String,
}

/// The bad fields of one request.
#[derive(Debug)]
pub struct Violations {
    listed: Vec<Violation>,
    size: usize,
    size_max: usize,
    unlisted: usize,
}

impl Default for Violations {
    fn default() -> Self {
        Self::with_room(LISTED_SIZE_MAX)
    }
}

impl Violations {
    /// Of which about `size_max` bytes are listed: where an answer has many lists in it.
    pub fn with_room(size_max: usize) -> Self {
        Self { listed: Vec::new(), size: 0, size_max, unlisted: 0 }
    }

    /// Notes that `field` is bad.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        let violation = Violation { field: field.into(), description: description.into() };
        self.size += violation.field.len() + violation.description.len();
        if self.listed.is_empty() || self.size <= self.size_max {
            self.listed.push(violation);
        } else {
            self.unlisted += 1;
        }
    }

    /// Notes that `field` is bad if `checked` is an error; it says what the field must do. `value` is shown, cut short.
    pub fn must<E: Display>(&mut self, field: impl Into<String>, value: &str, checked: Result<(), E>) {
        if let Err(rule) = checked {
            self.add(field, format!("must {rule}; is {}", shown(value)));
        }
    }

    /// Notes that `field`, an id, holds a secret, if it does; returns whether it holds none. The secret is not repeated.
    pub fn refuse_secret(&mut self, field: &str, value: &str) -> bool {
        let what = match recognize::kind_of(value) {
            Some(TextKind::Secret) => {
                "holds the secret of an API key: RevokeApiKey takes a `secret` to revoke its key, and Verify tells its id"
            }
            Some(TextKind::RootKey) => {
                "holds the secret of a root key: RevokeApiKey takes a `secret` to revoke it, and ListApiKeys of keyspace \
                 `system` tells its id"
            }
            Some(TextKind::KeyId) | None => return true,
        };
        self.add(field, format!("must be an id; {what}"));
        false
    }

    /// An error if any field is bad.
    pub fn check(&mut self) -> Result<(), Error> {
        let Self { mut listed, unlisted, .. } = mem::take(self);
        if unlisted > 0 {
            let description = format!("{unlisted} more fields are bad; mend those that are named first");
            listed.push(Violation { field: "*".to_owned(), description });
        }
        if listed.is_empty() { Ok(()) } else { Err(Error::Invalid(listed)) }
    }
}

/// `value` so that it can be read in a line: quoted, escaped and cut. A secret that strayed here is not repeated.
fn shown(value: &str) -> String {
    if matches!(recognize::kind_of(value), Some(TextKind::Secret | TextKind::RootKey)) {
        return "the secret of a key".to_owned();
    }
    let count = value.chars().count();
    if count <= SHOWN_LEN_MAX {
        return format!("{value:?}");
    }
    let start: String = value.chars().take(SHOWN_LEN_MAX).collect();
    format!("{start:?}… ({count} characters)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::token;

    #[test]
    fn names_field_rule_and_value() {
        let mut bad = Violations::default();
        bad.must("name", "a\0b", Err("not contain control characters"));
        bad.must("subject", &"x".repeat(200), Err("be short"));
        bad.must("description", "fine", Ok::<_, &str>(()));
        let Err(Error::Invalid(found)) = bad.check() else { panic!("two are bad") };
        assert_eq!(found[0].field, "name");
        assert_eq!(found[0].description, r#"must not contain control characters; is "a\0b""#);
        assert!(found[1].description.ends_with("… (200 characters)"));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_secret_is_not_repeated() {
        let mut bad = Violations::default();
        let text = |prefix: &str| format!(" {prefix}_{}\n", "a".repeat(token::BODY_LEN));
        let (secret, root_key) = (text("ak"), text("root"));
        bad.must("keyspace", &secret, Err("match"));
        assert!(!bad.refuse_secret("id", &secret));
        assert!(!bad.refuse_secret("actor", &root_key));
        assert!(bad.refuse_secret("id", "key_1"));
        let Err(Error::Invalid(found)) = bad.check() else { panic!("three are bad") };
        assert_eq!(found[0].description, "must match; is the secret of a key");
        assert!(found[1].description.starts_with("must be an id; holds the secret of an API key"));
        assert!(found[2].description.starts_with("must be an id; holds the secret of a root key"));
    }

    #[test]
    fn however_much_is_bad_the_error_fits_into_a_header() {
        let mut bad = Violations::default();
        for at in 0..1_000 {
            bad.must(format!("scopes[{at}]"), &"x".repeat(500), Err("be short"));
        }
        let Err(Error::Invalid(found)) = bad.check() else { panic!("all are bad") };
        let size: usize = found.iter().map(|v| v.field.len() + v.description.len()).sum();
        assert!(size < LISTED_SIZE_MAX + 100, "{size}");
        let last = found.last().unwrap();
        assert_eq!((last.field.as_str(), found.len() - 1), ("*", 1_000 - unlisted(&last.description)));
    }

    fn unlisted(description: &str) -> usize {
        description.split(' ').next().unwrap().parse().unwrap()
    }
}
