//! What one would write instead: what a request needs to know of a key, kept in Redis, and a GET for every request.
//!
//! It is helped where that is possible: nothing is written to disk, and calls share connections, so that many travel in
//! one packet.

use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, Client};

use crate::Error;
use crate::load::Recorder;
use crate::portcullis::Portcullis;
use crate::process::Process;
use crate::target::{Lane, Share, Target};
use crate::usage::Usage;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server with as many keys as Portcullis has.
pub struct Redis {
    process: Process,
    client: Client,
    keys: Arc<[String]>,
    value_len: usize,
}

impl Redis {
    /// Starts one and makes the keys; `None`: it is not installed.
    pub fn start(like: &Portcullis) -> Result<Option<Self>, Error> {
        // Somebody else may take the port in between; then nothing is measured.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new("redis-server");
        command.args(["--port", &address.port().to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no", "--loglevel", "warning"]);
        let process = match Process::start_at(address.to_string(), command) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            started => started?,
        };
        let client = Client::open(format!("redis://{address}"))?;
        let keys = like.keys.iter().map(|key| key.request.key.clone()).collect();
        let redis = Self { process, client, keys, value_len: like.response_len };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(redis.fill())?;
        Ok(Some(redis))
    }

    async fn fill(&self) -> Result<(), Error> {
        let began = Instant::now();
        let mut connection = loop {
            match self.client.get_multiplexed_async_connection().await {
                Ok(connection) => break connection,
                Err(error) if began.elapsed() > PATIENCE => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        for key in self.keys.iter() {
            let () = connection.set(key, "x".repeat(self.value_len)).await?;
        }
        Ok(())
    }
}

impl Target for Redis {
    type Lane = GetLane;

    fn name(&self) -> &'static str {
        "redis"
    }

    fn usage(&self) -> Result<Usage, Error> {
        self.process.usage()
    }

    async fn connect(&self, share: &Share) -> Result<Vec<GetLane>, Error> {
        let connection = self.client.get_multiplexed_async_connection().await?;
        let lane =
            |next| GetLane { connection: connection.clone(), keys: self.keys.clone(), value_len: self.value_len, next };
        Ok(share.beginnings(self.keys.len()).map(lane).collect())
    }
}

/// One GET after the other.
pub struct GetLane {
    connection: MultiplexedConnection,
    keys: Arc<[String]>,
    value_len: usize,
    next: usize,
}

impl Lane for GetLane {
    async fn turn(&mut self, recorder: &Recorder) -> Result<(), Error> {
        let began = Instant::now();
        let value: Vec<u8> = self.connection.get(&self.keys[self.next]).await?;
        recorder.done(began, 1);
        if value.len() != self.value_len {
            return Err("a value is not what it must be".into());
        }
        self.next = (self.next + 1) % self.keys.len();
        Ok(())
    }
}
