//! The first root key of an empty store.

use super::{Error, Management, Principal, Violations};
use crate::key::keyspace::SYSTEM;
use crate::key::permission::Permission;
use crate::key::record::{ApiKey, Json, NewSecret, SecretInfo};
use crate::key::secret::Secret;
use crate::key::token::{self, PublicPrefix, Token};
use crate::key::verifier::{HashPolicy, Verifier};
use crate::store::NewKey;

/// Shortest text that an operator may supply as the first root key, in characters.
pub const BOOTSTRAP_KEY_LEN_MIN: usize = 32;

/// What became of the first root key.
#[derive(Debug)]
pub enum Bootstrap {
    /// It was made now; to be shown this once.
    Made(Secret),
    /// It is now the one that was supplied.
    Supplied,
    /// There was one before; what was supplied was not looked at.
    Done,
}

impl Management {
    /// Makes the first root key, or takes the one `supplied`, if there never was one.
    pub async fn bootstrap(&self, supplied: Option<&Secret>) -> Result<Bootstrap, Error> {
        if self.store.installation().await?.bootstrapped {
            return Ok(Bootstrap::Done);
        }
        let (newest, made) = match supplied {
            Some(supplied) => (self.keep_supplied(supplied).await?, None),
            None => {
                let keyspace = self.keyspace(SYSTEM).await?;
                let (newest, secret) = self.issue(&keyspace.key_prefix, HashPolicy::Sha256).await?;
                (newest, Some(secret))
            }
        };
        let now = self.clock.now();
        let by = Principal { name: "bootstrap", peer: "" };
        let key = ApiKey {
            id: self.ids.key(now),
            keyspace: SYSTEM.to_owned(),
            name: "first root key".to_owned(),
            description: String::new(),
            subject: "operator".to_owned(),
            scopes: vec![Permission::Admin.to_string()],
            claims: Json::new(),
            metadata: Default::default(),
            enabled: true,
            created_by: by.name.to_owned(),
            create_time: now,
            update_time: now,
            expire_time: None,
            revocation: None,
            last_use_time: None,
            secrets: vec![SecretInfo {
                public_prefix: newest.public_prefix.clone(),
                create_time: now,
                expire_time: None,
            }],
            revision: 1,
        };
        let new = NewKey { key, secret: newest, request_id: None };
        let first = self.store.bootstrap(&new, &self.actor(by, now)).await?;
        Ok(match (first, made) {
            (false, _) => Bootstrap::Done,
            (true, Some(secret)) => Bootstrap::Made(secret),
            (true, None) => Bootstrap::Supplied,
        })
    }

    /// What to store of a supplied root key. Its entropy is unknown, so Argon2id.
    async fn keep_supplied(&self, supplied: &Secret) -> Result<NewSecret, Error> {
        let text = supplied.expose();
        let length = text.chars().count();
        let mut bad = Violations::default();
        if length < BOOTSTRAP_KEY_LEN_MIN || text.len() > token::PRESENTED_LEN_MAX {
            bad.add("bootstrap root key", format!("must have 32 characters to 512 bytes; has {length} characters"));
        }
        bad.check()?;
        let (lookup, proof) =
            Token::parse(text).map_or((token::FREE_TEXT_LOOKUP, text), |token| (token.public_prefix, token.secret));
        let phc = self.hashing.hash(Secret::new(proof.to_owned())).await?;
        let public_prefix = PublicPrefix::from_stored(lookup.to_owned());
        Ok(NewSecret { public_prefix, verifier: Verifier::Argon2id(phc) })
    }
}
