//! A secret with its key as the hot path needs them: small, in one piece, and without what only people look at.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::cache::Entry;
use crate::clock::Timestamp;
use crate::key::keyspace::SYSTEM;
use crate::key::permission::{Grant, Permission, Reach, reach};
use crate::key::record::{ApiKey, Json, State};
use crate::key::secret::Digest;
use crate::key::verifier::Verifier;
use crate::store::{Found, StoreError};

/// How exactly a last use is known. A line that all cores read is not to be written on each use.
const LAST_USE_EXACT_TO: Duration = Duration::from_millis(100);

/// What the wire makes of claims, once, when a key is cached. May be empty.
pub type WriteClaims = fn(Json) -> Box<[u8]>;

/// A secret and its key.
pub struct CachedKey {
    /// What the secret is checked against.
    pub(super) proof: Proof,
    /// Lookup, id, keyspace and subject, and the scopes, each behind its length.
    text: Box<str>,
    id_at: u16,
    keyspace_at: u16,
    subject_at: u16,
    scopes_at: u16,
    secret_expire_time: Timestamp,
    expire_time: Timestamp,
    extra: Option<Box<Extra>>,
    last_use: AtomicI64,
    use_noted: AtomicBool,
    revoked: bool,
    enabled: bool,
    wildcards: bool,
    marked: AtomicBool,
    retired: AtomicBool,
}

/// What a secret is checked against.
pub(super) enum Proof {
    /// SHA-256 of it, as of every issued one by default.
    Sha256(Digest),
    /// Something else.
    Other(Box<OtherProof>),
}

/// See [`Proof`].
pub(super) struct OtherProof {
    /// What the store keeps.
    pub verifier: Verifier,
    /// Its keyed digest, once it proved right.
    pub warm: OnceLock<Digest>,
}

/// What few keys have.
struct Extra {
    claims: Box<[u8]>,
    /// Of a root key.
    rights: Option<Rights>,
}

/// What a root key may do.
struct Rights {
    grants: Box<[Grant]>,
    /// Where it may verify.
    verify: Option<Reach>,
}

/// The time that stands for "never": no key can be made to expire as late.
const NEVER: Timestamp = Timestamp::from_micros(i64::MAX);

impl CachedKey {
    /// The secret that `lookup` found; `warm` is its keyed digest, if that is known from before.
    ///
    /// # Errors
    /// If the key is larger than any can be.
    pub(crate) fn new(
        lookup: &str,
        found: Found,
        write_claims: WriteClaims,
        warm: Option<Digest>,
    ) -> Result<Self, StoreError> {
        let Found { verifier, secret_expire_time, key, wildcards } = found;
        let too_large = || StoreError::Fault(format!("key {} is larger than any can be", key.id).into());
        let text = Text::of(lookup, &key).ok_or_else(too_large)?;
        let claims = if key.claims.is_empty() { Box::default() } else { write_claims(key.claims) };
        let rights = (key.keyspace == SYSTEM).then(|| Rights::of(&key.scopes));
        let extra = (!claims.is_empty() || rights.is_some()).then(|| Box::new(Extra { claims, rights }));
        Ok(Self {
            proof: Proof::of(verifier, warm),
            text: text.all.into_boxed_str(),
            id_at: text.id_at,
            keyspace_at: text.keyspace_at,
            subject_at: text.subject_at,
            scopes_at: text.scopes_at,
            secret_expire_time: secret_expire_time.unwrap_or(NEVER),
            expire_time: key.expire_time.unwrap_or(NEVER),
            extra,
            last_use: AtomicI64::new(i64::MIN),
            use_noted: AtomicBool::new(false),
            revoked: key.revocation.is_some(),
            enabled: key.enabled,
            wildcards,
            marked: AtomicBool::new(false),
            retired: AtomicBool::new(false),
        })
    }

    /// What finds the secret.
    pub fn lookup(&self) -> &str {
        self.part(0, self.id_at)
    }

    /// The key's id.
    pub fn id(&self) -> &str {
        self.part(self.id_at, self.keyspace_at)
    }

    /// The id of its keyspace.
    pub fn keyspace(&self) -> &str {
        self.part(self.keyspace_at, self.subject_at)
    }

    /// Whom it acts for.
    pub fn subject(&self) -> &str {
        self.part(self.subject_at, self.scopes_at)
    }

    /// Its scopes.
    pub fn scopes(&self) -> impl Iterator<Item = &str> + Clone {
        Scopes(&self.text[usize::from(self.scopes_at)..])
    }

    /// Its claims as the wire has them; empty if there are none.
    pub fn claims(&self) -> &[u8] {
        self.extra.as_ref().map_or(&[], |extra| &extra.claims)
    }

    /// When it expires.
    pub fn expire_time(&self) -> Option<Timestamp> {
        (self.expire_time != NEVER).then_some(self.expire_time)
    }

    /// Whether scopes may cover others by `*`.
    pub(super) fn wildcards(&self) -> bool {
        self.wildcards
    }

    /// Whether the secret still works at `now`, its key apart.
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        now < self.secret_expire_time
    }

    /// What the key is at `now`: see [`ApiKey::state`].
    pub fn state(&self, now: Timestamp) -> State {
        match () {
            () if self.revoked => State::Revoked,
            () if now >= self.expire_time => State::Expired,
            () if !self.enabled => State::Disabled,
            () => State::Active,
        }
    }

    /// The permissions of a root key; none of any other.
    pub fn grants(&self) -> &[Grant] {
        self.rights().map_or(&[], |rights| &rights.grants)
    }

    /// Where a root key may verify; `None`: nowhere.
    pub fn verify_reach(&self) -> Option<&Reach> {
        self.rights().and_then(|rights| rights.verify.as_ref())
    }

    fn rights(&self) -> Option<&Rights> {
        self.extra.as_ref().and_then(|extra| extra.rights.as_ref())
    }

    /// Notes a use at `now`. Whether it is the first since [`CachedKey::take_use`].
    pub(super) fn note_use(&self, now: Timestamp) -> bool {
        let last = Timestamp::from_micros(self.last_use.load(Ordering::Relaxed));
        if now >= last.saturating_add(LAST_USE_EXACT_TO) {
            self.last_use.store(now.as_micros(), Ordering::Relaxed);
        }
        !self.use_noted.load(Ordering::Relaxed) && !self.use_noted.swap(true, Ordering::AcqRel)
    }

    /// When it was last used. The next use is a first one again.
    pub(super) fn take_use(&self) -> Timestamp {
        self.use_noted.store(false, Ordering::Release);
        Timestamp::from_micros(self.last_use.load(Ordering::Relaxed))
    }

    /// Whether a change may have come since this was read. What is retired must be looked up again before it counts.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    fn part(&self, from: u16, to: u16) -> &str {
        &self.text[usize::from(from)..usize::from(to)]
    }
}

/// Scopes, each behind a character that says how long it is: none is longer than a character of ASCII can say, and
/// looking for an end would take longer than looking at the scope.
#[derive(Clone)]
struct Scopes<'a>(&'a str);

impl<'a> Iterator for Scopes<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let length = usize::from(*self.0.as_bytes().first()?) + 1;
        let (scope, rest) = self.0[1..].split_at(length);
        self.0 = rest;
        Some(scope)
    }
}

/// The character that stands before a scope: one less than its length, so that 1 to 128 are 0 to 127. `None`: it is no
/// scope.
fn length_mark(scope: &str) -> Option<char> {
    let mark = scope.len().checked_sub(1).and_then(|less| u8::try_from(less).ok()).map(char::from);
    mark.filter(char::is_ascii)
}

/// By its id: what its secret is checked against is not for logs.
impl fmt::Debug for CachedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedKey").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// In the cache it is shared: a verdict holds on to it while it is written.
impl Entry for Arc<CachedKey> {
    fn lookup(&self) -> &str {
        CachedKey::lookup(self)
    }

    fn size(&self) -> usize {
        // Two counters stand before what an Arc holds.
        let extra = self.extra.as_ref().map_or(0, |extra| extra.size());
        2 * size_of::<usize>() + size_of::<CachedKey>() + self.text.len() + extra + self.proof.size()
    }

    fn mark_used(&self) {
        // Looked at first: a line that all cores read is not to be written again and again.
        if !self.marked.load(Ordering::Relaxed) {
            self.marked.store(true, Ordering::Relaxed);
        }
    }

    fn take_mark(&self) -> bool {
        self.marked.swap(false, Ordering::Relaxed)
    }

    fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }
}

impl Proof {
    fn of(verifier: Verifier, warm: Option<Digest>) -> Self {
        match verifier {
            Verifier::Sha256(digest) => Self::Sha256(digest),
            verifier => {
                let warm = warm.map_or_else(OnceLock::new, OnceLock::from);
                Self::Other(Box::new(OtherProof { verifier, warm }))
            }
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Sha256(_) => 0,
            Self::Other(_) => size_of::<OtherProof>() + 128,
        }
    }
}

impl Extra {
    fn size(&self) -> usize {
        let grants = self.rights.as_ref().map_or(0, |rights| rights.grants.len() * 2 * size_of::<Grant>());
        size_of::<Self>() + self.claims.len() + grants
    }
}

impl Rights {
    /// What is no permission any more grants nothing.
    fn of(scopes: &[String]) -> Self {
        let grants: Box<[Grant]> = scopes.iter().filter_map(|scope| scope.parse().ok()).collect();
        // No request of a customer's is let in by a root key unless `system` is named.
        let verify = reach(&grants, Permission::KeysVerify);
        Self { grants, verify }
    }
}

/// [`CachedKey::text`], and where its parts begin.
struct Text {
    all: String,
    id_at: u16,
    keyspace_at: u16,
    subject_at: u16,
    scopes_at: u16,
}

impl Text {
    fn of(lookup: &str, key: &ApiKey) -> Option<Self> {
        let (id, keyspace, subject) = (key.id.as_str(), key.keyspace.as_str(), key.subject.as_str());
        let scopes: usize = key.scopes.iter().map(|scope| scope.len() + 1).sum();
        let size = lookup.len() + id.len() + keyspace.len() + subject.len() + scopes;
        let mut all = String::with_capacity(size);
        let mut add = |part: &str| {
            all.push_str(part);
            u16::try_from(all.len()).ok()
        };
        let (id_at, keyspace_at, subject_at, scopes_at) = (add(lookup)?, add(id)?, add(keyspace)?, add(subject)?);
        for scope in &key.scopes {
            all.push(length_mark(scope)?);
            all.push_str(scope);
        }
        Some(Self { all, id_at, keyspace_at, subject_at, scopes_at })
    }
}
