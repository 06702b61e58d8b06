//! What is in the store before anybody attacks: the bystander's keys, enough others to fill the cache, and a neighbour
//! with many.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prost::Message;
use prost_types::{Struct, Value, value::Kind as ValueKind};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;

use crate::Error;
use crate::client::{CallError, Connection, Endpoint, RESOURCE_EXHAUSTED};
use crate::made;
use crate::methods;
use crate::pb;
use crate::server::BOOTSTRAP_ROOT_KEY;

/// A call of the preparation that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often one that the server is too busy for is repeated, and after which pause.
const ATTEMPTS: usize = 200;
const PAUSE: Duration = Duration::from_millis(50);
/// Keys of a batch: their claims stay below the largest answer.
const VERIFIED_AT_ONCE: usize = 400;
/// Entries of an import.
const AT_ONCE: usize = 1_000;
/// As many large ones stay below the largest message.
const LARGE_AT_ONCE: usize = 100;
const LABELLED_AT_ONCE: usize = 6;
/// Calls of the preparation in flight.
const IN_FLIGHT: usize = 16;
/// What the neighbours' keyspaces are called. The second has keys with very large labels.
pub const NEIGHBOUR: &str = "neighbour";
pub const NEIGHBOUR_LABELS: &str = "neighbour-labels";
/// Keys that the bystander verifies again and again.
const WARM_KEYS: usize = 200;
/// The neighbour's keys with imported bcrypt hashes, and what all secrets begin with.
const GUESSABLE_KEYS: usize = 4;
/// Somebody's, cost 12. No secret of it is known here.
const BCRYPT: &str = "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW";
pub const SCOPE: &str = "orders:read";

/// How much is put in.
#[expect(clippy::struct_field_names, reason = "all of them count keys")]
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Keys in the cache without claims, and with 8 KB of them.
    pub small_keys: usize,
    pub large_keys: usize,
    /// The bystander's keys that have never been verified, each used once.
    pub cold_keys: usize,
    pub neighbour_keys: usize,
    /// The neighbour's keys with 132 KB of labels.
    pub labelled_keys: usize,
}

/// What a store holds.
pub struct Fixture {
    /// May verify, make and revoke in `default`.
    pub bystander: String,
    /// May do the same and read, in the keyspaces of the neighbour only.
    pub neighbour: String,
    pub warm: Vec<String>,
    cold: Vec<String>,
    next_cold: AtomicUsize,
    /// What the secrets of the neighbour's bcrypt keys begin with.
    pub guessable: Vec<String>,
    filling: Vec<String>,
    pub sizes: Sizes,
}

impl Fixture {
    /// Fills a store through a server that runs over it.
    pub async fn create(endpoint: &Endpoint, sizes: Sizes) -> Result<Self, Error> {
        let admin = Admin { connection: Connection::open(endpoint).await? };
        for id in [NEIGHBOUR, NEIGHBOUR_LABELS] {
            admin.create_keyspace(id).await?;
        }
        let own = ["keys:read", "keys:write", "keys:revoke", "keys:verify"];
        let bystander = own.map(|permission| format!("{permission}@default"));
        let reads_audit = [NEIGHBOUR, NEIGHBOUR_LABELS].map(|keyspace| format!("audit:read@{keyspace}"));
        let neighbour = own
            .iter()
            .flat_map(|permission| [NEIGHBOUR, NEIGHBOUR_LABELS].map(|keyspace| format!("{permission}@{keyspace}")));
        let bystander = admin.create("system", "bystander", bystander.to_vec()).await?;
        let neighbour = admin.create("system", "neighbour", neighbour.chain(reads_audit).collect()).await?;
        let mut created = admin.create_many("default", WARM_KEYS + sizes.cold_keys).await?;
        let cold = created.split_off(WARM_KEYS);
        let mut filling = admin.import_many("default", sizes.small_keys, AT_ONCE, |_| {}).await?;
        let claims = large_claims();
        filling.extend(
            admin
                .import_many("default", sizes.large_keys, LARGE_AT_ONCE, |key| key.claims = Some(claims.clone()))
                .await?,
        );
        admin.import_many(NEIGHBOUR, sizes.neighbour_keys, AT_ONCE, |_| {}).await?;
        let labels = large_labels();
        let label = |key: &mut pb::ApiKeyImport| key.metadata = labels.clone();
        admin.import_many(NEIGHBOUR_LABELS, sizes.labelled_keys, LABELLED_AT_ONCE, label).await?;
        let guessable = admin.import_bcrypt().await?;
        let next_cold = AtomicUsize::new(0);
        Ok(Self { bystander, neighbour, warm: created, cold, next_cold, guessable, filling, sizes })
    }

    /// Fills the cache of a server that has just started over the store. From here on the cold keys are cold again.
    pub async fn fill_cache(&self, endpoint: &Endpoint) -> Result<(), Error> {
        self.next_cold.store(0, Ordering::Relaxed);
        let admin = Admin { connection: Connection::open(endpoint).await? };
        for keys in self.filling.chunks(VERIFIED_AT_ONCE).chain(self.warm.chunks(VERIFIED_AT_ONCE)) {
            let requests = keys.iter().map(|key| verify_request(key)).collect();
            let batch = pb::BatchVerifyRequest { requests };
            let answer: pb::BatchVerifyResponse = admin.call(methods::BATCH_VERIFY, &batch).await?;
            if answer.responses.len() != keys.len() || answer.responses.iter().any(|response| !response.valid) {
                return Err("a key of the fixture is not valid".into());
            }
        }
        Ok(())
    }

    /// A key that the server has not seen since it started; `None`: all have been used.
    pub fn take_cold(&self) -> Option<&str> {
        self.cold.get(self.next_cold.fetch_add(1, Ordering::Relaxed)).map(String::as_str)
    }

    /// How many are left.
    pub fn cold_left(&self) -> usize {
        self.cold.len().saturating_sub(self.next_cold.load(Ordering::Relaxed))
    }
}

/// Asks for the scope that every key has.
pub fn verify_request(key: &str) -> pb::VerifyRequest {
    pb::VerifyRequest { key: key.to_owned(), required_scopes: vec![SCOPE.to_owned()], ..Default::default() }
}

/// Makes a key with one scope.
pub fn create_request(keyspace: &str, name: &str) -> pb::CreateApiKeyRequest {
    pb::CreateApiKeyRequest {
        keyspace: keyspace.to_owned(),
        name: name.to_owned(),
        subject: "user_1".to_owned(),
        scopes: vec![SCOPE.to_owned()],
        ..Default::default()
    }
}

/// An operator with all rights.
#[derive(Clone)]
struct Admin {
    connection: Connection,
}

impl Admin {
    /// A busy server is asked again: limits are part of the product, and this is no attack.
    async fn call<A: Message + Default>(&self, path: &str, message: &impl Message) -> Result<A, CallError> {
        let mut result = Err(CallError::Deadline);
        for _ in 0..ATTEMPTS {
            result = self.connection.call(path, BOOTSTRAP_ROOT_KEY, message, PATIENCE).await;
            match &result {
                Err(CallError::Status { code: RESOURCE_EXHAUSTED, .. }) => tokio::time::sleep(PAUSE).await,
                _ => break,
            }
        }
        result
    }

    async fn create_keyspace(&self, id: &str) -> Result<(), CallError> {
        let keyspace = pb::Keyspace {
            id: id.to_owned(),
            display_name: id.to_owned(),
            key_prefix: id.replace('-', "_"),
            ..Default::default()
        };
        let request = pb::CreateKeyspaceRequest { keyspace: Some(keyspace) };
        self.call::<pb::CreateKeyspaceResponse>(methods::CREATE_KEYSPACE, &request).await.map(drop)
    }

    async fn create(&self, keyspace: &str, name: &str, scopes: Vec<String>) -> Result<String, CallError> {
        let request = pb::CreateApiKeyRequest { scopes, ..create_request(keyspace, name) };
        Ok(self.call::<pb::CreateApiKeyResponse>(methods::CREATE, &request).await?.secret)
    }

    async fn create_many(&self, keyspace: &'static str, count: usize) -> Result<Vec<String>, Error> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut lanes = JoinSet::new();
        for _ in 0..IN_FLIGHT {
            let (admin, next) = (self.clone(), next.clone());
            lanes.spawn(async move {
                let mut made = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return Ok::<_, CallError>(made);
                    }
                    made.push(admin.create(keyspace, &format!("key {number}"), vec![SCOPE.to_owned()]).await?);
                }
            });
        }
        let mut made = Vec::new();
        while let Some(lane) = lanes.join_next().await {
            made.extend(lane??);
        }
        Ok(made)
    }

    /// Imports digests of strings by chance; the strings.
    async fn import_many(
        &self,
        keyspace: &str,
        count: usize,
        at_once: usize,
        change: impl Fn(&mut pb::ApiKeyImport),
    ) -> Result<Vec<String>, Error> {
        let texts: Vec<_> = (0..count).map(|_| format!("elsewhere-{}", made::text(32))).collect();
        for texts in texts.chunks(at_once) {
            let entry = |text: &String| {
                let digest = pb::SecretDigest {
                    algorithm: pb::DigestAlgorithm::Sha256.into(),
                    value: Sha256::digest(text.as_bytes()).to_vec(),
                };
                let mut entry = import(&format!("imported {}", &text[10..20]));
                entry.material = Some(pb::api_key_import::Material::Digest(digest));
                change(&mut entry);
                entry
            };
            self.import(keyspace, texts.iter().map(entry).collect()).await?;
        }
        Ok(texts)
    }

    /// Imports bcrypt hashes for the neighbour; what their secrets begin with.
    async fn import_bcrypt(&self) -> Result<Vec<String>, Error> {
        let prefixes: Vec<_> = (0..GUESSABLE_KEYS).map(|_| format!("sk_live_{}", made::text(12))).collect();
        let entry = |prefix: &String| {
            let mut entry = import("guessable");
            entry.material = Some(pb::api_key_import::Material::Phc(BCRYPT.to_owned()));
            entry.lookup_prefix.clone_from(prefix);
            entry
        };
        self.import(NEIGHBOUR, prefixes.iter().map(entry).collect()).await?;
        Ok(prefixes)
    }

    async fn import(&self, keyspace: &str, entries: Vec<pb::ApiKeyImport>) -> Result<(), Error> {
        let request = pb::ImportApiKeysRequest { keyspace: keyspace.to_owned(), entries, ..Default::default() };
        let answer: pb::ImportApiKeysResponse = self.call(methods::IMPORT, &request).await?;
        for result in answer.results {
            if let Some(pb::api_key_import_result::Outcome::Status(status)) = result.outcome {
                return Err(format!("an entry of the fixture was not imported: {}", status.message).into());
            }
        }
        Ok(())
    }
}

/// An entry without material.
pub fn import(name: &str) -> pb::ApiKeyImport {
    pb::ApiKeyImport {
        name: name.to_owned(),
        subject: "user_1".to_owned(),
        scopes: vec![SCOPE.to_owned()],
        ..Default::default()
    }
}

/// As large as claims may be.
fn large_claims() -> Struct {
    let text = Value { kind: Some(ValueKind::StringValue("x".repeat(8_000))) };
    Struct { fields: BTreeMap::from([("profile".to_owned(), text)]) }
}

/// As large as labels may be: limits count characters, and these have four bytes.
fn large_labels() -> BTreeMap<String, String> {
    (0..50).map(|number| (format!("label-{number:02}{}", "𐍈".repeat(55)), "𐍈".repeat(512))).collect()
}
