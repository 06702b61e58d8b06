//! Connections by the thousand: such as verify one key and stay, and such as never say anything.

use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::Error;
use crate::bystander::{self, Bystander, KEYS};
use crate::grpc::{Connection, Head, framed};
use crate::options::{Mode, Options};
use crate::portcullis::{Portcullis, VERIFY};
use crate::report::{Figure, Report, mib};
use crate::store::{self, Store};

/// So many connect at once.
const AT_ONCE: usize = 128;
/// Files that are open besides.
const OTHER_FILES: u64 = 100;
/// How long the server may take to notice that they went.
const FAREWELL: Duration = Duration::from_secs(1);
/// Whoever says nothing must be gone by then; the server says after ten seconds.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// While some say nothing, a new caller comes as often.
const NEW_CALLER_INTERVAL: Duration = Duration::from_millis(100);

/// First those that stay, then those that say nothing.
pub fn measure(options: &Options, report: &mut Report) -> Result<(), Error> {
    allow_files(options.open_connections.max(options.silent_connections) as u64 + OTHER_FILES)?;
    let store = Store::with(options, KEYS)?;
    let portcullis = Portcullis::start_over(&store, &[], KEYS)?;
    let bystander = Bystander::new(&portcullis, options)?;
    // Connections live on a thread of their own, and answer pings there.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    open(options, &portcullis, &bystander, &runtime, report)?;
    silent(options, &portcullis, &runtime, report)
}

/// Raises the limit as far as is needed. The server has its own, as far as it can be raised.
fn allow_files(needed: u64) -> Result<(), Error> {
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        return Err(format!("{needed} open files are needed, and ulimit -Hn allows fewer").into());
    }
    if limit.current.is_some_and(|current| current < needed) {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a rounded figure is what is wanted")]
fn open(
    options: &Options,
    portcullis: &Portcullis,
    bystander: &Bystander<'_>,
    runtime: &Runtime,
    report: &mut Report,
) -> Result<(), Error> {
    let count = options.open_connections;
    let rss_bytes = || Ok::<_, Error>(portcullis.process.usage()?.rss_bytes);
    let alone = bystander.alone()?;
    let before = rss_bytes()?;
    let began = Instant::now();
    let (beside_opening, held) = bystander.beside(|| runtime.block_on(callers(portcullis, count)))?;
    let opened_in = began.elapsed();
    let during = rss_bytes()?;
    let beside_open = bystander.alone()?;
    let still_open = runtime.block_on(verify_on_all(portcullis, held))?;
    std::thread::sleep(FAREWELL);

    let mut figures = vec![
        Figure::new("still open at the end", still_open as f64, 0),
        Figure::new("opening them, s", opened_in.as_secs_f64(), 1),
        Figure::new("memory before, MiB", mib(before), 1),
        Figure::new("memory with all open, MiB", mib(during), 1),
        Figure::new("memory for each, KiB", during.saturating_sub(before) as f64 / count as f64 / 1024.0, 1),
        Figure::new("memory after they went, MiB", mib(rss_bytes()?), 1),
    ];
    figures.extend(bystander::figures("alone", &alone));
    figures.extend(bystander::figures("while they come", &beside_opening));
    figures.extend(bystander::figures("with all open", &beside_open));
    figures.push(bystander::ratio("with all open to alone", &beside_open, &alone));
    report.figures(Mode::Connections, &format!("{count} connections that verify one key and stay"), &figures)
}

/// So many connections, each of which has verified a key.
async fn callers(portcullis: &Portcullis, count: usize) -> Result<Vec<Connection>, Error> {
    let mut callers = JoinSet::new();
    let mut open = Vec::with_capacity(count);
    for number in 0..count {
        if callers.len() == AT_ONCE {
            open.extend(callers.join_next().await.transpose()?.transpose()?);
        }
        callers.spawn(caller(portcullis.process.address.clone(), portcullis.root_key.clone(), number as u64 % KEYS));
    }
    while let Some(caller) = callers.join_next().await {
        open.push(caller??);
    }
    Ok(open)
}

/// Connects and verifies a key.
async fn caller(address: String, root_key: String, number: u64) -> Result<Connection, Error> {
    let mut connection = Connection::open(&address).await?;
    verify(&mut connection, &address, &root_key, number).await?;
    Ok(connection)
}

async fn verify(connection: &mut Connection, address: &str, root_key: &str, number: u64) -> Result<(), Error> {
    let key = store::known(number);
    key.check(&connection.unary(&Head::new(address, VERIFY, root_key)?, framed(&key.request)).await?)
}

/// Verifies a key on each once more, and lets them go. How many there were: one that the server had let go fails.
async fn verify_on_all(portcullis: &Portcullis, held: Vec<Connection>) -> Result<usize, Error> {
    let count = held.len();
    for mut connection in held {
        verify(&mut connection, &portcullis.process.address, &portcullis.root_key, 0).await?;
    }
    Ok(count)
}

fn silent(options: &Options, portcullis: &Portcullis, runtime: &Runtime, report: &mut Report) -> Result<(), Error> {
    let count = options.silent_connections;
    let (gone, served) = runtime.block_on(async {
        let mut silent = JoinSet::new();
        for _ in 0..count {
            silent.spawn(until_gone(TcpStream::connect(&portcullis.process.address).await?));
        }
        let mut served = Vec::new();
        let mut gone = Vec::new();
        while !silent.is_empty() {
            let began = Instant::now();
            caller(portcullis.process.address.clone(), portcullis.root_key.clone(), 0).await?;
            served.push(began.elapsed());
            tokio::time::sleep(NEW_CALLER_INTERVAL).await;
            while let Some(ended) = silent.try_join_next() {
                gone.extend(ended?);
            }
        }
        Ok::<_, Error>((gone, served))
    })?;
    let seconds = |time: Option<&Duration>| time.map_or(f64::NAN, Duration::as_secs_f64);
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let figures = [
        Figure::new("of them let go", number(gone.len()), 0),
        Figure::new("the first after, s", seconds(gone.iter().min()), 2),
        Figure::new("the last after, s", seconds(gone.iter().max()), 2),
        Figure::new("new callers served meanwhile", number(served.len()), 0),
        Figure::new("the slowest of them, ms", seconds(served.iter().max()) * 1e3, 1),
    ];
    report.figures(Mode::Connections, &format!("{count} connections that say nothing"), &figures)?;
    if gone.len() < count { Err("some that say nothing are not let go".into()) } else { Ok(()) }
}

/// How long the server bears a connection that says nothing; `None`: too long.
async fn until_gone(mut stream: TcpStream) -> Option<Duration> {
    let began = Instant::now();
    let mut said = [0; 1024];
    // What a server says first is not looked at.
    let gone = async { while matches!(stream.read(&mut said).await, Ok(1..)) {} };
    tokio::time::timeout(SILENCE_MAX, gone).await.ok().map(|()| began.elapsed())
}
