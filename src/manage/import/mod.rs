//! Taking in keys whose secrets another system made.

mod material;
mod round;

use super::create::{CreateKey, Draft};
use super::{Error, Management, Principal, Violations};
use crate::clock::Timestamp;
use crate::key::imported::Form;
use crate::key::keyspace::{DEFAULT, Keyspace, SYSTEM, is_keyspace_id};
use crate::key::record::ApiKey;
use crate::key::token::PublicPrefix;
use crate::store::Refusal;

pub use material::Material;

use material::Prepared;
use round::Pending;

/// Most keys of one request. Each of them in plaintext costs an Argon2id run, some 20 ms of one core.
pub const ENTRIES_MAX: usize = 1_000;
/// Most that the plaintexts of one request are compared with salted secrets that may be the same, in runs of Argon2id:
/// some 3 minutes of one core at 38 ms each. Enough for 1,000 that share each bucket with 4 that we hashed; a single one
/// never needs a tenth of it.
const COMPARING_RUNS_MAX: u32 = 5_000;
/// How much is listed of what is bad in one entry, in bytes: as many lists as there can be entries still make an answer
/// that clients take, 4 MiB.
const LISTED_SIZE_MAX: usize = 1_200;
/// How often an entry is tried whose bucket others write to at the same time. Each time one of them got a place, and
/// there are four.
const ROUNDS_MAX: usize = 8;

/// A key to import, as the caller asked for it.
#[derive(Debug)]
pub struct ImportEntry {
    /// The key; its keyspace is not looked at.
    pub key: CreateKey,
    /// What there is of its secret.
    pub material: Material,
    /// What the secret starts with, if that is to find it; may be empty.
    pub lookup_prefix: String,
}

/// What became of each entry.
type Answers = Vec<Option<Result<ApiKey, Error>>>;

impl Management {
    /// Imports keys. Each entry is answered on its own; an error of the whole means that nothing was made, or, if the
    /// store failed, that this is not known.
    pub async fn import(
        &self,
        keyspace: &str,
        entries: Vec<ImportEntry>,
        by: Principal<'_>,
    ) -> Result<Vec<Result<ApiKey, Error>>, Error> {
        let keyspace = self.importing_keyspace(keyspace, &entries).await?;
        let _charged = self.charge_keys(&keyspace, entries.len()).await?;
        let forms = self.forms(&keyspace.id).await?;
        let now = self.clock.now();

        let mut answers: Answers = entries.iter().map(|_| None).collect();
        let mut pending = Vec::new();
        let mut lengths = prefix_lengths(&forms);
        for (at, entry) in entries.into_iter().enumerate() {
            match self.prepare(entry, &keyspace, &mut lengths, now) {
                Ok((key, request_id, prepared)) => pending.push(Pending::new(at, key, request_id, prepared, &forms)),
                Err(error) => answers[at] = Some(Err(error)),
            }
        }
        let mut runs_left = COMPARING_RUNS_MAX;
        for _ in 0..ROUNDS_MAX {
            pending = self.round(pending, &keyspace, &mut answers, &mut runs_left, (by, now)).await?;
            if pending.is_empty() {
                break;
            }
        }
        for left in pending {
            answers[left.at] = Some(Err(Refusal::LookupChanged.into()));
        }
        // Those that were asked for before they were there are known not to be there, until all have heard of them.
        self.confirmed(Ok(answers.into_iter().map(|answer| answer.expect("each is answered or pending")).collect()))
            .await
    }

    /// Checks keys as [`Self::import`] would, and makes none. Whether a secret is there already is not looked at.
    pub async fn check_import(
        &self,
        keyspace: &str,
        entries: Vec<ImportEntry>,
    ) -> Result<Vec<Result<ApiKey, Error>>, Error> {
        let keyspace = self.importing_keyspace(keyspace, &entries).await?;
        let mut lengths = prefix_lengths(&self.forms(&keyspace.id).await?);
        let now = self.clock.now();
        let checked = entries.into_iter().map(|entry| {
            let (key, _, _) = self.prepare(entry, &keyspace, &mut lengths, now)?;
            Ok(key)
        });
        Ok(checked.collect())
    }

    /// The keyspace to import into, if as many entries may be.
    async fn importing_keyspace(&self, keyspace: &str, entries: &[ImportEntry]) -> Result<Keyspace, Error> {
        let id = if keyspace.is_empty() { DEFAULT } else { keyspace };
        let mut bad = Violations::default();
        if !is_keyspace_id(id) {
            bad.must("keyspace", id, Err("match [a-z][a-z0-9-]{0,39}"));
        }
        if entries.is_empty() || entries.len() > ENTRIES_MAX {
            bad.add("entries", format!("must be 1 to {ENTRIES_MAX} entries; are {}", entries.len()));
        }
        bad.check()?;
        if id == SYSTEM {
            return Err(Error::KeyspaceReserved(SYSTEM));
        }
        self.keyspace(id).await
    }

    fn prepare(
        &self,
        entry: ImportEntry,
        keyspace: &Keyspace,
        lengths: &mut Vec<usize>,
        now: Timestamp,
    ) -> Result<(ApiKey, Option<String>, Prepared), Error> {
        let mut bad = Violations::with_room(LISTED_SIZE_MAX);
        let draft = Draft::check(entry.key, &mut bad).within(keyspace, now, &mut bad);
        let prepared = entry.material.prepare(&entry.lookup_prefix, lengths, &mut bad);
        bad.check()?;
        let prepared = prepared.expect("nothing was bad");
        let unknown = PublicPrefix::from_stored(String::new());
        let (mut key, request_id) = draft.key(self.ids.key(now), &keyspace.id, unknown, now);
        // The store says under which of its lookups the secret stands.
        key.secrets.clear();
        Ok((key, request_id, prepared))
    }

    /// How the imported secrets of a keyspace are found.
    async fn forms(&self, keyspace: &str) -> Result<Vec<Form>, Error> {
        let forms = self.store.import_forms().await?;
        Ok(forms.into_iter().filter(|(of, _)| of == keyspace).map(|(_, form)| form).collect())
    }
}

fn prefix_lengths(forms: &[Form]) -> Vec<usize> {
    forms
        .iter()
        .filter_map(|form| match form {
            Form::Prefix(length) => Some(*length),
            Form::Digest(_) => None,
        })
        .collect()
}
