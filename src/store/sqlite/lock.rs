//! One process at a time: a lock on a file beside the database.
//!
//! Two processes would each answer from a memory of their own and not hear of the other's revocations. SQLite's own
//! exclusive mode would shut out our readers too.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use super::open::{private, unavailable};
use crate::store::ConnectError;

/// The lock. The operating system lets go of it when it is dropped, or when the process dies in whatever way.
///
/// The file itself stays: to remove it would let two processes lock two files of one name.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Locks `<database>.lock` and writes our process id into it.
    ///
    /// # Errors
    /// If another process has it, which is then named; if the file cannot be made or written.
    pub fn take(database: &Path) -> Result<Self, ConnectError> {
        let mut path = database.as_os_str().to_owned();
        path.push(".lock");
        let path = Path::new(&path);
        let failed = |e: std::io::Error| unavailable(path, &e);
        let mut file = private(OpenOptions::new().read(true).write(true).create(true)).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(ConnectError::Locked { path: database.display().to_string(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        let note = format!("{}\n", std::process::id());
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(note.as_bytes())).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// Who wrote itself into the file. It may have died since, and a process it started may hold the lock on.
fn holder(file: &mut File) -> String {
    let mut note = String::new();
    match file.read_to_string(&mut note) {
        Ok(_) if note.trim().parse::<u32>().is_ok() => format!("process {}", note.trim()),
        _ => "another process".to_owned(),
    }
}
