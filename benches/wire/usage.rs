//! What a process uses, as Linux counts it.

use std::fs;
use std::ops::Sub;
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
        let stat = Stat::of(pid)?;
        let cpu = nanoseconds(pid)?.unwrap_or(stat.user + stat.system);
        Ok(Self { cpu, user: stat.user, system: stat.system, rss_bytes: memory(pid, "VmRSS:")? })
    }

    /// The most memory that the process with this id ever had resident.
    pub fn peak_rss_bytes(pid: u32) -> Result<u64, Error> {
        memory(pid, "VmHWM:")
    }

    /// What the process with this id has read so far from files, those that the kernel keeps in memory too. What comes
    /// over a connection is not counted.
    pub fn file_bytes_read(pid: u32) -> Result<u64, Error> {
        let io = fs::read_to_string(format!("/proc/{pid}/io"))?;
        let read = io.lines().find_map(|line| line.strip_prefix("rchar: ")).ok_or("no rchar in io")?;
        Ok(read.parse()?)
    }

    /// Of a process and its children, those that have ended too; for servers that have a process for each connection.
    /// In ticks only: of the ended ones, Linux keeps no more.
    pub fn of_family(parent: u32) -> Result<Self, Error> {
        let stat = Stat::of(parent)?;
        let (mut user, mut system) = (stat.user + stat.user_of_ended, stat.system + stat.system_of_ended);
        let mut rss_bytes = memory(parent, "VmRSS:")?;
        for process in fs::read_dir("/proc")? {
            let Some(pid) = process?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // Whatever ends meanwhile is counted with its parent the next time.
            let Ok(stat) = Stat::of(pid) else { continue };
            if stat.parent == parent {
                user += stat.user;
                system += stat.system;
                // What they share is in the parent's.
                rss_bytes += memory(pid, "RssAnon:").unwrap_or(0);
            }
        }
        Ok(Self { cpu: user + system, user, system, rss_bytes })
    }
}

/// `/proc/<pid>/stat`, as far as it is needed.
struct Stat {
    parent: u32,
    user: Duration,
    system: Duration,
    user_of_ended: Duration,
    system_of_ended: Duration,
}

impl Stat {
    fn of(pid: u32) -> Result<Self, Error> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name, in parentheses, may hold anything; what follows it does not.
        let (_, fields) = stat.rsplit_once(')').ok_or("no name in stat")?;
        let fields: Vec<_> = fields.split_whitespace().collect();
        let field = |at: usize| fields.get(at).ok_or("a short stat");
        let ticks = |at| -> Result<Duration, Error> { Ok(TICK * field(at)?.parse()?) };
        Ok(Self {
            parent: field(1)?.parse()?,
            user: ticks(11)?,
            system: ticks(12)?,
            user_of_ended: ticks(13)?,
            system_of_ended: ticks(14)?,
        })
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

fn memory(pid: u32, line: &str) -> Result<u64, Error> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let found =
        status.lines().find_map(|found| found.strip_prefix(line)).ok_or_else(|| format!("no {line} in status"))?;
    Ok(found.trim().trim_end_matches(" kB").parse::<u64>()? * KIB)
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
