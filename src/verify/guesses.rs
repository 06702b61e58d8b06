//! How often slow secrets may be guessed at: by each network, and by all together. Leaky buckets (GCRA, ITU-T I.371).
//!
//! Failed guesses count against the secret: until its owner has presented it once, an attacker can delay the owner. From
//! one network it delays only those who call from there too; it takes [`NETWORKS`] networks to delay everybody.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::client_network::ClientNetwork;

/// Guesses that each network may make at once.
pub const BURST: u32 = 10;
/// After those, one more as often at most.
pub const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// And as much later as hashing takes long: 2 % of one core's time for each lookup and network. Argon2id as it is made
/// here takes 20 ms, some imported strings take half a second.
const COST_SHARE: u32 = 50;
/// All networks together may guess at one lookup as often as this many.
pub const NETWORKS: u32 = 10;
/// Guesses that all networks together may make at once.
pub const BURST_TOTAL: u32 = 20;
/// Most buckets of either kind, at some 80 bytes each. A guess takes a hashing and its bucket is empty again some seconds
/// later, so that far fewer are in use at once.
const BUCKETS_MAX: usize = 16_384;

/// Counts guesses.
#[derive(Debug, Default)]
pub struct Guesses(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Apart from the others: however many networks there are, none drives out a total.
    by_lookup: Buckets<Box<str>>,
    by_network: Buckets<(Box<str>, ClientNetwork)>,
}

/// How much a bucket takes, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Rate {
    interval: u64,
    burst: u64,
}

/// When each bucket is empty again, in milliseconds of the monotonic clock. Those that are not there are empty.
#[derive(Debug)]
struct Buckets<K>(HashMap<K, u64>);

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl Guesses {
    /// Takes a guess at what `lookup` finds, which costs so much, at `now`.
    ///
    /// # Errors
    /// There are none left; how long until there is one.
    pub fn take(&self, lookup: &str, network: ClientNetwork, cost: Duration, now: Duration) -> Result<(), Duration> {
        let (each, total) = Rate::of(cost);
        let now = millis(now);
        let mut state = self.lock();
        let by_network = (Box::from(lookup), network);
        // Both are looked at before either takes it: a network that has none left takes nothing from the others.
        let of_network = state.by_network.next(&by_network, each, now)?;
        let of_all = state.by_lookup.next(&Box::from(lookup), total, now)?;
        state.by_network.set(by_network, of_network, now);
        state.by_lookup.set(lookup.into(), of_all, now);
        Ok(())
    }

    /// Gives a guess back that was not made after all.
    pub fn give_back(&self, lookup: &str, network: ClientNetwork, cost: Duration) {
        let (each, total) = Rate::of(cost);
        let mut state = self.lock();
        state.by_network.give_back(&(lookup.into(), network), each);
        state.by_lookup.give_back(&lookup.into(), total);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rate {
    /// Those of each network, and of all.
    fn of(cost: Duration) -> (Self, Self) {
        let interval = millis(INTERVAL_MIN.max(cost * COST_SHARE));
        let total = Self { interval: interval / u64::from(NETWORKS), burst: BURST_TOTAL.into() };
        (Self { interval, burst: BURST.into() }, total)
    }
}

impl<K: Clone + Eq + Hash> Buckets<K> {
    /// When the bucket of `key` will be empty once it took one more.
    fn next(&self, key: &K, rate: Rate, now: u64) -> Result<u64, Duration> {
        let empty_at = self.0.get(key).copied().unwrap_or_default();
        let tolerance = rate.interval * (rate.burst - 1);
        match empty_at.checked_sub(now + tolerance) {
            None | Some(0) => Ok(empty_at.max(now) + rate.interval),
            Some(wait) => Err(Duration::from_millis(wait)),
        }
    }

    fn set(&mut self, key: K, empty_at: u64, now: u64) {
        if self.0.len() >= BUCKETS_MAX && !self.0.contains_key(&key) {
            // An empty one is as good as none. If all are in use, the one goes that would be empty first.
            self.0.retain(|_, empty_at| *empty_at > now);
            if self.0.len() >= BUCKETS_MAX {
                let first = self.0.iter().min_by_key(|(_, empty_at)| **empty_at).map(|(key, _)| key.clone());
                first.map(|key| self.0.remove(&key));
            }
        }
        self.0.insert(key, empty_at);
    }

    fn give_back(&mut self, key: &K, rate: Rate) {
        if let Some(empty_at) = self.0.get_mut(key) {
            *empty_at = empty_at.saturating_sub(rate.interval);
        }
    }
}

fn millis(of: Duration) -> u64 {
    u64::try_from(of.as_millis()).unwrap_or(u64::MAX / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(1_000_000 + millis)
    }

    fn network(address: &str) -> ClientNetwork {
        ClientNetwork::of(Some(address.parse().unwrap()))
    }

    /// How many guesses at `k` a network has at this time.
    fn count(guesses: &Guesses, network: ClientNetwork, now: Duration) -> u32 {
        let mut count = 0;
        while guesses.take("k", network, Duration::ZERO, now).is_ok() {
            count += 1;
        }
        count
    }

    #[test]
    fn a_burst_then_one_a_second() {
        let guesses = Guesses::default();
        let take = |now| guesses.take("k", ClientNetwork::Unknown, Duration::ZERO, now);
        for _ in 0..BURST {
            assert_eq!(take(at(0)), Ok(()));
        }
        assert_eq!(take(at(0)), Err(Duration::from_secs(1)));
        assert_eq!(take(at(900)), Err(Duration::from_millis(100)));
        assert_eq!(take(at(1_000)), Ok(()));
        assert!(take(at(1_000)).is_err());
        assert_eq!(count(&guesses, ClientNetwork::Unknown, at(20_000)), BURST);
        assert_eq!(guesses.take("another", ClientNetwork::Unknown, Duration::ZERO, at(20_000)), Ok(()));
    }

    #[test]
    fn a_costly_guess_is_rarer() {
        let guesses = Guesses::default();
        let take = |now| guesses.take("k", ClientNetwork::Unknown, Duration::from_millis(500), now);
        for _ in 0..BURST {
            assert_eq!(take(at(0)), Ok(()));
        }
        assert_eq!(take(at(0)), Err(Duration::from_secs(25)));
    }

    #[test]
    fn sixty_four_bits_of_ipv6_are_one_network() {
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        let guesses = Guesses::default();
        assert_eq!(count(&guesses, network("2001:db8::1"), at(0)), BURST);
        for host in 2..100 {
            assert_eq!(count(&guesses, network(&format!("2001:db8::{host:x}")), at(0)), 0);
        }
        assert_eq!(count(&guesses, network("2001:db8:0:1::1"), at(0)), BURST, "the owner's, elsewhere");
    }

    #[test]
    fn all_networks_together_have_a_bound() {
        let guesses = Guesses::default();
        let networks: Vec<_> = (0..200).map(|net| network(&format!("2001:db8:{net:x}::1"))).collect();
        let all = |now| networks.iter().map(|network| count(&guesses, *network, now)).sum::<u32>();
        assert_eq!(all(at(0)), BURST_TOTAL);
        assert_eq!(all(at(1_000)), NETWORKS);
        // One of them alone takes nothing from the others that it has not got itself.
        let guesses = Guesses::default();
        assert_eq!(count(&guesses, networks[0], at(0)), BURST);
        for _ in 0..1_000 {
            assert!(guesses.take("k", networks[0], Duration::ZERO, at(0)).is_err());
        }
        assert_eq!(count(&guesses, networks[1], at(0)), BURST_TOTAL - BURST);
    }

    #[test]
    fn what_was_not_made_counts_for_nothing() {
        let guesses = Guesses::default();
        for _ in 0..100 {
            assert_eq!(guesses.take("k", ClientNetwork::Unknown, Duration::ZERO, at(0)), Ok(()));
            guesses.give_back("k", ClientNetwork::Unknown, Duration::ZERO);
        }
    }

    #[test]
    fn when_there_are_too_many_the_emptiest_go() {
        let guesses = Guesses::default();
        let (long, short) = (Duration::from_secs(1), Duration::ZERO);
        guesses.take("busy", ClientNetwork::Unknown, long, at(0)).unwrap();
        for nth in 0..BUCKETS_MAX + 10 {
            guesses.take(&nth.to_string(), ClientNetwork::Unknown, short, at(0)).unwrap();
        }
        assert_eq!(guesses.lock().by_network.0.len(), BUCKETS_MAX);
        assert!(guesses.lock().by_lookup.0.contains_key("busy"));
        // All but one are empty by then.
        guesses.take("last", ClientNetwork::Unknown, short, at(10_000)).unwrap();
        assert_eq!(guesses.lock().by_network.0.len(), 2);
    }
}
