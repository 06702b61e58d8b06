//! A secret in a file of its own, where neither the process list nor the environment shows it.

use std::fs::File;
use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use crate::text_file;

/// Far more than any secret; keeps `/dev/zero` from filling the memory.
const SIZE_MAX: u64 = 64 * 1024;

/// Where a process finds what it inherited: see `cli::environment`.
const INHERITED: &str = "/proc/self/fd/";

/// The secret in the file at `path`, without the end of its line. What was handed over to this process is wiped.
///
/// # Errors
/// If there is no such file, or it is no text.
pub fn read(path: &str) -> io::Result<String> {
    let text = Zeroizing::new(text_file::read(path, SIZE_MAX)?);
    if Path::new(path).starts_with(INHERITED) {
        // Empties it: the file lives for as long as the process.
        File::create(path)?;
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_line_is_no_part_of_a_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "\u{feff} a secret \r\n").unwrap();
        assert_eq!(read(path.to_str().unwrap()).unwrap(), " a secret ");
        assert!(read("/nowhere/at/all").is_err());
        std::fs::write(&path, [0xff]).unwrap();
        assert!(read(path.to_str().unwrap()).is_err());
    }
}
