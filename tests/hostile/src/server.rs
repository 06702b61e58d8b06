//! The server that is attacked, as a process with limits.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio_rustls::rustls::ClientConfig;

use crate::Error;
use crate::cgroup::{Cgroup, Limits};
use crate::cores::Cores;
use crate::tls::Certificate;

/// How long it may take to listen.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// How long it may take to end in order.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How often its memory is looked at.
const MEMORY_INTERVAL: Duration = Duration::from_millis(20);
/// What `/proc` calls kB.
const KIB: u64 = 1024;
/// The free-text root key, as an operator would choose one.
pub const BOOTSTRAP_ROOT_KEY: &str = "the-hostile-harness-chose-this-root-key-it-is-long-enough";

/// How to start servers.
#[derive(Clone, Debug)]
pub struct Program {
    pub path: PathBuf,
    pub cores: Cores,
    pub limits: Limits,
    /// Where the logs go.
    pub logs: PathBuf,
}

/// A server that is killed when it is no longer needed.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    pub metrics: SocketAddr,
    pub log: PathBuf,
    pub certificate: Option<Arc<Certificate>>,
    /// The memory limit, by the kernel or by the watch below.
    pub memory_limit: Option<u64>,
    rss_peak: Arc<AtomicU64>,
    watch_ended: Arc<AtomicBool>,
    _cgroup: Cgroup,
}

impl Server {
    /// Starts one over this store and waits until it listens.
    pub fn start(
        program: &Program,
        name: &str,
        database_url: &str,
        certificate: Option<Arc<Certificate>>,
    ) -> Result<Self, Error> {
        let cgroup = Cgroup::create(program.limits);
        if program.limits.cpu_percent.is_some() && !cgroup.limits_cpu {
            return Err("this machine has no control group that limits processor time".into());
        }
        fs::create_dir_all(&program.logs)?;
        let log = program.logs.join(format!("{name}.log"));
        let mut command = Command::new("sh");
        // The shell enters the groups, then becomes the server: nothing that it does is outside of them.
        command.arg("-c").arg(r#"for procs in $GROUPS_TO_ENTER; do echo $$ >"$procs" || exit 1; done; exec "$0" "$@""#);
        command.arg(&program.path).args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]);
        command.args(["--auto-migrate", "--shutdown-grace-ms", "0"]);
        let groups: Vec<_> = cgroup.procs().map(|path| path.display().to_string()).collect();
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("GROUPS_TO_ENTER", groups.join(" ")).env("PORTCULLIS_DATABASE_URL", database_url);
        command.env("PORTCULLIS_BOOTSTRAP_ROOT_KEY", BOOTSTRAP_ROOT_KEY);
        if let Some(certificate) = &certificate {
            command.arg("--tls-cert").arg(&certificate.chain).arg("--tls-key").arg(&certificate.key);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        let mut child = spawn_pinned(program.cores, command)?;
        let (address, metrics) = match wait_until_it_listens(&mut child, &log) {
            Ok(addresses) => addresses,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        let (rss_peak, watch_ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        watch(child.id(), rss_peak.clone(), watch_ended.clone());
        Ok(Self {
            child,
            address,
            metrics,
            log,
            certificate,
            memory_limit: program.limits.memory_bytes,
            rss_peak,
            watch_ended,
            _cgroup: cgroup,
        })
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Its resident memory now.
    pub fn rss_bytes(&self) -> u64 {
        rss_bytes(self.child.id()).unwrap_or(0)
    }

    /// The most resident memory since this was called last.
    pub fn take_rss_peak(&self) -> u64 {
        self.rss_peak.swap(self.rss_bytes(), Ordering::Relaxed).max(self.rss_bytes())
    }

    /// Lets it end in order: one that is killed still counts as a replica until its lease is over, and revocations wait for it.
    pub fn stop(&mut self) {
        // It fails if it has ended.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let began = Instant::now();
        while self.ended().is_none() && began.elapsed() < STOP_WITHIN {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill();
    }

    /// Ends it.
    pub fn kill(&mut self) {
        // Both fail if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What trusts its certificate; `None`: it speaks plaintext.
    pub fn tls(&self) -> Option<Arc<ClientConfig>> {
        self.certificate.as_ref().map(|certificate| certificate.client.clone())
    }

    /// Runs `portcullis healthcheck` against it, on the bystander's core; whether it says that the server is ready.
    pub fn healthcheck(program: &Program, url: &str, certificate: Option<&Certificate>) -> Result<bool, Error> {
        let mut command = Command::new(&program.path);
        command.args(["healthcheck", "--quiet", "--timeout", "5s", "--server", url]);
        if let Some(certificate) = certificate {
            command.arg("--tls-ca").arg(&certificate.chain);
        }
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(command.status()?.success())
    }

    /// Its address as the client commands take it.
    pub fn url(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.watch_ended.store(true, Ordering::Relaxed);
        self.kill();
    }
}

/// A process inherits the core of the thread that starts it.
fn spawn_pinned(cores: Cores, mut command: Command) -> Result<Child, Error> {
    let spawn = move || {
        cores.pin_to_server()?;
        command.spawn().map_err(|error| Error::from(format!("cannot run {command:?}: {error}")))
    };
    std::thread::spawn(spawn).join().map_err(|_| "the thread that starts the server panicked")?
}

fn wait_until_it_listens(child: &mut Child, log: &Path) -> Result<(SocketAddr, SocketAddr), Error> {
    let began = Instant::now();
    loop {
        let text = fs::read_to_string(log)?;
        let after = |prefix: &str| text.lines().find_map(|line| line.strip_prefix(prefix)).map(str::to_owned);
        let metrics = after("metrics on http://").and_then(|line| line.strip_suffix("/metrics")?.parse().ok());
        let address = after("listening on ").and_then(|line| line.parse().ok());
        if let (Some(address), Some(metrics)) = (address, metrics) {
            return Ok((address, metrics));
        }
        if let Some(status) = child.try_wait()? {
            return Err(format!("the server did not start ({status}):\n{text}").into());
        }
        if began.elapsed() > START_TIMEOUT {
            return Err(format!("the server does not listen after {START_TIMEOUT:?}:\n{text}").into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Notes the most memory until the server is no longer needed.
fn watch(pid: u32, peak: Arc<AtomicU64>, ended: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        while !ended.load(Ordering::Relaxed) {
            if let Some(bytes) = rss_bytes(pid) {
                peak.fetch_max(bytes, Ordering::Relaxed);
            }
            std::thread::sleep(MEMORY_INTERVAL);
        }
    });
}

fn rss_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * KIB)
}
