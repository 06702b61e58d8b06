//! How long the store keeps what it tells of the past.

use std::time::Duration;

use super::Raw;
use crate::store::usage::Retention;

impl Raw {
    /// How long usage is kept.
    pub(super) fn usage_retention(&mut self, hours: Option<String>, whole: Option<String>) -> Option<Retention> {
        let hours = self.take("usage-hours-days", hours, "90", "1 to 3660", |text| days(text, 3_660));
        let days = self.take("usage-days-days", whole, "730", "1 to 36600", |text| days(text, 36_600));
        let (hours, days) = (hours?, days?);
        if days < hours {
            self.errors.push("usage-days-days: must be no less than usage-hours-days".to_owned());
        }
        Some(Retention { hours, days })
    }

    /// How long audit events are kept; zero: for ever.
    pub(super) fn audit_kept(&mut self, kept: Option<String>) -> Option<Duration> {
        self.take("audit-days", kept, "400", "0 to 36600", |text| match text {
            "0" => Some(Duration::ZERO),
            text => days(text, 36_600),
        })
    }
}

fn days(text: &str, most: u64) -> Option<Duration> {
    text.parse::<u64>().ok().filter(|days| (1..=most).contains(days)).map(|days| Duration::from_hours(days * 24))
}
