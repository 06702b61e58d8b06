//! Which key a presented string is.
//!
//! A string can be read in several ways, and several keyspaces may have imported one secret: the named keyspace decides;
//! where none is named, the key that was made first of those within reach. What can be told at once is told first, so that
//! a neighbour's salted secrets keep nobody waiting who need not be hashed for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hint;
use std::sync::Arc;

use futures_util::future::join_all;

use super::cache::Known;
use super::cached::Proof;
use super::lookup_queue::Queue;
use super::slow::Presenter;
use super::{CachedKey, Judged, Question, Verifier, VerifyError, admits, judge};
use crate::client_network::ClientNetwork;
use crate::clock::Timestamp;
use crate::hashing::Requester;
use crate::key::field;
use crate::key::keyspace::SYSTEM;
use crate::key::permission::Reach;
use crate::key::record::State;
use crate::key::secret::Digest;
use crate::key::token::{self, PublicPrefix, Token};
use crate::key::verifier;
use crate::store::Found;

use super::verdict::Verdict;

/// One way to read a presented string: what would find its secret, and what would prove it.
pub(super) struct Candidate<'a> {
    pub lookup: Cow<'a, str>,
    pub proof: &'a str,
    /// Whether only a root key can be found by it.
    is_root: bool,
}

/// The ways to read it as an imported secret.
struct Imported<'a> {
    candidates: Vec<Candidate<'a>>,
    /// Whether all are of one keyspace: then the first that is proven counts.
    of_one: bool,
}

/// A key whose secret is proven, and when it was seen to be within reach.
type Proven = (Arc<CachedKey>, Timestamp);

/// What a lookup found that is live and within reach, checked against what is presented.
#[derive(Default)]
struct Sifted {
    /// The first whose secret it is.
    proven: Option<Proven>,
    /// Those of which only hashing can tell.
    costly: Vec<Arc<CachedKey>>,
}

/// What came of trying keys of one keyspace.
struct Tried<'k> {
    proven: Option<Proven>,
    wrong: Vec<&'k Arc<CachedKey>>,
    untold: Option<VerifyError>,
}

/// The secrets that a presented key is, with their keys in whatever state, as the store has them: mostly one.
#[derive(Debug, Default)]
pub struct Identified {
    /// Those that are proven, live and within reach, the one that a verification answers with first.
    pub found: Vec<Found>,
    /// Why it could not be told of others.
    pub untold: Option<VerifyError>,
}

/// The same, with the keys as the hot path has them.
#[derive(Default)]
pub(super) struct Located {
    pub(super) found: Vec<(Found, Arc<CachedKey>)>,
    pub(super) untold: Option<VerifyError>,
    /// Whether the string is of a known form.
    pub(super) has_form: bool,
}

impl Verifier {
    /// What is known without waiting; `None`: it must be looked up.
    pub(super) fn judge_known(&self, asked: &Question<'_>, reach: &Reach) -> Option<Judged> {
        let mut unfound = Verdict::Malformed;
        if let Some(candidate) = issued(asked, reach) {
            unfound = Verdict::NotFound;
            match self.secrets.known(&candidate.lookup) {
                Some(known) => {
                    let sifted = self.sift(known, &candidate, asked, reach);
                    if let Some((key, now)) = sifted.proven {
                        return Some(Judged::Found(judge(key, asked, now), now));
                    }
                    if !sifted.costly.is_empty() {
                        return None;
                    }
                }
                None if self.queue(&candidate).is_none() => {}
                None => return None,
            }
        }
        // Imports only once an issued key is known to be none: to look for them takes memory.
        let imported = self.imported(asked, reach);
        let (mut proven, mut costly) = (None, Vec::new());
        for candidate in &imported.candidates {
            unfound = Verdict::NotFound;
            let sifted = self.sift(self.secrets.known(&candidate.lookup)?, candidate, asked, reach);
            proven = earlier(proven, sifted.proven);
            if imported.of_one && proven.is_some() {
                break;
            }
            costly.extend(sifted.costly);
        }
        match proven {
            Some((key, _)) if costly.iter().any(|other| self.is_open(other, &key, asked)) => None,
            Some((key, now)) => Some(Judged::Found(judge(key, asked, now), now)),
            None if costly.is_empty() => Some(Judged::Unfound(unfound)),
            None => None,
        }
    }

    /// The verdict, whatever it takes; what the key has left apart.
    pub(super) async fn look_up(&self, asked: &Question<'_>, reach: &Reach) -> Result<Judged, VerifyError> {
        let mut unfound = Verdict::Malformed;
        let mut untold = None;
        let found = |(key, now): Proven| Ok(Judged::Found(judge(key, asked, now), now));
        if let Some(candidate) = issued(asked, reach) {
            unfound = Verdict::NotFound;
            if let Some(queue) = self.queue(&candidate) {
                let known = self.secrets.find(&candidate.lookup, asked.turn(queue), &self.reading()).await?;
                let sifted = self.sift(known, &candidate, asked, reach);
                let costly = sifted.costly.into_iter().map(|key| (key, &candidate)).collect();
                // Matters only if none of the imported ones is proven.
                match self.settle_costly(sifted.proven, costly, asked).await {
                    Ok(Some(proven)) => return found(proven),
                    Ok(None) => {}
                    Err(error) => untold = Some(error),
                }
            }
        }
        let imported = self.imported(asked, reach);
        let (mut proven, mut costly) = (None, Vec::new());
        for candidate in &imported.candidates {
            unfound = Verdict::NotFound;
            let known = self.secrets.find(&candidate.lookup, asked.turn(Queue::Keys), &self.reading()).await?;
            let sifted = self.sift(known, candidate, asked, reach);
            proven = earlier(proven, sifted.proven);
            if imported.of_one && proven.is_some() {
                costly.clear();
                break;
            }
            costly.extend(sifted.costly.into_iter().map(|key| (key, candidate)));
        }
        match (self.settle_costly(proven, costly, asked).await, untold) {
            (Ok(Some(proven)), _) => found(proven),
            (Err(error), _) | (Ok(None), Some(error)) => Err(error),
            (Ok(None), None) => Ok(Judged::Unfound(unfound)),
        }
    }

    /// The secrets that a presented key proves, as the store has them.
    pub(super) async fn locate(&self, asked: &Question<'_>, reach: &Reach) -> Result<Located, VerifyError> {
        // The store is asked for the secrets; the forms of imported ones are known by heart.
        self.lease.current().await?;
        let issued = issued(asked, reach);
        let imported = self.imported(asked, reach);
        let mut located = Located { has_form: issued.is_some(), ..Located::default() };
        if let Some(candidate) = &issued {
            self.locate_by(candidate, &mut located, asked, reach).await?;
        }
        let first_imported = located.found.len();
        for candidate in &imported.candidates {
            located.has_form = true;
            self.locate_by(candidate, &mut located, asked, reach).await?;
        }
        if !imported.of_one
            && let Some(found) = located.found.get_mut(first_imported..)
        {
            found.sort_by(|(_, one), (_, other)| one.id().cmp(other.id()));
        }
        Ok(located)
    }

    async fn locate_by(
        &self,
        candidate: &Candidate<'_>,
        located: &mut Located,
        asked: &Question<'_>,
        reach: &Reach,
    ) -> Result<(), VerifyError> {
        let Some(queue) = self.queue(candidate) else { return Ok(()) };
        let found = self.secrets.read(&candidate.lookup, asked.turn(queue)).await?;
        let Known::Present(first) = self.reading().cached(&candidate.lookup, found.clone())? else { return Ok(()) };
        for (found, key) in found.into_iter().zip(first.with_others()) {
            let now = self.clock.now();
            if !(key.is_live(now) && admits(asked, reach, key.keyspace())) {
                continue;
            }
            let proven = match self.check(key, candidate, now) {
                Some(proven) => Ok(proven),
                None => {
                    self.slow
                        .proves(&candidate.lookup, key, candidate.proof, self.presenter(candidate, key, asked))
                        .await
                }
            };
            match proven {
                Ok(true) => located.found.push((found, key.clone())),
                Ok(false) => {}
                // The others are found all the same: a neighbour's secret must not keep a leaked one from being revoked.
                Err(error) => located.untold = Some(error),
            }
        }
        Ok(())
    }

    /// Tries the costly ones: the key that counts, if any is proven. Those of one keyspace are tried one after the other,
    /// and no keyspace waits for another's. Where one is `proven` already, only those are tried that would count before
    /// it, each once: that they could not be told is no reason to refuse it.
    async fn settle_costly(
        &self,
        mut proven: Option<Proven>,
        costly: Vec<(Arc<CachedKey>, &Candidate<'_>)>,
        asked: &Question<'_>,
    ) -> Result<Option<Proven>, VerifyError> {
        let mut by_keyspace = BTreeMap::<_, Vec<_>>::new();
        for (key, candidate) in &costly {
            if proven.as_ref().is_none_or(|(proven, _)| self.is_open(key, proven, asked)) {
                by_keyspace.entry(key.keyspace()).or_default().push((key, *candidate));
            }
        }
        let (mut wrong, mut untold) = (Vec::new(), None);
        for tried in join_all(by_keyspace.into_values().map(|of_one| self.try_in_order(of_one, asked))).await {
            proven = earlier(proven, tried.proven);
            wrong.extend(tried.wrong);
            untold = untold.or(tried.untold);
        }
        if proven.is_none() {
            return untold.map_or(Ok(None), Err);
        }
        for key in wrong {
            self.slow.rule_out(key, asked.key);
        }
        Ok(proven)
    }

    /// Tries keys of one keyspace, by age, until one is proven.
    async fn try_in_order<'k>(
        &self,
        mut of_one: Vec<(&'k Arc<CachedKey>, &Candidate<'_>)>,
        asked: &Question<'_>,
    ) -> Tried<'k> {
        of_one.sort_by(|(one, _), (other, _)| one.id().cmp(other.id()));
        let mut tried = Tried { proven: None, wrong: Vec::new(), untold: None };
        for (key, candidate) in of_one {
            match self.slow.proves(&candidate.lookup, key, candidate.proof, self.presenter(candidate, key, asked)).await
            {
                Ok(true) => {
                    tried.proven = Some((key.clone(), self.clock.now()));
                    break;
                }
                Ok(false) => tried.wrong.push(key),
                // Matters only if none of the others is proven.
                Err(error) => tried.untold = Some(error),
            }
        }
        tried
    }

    /// Whether `other`, of which only hashing can tell, would count instead of `key`, and was not tried yet.
    fn is_open(&self, other: &CachedKey, key: &CachedKey, asked: &Question<'_>) -> bool {
        other.id() < key.id() && !self.slow.is_ruled_out(other, asked.key)
    }

    /// The ways to read it as an imported secret. A string of our own form may be one too, by its digest.
    fn imported<'a>(&self, asked: &Question<'a>, reach: &Reach) -> Imported<'a> {
        let (lookups, of_one) = self.memory.forms.lookups(asked, reach);
        let lookups = lookups.into_iter().map(PublicPrefix::into_text);
        let candidate = |lookup| Candidate { lookup: Cow::Owned(lookup), proof: asked.key, is_root: false };
        Imported { candidates: lookups.map(candidate).collect(), of_one }
    }

    /// Checks what is presented against what was found.
    fn sift(
        &self,
        known: Known<Arc<CachedKey>>,
        candidate: &Candidate<'_>,
        asked: &Question<'_>,
        reach: &Reach,
    ) -> Sifted {
        let now = self.clock.now();
        // Nobody shall make us hash for a key that he cannot reach anyway.
        let is_within = |key: &CachedKey| key.is_live(now) && admits(asked, reach, key.keyspace());
        let mut sifted = Sifted::default();
        let mut was_checked = false;
        if let Known::Present(first) = known {
            if is_within(&first) {
                match self.check(&first, candidate, now) {
                    Some(true) => return Sifted { proven: Some((first, now)), costly: Vec::new() },
                    Some(false) => {}
                    None => sifted.costly.push(first.clone()),
                }
                was_checked = true;
            }
            for key in first.others().iter().filter(|key| is_within(key)) {
                was_checked = true;
                match self.check(key, candidate, now) {
                    Some(true) => {
                        sifted.proven = Some((key.clone(), now));
                        break;
                    }
                    Some(false) => {}
                    None => sifted.costly.push(key.clone()),
                }
            }
        }
        if !was_checked {
            // The same work as for a wrong secret, so that time tells nobody which lookups exist. Not so for slow
            // secrets that were not seen yet: their lookups, which are public, can be told from unknown ones.
            hint::black_box(verifier::sha256(candidate.proof) == Digest::from_bytes([0; 32]));
        }
        sifted
    }

    /// Whether it is the secret of `key`; `None`: only hashing can tell.
    fn check(&self, key: &CachedKey, candidate: &Candidate<'_>, now: Timestamp) -> Option<bool> {
        let proven = match &key.proof {
            Proof::Sha256(digest) => Some(verifier::sha256(candidate.proof) == *digest),
            Proof::Other(other) => self.slow.proves_at_once(&candidate.lookup, other, candidate.proof),
        };
        // Every stranger's rubbish is looked up here. Once the key has ended it is worth no hashing.
        let is_worthless = || candidate.lookup == token::FREE_TEXT_LOOKUP && key.state(now) != State::Active;
        if proven.is_none() && is_worthless() { Some(false) } else { proven }
    }

    /// Returns where the look-up of `candidate` waits; `None`: it is a made-up root credential, and not worth one.
    fn queue(&self, candidate: &Candidate<'_>) -> Option<Queue> {
        if candidate.is_root {
            self.memory.root_tokens.queue(&candidate.lookup, candidate.proof)
        } else {
            Some(Queue::Keys)
        }
    }

    /// Returns on whose behalf what is presented as `candidate`, which `key` was found by, is hashed.
    fn presenter<'k>(&self, candidate: &Candidate<'_>, key: &'k CachedKey, asked: &Question<'_>) -> Presenter<'k> {
        let requester = match self.queue(candidate) {
            Some(Queue::Keys) => Requester::Verification(key.keyspace()),
            Some(Queue::Callers) => Requester::Callers,
            Some(Queue::WithoutMac) | None => Requester::CallersWithoutMac,
        };
        Presenter { requester, network: Some(ClientNetwork::of(asked.peer.or(asked.client))) }
    }
}

/// Of two that are proven, the one whose key was made first: ids ascend.
fn earlier(one: Option<Proven>, other: Option<Proven>) -> Option<Proven> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.0.id() < one.0.id() { other } else { one }),
        (one, other) => one.or(other),
    }
}

/// What is presented as an issued key string. Where root keys are asked about, that may be free text that an operator
/// chose.
pub(super) fn issued<'a>(asked: &Question<'a>, reach: &Reach) -> Option<Candidate<'a>> {
    match Token::parse(asked.key) {
        Ok(token) => {
            let is_root = asked.keyspace == SYSTEM || token.is_root();
            Some(Candidate { lookup: Cow::Borrowed(token.public_prefix), proof: token.secret, is_root })
        }
        Err(_) if admits(asked, reach, SYSTEM) && field::root_key_text(asked.key).is_ok() => {
            Some(Candidate { lookup: Cow::Borrowed(token::FREE_TEXT_LOOKUP), proof: asked.key, is_root: true })
        }
        Err(_) => None,
    }
}
