//! What a process uses, as Linux counts it.

use std::fs;
use std::ops::{Add, Sub};
use std::path::PathBuf;
use std::time::Duration;

use crate::Error;

/// `sysconf(_SC_CLK_TCK)` on every Linux there is: what `/proc` counts in.
const TICK: Duration = Duration::from_millis(10);
/// What it calls kB.
const KIB: u64 = 1024;

/// Processor time and memory of a process, or of several.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Time on a processor. To the nanosecond where the kernel keeps it so, else in ticks of 10 ms.
    pub cpu: Duration,
    /// The part of it spent in the program, in ticks.
    pub user: Duration,
    /// The part of it spent in the kernel, in ticks.
    pub system: Duration,
    /// Resident memory.
    pub rss_bytes: u64,
}

impl Usage {
    /// Of the process with this id.
    pub fn of(pid: u32) -> Result<Self, Error> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name, in parentheses, may hold anything; what follows it is numbers.
        let (_, fields) = stat.rsplit_once(')').ok_or("no name in stat")?;
        let ticks = |at: usize| -> Result<Duration, Error> {
            let field = fields.split_whitespace().nth(at).ok_or("a short stat")?;
            Ok(TICK * field.parse()?)
        };
        let (user, system) = (ticks(11)?, ticks(12)?);
        let cpu = nanoseconds(pid)?.unwrap_or(user + system);
        Ok(Self { cpu, user, system, rss_bytes: rss_bytes(pid)? })
    }
}

/// What the threads of a process that live have run, to the nanosecond, if the kernel keeps that.
fn nanoseconds(pid: u32) -> Result<Option<Duration>, Error> {
    let mut sum = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let path: PathBuf = task?.path().join("schedstat");
        let Ok(stat) = fs::read_to_string(path) else { return Ok(None) };
        let ran = stat.split_whitespace().next().ok_or("an empty schedstat")?;
        sum += Duration::from_nanos(ran.parse()?);
    }
    Ok(Some(sum))
}

fn rss_bytes(pid: u32) -> Result<u64, Error> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS in status")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * KIB)
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            cpu: self.cpu + other.cpu,
            user: self.user + other.user,
            system: self.system + other.system,
            rss_bytes: self.rss_bytes + other.rss_bytes,
        }
    }
}

/// What was used since `earlier`; the memory is that of now. A thread that ended in between is missing from the nanoseconds.
impl Sub for Usage {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
            rss_bytes: self.rss_bytes,
        }
    }
}
