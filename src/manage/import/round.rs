//! One try at what is left of an import: look at what is there, tell secrets apart, hash, store.
//!
//! Salted secrets can be told apart only by hashing, and that takes too long to be done while the store is held up. So it
//! is done before, and the store takes a secret only if nothing else has come beside it meanwhile; else it is tried again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::material::{Kept, Plain, Prepared};
use super::{Answers, Error, Management, Principal};
use crate::clock::Timestamp;
use crate::key::imported::Form;
use crate::key::record::ApiKey;
use crate::key::token::PublicPrefix;
use crate::key::verifier::{Check, Verifier};
use crate::store::{Holder, NewImport, Refusal};

/// An entry without an answer yet.
pub(super) struct Pending {
    /// Which entry of the request.
    pub at: usize,
    key: ApiKey,
    request_id: Option<String>,
    prepared: Prepared,
    /// Where a key of this secret may be already.
    search: Vec<PublicPrefix>,
    /// What is known to be of other secrets.
    others: Vec<Verifier>,
    /// What was made of a plaintext.
    hashed: Option<String>,
}

/// Those under the lookups that were asked for.
type Holders = HashMap<PublicPrefix, Holder>;

impl Pending {
    /// Nothing is known of it. `forms` are those that its keyspace has.
    pub fn new(at: usize, key: ApiKey, request_id: Option<String>, prepared: Prepared, forms: &[Form]) -> Self {
        let mut search = match &prepared.kept {
            // By every form: whoever repeats an import may name another prefix, or had brought the digest before.
            Kept::Plain(plain) if prepared.form.is_some() => plain.found_by(forms),
            // The store sees by itself whether it has the same.
            Kept::Plain(_) | Kept::Ready(_) => Vec::new(),
        };
        if matches!(prepared.kept, Kept::Plain(_)) {
            search.extend(prepared.lookups.iter().cloned());
        }
        Self { at, key, request_id, prepared, search, others: Vec::new(), hashed: None }
    }

    fn plain(&self) -> Option<&Plain> {
        match &self.prepared.kept {
            Kept::Plain(plain) => Some(plain),
            Kept::Ready(_) => None,
        }
    }

    fn verifier(&self) -> Verifier {
        match (&self.prepared.kept, &self.hashed) {
            (Kept::Ready(verifier), _) => verifier.clone(),
            (Kept::Plain(_), Some(phc)) => Verifier::Argon2id(phc.clone()),
            (Kept::Plain(_), None) => unreachable!("hashed before it is stored"),
        }
    }
}

impl Management {
    /// Tries `pending` once; what is left. Refuses nothing for good that another try could make.
    pub(super) async fn round(
        &self,
        pending: Vec<Pending>,
        keyspace: &str,
        answers: &mut Answers,
        by: Principal<'_>,
        now: Timestamp,
    ) -> Result<Vec<Pending>, Error> {
        let holders = self.holders(&pending).await?;
        let pending = self.tell_apart(pending, &holders, keyspace, answers).await?;
        let (mut batch, mut left) = unlike(pending);
        if batch.is_empty() {
            return Ok(left);
        }
        self.hash(&mut batch).await?;
        let neighbours = neighbours(&batch);
        let imports: Vec<_> = batch.iter().map(|one| self.new_import(one, &neighbours, now)).collect();
        let made = self.store.import_keys(keyspace, &imports, &self.actor(by, now)).await??;
        for (one, made) in batch.into_iter().zip(made) {
            match made {
                Err(Refusal::LookupChanged) => left.push(one),
                made => answers[one.at] = Some(made.map_err(Error::Refused)),
            }
        }
        Ok(left)
    }

    async fn holders(&self, pending: &[Pending]) -> Result<Holders, Error> {
        let wanted: HashSet<&PublicPrefix> = pending.iter().flat_map(|one| &one.search).collect();
        if wanted.is_empty() {
            return Ok(Holders::new());
        }
        let wanted: Vec<_> = wanted.into_iter().cloned().collect();
        let found = self.store.holders(&wanted).await?;
        Ok(found.into_iter().map(|holder| (holder.public_prefix.clone(), holder)).collect())
    }

    /// Answers those whose secret is a key's already, and those for which there is no place.
    async fn tell_apart(
        &self,
        mut pending: Vec<Pending>,
        holders: &Holders,
        keyspace: &str,
        answers: &mut Answers,
    ) -> Result<Vec<Pending>, Error> {
        let mut unsure = Vec::new();
        let mut costly = Vec::new();
        for (index, one) in pending.iter_mut().enumerate() {
            let Kept::Plain(plain) = &one.prepared.kept else { continue };
            for holder in one.search.iter().filter_map(|lookup| holders.get(lookup)) {
                match plain.check(&holder.verifier) {
                    _ if one.others.contains(&holder.verifier) => {}
                    Check::Decided(true) => answers[one.at] = Some(Err(holder.exists_in(keyspace).into())),
                    Check::Decided(false) => one.others.push(holder.verifier.clone()),
                    Check::Costly(phc) => {
                        unsure.push((index, holder));
                        costly.push((phc.to_owned(), plain.proof.clone()));
                    }
                }
            }
        }
        for ((index, holder), same) in unsure.into_iter().zip(self.hashing.match_all(costly).await?) {
            let one = &mut pending[index];
            if same {
                answers[one.at] = Some(Err(holder.exists_in(keyspace).into()));
            } else {
                one.others.push(holder.verifier.clone());
            }
        }
        pending.retain(|one| {
            let is_full = one.plain().is_some() && one.prepared.lookups.iter().all(|at| holders.contains_key(at));
            if is_full && answers[one.at].is_none() {
                answers[one.at] = Some(Err(Refusal::LookupFull.into()));
            }
            answers[one.at].is_none()
        });
        Ok(pending)
    }

    async fn hash(&self, batch: &mut [Pending]) -> Result<(), Error> {
        let unhashed: Vec<_> = batch.iter_mut().filter(|one| one.hashed.is_none() && one.plain().is_some()).collect();
        let proofs: Vec<Arc<_>> = unhashed.iter().filter_map(|one| one.plain()).map(|it| it.proof.clone()).collect();
        let hashed = self.hashing.hash_all(proofs).await?;
        for (one, hashed) in unhashed.into_iter().zip(hashed) {
            one.hashed = Some(hashed);
        }
        Ok(())
    }

    fn new_import(&self, one: &Pending, neighbours: &Neighbours, now: Timestamp) -> NewImport {
        let others = one.plain().map(|_| {
            let beside = one.prepared.lookups.first().and_then(|first| neighbours.get(first));
            one.others.iter().chain(beside.into_iter().flatten()).cloned().collect()
        });
        NewImport {
            key: one.key.clone(),
            verifier: one.verifier(),
            lookups: one.prepared.lookups.clone(),
            form: one.prepared.form,
            others,
            request_id: one.request_id.clone(),
            event_id: self.ids.event(now),
        }
    }
}

/// Those that differ, and those that are the same plaintext once more: they wait to see what becomes of the first.
fn unlike(pending: Vec<Pending>) -> (Vec<Pending>, Vec<Pending>) {
    let mut marks = HashSet::new();
    pending.into_iter().partition(|one| one.plain().is_none_or(|plain| marks.insert(*plain.mark.as_bytes())))
}

/// The plaintexts of one batch by their bucket. They are known to differ.
type Neighbours = HashMap<PublicPrefix, Vec<Verifier>>;

fn neighbours(batch: &[Pending]) -> Neighbours {
    let mut found = Neighbours::new();
    for one in batch.iter().filter(|one| one.plain().is_some()) {
        if let Some(first) = one.prepared.lookups.first() {
            found.entry(first.clone()).or_default().push(one.verifier());
        }
    }
    found
}
