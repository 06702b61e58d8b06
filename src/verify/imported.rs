//! Imported secrets: strings of any shape, tried by the forms that the keyspaces within reach have. A keyspace without
//! imports has none, and pays nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use super::{Question, Verifier, admits};
use crate::key::imported::Form;
use crate::key::permission::Reach;
use crate::key::token::PublicPrefix;
use crate::store::{Store, StoreError};

/// The forms of each keyspace that has any, in memory: a dozen small numbers a keyspace at most.
#[derive(Debug, Default)]
pub struct Forms {
    any: AtomicBool,
    of: RwLock<BTreeMap<String, Vec<Form>>>,
}

impl Forms {
    /// What could find the presented key within reach; nothing, if it is of no form there.
    pub fn lookups(&self, asked: &Question<'_>, reach: &Reach) -> Vec<PublicPrefix> {
        if !self.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        let of = self.of.read().unwrap_or_else(PoisonError::into_inner);
        let within = of.iter().filter(|(keyspace, _)| admits(asked, reach, keyspace));
        // Digests come first: they cost one look-up each, and find at most one secret.
        let forms: BTreeSet<Form> = within.flat_map(|(_, forms)| forms.iter().copied()).collect();
        forms.into_iter().flat_map(|form| form.lookups(asked.key)).collect()
    }

    async fn reload(&self, store: &dyn Store) -> Result<(), StoreError> {
        let mut forms: BTreeMap<String, Vec<Form>> = BTreeMap::new();
        for (keyspace, form) in store.import_forms().await? {
            forms.entry(keyspace).or_default().push(form);
        }
        let any = !forms.is_empty();
        *self.of.write().unwrap_or_else(PoisonError::into_inner) = forms;
        self.any.store(any, Ordering::Release);
        Ok(())
    }
}

impl Verifier {
    /// Reads anew how imported secrets are found: at the start, and after every import, here or by another replica.
    /// Until then what was imported in a form that the keyspace did not have is not found.
    pub async fn forms_changed(&self) -> Result<(), StoreError> {
        self.forms.reload(self.secrets.store().as_ref()).await
    }
}
