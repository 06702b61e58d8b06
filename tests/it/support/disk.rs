//! A small file system of a test's own, that can be full or read-only without anybody else's noticing.
//!
//! It is seen only by processes that enter its namespace. No rights are needed to make one, but for what some
//! containers forbid: see [`NEEDS`].

use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use tempfile::TempDir;

use super::process::sqlite_in;

const NEEDS: &str = "these tests need a file system of their own, and could not mount one: they need unshare, nsenter \
                     and mount of util-linux, and leave to make user namespaces (in a container, e.g. Docker's \
                     `--security-opt seccomp=unconfined`, or --privileged)";

/// A file system in memory.
pub struct Disk {
    dir: TempDir,
    holder: Child,
    /// The holder ends when this is closed, and the file system with it.
    _hold: ChildStdin,
}

impl Disk {
    pub fn new(size_bytes: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let script = "mount -t tmpfs -o \"size=$1\" portcullis \"$2\" && echo mounted && exec cat";
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", &size_bytes.to_string()]);
        command.arg(dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().expect(NEEDS);
        let hold = holder.stdin.take().expect("it is piped");
        let mut answer = String::new();
        let stdout = holder.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut answer).expect("a pipe can be read");
        assert_eq!(answer, "mounted\n", "{NEEDS}");
        Self { dir, holder, _hold: hold }
    }

    /// The URL of a SQLite store there.
    pub fn sqlite(&self) -> String {
        sqlite_in(self.dir.path())
    }

    /// `command` as a process that sees the file system.
    pub fn enter(&self, command: &Command) -> Command {
        let mut entered = Command::new("nsenter");
        entered.args(["--user", "--preserve-credentials", "--mount", "--target", &self.holder.id().to_string(), "--"]);
        entered.arg(command.get_program()).args(command.get_args()).env_clear();
        entered.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        entered
    }

    /// Lets nothing be written to the file of this name, or anywhere if it is ".".
    pub fn make_read_only(&self, name: &str) {
        self.mount(name, "bind");
        self.mount(name, "remount,bind,ro");
    }

    /// Mounts the file of this name by itself, as a container may that is given nothing else.
    pub fn mount_alone(&self, name: &str) {
        self.mount(name, "bind");
    }

    /// Mounts what has this name over itself.
    fn mount(&self, name: &str, options: &str) {
        let path = self.dir.path().join(name);
        let mut mount = Command::new("mount");
        mount.args(["-o", options]).arg(&path).arg(&path);
        assert!(self.enter(&mount).status().expect(NEEDS).success(), "{NEEDS}");
    }

    /// Leaves no room.
    pub fn fill(&self) {
        let mut ballast = fs::File::create(self.ballast()).expect("a file");
        let block = [0; 4096];
        loop {
            match ballast.write(&block) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Makes room again.
    pub fn free(&self) {
        fs::remove_file(self.ballast()).expect("it is there");
    }

    /// A file that only takes room, by the way that leads there from outside.
    fn ballast(&self) -> PathBuf {
        let inside = self.dir.path().join("ballast");
        let inside = inside.strip_prefix("/").expect("it is absolute");
        PathBuf::from(format!("/proc/{}/root", self.holder.id())).join(inside)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
