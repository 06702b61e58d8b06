//! The program as processes: one that serves, others that call it.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::service::PATIENCE;

/// The program, told nothing by the environment of the tests.
pub fn portcullis() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// How a process ended and what it printed.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let code = output.status.code().expect("it was not killed");
        Self { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}\nstdout:\n{}\nstderr:\n{}", self.code, self.stdout, self.stderr)
    }
}

impl Ran {
    /// What went to stdout, of a command that did what was asked and had nothing to say on stderr.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.code == 0 && self.stderr.is_empty(), "{self}");
        self.stdout
    }

    /// What went to stdout, of a list that ended early and says so on stderr.
    #[track_caller]
    pub fn part(self) -> String {
        assert!(self.code == 0 && self.stderr.contains("there are more: --all shows them, --page-token "), "{self}");
        self.stdout
    }

    /// What went to stderr, of a command that failed with this exit code and printed nothing.
    #[track_caller]
    pub fn failed(self, code: i32) -> String {
        assert!(self.code == code && self.stdout.is_empty(), "{self}");
        assert!(self.stderr.starts_with("error: ") && self.stderr.ends_with('\n'), "{self}");
        assert!(!self.stderr.contains("panicked"), "{self}");
        self.stderr
    }
}

/// Runs `command` with `input` on its stdin.
pub fn run(command: &mut Command, input: &str) -> Ran {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    // It need not read any of it.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("it ends").into()
}

/// A server of one's own, over SQLite.
pub struct Serving {
    process: Process,
    pub dir: TempDir,
    pub url: String,
    pub root_key: String,
}

impl Serving {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts it with more flags; waits until it listens.
    pub fn start_with(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (process, url, root_key) = listening(dir.path(), flags);
        Self { process, dir, url, root_key: root_key.expect("the store is new") }
    }

    /// Starts it once more over the same store.
    pub fn restart(&mut self) {
        self.kill();
        (self.process, self.url, _) = listening(self.dir.path(), &[]);
    }

    /// The program as a client of this server.
    pub fn client(&self, args: &[&str]) -> Command {
        let mut command = portcullis();
        command.args(args).env("PORTCULLIS_SERVER", &self.url).env("PORTCULLIS_ROOT_KEY", &self.root_key);
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        self.client(args).output().expect("it runs").into()
    }

    /// What it prints, of a command that does what is asked.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        self.run(args).ok()
    }

    /// The same as JSON: the whole of stdout is one document.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        let text = self.run(&[args, &["--output", "json"]].concat()).ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// One page of a list that has more.
    #[track_caller]
    pub fn json_page(&self, args: &[&str]) -> Value {
        let text = self.run(&[args, &["--output", "json"]].concat()).part();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Issues a key for `user_1`: its id and its secret.
    #[track_caller]
    pub fn key(&self, args: &[&str]) -> (String, String) {
        self.named_key("a key", "user_1", args)
    }

    #[track_caller]
    pub fn named_key(&self, name: &str, subject: &str, args: &[&str]) -> (String, String) {
        let create = ["keys", "create", "--name", name, "--subject", subject];
        let made = self.json(&[&create, args].concat());
        (text(&made["apiKey"]["id"]), text(&made["secret"]))
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

/// A process that ends with the test, however that ends.
struct Process(Child);

impl Process {
    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A server that listens, its URL and, if its store is new, its root key.
fn listening(dir: &Path, flags: &[&str]) -> (Process, String, Option<String>) {
    let child = portcullis()
        .args(["serve", "--listen", "127.0.0.1:0", "--database-url", &database_url(dir)])
        .args(flags)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut process = Process(child);
    let stderr = BufReader::new(process.0.stderr.take().expect("it is piped"));
    let (sender, lines) = mpsc::channel();
    // Goes on reading after the start, so that the server never waits for room in a pipe.
    thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let mut root_key = None;
    loop {
        let line = lines.recv_timeout(PATIENCE).expect("a server that listens");
        if let Some(key) = line.strip_prefix("export PORTCULLIS_ROOT_KEY=") {
            root_key = Some(key.to_owned());
        }
        if let Some(address) = line.strip_prefix("listening on ") {
            let scheme = if flags.contains(&"--tls-cert") { "https" } else { "http" };
            return (process, format!("{scheme}://{address}"), root_key);
        }
    }
}

/// Where the store of a server is whose directory is `dir`.
pub fn database_url(dir: &Path) -> String {
    format!("sqlite://{}", dir.join("portcullis.db").display())
}

/// A string in JSON.
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no string: {value}")).to_owned()
}

/// The value of a field in the layout of one object.
#[track_caller]
pub fn field<'a>(table: &'a str, name: &str) -> &'a str {
    table
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix("  ").map(str::trim_start))
        .unwrap_or_else(|| panic!("no {name} in:\n{table}"))
}
