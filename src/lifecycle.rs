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

/// The signals that the server listens to. None of them kills the process.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// To end.
    End(Ending),
    /// SIGHUP: to read settings again. It comes when a terminal closes too, and ends nothing.
    Reload,
}

/// How the server is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// SIGTERM or SIGQUIT, from a supervisor: balancers need time to look elsewhere.
    Terminate,
    /// SIGINT, from a terminal: nobody else is waiting.
    Interrupt,
}

impl Signals {
    /// Listens from now on. SIGUSR1 and SIGUSR2, which mean nothing here, are taken and forgotten.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn listen() -> io::Result<Self> {
        // What was listened to once does not kill the process any more.
        drop(signal(SignalKind::user_defined1())?);
        drop(signal(SignalKind::user_defined2())?);
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::End(Ending::Terminate),
            _ = self.quit.recv() => Request::End(Ending::Terminate),
            _ = self.interrupt.recv() => Request::End(Ending::Interrupt),
            _ = self.hangup.recv() => Request::Reload,
        }
    }
}
