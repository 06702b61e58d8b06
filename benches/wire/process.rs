//! A server as a process of its own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::Error;
use crate::usage::Usage;

/// A server that is killed when it is no longer needed.
pub struct Process {
    child: Child,
    /// Its address and port.
    pub address: String,
}

impl Process {
    /// Starts a server, and waits until it says on stderr where it listens.
    pub fn start(mut command: Command) -> Result<Self, Error> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("cannot run {command:?}: {error}"))?;
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        // From here on, dropping it kills it.
        let mut process = Self { child, address: String::new() };
        let mut said = String::new();
        while process.address.is_empty() {
            let Some(line) = lines.next() else {
                return Err(format!("{command:?} did not start:\n{said}").into());
            };
            let line = line?;
            match line.strip_prefix("listening on ") {
                Some(address) => address.clone_into(&mut process.address),
                None => said = said + &line + "\n",
            }
        }
        // Whatever else it says is passed on, and never holds it up.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("{line}")));
        Ok(process)
    }

    /// Starts a server that was told to listen at `address`, and does not wait for it.
    pub fn start_at(address: String, mut command: Command) -> Result<Self, std::io::Error> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        Ok(Self { child: command.spawn()?, address })
    }

    /// Stops it where it is, or lets it go on.
    pub fn signal(&self, signal: rustix::process::Signal) -> Result<(), Error> {
        Ok(rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal)?)
    }

    /// The most memory it ever had.
    pub fn peak_rss_bytes(&self) -> Result<u64, Error> {
        Usage::peak_rss_bytes(self.child.id())
    }

    /// Begins anew with the most memory that it ever had.
    pub fn reset_peak_rss(&self) -> Result<(), Error> {
        Ok(std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5")?)
    }

    /// What it has read from files so far.
    pub fn file_bytes_read(&self) -> Result<u64, Error> {
        Usage::file_bytes_read(self.child.id())
    }

    /// What it has used so far.
    pub fn usage(&self) -> Result<Usage, Error> {
        Usage::of(self.child.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
