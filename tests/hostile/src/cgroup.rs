//! Limits on the memory and the processor time of the server, by control groups of version 1 or 2.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where control groups are mounted.
const MOUNT: &str = "/sys/fs/cgroup";
/// Over which time a share of a core is given, in microseconds.
const PERIOD_US: u64 = 100_000;

/// What a server may have.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    pub memory_bytes: Option<u64>,
    /// Of one core.
    pub cpu_percent: Option<u64>,
}

/// Groups that are removed when they are no longer needed.
#[derive(Debug, Default)]
pub struct Cgroup {
    dirs: Vec<PathBuf>,
    /// Whether the kernel enforces the limit of memory. Without it the harness watches the resident memory itself.
    pub limits_memory: bool,
    pub limits_cpu: bool,
}

impl Cgroup {
    /// Makes groups with these limits, as far as this machine lets us.
    pub fn create(limits: Limits) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("portcullis-hostile-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut cgroup = Self::default();
        // Version 2 has one tree for all; its controllers must be enabled in the parent.
        let unified = Path::new(MOUNT).join("cgroup.controllers").exists();
        let dir = |controller: &str| {
            if unified { Path::new(MOUNT).join(&name) } else { Path::new(MOUNT).join(controller).join(&name) }
        };
        if unified {
            let _ = fs::write(Path::new(MOUNT).join("cgroup.subtree_control"), "+memory +cpu");
        }
        if let Some(bytes) = limits.memory_bytes {
            let file = if unified { "memory.max" } else { "memory.limit_in_bytes" };
            cgroup.limits_memory = cgroup.limit(&dir("memory"), &[(file, bytes.to_string())]);
        }
        if let Some(percent) = limits.cpu_percent {
            let quota = PERIOD_US * percent / 100;
            let files = if unified {
                vec![("cpu.max", format!("{quota} {PERIOD_US}"))]
            } else {
                vec![("cpu.cfs_period_us", PERIOD_US.to_string()), ("cpu.cfs_quota_us", quota.to_string())]
            };
            cgroup.limits_cpu = cgroup.limit(&dir("cpu"), &files);
        }
        cgroup
    }

    /// The files to which a process writes its id to be in all groups.
    pub fn procs(&self) -> impl Iterator<Item = PathBuf> {
        self.dirs.iter().map(|dir| dir.join("cgroup.procs"))
    }

    fn limit(&mut self, dir: &Path, files: &[(&str, String)]) -> bool {
        if !self.dirs.iter().any(|known| known == dir) {
            if fs::create_dir(dir).is_err() {
                return false;
            }
            self.dirs.push(dir.to_owned());
        }
        files.iter().all(|(file, value)| fs::write(dir.join(file), value).is_ok())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for dir in &self.dirs {
            // A group whose last process has just ended may need a moment.
            for _ in 0..50 {
                if fs::remove_dir(dir).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
    }
}
