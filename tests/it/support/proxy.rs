//! A way to a PostgreSQL of the tests' that can be bad: cut, silent in one direction or both, slow.
//!
//! It listens on a socket in a folder of its own, as the server does, and has a thread of its own, so that no load of a
//! test's makes it slower than it is told to be.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use super::postgres::SOCKET;

/// How the way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As if there were no proxy.
    Open,
    /// Connections are kept and made, and nothing gets through in these directions, not even that one has ended. It
    /// comes late once the way is open again, as what TCP sends again does.
    Silent { there: bool, back: bool },
    /// Connections end, and none is made.
    Cut,
    /// All that is sent takes this long, in each direction.
    Slow(Duration),
    /// What is committed is committed, and whoever asked for it does not hear so: his connection ends instead.
    LosesCommits,
}

/// How a server's answer to a COMMIT begins that was sent by itself.
const COMMITTED: &[u8] = b"C\0\0\0\x0bCOMMIT\0";

/// Nothing gets through at all.
pub const BLACK_HOLE: Way = Way::Silent { there: true, back: true };

/// The way of one client to one server.
pub struct Proxy {
    dir: TempDir,
    set: watch::Sender<Set>,
    commits_lost: Arc<AtomicUsize>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Debug)]
struct Set {
    way: Way,
    /// The server's socket.
    to: PathBuf,
}

#[derive(Clone, Copy, Debug)]
enum Direction {
    There,
    Back,
}

impl Proxy {
    /// A way to the server whose socket is `to`.
    pub fn start(to: PathBuf) -> Self {
        let dir = tempfile::Builder::new().prefix("portcullis-way-").tempdir().expect("a temporary directory");
        let (set, settings) = watch::channel(Set { way: Way::Open, to });
        let (end, ended) = oneshot::channel::<()>();
        let socket = dir.path().join(SOCKET);
        let commits_lost = Arc::<AtomicUsize>::default();
        let lost = commits_lost.clone();
        let (listening, listens) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = UnixListener::bind(socket).expect("a new folder");
                listening.send(()).expect("it is waited for");
                tokio::select! {
                    () = accept(listener, settings, lost) => {}
                    _ = ended => {}
                }
            });
        });
        listens.recv().expect("it listens");
        Self { dir, set, commits_lost, end: Some(end), thread: Some(thread) }
    }

    /// The URL of a database behind it.
    pub fn url(&self, database: &str) -> String {
        super::postgres::url_by(self.dir.path(), database)
    }

    pub fn set(&self, way: Way) {
        self.set.send_modify(|set| set.way = way);
    }

    /// Of how many commits nobody heard.
    pub fn commits_lost(&self) -> usize {
        self.commits_lost.load(Ordering::Relaxed)
    }

    /// From now on connections are made to another server.
    pub fn lead_to(&self, to: PathBuf) {
        self.set.send_modify(|set| set.to = to);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Way {
    fn lets_through(self, direction: Direction) -> bool {
        match (self, direction) {
            (Self::Silent { there, .. }, Direction::There) => !there,
            (Self::Silent { back, .. }, Direction::Back) => !back,
            _ => true,
        }
    }
}

async fn accept(listener: UnixListener, settings: watch::Receiver<Set>, lost: Arc<AtomicUsize>) {
    while let Ok((client, _)) = listener.accept().await {
        let (settings, lost) = (settings.clone(), lost.clone());
        tokio::spawn(async move {
            let set = settings.borrow().clone();
            if set.way == Way::Cut {
                return;
            }
            // A server that is not there does not answer: the client sees an end.
            let Ok(server) = UnixStream::connect(&set.to).await else { return };
            let ((asked, answering), (answered, asking)) = (client.into_split(), server.into_split());
            tokio::spawn(carry(asked, asking, Direction::There, settings.clone(), lost.clone()));
            tokio::spawn(carry(answered, answering, Direction::Back, settings, lost));
        });
    }
}

/// Passes on what comes, until an end, which is passed on too.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    direction: Direction,
    mut set: watch::Receiver<Set>,
    lost: Arc<AtomicUsize>,
) {
    let mut cut = set.clone();
    let carried = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            // One that broke off has ended as well.
            let len = from.read(&mut buffer).await.unwrap_or(0);
            let through = set.wait_for(|set| set.way.lets_through(direction)).await;
            let way = through.map_err(io::Error::other)?.way;
            if let Way::Slow(by) = way {
                sleep(by).await;
            }
            if len == 0 {
                return to.shutdown().await;
            }
            if way == Way::LosesCommits && matches!(direction, Direction::Back) && buffer[..len].starts_with(COMMITTED)
            {
                lost.fetch_add(1, Ordering::Relaxed);
                return to.shutdown().await;
            }
            to.write_all(&buffer[..len]).await?;
        }
    };
    tokio::select! {
        _ = carried => {}
        _ = cut.wait_for(|set| set.way == Way::Cut) => {}
    }
}
