//! Hashings that wait for their turn: one class after the other, and within a class one keyspace after the other, so that
//! nobody waits behind all that somebody else has sent.

use std::collections::VecDeque;
use std::time::Duration;

use crate::fair_queue::{Bounds, Turns};
use crate::key::verifier::HashCost;

/// On whose behalf a secret is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requester<'a> {
    /// Callers with a root token that was issued here.
    Callers,
    /// Callers with any other root credential. Strangers can make those up.
    CallersWithoutMac,
    /// Verifications of keys of this keyspace.
    Verification(&'a str),
    /// Keys that are issued in or imported into this keyspace.
    Issuing(&'a str),
}

/// The kinds of requesters. Each gets its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// See [`Requester::Callers`].
    Callers,
    /// See [`Requester::CallersWithoutMac`].
    CallersWithoutMac,
    /// See [`Requester::Verification`].
    Verification,
    /// See [`Requester::Issuing`].
    Issuing,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Callers, Self::CallersWithoutMac, Self::Verification, Self::Issuing];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Callers => "callers",
            Self::CallersWithoutMac => "callers_without_mac",
            Self::Verification => "verification",
            Self::Issuing => "issuing",
        }
    }
}

impl<'a> Requester<'a> {
    /// Its class.
    pub fn class(self) -> Class {
        match self {
            Self::Callers => Class::Callers,
            Self::CallersWithoutMac => Class::CallersWithoutMac,
            Self::Verification(_) => Class::Verification,
            Self::Issuing(_) => Class::Issuing,
        }
    }

    /// The requester of this class and keyspace, if the class has keyspaces.
    pub fn of(class: Class, keyspace: &'a str) -> Self {
        match class {
            Class::Callers => Self::Callers,
            Class::CallersWithoutMac => Self::CallersWithoutMac,
            Class::Verification => Self::Verification(keyspace),
            Class::Issuing => Self::Issuing(keyspace),
        }
    }

    /// Its keyspace; empty for callers.
    pub fn keyspace(self) -> &'a str {
        match self {
            Self::Callers | Self::CallersWithoutMac => "",
            Self::Verification(keyspace) | Self::Issuing(keyspace) => keyspace,
        }
    }
}

/// How many hashings wait in one class: in all, and of one keyspace. Waiting costs a few hundred bytes each.
const WAITING: Bounds = Bounds { all: 256, of_one: 16 };

/// A hashing that waits; `W` is the work.
#[derive(Debug)]
pub struct Job<W> {
    /// Tells it from all others.
    pub id: u64,
    /// What it will take.
    pub cost: HashCost,
    /// What is to be done.
    pub work: W,
}

/// All that wait.
#[derive(Debug)]
pub struct ClassQueues<W> {
    /// In each class keyspaces take turns.
    classes: [Turns<Job<W>>; Class::ALL.len()],
    /// Whose turn it is.
    next_class: usize,
}

impl<W> Default for ClassQueues<W> {
    fn default() -> Self {
        Self { classes: Class::ALL.map(|_| Turns::new(WAITING)), next_class: 0 }
    }
}

impl<W> ClassQueues<W> {
    /// Puts `job` in. Gives it back if too many wait already.
    pub fn push(&mut self, by: Requester<'_>, job: Job<W>) -> Result<(), Job<W>> {
        self.classes[by.class() as usize].push(by.keyspace(), job)
    }

    /// Takes out the next one that `fits`. One that does not keeps its turn.
    pub fn pop(&mut self, fits: impl Fn(HashCost) -> bool) -> Option<Job<W>> {
        for ahead in 0..self.classes.len() {
            let at = (self.next_class + ahead) % self.classes.len();
            if let Some((_, job)) = self.classes[at].pop(|_, job| fits(job.cost)) {
                self.next_class = (at + 1) % self.classes.len();
                return Some(job);
            }
        }
        None
    }

    /// Takes out the one of `by` with this id, if it waits still.
    pub fn remove(&mut self, by: Requester<'_>, id: u64) -> Option<Job<W>> {
        self.classes[by.class() as usize].remove(by.keyspace(), |job| job.id == id)
    }

    /// How many wait in `class`.
    pub fn waiting(&self, class: Class) -> usize {
        self.classes[class as usize].count()
    }

    /// How long what is `like` the next job of `by` takes that would have its turn before it, one after the other. What
    /// comes later from others may be ahead of it as well.
    pub fn ahead(
        &self,
        by: Requester<'_>,
        like: impl Fn(HashCost) -> bool,
        time: impl Fn(HashCost) -> Duration,
    ) -> Duration {
        let class = &self.classes[by.class() as usize];
        let rounds = class.count_of(by.keyspace()) + 1;
        let of_queue = |queue: &VecDeque<Job<W>>, most: usize| {
            let likes = queue.iter().take(most).filter(|job| like(job.cost));
            likes.fold((0, Duration::ZERO), |(count, sum), job| (count + 1, sum + time(job.cost)))
        };
        let add = |(count, sum): (usize, Duration), (more, longer): (usize, Duration)| (count + more, sum + longer);
        let (before, sum) = class.queues().map(|queue| of_queue(queue, rounds)).fold((0, Duration::ZERO), add);
        // Meanwhile each other class has as many turns.
        let others = self.classes.iter().enumerate().filter(|(at, _)| *at != by.class() as usize);
        let others = others.map(|(_, class)| {
            let mut all = class.queues().map(|queue| of_queue(queue, usize::MAX)).fold((0, Duration::ZERO), add);
            if let Some(count) = u32::try_from(all.0).ok().filter(|_| all.0 > before + 1) {
                all.1 = all.1 / count * u32::try_from(before + 1).unwrap_or(u32::MAX);
            }
            all.1
        });
        sum + others.sum::<Duration>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: HashCost = HashCost { runs: 1, memory: 1 };
    const COSTLY: HashCost = HashCost { runs: 11, memory: 1 };

    fn push(queue: &mut ClassQueues<&'static str>, by: Requester<'_>, id: u64, cost: HashCost, what: &'static str) {
        queue.push(by, Job { id, cost, work: what }).expect("there is room");
    }

    fn drain(queue: &mut ClassQueues<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.pop(|_| true)).map(|job| job.work).collect()
    }

    #[test]
    fn classes_and_keyspaces_take_turns() {
        let mut queue = ClassQueues::default();
        for id in 0..4 {
            push(&mut queue, Requester::Verification("evil"), id, CHEAP, "evil");
        }
        push(&mut queue, Requester::Verification("good"), 10, CHEAP, "good");
        for id in 20..23 {
            push(&mut queue, Requester::Issuing("evil"), id, CHEAP, "issued");
        }
        push(&mut queue, Requester::Callers, 30, CHEAP, "caller");
        push(&mut queue, Requester::CallersWithoutMac, 31, CHEAP, "stranger");
        let order = ["caller", "stranger", "evil", "issued", "good", "issued", "evil", "issued", "evil", "evil"];
        assert_eq!(drain(&mut queue), order);
        assert!(Class::ALL.iter().all(|class| queue.waiting(*class) == 0));
    }

    #[test]
    fn what_does_not_fit_keeps_its_turn_and_holds_nobody_up() {
        let mut queue = ClassQueues::default();
        push(&mut queue, Requester::Verification("evil"), 1, COSTLY, "costly");
        push(&mut queue, Requester::Verification("good"), 2, CHEAP, "first");
        push(&mut queue, Requester::Verification("good"), 3, CHEAP, "second");
        let cheap = |cost: HashCost| cost == CHEAP;
        assert_eq!(queue.pop(cheap).map(|job| job.work), Some("first"));
        assert_eq!(queue.pop(|_| true).map(|job| job.work), Some("costly"));
        assert_eq!(queue.pop(cheap).map(|job| job.work), Some("second"));
        assert!(queue.pop(|_| true).is_none());
    }

    #[test]
    fn a_keyspace_has_a_bounded_number() {
        let mut queue = ClassQueues::default();
        for id in 0..WAITING.of_one as u64 {
            push(&mut queue, Requester::Verification("evil"), id, CHEAP, "evil");
        }
        let job = |id| Job { id, cost: CHEAP, work: "more" };
        assert_eq!(queue.push(Requester::Verification("evil"), job(90)).map_err(|job| job.id), Err(90));
        queue.push(Requester::Verification("good"), job(91)).expect("another keyspace");
        queue.push(Requester::Issuing("evil"), job(92)).expect("another class");
        assert_eq!(queue.remove(Requester::Verification("good"), 91).map(|job| job.id), Some(91));
        assert!(queue.remove(Requester::Verification("good"), 91).is_none());
        assert_eq!(queue.waiting(Class::Verification), WAITING.of_one);
    }

    #[test]
    fn the_wait_is_by_turns() {
        let mut queue = ClassQueues::default();
        for id in 0..10 {
            push(&mut queue, Requester::Verification("evil"), id, CHEAP, "evil");
        }
        let second = |cost: HashCost| Duration::from_secs(cost.runs.into());
        let ahead = |queue: &ClassQueues<_>, by| queue.ahead(by, |cost| cost == CHEAP, second).as_secs();
        assert_eq!(ahead(&queue, Requester::Verification("evil")), 10);
        assert_eq!(ahead(&queue, Requester::Verification("good")), 1, "its turn is the next but one");
        assert_eq!(ahead(&queue, Requester::Callers), 1);
        push(&mut queue, Requester::Verification("evil"), 90, COSTLY, "evil");
        push(&mut queue, Requester::Verification("good"), 91, CHEAP, "good");
        assert_eq!(ahead(&queue, Requester::Verification("good")), 3);
    }
}
