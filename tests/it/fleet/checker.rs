//! Whether what clients saw can be, if what is answered with OK holds everywhere from then on.
//!
//! All clients and replicas are on one host, so that the stamps of one clock order everything: `sent` is taken before a
//! call is made, `answered` when its answer is there. It is one pass over what was seen.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use portcullis::grpc::pb::Verdict;

/// Most violations that are told of.
const TOLD_MAX: usize = 20;

/// All that was seen.
#[derive(Debug, Default)]
pub struct History {
    pub keys: Vec<Story>,
    pub verifications: Vec<Verification>,
}

/// What became of a key.
#[derive(Clone, Debug)]
pub struct Story {
    /// When its creation was answered.
    pub made: Duration,
    /// The one change that took something away from it, if any was asked for.
    pub end: Option<End>,
}

/// A change that takes something away, asked for until it was answered with OK.
#[derive(Clone, Debug)]
pub struct End {
    /// What is found from then on.
    pub verdict: Verdict,
    /// When it was first asked for.
    pub sent: Duration,
    /// When it was answered with OK; `None`: it never was.
    pub answered: Option<Duration>,
}

/// One answer to one Verify.
#[derive(Clone, Debug)]
pub struct Verification {
    /// Which key's first secret was shown, by its place in [`History::keys`].
    pub key: usize,
    /// Which replica was asked.
    pub on: usize,
    pub sent: Duration,
    pub answered: Duration,
    /// An error, by its reason or its code.
    pub heard: Result<Verdict, String>,
}

/// How much was checked.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub keys: usize,
    /// Changes that were answered with OK.
    pub ended: usize,
    pub verifications: usize,
    /// Of those, the ones sent after a change of their key was answered with OK.
    pub after: usize,
    /// And those sent after its creation was, and answered before a change was sent.
    pub before: usize,
    pub errors: BTreeMap<String, usize>,
}

/// Errors that say "ask again". Of a connection that broke, nothing more is known.
const PASSING: [&str; 5] = ["LEASE_OVER", "STORE_UNAVAILABLE", "LOOKUPS_BUSY", "SERVER_ENDING", "connection"];

impl History {
    /// Checks everything.
    ///
    /// # Errors
    /// What cannot be.
    pub fn check(&self) -> Result<Counts, Vec<String>> {
        let ended = self.keys.iter().filter(|key| key.answered().is_some()).count();
        let (keys, verifications) = (self.keys.len(), self.verifications.len());
        let mut counts = Counts { keys, ended, verifications, ..Counts::default() };
        let mut wrong = Vec::new();
        for seen in &self.verifications {
            let key = &self.keys[seen.key];
            let verdict = match &seen.heard {
                Ok(verdict) => *verdict,
                Err(error) => {
                    *counts.errors.entry(error.clone()).or_default() += 1;
                    if !PASSING.iter().any(|passing| error.ends_with(passing)) {
                        wrong.push(format!("no error that passes: {seen:?} of {key:?}"));
                    }
                    continue;
                }
            };
            let (is_after, is_before) = (key.is_ended_for(seen), key.is_untouched_for(seen));
            counts.after += usize::from(is_after);
            counts.before += usize::from(is_before);
            if is_after && verdict == Verdict::Valid {
                wrong.push(format!("ACCEPTED AFTER OK: {seen:?} of {key:?}"));
            } else if !key.may_show(verdict, is_after, is_before, seen) {
                wrong.push(format!("cannot be: {seen:?} of {key:?}"));
            }
        }
        wrong.truncate(TOLD_MAX);
        if wrong.is_empty() { Ok(counts) } else { Err(wrong) }
    }

    /// How long it took until those changes were answered with OK that were first sent within a time, sorted.
    pub fn times(&self, from: Duration, to: Duration) -> Vec<Duration> {
        let ends = self.keys.iter().filter_map(|key| key.end.as_ref());
        let within = ends.filter(|end| end.sent >= from && end.sent < to);
        let mut times: Vec<_> = within.filter_map(|end| Some(end.answered?.saturating_sub(end.sent))).collect();
        times.sort_unstable();
        times
    }
}

impl Story {
    fn answered(&self) -> Option<Duration> {
        self.end.as_ref().and_then(|end| end.answered)
    }

    /// It was sent after the change was answered.
    fn is_ended_for(&self, seen: &Verification) -> bool {
        self.answered().is_some_and(|answered| seen.sent > answered)
    }

    /// It was sent after the key was made, and answered before any change was asked for.
    fn is_untouched_for(&self, seen: &Verification) -> bool {
        seen.sent > self.made && self.end.as_ref().is_none_or(|end| seen.answered < end.sent)
    }

    fn may_show(&self, verdict: Verdict, is_after: bool, is_before: bool, seen: &Verification) -> bool {
        let may_be_ended = self.end.as_ref().is_some_and(|end| seen.answered >= end.sent && verdict == end.verdict);
        let may_be_valid = !is_after && verdict == Verdict::Valid;
        // Sent before its creation was answered, and answered before that was seen.
        let may_be_unmade = verdict == Verdict::NotFound && seen.sent <= self.made;
        may_be_ended || may_be_valid || (may_be_unmade && !is_before)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keys, ended, verifications, after, before, errors } = self;
        write!(
            f,
            "{ended} changes of {keys} keys and {verifications} verifications checked, {after} of them after an OK and \
             {before} before a change; errors: {errors:?}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A key that was made by 10 and revoked between 20 and 30.
    fn revoked() -> Story {
        let end = End { verdict: Verdict::Revoked, sent: ms(20), answered: Some(ms(30)) };
        Story { made: ms(10), end: Some(end) }
    }

    fn seen(sent: u64, answered: u64, heard: Result<Verdict, &str>) -> Verification {
        let heard = heard.map_err(str::to_owned);
        Verification { key: 0, on: 1, sent: ms(sent), answered: ms(answered), heard }
    }

    fn check(key: Story, seen: Verification) -> Result<Counts, Vec<String>> {
        History { keys: vec![key], verifications: vec![seen] }.check()
    }

    #[test]
    fn what_can_be_is_let_pass() {
        for (sent, answered, verdict) in [
            (11, 19, Verdict::Valid),
            (15, 25, Verdict::Valid),
            (15, 25, Verdict::Revoked),
            // Sent while the revocation was running, and answered long after.
            (25, 99, Verdict::Valid),
            (21, 22, Verdict::Revoked),
            (31, 32, Verdict::Revoked),
            (5, 12, Verdict::NotFound),
            (5, 12, Verdict::Valid),
        ] {
            check(revoked(), seen(sent, answered, Ok(verdict))).expect("it can be");
        }
        for error in ["LEASE_OVER", "connection"] {
            check(revoked(), seen(11, 12, Err(error))).expect("it passes");
        }
        let mut unanswered = revoked();
        unanswered.end.as_mut().unwrap().answered = None;
        check(unanswered, seen(99, 100, Ok(Verdict::Valid))).expect("nobody said OK");
    }

    #[test]
    fn what_cannot_be_is_found() {
        for (sent, answered, verdict) in [
            (31, 32, Verdict::Valid),
            (31, 32, Verdict::NotFound),
            (11, 12, Verdict::NotFound),
            (11, 12, Verdict::Revoked),
            (11, 12, Verdict::Disabled),
            (21, 99, Verdict::NotFound),
        ] {
            let found = check(revoked(), seen(sent, answered, Ok(verdict))).expect_err("it cannot be");
            let is_accepted = verdict == Verdict::Valid;
            assert!(found.len() == 1 && found[0].starts_with("ACCEPTED AFTER OK") == is_accepted, "{found:?}");
        }
        for error in ["INTERNAL", "CREDENTIAL_INVALID"] {
            check(revoked(), seen(11, 12, Err(error))).expect_err("it is our fault");
        }
    }

    #[test]
    fn one_among_many_is_found() {
        let keys = vec![revoked(); 100];
        let good = (0..100).flat_map(|key| {
            [seen(11, 12, Ok(Verdict::Valid)), seen(31, 32, Ok(Verdict::Revoked))]
                .map(|seen| Verification { key, ..seen })
        });
        let mut history = History { keys, verifications: good.collect() };
        let counts = history.check().expect("all is well");
        assert_eq!((counts.ended, counts.before, counts.after), (100, 100, 100));
        history.verifications.insert(77, Verification { key: 50, ..seen(31, 33, Ok(Verdict::Valid)) });
        assert_eq!(history.check().expect_err("one is bad").len(), 1);
    }
}
