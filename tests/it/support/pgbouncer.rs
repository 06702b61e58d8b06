//! A pgbouncer in front of a cluster, as `deploy/pgbouncer.ini` configures it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::postgres::{Cluster, SOCKET};
use super::service::eventually;

const RECIPE: &str = include_str!("../../../deploy/pgbouncer.ini");
/// The user "nobody". pgbouncer refuses to run as root.
const NOBODY: u32 = 65534;

/// A running pgbouncer; it ends with this.
pub struct Pgbouncer {
    dir: tempfile::TempDir,
    process: Child,
}

impl Pgbouncer {
    /// Where the program is; `None`, said on the terminal, if this machine has none.
    pub fn program() -> Option<PathBuf> {
        let found = std::env::var("PORTCULLIS_TEST_PGBOUNCER").unwrap_or_else(|_| "none".into());
        if found == "none" {
            // Past what catches the output of tests that pass.
            let said = "NOT TESTED: deploy/pgbouncer.ini. PORTCULLIS_TEST_PGBOUNCER names no pgbouncer; see scripts/pgbouncer-bin";
            let _ = writeln!(std::io::stderr(), "{said}");
            return None;
        }
        Some(found.into())
    }

    /// Starts it in front of a database of `cluster`.
    pub async fn start(program: PathBuf, cluster: &Cluster, database: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("portcullis-pgb-").tempdir().expect("a temporary directory");
        let (users, ini) = (dir.path().join("userlist.txt"), dir.path().join("pgbouncer.ini"));
        fs::write(&users, "\"portcullis\" \"\"\n").expect("a file");
        let socket = cluster.socket();
        let at = socket.parent().expect("it is in a directory").display();
        // What says where, and who may: the rest is what is tested.
        let ours = |line: &str| match line.split(" = ").next().unwrap_or_default() {
            "portcullis" => format!("{database} = host={at} port=5432 dbname={database}"),
            "listen_addr" => format!("unix_socket_dir = {}", dir.path().display()),
            "listen_port" => "listen_port = 5432".to_owned(),
            "auth_type" => "auth_type = trust".to_owned(),
            "auth_file" => format!("auth_file = {}", users.display()),
            _ => line.to_owned(),
        };
        let settings: Vec<_> = RECIPE.lines().map(ours).collect();
        fs::write(&ini, settings.join("\n")).expect("a file");
        let mut command = Command::new(program);
        command.arg("--quiet").arg(&ini).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(fs::File::create(dir.path().join("log")).expect("a file"));
        if fs::metadata(dir.path()).expect("it was just made").uid() == 0 {
            chown(dir.path(), Some(NOBODY), Some(NOBODY)).expect("root may");
            // By itself, once it is loaded: another user may not reach the folder that it lies in.
            command.args(["--user", "nobody"]);
        }
        let process = command.spawn().expect("pgbouncer");
        let pgbouncer = Self { dir, process };
        eventually("the socket of pgbouncer", async || pgbouncer.socket().exists().then_some(())).await;
        pgbouncer
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join(SOCKET)
    }
}

impl Drop for Pgbouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("pgbouncer: {}", fs::read_to_string(self.dir.path().join("log")).unwrap_or_default());
        }
    }
}
