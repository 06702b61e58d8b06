//! Argon2id where it may run: on blocking threads, a few at a time, with a short queue that sheds what is too much.

use std::sync::Arc;
use std::thread;

use tokio::sync::Semaphore;

use crate::key::secret::Secret;
use crate::key::verifier::{self, Argon2Error};

/// Most hashings that run or wait at once. With 20 ms each on two cores the last one waits 0.6 s; waiting costs a few
/// hundred bytes each, running [`verifier::ARGON2_MEMORY_KIB`].
pub const PENDING_MAX: usize = 64;

/// Runs Argon2id, at most one on each core.
#[derive(Debug)]
pub struct Hashing {
    cores: Arc<Semaphore>,
    pending: Arc<Semaphore>,
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
        Self { cores: Arc::new(Semaphore::new(cores)), pending: Arc::new(Semaphore::new(PENDING_MAX)) }
    }
}

impl Hashing {
    /// Argon2id of `secret`, in PHC form.
    pub async fn hash(&self, secret: Secret) -> Result<String, HashingError> {
        self.run(move || verifier::argon2id(secret.expose())).await
    }

    /// Whether `phc` was made of `secret`.
    pub async fn matches(&self, phc: String, secret: Secret) -> Result<bool, HashingError> {
        self.run(move || verifier::argon2id_matches(&phc, secret.expose())).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Argon2Error> + Send + 'static,
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
}
