//! Imported secrets: strings of any shape, tried by the forms that the keyspaces within reach have. A keyspace without
//! imports has none, and pays nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use super::{Question, Verifier, admits};
use crate::key::imported::Form;
use crate::key::keyspace::SYSTEM;
use crate::key::permission::Reach;
use crate::key::token::PublicPrefix;
use crate::store::{Store, StoreError};

/// The forms of each keyspace that has any, in memory: a dozen small numbers a keyspace at most.
#[derive(Debug, Default)]
pub struct Forms {
    any: AtomicBool,
    of: RwLock<Read>,
    begun: AtomicU64,
}

/// What was read, and which reading of all it was.
#[derive(Debug, Default)]
struct Read {
    nth: u64,
    forms: BTreeMap<String, Vec<Form>>,
}

impl Forms {
    /// What could find the presented key within reach; nothing, if it is of no form there.
    pub fn lookups(&self, asked: &Question<'_>, reach: &Reach) -> Vec<PublicPrefix> {
        // Nothing is imported into `system`, and every stranger's credential is looked for there.
        if asked.keyspace == SYSTEM || !self.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        let of = self.of.read().unwrap_or_else(PoisonError::into_inner);
        let within = of.forms.iter().filter(|(keyspace, _)| admits(asked, reach, keyspace));
        // Digests come first: they cost one look-up each, and find at most one secret.
        let forms: BTreeSet<Form> = within.flat_map(|(_, forms)| forms.iter().copied()).collect();
        forms.into_iter().flat_map(|form| form.lookups(asked.key)).collect()
    }

    async fn reload(&self, store: &dyn Store) -> Result<(), StoreError> {
        let nth = self.begin();
        let mut forms: BTreeMap<String, Vec<Form>> = BTreeMap::new();
        for (keyspace, form) in store.import_forms().await? {
            forms.entry(keyspace).or_default().push(form);
        }
        self.end(nth, forms);
        Ok(())
    }

    /// Begins a reading: its number.
    fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Ends it. Unless one that began later has ended: that has read all that this has, and perhaps more.
    fn end(&self, nth: u64, forms: BTreeMap<String, Vec<Form>>) {
        let mut of = self.of.write().unwrap_or_else(PoisonError::into_inner);
        if nth > of.nth {
            self.any.store(!forms.is_empty(), Ordering::Release);
            *of = Read { nth, forms };
        }
    }
}

impl Verifier {
    /// Reads anew how imported secrets are found: at the start, and after every import, here or by another replica.
    /// Until then what was imported in a form that the keyspace did not have is not found.
    pub async fn forms_changed(&self) -> Result<(), StoreError> {
        self.forms.reload(self.secrets.store().as_ref()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::scope::Demand;

    /// Whether anything can be found by what is known.
    fn knows_any(forms: &Forms) -> bool {
        let asked = Question { key: "sk_imported", keyspace: "", demand: Demand::default(), guesser: "" };
        !forms.lookups(&asked, &Reach::Everywhere).is_empty()
    }

    #[test]
    fn a_reading_that_took_long_undoes_no_later_one() {
        let forms = Forms::default();
        let (slow, quick) = (forms.begin(), forms.begin());
        forms.end(quick, [("default".to_owned(), vec![Form::Prefix(8)])].into());
        assert!(knows_any(&forms));
        forms.end(slow, BTreeMap::new());
        assert!(knows_any(&forms));
        forms.end(forms.begin(), BTreeMap::new());
        assert!(!knows_any(&forms));
    }

    #[test]
    fn the_credentials_of_callers_are_no_imports() {
        let forms = Forms::default();
        forms.end(forms.begin(), [(SYSTEM.to_owned(), vec![Form::Prefix(8)])].into());
        assert!(knows_any(&forms));
        let asked = Question { key: "sk_imported", keyspace: SYSTEM, demand: Demand::default(), guesser: "" };
        assert!(forms.lookups(&asked, &Reach::Everywhere).is_empty());
    }
}
