//! Scopes: what a key may do, and what a request demands.

/// Most scopes a key has or a request demands.
pub const SCOPES_MAX: usize = 100;
/// Longest scope, in characters.
pub const SCOPE_LEN_MAX: usize = 128;

/// Whether `text` is a scope: 1 to 128 of `[a-z0-9_.:/*-]`, starting with a letter or digit, `*` at the end only.
///
/// # Errors
/// What is wrong, in words that follow "must".
pub fn check(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > SCOPE_LEN_MAX {
        return Err("have 1 to 128 characters");
    }
    if !text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b':' | b'/' | b'*' | b'-')) {
        return Err("consist of [a-z0-9_.:/*-]");
    }
    if !text.as_bytes()[0].is_ascii_alphanumeric() {
        return Err("start with a letter or digit");
    }
    if text.trim_end_matches('*').len() + 1 < text.len() || text[..text.len() - 1].contains('*') {
        return Err("have `*` at its end only");
    }
    Ok(())
}

/// Whether a scope ends in `*`.
pub fn is_wildcard(scope: &str) -> bool {
    scope.ends_with('*')
}

/// What a request demands of a key's scopes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demand<'a> {
    /// All of these.
    pub all_of: &'a [&'a str],
    /// One of these; empty: no such demand.
    pub any_of: &'a [&'a str],
}

impl Demand<'_> {
    /// What is asked for and not had: every missing one of `all_of`, and, if none of `any_of` is had, all of those.
    ///
    /// With `wildcards`, a scope held as `orders:*` covers all that start with `orders:`; without, it is only itself.
    pub fn missing<'h>(&self, held: &(impl Iterator<Item = &'h str> + Clone), wildcards: bool) -> Vec<String> {
        let has = |wanted: &&str| held.clone().any(|scope| covers(scope, wanted, wildcards));
        let mut missing: Vec<String> = self.all_of.iter().filter(|s| !has(s)).map(ToString::to_string).collect();
        if !self.any_of.is_empty() && !self.any_of.iter().any(has) {
            missing.extend(self.any_of.iter().map(ToString::to_string));
        }
        if missing.is_empty() { missing } else { fold(missing) }
    }
}

fn covers(held: &str, wanted: &str, wildcards: bool) -> bool {
    held == wanted || (wildcards && held.strip_suffix('*').is_some_and(|start| wanted.starts_with(start)))
}

/// Without duplicates, in the order of first appearance.
pub fn fold(scopes: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::with_capacity(scopes.len());
    scopes.into_iter().filter(|scope| seen.insert(scope.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn lacks(held: &[&str], all: &[&str], any: &[&str], wildcards: bool, expect: &[&str]) {
        let demand = Demand { all_of: all, any_of: any };
        assert_eq!(demand.missing(&held.iter().copied(), wildcards), expect);
    }

    #[test]
    fn what_is_missing() {
        lacks(&["a", "b"], &["a", "b"], &[], false, &[]);
        lacks(&["a"], &["a", "b", "c", "b"], &[], false, &["b", "c"]);
        lacks(&["a"], &[], &["a", "z"], false, &[]);
        lacks(&["a"], &["q"], &["y", "z"], false, &["q", "y", "z"]);
        lacks(&[], &[], &[], false, &[]);
        lacks(&["orders:*"], &["orders:read"], &[], true, &[]);
        lacks(&["orders:*"], &["orders:read"], &[], false, &["orders:read"]);
        lacks(&["orders:*"], &["orders"], &[], true, &["orders"]);
        lacks(&["orders:*"], &["orders:*"], &[], false, &[]);
    }

    #[test]
    fn what_a_scope_is() {
        for good in ["orders:read", "a", "9", "a.b/c-d_e:f", "orders:*", "a*"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["", "*", ":a", "A", "a b", "a*b", "a**", "ä", &"a".repeat(129)] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
