//! Threads that get a processor less often than those that serve connections: for work that takes long and may wait, so
//! that a Verify does not.

use std::io;
use std::thread;

use tokio::runtime::{self, Handle};
use tokio_util::sync::CancellationToken;

/// How much less the threads count to the scheduler of the operating system: `nice` 10 gets a tenth of what 0 does.
const NICENESS: i32 = 10;

/// A runtime on threads of low priority. What runs on it is cut off when this is dropped.
pub struct LowPriorityThreads {
    handle: Handle,
    stop: CancellationToken,
}

impl LowPriorityThreads {
    /// Starts a thread called `name` for every second core. Threads that these start have a low priority too.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn start(name: &'static str) -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(cores.div_ceil(2))
            .thread_name(name)
            .enable_all()
            .on_thread_start(|| lower_own_priority(NICENESS))
            .build()?;
        let (handle, stop) = (runtime.handle().clone(), CancellationToken::new());
        let stopped = stop.clone();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(stopped.cancelled());
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, stop })
    }

    /// The way to the runtime.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for LowPriorityThreads {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Gives the thread that calls this a priority that is lower than that of the process by `niceness`.
#[cfg(target_os = "linux")]
pub fn lower_own_priority(niceness: i32) {
    use rustix::process::{getpid, getpriority_process, setpriority_process};
    // On Linux priority is each thread's own, and a new thread has that of the thread that starts it. That of the process
    // is its first thread's. If it is refused, the thread only competes more.
    let _ = getpriority_process(Some(getpid())).and_then(|own| setpriority_process(None, own + niceness));
}

/// Elsewhere priority belongs to the whole process.
#[cfg(not(target_os = "linux"))]
pub fn lower_own_priority(_niceness: i32) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn tasks_and_the_threads_that_they_start_have_a_low_priority() {
        let own = || rustix::process::getpriority_process(None).unwrap();
        let before = own();
        let threads = LowPriorityThreads::start("test").unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        threads.handle().spawn(async move {
            let started = thread::spawn(own).join().unwrap();
            let lowered = move || {
                lower_own_priority(5);
                own()
            };
            sender.send((own(), started, thread::spawn(lowered).join().unwrap())).unwrap();
        });
        let low = before + NICENESS;
        // What a thread starts is as low as itself, and one that would be raised stays as it is.
        assert!(matches!(receiver.recv().unwrap(), (own, started, lowered)
            if own == low && started == low && (lowered == before + 5 || lowered == low)));
        assert_eq!(own(), before);
    }
}
