//! A secret with its key as the hot path needs them: small, in one piece, and without what only people look at.

use std::fmt;
use std::iter;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::allowance::{Allowance, Terms};
use super::cache::Entry;
use crate::clock::Timestamp;
use crate::key::id::{KeyId, KeyspaceUid};
use crate::key::keyspace::SYSTEM;
use crate::key::network::Network;
use crate::key::permission::{Grant, Permission, Reach, reach};
use crate::key::record::{ApiKey, Json, State};
use crate::key::secret::Digest;
use crate::key::usage::{Counted, Counts};
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
    keyspace_uid: KeyspaceUid,
    secret_expire_time: Timestamp,
    expire_time: Timestamp,
    extra: Option<Box<Extra>>,
    last_use: AtomicI64,
    /// By the place in [`Counted::ALL`], the first of which no verification counts.
    counts: [AtomicU32; Counted::ALL.len() - 1],
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
    networks: Box<[Network]>,
    limited: Option<Limited>,
    /// Of a root key.
    rights: Option<Rights>,
    /// What the same lookup finds in other keyspaces, made later.
    others: Box<[Arc<CachedKey>]>,
}

/// Of a key that may not do as much as it likes.
pub(super) struct Limited {
    /// How much it may do.
    pub terms: Arc<Terms>,
    /// What is left of it.
    pub allowance: Arc<Allowance>,
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
    /// The secret that `lookup` found at `now`, when so much had `elapsed`; `warm` is its keyed digest, if that is known from before. `allowance_of` has
    /// what a limited key has left.
    ///
    /// # Errors
    /// If the key is larger than any can be.
    pub(crate) fn new(
        lookup: &str,
        found: Found,
        write_claims: WriteClaims,
        warm: Option<Digest>,
        allowance_of: impl FnOnce(&KeyId) -> Arc<Allowance>,
        (now, elapsed): (Timestamp, Duration),
        others: Box<[Arc<Self>]>,
    ) -> Result<Self, StoreError> {
        let limited =
            Terms::of(&found, now, elapsed).map(|terms| Limited { terms, allowance: allowance_of(&found.key.id) });
        let Found { verifier, secret_expire_time, key, wildcards, keyspace_uid, .. } = found;
        let too_large = || StoreError::Fault(format!("key {} is larger than any can be", key.id).into());
        let text = Text::of(lookup, &key).ok_or_else(too_large)?;
        let claims = if key.claims.is_empty() { Box::default() } else { write_claims(key.claims) };
        let rights = (key.keyspace == SYSTEM).then(|| Rights::of(&key.scopes));
        let extra = Extra { claims, networks: key.allowed_cidrs.into(), limited, rights, others };
        Ok(Self {
            proof: Proof::of(verifier, warm),
            text: text.all.into_boxed_str(),
            id_at: text.id_at,
            keyspace_at: text.keyspace_at,
            subject_at: text.subject_at,
            scopes_at: text.scopes_at,
            keyspace_uid,
            secret_expire_time: secret_expire_time.unwrap_or(NEVER),
            expire_time: key.expire_time.unwrap_or(NEVER),
            extra: extra.boxed(),
            last_use: AtomicI64::new(i64::MIN),
            counts: Default::default(),
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

    /// Its keyspace, told from others that had this id or will have it.
    pub(super) fn keyspace_uid(&self) -> KeyspaceUid {
        self.keyspace_uid
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

    /// How much it may do and what is left of it; `None`: it may do as much as it likes.
    pub(super) fn limited(&self) -> Option<&Limited> {
        self.extra.as_ref().and_then(|extra| extra.limited.as_ref())
    }

    /// The name of its `nth` limit; empty if it has none.
    pub fn limit_name(&self, nth: u8) -> &str {
        let limit = self.limited().and_then(|limited| limited.terms.limits().get(usize::from(nth)));
        limit.map_or("", |limit| &limit.name)
    }

    /// Whether it may be used from `address`, or from an unknown one.
    pub(super) fn allows(&self, address: Option<IpAddr>) -> bool {
        let networks = self.extra.as_ref().map_or(&[][..], |extra| &extra.networks);
        networks.is_empty() || address.is_some_and(|at| networks.iter().any(|network| network.contains(at)))
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

    /// What the same lookup finds in other keyspaces, by age. Kept with the first of them alone.
    pub(super) fn others(&self) -> &[Arc<Self>] {
        self.extra.as_ref().map_or(&[], |extra| &extra.others)
    }

    /// The first that a lookup finds, and the others.
    pub(super) fn with_others(self: &Arc<Self>) -> impl Iterator<Item = &Arc<Self>> {
        iter::once(self).chain(self.others())
    }

    /// Notes that a verification ended so at `now`. Whether it is the first since [`CachedKey::take_uses`].
    pub(super) fn note_use(&self, ended: Counted, now: Timestamp) -> bool {
        // Nobody pays for the calls that he makes to this service.
        if self.rights().is_none()
            && let Some(count) = ended.place().checked_sub(1).and_then(|place| self.counts.get(place))
        {
            count.fetch_add(1, Ordering::SeqCst);
        }
        if ended == Counted::Valid {
            let last = self.last_use.load(Ordering::Relaxed);
            let exact_to = Timestamp::from_micros(last).saturating_add(LAST_USE_EXACT_TO);
            // Also where the clock was set back: the last use is by the time it was then.
            if now >= exact_to || now.as_micros() < last {
                self.last_use.store(now.as_micros(), Ordering::Relaxed);
            }
        }
        // In one order with what take_uses does: it sees the count, or this sees that nothing is noted any more.
        !self.use_noted.load(Ordering::SeqCst) && !self.use_noted.swap(true, Ordering::SeqCst)
    }

    /// How it was used since this was last called, and when it was last found valid. The next use is a first one again.
    pub(super) fn take_uses(&self) -> (Counts, Option<Timestamp>) {
        self.use_noted.swap(false, Ordering::SeqCst);
        let mut counts = Counts::default();
        for (counted, count) in Counted::ALL.into_iter().skip(1).zip(&self.counts) {
            // Looked at first: most are none.
            if count.load(Ordering::SeqCst) > 0 {
                counts.add(counted, count.swap(0, Ordering::SeqCst).into());
            }
        }
        let last = self.last_use.load(Ordering::Relaxed);
        (counts, (last != i64::MIN).then_some(Timestamp::from_micros(last)))
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
        let others: usize = self.others().iter().map(|other| size_of::<Self>() + other.size()).sum();
        2 * size_of::<usize>() + size_of::<CachedKey>() + self.text.len() + extra + self.proof.size() + others
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
        self.others().iter().for_each(Entry::retire);
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
    /// On the heap, if there is anything.
    fn boxed(self) -> Option<Box<Self>> {
        let is_none = self.claims.is_empty()
            && self.networks.is_empty()
            && self.limited.is_none()
            && self.rights.is_none()
            && self.others.is_empty();
        (!is_none).then(|| Box::new(self))
    }

    fn size(&self) -> usize {
        // What is left of it is counted with it: it lives no longer than a minute more.
        let limited = self.limited.as_ref().map_or(0, |limited| limited.terms.size() + Allowance::SIZE);
        let grants = self.rights.as_ref().map_or(0, |rights| rights.grants.len() * 2 * size_of::<Grant>());
        size_of::<Self>() + self.claims.len() + size_of_val(&*self.networks) + limited + grants
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
