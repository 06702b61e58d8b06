//! Usage: a row a group with its course in time, then a row an hour or a day.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use prost_types::Timestamp;
use rust_decimal::Decimal;

use super::lines;
use super::verdicts::verdict;
use crate::cli::output::{self, Json, Shown};
use crate::cli::terminal::visible;
use crate::grpc::json;
use crate::grpc::pb::{QueryUsageResponse, UsageGranularity, UsageGroup, UsageRow, Verdict};

/// Most characters of a course. Spans beyond that many share one.
const COLUMNS_MAX: i64 = 60;
/// The longest bar.
const BAR_LEN: u64 = 30;
/// Most rows of the table by time that are there though nothing happened.
const EMPTY_ROWS_MAX: i64 = 60;
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
const NOTHING: char = '·';

/// What was asked about.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub from: Timestamp,
    pub until: Timestamp,
    pub by: UsageGranularity,
    pub group: UsageGroup,
    /// Whether somebody asked for a table by time.
    pub is_by_time: bool,
}

/// An answer, and what was asked.
pub struct Report {
    pub answer: QueryUsageResponse,
    pub span: Span,
    pub is_one_page: bool,
}

impl Span {
    /// Seconds of a row; `None`: all in one.
    fn step(&self) -> Option<i64> {
        match self.by {
            UsageGranularity::Hour => Some(3_600),
            UsageGranularity::Day => Some(86_400),
            UsageGranularity::Total | UsageGranularity::Unspecified => None,
        }
    }

    /// The first and the last row that there can be, in steps since 1970.
    fn steps(&self, step: i64) -> (i64, i64) {
        let is_begun = i64::from(self.until.nanos == 0);
        let first = self.from.seconds.div_euclid(step);
        (first, self.until.seconds.saturating_sub(is_begun).div_euclid(step).max(first))
    }

    /// The header of the groups.
    fn group(&self) -> &'static str {
        match self.group {
            UsageGroup::Key => "KEY",
            UsageGroup::Subject => "SUBJECT",
            UsageGroup::Keyspace | UsageGroup::Unspecified => "KEYSPACE",
        }
    }
}

/// What rows come to.
#[derive(Clone, Debug, Default)]
struct Sum {
    total: u64,
    verdicts: BTreeMap<i32, u64>,
    created: u64,
    /// `None`: one of them is no number that this program can add.
    cost: Option<Decimal>,
}

impl Sum {
    fn of<'a>(rows: impl IntoIterator<Item = &'a UsageRow>) -> Self {
        let mut sum = Self { cost: Some(Decimal::ZERO), ..Self::default() };
        for row in rows {
            for count in &row.counts {
                let times = u64::try_from(count.count).unwrap_or_default();
                sum.total = sum.total.saturating_add(times);
                let of_verdict = sum.verdicts.entry(count.verdict).or_default();
                *of_verdict = of_verdict.saturating_add(times);
            }
            sum.created = sum.created.saturating_add(u64::try_from(row.keys_created).unwrap_or_default());
            let cost = Decimal::from_str(&row.estimated_cost).ok();
            sum.cost = sum.cost.zip(cost).and_then(|(sum, cost)| exact_sum(sum, cost));
        }
        sum
    }

    fn of_verdict(&self, verdict: i32) -> u64 {
        self.verdicts.get(&verdict).copied().unwrap_or_default()
    }

    fn valid(&self) -> u64 {
        self.of_verdict(Verdict::Valid.into())
    }

    /// The cost, with so many digits behind the point.
    fn cost(&self, digits: usize) -> String {
        self.cost.map_or_else(|| "?".to_owned(), |cost| format!("{:.digits$}", cost.normalize()))
    }
}

/// How many digits behind the point it takes to show the costs of all of them.
fn digits<'a>(sums: impl IntoIterator<Item = &'a Sum>) -> usize {
    let scales = sums.into_iter().filter_map(|sum| Some(sum.cost?.normalize().scale()));
    scales.max().and_then(|most| usize::try_from(most).ok()).unwrap_or_default()
}

/// The sum, unless digits would get lost.
fn exact_sum(a: Decimal, b: Decimal) -> Option<Decimal> {
    a.checked_add(b).filter(|sum| sum.scale() >= a.scale().max(b.scale()))
}

impl Report {
    /// The groups and their rows, those used most first.
    fn groups(&self) -> Vec<(&str, Vec<&UsageRow>, Sum)> {
        let mut groups: BTreeMap<&str, Vec<&UsageRow>> = BTreeMap::new();
        for row in &self.answer.rows {
            groups.entry(&row.group).or_default().push(row);
        }
        let summed = groups.into_iter().map(|(name, rows)| {
            let sum = Sum::of(rows.iter().copied());
            (name, rows, sum)
        });
        let mut groups: Vec<_> = summed.collect();
        groups.sort_by_key(|(_, _, sum)| std::cmp::Reverse(sum.total));
        groups
    }

    /// Which groups there were, and the course of each.
    fn by_group(&self) -> String {
        let courses = self.span.step().map(|step| Courses::of(self.span.steps(step), step));
        let mut header = vec![self.span.group().to_owned()];
        header.extend(courses.as_ref().map(Courses::header));
        header.extend(["TOTAL", "VALID", "DENIED", "CREATED", "COST"].map(str::to_owned));
        let groups = self.groups();
        let all: Vec<_> = self.answer.rows.iter().collect();
        let all_sum = Sum::of(all.iter().copied());
        let digits = digits(groups.iter().map(|(_, _, sum)| sum).chain([&all_sum]));
        let row = |name: &str, rows: &[&UsageRow], sum: &Sum| {
            let mut row = vec![name.to_owned()];
            row.extend(courses.as_ref().map(|courses| courses.course(rows)));
            row.extend([sum.total, sum.valid(), sum.total - sum.valid(), sum.created].map(grouped));
            row.push(sum.cost(digits));
            row
        };
        let mut rows: Vec<_> = groups.iter().map(|(name, rows, sum)| row(name, rows, sum)).collect();
        if groups.len() > 1 {
            // No group is called so.
            rows.push(row("(all)", &all, &all_sum));
        }
        let first_number = if courses.is_some() { 2 } else { 1 };
        output::figures(header, rows, first_number)
    }

    /// What happened when, all groups together.
    fn by_time(&self, step: i64) -> String {
        let mut times: BTreeMap<i64, Vec<&UsageRow>> = BTreeMap::new();
        let (first, last) = self.span.steps(step);
        if last - first < EMPTY_ROWS_MAX {
            times.extend((first..=last).map(|at| (at, Vec::new())));
        }
        for row in &self.answer.rows {
            let at = row.time.map_or(first, |time| time.seconds.div_euclid(step));
            times.entry(at).or_default().push(row);
        }
        let times: Vec<_> = times.into_iter().map(|(at, rows)| (at, Sum::of(rows))).collect();
        let most = times.iter().map(|(_, sum)| sum.total).max().unwrap_or_default();
        let verdicts: BTreeSet<i32> = times.iter().flat_map(|(_, sum)| sum.verdicts.keys().copied()).collect();

        let digits = digits(times.iter().map(|(_, sum)| sum));
        let is_hourly = step < 86_400;
        let mut header = vec![if is_hourly { "HOUR (UTC)" } else { "DAY (UTC)" }.to_owned(), String::new()];
        header.push("TOTAL".to_owned());
        header.extend(verdicts.iter().map(|number| verdict(*number)));
        header.push("COST".to_owned());
        let rows = times.iter().map(|(at, sum)| {
            let mut row = vec![moment(at.saturating_mul(step), is_hourly), bar(sum.total, most)];
            row.push(grouped(sum.total));
            row.extend(verdicts.iter().map(|verdict| grouped(sum.of_verdict(*verdict))));
            row.push(sum.cost(digits));
            row
        });
        output::figures(header, rows.collect(), 2)
    }
}

impl Shown for Report {
    const NAME: &'static str = "portcullis.v1.QueryUsageResponse";

    fn table(&self) -> String {
        if self.answer.rows.is_empty() {
            return "no usage\n".to_owned();
        }
        let groups = self.by_group();
        let is_one_group = self.answer.rows.iter().all(|row| row.group == self.answer.rows[0].group);
        match self.span.step() {
            Some(step) if self.span.is_by_time || is_one_group => format!("{groups}\n{}", self.by_time(step)),
            _ => groups,
        }
    }

    /// Group and number of verifications, a tab between them.
    fn quiet(&self) -> String {
        lines(self.groups().into_iter().map(|(name, _, sum)| format!("{}\t{}", visible(name), sum.total)))
    }

    fn note(&self) -> Option<String> {
        let token = &self.answer.next_page_token;
        let until = self.span.until;
        (self.is_one_page && !token.is_empty()).then(|| {
            format!("there are more: --all shows them, --page-token {token} the next page; both with --until {until}")
        })
    }
}

impl Json for Report {
    fn json(&self) -> String {
        json::pretty(Self::NAME, &self.answer)
    }
}

/// Time cut into as many pieces as a course has characters.
struct Courses {
    first: i64,
    step: i64,
    /// How many steps share a character.
    joined: i64,
    count: usize,
}

impl Courses {
    fn of((first, last): (i64, i64), step: i64) -> Self {
        let steps = last - first + 1;
        let joined = (steps + COLUMNS_MAX - 1) / COLUMNS_MAX;
        let count = usize::try_from((steps + joined - 1) / joined).unwrap_or(1);
        Self { first, step, joined, count }
    }

    /// What a character stands for.
    fn header(&self) -> String {
        let unit = if self.step < 86_400 { "HOUR" } else { "DAY" };
        if self.joined == 1 { format!("EACH {unit}") } else { format!("EACH {} {unit}S", self.joined) }
    }

    /// How often in each piece, next to the most.
    fn course(&self, rows: &[&UsageRow]) -> String {
        let mut pieces = vec![0_u64; self.count];
        for row in rows {
            let at = row.time.map_or(self.first, |time| time.seconds.div_euclid(self.step));
            let piece = usize::try_from((at - self.first).max(0) / self.joined).unwrap_or(usize::MAX);
            let piece = &mut pieces[piece.min(self.count - 1)];
            *piece = piece.saturating_add(Sum::of([*row]).total);
        }
        let most = pieces.iter().copied().max().unwrap_or_default();
        let level = |times: u64| match share(times, most, LEVELS.len() as u64) {
            0 => NOTHING,
            eighths => LEVELS[usize::try_from(eighths - 1).unwrap_or_default()],
        };
        pieces.into_iter().map(level).collect()
    }
}

/// `part` of `whole` in so many parts, rounded up: what is there shows.
fn share(part: u64, whole: u64, parts: u64) -> u64 {
    let share = (u128::from(part) * u128::from(parts)).div_ceil(u128::from(whole.max(1)));
    u64::try_from(share).unwrap_or(parts)
}

/// A bar as long as `part` is of `whole`.
fn bar(part: u64, whole: u64) -> String {
    let eighths = share(part, whole, BAR_LEN * 8);
    let full = usize::try_from(eighths / 8).unwrap_or_default();
    let rest = usize::try_from(eighths % 8).unwrap_or_default();
    "█".repeat(full) + EIGHTHS[rest]
}

/// With a comma for each thousand.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `2030-01-31 12:00`, or the day alone.
fn moment(seconds: i64, with_hour: bool) -> String {
    let text = Timestamp { seconds, nanos: 0 }.to_string();
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    if with_hour { format!("{day} {}", time.get(..5).unwrap_or(time)) } else { day.to_owned() }
}

#[cfg(test)]
mod tests {
    use crate::grpc::pb::VerdictCount;

    use super::*;

    fn row(group: &str, at: &str, counts: &[(Verdict, i64)], created: i64, cost: &str) -> UsageRow {
        UsageRow {
            time: Some(at.parse().unwrap()),
            group: group.into(),
            counts: counts
                .iter()
                .map(|(verdict, count)| VerdictCount { verdict: (*verdict).into(), count: *count })
                .collect(),
            keys_created: created,
            estimated_cost: cost.into(),
        }
    }

    fn report(from: &str, until: &str, by: UsageGranularity, is_by_time: bool, rows: Vec<UsageRow>) -> Report {
        let (from, until) = (from.parse().unwrap(), until.parse().unwrap());
        let span = Span { from, until, by, group: UsageGroup::Keyspace, is_by_time };
        Report { answer: QueryUsageResponse { rows, next_page_token: String::new() }, span, is_one_page: false }
    }

    fn hours(is_by_time: bool) -> Report {
        let rows = vec![
            row("prod", "2026-11-22T00:00:00Z", &[(Verdict::Valid, 8_000), (Verdict::RateLimited, 5)], 1, "0.0805"),
            row("prod", "2026-11-22T02:00:00Z", &[(Verdict::Valid, 1)], 0, "0.00001"),
            row("prod", "2026-11-22T03:00:00Z", &[(Verdict::Valid, 4_000)], 0, "0.04"),
            row("te\u{1b}st", "2026-11-22T03:00:00Z", &[(Verdict::Revoked, 9)], 0, "0"),
        ];
        report("2026-11-22T00:30:00Z", "2026-11-22T04:00:00Z", UsageGranularity::Hour, is_by_time, rows)
    }

    #[test]
    fn a_group_has_a_row_and_its_course() {
        assert_eq!(
            hours(false).table(),
            "KEYSPACE    EACH HOUR   TOTAL   VALID  DENIED  CREATED     COST\n\
             prod        █·▁▄       12,006  12,001       5        1  0.12051\n\
             te\\u{1b}st  ···█            9       0       9        0  0.00000\n\
             (all)       █·▁▅       12,015  12,001      14        1  0.12051\n"
        );
    }

    #[test]
    fn time_has_rows_and_bars() {
        let table = hours(true).table();
        let (_, by_time) = table.split_once("\n\n").unwrap();
        assert_eq!(
            by_time,
            "HOUR (UTC)                                        TOTAL  VALID  REVOKED  RATE_LIMITED     COST\n\
             2026-11-22 00:00  ██████████████████████████████  8,005  8,000        0             5  0.08050\n\
             2026-11-22 01:00                                      0      0        0             0  0.00000\n\
             2026-11-22 02:00  ▏                                   1      1        0             0  0.00001\n\
             2026-11-22 03:00  ███████████████▏                4,009  4,000        9             0  0.04000\n"
        );
    }

    #[test]
    fn one_group_has_both_tables() {
        let mut one = hours(false);
        one.answer.rows.pop();
        assert!(one.table().contains("HOUR (UTC)") && !one.table().contains("(all)"));
        let mut total = one;
        total.span.by = UsageGranularity::Total;
        assert_eq!(total.table().lines().next().unwrap(), "KEYSPACE   TOTAL   VALID  DENIED  CREATED     COST");
        assert_eq!(total.table().lines().count(), 2);
    }

    #[test]
    fn long_times_share_characters_and_have_no_empty_rows() {
        let rows = vec![row("prod", "2026-06-30T00:00:00Z", &[(Verdict::Valid, 1)], 0, "0")];
        let table = report("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", UsageGranularity::Day, true, rows).table();
        let lines: Vec<_> = table.lines().collect();
        assert!(lines[0].starts_with("KEYSPACE  EACH 7 DAYS "), "{table}");
        assert_eq!(lines[1].split_whitespace().nth(1).unwrap().chars().count(), 53);
        assert_eq!(lines.len(), 2 + 1 + 2, "{table}");
        assert!(lines[4].starts_with("2026-06-30  █"), "{table}");
    }

    #[test]
    fn whatever_is_answered_can_be_shown() {
        let times = |from: &str, until: &str| {
            let rows = vec![
                row("a", "1970-01-01T00:00:00Z", &[(Verdict::Valid, i64::MAX), (Verdict::Expired, i64::MAX)], -1, "x"),
                row("a", "9999-12-31T23:59:59Z", &[(Verdict::Valid, -5)], i64::MAX, ""),
                UsageRow { counts: vec![VerdictCount { verdict: 99, count: 3 }], ..UsageRow::default() },
            ];
            report(from, until, UsageGranularity::Hour, true, rows).table()
        };
        assert!(times("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z").contains('?'));
        assert!(times("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z").contains("99"));
        assert!(times("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z").contains("(all)"));
    }

    #[test]
    fn sums_are_exact() {
        let shown = |rows: &[UsageRow]| {
            let sum = Sum::of(rows);
            sum.cost(digits([&sum]))
        };
        let rows = ["0.1", "0.2", "0.000000000000000000001", "1000000"]
            .map(|cost| row("", "2026-01-01T00:00:00Z", &[], 0, cost));
        assert_eq!(shown(&rows), "1000000.300000000000000000001");
        let lost = ["79228162514264337593543950335", "0.1"].map(|cost| row("", "2026-01-01T00:00:00Z", &[], 0, cost));
        assert_eq!(shown(&lost), "?");
        assert_eq!(shown(&[]), "0");
    }

    #[test]
    fn scripts_get_totals_and_people_the_next_page() {
        let mut report = hours(false);
        assert_eq!(report.quiet(), "prod\t12006\nte\\u{1b}st\t9\n");
        assert_eq!(report.note(), None);
        report.answer.next_page_token = "t".into();
        assert_eq!(report.note(), None);
        report.is_one_page = true;
        let note = report.note().unwrap();
        assert!(note.contains("--page-token t") && note.ends_with("--until 2026-11-22T04:00:00Z"), "{note}");
        report.answer.rows.clear();
        assert_eq!((report.table(), report.quiet()), ("no usage\n".into(), String::new()));
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
