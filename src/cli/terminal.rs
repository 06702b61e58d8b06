//! What is asked of whoever runs the program.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use super::exit::Error;

/// The longest line that is read. A presented key has 512 bytes at the most; the server says what is wrong with more.
const LINE_SIZE_MAX: u64 = 64 * 1024;

/// The first line of stdin, without its end: for a secret that should not stand in the shell's history.
pub fn secret_from_stdin() -> Result<String, Error> {
    if io::stdin().is_terminal() {
        let _ = write!(io::stderr(), "key: ");
    }
    let line = line().map_err(|error| Error::Usage(format!("cannot read the key from stdin: {error}")))?;
    if line.is_empty() {
        return Err(Error::Usage("no key on stdin".into()));
    }
    Ok(line)
}

/// Asks whether to do what cannot be undone. Where nobody can be asked, `--yes` must have said so.
pub fn confirm(question: &str) -> Result<(), Error> {
    if !io::stdin().is_terminal() {
        return Err(Error::Usage(format!("{question} Pass --yes to say so: stdin is not a terminal")));
    }
    let _ = write!(io::stderr(), "{question} [y/N] ");
    match line() {
        Ok(answer) if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
        _ => Err(Error::Failed("nothing was done".into())),
    }
}

fn line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().take(LINE_SIZE_MAX).read_line(&mut line)?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}
