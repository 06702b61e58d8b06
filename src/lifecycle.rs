//! The process: signals, and who may look into it.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Keeps other processes of the same user from reading the memory of this one, and keeps it out of core dumps.
///
/// # Errors
/// If the operating system refuses.
pub fn forbid_dumps() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// The signals that end the server.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// How the server is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// SIGTERM, from a supervisor: balancers need time to look elsewhere.
    Terminate,
    /// SIGINT, from a terminal: nobody else is waiting.
    Interrupt,
}

impl Signals {
    /// From now on signals do not kill the process.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Ending {
        tokio::select! {
            _ = self.terminate.recv() => Ending::Terminate,
            _ = self.interrupt.recv() => Ending::Interrupt,
        }
    }
}
