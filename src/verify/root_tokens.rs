//! Which root tokens are worth a look-up. Strangers can make up as many as they like; a made-up one carries no valid MAC,
//! and the few root keys whose tokens carry none are known by their lookups. All others are refused from memory.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use super::cache::Known;
use super::cached::Proof;
use super::lookup_queue::Queue;
use super::resolve::issued;
use super::slow::Presenter;
use super::{Verifier, VerifyError, root};
use crate::hashing::Requester;
use crate::key::permission::Reach;
use crate::key::root_token::RootTokenKey;
use crate::key::token::Token;
use crate::key::verifier;
use crate::store::{RootKeysWithoutMac, StoreError};

/// Most root keys without a MAC that are known by their lookups, at some 60 bytes each. With more of them, every token
/// without a MAC is looked up.
pub const WITHOUT_MAC_MAX: usize = 10_000;

/// What is known about root tokens. Knows nothing at first: then every one is looked up.
#[derive(Debug, Default)]
pub struct RootTokens {
    state: RwLock<State>,
    refused: AtomicU64,
}

#[derive(Default)]
struct State {
    key: Option<RootTokenKey>,
    /// The lookups of the root keys whose tokens carry no MAC.
    without_mac: HashSet<Box<str>>,
    /// Whether `without_mac` has all of them.
    is_complete: bool,
    /// Counts the changes that this may not know of.
    doubts: u64,
}

/// Counts rather than shows.
impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (known, complete) = (self.without_mac.len(), self.is_complete);
        f.debug_struct("State").field("without_mac", &known).field("is_complete", &complete).finish_non_exhaustive()
    }
}

impl RootTokens {
    /// Returns where a root credential waits for its look-up; `None`: it is made up, and not looked up at all.
    pub fn queue(&self, lookup: &str, proof: &str) -> Option<Queue> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        // Always made, so that each refusal takes the same time.
        let has_mac = state.has_mac(lookup, proof);
        let may_lack_mac = !state.is_complete || state.without_mac.contains(lookup);
        match (has_mac, may_lack_mac) {
            (true, _) => Some(Queue::Callers),
            (false, true) => Some(Queue::WithoutMac),
            (false, false) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// Whether `credential` is a root token with a valid MAC: only this installation can have made it.
    pub fn is_plausible(&self, credential: &str) -> bool {
        let Ok(token) = Token::parse(credential) else { return false };
        self.state.read().unwrap_or_else(PoisonError::into_inner).has_mac(token.public_prefix, token.secret)
    }

    /// Notes that anything may be as it was not before.
    pub fn doubt(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.is_complete = false;
        state.doubts += 1;
    }

    /// Returns the count of doubts: to be passed to [`RootTokens::learn`] with what was read after this call.
    pub fn doubts(&self) -> u64 {
        self.state.read().unwrap_or_else(PoisonError::into_inner).doubts
    }

    /// Takes in what the store has. What was read before the last doubt does not end it.
    pub fn learn(&self, key: RootTokenKey, found: RootKeysWithoutMac, doubts: u64) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let is_whole = found.lookups.len() <= WITHOUT_MAC_MAX && !found.more_may_come;
        state.key = Some(key);
        state.is_complete = is_whole && state.doubts == doubts;
        state.without_mac = found.lookups.into_iter().map(String::into_boxed_str).collect();
    }

    /// Whether the lookups of all root keys without a MAC are known.
    pub fn is_complete(&self) -> bool {
        self.state.read().unwrap_or_else(PoisonError::into_inner).is_complete
    }

    /// How many root keys are known whose tokens carry no MAC.
    pub fn without_mac(&self) -> usize {
        self.state.read().unwrap_or_else(PoisonError::into_inner).without_mac.len()
    }

    /// How many made-up root credentials were refused without a look-up.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl State {
    fn has_mac(&self, public_prefix: &str, secret: &str) -> bool {
        let token = Token { public_prefix, secret };
        self.key.as_ref().is_some_and(|key| key.verify(&token))
    }
}

impl Verifier {
    /// Whether `credential` is a root token that only this installation can have made, be it valid still or not. Reads
    /// nothing but memory.
    pub fn is_plausible_root(&self, credential: &str) -> bool {
        self.memory.root_tokens.is_plausible(credential)
    }

    /// Reads anew from the store what tells made-up root tokens from others. Until the first time, all are looked up.
    ///
    /// # Errors
    /// If the store fails. What was known stays.
    pub async fn refresh_root_tokens(&self) -> Result<(), StoreError> {
        let tokens = &self.memory.root_tokens;
        let doubts = tokens.doubts();
        let key = self.store.installation().await?.root_token_key;
        // One more than is kept: then there are more.
        let limit = WITHOUT_MAC_MAX + 1;
        let without_mac = self.store.root_keys_without_mac(self.clock.now(), limit).await?;
        tokens.learn(key, without_mac, doubts);
        Ok(())
    }

    /// Proves the root key that the operator supplied, in whatever state it is: from then on its keyed digest decides, and
    /// no stranger's guesses delay its owner. Whether it is one of this store.
    ///
    /// # Errors
    /// If that cannot be found out now.
    pub async fn warm_root(&self, supplied: &str) -> Result<bool, VerifyError> {
        let asked = root(supplied, None);
        let Some(candidate) = issued(&asked, &Reach::Everywhere) else { return Ok(false) };
        let known = self.secrets.find(&candidate.lookup, asked.turn(Queue::Callers), &self.reading()).await?;
        let Known::Present(key) = known else { return Ok(false) };
        match &key.proof {
            Proof::Sha256(digest) => Ok(verifier::sha256(candidate.proof) == *digest),
            Proof::Other(_) => {
                let by = Presenter { requester: Requester::Callers, network: None };
                self.slow.proves(&candidate.lookup, &key, candidate.proof, by).await
            }
        }
    }

    /// What tells made-up root tokens from others.
    pub fn root_tokens(&self) -> &RootTokens {
        &self.memory.root_tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::token;

    fn found(lookups: &[&str], more_may_come: bool) -> RootKeysWithoutMac {
        RootKeysWithoutMac { lookups: lookups.iter().map(ToString::to_string).collect(), more_may_come }
    }

    fn key() -> RootTokenKey {
        RootTokenKey::from_bytes([3; 32])
    }

    /// Where a token of each kind waits: with a MAC, known without one, unknown without one, and known free text.
    fn queues(tokens: &RootTokens) -> [Option<Queue>; 4] {
        let (_, with) = key().generate().unwrap();
        let (_, unknown) = token::generate(&"root".parse().unwrap()).unwrap();
        let of = |text: &str| {
            let token = Token::parse(text).unwrap();
            tokens.queue(token.public_prefix, token.secret)
        };
        let free_text = "a free text of more than thirty-two characters";
        [
            of(with.expose()),
            tokens.queue("root_known00000000000", "x".repeat(32).as_str()),
            of(unknown.expose()),
            tokens.queue(token::FREE_TEXT_LOOKUP, free_text),
        ]
    }

    #[test]
    fn only_what_may_be_genuine_is_looked_up() {
        let tokens = RootTokens::default();
        let (callers, without) = (Some(Queue::Callers), Some(Queue::WithoutMac));
        assert_eq!(queues(&tokens), [without; 4], "nothing is known yet");
        tokens.learn(key(), found(&["root_known00000000000"], false), tokens.doubts());
        assert_eq!(queues(&tokens), [callers, without, None, None]);
        tokens.learn(key(), found(&[token::FREE_TEXT_LOOKUP], false), tokens.doubts());
        assert_eq!(queues(&tokens), [callers, None, None, without]);
        assert_eq!(tokens.refused(), 4);
        // A replica that issues tokens without a MAC is still there.
        tokens.learn(key(), found(&[], true), tokens.doubts());
        assert_eq!(queues(&tokens), [callers, without, without, without]);
        let many = RootKeysWithoutMac { lookups: vec![String::new(); WITHOUT_MAC_MAX + 1], more_may_come: false };
        tokens.learn(key(), many, tokens.doubts());
        assert!(!tokens.is_complete());
    }

    #[test]
    fn a_doubt_lasts_until_the_store_was_read_after_it() {
        let tokens = RootTokens::default();
        let before = tokens.doubts();
        tokens.doubt();
        tokens.learn(key(), found(&[], false), before);
        assert!(!tokens.is_complete());
        tokens.learn(key(), found(&[], false), tokens.doubts());
        assert!(tokens.is_complete());
    }

    #[test]
    fn a_mac_is_plausible_without_any_look_up() {
        let tokens = RootTokens::default();
        let (_, with) = key().generate().unwrap();
        assert!(!tokens.is_plausible(with.expose()), "the key is not known yet");
        tokens.learn(key(), found(&[], false), tokens.doubts());
        assert!(tokens.is_plausible(with.expose()));
        let (_, without) = token::generate(&"root".parse().unwrap()).unwrap();
        assert!(!tokens.is_plausible(without.expose()));
        assert!(!tokens.is_plausible("no token at all"));
    }
}
