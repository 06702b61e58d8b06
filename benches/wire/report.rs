//! The table for people, and the JSON for whoever draws it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::Error;
use crate::load::{Load, Sample};
use crate::options::Mode;

const MIB: f64 = 1_048_576.0;

/// What is measured of each run: how the table calls it, how the JSON does, and how many digits of it mean something.
/// Processor time is the target's, for each key.
const COLUMNS: [(&str, &str, usize); 11] = [
    ("keys/s", "keys_per_second", 0),
    ("p50 µs", "p50_us", 0),
    ("p99 µs", "p99_us", 0),
    ("p99.9 µs", "p999_us", 0),
    ("CPU µs", "cpu_us_per_key", 2),
    ("user µs", "user_us_per_key", 2),
    ("system µs", "system_us_per_key", 2),
    ("busy %", "busy_percent", 0),
    ("client %", "client_percent", 0),
    ("MiB", "rss_mib_before", 1),
    ("after", "rss_mib_after", 1),
];
/// Of the first so many columns the ratio is worth a look.
const RATIOS: usize = 7;
/// The column of the processor time.
const CPU: usize = 4;

/// What a run came to, by column.
type Figures = [f64; COLUMNS.len()];

#[expect(clippy::cast_precision_loss, reason = "a rounded figure is what is wanted")]
fn figures(sample: &Sample) -> Figures {
    let keys = sample.keys as f64;
    let elapsed = sample.elapsed.as_secs_f64();
    let quantile_us = |quantile| sample.latencies.value_at_quantile(quantile) as f64 / 1e3;
    let us_per_key = |time: Duration| time.as_secs_f64() * 1e6 / keys;
    let percent = |time: Duration| time.as_secs_f64() * 100.0 / elapsed;
    [
        keys / elapsed,
        quantile_us(0.5),
        quantile_us(0.99),
        quantile_us(0.999),
        us_per_key(sample.usage.cpu),
        us_per_key(sample.usage.user),
        us_per_key(sample.usage.system),
        percent(sample.usage.cpu),
        percent(sample.client.cpu),
        mib(sample.rss_bytes_before),
        mib(sample.usage.rss_bytes),
    ]
}

/// A single figure of something that is not compared run by run.
pub struct Figure {
    name: String,
    value: f64,
    /// How many digits after the point mean something.
    digits: usize,
}

impl Figure {
    pub fn new(name: impl Into<String>, value: f64, digits: usize) -> Self {
        Self { name: name.into(), value, digits }
    }
}

/// In MiB.
#[expect(clippy::cast_precision_loss, reason = "a rounded figure is what is wanted")]
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB
}

/// What is compared.
pub struct Title {
    pub mode: Mode,
    pub load: Load,
    pub first: &'static str,
    pub second: &'static str,
}

/// Where the results go.
pub struct Report {
    json: File,
    /// What every line of the present comparison says.
    common: Map<String, Value>,
    names: [&'static str; 2],
    pairs: Vec<[Figures; 2]>,
}

impl Report {
    /// Begins, with what machine it is.
    pub fn create(json: &Path) -> Result<Self, Error> {
        if let Some(dir) = json.parent() {
            fs::create_dir_all(dir)?;
        }
        let json = File::create(json).map_err(|error| format!("cannot write {}: {error}", json.display()))?;
        let mut report = Self { json, common: Map::new(), names: [""; 2], pairs: Vec::new() };
        let machine = machine();
        println!("{}, {} processors, Linux {}", machine.model, machine.processors, machine.kernel);
        let line = json!({
            "kind": "machine", "model": machine.model, "processors": machine.processors, "kernel": machine.kernel,
        });
        report.line(line)?;
        Ok(report)
    }

    /// Begins a comparison.
    pub fn begin(&mut self, title: &Title) {
        let Title { mode, load, first, second } = title;
        let (in_flight, connections, threads) = (load.in_flight, load.connections, load.threads);
        let seconds = load.duration.as_secs_f64();
        println!(
            "\n{}: {first} and {second} in turn, {in_flight} in flight on {connections} connections, {seconds} s a run",
            mode.name()
        );
        print!("{:4} {:16}", "pair", "");
        for (heading, ..) in COLUMNS {
            print!(" {heading:>9}");
        }
        println!();
        let common = json!({
            "mode": mode.name(), "in_flight": in_flight, "connections": connections, "client_threads": threads,
            "seconds": seconds,
        });
        let Value::Object(common) = common else { unreachable!("it was just written as one") };
        self.common = common;
        self.names = [first, second];
        self.pairs.clear();
    }

    /// A pair of runs.
    pub fn pair(&mut self, number: usize, first: &Sample, second: &Sample) -> Result<(), Error> {
        let pair = [figures(first), figures(second)];
        for (name, figures) in self.names.into_iter().zip(&pair) {
            print_row(&number.to_string(), name, figures);
            let mut line = json!({ "kind": "run", "pair": number, "target": name });
            fill(&mut line, figures);
            self.line(line)?;
        }
        print_ratios("ratio", &ratios(&pair));
        self.pairs.push(pair);
        Ok(())
    }

    /// Another run of the first program; its processor time to that of the first.
    pub fn control(&mut self, number: usize, first: &Sample, control: &Sample) -> Result<f64, Error> {
        let pair = [figures(first), figures(control)];
        print_row(&number.to_string(), "control", &pair[1]);
        let mut line = json!({ "kind": "control", "pair": number });
        fill(&mut line, &pair[1]);
        self.line(line)?;
        print_ratios("control ratio", &ratios(&pair));
        Ok(pair[1][CPU] / pair[0][CPU])
    }

    /// Says what the median ratio of processor time is worth beside the ratios of the control, and fails if it is
    /// larger than `at_most` and the control's spread together.
    pub fn judge(&mut self, mut controls: Vec<f64>, at_most: Option<f64>) -> Result<(), Error> {
        controls.sort_by(f64::total_cmp);
        let spread = spread(&controls);
        let ratio = median(self.pairs.iter().map(|pair| pair[1][CPU] / pair[0][CPU]));
        let control = median(controls.into_iter());
        println!("CPU: {ratio:.3} x; control {control:.3} x, spread {spread:.3}");
        self.line(json!({
            "kind": "cpu_ratio", "median": ratio, "control_median": control, "control_spread": spread,
            "at_most": at_most,
        }))?;
        match at_most {
            Some(at_most) if ratio > at_most + spread => Err(format!(
                "a call costs {ratio:.3} times the processor time of the build beside it; at most {at_most:.3} and \
                 {spread:.3}, the spread of the control, are allowed"
            )
            .into()),
            _ => Ok(()),
        }
    }

    /// Ends the comparison with the medians.
    pub fn end(&mut self) -> Result<(), Error> {
        println!("medians");
        for (side, name) in self.names.into_iter().enumerate() {
            let medians = std::array::from_fn(|column| median(self.pairs.iter().map(|pair| pair[side][column])));
            print_row("", name, &medians);
            let mut line = json!({ "kind": "median", "target": name });
            fill(&mut line, &medians);
            self.line(line)?;
        }
        let all: Vec<_> = self.pairs.iter().map(ratios).collect();
        let medians: [f64; RATIOS] = std::array::from_fn(|column| median(all.iter().map(|ratios| ratios[column])));
        print_ratios("median ratio", &medians);
        let mut line = json!({ "kind": "median_ratio", "of": self.names[1], "to": self.names[0] });
        fill(&mut line, &medians);
        self.line(line)
    }

    /// Reports single figures.
    pub fn figures(&mut self, mode: Mode, title: &str, figures: &[Figure]) -> Result<(), Error> {
        println!("\n{}: {title}", mode.name());
        self.common.clear();
        for Figure { name, value, digits } in figures {
            println!("{name:54} {value:>12.digits$}");
            self.line(json!({
                "kind": "figure", "mode": mode.name(), "title": title, "figure": name, "value": value,
            }))?;
        }
        Ok(())
    }

    /// A line of JSON about what a table of its own shows.
    pub fn record(&mut self, line: Value) -> Result<(), Error> {
        self.common.clear();
        self.line(line)
    }

    /// Says in the table why something is not measured.
    pub fn skip(&mut self, mode: Mode, why: &str) -> Result<(), Error> {
        println!("\n{}: skipped: {why}", mode.name());
        self.common.clear();
        self.line(json!({ "kind": "skipped", "mode": mode.name(), "why": why }))
    }

    fn line(&mut self, line: Value) -> Result<(), Error> {
        let Value::Object(mut line) = line else { unreachable!("every line is an object") };
        line.extend(self.common.clone());
        writeln!(self.json, "{}", Value::Object(line))?;
        Ok(())
    }
}

/// The second's figures to the first's. Time too short to be counted has no ratio.
fn ratios([first, second]: &[Figures; 2]) -> [f64; RATIOS] {
    std::array::from_fn(|column| second[column] / first[column])
}

/// How far the median of so many ratios may be from the true one by chance: half the distance between the second
/// smallest and the second largest. Of nine, those enclose the median in 96 of 100 cases.
fn spread(sorted: &[f64]) -> f64 {
    let dropped = usize::from(sorted.len() > 4);
    match &sorted[dropped..sorted.len() - dropped] {
        [smallest, .., largest] => (largest - smallest) / 2.0,
        _ => 0.0,
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

fn print_row(pair: &str, name: &str, figures: &Figures) {
    print!("{pair:4} {name:16}");
    for ((_, _, digits), figure) in COLUMNS.iter().zip(figures) {
        print!(" {figure:>9.digits$}");
    }
    println!();
}

fn print_ratios(name: &str, ratios: &[f64; RATIOS]) {
    print!("{:4} {name:16}", "");
    for ratio in ratios {
        print!(" {ratio:>9.3}");
    }
    println!();
}

fn fill(line: &mut Value, figures: &[f64]) {
    for ((_, name, _), figure) in COLUMNS.iter().zip(figures) {
        line[name] = json!(figure);
    }
}

/// What everything ran on.
struct Machine {
    model: String,
    processors: usize,
    kernel: String,
}

fn machine() -> Machine {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": ")).map_or("unknown processor", |(_, model)| model);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Machine {
        model: model.to_owned(),
        processors: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        kernel: kernel.trim().to_owned(),
    }
}
