//! How many credits a key has left, and when it gets new ones.

use serde::{Deserialize, Serialize};
use time::{Date, Month, OffsetDateTime, Time};

use crate::clock::Timestamp;

/// Most credits that a key can have, or get at once.
pub const CREDITS_MAX: i64 = 1_000_000_000_000_000;
/// Most credits that one verification can take.
pub const COST_MAX: i64 = 1_000_000_000;

/// The credits of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credits {
    /// How many are left, those that processes have taken out to spend not counted.
    pub remaining: i64,
    /// When there will be more.
    pub refill: Option<Refill>,
    /// The next time that there will be.
    pub refill_time: Option<Timestamp>,
    /// The revision of the key when its credits were last set: what was taken out before is worth nothing since.
    pub epoch: i64,
}

/// When a key gets new credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refill {
    /// How many it then has at least.
    pub amount: i64,
    /// How often.
    pub interval: Interval,
}

/// How often, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interval {
    /// At midnight.
    Day,
    /// At midnight before a Monday.
    Week,
    /// At midnight before the first day of a month.
    Month,
}

impl Interval {
    /// The first time after `now` that an interval begins.
    pub fn next(self, now: Timestamp) -> Timestamp {
        let seconds = now.as_micros().div_euclid(1_000_000);
        let Ok(now) = OffsetDateTime::from_unix_timestamp(seconds) else { return Timestamp::from_micros(i64::MAX) };
        let today = now.date();
        let next = match self {
            Self::Day => today.next_day(),
            Self::Week => {
                let days = 7 - i64::from(today.weekday().number_days_from_monday());
                today.checked_add(time::Duration::days(days))
            }
            Self::Month => {
                let year = if today.month() == Month::December { today.year() + 1 } else { today.year() };
                Date::from_calendar_date(year, today.month().next(), 1).ok()
            }
        };
        let at = next.map(|date| date.with_time(Time::MIDNIGHT).assume_utc().unix_timestamp());
        Timestamp::from_micros(at.map_or(i64::MAX, |seconds| seconds.saturating_mul(1_000_000)))
    }
}

impl Credits {
    /// The credits at `now`: with the refill that is due by then, if it was not carried out yet. What shows credits, or
    /// changes them, goes by this; the stores carry a refill out when a process asks for credits.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Self {
        match self.refill {
            Some(refill) if self.refill_time.is_some_and(|at| at <= now) => Self {
                remaining: self.remaining.max(refill.amount),
                refill_time: Some(refill.interval.next(now)),
                ..*self
            },
            _ => self.clone(),
        }
    }
}

/// What to change about a key's credits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreditsPatch {
    /// It has as many as it likes.
    Unlimited,
    /// It has so many left, or as many as it has; and gets new ones so, or as it did.
    Limited {
        /// How many are left.
        remaining: Option<i64>,
        /// When there will be more, or that there will not.
        refill: Option<Option<Refill>>,
    },
}

impl CreditsPatch {
    /// The credits as they would be, were they changed at `now` as a key's `revision`.
    pub fn applied(&self, to: Option<&Credits>, now: Timestamp, revision: i64) -> Option<Credits> {
        let Self::Limited { remaining, refill } = self else { return None };
        let to = to.map(|credits| credits.at(now));
        let to = to.as_ref();
        let present = to.and_then(|credits| credits.refill);
        let refill = refill.unwrap_or(present);
        let refill_time = match to {
            Some(credits) if refill.map(|r| r.interval) == present.map(|r| r.interval) => credits.refill_time,
            _ => refill.map(|refill| refill.interval.next(now)),
        };
        if remaining.is_none() && refill.is_none() && to.is_none() {
            // There is no refill to take away: it goes on having as many as it likes.
            return None;
        }
        let (remaining, epoch) = match (remaining, to) {
            // Also if it is what is left already: more may have been taken out than that.
            (Some(remaining), _) => (*remaining, revision),
            (None, Some(credits)) => (credits.remaining, credits.epoch),
            (None, None) => (refill.map_or(0, |refill| refill.amount), revision),
        };
        Some(Credits { remaining, refill, refill_time, epoch })
    }
}

/// Why credits cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAdded {
    /// The key has as many as it likes: with a number of them it could do less.
    Unlimited,
    /// It would have more than [`CREDITS_MAX`].
    TooMany {
        /// How many are left now.
        remaining: i64,
    },
}

/// `credits` with `more` of them at `now`. Those that processes have taken out stay good: the epoch is the same.
///
/// # Errors
/// If there are none to add to, or would be too many.
pub fn added(credits: Option<&Credits>, more: i64, now: Timestamp) -> Result<Credits, NotAdded> {
    let credits = credits.ok_or(NotAdded::Unlimited)?.at(now);
    let sum = credits.remaining.checked_add(more).filter(|sum| *sum <= CREDITS_MAX);
    let remaining = sum.ok_or(NotAdded::TooMany { remaining: credits.remaining })?;
    Ok(Credits { remaining, ..credits })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let at = humantime::parse_rfc3339(text).unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp::from_micros(i64::try_from(at.as_micros()).unwrap())
    }

    #[track_caller]
    fn next(interval: Interval, now: &str, then: &str) {
        assert_eq!(interval.next(at(now)).to_string(), at(then).to_string());
    }

    #[test]
    fn intervals_begin_at_midnight_in_utc() {
        next(Interval::Day, "2026-11-22T13:00:00Z", "2026-11-23T00:00:00Z");
        next(Interval::Day, "2026-12-31T23:59:59.999Z", "2027-01-01T00:00:00Z");
        next(Interval::Day, "2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z");
        // A Sunday, and the Monday after it.
        next(Interval::Week, "2026-11-22T13:00:00Z", "2026-11-23T00:00:00Z");
        next(Interval::Week, "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z");
        next(Interval::Month, "2026-11-22T13:00:00Z", "2026-12-01T00:00:00Z");
        next(Interval::Month, "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z");
        next(Interval::Month, "2028-01-31T00:00:00Z", "2028-02-01T00:00:00Z");
        assert_eq!(Interval::Day.next(Timestamp::from_micros(i64::MAX)), Timestamp::from_micros(i64::MAX));
    }

    #[test]
    fn a_refill_that_is_due_counts_at_once() {
        let due = at("2026-11-23T00:00:00Z");
        let daily = Refill { amount: 100, interval: Interval::Day };
        let spent = Credits { remaining: 3, refill: Some(daily), refill_time: Some(due), epoch: 7 };
        assert_eq!(spent.at(at("2026-11-22T23:59:59Z")), spent);
        let refilled = Credits { remaining: 100, refill_time: Some(at("2026-11-24T00:00:00Z")), ..spent.clone() };
        assert_eq!(spent.at(due), refilled);
        let later = at("2026-11-30T12:00:00Z");
        assert_eq!(spent.at(later).refill_time, Some(at("2026-12-01T00:00:00Z")));
        assert_eq!(Credits { remaining: 500, ..spent.clone() }.at(due).remaining, 500, "it never gets fewer");
        let never = Credits { refill: None, refill_time: None, ..spent };
        assert_eq!(never.at(later), never);
    }

    #[test]
    fn what_is_not_set_stays() {
        let now = at("2026-11-22T13:00:00Z");
        let set = |remaining, refill| CreditsPatch::Limited { remaining, refill };
        let monthly = Refill { amount: 100, interval: Interval::Month };
        let first = set(None, Some(Some(monthly))).applied(None, now, 7).unwrap();
        assert_eq!((first.remaining, first.refill, first.epoch), (100, Some(monthly), 7));
        let spent = Credits { remaining: 40, ..first.clone() };
        let more = set(Some(50), None).applied(Some(&spent), now, 8).unwrap();
        assert_eq!((more.remaining, more.refill, more.epoch), (50, Some(monthly), 8));
        assert_eq!(more.refill_time, first.refill_time);
        let as_read = set(Some(40), Some(Some(monthly))).applied(Some(&spent), now, 8).unwrap();
        assert_eq!(as_read, Credits { epoch: 8, ..spent.clone() }, "what was taken out is void all the same");
        let overdue = Credits { refill_time: Some(now), ..spent.clone() };
        let emptied = set(Some(0), None).applied(Some(&overdue), now, 8).unwrap();
        assert_eq!(emptied.refill_time, first.refill_time, "nothing comes at once");
        let refilled = Credits { remaining: 100, ..spent.clone() };
        assert_eq!(set(None, None).applied(Some(&overdue), now, 8), Some(refilled), "what is due came");
        let daily = Refill { amount: 5, interval: Interval::Day };
        let other = set(None, Some(Some(daily))).applied(Some(&spent), now, 8).unwrap();
        assert_eq!((other.remaining, other.epoch, other.refill_time), (40, 7, Some(at("2026-11-23T00:00:00Z"))));
        let other = set(None, Some(Some(daily))).applied(Some(&overdue), now, 8).unwrap();
        assert_eq!((other.remaining, other.epoch), (100, 7), "another schedule does not take what was due");
        assert_eq!(set(None, Some(None)).applied(Some(&spent), now, 8).unwrap().refill_time, None);
        assert_eq!(CreditsPatch::Unlimited.applied(Some(&spent), now, 8), None);
        assert_eq!(set(None, Some(None)).applied(None, now, 8), None, "a key without credits has no refill to lose");
    }

    #[test]
    fn credits_are_added_to_what_is_left() {
        let due = at("2026-11-23T00:00:00Z");
        let daily = Refill { amount: 100, interval: Interval::Day };
        let spent = Credits { remaining: 3, refill: Some(daily), refill_time: Some(due), epoch: 7 };
        let early = at("2026-11-22T13:00:00Z");
        let added = added(Some(&spent), 10, early).unwrap();
        assert_eq!(added, Credits { remaining: 13, ..spent.clone() }, "what processes hold stays theirs");
        assert_eq!(super::added(Some(&spent), 10, due).unwrap().remaining, 110, "a refill that is due comes first");
        assert_eq!(super::added(Some(&spent), CREDITS_MAX - 3, early).unwrap().remaining, CREDITS_MAX);
        assert_eq!(super::added(Some(&spent), CREDITS_MAX - 2, early), Err(NotAdded::TooMany { remaining: 3 }));
        assert_eq!(super::added(Some(&spent), i64::MAX, early), Err(NotAdded::TooMany { remaining: 3 }));
        assert_eq!(super::added(None, 1, early), Err(NotAdded::Unlimited));
    }
}
