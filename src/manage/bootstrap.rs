//! The first root key of an empty store.

use super::{Error, Management, Principal, Violations};
use crate::hashing::Requester;
use crate::key::field;
use crate::key::keyspace::SYSTEM;
use crate::key::permission::Permission;
use crate::key::record::{ApiKey, NewSecret};
use crate::key::secret::Secret;
use crate::key::token::{self, PublicPrefix, Token};
use crate::key::verifier::{HashPolicy, Verifier};
use crate::store::NewKey;

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
                let (newest, secret) = self.issue(&keyspace, HashPolicy::Sha256).await?;
                (newest, Some(secret))
            }
        };
        let now = self.clock.now();
        let by = Principal { name: "bootstrap", peer: "" };
        let first = newest.public_prefix.clone();
        let key = ApiKey {
            scopes: vec![Permission::Admin.to_string()],
            created_by: by.name.to_owned(),
            ..ApiKey::issued(self.ids.key(now), SYSTEM, "first root key", "operator", first, now)
        };
        let new = NewKey { key, secret: newest, request_id: None, keyspace_uid: None };
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
        let mut bad = Violations::default();
        if let Err(rule) = field::root_key_text(text) {
            bad.add("bootstrap root key", format!("must {rule}"));
        }
        bad.check()?;
        let (lookup, proof) =
            Token::parse(text).map_or((token::FREE_TEXT_LOOKUP, text), |token| (token.public_prefix, token.secret));
        let phc = self.hashing.hash(Requester::Callers, Secret::new(proof.to_owned())).await?;
        let public_prefix = PublicPrefix::from_stored(lookup.to_owned());
        Ok(NewSecret { public_prefix, verifier: Verifier::Argon2id(phc), has_mac: false })
    }
}
