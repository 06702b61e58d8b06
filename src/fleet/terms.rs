//! How long things take, all of it in proportion to the lease.

use std::time::Duration;

/// How long a replica waits for what, for a lease of a given length.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How long a replica answers from memory after it looked at the log.
    pub lease: Duration,
    /// How long after a look the next one comes, if nothing asks for it sooner.
    pub poll_every: Duration,
    /// How long a look may take. It is given up late rather than soon: a new connection costs more than a slow answer,
    /// and the lease counts from before the look anyway.
    pub poll_timeout: Duration,
    /// How long after a look that failed the next one comes.
    pub poll_again: Duration,
    /// How long a replica may owe its acknowledgement until it is marked as dead. To be marked costs it a registration,
    /// and to mark it early lets the next change pass sooner.
    pub marked_after: Duration,
    /// How often a replica says that it lives, and looks whether the others do.
    pub beat_every: Duration,
    /// How long a replica may say nothing until it is marked as dead, though nobody waits for it.
    pub silent_max: Duration,
}

impl Terms {
    /// The terms of a lease.
    pub fn of(lease: Duration) -> Self {
        Self {
            lease,
            poll_every: lease / 12,
            poll_timeout: lease / 4,
            poll_again: lease / 24,
            marked_after: lease / 3,
            beat_every: lease / 2,
            silent_max: lease * 4,
        }
    }

    /// How long until nobody rests on a lease that began before: longer than the lease, for the clock that measures it
    /// and ours may differ in pace, by a ninth.
    pub fn wait(lease: Duration) -> Duration {
        lease + lease / 4
    }

    /// How long a change waits to be confirmed while the store does not answer.
    pub fn confirm_timeout(&self) -> Duration {
        Self::wait(self.lease) + Duration::from_secs(2)
    }
}
