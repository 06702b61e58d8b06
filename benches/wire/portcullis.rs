//! The program that is measured, as it is released, with keys in it.

use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;

use crate::Error;
use crate::grpc::{CallError, Connection, Head, framed};
use crate::messages::{
    CreateApiKeyRequest, CreateApiKeyResponse, Credits, Duration, RateLimit, VerifyRequest, VerifyResponse,
};
use crate::options::{Options, Over};
use crate::postgres::cluster::Cluster;
use crate::process::Process;
use crate::store::{self, Store};

/// Where its hot path is.
pub const VERIFY: &str = "/portcullis.v1.VerificationService/Verify";
/// Where keys are made.
pub const CREATE: &str = "/portcullis.v1.ApiKeyService/CreateApiKey";
/// The status, as a number.
const UNIMPLEMENTED: &str = "12";
/// The first root key, as an operator would choose one.
const BOOTSTRAP_ROOT_KEY: &str = "the-benchmarks-chose-this-root-key-it-is-long-enough";
/// The rights of every key; the last one is what is asked for.
pub const SCOPES: [&str; 3] = ["customers:read", "invoices:read", "orders:read"];

/// A server over a store.
pub struct Portcullis {
    pub process: Process,
    /// A root key that may verify, and nothing else.
    pub root_key: String,
    pub keys: Arc<[Key]>,
    /// How long the answers to Verify are.
    pub response_len: usize,
    /// Kept as long as the server runs; `None`: somebody else keeps it.
    place: Option<Place>,
}

/// Where a store is.
pub enum Place {
    File(#[expect(dead_code, reason = "it goes when this is dropped")] tempfile::TempDir),
    Database(#[expect(dead_code, reason = "it goes when this is dropped")] Box<Cluster>),
}

impl Place {
    /// A new place for a store, and its URL.
    pub fn new(over: Over, runtime: &tokio::runtime::Runtime) -> Result<(Self, String), Error> {
        Ok(match over {
            Over::Sqlite => {
                let dir = tempfile::tempdir()?;
                let url = format!("sqlite://{}", dir.path().join("portcullis.db").display());
                (Self::File(dir), url)
            }
            Over::Postgres => {
                let cluster = Cluster::start();
                let url = runtime.block_on(cluster.fresh_database());
                (Self::Database(Box::new(cluster)), url)
            }
        })
    }
}

/// A key to verify.
pub struct Key {
    pub id: String,
    /// What is asked about it.
    pub request: VerifyRequest,
    /// What the answer must begin with: VALID, and the id of no other key.
    pub expected: Bytes,
}

impl Key {
    /// Checks an answer about it.
    pub fn check(&self, answer: &[u8]) -> Result<(), Error> {
        if answer.starts_with(&self.expected) { Ok(()) } else { Err("a verdict is not what it must be".into()) }
    }
}

impl Portcullis {
    /// Starts one and makes the keys.
    pub fn start(options: &Options) -> Result<Self, Error> {
        Self::start_with(options, &CreateApiKeyRequest::default())
    }

    /// The same with keys that have more than enough of a rate limit and of credits.
    pub fn start_limited(options: &Options) -> Result<Self, Error> {
        let window = Some(Duration { seconds: 1 });
        let limits = CreateApiKeyRequest {
            rate_limit: Some(RateLimit { limit: 1_000_000, window }),
            credits: Some(Credits { remaining: Some(1_000_000_000_000_000) }),
            ..Default::default()
        };
        Self::start_with(options, &limits)
    }

    fn start_with(options: &Options, like: &CreateApiKeyRequest) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (place, url) = Place::new(options.over, &runtime)?;
        let mut portcullis = Self::start_replica(options, &url, "measured")?;
        portcullis.place = Some(place);
        runtime.block_on(portcullis.fill(options.keys, like))?;
        Ok(portcullis)
    }

    /// Starts one over a store that has keys, with these options; the keys known by name are the first ones.
    pub fn start_over(store: &Store, options: &[&str], named: u64) -> Result<Self, Error> {
        let mut command = store.command();
        command.args(["serve", "--listen", "127.0.0.1:0", "--log", "error"]).args(options);
        let process = Process::start(command)?;
        let keys = (0..named).map(store::known).collect();
        Ok(Self { process, root_key: store::root_key(), keys, response_len: 0, place: None })
    }

    /// Starts one over a store that others may share.
    pub fn start_replica(options: &Options, url: &str, name: &str) -> Result<Self, Error> {
        let mut command = Command::new(options.program()?);
        command.env_clear().args(["serve", "--listen", "127.0.0.1:0", "--log", "error", "--auto-migrate"]);
        command.args(["--replica-name", name]).env("PORTCULLIS_DATABASE_URL", url);
        command.env("PORTCULLIS_BOOTSTRAP_ROOT_KEY", BOOTSTRAP_ROOT_KEY);
        let process = Process::start(command)?;
        let root_key = BOOTSTRAP_ROOT_KEY.to_owned();
        Ok(Self { process, root_key, keys: Arc::default(), response_len: 0, place: None })
    }

    /// Whether it has this method. One without gives the status UNIMPLEMENTED.
    pub fn has(&self, path: &str) -> Result<bool, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let head = Head::new(&self.process.address, path, &self.root_key)?;
        let empty = framed(&VerifyRequest::default());
        let answer =
            runtime.block_on(async { Connection::open(&self.process.address).await?.unary(&head, empty).await });
        let failed = answer.as_ref().err().and_then(|error| error.downcast_ref::<CallError>());
        Ok(failed.is_none_or(|error| error.code != UNIMPLEMENTED))
    }

    async fn fill(&mut self, keys: usize, like: &CreateApiKeyRequest) -> Result<(), Error> {
        let address = self.process.address.as_str();
        let mut connection = Connection::open(address).await?;
        let create = Head::new(address, CREATE, BOOTSTRAP_ROOT_KEY)?;
        let caller = CreateApiKeyRequest {
            keyspace: "system".into(),
            name: "benchmark".into(),
            subject: "svc_benchmark".into(),
            scopes: vec!["keys:verify".into()],
            ..Default::default()
        };
        self.root_key = secret(&connection.unary(&create, framed(&caller)).await?)?;
        let verify = Head::new(address, VERIFY, &self.root_key)?;
        let mut made = Vec::new();
        for number in 0..keys {
            let key = CreateApiKeyRequest {
                keyspace: "default".into(),
                name: format!("key {number}"),
                // Of one length, so that all answers are.
                subject: format!("user_{number:08}"),
                scopes: SCOPES.map(str::to_owned).to_vec(),
                ..like.clone()
            };
            let key = secret(&connection.unary(&create, framed(&key)).await?)?;
            let request = VerifyRequest { key, required_scopes: vec![SCOPES[SCOPES.len() - 1].into()] };
            let answer = connection.unary(&verify, framed(&request)).await?;
            let verdict = VerifyResponse::decode(answer.clone())?;
            if !verdict.valid || verdict.verdict != VerifyResponse::VALID || verdict.key_id.is_empty() {
                return Err("a new key is not valid".into());
            }
            let expected = answer.slice(..verdict.encoded_len());
            if expected != verdict.encode_to_vec() {
                return Err("a verdict does not begin with valid, verdict and key_id".into());
            }
            // What is left of a limit is a number of any length.
            if number > 0 && like.credits.is_none() && answer.len() != self.response_len {
                return Err("answers differ in length".into());
            }
            self.response_len = answer.len();
            made.push(Key { id: verdict.key_id, request, expected });
        }
        self.keys = made.into();
        Ok(())
    }
}

fn secret(answer: &Bytes) -> Result<String, Error> {
    Ok(CreateApiKeyResponse::decode(answer.clone())?.secret)
}
