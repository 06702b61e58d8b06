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
use crate::key::keyspace::Keyspace;
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
    /// Where a key of this secret may be already, its own lookups first. None of them twice.
    search: Vec<PublicPrefix>,
    /// What is known to be of other secrets.
    others: Vec<Verifier>,
    /// What was made of a plaintext.
    hashed: Option<String>,
}

/// Those under the lookups that were asked for.
type Holders = HashMap<PublicPrefix, Holder>;

/// One that may have the secret of an entry.
struct Rival<'a> {
    holder: &'a Holder,
    phc: &'a str,
}

impl Pending {
    /// Nothing is known of it. `forms` are those that its keyspace has.
    pub fn new(at: usize, key: ApiKey, request_id: Option<String>, prepared: Prepared, forms: &[Form]) -> Self {
        let mut search = Vec::new();
        // What is ready the store itself sees to be there already.
        if let Kept::Plain(plain) = &prepared.kept {
            search.clone_from(&prepared.lookups);
            // By every form: whoever repeats an import may name another prefix, or had brought the digest before.
            let elsewhere = prepared.form.map(|_| plain.found_by(forms)).unwrap_or_default();
            search.extend(elsewhere.into_iter().filter(|lookup| !prepared.lookups.contains(lookup)));
        }
        Self { at, key, request_id, prepared, search, others: Vec::new(), hashed: None }
    }

    fn plain(&self) -> Option<&Plain> {
        match &self.prepared.kept {
            Kept::Plain(plain) => Some(plain),
            Kept::Ready(_) => None,
        }
    }

    /// Whether there is no place for it. What is ready the store itself refuses.
    fn is_full(&self, holders: &Holders) -> bool {
        self.plain().is_some() && self.prepared.lookups.iter().all(|lookup| holders.contains_key(lookup))
    }

    /// The key of this secret, as far as that can be told at once, or those that only hashing tells apart from it.
    fn rivals<'a>(&mut self, holders: &'a Holders) -> Result<Vec<Rival<'a>>, &'a Holder> {
        let Kept::Plain(plain) = &self.prepared.kept else { return Ok(Vec::new()) };
        // If it is made in no case, then it is not worth much to know why.
        let own = if self.is_full(holders) { self.prepared.lookups.len() } else { usize::MAX };
        let mut rivals = Vec::new();
        for (at, lookup) in self.search.iter().enumerate() {
            let Some(holder) = holders.get(lookup).filter(|holder| !self.others.contains(&holder.verifier)) else {
                continue;
            };
            match plain.check(&holder.verifier) {
                Check::Decided(true) => return Err(holder),
                Check::Decided(false) => self.others.push(holder.verifier.clone()),
                Check::Costly(phc) if at < own => rivals.push(Rival { holder, phc }),
                Check::Costly(_) => {}
            }
        }
        Ok(rivals)
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
    /// Tries `pending` once; what is left. Refuses nothing for good that another try could make, but what is too much to
    /// compare with `runs_left`.
    pub(super) async fn round(
        &self,
        pending: Vec<Pending>,
        keyspace: &Keyspace,
        answers: &mut Answers,
        runs_left: &mut u32,
        (by, now): (Principal<'_>, Timestamp),
    ) -> Result<Vec<Pending>, Error> {
        let holders = self.holders(&keyspace.id, &pending).await?;
        let pending = self.tell_apart(&keyspace.id, pending, &holders, answers, runs_left).await?;
        let (mut batch, mut left) = unlike(pending);
        if batch.is_empty() {
            return Ok(left);
        }
        self.hash(&keyspace.id, &mut batch).await?;
        let neighbours = neighbours(&batch);
        let imports: Vec<_> = batch.iter().map(|one| self.new_import(one, &neighbours, now)).collect();
        let made = self.store.import_keys(&keyspace.id, Some(keyspace.uid), &imports, &self.actor(by, now)).await??;
        for (one, made) in batch.into_iter().zip(made) {
            match made {
                Err(Refusal::LookupChanged) => left.push(one),
                Ok(key) => {
                    self.usage.created(&key.id, keyspace, now);
                    answers[one.at] = Some(Ok(key));
                }
                made => answers[one.at] = Some(made.map_err(Error::Refused)),
            }
        }
        Ok(left)
    }

    async fn holders(&self, keyspace: &str, pending: &[Pending]) -> Result<Holders, Error> {
        let wanted: HashSet<&PublicPrefix> = pending.iter().flat_map(|one| &one.search).collect();
        if wanted.is_empty() {
            return Ok(Holders::new());
        }
        let wanted: Vec<_> = wanted.into_iter().cloned().collect();
        let found = self.store.holders(keyspace, &wanted).await?;
        Ok(found.into_iter().map(|holder| (holder.public_prefix.clone(), holder)).collect())
    }

    /// Answers those whose secret is a key's already, those for which there is no place, and those that are too much to
    /// compare.
    async fn tell_apart(
        &self,
        keyspace: &str,
        mut pending: Vec<Pending>,
        holders: &Holders,
        answers: &mut Answers,
        runs_left: &mut u32,
    ) -> Result<Vec<Pending>, Error> {
        let mut unsure = Vec::new();
        for (index, one) in pending.iter_mut().enumerate() {
            match one.rivals(holders) {
                Err(same) => answers[one.at] = Some(Err(Refusal::SecretExists(same.key_id.clone()).into())),
                Ok(rivals) => {
                    // All of them, whichever it will be: what is begun is ended.
                    let runs = rivals.iter().map(|rival| rival.holder.verifier.cost().runs).sum();
                    match runs_left.checked_sub(runs) {
                        Some(left) => *runs_left = left,
                        None => answers[one.at] = Some(Err(Error::TooMuchToCompare)),
                    }
                    if answers[one.at].is_none() {
                        unsure.push((index, rivals.into_iter()));
                    }
                }
            }
        }
        // One of each at a time, for one is often the last: of what is imported again.
        loop {
            let next: Vec<_> = unsure.iter_mut().filter_map(|(index, rivals)| Some((*index, rivals.next()?))).collect();
            if next.is_empty() {
                break;
            }
            let pairs = next.iter().filter_map(|(index, rival)| {
                let proof = pending[*index].plain()?.proof.clone();
                Some((rival.phc.to_owned(), rival.holder.verifier.cost(), proof))
            });
            let same = self.hashing.match_all(keyspace, pairs.collect()).await?;
            for ((index, Rival { holder, .. }), same) in next.into_iter().zip(same) {
                let one = &mut pending[index];
                if same {
                    answers[one.at] = Some(Err(Refusal::SecretExists(holder.key_id.clone()).into()));
                } else {
                    one.others.push(holder.verifier.clone());
                }
            }
            unsure.retain(|(index, _)| answers[pending[*index].at].is_none());
        }
        pending.retain(|one| {
            if answers[one.at].is_none() && one.is_full(holders) {
                answers[one.at] = Some(Err(Refusal::LookupFull.into()));
            }
            answers[one.at].is_none()
        });
        Ok(pending)
    }

    async fn hash(&self, keyspace: &str, batch: &mut [Pending]) -> Result<(), Error> {
        let unhashed: Vec<_> = batch.iter_mut().filter(|one| one.hashed.is_none() && one.plain().is_some()).collect();
        let proofs: Vec<Arc<_>> = unhashed.iter().filter_map(|one| one.plain()).map(|it| it.proof.clone()).collect();
        let hashed = self.hashing.hash_all(keyspace, proofs).await?;
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
