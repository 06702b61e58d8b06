//! Argon2id where it may run: on blocking threads, a few at a time, with a short queue that sheds what is too much.

use std::sync::Arc;
use std::thread;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::key::phc;
use crate::key::secret::Secret;
use crate::key::verifier::{self, HashError};

/// Most hashings that run or wait at once. With 20 ms each on two cores the last one waits 0.6 s; waiting costs a few
/// hundred bytes each, running [`verifier::ARGON2_MEMORY_KIB`].
pub const PENDING_MAX: usize = 64;

/// Runs Argon2id, at most one on each core.
#[derive(Debug)]
pub struct Hashing {
    cores: Arc<Semaphore>,
    pending: Arc<Semaphore>,
    /// Whoever hashes many waits here first: of all of them together no more than one on each core, so that nobody who
    /// hashes one waits for more than what is under way.
    many: Arc<Semaphore>,
}

/// Why a secret was not hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashingError {
    /// [`PENDING_MAX`] are pending already: try again shortly.
    #[error("too many secrets are being hashed")]
    Busy,
    /// Argon2 failed, or its thread did.
    #[error("hashing failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Default for Hashing {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let places = |count| Arc::new(Semaphore::new(count));
        Self { cores: places(cores), pending: places(PENDING_MAX), many: places(cores) }
    }
}

impl Hashing {
    /// Argon2id of `secret`, in PHC form.
    pub async fn hash(&self, secret: Secret) -> Result<String, HashingError> {
        self.run(move || verifier::argon2id(secret.expose())).await
    }

    /// Whether `phc` was made of `secret`.
    pub async fn matches(&self, phc: String, secret: Secret) -> Result<bool, HashingError> {
        self.run(move || phc::matches(&phc, secret.expose())).await
    }

    /// Argon2id of each of `secrets`. None of them is shed: they wait for their turn. Whoever stops waiting stops those
    /// that have not begun.
    pub async fn hash_all(&self, secrets: Vec<Arc<Secret>>) -> Result<Vec<String>, HashingError> {
        self.run_all(secrets, |secret| verifier::argon2id(secret.expose())).await
    }

    /// Whether each string was made of the secret beside it. They wait as those of [`Self::hash_all`].
    pub async fn match_all(&self, pairs: Vec<(String, Arc<Secret>)>) -> Result<Vec<bool>, HashingError> {
        self.run_all(pairs, |(phc, secret)| phc::matches(phc, secret.expose())).await
    }

    async fn run_all<I: Send + 'static, T: Send + 'static>(
        &self,
        items: Vec<I>,
        work: fn(&I) -> Result<T, HashError>,
    ) -> Result<Vec<T>, HashingError> {
        let mut results: Vec<Option<T>> = items.iter().map(|_| None).collect();
        let mut running = JoinSet::new();
        for (at, item) in items.into_iter().enumerate() {
            let turn = self.many.clone().acquire_owned().await.expect("never closed");
            let pending = self.pending.clone().acquire_owned().await.expect("never closed");
            let core = self.cores.clone().acquire_owned().await.expect("never closed");
            running.spawn_blocking(move || {
                let result = work(&item);
                drop((core, pending, turn));
                (at, result)
            });
        }
        while let Some(done) = running.join_next().await {
            let (at, result) = done.map_err(|e| HashingError::Failed(e.into()))?;
            results[at] = Some(result.map_err(|e| HashingError::Failed(e.into()))?);
        }
        Ok(results.into_iter().flatten().collect())
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashingError> {
        let pending = self.pending.clone().try_acquire_owned().map_err(|_| HashingError::Busy)?;
        let core = self.cores.clone().acquire_owned().await.expect("never closed");
        // The permits go with the work: a caller that goes away does not free a core that is still at it.
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop((core, pending));
            result
        })
        .await
        .map_err(|e| HashingError::Failed(e.into()))?;
        done.map_err(|e| HashingError::Failed(e.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn sheds_what_is_too_much() {
        let hashing = Hashing::default();
        let all = hashing.pending.acquire_many(u32::try_from(PENDING_MAX).unwrap()).await.unwrap();
        let refused = hashing.hash(Secret::new("x".into())).await;
        assert!(matches!(refused, Err(HashingError::Busy)), "{refused:?}");
        drop(all);
        let phc = hashing.hash(Secret::new("x".into())).await.unwrap();
        assert!(hashing.matches(phc.clone(), Secret::new("x".into())).await.unwrap());
        assert!(!hashing.matches(phc, Secret::new("y".into())).await.unwrap());
    }

    #[tokio::test]
    async fn whoever_goes_away_stops_what_has_not_begun() {
        let hashing = Hashing::default();
        let cores = hashing.cores.available_permits();
        let done = Arc::new(AtomicUsize::new(0));
        let all = hashing.run_all(vec![done.clone(); 100 * cores], |done| {
            done.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(20));
            Ok(())
        });
        let waited = tokio::time::timeout(Duration::from_millis(100), all).await;
        assert!(waited.is_err(), "it was done in no time");
        // What is under way ends, and then nothing is.
        let all = u32::try_from(cores).unwrap();
        drop(hashing.cores.acquire_many(all).await.unwrap());
        let at_the_end = done.load(Ordering::SeqCst);
        assert!((1..20 * cores).contains(&at_the_end), "{at_the_end}");
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(done.load(Ordering::SeqCst), at_the_end);
        assert_eq!(hashing.pending.available_permits(), PENDING_MAX);
        assert_eq!(hashing.many.available_permits(), cores);
    }

    #[tokio::test]
    async fn many_wait_for_their_turn() {
        let hashing = Hashing::default();
        let secrets: Vec<_> = (0..5).map(|n| Arc::new(Secret::new(format!("secret {n}")))).collect();
        let all = hashing.pending.clone().acquire_many_owned(u32::try_from(PENDING_MAX).unwrap()).await.unwrap();
        let (hashed, ()) = tokio::join!(hashing.hash_all(secrets.clone()), async {
            tokio::task::yield_now().await;
            drop(all);
        });
        let hashed = hashed.unwrap();
        let pairs = |shift: usize| -> Vec<_> {
            hashed.iter().cloned().zip(secrets.iter().cycle().skip(shift).cloned()).collect()
        };
        assert_eq!(hashing.match_all(pairs(0)).await.unwrap(), [true; 5]);
        assert_eq!(hashing.match_all(pairs(1)).await.unwrap(), [false; 5]);
        assert_eq!(hashing.many.available_permits(), hashing.cores.available_permits());
    }
}
