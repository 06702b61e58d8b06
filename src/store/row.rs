//! Rows as things of the domain, and back where a column is not simply the value. Both stores have the same columns;
//! one that holds what it never should is a fault, not a panic.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::log::Change;
use super::spending::RateLevel;
use super::{Event, Found, Holder, Installation, StoreError};
use crate::clock::Timestamp;
use crate::key::credits::{Credits, Refill};
use crate::key::id::{KeyId, KeyspaceUid};
use crate::key::imported::{DigestAlgorithm, Form};
use crate::key::keyspace::Keyspace;
use crate::key::phc::{Phc, Scheme};
use crate::key::record::{ApiKey, Revocation, RevocationReason, SecretInfo};
use crate::key::root_token::RootTokenKey;
use crate::key::secret::Digest;
use crate::key::token::PublicPrefix;
use crate::key::verifier::{HashPolicy, Verifier};

/// A row of `installation`.
#[derive(sqlx::FromRow)]
pub struct InstallationRow {
    page_token_key: Vec<u8>,
    root_token_key: Vec<u8>,
    bootstrapped: bool,
}

impl TryFrom<InstallationRow> for Installation {
    type Error = StoreError;

    fn try_from(row: InstallationRow) -> Result<Self, StoreError> {
        let page_token_key = row.page_token_key.try_into().map_err(|_| corrupt("installation", "page_token_key"))?;
        let root_token_key = row.root_token_key.try_into().map_err(|_| corrupt("installation", "root_token_key"))?;
        let root_token_key = RootTokenKey::from_bytes(root_token_key);
        Ok(Self { page_token_key, root_token_key, bootstrapped: row.bootstrapped })
    }
}

/// A row of `keyspace`.
#[derive(sqlx::FromRow)]
pub struct KeyspaceRow {
    id: String,
    uid: i64,
    display_name: String,
    key_prefix: String,
    allowed_subject_types: String,
    default_ttl_us: Option<i64>,
    max_ttl_us: Option<i64>,
    allow_wildcard_scopes: bool,
    hash_policy: i16,
    default_rate_limit: Option<String>,
    limits: Option<String>,
    create_time_us: i64,
    update_time_us: i64,
    revision: i64,
}

impl TryFrom<KeyspaceRow> for Keyspace {
    type Error = StoreError;

    fn try_from(row: KeyspaceRow) -> Result<Self, StoreError> {
        let bad = |column| corrupt(&row.id, column);
        Ok(Self {
            key_prefix: row.key_prefix.parse().map_err(|_| bad("key_prefix"))?,
            allowed_subject_types: from_json(&row.allowed_subject_types, || bad("allowed_subject_types"))?,
            default_ttl: duration(row.default_ttl_us, || bad("default_ttl_us"))?,
            max_ttl: duration(row.max_ttl_us, || bad("max_ttl_us"))?,
            hash_policy: match row.hash_policy {
                1 => HashPolicy::Sha256,
                2 => HashPolicy::Argon2id,
                _ => return Err(bad("hash_policy")),
            },
            default_rate_limits: listed(row.default_rate_limit.as_deref(), || bad("default_rate_limit"))?,
            limits: from_json(row.limits.as_deref().unwrap_or("{}"), || bad("limits"))?,
            allow_wildcard_scopes: row.allow_wildcard_scopes,
            create_time: Timestamp::from_micros(row.create_time_us),
            update_time: Timestamp::from_micros(row.update_time_us),
            revision: row.revision,
            uid: KeyspaceUid::from_stored(row.uid),
            display_name: row.display_name,
            id: row.id,
        })
    }
}

/// A row of `api_key`, with the key's secrets as JSON: newest first, each `[public_prefix, create_time, expire_time]`.
#[derive(sqlx::FromRow)]
pub struct KeyRow {
    id: String,
    keyspace: String,
    name: String,
    description: String,
    subject: String,
    scopes: String,
    claims: String,
    metadata: String,
    enabled: bool,
    created_by: String,
    create_time_us: i64,
    update_time_us: i64,
    expire_time_us: Option<i64>,
    revoke_time_us: Option<i64>,
    revocation_reason: Option<i16>,
    revocation_comment: Option<String>,
    last_use_time_us: Option<i64>,
    rate_limit: Option<String>,
    credits: Option<String>,
    credits_remaining: Option<i64>,
    credits_refill_time_us: Option<i64>,
    allowed_cidrs: Option<String>,
    revision: i64,
    secrets: Option<String>,
}

/// What `api_key.credits` holds; how many there are is in `key_credits`.
#[derive(Serialize, Deserialize)]
struct CreditsRule {
    epoch: i64,
    refill: Option<Refill>,
}

impl TryFrom<KeyRow> for ApiKey {
    type Error = StoreError;

    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        let bad = |column| corrupt(&row.id, column);
        let revocation = match (row.revoke_time_us, row.revocation_reason, row.revocation_comment) {
            (None, None, None) => None,
            (Some(at), Some(reason), Some(comment)) => Some(Revocation {
                at: Timestamp::from_micros(at),
                reason: RevocationReason::from_number(reason.into()).ok_or_else(|| bad("revocation_reason"))?,
                comment,
            }),
            _ => return Err(bad("revoke_time_us")),
        };
        let secrets: Vec<(String, i64, Option<i64>)> =
            from_json(row.secrets.as_deref().unwrap_or("[]"), || bad("secrets"))?;
        let rule: Option<CreditsRule> =
            row.credits.as_deref().map(|rule| from_json(rule, || bad("credits"))).transpose()?;
        let credits = rule.map(|rule| Credits {
            remaining: row.credits_remaining.unwrap_or(0),
            refill: rule.refill,
            refill_time: row.credits_refill_time_us.map(Timestamp::from_micros),
            epoch: rule.epoch,
        });
        Ok(Self {
            scopes: from_json(&row.scopes, || bad("scopes"))?,
            claims: from_json(&row.claims, || bad("claims"))?,
            metadata: from_json(&row.metadata, || bad("metadata"))?,
            enabled: row.enabled,
            create_time: Timestamp::from_micros(row.create_time_us),
            update_time: Timestamp::from_micros(row.update_time_us),
            expire_time: row.expire_time_us.map(Timestamp::from_micros),
            revocation,
            last_use_time: row.last_use_time_us.map(Timestamp::from_micros),
            rate_limits: listed(row.rate_limit.as_deref(), || bad("rate_limit"))?,
            credits,
            allowed_cidrs: listed(row.allowed_cidrs.as_deref(), || bad("allowed_cidrs"))?,
            secrets: secrets.into_iter().map(secret_info).collect(),
            revision: row.revision,
            keyspace: row.keyspace,
            name: row.name,
            description: row.description,
            subject: row.subject,
            created_by: row.created_by,
            id: KeyId::from_text(row.id),
        })
    }
}

fn secret_info((public_prefix, create_time_us, expire_time_us): (String, i64, Option<i64>)) -> SecretInfo {
    SecretInfo {
        public_prefix: PublicPrefix::from_stored(public_prefix),
        create_time: Timestamp::from_micros(create_time_us),
        expire_time: expire_time_us.map(Timestamp::from_micros),
    }
}

/// A secret with its key, and what its keyspace says about scopes.
#[derive(sqlx::FromRow)]
pub struct FoundRow {
    #[sqlx(flatten)]
    key: KeyRow,
    verifier_kind: i16,
    verifier: Vec<u8>,
    secret_expire_time_us: Option<i64>,
    allow_wildcard_scopes: bool,
    default_rate_limit: Option<String>,
    keyspace_revision: i64,
    keyspace_uid: i64,
    /// JSON: each `[name, level, at_us, spent, asked]`.
    rates: Option<String>,
    /// What time the store has; `None`: that of the process.
    now_us: Option<i64>,
}

impl TryFrom<FoundRow> for Found {
    type Error = StoreError;

    fn try_from(row: FoundRow) -> Result<Self, StoreError> {
        let key = ApiKey::try_from(row.key)?;
        let bad = |column| corrupt(key.id.as_str(), column);
        let rates: Vec<(String, f64, i64, i64, i64)> = listed(row.rates.as_deref(), || bad("rates"))?;
        let rates = rates.into_iter().map(|(name, level, at, spent, asked)| RateLevel {
            key_id: key.id.clone(),
            name,
            level,
            at: Timestamp::from_micros(at),
            now: row.now_us.map(Timestamp::from_micros),
            spent,
            asked,
        });
        let rates = rates.collect();
        let default_rate_limits = listed(row.default_rate_limit.as_deref(), || bad("default_rate_limit"))?;
        let verifier = verifier(row.verifier_kind, row.verifier, key.id.as_str())?;
        let secret_expire_time = row.secret_expire_time_us.map(Timestamp::from_micros);
        let wildcards = row.allow_wildcard_scopes;
        Ok(Self {
            verifier,
            secret_expire_time,
            key,
            wildcards,
            default_rate_limits,
            rates,
            keyspace_revision: row.keyspace_revision,
            keyspace_uid: KeyspaceUid::from_stored(row.keyspace_uid),
        })
    }
}

/// A row of `api_key_secret`.
#[derive(sqlx::FromRow)]
pub struct HolderRow {
    public_prefix: String,
    verifier_kind: i16,
    verifier: Vec<u8>,
    key_id: String,
}

impl TryFrom<HolderRow> for Holder {
    type Error = StoreError;

    fn try_from(row: HolderRow) -> Result<Self, StoreError> {
        Ok(Self {
            verifier: verifier(row.verifier_kind, row.verifier, &row.key_id)?,
            public_prefix: PublicPrefix::from_stored(row.public_prefix),
            key_id: KeyId::from_text(row.key_id),
        })
    }
}

/// A row of `import_form`.
#[derive(sqlx::FromRow)]
pub struct FormRow {
    keyspace: String,
    kind: i16,
    length: i64,
}

impl TryFrom<FormRow> for (String, Form) {
    type Error = StoreError;

    fn try_from(row: FormRow) -> Result<Self, StoreError> {
        let form = match row.kind {
            1 => Form::Prefix(usize::try_from(row.length).map_err(|_| corrupt(&row.keyspace, "length"))?),
            2 => Form::Digest(DigestAlgorithm::Sha256),
            3 => Form::Digest(DigestAlgorithm::Sha384),
            4 => Form::Digest(DigestAlgorithm::Sha512),
            _ => return Err(corrupt(&row.keyspace, "kind")),
        };
        Ok((row.keyspace, form))
    }
}

/// A row of `audit_event`.
#[derive(sqlx::FromRow)]
pub struct EventRow {
    id: String,
    create_time_us: i64,
    actor: String,
    action: String,
    keyspace: String,
    key_id: Option<String>,
    peer: String,
    changes: String,
}

impl TryFrom<EventRow> for Event {
    type Error = StoreError;

    fn try_from(row: EventRow) -> Result<Self, StoreError> {
        Ok(Self {
            changes: from_json(&row.changes, || corrupt(&row.id, "changes"))?,
            at: Timestamp::from_micros(row.create_time_us),
            actor: row.actor,
            action: row.action,
            keyspace: row.keyspace,
            key_id: row.key_id.map(KeyId::from_text),
            peer: row.peer,
            id: row.id,
        })
    }
}

/// All of `rows` as what they stand for.
pub fn all<R, T: TryFrom<R, Error = StoreError>>(rows: Vec<R>) -> Result<Vec<T>, StoreError> {
    rows.into_iter().map(T::try_from).collect()
}

/// The verifier that `verifier_kind` and `verifier` hold, of the key `key_id`.
pub fn verifier(kind: i16, bytes: Vec<u8>, key_id: &str) -> Result<Verifier, StoreError> {
    let bad = || corrupt(key_id, "verifier");
    let text = |bytes| String::from_utf8(bytes).map_err(|_| bad());
    let phc = |scheme, bytes| Ok(Verifier::Phc(Phc::from_stored(scheme, text(bytes)?)));
    match kind {
        1 => Ok(Verifier::Sha256(Digest::from_bytes(bytes.try_into().map_err(|_| bad())?))),
        2 => Ok(Verifier::Argon2id(text(bytes)?)),
        3 => Ok(Verifier::Sha384(Digest::from_bytes(bytes.try_into().map_err(|_| bad())?))),
        4 => Ok(Verifier::Sha512(Digest::from_bytes(bytes.try_into().map_err(|_| bad())?))),
        5 => phc(Scheme::Argon2, bytes),
        6 => phc(Scheme::Bcrypt, bytes),
        7 => phc(Scheme::Scrypt, bytes),
        _ => Err(bad()),
    }
}

/// A verifier as `verifier_kind` and `verifier`.
pub fn verifier_columns(verifier: &Verifier) -> (i16, &[u8]) {
    match verifier {
        Verifier::Sha256(digest) => (1, digest.as_bytes()),
        Verifier::Argon2id(phc) => (2, phc.as_bytes()),
        Verifier::Sha384(digest) => (3, digest.as_bytes()),
        Verifier::Sha512(digest) => (4, digest.as_bytes()),
        Verifier::Phc(phc) => {
            let kind = match phc.scheme() {
                Scheme::Argon2 => 5,
                Scheme::Bcrypt => 6,
                Scheme::Scrypt => 7,
            };
            (kind, phc.as_str().as_bytes())
        }
    }
}

/// A form as `kind` and `length`.
pub fn form_columns(form: Form) -> (i16, i64) {
    match form {
        Form::Prefix(length) => (1, count(length)),
        Form::Digest(DigestAlgorithm::Sha256) => (2, 0),
        Form::Digest(DigestAlgorithm::Sha384) => (3, 0),
        Form::Digest(DigestAlgorithm::Sha512) => (4, 0),
    }
}

/// The change that `kind` and `subject` say was made. One of a kind that only a newer program knows may be any.
pub fn change(kind: i64, subject: String) -> Change {
    match kind {
        1 => Change::Secret(subject),
        2 => Change::Keyspace(subject),
        3 => form_change(&subject).unwrap_or(Change::All),
        _ => Change::All,
    }
}

fn form_change(subject: &str) -> Option<Change> {
    let mut parts = subject.split(' ');
    let mut next = || parts.next();
    let (keyspace, kind, length) = (next()?.to_owned(), next()?.parse().ok()?, next()?.parse().ok()?);
    let (keyspace, form) = FormRow { keyspace, kind, length }.try_into().ok()?;
    Some(Change::Form(keyspace, form))
}

/// A hash policy as `hash_policy`.
pub fn hash_policy_column(policy: HashPolicy) -> i16 {
    match policy {
        HashPolicy::Sha256 => 1,
        HashPolicy::Argon2id => 2,
    }
}

/// A duration as a `…_ttl_us` column: whole microseconds, what is beyond them dropped.
pub fn micros(duration: Option<Duration>) -> Option<i64> {
    duration.map(|d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX))
}

/// A time that may be missing, as a column.
pub fn time(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_micros)
}

/// A list as a column: what is empty is not there.
pub fn list_column<T: Serialize>(list: &[T]) -> Result<Option<String>, StoreError> {
    if list.is_empty() { Ok(None) } else { to_json(&list).map(Some) }
}

/// Credits as `api_key.credits`.
pub fn credits_column(credits: Option<&Credits>) -> Result<Option<String>, StoreError> {
    let rule = credits.map(|credits| CreditsRule { epoch: credits.epoch, refill: credits.refill });
    rule.as_ref().map(to_json).transpose()
}

fn listed<T: DeserializeOwned>(text: Option<&str>, bad: impl FnOnce() -> StoreError) -> Result<Vec<T>, StoreError> {
    text.map_or_else(|| Ok(Vec::new()), |text| from_json(text, bad))
}

/// A number of rows as `LIMIT` and `OFFSET` take it.
pub fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// A value as JSON text.
pub fn to_json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(StoreError::fault)
}

fn from_json<T: DeserializeOwned>(text: &str, bad: impl FnOnce() -> StoreError) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| bad())
}

fn duration(micros: Option<i64>, bad: impl FnOnce() -> StoreError) -> Result<Option<Duration>, StoreError> {
    micros.map(u64::try_from).transpose().map_or_else(|_| Err(bad()), |us| Ok(us.map(Duration::from_micros)))
}

/// That a row holds what it never should. Names the place, never the value.
fn corrupt(row: &str, column: &str) -> StoreError {
    StoreError::fault(format!("{row}: unusable {column}"))
}
