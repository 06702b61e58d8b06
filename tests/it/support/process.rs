//! The program under test, as a process of its own.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use rustix::process::{Pid, Signal, kill_process};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::service::{Caller, PATIENCE, eventually};

/// The program's file.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_portcullis");

/// A root key to start servers with, as an operator would choose one.
pub const ROOT_KEY: &str = "an-operator-chose-this-root-key-it-is-long-enough";

/// How many lines of a process a test that fails shows.
const LINES_SHOWN_MAX: usize = 50;

/// The program with these arguments and no settings from outside.
pub fn portcullis<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(args).env_clear();
    command
}

/// A server of the store at `url`, on a free port, with [`ROOT_KEY`].
pub fn serve(url: &str) -> Command {
    let mut command = serve_fresh(url);
    command.env("PORTCULLIS_BOOTSTRAP_ROOT_KEY", ROOT_KEY);
    command
}

/// A server of the store at `url`, on a free port, that makes a root key if there is none.
pub fn serve_fresh(url: &str) -> Command {
    let mut command = portcullis(["serve"]);
    command.env("PORTCULLIS_LISTEN", "127.0.0.1:0").env("PORTCULLIS_DATABASE_URL", url);
    command.env("PORTCULLIS_AUTO_MIGRATE", "true");
    command
}

/// A client command for the server at `server`.
pub fn client<'a>(server: &str, root_key: &str, args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = portcullis(args);
    command.env("PORTCULLIS_SERVER", server).env("PORTCULLIS_ROOT_KEY", root_key);
    command
}

/// A process that is killed when the test is done with it.
pub struct Process {
    child: Child,
    stdout: Heard,
    stderr: Heard,
}

/// How a process ended, and all it said.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Process {
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a process");
        let stdout = Heard::listen(child.stdout.take().expect("it is piped"));
        let stderr = Heard::listen(child.stderr.take().expect("it is piped"));
        Self { child, stdout, stderr }
    }

    /// Runs a command to its end.
    pub async fn run(command: Command) -> Ended {
        Self::start(command).ended().await
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is not waited for yet");
    }

    /// Ends it as a crash would.
    pub async fn kill(mut self) -> Ended {
        self.child.kill().expect("it can be killed");
        self.ended_in_place().await
    }

    /// Waits until it ends by itself.
    pub async fn ended(mut self) -> Ended {
        self.ended_in_place().await
    }

    async fn ended_in_place(&mut self) -> Ended {
        let status = eventually("the end of the process", async || self.child.try_wait().expect("our child")).await;
        Ended { status, stdout: self.stdout.whole(), stderr: self.stderr.whole() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let said = self.stderr.whole();
            let lines: Vec<_> = said.lines().collect();
            let last = &lines[lines.len().saturating_sub(LINES_SHOWN_MAX)..];
            eprintln!("the last lines of the process:\n{}", last.join("\n"));
        }
    }
}

impl Ended {
    /// Checks the exit code.
    #[track_caller]
    pub fn with_code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self:#?}");
        self
    }

    /// Checks that it was killed rather than had ended.
    #[track_caller]
    pub fn by_kill(self) -> Self {
        assert_eq!(self.status.signal(), Some(Signal::KILL.as_raw()), "{self:#?}");
        self
    }

    /// Checks that it said one line on stderr, which is about each of `parts`, and nothing on stdout.
    #[track_caller]
    pub fn with_one_line(self, parts: &[&str]) -> Self {
        let line = self.stderr.strip_suffix('\n').expect("a whole line");
        assert!(line.starts_with("error: ") && !line.contains('\n') && self.stdout.is_empty(), "{self:#?}");
        for part in parts {
            assert!(line.contains(part), "no {part:?} in {line:?}");
        }
        self
    }
}

/// What a process says, read on a thread so that it never waits for us.
struct Heard {
    text: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
}

impl Heard {
    fn listen(from: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let heard = text.clone();
        let reading = thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            while from.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
                heard.lock().expect("no panic").push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Self { text, reading: Some(reading) }
    }

    fn text(&self) -> String {
        self.text.lock().expect("no panic").clone()
    }

    /// All of it, once the process has ended.
    fn whole(&mut self) -> String {
        if let Some(reading) = self.reading.take() {
            reading.join().expect("no panic");
        }
        self.text()
    }
}

/// A server that listens.
pub struct Server {
    pub process: Process,
    /// Its address and port.
    pub address: String,
    /// A connection to it.
    pub channel: Channel,
}

impl Server {
    /// Starts the server that `command` is, and connects to it without TLS.
    pub async fn start(command: Command) -> Self {
        let (process, address) = Self::start_unconnected(command).await;
        let channel = connect(&address).await;
        Self { process, address, channel }
    }

    /// Starts a server; where it listens.
    pub async fn start_unconnected(command: Command) -> (Process, String) {
        let mut process = Process::start(command);
        let address = eventually("listening", async || {
            if let Some(status) = process.child.try_wait().expect("our child") {
                panic!("the server ended: {status}\n{}", process.stderr.whole());
            }
            after(&process.stderr(), "\nlistening on ").map(str::to_owned)
        })
        .await;
        (process, address)
    }

    /// A caller with [`ROOT_KEY`].
    pub fn admin(&self) -> Caller {
        self.caller(ROOT_KEY)
    }

    pub fn caller(&self, credential: &str) -> Caller {
        Caller::with(&self.channel, credential)
    }

    pub fn health(&self) -> HealthClient<Channel> {
        HealthClient::new(self.channel.clone())
    }

    /// Whether readiness is SERVING.
    pub async fn is_ready(&self) -> bool {
        let request = HealthCheckRequest { service: "readiness".into() };
        self.health().check(request).await.expect("an answer").into_inner().status() == ServingStatus::Serving
    }

    /// Ends the server in order, and checks that it says so.
    pub async fn stop(self) -> Ended {
        self.process.signal(Signal::INT);
        self.process.ended().await.with_code(0)
    }
}

/// A new connection to the server at `address`.
pub async fn connect(address: &str) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    // No call hangs, whatever the server does.
    endpoint.timeout(PATIENCE).connect().await.expect("it listens")
}

/// The root key that a first start printed.
pub fn printed_root_key(stderr: &str) -> Option<&str> {
    after(stderr, "\nexport PORTCULLIS_ROOT_KEY=")
}

/// The rest of the line that begins with `start`.
fn after<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.split_once(start)?.1.split_once('\n').map(|(rest, _)| rest)
}

/// The URL of a SQLite store in `dir`.
pub fn sqlite_in(dir: &Path) -> String {
    format!("sqlite://{}", dir.join("portcullis.db").display())
}
