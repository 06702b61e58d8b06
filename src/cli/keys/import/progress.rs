//! How far an import is: a bar on stderr, if that is a terminal.

use std::io::{self, IsTerminal as _, Read, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How wide the bar is, in characters.
const WIDTH: u64 = 30;
/// Back to the beginning of the line, and clear it.
const CLEAR: &str = "\r\u{1b}[K";

/// How much of a file is read. Copies tell of the same file.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    read: Arc<AtomicU64>,
    /// 0: not known.
    size: Arc<AtomicU64>,
}

/// Counts what is read.
pub struct Watched<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl Progress {
    /// `inner`, whose size may be known, with its reads counted.
    pub fn watch<R: Read>(&self, inner: R, size: Option<u64>) -> Watched<R> {
        self.size.store(size.unwrap_or_default(), Ordering::Relaxed);
        Watched { inner, read: self.read.clone() }
    }

    /// Shows that `done` entries are done.
    pub fn show(&self, done: u64) {
        if io::stderr().is_terminal() {
            let _ = write!(io::stderr(), "{CLEAR}{}", self.line(done));
        }
    }

    /// Makes room for another line.
    pub fn clear() {
        if io::stderr().is_terminal() {
            let _ = write!(io::stderr(), "{CLEAR}");
        }
    }

    fn line(&self, done: u64) -> String {
        let (read, size) = (self.read.load(Ordering::Relaxed), self.size.load(Ordering::Relaxed));
        if size == 0 {
            return format!("{done} entries");
        }
        let read = read.min(size);
        let filled = usize::try_from(read * WIDTH / size).unwrap_or_default();
        let empty = usize::try_from(WIDTH).unwrap_or_default().saturating_sub(filled);
        format!("[{}{}] {:3} %, {done} entries", "#".repeat(filled), " ".repeat(empty), read * 100 / size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_follows_what_is_read() {
        let progress = Progress::default();
        assert_eq!(progress.line(7), "7 entries");
        let mut file = progress.watch(&[0_u8; 300][..], Some(300));
        assert!(progress.line(0).starts_with("[   "));
        file.read_exact(&mut [0; 150]).unwrap();
        assert_eq!(progress.line(20), format!("[{}{}]  50 %, 20 entries", "#".repeat(15), " ".repeat(15)));
        file.read_exact(&mut [0; 150]).unwrap();
        assert!(progress.line(40).contains(&format!("[{}] 100 %", "#".repeat(30))));
    }
}
