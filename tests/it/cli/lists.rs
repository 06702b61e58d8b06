//! Lists longer than a page.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use super::program::{Ran, Serving, run};

/// A server with so many keys in keyspace `default`.
fn server_with_keys(count: usize) -> Serving {
    let server = Serving::start();
    let lines: Vec<String> = (0..count)
        .map(|n| {
            format!(
                "{{\"name\": \"key {n}\", \"subject\": \"user_1\", \"plaintext\": \"sk_{n:08}_a_secret_of_old\"}}\n"
            )
        })
        .collect();
    run(&mut server.client(&["keys", "import", "-", "--format", "jsonl"]), &lines.concat()).ok();
    server
}

#[test]
fn lists_show_all_and_say_what_they_leave_out() {
    const COUNT: usize = 120;
    let server = server_with_keys(COUNT);
    let keys = |args: &[&str]| server.run(&[&["keys", "list"], args].concat());
    assert_eq!(keys(&["-q"]).ok().lines().count(), COUNT);
    assert_eq!(keys(&[]).ok().lines().count(), COUNT + 1);
    assert_eq!(server.json(&["keys", "list"])["apiKeys"].as_array().unwrap().len(), COUNT);
    // Each import is an event; so is the first root key.
    assert_eq!(server.ok(&["audit", "-q"]).lines().count(), COUNT + 1);
    assert_eq!(server.ok(&["audit"]).lines().count(), COUNT + 2);

    for form in [&["-q"][..], &[], &["--output", "json"]] {
        for (part, shown) in [(&["--limit", "70"][..], 70), (&["--page-size", "7"], 7)] {
            let ran = keys(&[part, form].concat());
            assert!(ran.stderr.starts_with(&format!("{shown} of 120 keys; there are more: ")), "{form:?}: {ran}");
            let entries = ran.stdout.lines().filter(|line| line.contains("key_")).count();
            assert_eq!((ran.code, entries), (0, shown), "{form:?}");
        }
    }
    let limited = server.run(&["audit", "-q", "--limit", "101"]).part();
    assert_eq!(limited.lines().count(), 101);
    a_reader_that_has_read_enough_ends_the_list_quietly(&server);
}

fn a_reader_that_has_read_enough_ends_the_list_quietly(server: &Serving) {
    for form in [&["-q"][..], &[], &["--output", "json"]] {
        let mut list = server.client(&[&["keys", "list", "--all", "--page-size", "10"], form].concat());
        let mut child = list.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).expect("a line");
        assert!(!line.is_empty());
        let ran = Ran::from(child.wait_with_output().expect("it ends"));
        assert!(ran.code == 0 && ran.stderr.is_empty(), "{form:?}: {ran}");
    }
}
