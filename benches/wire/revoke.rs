//! How long a revocation takes until it is answered, and so holds on every replica; beside it, in the same seconds, a bare
//! one-row `UPDATE` of the same database, as what a revocation cannot be cheaper than.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use prost::Message as _;
use rustix::process::Signal;
use sqlx::{Connection as _, PgConnection};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::Error;
use crate::grpc::{Connection, Head, framed};
use crate::load::{Load, Sample, latencies};
use crate::messages::{CreateApiKeyRequest, MadeApiKey, RevokeApiKeyRequest, VerifyRequest, VerifyResponse};
use crate::options::{Mode, Options};
use crate::portcullis::{CREATE, Key, Portcullis, SCOPES, VERIFY};
use crate::postgres::cluster::Cluster;
use crate::report::{Figure, Report};
use crate::unary::Unary;

const REVOKE: &str = "/portcullis.v1.ApiKeyService/RevokeApiKey";
/// Keys that are verified all the while.
const BYSTANDERS: usize = 1_000;
/// Revocations in a second that one replica shall sustain.
const SUSTAINED: u32 = 1_000;
/// For how many seconds.
const SUSTAINED_SECONDS: u32 = 10;
/// Keys that are made at once.
const MADE_AT_ONCE: usize = 32;
/// Revocations after the first one while a replica is stopped.
const AFTER_STOP: usize = 30;
/// Longer takes nothing that is measured here.
const TIME_MAX: Duration = Duration::from_mins(10);

/// Replicas that share a database.
struct Fleet {
    replicas: Vec<Portcullis>,
    url: String,
    runtime: Runtime,
    /// Dropped after the replicas.
    _cluster: Cluster,
}

/// What revocations took, and bare commits beside them.
struct Measured {
    revocations: Histogram<u64>,
    commits: Histogram<u64>,
}

pub fn measure(options: &Options, report: &mut Report) -> Result<(), Error> {
    let fleet = Fleet::start(options)?;
    let load = Load { duration: Duration::ZERO, in_flight: 128, connections: 4, threads: 1 };
    let count = options.revocations * options.revoke_seconds;
    let mut figures = Vec::new();

    let ids = fleet.take(count as usize)?;
    figures.extend(fleet.paced(&ids, options.revocations)?.figures("nobody else calling"));

    let ids = fleet.take(count as usize)?;
    let verify = Unary::verify(&fleet.replicas[0])?;
    let (beside, measured) = load.during(&verify, TIME_MAX, || fleet.paced(&ids, options.revocations))?;
    figures.extend(measured.figures("beside Verify at full rate"));
    figures.push(Figure::new("verifications/s beside them", per_second(&beside), 0));

    let ids = fleet.take((SUSTAINED * SUSTAINED_SECONDS) as usize)?;
    let began = Instant::now();
    let sustained = fleet.runtime.block_on(paced(&fleet.replicas[..1], &ids, SUSTAINED))?;
    let rate = f64::from(SUSTAINED * SUSTAINED_SECONDS) / began.elapsed().as_secs_f64();
    figures.push(Figure::new(format!("revocations/s through one replica, {SUSTAINED} asked for"), rate, 0));
    figures.extend(quantiles("revocation, sustained", &sustained));

    figures.extend(stopped(&fleet, &load)?);
    let title = format!(
        "{} replicas, {} revocations/s for {} s each",
        options.replicas, options.revocations, options.revoke_seconds
    );
    report.figures(Mode::Revoke, &title, &figures)
}

/// What one replica costs that is stopped: the others go on, and verify.
fn stopped(fleet: &Fleet, load: &Load) -> Result<Vec<Figure>, Error> {
    let ids = fleet.take(AFTER_STOP + 1)?;
    let verify = Unary::verify(&fleet.replicas[0])?;
    let alone = Load { duration: Duration::from_secs(3), ..*load }.run(&verify)?;
    let last = fleet.replicas.last().ok_or("no replica")?;
    last.process.signal(Signal::STOP)?;
    let one_by_one = || {
        fleet.runtime.block_on(async {
            let mut took = Vec::new();
            for id in &ids {
                took.push(paced(&fleet.replicas[..1], std::slice::from_ref(id), SUSTAINED).await?.max());
                sleep(Duration::from_millis(100)).await;
            }
            Ok(took)
        })
    };
    let (beside, took) = load.during(&verify, TIME_MAX, one_by_one)?;
    last.process.signal(Signal::CONT)?;
    let mut rest = took[2..].to_vec();
    rest.sort_unstable();
    let middle = rest[rest.len() / 2];
    let p99 = |sample: &Sample| ms(sample.latencies.value_at_quantile(0.99));
    Ok(vec![
        Figure::new("a replica stopped: the first revocation, ms", ms(took[0]), 1),
        Figure::new("a replica stopped: the second, ms", ms(took[1]), 1),
        Figure::new("a replica stopped: the median of the rest, ms", ms(middle), 1),
        Figure::new("a replica stopped: Verify p99 of the others to before", p99(&beside) / p99(&alone), 2),
        Figure::new(
            "a replica stopped: Verify of the others to before, calls",
            per_second(&beside) / per_second(&alone),
            2,
        ),
    ])
}

impl Fleet {
    fn start(options: &Options) -> Result<Self, Error> {
        let cluster = Cluster::start();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let url = runtime.block_on(cluster.fresh_database());
        let start = |number| Portcullis::start_replica(options, &url, &format!("replica {number}"));
        let mut replicas = (0..options.replicas).map(start).collect::<Result<Vec<_>, _>>()?;
        let made = runtime.block_on(make(&replicas[0], BYSTANDERS))?;
        let keys: Arc<[Key]> = runtime.block_on(known(&replicas[0], made))?.into();
        for replica in &mut replicas {
            replica.keys = keys.clone();
        }
        Ok(Self { replicas, url, runtime, _cluster: cluster })
    }

    /// New keys, to be revoked: their ids.
    fn take(&self, count: usize) -> Result<Vec<String>, Error> {
        let made = self.runtime.block_on(make(&self.replicas[0], count))?;
        Ok(made.into_iter().map(|made| made.id).collect())
    }

    /// Revokes through the replicas in turn, and commits as often.
    fn paced(&self, ids: &[String], per_second: u32) -> Result<Measured, Error> {
        self.runtime.block_on(async {
            let commits = commits(&self.url, ids.len(), per_second);
            let (revocations, commits) = tokio::join!(paced(&self.replicas, ids, per_second), commits);
            Ok(Measured { revocations: revocations?, commits: commits? })
        })
    }
}

impl Measured {
    fn figures(&self, when: &str) -> Vec<Figure> {
        let mut figures = quantiles(&format!("revocation, {when}"), &self.revocations);
        figures.extend(quantiles(&format!("bare commit, {when}"), &self.commits));
        let median = |of: &Histogram<u64>| ms(of.value_at_quantile(0.5));
        let ratio = median(&self.revocations) / median(&self.commits);
        figures.push(Figure::new(format!("revocation to commit at the median, {when}"), ratio, 2));
        figures
    }
}

fn quantiles(what: &str, latencies: &Histogram<u64>) -> Vec<Figure> {
    let quantile = |name: &str, at| Figure::new(format!("{what}, {name}, ms"), ms(latencies.value_at_quantile(at)), 2);
    vec![quantile("p50", 0.5), quantile("p99", 0.99), quantile("most", 1.0)]
}

/// Revokes these through the replicas in turn, so many a second whether or not those before have been answered.
async fn paced(replicas: &[Portcullis], ids: &[String], per_second: u32) -> Result<Histogram<u64>, Error> {
    let mut ways = Vec::new();
    for replica in replicas {
        let address = &replica.process.address;
        ways.push((Connection::open(address).await?, Head::new(address, REVOKE, &replica.root_key)?));
    }
    let mut calls = JoinSet::new();
    let mut tick = interval(Duration::from_secs(1) / per_second);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for (number, id) in ids.iter().enumerate() {
        tick.tick().await;
        let (mut connection, head) = ways[number % ways.len()].clone();
        let request = framed(&RevokeApiKeyRequest { id: id.clone() });
        calls.spawn(async move {
            let began = Instant::now();
            connection.unary(&head, request).await?;
            Ok::<_, Error>(began.elapsed())
        });
    }
    let mut took = latencies();
    while let Some(call) = calls.join_next().await {
        record(&mut took, call??);
    }
    Ok(took)
}

/// Changes one row, so many times a second, one after the other.
async fn commits(url: &str, count: usize, per_second: u32) -> Result<Histogram<u64>, Error> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS bare (id int PRIMARY KEY, n bigint NOT NULL);
         INSERT INTO bare VALUES (1, 0) ON CONFLICT (id) DO NOTHING",
    )
    .execute(&mut connection)
    .await?;
    let mut took = latencies();
    let mut tick = interval(Duration::from_secs(1) / per_second);
    for _ in 0..count {
        tick.tick().await;
        let began = Instant::now();
        sqlx::query("UPDATE bare SET n = n + 1 WHERE id = $1").bind(1).execute(&mut connection).await?;
        record(&mut took, began.elapsed());
    }
    Ok(took)
}

/// A key that was made.
struct Made {
    id: String,
    secret: String,
}

async fn make(replica: &Portcullis, count: usize) -> Result<Vec<Made>, Error> {
    let address = &replica.process.address;
    let connection = Connection::open(address).await?;
    let head = Head::new(address, CREATE, &replica.root_key)?;
    let mut calls = JoinSet::new();
    let mut made = Vec::new();
    for number in 0..count {
        if calls.len() == MADE_AT_ONCE {
            made.push(calls.join_next().await.ok_or("no call")???);
        }
        let (mut connection, head) = (connection.clone(), head.clone());
        calls.spawn(async move {
            let request = CreateApiKeyRequest {
                keyspace: "default".into(),
                name: format!("key {number}"),
                subject: format!("user_{number:08}"),
                scopes: SCOPES.map(str::to_owned).to_vec(),
                ..Default::default()
            };
            let answer = MadeApiKey::decode(connection.unary(&head, framed(&request)).await?)?;
            let id = answer.api_key.ok_or("no key was made")?.id;
            Ok::<_, Error>(Made { id, secret: answer.secret })
        });
    }
    while let Some(call) = calls.join_next().await {
        made.push(call??);
    }
    Ok(made)
}

/// The keys as they are verified, each once now.
async fn known(replica: &Portcullis, made: Vec<Made>) -> Result<Vec<Key>, Error> {
    let address = &replica.process.address;
    let mut connection = Connection::open(address).await?;
    let head = Head::new(address, VERIFY, &replica.root_key)?;
    let mut keys = Vec::new();
    for Made { id, secret } in made {
        let request = VerifyRequest { key: secret, required_scopes: vec![SCOPES[SCOPES.len() - 1].into()] };
        connection.unary(&head, framed(&request)).await?;
        let expected = VerifyResponse { valid: true, verdict: VerifyResponse::VALID, key_id: id.clone() };
        keys.push(Key { id, request, expected: Bytes::from(expected.encode_to_vec()) });
    }
    Ok(keys)
}

fn record(latencies: &mut Histogram<u64>, took: Duration) {
    latencies.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
}

#[expect(clippy::cast_precision_loss, reason = "a rounded figure is what is wanted")]
fn ms(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "a rounded figure is what is wanted")]
fn per_second(sample: &Sample) -> f64 {
    sample.keys as f64 / sample.elapsed.as_secs_f64()
}
