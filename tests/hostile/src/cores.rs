//! Threads and processes on cores of their own: what the attackers take from the server must be what it gives them, not
//! the processor they share.

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Error;

/// The server's and the bystander's core, and the attackers'.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    server: usize,
    attackers: usize,
}

impl Cores {
    /// The first two that this process may use. With a single one both sides share it.
    pub fn of_this_process() -> Result<Self, Error> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let server = cores.next().ok_or("this process may use no processor")?;
        Ok(Self { server, attackers: cores.next().unwrap_or(server) })
    }

    /// Moves the calling thread to the server's core; what it starts inherits that.
    pub fn pin_to_server(self) -> Result<(), Error> {
        pin(self.server)
    }

    /// Moves the calling thread to the attackers' core.
    pub fn pin_to_attackers(self) -> Result<(), Error> {
        pin(self.attackers)
    }
}

fn pin(core: usize) -> Result<(), Error> {
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(sched_setaffinity(None::<Pid>, &cores)?)
}
