//! Where keys live. One trait; each backend is one folder with SQL of its own.
//!
//! Every method is one whole, atomic use case: when it answers, it is durable, and nobody saw half of it. What an
//! audited method did and its audit event are written together. No backend decides anything: how a key changes is in
//! [`crate::key`].

mod error;
mod gate;
mod import;
mod listing;
pub mod log;
mod migration;
mod pages;
mod postgres;
mod row;
pub mod spending;
mod sqlite;
pub mod usage;
mod weight;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::key::credits::NotAdded;
use crate::key::id::{KeyId, KeyspaceUid};
use crate::key::imported::Form;
use crate::key::keyspace::{Keyspace, KeyspacePatch};
use crate::key::permission::Reach;
use crate::key::rate_limit::RateLimit;
use crate::key::record::{ApiKey, Json, NewSecret, NotRotated, Patch, Revocation};
use crate::key::root_token::RootTokenKey;
use crate::key::token::PublicPrefix;
use crate::key::verifier::Verifier;

pub use error::{BoxError, ConnectError, StoreError};
pub use gate::{HeldPage, ListPlace, ListStats};
use log::{Listener, News};
use spending::{CreditsAsked, CreditsGranted, CreditsReturned, RateLevel, RateSpent};
use usage::{Retention, UsageBatch, UsagePage, UsageQuery};

/// Most look-ups of secrets that a store is asked for at once: 8 of customers' keys, 3 of root keys. On Postgres they have as
/// many connections of their own.
pub const LOOKUPS_MAX: usize = 11;
/// Most audit events that are forgotten at once.
pub const EVENTS_PRUNED_MAX: usize = 500;
/// How long a request_id is remembered.
pub const REQUEST_ID_KEPT: Duration = Duration::from_hours(24);

/// Opens the store that `url` names: `sqlite://PATH`, or `postgres://…` (`postgresql://…`), which is hinted at changes by
/// `hints`.
///
/// # Errors
/// See [`ConnectError`]; each says in one line what an operator can do.
pub async fn connect(url: &str, schema: Schema, hints: &Hints) -> Result<Arc<dyn Store>, ConnectError> {
    match url.split_once(':').unwrap_or_default().0 {
        "sqlite" => Ok(Arc::new(sqlite::Sqlite::open(url, schema).await?)),
        "postgres" | "postgresql" => Ok(Arc::new(postgres::Postgres::open(url, schema, hints).await?)),
        _ => Err(ConnectError::Url("must start with sqlite:// or postgres://".into())),
    }
}

/// Checks that `url` names a store, as far as it says so itself: nothing is opened.
///
/// # Errors
/// What [`connect`] would refuse. No password is in it.
pub fn check_url(url: &str) -> Result<(), ConnectError> {
    match url.split_once(':').unwrap_or_default().0 {
        "sqlite" => sqlite::check_url(url),
        "postgres" | "postgresql" => postgres::check_url(url),
        _ => Err(ConnectError::Url("must start with sqlite:// or postgres://".into())),
    }
}

/// Checks that there is a place for the store that `url` names, as far as this machine knows: nothing is opened or made.
///
/// # Errors
/// What [`connect`] would say.
pub fn check_place(url: &str) -> Result<(), ConnectError> {
    if url.starts_with("sqlite:") { sqlite::check_place(url) } else { Ok(()) }
}

/// Brings the schema of the store that `url` names up to date. The versions that were applied now.
///
/// # Errors
/// See [`ConnectError`].
pub async fn migrate(url: &str) -> Result<Vec<i64>, ConnectError> {
    match url.split_once(':').unwrap_or_default().0 {
        "sqlite" => sqlite::migrate(url).await,
        "postgres" | "postgresql" => postgres::migrate(url).await,
        _ => Err(ConnectError::Url("must start with sqlite:// or postgres://".into())),
    }
}

/// What to do about a schema that is older than this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// Bring it up to date; where there is no store, make one.
    Migrate,
    /// Bring it up to date, but make no store: one that is not there is at version 0.
    MigrateExisting,
    /// Refuse to start.
    MustBeCurrent,
}

/// How a Postgres hints at changes: what comes by this way is heard of sooner. It takes a session of its own, which some
/// proxies do not give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Hints {
    /// By the way to the store.
    #[default]
    SameWay,
    /// By this URL.
    By(String),
    /// Not at all.
    None,
}

/// A place that keeps keyspaces, keys and the audit trail.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What is particular to this store as a whole.
    async fn installation(&self) -> Result<Installation, StoreError>;

    /// Returns the root keys whose tokens carry no MAC, as of one instant. `limit` bounds the list.
    async fn root_keys_without_mac(&self, now: Timestamp, limit: usize) -> Result<RootKeysWithoutMac, StoreError>;

    /// Stores the very first root key; `false`, and nothing stored, if there ever was one. Of several processes that
    /// try at once, one succeeds.
    async fn bootstrap(&self, key: &NewKey, by: &Actor) -> Result<bool, StoreError>;

    /// Whether the store answers and, if it could not write of late, whether it can again.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Lets go of what the store holds. Writes under way finish first.
    async fn close(&self);

    /// Tells `listener` of every change from now on, before anybody is told that it was made; or says where to read of
    /// them, if others can change this store too.
    fn listen(&self, listener: Arc<dyn Listener>) -> News;

    /// Makes a keyspace. Refused: [`Refusal::KeyspaceExists`].
    async fn create_keyspace(&self, keyspace: &Keyspace, by: &Actor) -> Outcome<()>;

    /// The keyspace of this id.
    async fn keyspace(&self, id: &str) -> Result<Option<Keyspace>, StoreError>;

    /// The keyspaces that are `within`, by id, from behind `after`, at most `limit`.
    async fn list_keyspaces(
        &self,
        within: &Reach,
        after: &str,
        limit: usize,
    ) -> Result<HeldPage<Vec<Keyspace>>, StoreError>;

    /// Changes a keyspace, if its revision is `revision` or none is given. A patch that changes nothing writes
    /// nothing. Refused: [`Refusal::KeyspaceNotFound`], [`Refusal::EtagMismatch`], [`Refusal::DefaultTtlTooLong`].
    async fn update_keyspace(
        &self,
        id: &str,
        patch: &KeyspacePatch,
        revision: Option<i64>,
        by: &Actor,
    ) -> Outcome<Keyspace>;

    /// Deletes a keyspace that has no keys, and ends the permissions of root keys that name it, each with an event: they
    /// are not for whoever gets its id next. Refused: [`Refusal::KeyspaceNotFound`], [`Refusal::KeyspaceNotEmpty`].
    async fn delete_keyspace(&self, id: &str, by: &Actor) -> Outcome<()>;

    /// Stores a new key. Refused: [`Refusal::KeyspaceNotFound`], [`Refusal::RequestIdUsed`],
    /// [`Refusal::GrantsNowhere`].
    async fn create_key(&self, key: &NewKey, by: &Actor) -> Outcome<()>;

    /// Stores keys with secrets that another system made, each answered on its own: the key as it is then, or why it was
    /// refused ([`Refusal::SecretExists`], [`Refusal::LookupChanged`], [`Refusal::LookupFull`], [`Refusal::FormsFull`],
    /// [`Refusal::RequestIdUsed`]). Those that are not refused are made together. All are of `keyspace`, which must have
    /// this `uid` if one is given; refused as a whole: [`Refusal::KeyspaceNotFound`].
    async fn import_keys(
        &self,
        keyspace: &str,
        uid: Option<KeyspaceUid>,
        batch: &[NewImport],
        by: &Actor,
    ) -> Outcome<Vec<Result<ApiKey, Refusal>>>;

    /// The secrets of keys of `keyspace` under these lookups, in no order.
    async fn holders(&self, keyspace: &str, lookups: &[PublicPrefix]) -> Result<Vec<Holder>, StoreError>;

    /// Each form of imported secrets that a keyspace has or once had, with the keyspace's id. A dozen a keyspace at most.
    async fn import_forms(&self) -> Result<Vec<(String, Form)>, StoreError>;

    /// How many keys a keyspace has, in whatever state.
    async fn keyspace_size(&self, id: &str) -> Result<u64, StoreError>;

    /// The key of this id.
    async fn key(&self, id: &KeyId) -> Result<Option<ApiKey>, StoreError>;

    /// A page of keys, newest first; keys of one microsecond by id, descending.
    async fn list_keys(&self, query: &KeyQuery) -> Result<HeldPage<KeyPage>, StoreError>;

    /// Changes a key by [`ApiKey::update`], if its revision is `revision` or none is given. The key as it is then.
    /// Refused: [`Refusal::KeyNotFound`], [`Refusal::EtagMismatch`], [`Refusal::GrantsNowhere`].
    async fn update_key(&self, id: &KeyId, patch: &Patch, revision: Option<i64>, by: &Actor) -> Outcome<ApiKey>;

    /// Gives a key a new secret by [`ApiKey::rotate`]. Refused: [`Refusal::KeyNotFound`], [`Refusal::KeyRevoked`],
    /// [`Refusal::KeyExpired`].
    async fn rotate_key(&self, id: &KeyId, newest: &NewSecret, overlap: Duration, by: &Actor) -> Outcome<ApiKey>;

    /// Revokes a key by [`ApiKey::revoke`]; one that is revoked already stays as it is. Refused:
    /// [`Refusal::KeyNotFound`].
    async fn revoke_key(&self, id: &KeyId, revocation: &Revocation, by: &Actor) -> Outcome<ApiKey>;

    /// Removes a key, its secrets and its history of use. Refused: [`Refusal::KeyNotFound`].
    async fn delete_key(&self, id: &KeyId, by: &Actor) -> Outcome<()>;

    /// The secrets that `public_prefix` finds, with their keys, whatever state both are in: one at most of an issued key,
    /// but several keyspaces may have imported what is found by it. The oldest keys come first.
    async fn find_secret(&self, public_prefix: &str) -> Result<Vec<Found>, StoreError>;

    /// Adds what a process counted, and notes when keys were last used; never moves a time back. A batch that was added
    /// already is not added again, if none with a higher number was.
    async fn record_usage(&self, batch: &UsageBatch) -> Result<(), StoreError>;

    /// A page of usage, by group, then by time.
    async fn query_usage(&self, query: &UsageQuery) -> Result<HeldPage<UsagePage>, StoreError>;

    /// Folds and forgets usage that is older at `now` than it is kept: of some keys from behind `after`, by id. The last of
    /// them; `None`: there were no more, and that of keyspaces was seen to.
    async fn fold_usage(
        &self,
        after: Option<&KeyId>,
        kept: Retention,
        now: Timestamp,
    ) -> Result<Option<KeyId>, StoreError>;

    /// Takes credits out for a process to spend, at `now`, and refills those that are due. Keys that are gone, or whose
    /// credits were set anew, are missing in the answer.
    async fn take_credits(&self, asked: &[CreditsAsked], now: Timestamp) -> Result<Vec<CreditsGranted>, StoreError>;

    /// Puts credits back. Those that are of no use any more are dropped.
    async fn return_credits(&self, returned: &[CreditsReturned]) -> Result<(), StoreError>;

    /// Adds what a process spent of rate limits, at `now` unless the store has a clock of its own, and tells what is known
    /// of them then. Keys that are gone are missing in the answer.
    async fn settle_rates(&self, spent: &[RateSpent], now: Timestamp) -> Result<Vec<RateLevel>, StoreError>;

    /// Writes an event of a call that was denied to the root key `id`: which, in `changes`.
    async fn record_denial(&self, id: &KeyId, changes: &Json, by: &Actor) -> Result<(), StoreError>;

    /// Forgets audit events that are older than `before`: the oldest, at most [`EVENTS_PRUNED_MAX`]. How many.
    async fn prune_events(&self, before: Timestamp) -> Result<u64, StoreError>;

    /// Makes no more lists at once than this, but one at least: each holds a page in memory.
    fn limit_lists(&self, _at_once: usize) {}

    /// What lists are being made: those of keys, keyspaces and audit events, and reports of usage.
    fn list_stats(&self) -> ListStats {
        ListStats::default()
    }

    /// A page of audit events, newest first; events of one microsecond by id, descending.
    async fn list_events(&self, query: &EventQuery) -> Result<HeldPage<EventPage>, StoreError>;
}

/// What a change came to: done, refused for a reason the caller can act on, or failed.
pub type Outcome<T> = Result<Result<T, Refusal>, StoreError>;

/// Why a change was not made. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No key of this id.
    KeyNotFound,
    /// No keyspace of this id.
    KeyspaceNotFound,
    /// A root key would have permissions for these keyspaces, which do not exist: whoever made them later would find
    /// somebody else's rights in them.
    GrantsNowhere(Vec<String>),
    /// There is a keyspace of this id.
    KeyspaceExists,
    /// The keyspace has keys.
    KeyspaceNotEmpty,
    /// Keys of the keyspace would by default live longer than they may.
    DefaultTtlTooLong {
        /// How long they would live.
        default_ttl: Duration,
        /// How long they may.
        max_ttl: Duration,
    },
    /// The revision is not the one given.
    EtagMismatch,
    /// The key is revoked.
    KeyRevoked,
    /// The key has expired.
    KeyExpired,
    /// A secret of the key that was replaced goes on working, and would end early.
    OverlapActive {
        /// The hint of that secret.
        hint: String,
        /// Until when it works.
        until: Timestamp,
    },
    /// Without this root key none would be left that may do everything, or for a shorter time than this one.
    LastAdminKey,
    /// Credits cannot be added to those of the key.
    CreditsNotAdded(NotAdded),
    /// This request_id made this key within [`REQUEST_ID_KEPT`].
    RequestIdUsed(KeyId),
    /// This key of the keyspace has this secret already.
    SecretExists(KeyId),
    /// Under the lookups of this secret are others that nobody has told apart from it yet.
    LookupChanged,
    /// Every lookup that this secret could have is taken in the keyspace, or by very many others.
    LookupFull,
    /// The keyspace has [`crate::key::imported::PREFIX_LENGTHS_MAX`] lengths of lookup prefixes, and this is another.
    FormsFull,
}

/// What is particular to one store: made with it, and the same for every process that uses it.
pub struct Installation {
    /// Random bytes that page tokens are signed with.
    pub page_token_key: [u8; 32],
    /// What the MACs of root tokens are made with.
    pub root_token_key: RootTokenKey,
    /// Whether there ever was a root key.
    pub bootstrapped: bool,
}

/// Root keys from before root tokens had a MAC, and supplied ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootKeysWithoutMac {
    /// The lookups of their secrets that may still prove right, at most as many as were asked for.
    pub lookups: Vec<String>,
    /// Whether a replica that issues tokens without MAC may still run: more such keys may come at any time.
    pub more_may_come: bool,
}

/// Who makes a change, when and from where, for the audit trail; and how far that goes.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The id for the event.
    pub event_id: String,
    /// When.
    pub at: Timestamp,
    /// Who: the id of a root key, or a word of the program's own.
    pub name: String,
    /// The network address; may be empty.
    pub peer: String,
    /// Whose keys it may change. Those of other keyspaces are not there.
    pub within: Reach,
    /// What is done although it is refused otherwise.
    pub overrides: Overrides,
}

/// What a caller asked to be done although it is refused otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// End a secret before the time that an earlier rotation promised.
    pub end_overlap: bool,
    /// End the last root key that may do everything.
    pub end_last_admin: bool,
}

/// Until when another root key must be able to do everything before `before` may become `after` (`None`: it goes away);
/// `None`: nothing is lost.
fn admin_needed(before: &ApiKey, after: Option<&ApiKey>, by: &Actor) -> Option<Timestamp> {
    let until = before.admin_until(by.at).filter(|_| !by.overrides.end_last_admin)?;
    let is_shorter = after.and_then(|after| after.admin_until(by.at)).is_none_or(|after| after < until);
    is_shorter.then_some(until)
}

impl From<NotRotated> for Refusal {
    fn from(why: NotRotated) -> Self {
        match why {
            NotRotated::Revoked => Self::KeyRevoked,
            NotRotated::Expired => Self::KeyExpired,
            NotRotated::OverlapActive { hint, until } => Self::OverlapActive { hint, until },
        }
    }
}

impl Actor {
    /// `key`, if it may be changed.
    fn reached(&self, key: Option<ApiKey>) -> Result<ApiKey, Refusal> {
        key.filter(|key| self.within.includes(&key.keyspace)).ok_or(Refusal::KeyNotFound)
    }
}

/// A key to be stored, with its one secret.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The key. Its `secrets` has exactly the one of `secret`.
    pub key: ApiKey,
    /// What its secret is checked against.
    pub secret: NewSecret,
    /// The caller's id of the request, if it gave one.
    pub request_id: Option<String>,
    /// The keyspace that the caller asked about: not another that got its id since. `None`: whichever has it.
    pub keyspace_uid: Option<KeyspaceUid>,
}

/// A key to be imported, with its one secret.
#[derive(Clone, Debug)]
pub struct NewImport {
    /// The key. It has no `secrets` yet: the store says what finds its secret.
    pub key: ApiKey,
    /// What its secret is checked against.
    pub verifier: Verifier,
    /// What may find it; the first that is free does.
    pub lookups: Vec<PublicPrefix>,
    /// How it is found; `None`: as an issued secret is.
    pub form: Option<Form>,
    /// What may stand under its lookups, for it is known to be of another secret. `None`: whatever does not equal
    /// `verifier` is.
    pub others: Option<Vec<Verifier>>,
    /// The caller's id of the request, if it gave one.
    pub request_id: Option<String>,
    /// The id for its audit event.
    pub event_id: String,
}

/// A secret that has a lookup.
#[derive(Clone, Debug, PartialEq)]
pub struct Holder {
    /// The lookup.
    pub public_prefix: PublicPrefix,
    /// What the secret is checked against.
    pub verifier: Verifier,
    /// Its key.
    pub key_id: KeyId,
}

/// A secret as the hot path needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// What to check the presented secret against.
    pub verifier: Verifier,
    /// When the secret stops working because another replaced it.
    pub secret_expire_time: Option<Timestamp>,
    /// Its key.
    pub key: ApiKey,
    /// Whether the key's keyspace lets scopes cover others by `*`.
    pub wildcards: bool,
    /// The limits of a key that has none of its own.
    pub default_rate_limits: Vec<RateLimit>,
    /// What is known of the key's limits.
    pub rates: Vec<RateLevel>,
    /// Counts the changes of the key's keyspace.
    pub keyspace_revision: i64,
    /// The key's keyspace.
    pub keyspace_uid: KeyspaceUid,
}

/// Which keys to list. All that is given must hold.
#[derive(Clone, Debug)]
pub struct KeyQuery {
    /// Of this keyspace.
    pub keyspace: String,
    /// Of this subject.
    pub subject: Option<String>,
    /// With this in the name; already folded by [`crate::key::field::folded`].
    pub name_contains: Option<String>,
    /// Active at this time; `None`: in any state.
    pub active_at: Option<Timestamp>,
    /// With every one of these labels.
    pub metadata: BTreeMap<String, String>,
    /// That this one asked for.
    pub created_by: Option<String>,
    /// Made before this time and not used since, or never.
    pub unused_since: Option<Timestamp>,
    /// From behind this key.
    pub after: Option<(Timestamp, KeyId)>,
    /// Passing over as many.
    pub skip: usize,
    /// At most as many.
    pub limit: usize,
    /// As many as weigh no more than this together, but at least one: about how many bytes they hold in memory.
    pub weight_max: usize,
    /// Whether all matches are counted, however many there are.
    pub exact_total: bool,
}

/// A page of keys.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyPage {
    /// The keys. There may be fewer than were asked for, and none, though there are more to come.
    pub keys: Vec<ApiKey>,
    /// Behind what to go on; `None`: this was all.
    pub next: Option<(Timestamp, KeyId)>,
    /// How many match `KeyQuery`, its `after`, `skip` and `limit` apart.
    pub total: u64,
    /// Whether there may be more of them than `total`.
    pub total_is_lower_bound: bool,
}

/// An audit event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its id.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// The method, e.g. `RevokeApiKey`.
    pub action: String,
    /// In which keyspace.
    pub keyspace: String,
    /// Which key, if it was a key.
    pub key_id: Option<KeyId>,
    /// From where; may be empty.
    pub peer: String,
    /// What it changed.
    pub changes: Json,
}

/// Which events to list. All that is given must hold.
#[derive(Clone, Debug)]
pub struct EventQuery {
    /// Of these keyspaces. Where they are named one by one, not of those that had their ids before.
    pub within: Reach,
    /// Of this keyspace, and of any that had its id before.
    pub keyspace: Option<String>,
    /// Of this key.
    pub key_id: Option<KeyId>,
    /// By this actor.
    pub actor: Option<String>,
    /// Of this method.
    pub action: Option<String>,
    /// At this time or later.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// From behind this event.
    pub after: Option<(Timestamp, String)>,
    /// At most as many.
    pub limit: usize,
    /// As many as weigh no more than this together, but at least one: about how many bytes they hold in memory.
    pub weight_max: usize,
}

/// A page of audit events.
#[derive(Clone, Debug, PartialEq)]
pub struct EventPage {
    /// The events. There may be fewer than were asked for, and none, though there are more to come.
    pub events: Vec<Event>,
    /// Behind what to go on; `None`: this was all.
    pub next: Option<(Timestamp, String)>,
}

/// The keyspace of a list, if it is of one; else "".
fn one_keyspace(within: &Reach) -> &str {
    match within {
        Reach::Only(these) if these.len() == 1 => &these[0],
        _ => "",
    }
}
