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
use crate::store::Found;

/// Uses of a key are noted this often, and no more: those between would change nothing that is shown.
const USES_NOTED_EVERY: Duration = Duration::from_secs(1);

/// What the wire makes of claims, once, when a key is cached. May be empty.
pub type WriteClaims = fn(Json) -> Box<[u8]>;

/// A secret and its key.
pub struct CachedKey {
    /// What the secret is checked against.
    pub(super) proof: Proof,
    /// Lookup, id, keyspace, subject and scopes, each on a line: none of them can have a line end.
    text: Box<str>,
    id_at: u16,
    keyspace_at: u16,
    subject_at: u16,
    scopes_at: u16,
    secret_expire_time: Timestamp,
    expire_time: Timestamp,
    extra: Option<Box<Extra>>,
    use_noted: AtomicI64,
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
    pub(crate) fn new(lookup: &str, found: Found, write_claims: WriteClaims, warm: Option<Digest>) -> Self {
        let Found { verifier, secret_expire_time, key, wildcards } = found;
        let text = Text::of(lookup, &key);
        let claims = if key.claims.is_empty() { Box::default() } else { write_claims(key.claims) };
        let rights = (key.keyspace == SYSTEM).then(|| Rights::of(&key.scopes));
        let extra = (!claims.is_empty() || rights.is_some()).then(|| Box::new(Extra { claims, rights }));
        Self {
            proof: Proof::of(verifier, warm),
            text: text.lines.into_boxed_str(),
            id_at: text.id_at,
            keyspace_at: text.keyspace_at,
            subject_at: text.subject_at,
            scopes_at: text.scopes_at,
            secret_expire_time: secret_expire_time.unwrap_or(NEVER),
            expire_time: key.expire_time.unwrap_or(NEVER),
            extra,
            use_noted: AtomicI64::new(i64::MIN),
            revoked: key.revocation.is_some(),
            enabled: key.enabled,
            wildcards,
            marked: AtomicBool::new(false),
            retired: AtomicBool::new(false),
        }
    }

    /// What finds the secret.
    pub fn lookup(&self) -> &str {
        self.line(0, self.id_at)
    }

    /// The key's id.
    pub fn id(&self) -> &str {
        self.line(self.id_at, self.keyspace_at)
    }

    /// The id of its keyspace.
    pub fn keyspace(&self) -> &str {
        self.line(self.keyspace_at, self.subject_at)
    }

    /// Whom it acts for.
    pub fn subject(&self) -> &str {
        self.line(self.subject_at, self.scopes_at)
    }

    /// Its scopes.
    pub fn scopes(&self) -> impl Iterator<Item = &str> + Clone {
        self.text[usize::from(self.scopes_at)..].split_terminator('\n')
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

    /// Whether a use at `now` is worth a note: none was noted within the last second.
    pub(super) fn is_use_news(&self, now: Timestamp) -> bool {
        let noted = self.use_noted.load(Ordering::Relaxed);
        let again = Timestamp::from_micros(noted).saturating_add(USES_NOTED_EVERY);
        // A clock that was set back is news too, or nothing would be noted for as long.
        let news = now >= again || now < Timestamp::from_micros(noted);
        if news {
            self.use_noted.store(now.as_micros(), Ordering::Relaxed);
        }
        news
    }

    /// Whether a change may have come since this was read. What is retired must be looked up again before it counts.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    fn line(&self, from: u16, to: u16) -> &str {
        &self.text[usize::from(from)..usize::from(to) - 1]
    }
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

/// The lines of [`CachedKey::text`], and where they begin.
struct Text {
    lines: String,
    id_at: u16,
    keyspace_at: u16,
    subject_at: u16,
    scopes_at: u16,
}

impl Text {
    fn of(lookup: &str, key: &ApiKey) -> Self {
        let (id, keyspace, subject) = (key.id.as_str(), key.keyspace.as_str(), key.subject.as_str());
        let scopes: usize = key.scopes.iter().map(|scope| scope.len() + 1).sum();
        let mut lines = String::with_capacity(lookup.len() + id.len() + keyspace.len() + subject.len() + 4 + scopes);
        let mut add = |line: &str| {
            lines.push_str(line);
            lines.push('\n');
            u16::try_from(lines.len()).expect("the limits of the fields keep it below 16 KiB")
        };
        let (id_at, keyspace_at, subject_at, scopes_at) = (add(lookup), add(id), add(keyspace), add(subject));
        for scope in &key.scopes {
            add(scope);
        }
        Self { lines, id_at, keyspace_at, subject_at, scopes_at }
    }
}
