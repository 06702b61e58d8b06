//! How much a key may be used, and from where: what callers may ask for.

use std::time::Duration;

use super::{Nanos, Violations};
use crate::clock::in_words;
use crate::key::credits::{CREDITS_MAX, CreditsPatch, Interval, Refill};
use crate::key::keyspace::{Keyspace, SYSTEM};
use crate::key::network::{NETWORKS_MAX, Network};
use crate::key::rate_limit::{self, LIMITS_MAX, RateLimit, is_limit_name};

/// What a caller may set of how much a key may be used.
#[derive(Clone, Debug, Default)]
pub struct AllowanceFields {
    /// How often; `None`: absent.
    pub rate_limit: Option<RateLimitFields>,
    /// How much; `None`: absent.
    pub credits: Option<CreditsFields>,
    /// From where.
    pub allowed_cidrs: Vec<String>,
}

/// A rate limit, as a caller asked for it.
#[derive(Clone, Debug, Default)]
pub struct RateLimitFields {
    /// How many.
    pub limit: i64,
    /// In what time; `None`: absent.
    pub window: Option<Nanos>,
    /// How many at once; 0: as many as `limit`.
    pub burst: i64,
    /// What it is called.
    pub name: String,
    /// More that must hold as well.
    pub also: Vec<RateLimitFields>,
}

/// Credits, as a caller asked for them.
#[derive(Clone, Debug)]
pub struct CreditsFields {
    /// How many; `None`: absent.
    pub remaining: Option<i64>,
    /// When there will be more; `None`: absent.
    pub refill: Option<RefillFields>,
}

/// A refill, as a caller asked for it.
#[derive(Clone, Debug)]
pub struct RefillFields {
    /// How many there are then.
    pub amount: i64,
    /// How often; an error: a number that is no interval.
    pub interval: Result<Interval, i32>,
}

impl RateLimitFields {
    /// Whether the field of this name is set.
    pub(super) fn is_set(&self, field: &str) -> bool {
        match field {
            "limit" => self.limit != 0,
            "window" => self.window.is_some(),
            "burst" => self.burst != 0,
            "name" => !self.name.is_empty(),
            "also" => !self.also.is_empty(),
            _ => false,
        }
    }

    /// The fields of limits that there are.
    fn of(limits: &[RateLimit]) -> Self {
        let one = |limit: &RateLimit| Self {
            limit: limit.limit.into(),
            window: Nanos::try_from(limit.window.as_nanos()).ok(),
            // A burst that is the whole limit follows it.
            burst: if limit.burst == limit.limit { 0 } else { limit.burst.into() },
            name: limit.name.clone(),
            also: Vec::new(),
        };
        let mut fields = limits.iter().map(one);
        match fields.next() {
            Some(first) => Self { also: fields.collect(), ..first },
            None => Self::default(),
        }
    }
}

/// The rate limit at `path` as it is to be where `paths` names single fields of it: those are as asked for, cleared if they
/// are not set, and the others as they are. `None`: no field of it is named.
pub(super) fn merged_rate_limit(
    path: &str,
    paths: &[&str],
    asked: Option<&RateLimitFields>,
    present: &[RateLimit],
) -> Option<RateLimitFields> {
    let named: Vec<_> = paths.iter().filter_map(|named| named.strip_prefix(path)?.strip_prefix('.')).collect();
    if named.is_empty() {
        return None;
    }
    let asked = asked.cloned().unwrap_or_default();
    let mut merged = RateLimitFields::of(present);
    for field in named {
        match field {
            "limit" => merged.limit = asked.limit,
            "window" => merged.window = asked.window,
            "burst" => merged.burst = asked.burst,
            "name" => merged.name.clone_from(&asked.name),
            "also" => merged.also.clone_from(&asked.also),
            _ => {}
        }
    }
    Some(merged)
}

/// The limits, the first of them first; none if there is nothing to check.
pub(super) fn check_rate_limit(path: &str, asked: Option<&RateLimitFields>, bad: &mut Violations) -> Vec<RateLimit> {
    let Some(first) = asked else { return Vec::new() };
    if first.also.len() >= LIMITS_MAX {
        bad.add(format!("{path}.also"), format!("must be at most {}; are more", LIMITS_MAX - 1));
        return Vec::new();
    }
    let mut limits = Vec::with_capacity(1 + first.also.len());
    limits.extend(check_limit(path, first, bad));
    if !first.name.is_empty() {
        check_name(path, &first.name, bad);
    }
    for (nth, also) in first.also.iter().enumerate() {
        let path = format!("{path}.also[{nth}]");
        if !also.also.is_empty() {
            bad.add(format!("{path}.also"), format!("must be empty; has {}", also.also.len()));
        }
        check_name(&path, &also.name, bad);
        let mut earlier = [first].into_iter().chain(&first.also[..nth]);
        if !also.name.is_empty() && earlier.any(|other| other.name == also.name) {
            bad.must(format!("{path}.name"), &also.name, Err("be the name of no other limit of the key"));
        }
        limits.extend(check_limit(&path, also, bad));
    }
    limits
}

fn check_limit(path: &str, asked: &RateLimitFields, bad: &mut Violations) -> Option<RateLimit> {
    let window = asked.window.and_then(|nanos| u64::try_from(nanos / 1_000).ok()).map(Duration::from_micros);
    match rate_limit::check(asked.limit, window, asked.burst) {
        Ok((limit, window, burst)) => Some(RateLimit { name: asked.name.clone(), limit, window, burst }),
        Err(("window", rule)) => {
            let given = asked.window.map_or_else(|| "absent".to_owned(), in_words);
            bad.add(format!("{path}.window"), format!("must {rule}; is {given}"));
            None
        }
        Err((field, rule)) => {
            bad.add(format!("{path}.{field}"), format!("must {rule}"));
            None
        }
    }
}

fn check_name(path: &str, name: &str, bad: &mut Violations) {
    if !is_limit_name(name) {
        bad.must(format!("{path}.name"), name, Err("match [a-z][a-z0-9_-]{0,31}"));
    }
}

/// What becomes of the credits; for ever as many as it likes if none are given.
pub(super) fn check_credits(path: &str, asked: Option<&CreditsFields>, bad: &mut Violations) -> CreditsPatch {
    let Some(asked) = asked else { return CreditsPatch::Unlimited };
    if asked.remaining.is_none() && asked.refill.is_none() {
        bad.add(format!("{path}.remaining"), "must be given, or refill must; both are absent");
    }
    let refill = check_refill(path, asked.refill.as_ref(), bad);
    // Which is missing was said.
    let is_given = asked.remaining.is_some() || refill.is_some();
    let remaining = is_given.then(|| check_remaining(path, asked.remaining, refill, bad));
    CreditsPatch::Limited { remaining, refill: Some(refill) }
}

/// The number of credits that are left. If absent: as many as `refill` says.
pub(super) fn check_remaining(path: &str, remaining: Option<i64>, refill: Option<Refill>, bad: &mut Violations) -> i64 {
    let Some(remaining) = remaining.or(refill.map(|refill| refill.amount)) else {
        bad.add(
            format!("{path}.remaining"),
            "must be given: without a refill nothing says how many are left; is absent",
        );
        return 0;
    };
    if !(0..=CREDITS_MAX).contains(&remaining) {
        bad.add(format!("{path}.remaining"), format!("must be 0 to {CREDITS_MAX}; is {remaining}"));
    }
    remaining
}

/// When there will be more.
pub(super) fn check_refill(path: &str, asked: Option<&RefillFields>, bad: &mut Violations) -> Option<Refill> {
    let RefillFields { amount, interval } = *asked?;
    if !(1..=CREDITS_MAX).contains(&amount) {
        bad.add(format!("{path}.refill.amount"), format!("must be 1 to {CREDITS_MAX}; is {amount}"));
    }
    match interval {
        Ok(interval) => Some(Refill { amount, interval }),
        Err(number) => {
            bad.add(format!("{path}.refill.interval"), format!("must be DAY, WEEK or MONTH; is {number}"));
            None
        }
    }
}

/// The networks, each once.
pub(super) fn check_networks(path: &str, asked: &[String], bad: &mut Violations) -> Vec<Network> {
    if asked.len() > NETWORKS_MAX {
        bad.add(path, format!("must be at most {NETWORKS_MAX} networks; are {}", asked.len()));
        return Vec::new();
    }
    let mut networks: Vec<Network> = Vec::with_capacity(asked.len());
    for (nth, text) in asked.iter().enumerate() {
        match text.parse() {
            Ok(network) if networks.contains(&network) => {}
            Ok(network) => networks.push(network),
            Err(rule) => bad.must(format!("{path}[{nth}]"), text, Err(rule)),
        }
    }
    networks
}

/// Notes what of these fields is given for a root key: whoever calls with it says neither cost nor address.
pub(super) fn check_keyspace<const N: usize>(given: [(&str, bool); N], keyspace: &Keyspace, bad: &mut Violations) {
    for (path, _) in given.iter().filter(|(_, given)| *given && keyspace.id == SYSTEM) {
        bad.add(*path, format!("must be absent: keys of keyspace {SYSTEM} have no limits"));
    }
}
