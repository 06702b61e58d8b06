//! The use cases that change and show keys and keyspaces. Each one checks its input whole, then asks the store for one
//! atomic change.
//!
//! Whoever calls has been authorised already: `reach` says in which keyspaces it may do this.

mod allowance;
mod audit;
mod bootstrap;
mod claims;
mod create;
mod import;
mod keyspaces;
mod list;
mod page;
mod revoke;
mod rotate;
mod update;
mod usage;
mod violation;

use std::sync::Arc;

use crate::admission::{Admission, Over, Spending};
use crate::clock::{Clock, Timestamp};
use crate::fleet::{Barrier, Unconfirmed};
use crate::hashing::{Hashing, HashingError, Requester};
use crate::key::id::{IdSource, KeyId};
use crate::key::keyspace::{Keyspace, SYSTEM};
use crate::key::permission::Reach;
use crate::key::record::{ApiKey, NewSecret};
use crate::key::root_token::RootTokenKey;
use crate::key::secret::Secret;
use crate::key::token::{self, Token};
use crate::key::verifier::{self, HashPolicy, Verifier};
use crate::store::{Actor, BoxError, Overrides, Refusal, Store, StoreError};
use crate::usage::Usage;

pub use allowance::{AllowanceFields, CreditsFields, RateLimitFields, RefillFields};
pub use audit::{ACTIONS as AUDIT_ACTIONS, ListEvents};
pub use bootstrap::Bootstrap;
pub use claims::Claims;
pub use create::{CreateKey, Expiration};
pub use import::{ENTRIES_MAX as IMPORT_ENTRIES_MAX, ImportEntry, Material};
pub use keyspaces::{KeyspaceFields, KeyspaceLimitFields, UpdateKeyspace};
pub use list::{ListKeys, Page};
pub use revoke::Grounds;
pub use rotate::Rotated;
pub use update::{KeyFields, UpdateKey, etag};
pub use usage::{Group as UsageGroup, QueryUsage};
pub use violation::{Violation, Violations};

pub use page::PAGE_MEMORY_MAX;
use page::PageTokens;

/// A time or a length of time as a caller gave it: nanoseconds, unchecked.
pub type Nanos = i128;

/// The use cases, over one store.
pub struct Management {
    store: Arc<dyn Store>,
    hashing: Arc<Hashing>,
    clock: Arc<dyn Clock>,
    barrier: Arc<Barrier>,
    usage: Arc<Usage>,
    admission: Arc<Admission>,
    ids: IdSource,
    page_tokens: PageTokens,
    root_tokens: RootTokenKey,
}

/// Who calls, for the audit trail.
#[derive(Clone, Copy, Debug)]
pub struct Principal<'a> {
    /// The id of a root key, or a word of the program's own.
    pub name: &'a str,
    /// The network address; empty if it calls from inside.
    pub peer: &'a str,
}

/// Why a use case did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields are bad: all that are.
    #[error("{} bad field(s), the first: {}: {}", .0.len(), .0[0].field, .0[0].description)]
    Invalid(Vec<Violation>),
    /// The store refused.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// `default` and `system` cannot be treated so.
    #[error("keyspace {0} is reserved")]
    KeyspaceReserved(&'static str),
    /// No secret was made because hashing is overloaded or failed.
    #[error(transparent)]
    Hashing(#[from] HashingError),
    /// This entry of an import would make us hash too often, beside those before it.
    #[error("too much to compare")]
    TooMuchToCompare,
    /// The keyspace's budget is spent.
    #[error("keyspace {0} is over its limit")]
    KeyspaceLimit(String, Over),
    /// The keyspace has no room for as many keys more.
    #[error("keyspace {0} is full")]
    KeyspaceFull(String, u64),
    /// It is not known whether the change holds on every replica, or was made at all.
    #[error("the change could not be confirmed")]
    Unconfirmed,
    /// The operating system gives no random bytes.
    #[error("no random bytes")]
    Random(#[source] BoxError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Unconfirmed> for Error {
    fn from(_: Unconfirmed) -> Self {
        Self::Unconfirmed
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Management {
    /// The use cases over `store`. What they change passes `barrier` before they answer; the keys they make count in
    /// `usage`, and `admission` knows the budgets of keyspaces.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn new(
        store: Arc<dyn Store>,
        hashing: Arc<Hashing>,
        clock: Arc<dyn Clock>,
        barrier: Arc<Barrier>,
        usage: Arc<Usage>,
        admission: Arc<Admission>,
    ) -> Result<Self, StoreError> {
        let installation = store.installation().await?;
        let (page_tokens, root_tokens) = (PageTokens::new(installation.page_token_key), installation.root_token_key);
        let ids = IdSource::default();
        Ok(Self { store, hashing, clock, barrier, usage, admission, ids, page_tokens, root_tokens })
    }

    /// What came of a change, once that holds on every replica: all of what verifications may know of it, be it that it
    /// takes away or gives. A refusal is waited for as well. It may rest on a change that holds only here yet: what
    /// somebody has deleted, or imported, and never got an answer for.
    async fn confirmed<T>(&self, done: Result<T, Error>) -> Result<T, Error> {
        if matches!(done, Ok(_) | Err(Error::Refused(_))) {
            self.barrier.pass(self.clock.as_ref()).await?;
        }
        done
    }

    fn actor(&self, by: Principal<'_>, at: Timestamp) -> Actor {
        self.actor_within(&Reach::Everywhere, by, at)
    }

    /// One that changes keys of these keyspaces only.
    fn actor_within(&self, reach: &Reach, by: Principal<'_>, at: Timestamp) -> Actor {
        self.actor_with(Overrides::default(), reach, by, at)
    }

    /// The same for what is refused otherwise.
    fn actor_with(&self, overrides: Overrides, reach: &Reach, by: Principal<'_>, at: Timestamp) -> Actor {
        let (name, peer) = (by.name.to_owned(), by.peer.to_owned());
        Actor { event_id: self.ids.event(at), at, name, peer, within: reach.clone(), overrides }
    }

    /// The key of this id.
    pub async fn get(&self, id: &KeyId, reach: &Reach) -> Result<ApiKey, Error> {
        check_named(id)?;
        let key = self.store.key(id).await?.filter(|key| reach.includes(&key.keyspace));
        key.ok_or(Error::Refused(Refusal::KeyNotFound))
    }

    /// Charges a call to the keyspace whose keys it makes or changes, until what it gives back is dropped.
    fn charge(&self, keyspace: &Keyspace) -> Result<Spending, Error> {
        let charged = self.admission.charge_keyspace(&keyspace.id, keyspace.limits);
        charged.map_err(|over| Error::KeyspaceLimit(keyspace.id.clone(), over))
    }

    /// Charges a call that makes `keys` of them, if there is room. What others are about to make counts, so that no more
    /// get in than there is room for; replicas do not know that of each other.
    async fn charge_keys(&self, keyspace: &Keyspace, keys: usize) -> Result<Spending, Error> {
        let mut charged = self.charge(keyspace)?;
        let reserved = charged.reserve(u64::try_from(keys).unwrap_or(u64::MAX));
        let max = self.admission.keys_max(keyspace.limits);
        if self.store.keyspace_size(&keyspace.id).await?.saturating_add(reserved) > max {
            self.admission.note_keyspace_full();
            return Err(Error::KeyspaceFull(keyspace.id.clone(), max));
        }
        Ok(charged)
    }

    /// The keyspace of this id, whoever asks.
    async fn keyspace(&self, id: &str) -> Result<Keyspace, Error> {
        self.store.keyspace(id).await?.ok_or(Error::Refused(Refusal::KeyspaceNotFound))
    }

    /// Returns a new key string for `keyspace`, and what the store keeps of it.
    async fn issue(&self, keyspace: &Keyspace, policy: HashPolicy) -> Result<(NewSecret, Secret), Error> {
        let has_mac = keyspace.id == SYSTEM;
        let generated = if has_mac { self.root_tokens.generate() } else { token::generate(&keyspace.key_prefix) };
        let (public_prefix, secret) = generated.map_err(|e| Error::Random(e.into()))?;
        let proof = Token::parse(secret.expose()).expect("a generated key parses").secret;
        let verifier = match policy {
            HashPolicy::Sha256 => Verifier::Sha256(verifier::sha256(proof)),
            HashPolicy::Argon2id => {
                let by = Requester::Issuing(&keyspace.id);
                Verifier::Argon2id(self.hashing.hash(by, Secret::new(proof.to_owned())).await?)
            }
        };
        Ok((NewSecret { public_prefix, verifier, has_mac }, secret))
    }
}

/// Refuses a request whose only field is an id that is absent.
fn check_named(id: &KeyId) -> Result<(), Error> {
    let mut bad = Violations::default();
    check_id("id", id, &mut bad);
    bad.check()
}

/// Notes an id that is absent, or is a secret. One that is no key's is simply not found.
fn check_id(path: &str, id: &KeyId, bad: &mut Violations) -> bool {
    if id.as_str().is_empty() {
        bad.add(path, "must name a key by its id; is absent");
        return false;
    }
    bad.refuse_secret(path, id.as_str())
}
