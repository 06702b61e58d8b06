use std::net::IpAddr;

use crate::pb::VerifyRequest;

/// What a key must be good for. Without anything said: for nothing but being valid.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    scopes: Vec<String>,
    any_of_scopes: Vec<String>,
    keyspace: String,
    cost: Option<i64>,
}

impl Rule {
    /// Any valid key will do, of any keyspace that the root key may verify in, and one credit is taken.
    pub fn new() -> Self {
        Self::default()
    }

    /// The key must have all of these scopes; up to 100.
    pub fn scopes<T: Into<String>>(mut self, scopes: impl IntoIterator<Item = T>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// The key must have one of these scopes; up to 100.
    pub fn any_of_scopes<T: Into<String>>(mut self, scopes: impl IntoIterator<Item = T>) -> Self {
        self.any_of_scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// The key must belong to this keyspace.
    pub fn keyspace(mut self, keyspace: impl Into<String>) -> Self {
        self.keyspace = keyspace.into();
        self
    }

    /// How many credits to take: 0 to 1,000,000,000.
    pub fn cost(mut self, credits: i64) -> Self {
        self.cost = Some(credits);
        self
    }

    pub(super) fn request(&self, key: &str, client_ip: Option<IpAddr>) -> VerifyRequest {
        VerifyRequest {
            key: key.to_owned(),
            required_scopes: self.scopes.clone(),
            any_of_scopes: self.any_of_scopes.clone(),
            keyspace: self.keyspace.clone(),
            // A socket for both families shows IPv4 peers as IPv6.
            client_ip: client_ip.map(|ip| ip.to_canonical().to_string()).unwrap_or_default(),
            cost: self.cost,
        }
    }
}
