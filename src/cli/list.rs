//! Lists: which part to show, and how it is written a page at a time.

use std::io::{self, ErrorKind, Write};

use clap::Args;
use prost::Message;

use super::exit::{Error, Exit};
use super::output::{Format, Out, Rows};
use super::terminal::{self, visible, visible_json};
use crate::grpc::json;

/// The largest page that the server gives; asking for as much saves calls when all pages are wanted.
const SIZE_MAX: i32 = 1_000;

/// The flags of every list.
#[derive(Args, Debug)]
pub struct Page {
    /// End after this many entries [default: show all]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "all")]
    limit: Option<u64>,
    /// Show one page of this many entries, up to 1000. With --all or --limit: how many each call asks for
    #[arg(long = "page-size", value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
    size: Option<i32>,
    /// Show the page after the one that gave this token; the other flags must be the same. With --all or --limit: go on
    /// from there
    #[arg(long = "page-token", value_name = "TOKEN")]
    token: Option<String>,
    /// Show all entries, as without --limit, --page-size and --page-token
    #[arg(long)]
    all: bool,
}

/// One page of a list.
pub trait ListPage: Message {
    /// The full name of its message. The first field of the message is the list.
    const NAME: &'static str;
    /// What it lists: "keys".
    const ENTRIES: &'static str;
    /// The columns of the table.
    const HEADER: &'static [&'static str];

    /// The rows of the table.
    fn rows(&self) -> Vec<Vec<String>>;

    /// For scripts: the ids.
    fn ids(&self) -> Vec<String>;

    /// The token of the next page; empty if this is the last.
    fn next_page_token(&self) -> &str;

    /// How many entries there are on all pages, if the server says so.
    fn total(&self) -> Option<String> {
        None
    }
}

impl Page {
    /// Shows one page if a page is asked for, else all of them, each as it arrives: `fetch` gets the size and the token
    /// of a page.
    pub async fn show<P: ListPage>(
        self,
        out: Out,
        fetch: impl AsyncFnMut(i32, String) -> Result<P, Error>,
    ) -> Result<Exit, Error> {
        if let Some(left_out) = self.write(out, &mut io::stdout(), fetch).await? {
            terminal::note(&left_out);
        }
        Ok(Exit::Done)
    }

    /// Returns what to say about entries that were left out.
    async fn write<P: ListPage>(
        self,
        out: Out,
        to: &mut impl Write,
        mut fetch: impl AsyncFnMut(i32, String) -> Result<P, Error>,
    ) -> Result<Option<String>, Error> {
        let is_one_page = !self.all && self.limit.is_none() && (self.size.is_some() || self.token.is_some());
        // 0 leaves it to the server.
        let page_size = self.size.unwrap_or(if is_one_page { 0 } else { SIZE_MAX });
        let mut token = self.token.unwrap_or_default();
        let mut list = Writer { out, to, table: Rows::new(P::HEADER), is_begun: false, count: 0 };
        loop {
            let left = self.limit.map(|limit| limit - list.count);
            let size = left.and_then(|left| i32::try_from(left).ok()).map_or(page_size, |left| left.min(page_size));
            let page = fetch(size, std::mem::take(&mut token)).await?;
            let written = list.page(&page).and_then(|()| {
                page.next_page_token().clone_into(&mut token);
                let is_last = token.is_empty() || is_one_page || self.limit.is_some_and(|limit| list.count >= limit);
                if is_last { list.end(&page).map(|()| true) } else { Ok(false) }
            });
            match written {
                Ok(false) => {}
                Ok(true) => return Ok((!token.is_empty()).then(|| list.left_out(&page))),
                // The reader closed the pipe (`| head`): it has read enough.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(None),
                Err(error) => return Err(Error::Failed(format!("cannot write to stdout: {error}"))),
            }
        }
    }
}

/// Writes a list, a page at a time.
struct Writer<'a, W> {
    out: Out,
    to: &'a mut W,
    table: Rows,
    is_begun: bool,
    /// How many entries are written.
    count: u64,
}

impl<W: Write> Writer<'_, W> {
    /// Writes the entries of `page`.
    fn page<P: ListPage>(&mut self, page: &P) -> io::Result<()> {
        let ids = page.ids();
        let text = match self.out.format {
            _ if self.out.quiet => ids.iter().flat_map(|id| [visible(id), "\n".to_owned()]).collect(),
            Format::Table if ids.is_empty() => String::new(),
            Format::Table => self.table.page(page.rows()),
            Format::Json => visible_json(&self.json_entries(page)),
        };
        self.is_begun = true;
        self.count += ids.len() as u64;
        self.to.write_all(text.as_bytes())?;
        self.to.flush()
    }

    /// Writes what stands behind the entries; `page` is the last.
    fn end<P: ListPage>(&mut self, page: &P) -> io::Result<()> {
        let place = if page.next_page_token().is_empty() { "" } else { " on this page" };
        let text = match self.out.format {
            _ if self.out.quiet => String::new(),
            Format::Table if self.count == 0 => format!("no {}{place}\n", P::ENTRIES),
            Format::Table => String::new(),
            Format::Json => {
                let document = json::pretty(P::NAME, page);
                let [_, _, behind] = parts_of(&document);
                visible_json(&format!("{}]{behind}", if self.count == 0 { "" } else { "\n  " }))
            }
        };
        self.to.write_all(text.as_bytes())?;
        self.to.flush()
    }

    /// The part of the document that this page adds: one document for all pages.
    fn json_entries<P: ListPage>(&self, page: &P) -> String {
        let document = json::pretty(P::NAME, page);
        let [before, entries, _] = parts_of(&document);
        let separator = if entries.is_empty() || self.count == 0 { "" } else { "," };
        format!("{}{separator}{entries}", if self.is_begun { "" } else { before })
    }

    fn left_out<P: ListPage>(&self, page: &P) -> String {
        let count = match page.total() {
            Some(total) => format!("{} of {total} {}", self.count, P::ENTRIES),
            None => format!("{} {}", self.count, P::ENTRIES),
        };
        let token = page.next_page_token();
        format!("{count}; there are more: --all shows them, --page-token {token} goes on")
    }
}

/// A document whose first field is a list, as three parts: up to the `[`, the entries, and from behind the `]` on. Strings of
/// JSON have no line ends, so only the end of the list looks as it does.
fn parts_of(document: &str) -> [&str; 3] {
    let at = document.find('[').expect("the first field is a list") + 1;
    let (before, rest) = document.split_at(at);
    let end = if rest.starts_with(']') { "]" } else { "\n  ]" };
    let (entries, behind) = rest.split_once(end).expect("a list has an end");
    [before, entries, behind]
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::Value;

    use super::*;
    use crate::grpc::pb::{ApiKey, ListApiKeysResponse};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        page: Page,
    }

    const TABLE: Out = Out { format: Format::Table, quiet: false };
    const JSON: Out = Out { format: Format::Json, quiet: false };
    const QUIET: Out = Out { format: Format::Table, quiet: true };

    fn page_of(args: &[&str]) -> Page {
        Line::try_parse_from(["list"].iter().chain(args)).unwrap().page
    }

    /// What a server with `count` keys answers: names get longer, so that later pages are wider.
    fn answer(count: usize, size: i32, token: &str) -> ListApiKeysResponse {
        let size = if size == 0 { 50 } else { usize::try_from(size).unwrap().min(SIZE_MAX as usize) };
        let from: usize = token.parse().unwrap_or(0);
        let until = count.min(from + size);
        let key = |n: usize| ApiKey { id: format!("key_{n}"), name: "n]".repeat(n / 50), ..ApiKey::default() };
        ListApiKeysResponse {
            api_keys: (from..until).map(key).collect(),
            next_page_token: if until < count { until.to_string() } else { String::new() },
            total_size: i64::try_from(count).unwrap(),
            ..ListApiKeysResponse::default()
        }
    }

    /// What is written of a list of `count`, and what is said to be left out.
    async fn listed(args: &[&str], out: Out, count: usize) -> (String, Option<String>) {
        let mut text = Vec::new();
        let left_out =
            page_of(args).write(out, &mut text, async |size, token| Ok(answer(count, size, &token))).await.unwrap();
        (String::from_utf8(text).unwrap(), left_out)
    }

    #[tokio::test]
    async fn all_is_shown_unless_less_is_asked_for() {
        let quiet = async |args: &[&str], count| {
            let (text, left_out) = listed(args, QUIET, count).await;
            (text.lines().count(), left_out)
        };
        for args in [&[][..], &["--all"], &["--page-size", "7", "--all"], &["--limit", "9999"]] {
            for count in [0, 1, 120, 2_345] {
                assert_eq!(quiet(args, count).await, (count, None), "{args:?}");
            }
        }
        let said = async |args: &[&str]| {
            let (count, left_out) = quiet(args, 120).await;
            (count, left_out.expect("something is left out"))
        };
        let (count, note) = said(&["--limit", "70"]).await;
        assert!(count == 70 && note.starts_with("70 of 120 keys; ") && note.contains("--page-token 70 "), "{note}");
        assert_eq!(quiet(&["--limit", "50", "--page-token", "70"], 120).await, (50, None));
        assert_eq!(said(&["--limit", "70", "--page-size", "30"]).await.0, 70);
        assert_eq!(said(&["--page-size", "7"]).await.0, 7);
        assert_eq!(said(&["--page-token", "7"]).await.0, 50);
        assert_eq!(quiet(&["--page-token", "100"], 120).await, (20, None));
    }

    #[tokio::test]
    async fn json_is_one_document_however_many_pages() {
        for (args, count, shown, token) in [
            (&[][..], 0, 0, ""),
            (&[], 120, 120, ""),
            (&["--page-size", "7", "--all"], 120, 120, ""),
            (&["--limit", "70"], 120, 70, "70"),
            (&["--page-size", "50"], 120, 50, "50"),
        ] {
            let (text, _) = listed(args, JSON, count).await;
            let json: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            assert_eq!(json["apiKeys"].as_array().unwrap().len(), shown, "{args:?}");
            assert_eq!((&json["nextPageToken"], &json["totalSize"]), (&token.into(), &count.to_string().into()));
        }
        let whole = json::pretty(ListApiKeysResponse::NAME, &answer(120, 1_000, ""));
        for size in ["1", "50", "1000"] {
            assert_eq!(listed(&["--all", "--page-size", size], JSON, 120).await.0, whole);
        }
    }

    #[tokio::test]
    async fn tables_have_one_header_and_columns_that_do_not_shrink() {
        let (table, _) = listed(&["--all", "--page-size", "50"], TABLE, 120).await;
        assert_eq!((table.lines().count(), table.matches("NAME").count()), (121, 1), "{table}");
        assert!(table.starts_with("ID      NAME  "), "{table}");
        assert!(table.contains("\nkey_119  n]n]"), "{table}");
        assert_eq!(listed(&[], TABLE, 0).await.0, "no keys\n");
        assert_eq!(listed(&["--page-token", "1"], TABLE, 1).await.0, "no keys\n");
    }

    /// Takes so many bytes.
    struct Pipe(usize);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn pages_are_written_as_they_arrive_until_the_reader_has_read_enough() {
        let mut asked = 0;
        let fetch = async |size, token: String| {
            asked += 1;
            Ok(answer(1_000_000, size, &token))
        };
        let left_out = page_of(&["--all", "--page-size", "10"]).write(QUIET, &mut Pipe(100), fetch).await.unwrap();
        assert_eq!((left_out, asked), (None, 2));
    }
}
