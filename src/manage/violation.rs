//! What is wrong with a request: every bad field at once.

use std::fmt::Display;

use super::Error;

/// Most characters of a bad value that an error repeats.
const SHOWN_LEN_MAX: usize = 60;
/// Most bad fields that one error lists. Requests have far fewer fields; only repeated ones come near.
const LISTED_MAX: usize = 200;

/// A bad field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its path in the request.
    pub field: String,
    /// What it must be, and what it was.
    pub description: String,
}

/// The bad fields of one request.
#[derive(Debug, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Notes that `field` is bad.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        if self.0.len() < LISTED_MAX {
            self.0.push(Violation { field: field.into(), description: description.into() });
        }
    }

    /// Notes that `field` is bad if `checked` is an error; it says what the field must do. `value` is shown, cut short.
    pub fn must<E: Display>(&mut self, field: impl Into<String>, value: &str, checked: Result<(), E>) {
        if let Err(rule) = checked {
            self.add(field, format!("must {rule}; is {}", shown(value)));
        }
    }

    /// An error if any field is bad.
    pub fn check(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self.0)) }
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
}
