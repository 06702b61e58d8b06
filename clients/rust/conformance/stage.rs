//! What the runner says: which servers there are, and what each guard asks.

use std::collections::BTreeMap;
use std::panic;
use std::time::Duration;

use portcullis_client::guard::{Identity, Rule};
use portcullis_client::{BuildError, Client};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
pub struct Stage {
    pub servers: BTreeMap<String, Server>,
    pub profiles: BTreeMap<String, Profile>,
    invalid_guards: BTreeMap<String, Profile>,
}

#[derive(Deserialize)]
pub struct Server {
    addresses: Vec<String>,
    root_key: String,
    timeout_ms: u64,
}

#[derive(Deserialize)]
pub struct Profile {
    #[serde(default)]
    pub server: String,
    scopes: Vec<String>,
    any_of_scopes: Vec<String>,
    keyspace: Option<String>,
    cost: Option<i64>,
    #[serde(default)]
    pub dangerously_allow_when_unavailable: bool,
}

impl Stage {
    /// One client a server.
    pub fn clients(&self) -> Result<BTreeMap<String, Client>, BuildError> {
        let client = |server: &Server| {
            Client::builder()
                .addresses(&server.addresses)
                .root_key(&server.root_key)
                .timeout(Duration::from_millis(server.timeout_ms))
                .build()
        };
        self.servers.iter().map(|(name, server)| Ok((name.clone(), client(server)?))).collect()
    }

    /// What each invalid guard is refused with.
    pub fn guard_errors(&self) -> BTreeMap<&str, Option<String>> {
        let error = |profile: &Profile| {
            let panic = panic::catch_unwind(|| profile.rule()).err()?;
            panic.downcast_ref::<String>().cloned().or_else(|| Some((*panic.downcast_ref::<&str>()?).to_owned()))
        };
        self.invalid_guards.iter().map(|(name, profile)| (name.as_str(), error(profile))).collect()
    }
}

impl Profile {
    pub fn rule(&self) -> Rule {
        let keyspace = self.keyspace.as_deref().unwrap_or_default();
        let rule = Rule::new(keyspace).scopes(&self.scopes).any_of_scopes(&self.any_of_scopes);
        match self.cost {
            Some(credits) => rule.cost(credits),
            None => rule,
        }
    }
}

/// The identity as the runner reads it.
pub fn json(identity: &Identity) -> Value {
    json!({
        "authenticated": identity.authenticated,
        "key_id": identity.key_id,
        "keyspace": identity.keyspace,
        "subject": identity.subject,
        "user_id": identity.user_id(),
        "org_id": identity.org_id(),
        "scopes": identity.scopes,
        "claims": identity.claims,
    })
}
