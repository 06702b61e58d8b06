//! What the README and `docs/` say, held against the program.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::Path;

use clap::{CommandFactory as _, Parser as _};
use portcullis::cli::Cli;
use portcullis::config::BOOTSTRAP_ROOT_KEY_VARIABLE;
use portcullis::grpc::pb;
use portcullis::key::permission::Permission;
use prost_reflect::DescriptorPool;

const README: &str = include_str!("../../README.md");
const CONFIGURATION: &str = include_str!("../../docs/configuration.md");
const ERRORS: &str = include_str!("../../docs/errors.md");
const IMPORTS: &str = include_str!("../../docs/imports.md");

/// The address that the examples call.
pub const ADDR: &str = "127.0.0.1:50051";

/// The first block of this language in the README that has `text` in it.
pub fn block(language: &str, text: &str) -> String {
    let found = blocks(README, language).into_iter().find(|block| block.contains(text));
    found.unwrap_or_else(|| panic!("the README has no {language} block with {text}"))
}

/// The blocks of this language, without the indent that a list gives them.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if line.trim_start() != format!("```{language}") {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let block = lines.by_ref().take_while(|line| line.trim() != "```");
        let block: Vec<_> = block.map(|line| line.get(indent..).unwrap_or_default()).collect();
        found.push(block.join("\n") + "\n");
    }
    found
}

/// The rows of the table that stands under this heading, a cell's text without its quotes.
fn table(document: &str, first_column: &str) -> Vec<Vec<String>> {
    let mut lines = document.lines().skip_while(|line| !line.starts_with(&format!("| {first_column} |")));
    assert!(lines.next().is_some(), "no table of {first_column}");
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| row[1..row.len() - 1].split('|').map(|cell| cell.trim().replace('`', "")).collect()).collect()
}

/// The names in the first column.
fn names(document: &str, first_column: &str) -> BTreeSet<String> {
    table(document, first_column).into_iter().map(|row| row[0].clone()).collect()
}

/// The values of an enum of the contract but for the one that is never sent, without the prefix.
fn values(name: &str, prefix: &str) -> BTreeSet<String> {
    let pool = DescriptorPool::decode(pb::FILE_DESCRIPTOR_SET).expect("descriptors");
    let values = pool.get_enum_by_name(name).expect(name);
    let sent = values.values().filter(|value| value.number() != 0);
    sent.map(|value| value.name().strip_prefix(prefix).expect("the prefix").to_owned()).collect()
}

/// Checks that what is told is what there is, and that all of it is.
#[track_caller]
fn same<T: Debug + Ord>(told: &BTreeSet<T>, known: &BTreeSet<T>) {
    let only_in = |one: &BTreeSet<T>, other: &BTreeSet<T>| format!("{:?}", one.difference(other).collect::<Vec<_>>());
    assert!(
        told == known,
        "told and not there: {}; there and not told: {}",
        only_in(told, known),
        only_in(known, told)
    );
}

#[test]
fn every_verdict_is_told() {
    same(&names(README, "verdict"), &values("portcullis.v1.Verdict", "VERDICT_"));
}

#[test]
fn every_error_reason_is_told() {
    same(&names(ERRORS, "reason"), &values("portcullis.v1.ErrorReason", "ERROR_REASON_"));
}

#[test]
fn every_permission_is_told() {
    let told = names(README, "permission");
    let known: BTreeSet<_> = Permission::names().collect();
    same(&told.iter().map(String::as_str).collect(), &known);
}

/// Flag and variable of every setting of a command; empty if it has none.
fn settings(command: &[&str]) -> BTreeSet<(String, String)> {
    let mut found = Cli::command();
    for name in command {
        found = found.find_subcommand(name).expect(name).clone();
    }
    let known = found.get_arguments().filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"));
    let flag = |argument: &clap::Arg| argument.get_long().map(|long| format!("--{long}")).unwrap_or_default();
    let variable = |argument: &clap::Arg| argument.get_env().map(|name| name.to_string_lossy().into_owned());
    known.map(|argument| (flag(argument), variable(argument).unwrap_or_default())).collect()
}

/// Checks a table of settings; `without_flag` are the variables that no flag may say.
#[track_caller]
fn check_settings(section: &str, command: &[&str], without_flag: &str) {
    let (_, document) = CONFIGURATION.split_once(section).expect("the section");
    let told = table(document, "flag").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect::<BTreeSet<_>>();
    let mut known = settings(command);
    known.insert((String::new(), without_flag.to_owned()));
    same(&told, &known);
}

#[test]
fn every_setting_is_told() {
    check_settings("## The server", &["serve"], BOOTSTRAP_ROOT_KEY_VARIABLE);
    check_settings("## The client commands", &["keys"], "PORTCULLIS_ROOT_KEY");
}

#[test]
fn every_default_is_told() {
    let told = table(CONFIGURATION, "flag");
    let serve = Cli::command().find_subcommand("serve").expect("serve").clone();
    for argument in serve.get_arguments() {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let Some((_, default)) = help.split_once("[default: ") else { continue };
        let flag = format!("--{}", argument.get_long().expect("a flag"));
        let row = told.iter().find(|row| row[0] == flag).expect("every setting is told");
        assert_eq!(row[2], default.trim_end_matches(']'), "{flag}");
    }
}

#[test]
fn every_command_that_is_shown_is_one() {
    let mut seen = BTreeSet::new();
    for document in [README, CONFIGURATION, IMPORTS, include_str!("../../deploy/README.md")] {
        for line in blocks(document, "sh").concat().replace("\\\n", " ").lines() {
            let Some(line) = line.trim().strip_prefix("portcullis ") else { continue };
            let (line, _) = line.split_once(" < ").unwrap_or((line, ""));
            let parsed = Cli::try_parse_from(std::iter::once("portcullis".to_owned()).chain(words(line)));
            assert!(parsed.is_ok(), "portcullis {line}: {}", parsed.unwrap_err());
            seen.insert(line.split(' ').next().unwrap_or_default().to_owned());
        }
    }
    for command in ["audit", "healthcheck", "keys", "keyspaces", "migrate", "root-key", "serve"] {
        assert!(seen.contains(command), "the documents do not show {command}");
    }
}

/// A command line as a shell splits it: by spaces, but for what stands in quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.chars() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (' ', None) => words.push(String::new()),
            (c, _) => words.last_mut().expect("one at least").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for document in [
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "deploy/README.md",
        "docs/configuration.md",
        "docs/errors.md",
        "docs/imports.md",
        "docs/metrics.md",
        "docs/revocation.md",
        "docs/runbook.md",
    ] {
        let path = root.join(document);
        let text = fs::read_to_string(&path).expect(document);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !link.starts_with("http") {
                let (file, _) = link.split_once('#').unwrap_or((link, ""));
                assert!(path.with_file_name(file).exists(), "{document} links to {link}");
            }
        }
    }
}
