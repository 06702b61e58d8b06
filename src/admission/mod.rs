//! Admission: what a call passes before it is handled, so that too many of one kind, or of one caller, cost little and keep
//! no other call waiting.
//!
//! A caller has a budget: calls in flight, and management calls a second. It is charged as soon as the caller is known, before
//! the request is read or anything else is done for the call. Each kind of call has places of its own, and a short queue in
//! which callers take turns. A call takes a place once its request is there. It is refused before that if the queue is full
//! or its caller has others that wait for long. What gets no place in time is refused. Verify has no places; see [`Admission::note_late`].

mod budget;
mod metrics;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;

use crate::clock::Clock;
use crate::fair_queue::{Bounds, Limits, Place, Places, Wait};
use crate::key::keyspace::KeyspaceLimits;

use budget::Budgets;
pub use budget::{Budget, Over, Spending};
use metrics::{Load, Metrics};

/// The budget unless it is set: more than one client makes use of, and than a store of two cores can do.
pub const CALLS_MAX: u32 = 1_024;
/// See [`CALLS_MAX`].
pub const CALLS_PER_SECOND: u32 = 5_000;

/// Beyond its budget a caller has this part of it again for revocations: other calls in flight must not keep it from ending a
/// key.
const REVOCATIONS_RESERVE: u32 = 4;

/// Most keys in a keyspace unless it is set: five times what this is measured with.
pub const KEYSPACE_KEYS_MAX: u64 = 10_000_000;

/// How long a call waits for a place. Far longer than a place takes to get free while the store keeps up.
const WAIT_MAX: Duration = Duration::from_millis(200);
/// How long the calls of one caller wait before new ones are refused at once. A store that keeps up makes a caller with 64
/// calls in flight wait for less.
const WAIT_TARGET: Duration = Duration::from_millis(50);
/// How long imports wait: each takes up to seconds, and nobody waits for them at a screen.
const IMPORT_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long a revocation waits: it is the last to be refused.
const REVOCATION_WAIT_MAX: Duration = Duration::from_secs(1);
const REVOCATION_WAIT_TARGET: Duration = Duration::from_millis(500);
/// How long a batch waits: one whose keys the store must be asked about takes longer than one management call.
const BATCH_WAIT_MAX: Duration = Duration::from_secs(1);
const BATCH_WAIT_TARGET: Duration = Duration::from_millis(200);

/// What a call does, as far as it matters for admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Makes a key, or makes, changes or deletes a keyspace.
    Creation,
    /// Imports keys.
    Import,
    /// Updates or rotates a key.
    Change,
    /// Revokes or deletes a key.
    Revocation,
    /// Reads one thing.
    Read,
    /// Lists: has places of its own in the store.
    List,
    /// Verifies many keys at once.
    Batch,
    /// Verifies a stream of keys, or asks for something else that is no management.
    Other,
}

/// The kinds that have places, how many, and how long their calls wait.
const QUEUED: [(Kind, &str, Limits, Wait); 6] = [
    (Kind::Creation, "creation", limits(24, 256), WAIT),
    (Kind::Import, "import", limits(8, 32), Wait::up_to(IMPORT_WAIT_MAX)),
    (Kind::Change, "change", limits(256, 256), WAIT),
    (Kind::Revocation, "revocation", limits(256, 512), REVOCATION_WAIT),
    (Kind::Read, "read", limits(64, 256), WAIT),
    (Kind::Batch, "batch", limits(32, 128), BATCH_WAIT),
];

/// The kind of Verify in metrics.
const VERIFICATION: &str = "verification";

const WAIT: Wait = Wait { max: WAIT_MAX, target: WAIT_TARGET };
const REVOCATION_WAIT: Wait = Wait { max: REVOCATION_WAIT_MAX, target: REVOCATION_WAIT_TARGET };
const BATCH_WAIT: Wait = Wait { max: BATCH_WAIT_MAX, target: BATCH_WAIT_TARGET };

const fn limits(running_max: usize, waiting_max: usize) -> Limits {
    // One caller leaves a quarter of the places to all others. All that wait may be its own: they make room for others.
    let waiting = Bounds { all: waiting_max, of_one: waiting_max };
    Limits { running_max, share_max: running_max - running_max / 4, waiting }
}

/// The budgets of callers and keyspaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Of one root key.
    pub caller: Budget,
    /// Of one keyspace that has none of its own.
    pub keyspace: Budget,
    /// Most keys in a keyspace that has no such limit of its own.
    pub keyspace_keys_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        let budget = Budget { calls_max: CALLS_MAX, calls_per_second: CALLS_PER_SECOND };
        Self { caller: budget, keyspace: budget, keyspace_keys_max: KEYSPACE_KEYS_MAX }
    }
}

/// Why a call is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Too many calls of its kind are under way.
    Busy,
    /// Its root key's budget is spent.
    Caller(Over),
}

/// Decides which calls may begin.
pub struct Admission {
    settings: Settings,
    queues: Vec<Queue>,
    callers: Budgets,
    keyspaces: Budgets,
    metrics: Metrics,
}

/// The queue of a kind of call.
struct Queue {
    kind: Kind,
    name: &'static str,
    places: Arc<Places>,
    wait: Wait,
}

/// A call that is charged to its root key, until it has ended. It has no place yet.
pub struct Charge {
    kind: Kind,
    spending: Spending,
}

/// What a call that was admitted holds until it has ended.
pub struct Permit {
    place: Option<Place>,
    _charge: Arc<Charge>,
}

impl Admission {
    /// With budgets of `settings`.
    pub fn new(settings: Settings, clock: &Arc<dyn Clock>) -> Self {
        let queue = |(kind, name, limits, wait)| Queue { kind, name, places: Places::new(limits, clock.clone()), wait };
        Self {
            settings,
            queues: QUEUED.into_iter().map(queue).collect(),
            callers: Budgets::new(clock.clone()),
            keyspaces: Budgets::new(clock.clone()),
            metrics: Metrics::default(),
        }
    }

    /// Charges a call to the root key `caller`. A call for which there will be no place is refused here, before its request
    /// is read.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn charge_caller(&self, kind: Kind, caller: &str) -> Result<Charge, Refused> {
        // Not after it was charged: the caller is told that nothing was done, and to come again.
        if self.refuses(kind, caller) {
            return Err(Refused::Busy);
        }
        let mut budget = self.settings.caller;
        if kind == Kind::Revocation {
            budget.calls_max += (budget.calls_max / REVOCATIONS_RESERVE).max(1);
        }
        let spending = self.callers.spend(caller, budget, kind.is_rated());
        let spending = spending.map_err(|over| {
            self.metrics.over("caller", over);
            Refused::Caller(over)
        })?;
        Ok(Charge { kind, spending })
    }

    /// Admits a call whose request is there, at once or when a place is free.
    ///
    /// # Errors
    /// There was none in time.
    pub async fn admit(&self, charge: Arc<Charge>) -> Result<Permit, Refused> {
        let Some(queue) = self.queue(charge.kind) else { return Ok(Permit { place: None, _charge: charge }) };
        let place = queue.places.acquire(charge.spending.name(), queue.wait).await.map_err(|_| Refused::Busy);
        self.metrics.entered(queue.name, place.is_ok());
        Ok(Permit { place: Some(place?), _charge: charge })
    }

    /// Returns whether a call of the root key `caller` is refused without waiting, because others of its calls wait for
    /// long, or too many calls wait.
    fn refuses(&self, kind: Kind, caller: &str) -> bool {
        let Some(queue) = self.queue(kind) else { return false };
        let is_refused = queue.places.refuses(caller, queue.wait);
        if is_refused {
            self.metrics.entered(queue.name, false);
        }
        is_refused
    }

    /// Charges a call to the keyspace whose keys it makes or changes, by `own` limits before those that are set.
    ///
    /// # Errors
    /// The keyspace's budget is spent.
    pub fn charge_keyspace(&self, keyspace: &str, own: KeyspaceLimits) -> Result<Spending, Over> {
        let set = self.settings.keyspace;
        let budget = Budget {
            calls_max: own.calls_max.unwrap_or(set.calls_max),
            calls_per_second: own.calls_per_second.unwrap_or(set.calls_per_second),
        };
        let spending = self.keyspaces.spend(keyspace, budget, true);
        spending.inspect_err(|over| self.metrics.over("keyspace", *over))
    }

    /// Most keys in a keyspace that has such a limit of its `own`, or none.
    pub fn keys_max(&self, own: KeyspaceLimits) -> u64 {
        own.keys_max.unwrap_or(self.settings.keyspace_keys_max)
    }

    /// Notes that a keyspace had no room for another key.
    pub fn note_keyspace_full(&self) {
        self.metrics.keyspace_full();
    }

    /// Notes that a Verify came too late to be served: those have no places, and are shed by how long they waited unread.
    pub fn note_late(&self) {
        self.metrics.entered(VERIFICATION, false);
    }

    /// Makes the counters readable, under `portcullis_…`.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
        let queues = self.queues.iter().map(|queue| (queue.name, queue.places.clone())).collect();
        registry.register_collector(Box::new(Load(queues)));
    }

    /// How many calls of `kind` have a place.
    #[cfg(test)]
    pub(crate) fn running(&self, kind: Kind) -> usize {
        self.queue(kind).map_or(0, |queue| queue.places.load().0)
    }

    fn queue(&self, kind: Kind) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.kind == kind)
    }
}

impl Permit {
    /// Takes the place, which the rest of the permit outlives.
    pub fn take_place(&mut self) -> Option<Place> {
        self.place.take()
    }
}

impl Kind {
    /// Whether it counts as a management call of which there is a number a second. A revocation is never one too many.
    fn is_rated(self) -> bool {
        !matches!(self, Self::Revocation | Self::Batch | Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn batches_of_one_caller_leave_places_to_others() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let admission = Admission::new(Settings::default(), &clock);
        let admit = |caller| Box::pin(admission.admit(Arc::new(admission.charge_caller(Kind::Batch, caller).unwrap())));
        let mut flood = Vec::new();
        for _ in 0..24 {
            flood.push(admit("flood").await.unwrap());
        }
        assert!(futures_util::poll!(admit("flood")).is_pending());
        let others: Vec<_> = futures_util::future::join_all((0..8).map(|_| admit("other"))).await;
        assert!(others.iter().all(Result::is_ok));
        assert!(futures_util::poll!(admit("third")).is_pending());
    }

    #[tokio::test]
    async fn a_caller_over_budget_takes_no_place_and_may_still_revoke() {
        let budget = |calls_max, calls_per_second| Budget { calls_max, calls_per_second };
        let settings = Settings { caller: budget(100, 1), ..Settings::default() };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let admission = Admission::new(settings, &clock);
        let admit = async |kind, caller| admission.admit(Arc::new(admission.charge_caller(kind, caller)?)).await;
        let _first = admit(Kind::Creation, "a").await.unwrap();
        let refused = admit(Kind::Creation, "a").await.err();
        assert!(matches!(refused, Some(Refused::Caller(Over::Rate { .. }))), "{refused:?}");
        let _revocation = admit(Kind::Revocation, "a").await.unwrap();
        let _other = admit(Kind::Creation, "b").await.unwrap();
        assert!(!admission.refuses(Kind::Creation, "a"), "none of its calls waits");
        let load: Vec<_> = admission.queues.iter().map(|queue| queue.places.load()).collect();
        assert_eq!(load, [(2, 0), (0, 0), (0, 0), (1, 0), (0, 0), (0, 0)]);
    }

    #[tokio::test]
    async fn a_call_whose_queue_is_full_is_refused_before_its_request_is_read() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let admission = Admission::new(Settings::default(), &clock);
        let (_, _, limits, _) = QUEUED[0];
        let charge = |caller| admission.charge_caller(Kind::Creation, caller);
        let admit = |caller| admission.admit(Arc::new(charge(caller).unwrap()));
        let mut admitted = Vec::new();
        for _ in 0..limits.share_max {
            admitted.push(admit("a").await.unwrap());
        }
        // Those whose requests are not there yet wait for nothing.
        let arriving: Vec<_> = (0..2 * limits.waiting.all).map(|_| charge("a").unwrap()).collect();
        let mut waiting: Vec<_> = (0..limits.waiting.all).map(|_| Box::pin(admit("a"))).collect();
        for call in &mut waiting {
            assert!(futures_util::poll!(call).is_pending());
        }
        assert_eq!(charge("a").err(), Some(Refused::Busy));
        admit("b").await.unwrap();
        drop((arriving, waiting, admitted));
    }
}
