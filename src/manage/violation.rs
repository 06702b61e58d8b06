//! What is wrong with a request: every bad field at once.

use std::fmt::Display;
use std::mem;

use super::Error;

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

/// `value` so that it can be read in a line: quoted, escaped and cut.
fn shown(value: &str) -> String {
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
