//! What there is of a secret to be imported: checked, and made ready to be stored.

use std::fmt;
use std::sync::Arc;

use crate::key::imported::{self, DigestAlgorithm, Form};
use crate::key::phc::Phc;
use crate::key::secret::{Digest, Secret};
use crate::key::token::{PublicPrefix, Token};
use crate::key::verifier::{Check, Verifier, sha256};
use crate::manage::Violations;

/// What there is of a secret that another system made, as the caller gave it.
pub enum Material {
    /// Nothing.
    Absent,
    /// The secret itself.
    Plaintext(Secret),
    /// An unsalted digest of it.
    Digest {
        /// Which; what was given instead, if it is none.
        algorithm: Result<DigestAlgorithm, i32>,
        /// Its bytes, or the text of its hex or base64. It opens nothing by itself.
        value: Vec<u8>,
    },
    /// A string that says how to check it.
    Phc(Secret),
}

/// What kind it is, and no more.
impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::Plaintext(_) => "Plaintext([redacted])",
            Self::Digest { .. } => "Digest([redacted])",
            Self::Phc(_) => "Phc([redacted])",
        })
    }
}

/// A secret that can be stored, and where.
pub(super) struct Prepared {
    /// What may find it, in the order of preference.
    pub lookups: Vec<PublicPrefix>,
    /// How it is found; `None`: as an issued one is.
    pub form: Option<Form>,
    /// What is kept of it.
    pub kept: Kept,
}

/// What is kept of a secret.
pub(super) enum Kept {
    /// This.
    Ready(Verifier),
    /// What is yet to be made of it.
    Plain(Plain),
}

/// A secret in plaintext.
pub(super) struct Plain {
    text: Secret,
    /// What is hashed: the text, or the secret part of an issued one.
    pub proof: Arc<Secret>,
    /// Tells it from the others of its request.
    pub mark: Digest,
}

impl Plain {
    /// What might find this secret already, by any of `forms`.
    pub fn found_by(&self, forms: &[Form]) -> Vec<PublicPrefix> {
        forms.iter().flat_map(|form| form.lookups(self.text.expose())).collect()
    }

    /// Whether a verifier is of this secret, as far as that can be told at once.
    pub fn check<'a>(&self, verifier: &'a Verifier) -> Check<'a> {
        verifier.check(self.proof.expose())
    }
}

impl Material {
    /// Notes what is bad; `None` if anything is. `lengths` are those of the lookup prefixes that the keyspace has; a
    /// length that is new is added. Nothing that is noted repeats the material.
    pub(super) fn prepare(
        self,
        lookup_prefix: &str,
        lengths: &mut Vec<usize>,
        bad: &mut Violations,
    ) -> Option<Prepared> {
        match self {
            Self::Absent => {
                bad.add("material", "must be plaintext, digest or phc; is absent");
                None
            }
            Self::Plaintext(text) => plaintext(text, lookup_prefix, lengths, bad),
            Self::Digest { algorithm, value } => digest(algorithm, &value, lookup_prefix, bad),
            Self::Phc(text) => phc(&text, lookup_prefix, lengths, bad),
        }
    }
}

fn plaintext(text: Secret, lookup_prefix: &str, lengths: &mut Vec<usize>, bad: &mut Violations) -> Option<Prepared> {
    must("plaintext", imported::plaintext(text.expose()), bad)?;
    let mark = sha256(text.expose());
    if let Ok(token) = Token::parse(text.expose()) {
        if token.is_root() {
            bad.add("plaintext", "must not be a root key; is one");
            return None;
        }
        if !lookup_prefix.is_empty() {
            bad.add("lookup_prefix", "must be empty for a key string of Portcullis's form, which has its own; is not");
            return None;
        }
        let lookups = vec![PublicPrefix::from_stored(token.public_prefix.to_owned())];
        let proof = Arc::new(Secret::new(token.secret.to_owned()));
        return Some(Prepared { lookups, form: None, kept: Kept::Plain(Plain { text, proof, mark }) });
    }
    let length = if lookup_prefix.is_empty() {
        let Some(length) = imported::chosen_prefix_len(text.expose(), lengths) else {
            bad.add("lookup_prefix", "must be given: none of the 8 lengths that the keyspace has fits the plaintext");
            return None;
        };
        length
    } else {
        must("lookup_prefix", imported::lookup_prefix_of(text.expose(), lookup_prefix), bad)?;
        lookup_prefix.len()
    };
    note(length, lengths);
    let lookups = imported::slots(&text.expose()[..length]);
    let proof = Arc::new(Secret::new(text.expose().to_owned()));
    Some(Prepared { lookups, form: Some(Form::Prefix(length)), kept: Kept::Plain(Plain { text, proof, mark }) })
}

fn digest(
    algorithm: Result<DigestAlgorithm, i32>,
    value: &[u8],
    lookup_prefix: &str,
    bad: &mut Violations,
) -> Option<Prepared> {
    if !lookup_prefix.is_empty() {
        bad.add("lookup_prefix", "must be empty for a digest, which finds its key by itself; is not");
    }
    let algorithm = match algorithm {
        Ok(algorithm) => algorithm,
        Err(number) => {
            bad.add("digest.algorithm", format!("must be SHA256, SHA384 or SHA512; is {number}"));
            return None;
        }
    };
    let verifier = must("digest.value", algorithm.decode(value), bad)?;
    let lookup = match &verifier {
        Verifier::Sha256(digest) => algorithm.lookup(digest.as_bytes()),
        Verifier::Sha384(digest) => algorithm.lookup(digest.as_bytes()),
        Verifier::Sha512(digest) => algorithm.lookup(digest.as_bytes()),
        Verifier::Argon2id(_) | Verifier::Phc(_) => unreachable!("no algorithm makes these"),
    };
    Some(Prepared { lookups: vec![lookup], form: Some(Form::Digest(algorithm)), kept: Kept::Ready(verifier) })
}

fn phc(text: &Secret, lookup_prefix: &str, lengths: &mut Vec<usize>, bad: &mut Violations) -> Option<Prepared> {
    let phc = must("phc", Phc::parse(text.expose()), bad);
    if lookup_prefix.is_empty() {
        bad.add("lookup_prefix", "must be what the secret starts with, for phc is salted; is absent");
        return None;
    }
    must("lookup_prefix", imported::lookup_prefix(lookup_prefix), bad)?;
    note(lookup_prefix.len(), lengths);
    let form = Some(Form::Prefix(lookup_prefix.len()));
    Some(Prepared { lookups: imported::slots(lookup_prefix), form, kept: Kept::Ready(Verifier::Phc(phc?)) })
}

fn must<T>(field: &str, checked: Result<T, String>, bad: &mut Violations) -> Option<T> {
    checked.map_err(|rule| bad.add(field, format!("must {rule}"))).ok()
}

/// Notes that a keyspace will have lookup prefixes of this length, if it can.
fn note(length: usize, lengths: &mut Vec<usize>) {
    if !lengths.contains(&length) && lengths.len() < imported::PREFIX_LENGTHS_MAX {
        lengths.push(length);
    }
}
