//! What a terminal is shown, and what is asked of whoever runs the program.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::exit::Error;
use crate::key::field::is_invisible;
use crate::key::{pasted, recognize};

/// The longest text that is read, as the server takes it.
const TEXT_SIZE_MAX: u64 = pasted::TEXT_LEN_MAX as u64;
/// The longest line that is read. A presented key has 512 bytes at the most; the server says what is wrong with more.
const LINE_SIZE_MAX: u64 = 64 * 1024;

/// `text` with each character that a terminal would not show written out.
pub fn visible(text: &str) -> String {
    written_out(text, |_| false, escape)
}

/// The same for text of several lines.
pub fn visible_lines(text: &str) -> String {
    written_out(text, |c| matches!(c, '\n' | '\t'), escape)
}

/// The same for JSON, which says the same then: only its strings have such characters.
pub fn visible_json(json: &str) -> String {
    written_out(json, |c| c == '\n', escape_json)
}

fn escape_json(c: char) -> String {
    match c.encode_utf16(&mut [0; 2]) {
        [unit] => format!("\\u{unit:04x}"),
        units => format!("\\u{:04x}\\u{:04x}", units[0], units[1]),
    }
}

fn escape(c: char) -> String {
    // `\n` and its like are shorter, and known better.
    if c.is_ascii() { c.escape_default().to_string() } else { c.escape_unicode().to_string() }
}

fn written_out(text: &str, is_kept: fn(char) -> bool, escape: fn(char) -> String) -> String {
    let mut seen = String::with_capacity(text.len());
    let mut before = '\0';
    for c in text.chars() {
        if is_invisible(c) && !is_kept(c) && !joins(before, c) {
            seen += &escape(c);
        } else {
            seen.push(c);
        }
        before = c;
    }
    seen
}

/// Whether `c` joins emoji, or letters of a script that needs joiners: Arabic and what comes after it in Unicode. Between
/// Latin, Greek or Cyrillic letters a joiner is only there to be overlooked.
fn joins(before: char, c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}') && before >= '\u{600}' && !is_invisible(before)
}

/// Says what a person should know. Nobody is left to tell if this fails.
pub fn warn(text: &str) {
    let _ = writeln!(io::stderr(), "warning: {}", visible_lines(text));
}

/// Says what a person may want to know, in every form of output. Nobody is left to tell if this fails.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{}", visible_lines(text));
}

/// A text with a secret in it from stdin, which keeps it out of the shell's history: all that is piped, and of what is typed at
/// a terminal, which does not show it, the first line that has anything.
pub fn text_from_stdin() -> Result<String, Error> {
    if io::stdin().is_terminal() {
        return line_from_terminal();
    }
    let mut text = Zeroizing::new(String::new());
    let read = io::stdin().lock().take(TEXT_SIZE_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| Error::Usage(format!("cannot read the key from stdin: {error}")))?;
    if text.len() as u64 > TEXT_SIZE_MAX {
        return Err(Error::Usage(format!("more than {TEXT_SIZE_MAX} bytes on stdin: send the lines around the key")));
    }
    let text = recognize::unwrapped(&text);
    if text.is_empty() { Err(Error::Usage("no key on stdin".into())) } else { Ok(text.to_owned()) }
}

fn line_from_terminal() -> Result<String, Error> {
    let _ = write!(io::stderr(), "key (not shown, one line): ");
    let _hidden = HiddenInput::begin();
    let mut stdin = io::stdin().lock().take(LINE_SIZE_MAX);
    loop {
        let mut line = Zeroizing::new(String::new());
        let size = stdin.read_line(&mut line);
        let size = size.map_err(|error| Error::Usage(format!("cannot read the key from stdin: {error}")))?;
        let secret = recognize::unwrapped(&line);
        if !secret.is_empty() {
            return Ok(secret.to_owned());
        }
        if size == 0 {
            return Err(Error::Usage("no key on stdin".into()));
        }
    }
}

/// A terminal shows nothing of what is typed while this lives.
struct HiddenInput(Option<Termios>);

impl HiddenInput {
    fn begin() -> Self {
        let Ok(before) = tcgetattr(io::stdin()) else { return Self(None) };
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        let is_set = tcsetattr(io::stdin(), OptionalActions::Flush, &hidden).is_ok();
        Self(is_set.then_some(before))
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
            // The end of the line was not shown either.
            let _ = writeln!(io::stderr());
        }
    }
}

/// Whether somebody can be asked.
pub fn is_interactive() -> bool {
    io::stdin().is_terminal()
}

/// Asks whether to do what cannot be undone. Where nobody can be asked, `--yes` must have said so.
pub fn confirm(question: &str) -> Result<(), Error> {
    if !io::stdin().is_terminal() {
        return Err(Error::Usage(format!("{question} Pass --yes to say so: stdin is not a terminal")));
    }
    let _ = write!(io::stderr(), "{} [y/N] ", visible(question));
    match line() {
        Ok(answer) if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
        _ => Err(Error::Failed("nothing was done".into())),
    }
}

fn line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().take(LINE_SIZE_MAX).read_line(&mut line)?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    // Some shells put a byte order mark before what they pipe.
    Ok(line.trim_start_matches('\u{feff}').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each class of characters that a terminal acts on or does not show.
    const TRICKS: [(&str, char); 10] = [
        ("C0", '\u{1b}'),
        ("C1", '\u{9b}'),
        ("override of direction", '\u{202e}'),
        ("isolate of direction", '\u{2066}'),
        ("mark of direction", '\u{200f}'),
        ("zero width", '\u{200b}'),
        ("joiner", '\u{200d}'),
        ("byte order mark", '\u{feff}'),
        ("end of line", '\u{2028}'),
        ("tag", '\u{e0041}'),
    ];

    #[test]
    fn no_character_plays_tricks_on_a_terminal() {
        for (class, trick) in TRICKS {
            let text = format!("a{trick}b");
            let escaped = format!("a\\u{{{:x}}}b", trick as u32);
            assert_eq!((visible(&text), visible_lines(&text)), (escaped.clone(), escaped), "{class}");
            let json = serde_json::to_string(&text).unwrap();
            let shown = visible_json(&json);
            assert!(shown.is_ascii() && !shown.contains(trick), "{class}: {shown}");
            assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text, "{class}");
        }
        assert_eq!(visible("a\nb\t"), "a\\nb\\t");
        assert_eq!(visible_lines("a\n\tb"), "a\n\tb");
        for plain in ["cle\u{301}", "語", "مفتاح", "👨\u{200d}👩\u{200d}👧", "می\u{200c}خواهم", "naïve"]
        {
            assert_eq!(visible(plain), plain);
        }
    }
}
