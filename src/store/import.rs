//! Which of a batch of imports can be made. Both stores ask here while nobody else imports.

use std::collections::{BTreeSet, HashMap};

use super::{Holder, NewImport, Refusal};
use crate::key::id::KeyId;
use crate::key::imported::{Form, PREFIX_LENGTHS_MAX};
use crate::key::token::PublicPrefix;

/// What is taken, as a batch goes on.
pub struct Register {
    holders: HashMap<PublicPrefix, Holder>,
    forms: BTreeSet<Form>,
}

impl Register {
    /// Of the secrets under any lookup of the batch, and the forms of its keyspace.
    pub fn new(holders: Vec<Holder>, forms: Vec<Form>) -> Self {
        let holders = holders.into_iter().map(|holder| (holder.public_prefix.clone(), holder)).collect();
        Self { holders, forms: forms.into_iter().collect() }
    }

    /// The lookup that `new` gets.
    ///
    /// # Errors
    /// [`Refusal::SecretExists`], [`Refusal::LookupChanged`], [`Refusal::LookupFull`], [`Refusal::FormsFull`].
    pub fn admit(&self, new: &NewImport) -> Result<PublicPrefix, Refusal> {
        let under = || new.lookups.iter().filter_map(|lookup| self.holders.get(lookup));
        if let Some(same) = under().find(|holder| holder.verifier == new.verifier) {
            return Err(same.exists_in(&new.key.keyspace));
        }
        if let Some(others) = &new.others
            && under().any(|holder| !others.contains(&holder.verifier))
        {
            return Err(Refusal::LookupChanged);
        }
        let free = new.lookups.iter().find(|lookup| !self.holders.contains_key(lookup));
        let free = free.ok_or(Refusal::LookupFull)?.clone();
        if self.is_one_too_many(new.form) { Err(Refusal::FormsFull) } else { Ok(free) }
    }

    fn is_one_too_many(&self, form: Option<Form>) -> bool {
        let lengths = self.forms.iter().filter(|form| matches!(form, Form::Prefix(_))).count();
        matches!(form, Some(form @ Form::Prefix(_)) if lengths >= PREFIX_LENGTHS_MAX && !self.forms.contains(&form))
    }

    /// Notes that `new` was made under `lookup`. Its form, if it is the first of its keyspace.
    pub fn note(&mut self, new: &NewImport, lookup: &PublicPrefix) -> Option<Form> {
        let holder = Holder {
            public_prefix: lookup.clone(),
            verifier: new.verifier.clone(),
            key_id: new.key.id.clone(),
            keyspace: new.key.keyspace.clone(),
        };
        self.holders.insert(lookup.clone(), holder);
        new.form.filter(|form| self.forms.insert(*form))
    }
}

impl Holder {
    /// That whoever imports into `keyspace` brings this secret again. A key of another keyspace is not named.
    pub fn exists_in(&self, keyspace: &str) -> Refusal {
        let named: Option<KeyId> = (self.keyspace == keyspace).then(|| self.key_id.clone());
        Refusal::SecretExists(named)
    }
}

/// All lookups of a batch.
pub fn lookups(batch: &[NewImport]) -> Vec<PublicPrefix> {
    batch.iter().flat_map(|new| new.lookups.iter().cloned()).collect()
}
