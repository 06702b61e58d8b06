//! Imported secrets: strings of any shape, tried by the forms that the keyspaces within reach have. A keyspace without
//! imports has none, and pays nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use super::{Question, admits};
use crate::key::imported::Form;
use crate::key::keyspace::SYSTEM;
use crate::key::permission::Reach;
use crate::key::token::{PublicPrefix, Token};

/// The forms of each keyspace that has any, in memory: a dozen small numbers a keyspace at most. None is ever taken out:
/// one too many costs a look-up in vain.
#[derive(Debug, Default)]
pub struct Forms {
    any: AtomicBool,
    of: RwLock<BTreeMap<String, BTreeSet<Form>>>,
}

impl Forms {
    /// What could find the presented key within reach; nothing, if it is of no form there. And whether all of it is of one
    /// keyspace.
    pub fn lookups(&self, asked: &Question<'_>, reach: &Reach) -> (Vec<PublicPrefix>, bool) {
        // Nothing is imported into `system`, and every stranger's credential is looked for there.
        if asked.keyspace == SYSTEM || !self.any.load(Ordering::Acquire) {
            return (Vec::new(), true);
        }
        // A root key is none of a customer's, though somebody imported its digest.
        if Token::parse(asked.key).is_ok_and(|token| token.is_root()) {
            return (Vec::new(), true);
        }
        let of = self.of.read().unwrap_or_else(PoisonError::into_inner);
        let within: Vec<_> = of.iter().filter(|(keyspace, _)| admits(asked, reach, keyspace)).collect();
        let of_one = within.len() <= 1;
        // Digests come first: they cost one look-up each, and find at most one secret of a keyspace.
        let forms: BTreeSet<Form> = within.into_iter().flat_map(|(_, forms)| forms.iter().copied()).collect();
        (forms.into_iter().flat_map(|form| form.lookups(asked.key)).collect(), of_one)
    }

    /// Adds a form of a keyspace.
    pub fn add(&self, keyspace: &str, form: Form) {
        let mut of = self.of.write().unwrap_or_else(PoisonError::into_inner);
        of.entry(keyspace.to_owned()).or_default().insert(form);
        self.any.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_credentials_of_callers_are_no_imports() {
        let forms = Forms::default();
        forms.add(SYSTEM, Form::Prefix(8));
        let in_keyspace = |keyspace| Question { keyspace, ..Question::about("sk_imported") };
        assert!(!forms.lookups(&in_keyspace(""), &Reach::Everywhere).0.is_empty());
        assert!(forms.lookups(&in_keyspace(SYSTEM), &Reach::Everywhere).0.is_empty());
    }
}
