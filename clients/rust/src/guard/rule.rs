use std::net::IpAddr;

use crate::pb::VerifyRequest;

/// As the keyspace of a [`Rule`]: keys of every keyspace pass that the root key of the client may verify in.
pub const ANY_KEYSPACE: &str = "*";

const KEYSPACE_LEN_MAX: usize = 40;
const SCOPES_MAX: usize = 100;
const SCOPE_LEN_MAX: usize = 128;
const COST_MAX: i64 = 1_000_000_000;
/// It has the root keys. Their scopes are permissions, whose names and form the server alone knows.
const SYSTEM: &str = "system";

/// What a key must be good for. Without more said: for nothing but being valid in a keyspace.
///
/// What the server would refuse in every request is refused here: the methods panic, and say what to do.
#[derive(Clone, Debug)]
pub struct Rule {
    scopes: Vec<String>,
    any_of_scopes: Vec<String>,
    keyspace: String,
    cost: Option<i64>,
}

impl Rule {
    /// Any valid key of `keyspace` will do, such as `default`; or of [`ANY_KEYSPACE`]. One credit is taken.
    ///
    /// # Panics
    ///
    /// If `keyspace` is empty, or not the id of a keyspace.
    pub fn new(keyspace: impl Into<String>) -> Self {
        Self { scopes: Vec::new(), any_of_scopes: Vec::new(), keyspace: keyspace.into(), cost: None }.checked()
    }

    /// The key must have all of these scopes; up to 100.
    ///
    /// # Panics
    ///
    /// If there are more, or one is not a scope.
    pub fn scopes<T: Into<String>>(mut self, scopes: impl IntoIterator<Item = T>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self.checked()
    }

    /// The key must have one of these scopes; up to 100.
    ///
    /// # Panics
    ///
    /// If there are more, or one is not a scope.
    pub fn any_of_scopes<T: Into<String>>(mut self, scopes: impl IntoIterator<Item = T>) -> Self {
        self.any_of_scopes = scopes.into_iter().map(Into::into).collect();
        self.checked()
    }

    /// How many credits to take: 0 to 1,000,000,000.
    ///
    /// # Panics
    ///
    /// If it is less or more.
    pub fn cost(mut self, credits: i64) -> Self {
        self.cost = Some(credits);
        self.checked()
    }

    fn checked(self) -> Self {
        let Self { scopes, any_of_scopes, keyspace, cost } = &self;
        assert!(
            !keyspace.is_empty(),
            "keyspace is missing: name the keyspace whose keys may pass, such as \"default\", or ANY_KEYSPACE for every \
             keyspace that the root key may verify in"
        );
        assert!(
            keyspace == ANY_KEYSPACE || is_keyspace_id(keyspace),
            "keyspace {keyspace:?} is not the id of a keyspace: must match [a-z][a-z0-9-]{{0,39}}"
        );
        check_scopes("scopes", scopes, keyspace);
        check_scopes("any_of_scopes", any_of_scopes, keyspace);
        if let Some(cost) = cost {
            assert!((0..=COST_MAX).contains(cost), "cost must be 0 to {COST_MAX}; is {cost}");
        }
        self
    }

    pub(super) fn request(&self, key: &str, client_ip: Option<IpAddr>) -> VerifyRequest {
        VerifyRequest {
            key: key.to_owned(),
            required_scopes: self.scopes.clone(),
            any_of_scopes: self.any_of_scopes.clone(),
            // An empty one stands for any.
            keyspace: if self.keyspace == ANY_KEYSPACE { String::new() } else { self.keyspace.clone() },
            // A socket for both families shows IPv4 peers as IPv6.
            client_ip: client_ip.map(|ip| ip.to_canonical().to_string()).unwrap_or_default(),
            cost: self.cost,
        }
    }
}

fn is_keyspace_id(text: &str) -> bool {
    text.len() <= KEYSPACE_LEN_MAX
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn check_scopes(name: &str, scopes: &[String], keyspace: &str) {
    assert!(scopes.len() <= SCOPES_MAX, "{name} must be at most {SCOPES_MAX}; are {}", scopes.len());
    for (number, scope) in scopes.iter().enumerate() {
        assert!(
            keyspace == SYSTEM || is_scope(scope),
            "{name}[{number}] {scope:?} is not a scope: must be 1 to {SCOPE_LEN_MAX} of [a-z0-9_.:/-], start with a letter \
             or digit, and may have `*` at its end only"
        );
    }
}

fn is_scope(text: &str) -> bool {
    let start = text.strip_suffix('*').unwrap_or(text);
    text.len() <= SCOPE_LEN_MAX
        && start.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && start.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b':' | b'/' | b'-'))
}
