//! Reading text files that people write: UTF-8, and without the byte order mark (BOM) that some editors put in front.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

const BOM: &str = "\u{feff}";

/// The text of the file at `path`, which has at most `size_max` bytes.
///
/// # Errors
/// If it cannot be read, is larger, or is no UTF-8.
pub fn read(path: impl AsRef<Path>, size_max: u64) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(size_max + 1).read_to_string(&mut text)?;
    if read as u64 > size_max {
        return Err(io::Error::other(format!("it is larger than {size_max} bytes")));
    }
    if text.starts_with(BOM) {
        text.drain(..BOM.len());
    }
    Ok(text)
}

/// What `reader` has behind the byte order mark, if it begins with one: for what is too large to be read at once.
///
/// # Errors
/// If it cannot be read.
pub fn behind_bom(mut reader: impl Read + 'static) -> io::Result<Box<dyn BufRead>> {
    let mut head = Vec::with_capacity(BOM.len());
    reader.by_ref().take(BOM.len() as u64).read_to_end(&mut head)?;
    if head == BOM.as_bytes() {
        head.clear();
    }
    Ok(Box::new(BufReader::new(Cursor::new(head).chain(reader))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_no_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text");
        for (bytes, text) in [("\u{feff}a\u{feff}", "a\u{feff}"), ("a", "a"), ("", ""), ("\u{feff}", ""), ("é", "é")]
        {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read(&path, 100).unwrap(), text);
            let mut rest = String::new();
            behind_bom(File::open(&path).unwrap()).unwrap().read_to_string(&mut rest).unwrap();
            assert_eq!(rest, text);
        }
        std::fs::write(&path, "x".repeat(100)).unwrap();
        assert_eq!(read(&path, 100).unwrap().len(), 100);
        assert!(read(&path, 99).unwrap_err().to_string().contains("larger than 99 bytes"));
        std::fs::write(&path, [0xff, 0xfe, b'a', 0]).unwrap();
        assert!(read(&path, 100).is_err(), "UTF-16");
    }
}
