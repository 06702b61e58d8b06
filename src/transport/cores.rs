//! The serving threads, one a core.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{self, Handle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The serving threads.
pub struct Cores {
    threads: Vec<Core>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

struct Core {
    handle: Handle,
    /// How many connections it serves.
    load: Arc<AtomicUsize>,
}

/// A serving thread cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start a serving thread")]
pub struct StartError(#[source] io::Error);

impl Cores {
    /// Starts a thread for each core that this process may use.
    pub fn start() -> Result<Self, StartError> {
        let count = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let stop = CancellationToken::new();
        let threads =
            (0..count).map(|at| Core::start(at, stop.clone())).collect::<Result<_, _>>().map_err(StartError)?;
        Ok(Self { threads, tasks: TaskTracker::new(), stop })
    }

    /// Runs `connection` on the thread that serves the fewest.
    pub fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let core = self.threads.iter().min_by_key(|core| core.load.load(Ordering::Relaxed)).expect("one at least");
        let counted = Counted::new(core.load.clone());
        let connection = async move {
            connection.await;
            drop(counted);
        };
        self.tasks.spawn_on(connection, &core.handle);
    }

    /// Waits until every connection has ended. No more may be spawned.
    pub async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Ends the threads. Whatever runs on them is cut off.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Core {
    fn start(at: usize, stop: CancellationToken) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        thread::Builder::new().name(format!("serve-{at}")).spawn(move || runtime.block_on(stop.cancelled()))?;
        Ok(Self { handle, load: Arc::default() })
    }
}

/// One connection more for as long as this lives, also if the connection is cut off.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(load: Arc<AtomicUsize>) -> Self {
        load.fetch_add(1, Ordering::Relaxed);
        Self(load)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_spread_over_all_cores() {
        let cores = Cores::start().unwrap();
        let stop = CancellationToken::new();
        for _ in 0..3 * cores.threads.len() {
            cores.spawn(stop.clone().cancelled_owned());
        }
        assert!(cores.threads.iter().all(|core| core.load.load(Ordering::Relaxed) == 3));
        stop.cancel();
        cores.drain().await;
        assert!(cores.threads.iter().all(|core| core.load.load(Ordering::Relaxed) == 0));
    }
}
