//! The service under test, in this process, over a real store and a real socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::{Clock, SystemClock};
use portcullis::config::{Flags, StoreFlags};
use portcullis::grpc::pb::api_key_service_client::ApiKeyServiceClient;
use portcullis::grpc::pb::audit_service_client::AuditServiceClient;
use portcullis::grpc::pb::keyspace_service_client::KeyspaceServiceClient;
use portcullis::grpc::pb::replica_service_client::ReplicaServiceClient;
use portcullis::grpc::pb::usage_service_client::UsageServiceClient;
use portcullis::grpc::pb::verification_service_client::VerificationServiceClient;
use portcullis::grpc::pb::{self, CreateApiKeyRequest, Verdict, VerifyRequest, VerifyResponse};
use portcullis::key::verifier::sha256;
use portcullis::manage::Bootstrap;
use portcullis::server::{Server, ServerError};
use portcullis::verify::Verifier;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::backend::{Backend, Fixture};
use super::http::Http;

/// How long a test waits for what must come: far longer than it takes, so that load does not matter.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Asks again until the answer is there.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asked = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    in_time(what, asked).await
}

/// Waits for what must come.
pub async fn in_time<T>(what: &str, awaited: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, awaited).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// A running service.
pub struct Service {
    /// Its store lives as long as it does.
    fixture: Fixture,
    /// Where it listens.
    pub addr: SocketAddr,
    /// Where it serves metrics, if it does.
    pub metrics_addr: Option<SocketAddr>,
    pub channel: Channel,
    /// The first root key.
    pub root_key: String,
    /// What verifies within: for its counters.
    pub verifier: Arc<Verifier>,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<Result<(), ServerError>>>,
}

impl Service {
    pub async fn start(backend: Backend) -> Self {
        Self::start_with(backend, Arc::new(SystemClock)).await
    }

    pub async fn start_with(backend: Backend, clock: Arc<dyn Clock>) -> Self {
        Self::start_on(Fixture::new(backend).await, clock, None).await
    }

    /// With a first root key that the operator chose.
    pub async fn start_supplied(backend: Backend, root_key: &str) -> Self {
        Self::start_supplied_with(backend, root_key, Arc::new(SystemClock)).await
    }

    pub async fn start_supplied_with(backend: Backend, root_key: &str, clock: Arc<dyn Clock>) -> Self {
        Self::start_on(Fixture::new(backend).await, clock, Some(root_key.to_owned())).await
    }

    /// With settings, of which the store's and the address are ours.
    pub async fn start_set(backend: Backend, flags: Flags) -> Self {
        Self::start_as(Fixture::new(backend).await, Arc::new(SystemClock), None, flags).await
    }

    /// Another over the same store.
    pub async fn start_beside(&self, flags: Flags) -> Self {
        Self::start_as(self.fixture.beside(), Arc::new(SystemClock), Some(self.root_key.clone()), flags).await
    }

    async fn start_on(fixture: Fixture, clock: Arc<dyn Clock>, supplied: Option<String>) -> Self {
        Self::start_as(fixture, clock, supplied, Flags::default()).await
    }

    async fn start_as(fixture: Fixture, clock: Arc<dyn Clock>, supplied: Option<String>, flags: Flags) -> Self {
        let store = StoreFlags {
            database_url: Some(fixture.url.clone()),
            auto_migrate: Some("true".into()),
            ..StoreFlags::default()
        };
        let flags = Flags { listen: Some("127.0.0.1:0".into()), store, ..flags };
        let config = flags.resolve(supplied.clone()).expect("good settings");
        let listener = TcpListener::bind(config.listen).await.expect("a free port");
        let server = Server::open(config, listener, clock, std::future::pending()).await.expect("a server");
        let root_key = match server.bootstrap() {
            Bootstrap::Made(secret) => secret.expose().to_owned(),
            Bootstrap::Supplied => supplied.expect("it was supplied"),
            Bootstrap::Done => supplied.expect("the root key of a store that is not new"),
        };
        let (addr, metrics_addr, verifier) = (server.addr(), server.metrics_addr(), server.verifier().clone());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async {
            // Dropping the service ends it too.
            let _ = stopped.await;
            false
        }));
        let channel = connect(addr).await;
        Self { fixture, addr, metrics_addr, channel, root_key, verifier, stop: Some(stop), running: Some(running) }
    }

    /// The value of a metric that counts, by its name and labels as they are written.
    pub async fn metric(&self, name: &str) -> usize {
        let addr = self.metrics_addr.expect("it was told where to serve metrics");
        let page = Http::connect(addr).await.call("GET", "/metrics", &[], b"").await.body;
        let page = String::from_utf8(page).expect("text");
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{page}")).parse().expect("a number")
    }

    /// Where its store is.
    pub fn database_url(&self) -> &str {
        &self.fixture.url
    }

    /// Runs SQL behind the service's back.
    pub async fn execute(&self, sql: &str) {
        self.fixture.execute(sql).await;
    }

    /// A caller with the first root key, on a connection of its own.
    pub async fn admin_elsewhere(&self) -> Caller {
        Caller::with(&connect(self.addr).await, &self.root_key)
    }

    /// Over a store that may have been served before, with the root key that it had then.
    pub async fn start_over(fixture: Fixture, root_key: Option<String>) -> Self {
        Self::start_on(fixture, Arc::new(SystemClock), root_key).await
    }

    /// The same by this clock.
    pub async fn start_over_with(fixture: Fixture, root_key: Option<String>, clock: Arc<dyn Clock>) -> Self {
        Self::start_on(fixture, clock, root_key).await
    }

    /// Ends the service in order.
    pub async fn stop(self) {
        self.stop_and_keep().await;
    }

    /// The same, and leaves its store.
    pub async fn stop_and_keep(mut self) -> Fixture {
        self.stop.take().map(|stop| stop.send(()));
        self.running.take().expect("it runs").await.expect("no panic").expect("a quiet end");
        self.fixture
    }

    /// Waits until the service ends by itself: how it ended, and its store.
    pub async fn ended(mut self) -> (Result<(), ServerError>, Fixture) {
        let running = self.running.take().expect("it runs");
        (in_time("the end of the service", running).await.expect("no panic"), self.fixture)
    }

    /// A caller with the first root key.
    pub fn admin(&self) -> Caller {
        self.caller(&self.root_key)
    }

    /// A caller with some credential.
    pub fn caller(&self, credential: &str) -> Caller {
        Caller::with(&self.channel, credential)
    }

    /// A caller with no credential.
    pub fn stranger(&self) -> Caller {
        Caller::new(&self.channel, &Bearer(None))
    }

    /// A caller with a new root key that has these permissions.
    pub async fn caller_with(&self, permissions: &[&str]) -> Caller {
        self.caller(&self.root_key_with(permissions).await)
    }

    /// A new root key that has these permissions.
    pub async fn root_key_with(&self, permissions: &[&str]) -> String {
        let request = CreateApiKeyRequest {
            keyspace: "system".into(),
            scopes: permissions.iter().map(ToString::to_string).collect(),
            ..new_key("caller")
        };
        self.admin().keys.create_api_key(request).await.expect("a root key").into_inner().secret
    }
}

async fn connect(addr: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{addr}")).expect("an address").connect().await.expect("it listens")
}

/// The clients of every service, with one credential.
#[derive(Clone)]
pub struct Caller {
    /// The connection with the credential, for any other client.
    pub channel: Authorized,
    pub keys: ApiKeyServiceClient<Authorized>,
    pub keyspaces: KeyspaceServiceClient<Authorized>,
    pub verification: VerificationServiceClient<Authorized>,
    pub audit: AuditServiceClient<Authorized>,
    pub replicas: ReplicaServiceClient<Authorized>,
    pub usage: UsageServiceClient<Authorized>,
}

/// A connection that says the credential with each call.
pub type Authorized = InterceptedService<Channel, Bearer>;

impl Caller {
    /// A caller with some credential.
    pub fn with(channel: &Channel, credential: &str) -> Self {
        Self::new(channel, &Bearer(Some(format!("Bearer {credential}").parse().expect("a header"))))
    }

    fn new(channel: &Channel, bearer: &Bearer) -> Self {
        let (channel, bearer) = (|| channel.clone(), || bearer.clone());
        Self {
            channel: InterceptedService::new(channel(), bearer()),
            keys: ApiKeyServiceClient::with_interceptor(channel(), bearer()),
            keyspaces: KeyspaceServiceClient::with_interceptor(channel(), bearer()),
            verification: VerificationServiceClient::with_interceptor(channel(), bearer()),
            audit: AuditServiceClient::with_interceptor(channel(), bearer()),
            replicas: ReplicaServiceClient::with_interceptor(channel(), bearer()),
            usage: UsageServiceClient::with_interceptor(channel(), bearer()),
        }
    }

    /// Issues a key: the key and its secret.
    pub async fn create(&mut self, request: CreateApiKeyRequest) -> (pb::ApiKey, String) {
        let made = self.keys.create_api_key(request).await.expect("a key").into_inner();
        (made.api_key.expect("the key"), made.secret)
    }

    /// Imports a key of this secret by its digest.
    pub async fn import_digest(&mut self, secret: &str) {
        let (algorithm, value) = (pb::DigestAlgorithm::Sha256.into(), sha256(secret).as_bytes().to_vec());
        let entry = pb::ApiKeyImport {
            name: "imported".into(),
            subject: "user_1".into(),
            material: Some(pb::api_key_import::Material::Digest(pb::SecretDigest { algorithm, value })),
            ..Default::default()
        };
        let request = pb::ImportApiKeysRequest { keyspace: String::new(), entries: vec![entry], ..Default::default() };
        self.keys.import_api_keys(request).await.expect("imported");
    }

    /// Makes a keyspace with the default rules.
    pub async fn create_keyspace(&mut self, id: &str) -> pb::Keyspace {
        let keyspace = pb::Keyspace { id: id.into(), ..Default::default() };
        self.create_keyspace_of(keyspace).await
    }

    pub async fn create_keyspace_of(&mut self, keyspace: pb::Keyspace) -> pb::Keyspace {
        let request = pb::CreateKeyspaceRequest { keyspace: Some(keyspace) };
        self.keyspaces.create_keyspace(request).await.expect("a keyspace").into_inner().keyspace.expect("it")
    }

    /// The answer on a presented key.
    pub async fn verify(&mut self, key: &str) -> VerifyResponse {
        self.verify_of(VerifyRequest { key: key.into(), ..Default::default() }).await
    }

    pub async fn verify_of(&mut self, request: VerifyRequest) -> VerifyResponse {
        self.verification.verify(request).await.expect("a verdict").into_inner()
    }

    /// The verdict on a presented key, checked to agree with `valid`.
    pub async fn verdict(&mut self, key: &str) -> Verdict {
        let response = self.verify(key).await;
        assert_eq!(response.valid, response.verdict() == Verdict::Valid);
        response.verdict()
    }

    /// Revokes a key by its id.
    pub async fn revoke(&mut self, id: &str) -> pb::ApiKey {
        let target = Some(pb::revoke_api_key_request::Target::Id(id.into()));
        let request = pb::RevokeApiKeyRequest { target, ..Default::default() };
        self.keys.revoke_api_key(request).await.expect("revoked").into_inner().api_key.expect("the key")
    }

    /// Replaces the secret of a key: the new one. The old one works for `overlap_seconds` more, one before it no more.
    pub async fn rotate(&mut self, id: &str, overlap_seconds: i64) -> String {
        let overlap = Some(prost_types::Duration { seconds: overlap_seconds, nanos: 0 });
        let request = pb::RotateApiKeyRequest { id: id.into(), overlap, end_overlap: true };
        self.keys.rotate_api_key(request).await.expect("rotated").into_inner().secret
    }

    /// Changes the fields that `mask` names.
    pub async fn update(&mut self, key: pb::ApiKey, mask: &[&str]) -> Result<pb::ApiKey, Status> {
        let request =
            pb::UpdateApiKeyRequest { api_key: Some(key), update_mask: Some(field_mask(mask)), ..Default::default() };
        Ok(self.keys.update_api_key(request).await?.into_inner().api_key.expect("the key"))
    }

    /// The key of this id.
    pub async fn get(&mut self, id: &str) -> Result<pb::ApiKey, Status> {
        let request = pb::GetApiKeyRequest { id: id.into() };
        Ok(self.keys.get_api_key(request).await?.into_inner().api_key.expect("the key"))
    }
}

/// Puts a credential on every call.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// The smallest good request for a key.
pub fn new_key(name: &str) -> CreateApiKeyRequest {
    CreateApiKeyRequest { name: name.into(), subject: "user_1".into(), ..Default::default() }
}

/// Another well-formed key string of the same lookup, whose secret nobody has: the `nth`.
pub fn wrong_secret(right: &str, nth: u32) -> String {
    let public = &right[..right.len() - 38];
    let signed = format!("{public}{nth:032}");
    let mut rest = crc32fast::hash(signed.as_bytes());
    let mut check = [b'0'; 6];
    for place in check.iter_mut().rev() {
        *place = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[(rest % 62) as usize];
        rest /= 62;
    }
    signed + std::str::from_utf8(&check).expect("ASCII")
}

pub fn field_mask(paths: &[&str]) -> prost_types::FieldMask {
    prost_types::FieldMask { paths: paths.iter().map(ToString::to_string).collect() }
}

/// The details of an error, checked to have what every error must have.
#[track_caller]
pub fn details(status: &Status) -> ErrorDetails {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, "portcullis.v1");
    assert!(pb::ErrorReason::from_str_name(&info.reason).is_some(), "{} is no ErrorReason", info.reason);
    details
}

/// Checks the code and the reason of an error.
#[track_caller]
pub fn check_error<T: std::fmt::Debug>(
    result: Result<T, Status>,
    code: tonic::Code,
    reason: pb::ErrorReason,
) -> Status {
    let status = result.expect_err("an error");
    assert_eq!(status.code(), code, "{status:?}");
    assert_eq!(details(&status).error_info().expect("checked").reason, reason.as_str_name(), "{status:?}");
    status
}

/// The bad fields that an INVALID_ARGUMENT names, in order.
#[track_caller]
pub fn bad_fields<T: std::fmt::Debug>(result: Result<T, Status>) -> Vec<String> {
    let status = check_error(result, tonic::Code::InvalidArgument, pb::ErrorReason::FieldInvalid);
    let bad = details(&status).bad_request().expect("a BadRequest").field_violations.clone();
    for violation in &bad {
        assert!(status.message().contains(&violation.field), "{status:?}");
    }
    bad.into_iter().map(|violation| violation.field).collect()
}
