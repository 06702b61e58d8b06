//! What never happens in `src`, as far as a search can see it. The reasons are in `src/lib.rs` and CONTRIBUTING.md.
//!
//! Comments may name anything; only code counts.

use std::fs;
use std::path::Path;

use portcullis::grpc::pb;
use prost_reflect::{DescriptorPool, Kind};

/// Who may import whom: each module, and what it may name with `crate::`. Nothing imports from its right.
const MAY_IMPORT: [(&str, &[&str]); 27] = [
    ("clock", &[]),
    ("text_file", &[]),
    ("key", &["clock"]),
    ("client_network", &[]),
    ("log_sampler", &[]),
    ("low_priority", &[]),
    ("security_events", &["clock", "key", "log_sampler"]),
    ("seeded", &[]),
    ("fair_queue", &["clock"]),
    ("admission", &["clock", "fair_queue", "key"]),
    ("store", &["clock", "fair_queue", "key", "low_priority"]),
    ("fleet", &["clock", "seeded", "store"]),
    ("hashing", &["clock", "fair_queue", "key", "low_priority"]),
    ("usage", &["clock", "key", "store"]),
    ("verify", &["client_network", "clock", "fair_queue", "fleet", "hashing", "key", "seeded", "store", "usage"]),
    ("manage", &["admission", "clock", "fleet", "hashing", "key", "security_events", "seeded", "store", "usage"]),
    ("transport", &["client_network", "clock", "log_sampler", "low_priority"]),
    (
        "grpc",
        &[
            "admission",
            "client_network",
            "clock",
            "fleet",
            "hashing",
            "key",
            "log_sampler",
            "manage",
            "security_events",
            "store",
            "transport",
            "verify",
        ],
    ),
    ("metrics", &["admission", "fleet", "grpc", "hashing", "security_events", "store", "transport", "verify"]),
    ("upkeep", &["clock", "fleet", "key", "store", "usage", "verify"]),
    ("telemetry", &[]),
    ("lifecycle", &[]),
    ("memory_limit", &[]),
    ("memory_budget", &[]),
    ("config", &["admission", "key", "memory_budget", "memory_limit", "store", "telemetry", "text_file", "transport"]),
    (
        "server",
        &[
            "admission",
            "clock",
            "config",
            "fleet",
            "grpc",
            "hashing",
            "key",
            "low_priority",
            "manage",
            "metrics",
            "security_events",
            "store",
            "transport",
            "upkeep",
            "usage",
            "verify",
        ],
    ),
    (
        "cli",
        &[
            "admission",
            "clock",
            "config",
            "fleet",
            "grpc",
            "hashing",
            "key",
            "lifecycle",
            "manage",
            "server",
            "store",
            "telemetry",
            "text_file",
            "verify",
        ],
    ),
];

/// What may be named only in some places, and where.
const ONLY_IN: [(&[&str], &[&str]); 8] = [
    (&["sqlx"], &["store/"]),
    (
        &["tonic", "tonic_health", "tonic_reflection", "tonic_types", "prost", "prost_types", "prost_reflect", "pb"],
        &["grpc/", "server.rs", "cli/"],
    ),
    (&["SystemTime::now", "Instant::now"], &["clock.rs"]),
    (
        &["hyper", "hyper_util", "tokio_rustls"],
        &[
            "transport/",
            "grpc/door.rs",
            "grpc/verification/known.rs",
            "grpc/web/",
            "server.rs",
            "telemetry.rs",
            "cli/client.rs",
            "cli/first_bytes.rs",
        ],
    ),
    (
        &["tokio"],
        &[
            "admission/mod.rs",
            "cli/",
            "fair_queue/",
            "fleet/",
            "grpc/deadline.rs",
            "grpc/door.rs",
            "grpc/health.rs",
            "grpc/reflection/",
            "grpc/small_messages.rs",
            "grpc/status.rs",
            "grpc/verification/batch.rs",
            "grpc/web/",
            "hashing/mod.rs",
            "lifecycle.rs",
            "low_priority.rs",
            "main.rs",
            "security_events.rs",
            "server.rs",
            "store/",
            "transport/",
            "upkeep.rs",
            "usage/mod.rs",
            "verify/allowance/book.rs",
            "verify/lookup_queue.rs",
            "verify/memory.rs",
            "verify/secrets.rs",
            "verify/slow.rs",
        ],
    ),
    // Logs are for the rest.
    (&["print!", "println!", "eprint!", "eprintln!"], &["cli/", "main.rs"]),
    // Whoever reads a secret must be seen here first.
    (
        &["expose"],
        &[
            "cli/client.rs",
            "cli/keys/import/hashed.rs",
            "cli/parse.rs",
            "cli/offline.rs",
            "cli/serve.rs",
            "config",
            "grpc/api_keys.rs",
            "hashing/mod.rs",
            "key/pasted.rs",
            "key/root_token.rs",
            "key/secret.rs",
            "key/token.rs",
            "manage/bootstrap.rs",
            "manage/import/material.rs",
            "manage/mod.rs",
            "server.rs",
            "verify/root_tokens.rs",
        ],
    ),
    (&["dbg!", "todo!", "unimplemented!", "unbounded_channel", "super::super", "crate::{"], &[]),
];

/// What the hot path may ask of the store. It writes nothing but what limited keys have left: behind the answer but for
/// credits, which are taken out before they are spent.
const VERIFY_MAY_CALL: [&str; 6] =
    ["find_secret", "installation", "return_credits", "root_keys_without_mac", "settle_rates", "take_credits"];

const FILE_LINES_MAX: usize = 600;
const MAIN_LINES_MAX: usize = 60;

/// Fields of these names hold a secret if they are text.
const SECRET_FIELDS: [&str; 8] = ["secret", "key", "root_key", "credential", "bearer", "proof", "plaintext", "phc"];

/// A file of `src`, by its path in there.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The lines of code, numbered.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(at, line)| (at + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The module that the file belongs to; `None` for the two roots.
    fn module(&self) -> Option<&str> {
        let first = self.path.split('/').next().unwrap_or_default();
        let module = first.strip_suffix(".rs").unwrap_or(first);
        (!matches!(module, "lib" | "main")).then_some(module)
    }
}

fn sources() -> Vec<Source> {
    fn read(dir: &Path, root: &Path, found: &mut Vec<Source>) {
        for entry in fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                read(&path, root, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).expect("text");
                let path = path.strip_prefix(root).expect("below").to_string_lossy().replace('\\', "/");
                found.push(Source { path, text });
            }
        }
    }
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    let mut found = Vec::new();
    read(root, root, &mut found);
    assert!(found.len() > 20, "the source is there");
    found
}

type Rule = fn(&Source) -> Vec<String>;

#[track_caller]
fn holds(rule: Rule) {
    let found: Vec<_> = sources().iter().flat_map(rule).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// Checks that a rule finds fault with `text`, and with nothing once it stands in `elsewhere`.
#[track_caller]
fn catches(rule: Rule, path: &str, text: &str, elsewhere: &str) {
    let at = |path: &str| rule(&Source { path: path.into(), text: text.into() });
    assert!(!at(path).is_empty(), "{path} may not have: {text}");
    let found = at(elsewhere);
    assert!(found.is_empty(), "{elsewhere} may: {}", found.join("\n"));
}

/// Where `text` names `what`, standing alone: what follows each.
fn mentions<'a>(text: &'a str, what: &'a str) -> impl Iterator<Item = &'a str> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(what).filter_map(move |(at, _)| {
        let (before, after) = (&text[..at], &text[at + what.len()..]);
        let goes_on = before.ends_with(is_part) || (what.ends_with(is_part) && after.starts_with(is_part));
        (!goes_on).then_some(after)
    })
}

fn first_word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

fn names_in_their_places(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (names, places) in ONLY_IN {
        if places.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        for (number, line) in source.code() {
            for name in names.iter().filter(|name| mentions(line, name).next().is_some()) {
                found.push(format!("src/{}:{number}: {name} belongs in {places:?}", source.path));
            }
        }
    }
    found
}

#[test]
fn everything_is_named_in_its_place() {
    holds(names_in_their_places);
    catches(names_in_their_places, "manage/list.rs", "use sqlx::Row;", "store/sqlite/keys.rs");
    catches(names_in_their_places, "verify/mod.rs", "let x: tonic::Status;", "grpc/status.rs");
    catches(names_in_their_places, "manage/page.rs", "use crate::grpc::pb;", "cli/json.rs");
    catches(names_in_their_places, "manage/mod.rs", "let t = std::time::Instant::now();", "clock.rs");
    catches(names_in_their_places, "key/id.rs", "use tokio::sync::Mutex;", "store/sqlite/writer.rs");
    catches(names_in_their_places, "store/row.rs", "println!(\"{row:?}\");", "cli/serve.rs");
    catches(names_in_their_places, "grpc/status.rs", "secret.expose()", "grpc/api_keys.rs");
}

fn imports_go_one_way(source: &Source) -> Vec<String> {
    let Some(module) = source.module() else { return Vec::new() };
    let Some((_, may)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
        return vec![format!("src/{}: say in MAY_IMPORT what {module} may import", source.path)];
    };
    let mut found = Vec::new();
    for (number, line) in source.code() {
        let named = mentions(line, "crate::").map(first_word);
        for other in named.filter(|other| *other != module && !may.contains(other)) {
            found.push(format!("src/{}:{number}: {module} must not import {other}", source.path));
        }
        // From a file at the top that is a way to everything.
        if !source.path.contains('/') && mentions(line, "super::").any(|after| !after.starts_with('*')) {
            found.push(format!("src/{}:{number}: say crate::, not super::", source.path));
        }
    }
    found
}

#[test]
fn nothing_imports_from_the_right() {
    holds(imports_go_one_way);
    catches(imports_go_one_way, "key/record.rs", "use crate::store::Store;", "verify/mod.rs");
    catches(imports_go_one_way, "store/row.rs", "use crate::manage::Error;", "grpc/status.rs");
    catches(imports_go_one_way, "verify/mod.rs", "    let e = crate::manage::etag(1);", "server.rs");
    catches(imports_go_one_way, "manage/mod.rs", "use crate::grpc::pb;", "cli/mod.rs");
    catches(imports_go_one_way, "telemetry.rs", "use crate::config::Config;", "cli/serve.rs");
    catches(imports_go_one_way, "metrics.rs", "use super::store;", "store/mod.rs");
    catches(imports_go_one_way, "brand_new.rs", "", "lib.rs");
}

fn verify_writes_nothing(source: &Source) -> Vec<String> {
    if source.module() != Some("verify") {
        return Vec::new();
    }
    let called = source.code().flat_map(|(number, line)| mentions(line, "store.").map(move |after| (number, after)));
    let bad = called.filter(|(_, after)| !VERIFY_MAY_CALL.contains(&first_word(after)) && after.contains('('));
    bad.map(|(number, after)| format!("src/{}:{number}: store.{after}", source.path)).collect()
}

#[test]
fn a_verification_writes_nothing_but_uses() {
    holds(verify_writes_nothing);
    catches(verify_writes_nothing, "verify/mod.rs", "self.store.update_key(id, patch).await?;", "manage/update.rs");
}

fn files_are_small(source: &Source) -> Vec<String> {
    let max = if source.path == "main.rs" { MAIN_LINES_MAX } else { FILE_LINES_MAX };
    let lines = source.text.lines().count();
    if lines <= max { Vec::new() } else { vec![format!("src/{}: {lines} lines, at most {max}", source.path)] }
}

#[test]
fn files_stay_small() {
    holds(files_are_small);
    catches(files_are_small, "main.rs", &"\n".repeat(MAIN_LINES_MAX + 1), "lib.rs");
    let long = Source { path: "cli/mod.rs".into(), text: "\n".repeat(FILE_LINES_MAX + 1) };
    assert_eq!(files_are_small(&long).len(), 1);
}

/// Types that hold a secret as text, or wipe one, and can be printed or copied by a derive.
fn secrets_that_print_or_copy(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let code: Vec<_> = source.code().collect();
    for (at, (number, line)) in code.iter().enumerate() {
        let Some(derived) = line.trim_start().strip_prefix("#[derive(").and_then(|rest| rest.split(')').next()) else {
            continue;
        };
        let prints = mentions(derived, "Debug").next().is_some() || mentions(derived, "Serialize").next().is_some();
        let copies = mentions(derived, "Clone").next().is_some();
        let indent = &line[..line.len() - line.trim_start().len()];
        for (_, field) in code[at + 1..].iter().take_while(|(_, line)| *line != format!("{indent}}}")) {
            let (owned, borrowed) = holds_secret(field);
            if (owned && (prints || copies)) || (borrowed && prints) {
                found.push(format!("src/{}:{number}: derives {derived} over {}", source.path, field.trim()));
            }
            if field.ends_with(';') {
                break;
            }
        }
    }
    found
}

/// Whether a line of a type says that it holds a secret of its own, or one of somebody else's.
fn holds_secret(field: &str) -> (bool, bool) {
    if field.contains("Zeroizing<") {
        return (true, false);
    }
    let Some((name, kind)) = field.trim().trim_end_matches(',').split_once(": ") else { return (false, false) };
    let name = name.rsplit(' ').next().unwrap_or_default();
    if !SECRET_FIELDS.contains(&name) {
        return (false, false);
    }
    (
        matches!(kind, "String" | "Option<String>" | "Vec<u8>" | "Box<str>" | "Arc<str>"),
        kind.ends_with("str") && kind.starts_with('&'),
    )
}

#[test]
fn what_holds_a_secret_neither_prints_nor_copies_itself() {
    holds(secrets_that_print_or_copy);
    for (derived, item) in [
        ("Debug", "pub struct Secret(Zeroizing<String>);"),
        ("Clone, PartialEq", "struct S {\n    pub secret: String,\n}"),
        ("Args, Debug", "struct S {\n    other: u8,\n    root_key: Option<String>,\n}"),
        ("Clone, Debug", "struct S<'a> {\n    proof: &'a str,\n}"),
    ] {
        let text = format!("#[derive({derived})]\n{item}\n");
        assert_eq!(secrets_that_print_or_copy(&Source { path: "x.rs".into(), text }).len(), 1, "{item}");
    }
    let fine = "#[derive(Clone, Copy)]\nstruct S<'a> {\n    proof: &'a str,\n}\n#[derive(Debug)]\nstruct T(Secret);\n";
    let fine = Source { path: "x.rs".into(), text: fine.into() };
    assert_eq!(secrets_that_print_or_copy(&fine), [""; 0]);
}

#[test]
fn messages_with_a_secret_do_not_print_it() {
    let build = include_str!("../../build.rs");
    let pool = DescriptorPool::decode(pb::FILE_DESCRIPTOR_SET).expect("descriptors");
    let bears_secret = |message: &prost_reflect::MessageDescriptor| {
        let mut fields = message.fields().filter(|field| matches!(field.kind(), Kind::String | Kind::Bytes));
        message.package_name() == "portcullis.v1"
            && !message.is_map_entry()
            && fields.any(|field| matches!(field.name(), "secret" | "key" | "plaintext" | "phc" | "value"))
    };
    let bearing: Vec<_> = pool.all_messages().filter(bears_secret).collect();
    assert_eq!(bearing.len(), 7, "{bearing:?}");
    for message in bearing {
        let name = message.full_name();
        assert!(build.contains(&format!("\".{name}\"")), "{name} has a secret: add it to SECRET_BEARING in build.rs");
    }
}

#[test]
fn no_test_is_ignored() {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it"));
    let mut pending = vec![dir.to_path_buf()];
    let mark = ["#[", "ignore"].concat();
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                pending.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                assert!(!text.contains(&mark), "{}", path.display());
            }
        }
    }
}
