//! Which of a batch of imports can be made. Both stores ask here while nobody else imports.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Holder, NewImport, Refusal};
use crate::key::imported::{Form, PREFIX_LENGTHS_MAX};
use crate::key::token::PublicPrefix;

/// Most keys that one lookup finds, each of another keyspace: a verification looks at all that its caller may see.
pub const HOLDERS_MAX: i64 = 64;

/// What is taken, as a batch goes on.
pub struct Register {
    holders: HashMap<PublicPrefix, Holder>,
    crowded: HashSet<PublicPrefix>,
    forms: BTreeSet<Form>,
}

impl Register {
    /// Of the secrets that the keyspace has under any lookup of the batch, those lookups that [`HOLDERS_MAX`] keys have,
    /// of whatever keyspaces, and the forms of the keyspace.
    pub fn new(holders: Vec<Holder>, crowded: Vec<String>, forms: Vec<Form>) -> Self {
        let holders = holders.into_iter().map(|holder| (holder.public_prefix.clone(), holder)).collect();
        let crowded = crowded.into_iter().map(PublicPrefix::from_stored).collect();
        Self { holders, crowded, forms: forms.into_iter().collect() }
    }

    /// The lookup that `new` gets.
    ///
    /// # Errors
    /// [`Refusal::SecretExists`], [`Refusal::LookupChanged`], [`Refusal::LookupFull`], [`Refusal::FormsFull`].
    pub fn admit(&self, new: &NewImport) -> Result<PublicPrefix, Refusal> {
        let under = || new.lookups.iter().filter_map(|lookup| self.holders.get(lookup));
        if let Some(same) = under().find(|holder| holder.verifier == new.verifier) {
            return Err(Refusal::SecretExists(same.key_id.clone()));
        }
        if let Some(others) = &new.others
            && under().any(|holder| !others.contains(&holder.verifier))
        {
            return Err(Refusal::LookupChanged);
        }
        let is_free = |lookup: &&PublicPrefix| !self.holders.contains_key(lookup) && !self.crowded.contains(lookup);
        let free = new.lookups.iter().find(is_free);
        let free = free.ok_or(Refusal::LookupFull)?.clone();
        if self.is_one_too_many(new.form) { Err(Refusal::FormsFull) } else { Ok(free) }
    }

    fn is_one_too_many(&self, form: Option<Form>) -> bool {
        let lengths = self.forms.iter().filter(|form| matches!(form, Form::Prefix(_))).count();
        matches!(form, Some(form @ Form::Prefix(_)) if lengths >= PREFIX_LENGTHS_MAX && !self.forms.contains(&form))
    }

    /// Notes that `new` was made under `lookup`. Its form, if it is the first of its keyspace.
    pub fn note(&mut self, new: &NewImport, lookup: &PublicPrefix) -> Option<Form> {
        let holder =
            Holder { public_prefix: lookup.clone(), verifier: new.verifier.clone(), key_id: new.key.id.clone() };
        self.holders.insert(lookup.clone(), holder);
        new.form.filter(|form| self.forms.insert(*form))
    }
}

/// All lookups of a batch.
pub fn lookups(batch: &[NewImport]) -> Vec<PublicPrefix> {
    batch.iter().flat_map(|new| new.lookups.iter().cloned()).collect()
}
