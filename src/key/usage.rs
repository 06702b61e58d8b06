//! What is counted of the use of keys, and by what time.

use crate::clock::Timestamp;

/// An hour of UTC: so many since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(pub i64);

const HOUR_MICROS: i64 = 3_600_000_000;

impl Hour {
    /// The hour that `at` lies in.
    pub fn of(at: Timestamp) -> Self {
        Self(at.as_micros().div_euclid(HOUR_MICROS))
    }

    /// When it begins.
    pub fn begin(self) -> Timestamp {
        Timestamp::from_micros(self.0.saturating_mul(HOUR_MICROS))
    }
}

/// What is counted. The numbers are those of the store; those of verdicts are the wire's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
pub enum Counted {
    /// Keys that were made.
    Created = 0,
    /// Verifications that ended so, as the others.
    Valid = 1,
    /// See [`Counted::Valid`].
    Revoked = 4,
    /// See [`Counted::Valid`].
    Expired = 5,
    /// See [`Counted::Valid`].
    Disabled = 6,
    /// See [`Counted::Valid`].
    IpNotAllowed = 7,
    /// See [`Counted::Valid`].
    InsufficientScope = 8,
    /// See [`Counted::Valid`].
    RateLimited = 9,
    /// See [`Counted::Valid`].
    CreditsExhausted = 10,
}

impl Counted {
    /// All of them, by their numbers.
    pub const ALL: [Self; 9] = [
        Self::Created,
        Self::Valid,
        Self::Revoked,
        Self::Expired,
        Self::Disabled,
        Self::IpNotAllowed,
        Self::InsufficientScope,
        Self::RateLimited,
        Self::CreditsExhausted,
    ];

    /// Its place in [`Counted::ALL`].
    pub fn place(self) -> usize {
        match self {
            Self::Created => 0,
            Self::Valid => 1,
            other => other as usize - 2,
        }
    }

    /// What has this number.
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|counted| *counted as i16 == number)
    }
}

/// How often each of [`Counted::ALL`] was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; Counted::ALL.len()]);

impl Counts {
    /// So many of one.
    pub fn of(counted: Counted, many: u64) -> Self {
        let mut counts = Self::default();
        counts.add(counted, many);
        counts
    }

    /// How many there are of one.
    pub fn get(&self, counted: Counted) -> u64 {
        self.0[counted.place()]
    }

    /// Adds so many of one.
    pub fn add(&mut self, counted: Counted, many: u64) {
        let count = &mut self.0[counted.place()];
        *count = count.saturating_add(many);
    }

    /// Adds all of `more`.
    pub fn merge(&mut self, more: &Self) {
        for (counted, many) in more.iter() {
            self.add(counted, many);
        }
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|many| *many == 0)
    }

    /// What was counted at all.
    pub fn iter(&self) -> impl Iterator<Item = (Counted, u64)> {
        Counted::ALL.into_iter().map(|counted| (counted, self.get(counted))).filter(|(_, many)| *many > 0)
    }

    /// How many verifications.
    pub fn verifications(&self) -> u64 {
        self.iter().filter(|(counted, _)| *counted != Counted::Created).map(|(_, many)| many).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_place_and_its_number() {
        for (place, counted) in Counted::ALL.into_iter().enumerate() {
            assert_eq!(counted.place(), place);
            assert_eq!(Counted::from_number(counted as i16), Some(counted));
        }
        assert_eq!(Counted::from_number(2), None);
    }

    #[test]
    fn counts_add_up() {
        let mut counts = Counts::of(Counted::Valid, 3);
        counts.merge(&Counts::of(Counted::RateLimited, 2));
        counts.merge(&Counts::of(Counted::Created, 1));
        counts.add(Counted::Valid, u64::MAX);
        assert_eq!(counts.get(Counted::Valid), u64::MAX);
        assert_eq!(Counts::of(Counted::Created, 5).verifications(), 0);
        assert!(!counts.is_empty() && Counts::default().is_empty());
    }

    #[test]
    fn hours_before_1970_are_hours() {
        assert_eq!(Hour::of(Timestamp::from_micros(-1)), Hour(-1));
        assert_eq!(Hour(-1).begin(), Timestamp::from_micros(-HOUR_MICROS));
    }
}
