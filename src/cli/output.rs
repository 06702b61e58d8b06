//! What goes to stdout: a table for people, ProtoJSON for programs, bare ids and secrets for scripts.

use std::io::{self, ErrorKind, Write as _};

use clap::ValueEnum;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, Table, Width};
use prost::Message;
use prost_types::Timestamp;

use super::exit::{Error, Exit};
use super::terminal::{self, visible, visible_json, visible_lines};
use crate::grpc::json;

/// Blanks between two columns.
const GAP: u16 = 2;

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table, for people
    Table,
    /// The answer as one ProtoJSON document
    Json,
}

/// How to show answers.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    /// In which form.
    pub format: Format,
    /// Only what a script needs.
    pub quiet: bool,
}

/// An answer that can be shown.
pub trait Shown {
    /// The full name of its message.
    const NAME: &'static str;

    /// For people; ends with a line end.
    fn table(&self) -> String;

    /// For scripts: the secret if there is one, else ids, one a line; empty if there is neither.
    fn quiet(&self) -> String;

    /// What is left out of the answer; goes to stderr in every form, because a script should know too.
    fn note(&self) -> Option<String> {
        None
    }

    /// What is lost if this cannot be written; `None`: nothing, the command can be repeated.
    fn loss(&self) -> Option<String> {
        None
    }
}

/// An answer that programs can read.
pub trait Json {
    /// It as ProtoJSON; ends with a line end.
    fn json(&self) -> String;
}

impl<M: Shown + Message> Json for M {
    fn json(&self) -> String {
        json::pretty(M::NAME, self)
    }
}

impl Out {
    /// Writes `answer` to stdout.
    pub fn show<M: Shown + Json>(self, answer: &M) -> Result<Exit, Error> {
        let text = match self.format {
            _ if self.quiet => answer.quiet(),
            Format::Table => answer.table(),
            Format::Json => visible_json(&answer.json()),
        };
        if let Err(error) = write_stdout(&text) {
            return match answer.loss() {
                Some(loss) => Err(Error::Failed(format!("cannot write to stdout: {error}; {loss}"))),
                // Whoever closed the pipe (`| head`) has read enough.
                None if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Done),
                None => Err(Error::Failed(format!("cannot write to stdout: {error}"))),
            };
        }
        if let Some(note) = answer.note() {
            terminal::note(&note);
        }
        Ok(Exit::Done)
    }
}

/// Writes all of `text`, or says why not; `println!` would panic. Whatever is in it plays no tricks on a terminal.
pub fn write_stdout(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(visible_lines(text).as_bytes())?;
    stdout.flush()
}

/// A table that is written a part at a time: a header, then rows under it.
pub struct Rows {
    header: Option<&'static [&'static str]>,
    /// How wide each column is so far: those of later parts are no narrower.
    widths: Vec<u16>,
}

impl Rows {
    /// A table of these columns.
    pub fn new(header: &'static [&'static str]) -> Self {
        Self { header: Some(header), widths: Vec::new() }
    }

    /// The next rows; the header stands before the first.
    pub fn page(&mut self, rows: Vec<Vec<String>>) -> String {
        let mut table = Table::new();
        if let Some(header) = self.header.take() {
            table.set_header(header);
        }
        table.add_rows(rows.into_iter().map(|row| row.iter().map(|cell| visible(cell)).collect::<Vec<_>>()));
        for (column, width) in table.column_iter_mut().zip(&self.widths) {
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width.saturating_add(GAP))));
        }
        self.widths.resize(table.column_count(), 0);
        for (width, of_page) in self.widths.iter_mut().zip(table.column_max_content_widths()) {
            *width = of_page.max(*width);
        }
        lines(table)
    }
}

/// Rows under a header, with figures from column `first` on, which end at one edge.
pub fn figures(header: Vec<String>, rows: Vec<Vec<String>>, first: usize) -> String {
    let mut table = Table::new();
    table
        .set_header(header)
        .add_rows(rows.into_iter().map(|row| row.iter().map(|cell| visible(cell)).collect::<Vec<_>>()));
    for column in table.column_iter_mut().skip(first) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    lines(table)
}

/// One object, a field a line; fields that are empty are left out.
pub fn fields(fields: &[(&str, String)]) -> String {
    let mut table = Table::new();
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        table.add_row([(*name).to_owned(), visible(value)]);
    }
    lines(table)
}

fn lines(mut table: Table) -> String {
    table.load_style(NOTHING);
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    table.trim_fmt() + "\n"
}

/// As RFC 3339 has it, to the second; `absent` if there is none.
pub fn time(at: Option<&Timestamp>, absent: &str) -> String {
    at.map_or_else(|| absent.to_owned(), |at| Timestamp { nanos: 0, ..*at }.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up_and_carry_no_control_characters() {
        let table = Rows::new(&["A", "BB"])
            .page(vec![vec!["x".into(), "y\u{1b}".into()], vec!["wide 語".into(), String::new()]]);
        assert_eq!(table, "A        BB\nx        y\\u{1b}\nwide 語\n");
        assert_eq!(fields(&[("Name", "n".into()), ("Gone", String::new()), ("A", "1".into())]), "Name  n\nA     1\n");
    }

    #[test]
    fn times_to_the_second() {
        assert_eq!(time(Some(&Timestamp { seconds: 1, nanos: 999_999_999 }), ""), "1970-01-01T00:00:01Z");
        assert_eq!(time(None, "never"), "never");
    }
}
