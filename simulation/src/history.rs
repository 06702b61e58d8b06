//! What was asked and answered, and whether the promise was kept. Each answer is looked at once.

use std::collections::BTreeMap;

use portcullis::key::id::KeyId;
use portcullis::key::token::Token;
use portcullis::verify::verdict::Verdict;

use crate::world::digest;

/// What every key may do, until it is narrowed.
pub const LOST_SCOPE: &str = "thing:write";

/// How a key, or something that it may do, ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is revoked.
    Revoke,
    /// It is deleted.
    Delete,
    /// It is switched off.
    Disable,
    /// It loses a scope.
    Narrow,
    /// It gets another secret, and the one before it ends at once.
    Rotate,
}

/// All ways, the plain one most often.
pub const WAYS: [Way; 8] =
    [Way::Revoke, Way::Revoke, Way::Revoke, Way::Revoke, Way::Delete, Way::Disable, Way::Narrow, Way::Rotate];

/// A key as its owner knows it.
struct Key {
    id: KeyId,
    secrets: Vec<usize>,
    /// How often somebody began to take something from it.
    attempts: u32,
    is_lost: bool,
    is_narrowed: bool,
}

struct Secret {
    key: usize,
    text: String,
    is_lost: bool,
    /// It was handed out, and nothing was done that may have ended it.
    is_sure: bool,
}

/// A verification under way.
pub struct Asked {
    /// Which secret.
    secret: usize,
    /// The key string.
    pub text: String,
    scoped: bool,
    must_fail: bool,
    must_be_known: bool,
}

/// All that counts.
#[derive(Default)]
pub struct History {
    keys: Vec<Key>,
    secrets: Vec<Secret>,
    /// The numbers of keys and secrets, by what is random about them.
    numbers: BTreeMap<String, usize>,
    trace: u64,
    /// What was confirmed since this was last looked at: the secrets concerned.
    pub fresh: Vec<usize>,
    /// How many changes were confirmed.
    pub confirmed: u64,
    /// How many verifications were answered, and how many of them with VALID.
    pub verified: (u64, u64),
    /// How many were not answered, for there was no lease or no store.
    pub unanswered: u64,
    /// What must not be.
    pub wrong: Vec<String>,
    /// Every note in words, if somebody wants to read them.
    pub words: Option<Vec<String>>,
}

impl History {
    /// Notes for the trace.
    pub fn note(&mut self, now: u64, what: &str, process: usize, which: usize) {
        // A sum: what happens within one step of one process has no order that counts.
        self.trace = self.trace.wrapping_add(digest(&[now, process as u64, which as u64], what));
        if let Some(words) = &mut self.words {
            words.push(format!("{now:>6} ms  process {process}  {what} {which}"));
        }
    }

    /// A digest of all notes.
    pub fn trace(&self) -> u64 {
        self.trace
    }

    /// A key was handed out: its number.
    pub fn made(&mut self, id: KeyId, text: String) -> usize {
        let key = self.keys.len();
        self.numbers.insert(id.as_str().to_owned(), key);
        self.keys.push(Key { id, secrets: Vec::new(), attempts: 0, is_lost: false, is_narrowed: false });
        self.hand_out(key, text, true);
        key
    }

    fn hand_out(&mut self, key: usize, text: String, is_sure: bool) {
        let number = self.secrets.len();
        self.keys[key].secrets.push(number);
        let token = Token::parse(&text).expect("keys that are handed out parse");
        self.numbers.insert(token.public_prefix.to_owned(), number);
        self.secrets.push(Secret { key, text, is_lost: false, is_sure });
    }

    /// The number of the key of this id, or of the secret of this lookup.
    pub fn number(&self, name: &str) -> usize {
        self.numbers.get(name).copied().unwrap_or(usize::MAX)
    }

    /// How many keys there are.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// The secrets of a key, the newest last.
    pub fn secrets(&self, key: usize) -> &[usize] {
        &self.keys[key].secrets
    }

    /// A verification begins.
    pub fn ask(&self, secret: usize, scoped: bool) -> Asked {
        let found = &self.secrets[secret];
        let key = &self.keys[found.key];
        Asked {
            secret,
            text: found.text.clone(),
            scoped,
            must_fail: found.is_lost || key.is_lost || (scoped && key.is_narrowed),
            must_be_known: found.is_sure,
        }
    }

    /// A verification ends. `None`: without a verdict.
    pub fn answered(&mut self, now: u64, process: usize, asked: &Asked, verdict: Option<&Verdict>) {
        let word = match verdict {
            None => "no answer",
            Some(Verdict::Valid(..)) => "valid",
            Some(Verdict::Malformed) => "malformed",
            Some(Verdict::NotFound) => "not found",
            Some(Verdict::Revoked(_)) => "revoked",
            Some(Verdict::Expired(_)) => "expired",
            Some(Verdict::Disabled(_)) => "disabled",
            Some(Verdict::IpNotAllowed(_)) => "ip not allowed",
            Some(Verdict::InsufficientScope { .. }) => "insufficient scope",
            Some(Verdict::RateLimited(..)) => "rate limited",
            Some(Verdict::CreditsExhausted(..)) => "credits exhausted",
        };
        self.note(now, word, process, asked.secret);
        if verdict.is_none() {
            self.unanswered += 1;
            return;
        }
        self.verified.0 += 1;
        let is_valid = matches!(verdict, Some(Verdict::Valid(..)));
        self.verified.1 += u64::from(is_valid);
        let secret = &self.secrets[asked.secret];
        if is_valid && asked.must_fail {
            self.wrong.push(format!(
                "{now} ms: process {process} accepts secret {} of key {} (scoped: {}) in a verification that began after \
                 that was taken from it",
                asked.secret, secret.key, asked.scoped
            ));
        }
        // It was known when the verification began, and nobody has begun to take anything from it until now.
        if !is_valid && asked.must_be_known && secret.is_sure {
            self.wrong.push(format!(
                "{now} ms: process {process} says {word} of secret {} of key {}, which was handed out",
                asked.secret, secret.key
            ));
        }
    }

    /// Somebody begins to take something from a key: its id, and the secrets that are known by now.
    pub fn try_to_lose(&mut self, key: usize) -> (KeyId, Vec<usize>) {
        let found = &mut self.keys[key];
        found.attempts += 1;
        for secret in &found.secrets {
            self.secrets[*secret].is_sure = false;
        }
        (found.id.clone(), found.secrets.clone())
    }

    /// Whether somebody was told that this is so everywhere.
    pub fn is_confirmed(&self, key: usize, way: Way) -> bool {
        let key = &self.keys[key];
        match way {
            Way::Revoke | Way::Delete | Way::Disable => key.is_lost,
            Way::Narrow => key.is_narrowed,
            Way::Rotate => key.secrets.first().is_some_and(|first| self.secrets[*first].is_lost),
        }
    }

    /// Whoever did that was told that it is so everywhere.
    pub fn lost(&mut self, key: usize, way: Way, before: Vec<usize>, new: Option<String>) {
        self.confirmed += 1;
        match way {
            Way::Revoke | Way::Delete | Way::Disable => self.keys[key].is_lost = true,
            Way::Narrow => self.keys[key].is_narrowed = true,
            Way::Rotate => {
                for secret in &before {
                    self.secrets[*secret].is_lost = true;
                }
            }
        }
        if let Some(text) = new {
            // Another rotation that was begun may end it.
            let is_sure = self.keys[key].attempts == 1;
            self.hand_out(key, text, is_sure);
        }
        self.fresh.extend(before);
    }
}
