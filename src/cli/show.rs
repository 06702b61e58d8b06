//! How each answer looks to people, and what scripts get of it.

mod audit;
mod keys;
mod keyspaces;
mod replicas;
pub mod usage;
mod verdicts;

use std::collections::BTreeMap;

/// `key=value` pairs, one after the other.
fn pairs(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

/// One a line.
fn lines(items: impl Iterator<Item = String>) -> String {
    items.map(|item| item + "\n").collect()
}

/// The name of an enum's value without the name of the enum; the number if this program is older than the value.
fn value_name(name: Option<&'static str>, prefix: &str, number: i32) -> String {
    name.map_or_else(|| number.to_string(), |name| name.trim_start_matches(prefix).to_owned())
}
