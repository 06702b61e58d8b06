//! One process at a time: a lock on the database file, and one on a file beside it.
//!
//! Two processes would each answer from a memory of their own and not hear of the other's revocations. SQLite's own
//! exclusive mode would shut out our readers too, and `sqlite3 .backup` and Litestream with them. `flock` shuts out
//! neither: on Linux it is apart from the POSIX locks that SQLite takes.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use super::open::{private, unavailable};
use crate::store::ConnectError;

/// The locks. The operating system lets go of them when this is dropped, or when the process dies in whatever way.
///
/// The file beside the database stays: to remove it would let two processes lock two files of one name. That file names
/// the holder. The lock on the database itself holds also if that file is removed, or kept in another folder.
#[derive(Debug)]
pub struct Lock {
    /// Closing any descriptor of the database drops the POSIX locks that SQLite has on it. So this one is opened before
    /// SQLite opens the file, and closed after.
    _database: File,
    _beside: File,
}

impl Lock {
    /// Locks `database` and `<database>.lock`, and writes our process id into the latter.
    ///
    /// # Errors
    /// If another process has one of them, which is then named if it is known; if a file cannot be made or written; if
    /// the database has another name or is mounted by itself.
    pub fn take(database: &Path) -> Result<Self, ConnectError> {
        let mut path = database.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let failed = |e: io::Error| unavailable(&path, &e);
        let mut beside = private(OpenOptions::new().read(true).write(true).create(true)).open(&path).map_err(failed)?;
        if !try_lock(&beside).map_err(failed)? {
            return Err(ConnectError::Locked { path: database.display().to_string(), holder: holder(&mut beside) });
        }
        // Not before: if this process has the database open already, closing another descriptor would unlock it.
        let file = lock_database(database)?;
        let note = format!("{}\n", std::process::id());
        let noted = beside.set_len(0).and_then(|()| beside.rewind()).and_then(|()| beside.write_all(note.as_bytes()));
        noted.map_err(failed)?;
        Ok(Self { _database: file, _beside: beside })
    }
}

fn lock_database(path: &Path) -> Result<File, ConnectError> {
    let failed = |e: io::Error| unavailable(path, &e);
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
    let names = rustix::fs::fstat(&file).map_err(|e| failed(e.into()))?.st_nlink;
    if names > 1 {
        let why = format!(
            "it has {names} names (hard links), and each would have a write-ahead log of its own: remove the others, \
             and copy it with `sqlite3 FILE \".backup COPY\"`"
        );
        return Err(unavailable(path, &why));
    }
    if is_mounted_alone(&file, path) {
        let why = "it is mounted by itself, so its write-ahead log would be lost with this container: mount the folder \
                   that holds it";
        return Err(unavailable(path, &why));
    }
    // Elsewhere `flock` and the POSIX locks of SQLite are the same locks.
    if cfg!(target_os = "linux") && !try_lock(&file).map_err(failed)? {
        return Err(ConnectError::Locked { path: path.display().to_string(), holder: "another process".to_owned() });
    }
    Ok(file)
}

/// Locks `file` by `flock`, unless another descriptor has the lock.
fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

/// Whether `file` at `path` belongs to another mount than its folder. The device is the same for both.
fn is_mounted_alone(file: &File, path: &Path) -> bool {
    let folder = path.parent().and_then(|folder| File::open(folder).ok());
    match (mount_id(file), folder.as_ref().and_then(mount_id)) {
        (Some(file), Some(folder)) => file != folder,
        _ => {
            #[cfg(target_os = "linux")]
            tracing::warn!("/proc does not tell whether the database file is mounted by itself");
            false
        }
    }
}

/// The mount that `file` was opened on, if the system tells it.
#[cfg(target_os = "linux")]
fn mount_id(file: &File) -> Option<u64> {
    use std::os::fd::AsRawFd as _;
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
    info.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
}

/// Other systems cannot mount a file.
#[cfg(not(target_os = "linux"))]
fn mount_id(_: &File) -> Option<u64> {
    None
}

/// Who wrote itself into the file. It may have died since, and a process it started may hold the lock on.
fn holder(file: &mut File) -> String {
    let mut note = String::new();
    match file.read_to_string(&mut note) {
        Ok(_) if note.trim().parse::<u32>().is_ok() => format!("process {}", note.trim()),
        _ => "another process".to_owned(),
    }
}
