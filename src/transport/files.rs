//! How many files this process may have open: each connection is one.

/// Files that are not connections: the store's, the listener's, the schedulers'.
const OTHERS_MAX: usize = 128;

/// Raises the limit as far as this process may, and says how many connections fit under it.
#[cfg(unix)]
pub fn connections_max() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    let files = current.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    files.saturating_sub(OTHERS_MAX).max(1)
}

/// Whatever the system allows.
#[cfg(not(unix))]
pub fn connections_max() -> usize {
    usize::MAX
}
