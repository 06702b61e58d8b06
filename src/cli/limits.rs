//! How much a key may be used, and from where, on the command line: rate limits, credits, networks.

use clap::Args;
use prost_types::Duration;

use super::exit::Error;
use crate::grpc::pb::{Credits, CreditsInterval, CreditsRefill, RateLimit};

/// What takes a value away on `update`.
const NONE: &str = "none";

const RATE_FORM: &str = "not of the form 100/s, 5/10s, daily=1000/day or 100/s:burst=20";
const REFILL_FORM: &str = "not of the form 1000/month, 1000/week or 1000/day";

/// The units of a window. A month has no length of its own.
const UNITS: [&str; 20] = [
    "ms", "msec", "s", "sec", "secs", "second", "seconds", "m", "min", "mins", "minute", "minutes", "h", "hour",
    "hours", "d", "day", "days", "week", "weeks",
];

/// What a new key may be limited by.
#[derive(Args, Debug)]
pub struct Allowance {
    /// How often the key may be used, e.g. 100/s, 5/10s, 100/s:burst=20 or daily=1000/day; may be repeated, then all
    /// hold [default: what the keyspace says]
    #[arg(long = "rate", value_name = "RATE", value_parser = rate)]
    rates: Vec<RateLimit>,
    /// How many credits the key has; a verification takes one unless it says another cost [default: what --refill says,
    /// else as many as it likes]
    #[arg(long, value_name = "COUNT", value_parser = credits)]
    credits: Option<i64>,
    /// How many credits the key has at least at the beginning of each day, week or month in UTC, e.g. 1000/month
    #[arg(long, value_name = "REFILL", value_parser = refill)]
    refill: Option<CreditsRefill>,
    /// A network from which the key may be used, e.g. 10.0.0.0/8 or 2001:db8::/32; may be repeated [default: any]
    #[arg(long = "cidr", value_name = "CIDR")]
    cidrs: Vec<String>,
}

impl Allowance {
    /// The fields of a new key.
    pub fn fields(self) -> (Option<RateLimit>, Option<Credits>, Vec<String>) {
        let is_limited = self.credits.is_some() || self.refill.is_some();
        let credits =
            is_limited.then(|| Credits { remaining: self.credits, refill: self.refill, ..Credits::default() });
        (together(self.rates), credits, self.cidrs)
    }
}

/// A value to set, or that there shall be none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Set<T> {
    /// `none`.
    Clear,
    /// Anything else.
    To(T),
}

impl<T> Set<T> {
    /// The value, if there shall be one.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Clear => None,
            Self::To(value) => Some(value),
        }
    }
}

/// What `parse` makes of a value, unless it is `none`.
pub fn or_none<T>(
    parse: fn(&str) -> Result<T, String>,
) -> impl Fn(&str) -> Result<Set<T>, String> + Clone + Send + Sync {
    move |text| match text {
        NONE => Ok(Set::Clear),
        text => parse(text).map(Set::To).map_err(|why| format!("{why}, nor {NONE}")),
    }
}

/// The values of a flag that may be repeated.
///
/// # Errors
/// If `none` is only one of them.
pub fn all<T>(flag: &str, given: Vec<Set<T>>) -> Result<Vec<T>, Error> {
    let count = given.len();
    let values: Vec<T> = given.into_iter().filter_map(Set::value).collect();
    if !values.is_empty() && values.len() < count {
        return Err(Error::Usage(format!("{flag} {NONE} goes with no other {flag}")));
    }
    Ok(values)
}

/// A network; the server knows which are good.
#[expect(clippy::unnecessary_wraps, reason = "the form of a parser")]
pub fn cidr(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

/// A rate limit: `[NAME=]COUNT/WINDOW[:burst=COUNT]`.
pub fn rate(text: &str) -> Result<RateLimit, String> {
    read_rate(text).ok_or_else(|| RATE_FORM.to_owned())
}

fn read_rate(text: &str) -> Option<RateLimit> {
    let (rate, burst) = match text.split_once(":burst=") {
        Some((rate, burst)) => (rate, number(burst).filter(|burst| *burst > 0)?),
        None => (text, 0),
    };
    let (name, rate) = match rate.split_once('=') {
        Some(("", _)) => return None,
        Some((name, rate)) => (name.to_owned(), rate),
        None => (String::new(), rate),
    };
    let (limit, window) = rate.split_once('/')?;
    Some(RateLimit { limit: number(limit)?, window: Some(read_window(window)?), burst, name, also: Vec::new() })
}

/// `day`, `10s`, `1h30m`.
fn read_window(text: &str) -> Option<Duration> {
    let units = text.split(|c: char| c.is_ascii_digit() || c == ' ').filter(|unit| !unit.is_empty());
    let one = if text.starts_with(|c: char| c.is_ascii_alphabetic()) { "1" } else { "" };
    units.clone().all(|unit| UNITS.contains(&unit)).then_some(())?;
    humantime::parse_duration(&format!("{one}{text}")).ok()?.try_into().ok()
}

/// Several limits as one: the first, and all that hold as well. Those must have names.
pub fn together(rates: Vec<RateLimit>) -> Option<RateLimit> {
    let mut rates = rates.into_iter();
    let first = rates.next()?;
    let also = rates.map(|rate| {
        let name = if rate.name.is_empty() { name_of(rate.window) } else { rate.name };
        RateLimit { name, ..rate }
    });
    Some(RateLimit { also: also.collect(), ..first })
}

/// `per-day`, `per-10s`.
fn name_of(window: Option<Duration>) -> String {
    format!("per-{}", window_in_words(window).replace(' ', ""))
}

/// A window as [`rate`] reads it.
fn window_in_words(window: Option<Duration>) -> String {
    let Some(window) = window.and_then(|window| std::time::Duration::try_from(window).ok()) else {
        return "?".to_owned();
    };
    match (window.as_secs(), window.subsec_nanos()) {
        (1, 0) => "s".to_owned(),
        (60, 0) => "min".to_owned(),
        (3_600, 0) => "hour".to_owned(),
        (86_400, 0) => "day".to_owned(),
        (604_800, 0) => "week".to_owned(),
        _ => crate::key::keyspace::in_words(window).replace(' ', ""),
    }
}

/// A limit and all that hold as well, as [`rate`] reads them.
pub fn in_words(limit: &RateLimit) -> String {
    let words = |limit: &RateLimit| {
        let name = if limit.name.is_empty() { String::new() } else { format!("{}=", limit.name) };
        let is_plain = limit.burst == 0 || limit.burst == limit.limit;
        let burst = if is_plain { String::new() } else { format!(":burst={}", limit.burst) };
        format!("{name}{}/{}{burst}", limit.limit, window_in_words(limit.window))
    };
    std::iter::once(limit).chain(&limit.also).map(words).collect::<Vec<_>>().join(" ")
}

/// A number of credits.
pub fn credits(text: &str) -> Result<i64, String> {
    number(text).ok_or_else(|| "not a number of credits".to_owned())
}

/// When there will be more credits: `COUNT/day`, `COUNT/week` or `COUNT/month`.
pub fn refill(text: &str) -> Result<CreditsRefill, String> {
    let read = || {
        let (amount, interval) = text.split_once('/')?;
        let interval = match interval {
            "day" => CreditsInterval::Day,
            "week" => CreditsInterval::Week,
            "month" => CreditsInterval::Month,
            _ => return None,
        };
        Some(CreditsRefill { amount: number(amount)?, interval: interval.into() })
    };
    read().ok_or_else(|| REFILL_FORM.to_owned())
}

/// Digits and nothing else; what is too many for the wire is too many for the server.
fn number(text: &str) -> Option<i64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &str, limit: i64, seconds: i64, burst: i64, name: &str) {
        let window = Some(Duration { seconds, nanos: 0 });
        let expect = RateLimit { limit, window, burst, name: name.into(), also: vec![] };
        assert_eq!(rate(text), Ok(expect), "{text}");
    }

    #[test]
    fn rates() {
        reads("100/s", 100, 1, 0, "");
        reads("100/sec", 100, 1, 0, "");
        reads("10/minute", 10, 60, 0, "");
        reads("10/m", 10, 60, 0, "");
        reads("1000/h", 1_000, 3_600, 0, "");
        reads("1000/day", 1_000, 86_400, 0, "");
        reads("7/week", 7, 604_800, 0, "");
        reads("5/10s", 5, 10, 0, "");
        reads("5/10 min", 5, 600, 0, "");
        reads("5/1h30m", 5, 5_400, 0, "");
        reads("100/s:burst=20", 100, 1, 20, "");
        reads("daily=1000/day", 1_000, 86_400, 0, "daily");
        reads("daily=1000/2days:burst=1", 1_000, 172_800, 1, "daily");
    }

    #[test]
    fn what_is_no_rate() {
        for bad in [
            "",
            "100",
            "/s",
            "100/",
            "100/5",
            "-1/s",
            "+1/s",
            "1.5/s",
            "100/month",
            "100/1M",
            "100/y",
            "100/-1s",
            "100/s:burst=",
            "100/s:burst=0",
            "100/s:burst=x",
            "100/s:b=1",
            "=100/s",
            "=100/s:burst=1",
            "a=",
            "none",
            "99999999999999999999/s",
            "1/99999999999999999999d",
            "a=b=1/s",
        ] {
            assert_eq!(rate(bad), Err(RATE_FORM.into()), "{bad}");
        }
    }

    #[test]
    fn what_is_shown_can_be_typed() {
        for text in ["100/s", "5/10s", "1/1h30m", "daily=1000/day", "7/week:burst=2", "1/2d", "3/min", "x=4/hour"] {
            assert_eq!(in_words(&rate(text).unwrap()), text);
        }
        let burst_of_all = RateLimit { burst: 100, ..rate("100/s").unwrap() };
        assert_eq!(in_words(&burst_of_all), "100/s");
    }

    #[test]
    fn more_limits_get_names() {
        let read = ["100/s", "1000/day", "5/90s", "mine=7/week"].map(|text| rate(text).unwrap());
        let limit = together(read.into()).unwrap();
        assert_eq!(in_words(&limit), "100/s per-day=1000/day per-1m30s=5/1m30s mine=7/week");
        for also in &limit.also {
            assert!(crate::key::rate_limit::is_limit_name(&also.name), "{}", also.name);
        }
        assert_eq!(together(vec![]), None);
    }

    #[test]
    fn refills() {
        for (text, interval) in [
            ("1000/day", CreditsInterval::Day),
            ("1000/week", CreditsInterval::Week),
            ("1000/month", CreditsInterval::Month),
        ] {
            assert_eq!(refill(text), Ok(CreditsRefill { amount: 1_000, interval: interval.into() }));
        }
        for bad in ["", "1000", "1000/", "/day", "1000/hour", "1000/2days", "-1/day", "x/day", "none"] {
            assert_eq!(refill(bad), Err(REFILL_FORM.into()), "{bad}");
        }
    }

    #[test]
    fn none_stands_alone() {
        let read = or_none(credits);
        assert_eq!((read("none"), read("7")), (Ok(Set::Clear), Ok(Set::To(7))));
        assert!(read("nothing").is_err_and(|why| why.ends_with("nor none")));
        assert_eq!(all("--x", vec![Set::To(1), Set::To(2)]).unwrap(), [1, 2]);
        assert!(all::<i64>("--x", vec![Set::Clear]).unwrap().is_empty());
        assert!(matches!(all("--x", vec![Set::To(1), Set::Clear]), Err(Error::Usage(_))));
    }
}
