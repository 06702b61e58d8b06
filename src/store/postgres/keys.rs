//! SQL of keys and their secrets.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::PgConnection;

use super::events::{self, Deed};
use super::{KEYSPACE_FKEY, refuse_if, spending, term};
use crate::clock::Timestamp;
use crate::key::field::folded;
use crate::key::id::{KeyId, KeyspaceUid};
use crate::key::keyspace::SYSTEM;
use crate::key::permission;
use crate::key::record::{ApiKey, Json, NewSecret, Patch, Revocation, SecretInfo};
use crate::store::error::{Stop, one_row};
use crate::store::row::{FoundRow, KeyRow, all, credits_column, list_column, time, to_json, verifier_columns};
use crate::store::{Actor, Found, NewKey, REQUEST_ID_KEPT, Refusal, StoreError, admin_needed};

/// Most forgotten request ids that one creation clears away: more than the one it adds, and soon done.
const PRUNED_MAX: i64 = 16;

/// What a [`KeyRow`] is read from, where `k` is `api_key`.
macro_rules! columns {
    () => {
        "k.id, k.keyspace, k.name, k.description, k.subject, k.scopes, k.claims, k.metadata::text AS metadata, k.enabled, k.created_by, \
         k.create_time_us, k.update_time_us, k.expire_time_us, k.revoke_time_us, k.revocation_reason, \
         k.revocation_comment, k.last_use_time_us, k.rate_limit, k.credits, k.allowed_cidrs, k.revision, \
         (SELECT c.remaining FROM key_credits c WHERE c.key_id = k.id) AS credits_remaining, \
         (SELECT c.refill_time_us FROM key_credits c WHERE c.key_id = k.id) AS credits_refill_time_us, \
         (SELECT json_agg(json_build_array(s.public_prefix, s.create_time_us, s.expire_time_us) \
          ORDER BY s.generation DESC)::text FROM api_key_secret s WHERE s.key_id = k.id) AS secrets"
    };
}
pub(super) use columns;

/// The key of this id.
pub async fn find(conn: &mut PgConnection, id: &KeyId) -> Result<Option<ApiKey>, StoreError> {
    let query = sqlx::query_as(concat!("SELECT ", columns!(), " FROM api_key k WHERE k.id = $1"));
    let row: Option<KeyRow> = query.bind(term(id.as_str())).fetch_optional(conn).await?;
    row.map(ApiKey::try_from).transpose()
}

/// See [`crate::store::Store::find_secret`].
pub async fn find_secret(conn: &mut PgConnection, public_prefix: &str) -> Result<Vec<Found>, StoreError> {
    let query = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        ", found.verifier_kind, found.verifier, found.expire_time_us AS secret_expire_time_us,
             keyspace.allow_wildcard_scopes, keyspace.default_rate_limit,
             keyspace.revision AS keyspace_revision, keyspace.uid AS keyspace_uid,
             (SELECT json_agg(json_build_array(r.name, r.level, r.at_us, r.spent, r.asked))::text
              FROM key_rate r WHERE r.key_id = k.id) AS rates,
             (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us
         FROM api_key_secret found JOIN api_key k ON k.id = found.key_id JOIN keyspace ON keyspace.id = k.keyspace
         WHERE found.public_prefix = $1 ORDER BY k.id"
    ));
    all::<FoundRow, _>(query.bind(term(public_prefix)).fetch_all(conn).await?)
}

/// See [`crate::store::Store::bootstrap`].
pub async fn bootstrap(conn: &mut PgConnection, new: &NewKey, by: &Actor) -> Result<bool, Stop> {
    let first = note_root_key(conn).await?;
    if first {
        create(conn, new, by).await?;
    }
    Ok(first)
}

/// Notes that there is a root key. Whether it is the first that ever was.
async fn note_root_key(conn: &mut PgConnection) -> Result<bool, StoreError> {
    let noted = sqlx::query("UPDATE installation SET bootstrapped = true WHERE NOT bootstrapped");
    Ok(noted.execute(conn).await?.rows_affected() == 1)
}

/// See [`crate::store::Store::create_key`].
pub async fn create(conn: &mut PgConnection, new: &NewKey, by: &Actor) -> Result<(), Stop> {
    let NewKey { key, secret, request_id, keyspace_uid } = new;
    // Before all else: it holds on to the keyspace, which cannot be deleted any more.
    insert(conn, key, *keyspace_uid).await?;
    hold_granted(conn, key).await?;
    if let Some(request_id) = request_id {
        claim(conn, request_id, key, by.at).await?;
    }
    if key.keyspace == SYSTEM {
        note_root_key(conn).await?;
    }
    insert_secret(conn, key, secret).await?;
    record(conn, by, "CreateApiKey", key, &key.audited(by.at)).await
}

/// Takes `request_id` for `key`, and clears some that are forgotten away.
pub async fn claim(conn: &mut PgConnection, request_id: &str, key: &ApiKey, now: Timestamp) -> Result<(), Stop> {
    let forgotten = now.saturating_sub(REQUEST_ID_KEPT).as_micros();
    let claimed = sqlx::query(
        "INSERT INTO request_id (keyspace, request_id, key_id, create_time_us) VALUES ($1, $2, $3, $4)
         ON CONFLICT (keyspace, request_id)
         DO UPDATE SET key_id = excluded.key_id, create_time_us = excluded.create_time_us
         WHERE request_id.create_time_us < $5",
    )
    .bind(&key.keyspace)
    .bind(request_id)
    .bind(key.id.as_str())
    .bind(now.as_micros())
    .bind(forgotten)
    .execute(&mut *conn)
    .await?;
    if claimed.rows_affected() == 0 {
        let holder = sqlx::query_scalar("SELECT key_id FROM request_id WHERE keyspace = $1 AND request_id = $2");
        let holder: String = holder.bind(&key.keyspace).bind(request_id).fetch_one(conn).await?;
        return Err(Refusal::RequestIdUsed(KeyId::from_text(holder)).into());
    }
    let prune = sqlx::query(
        "DELETE FROM request_id WHERE (keyspace, request_id) IN
             (SELECT keyspace, request_id FROM request_id WHERE create_time_us < $1 ORDER BY create_time_us LIMIT $2
              FOR UPDATE SKIP LOCKED)",
    );
    prune.bind(forgotten).bind(PRUNED_MAX).execute(conn).await?;
    Ok(())
}

/// Refuses permissions for keyspaces that do not exist, and holds on to those that do: whoever deletes one ends the
/// permissions for it, and must see these. Keys are locked before keyspaces, by all.
async fn hold_granted(conn: &mut PgConnection, key: &ApiKey) -> Result<(), Stop> {
    let named = permission::named_keyspaces(&key.scopes);
    if key.keyspace != SYSTEM || named.is_empty() {
        return Ok(());
    }
    let named: Vec<_> = named.into_iter().filter_map(term).collect();
    let held = sqlx::query_scalar("SELECT id FROM keyspace WHERE id = ANY ($1) ORDER BY id FOR KEY SHARE");
    let held: Vec<String> = held.bind(&named).fetch_all(conn).await?;
    let missing: Vec<_> =
        named.into_iter().filter(|id| !held.iter().any(|held| held == id)).map(str::to_owned).collect();
    if missing.is_empty() { Ok(()) } else { Err(Refusal::GrantsNowhere(missing).into()) }
}

/// The root keys with a permission that names `keyspace`, by id.
pub async fn granted_on(conn: &mut PgConnection, keyspace: &str) -> Result<Vec<String>, StoreError> {
    let query = sqlx::query_scalar("SELECT id FROM api_key WHERE keyspace = $1 AND strpos(scopes, $2) > 0 ORDER BY id");
    Ok(query.bind(SYSTEM).bind(term(&permission::end_in_json(keyspace))).fetch_all(conn).await?)
}

/// Ends the permissions of `key`, which is locked, that name `keyspace`.
pub async fn end_grants(conn: &mut PgConnection, key: &mut ApiKey, keyspace: &str, by: &Actor) -> Result<(), Stop> {
    let scopes = permission::without_keyspace(&key.scopes, keyspace);
    let patch = Patch { scopes: Some(scopes), ..Patch::default() };
    let changes = key.update(&patch, by.at).map_err(Refusal::CreditsNotAdded)?;
    if !changes.is_empty() {
        save(conn, key, by, "DeleteKeyspace", &changes).await?;
    }
    Ok(())
}

/// Writes a new key, its secrets apart, into its keyspace, if that has this `uid` or none is given.
pub async fn insert(conn: &mut PgConnection, key: &ApiKey, uid: Option<KeyspaceUid>) -> Result<(), Stop> {
    let revocation = key.revocation.as_ref();
    let inserted = sqlx::query(
        "WITH meant AS MATERIALIZED (SELECT FROM keyspace WHERE id = $2 AND uid = coalesce($23, uid) FOR KEY SHARE)
         INSERT INTO api_key (id, keyspace, name, name_folded, description, subject, scopes, claims, metadata, enabled,
             created_by, create_time_us, update_time_us, expire_time_us, revoke_time_us, revocation_reason,
             revocation_comment, last_use_time_us, revision, rate_limit, credits, allowed_cidrs)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
             $22
         FROM meant",
    )
    .bind(key.id.as_str())
    .bind(&key.keyspace)
    .bind(&key.name)
    .bind(folded(&key.name))
    .bind(&key.description)
    .bind(&key.subject)
    .bind(to_json(&key.scopes)?)
    .bind(to_json(&key.claims)?)
    .bind(to_json(&key.metadata)?)
    .bind(key.enabled)
    .bind(&key.created_by)
    .bind(key.create_time.as_micros())
    .bind(key.update_time.as_micros())
    .bind(time(key.expire_time))
    .bind(revocation.map(|r| r.at.as_micros()))
    .bind(revocation.map(|r| r.reason as i16))
    .bind(revocation.map(|r| &r.comment))
    .bind(time(key.last_use_time))
    .bind(key.revision)
    .bind(list_column(&key.rate_limits)?)
    .bind(credits_column(key.credits.as_ref())?)
    .bind(list_column(&key.allowed_cidrs)?)
    .bind(uid.map(KeyspaceUid::number))
    .execute(&mut *conn)
    .await
    .map_err(|e| refuse_if(e, KEYSPACE_FKEY, Refusal::KeyspaceNotFound))?;
    if inserted.rows_affected() == 0 {
        return Err(Refusal::KeyspaceNotFound.into());
    }
    Ok(spending::set_credits(conn, None, key).await?)
}

/// Writes what can change about a key, its secrets and its last use apart, and the event of it: with one statement, for
/// whoever waits for the key waits for each.
async fn save(
    conn: &mut PgConnection,
    key: &ApiKey,
    by: &Actor,
    action: &'static str,
    changes: &Json,
) -> Result<(), StoreError> {
    let revocation = key.revocation.as_ref();
    let saved = sqlx::query(
        "WITH event AS (
             INSERT INTO audit_event (id, create_time_us, actor, action, keyspace, key_id, peer, changes, keyspace_uid)
             VALUES ($15, $16, $17, $18, $19, $1, $20, $21, (SELECT uid FROM keyspace WHERE id = $19)))
         UPDATE api_key SET name = $2, name_folded = $3, description = $4, scopes = $5, claims = $6, metadata = $7::jsonb,
             enabled = $8, update_time_us = $9, expire_time_us = $10, revoke_time_us = $11, revocation_reason = $12,
             revocation_comment = $13, revision = $14, rate_limit = $22, credits = $23, allowed_cidrs = $24
         WHERE id = $1",
    )
    .bind(key.id.as_str())
    .bind(&key.name)
    .bind(folded(&key.name))
    .bind(&key.description)
    .bind(to_json(&key.scopes)?)
    .bind(to_json(&key.claims)?)
    .bind(to_json(&key.metadata)?)
    .bind(key.enabled)
    .bind(key.update_time.as_micros())
    .bind(time(key.expire_time))
    .bind(revocation.map(|r| r.at.as_micros()))
    .bind(revocation.map(|r| r.reason as i16))
    .bind(revocation.map(|r| &r.comment))
    .bind(key.revision)
    .bind(&by.event_id)
    .bind(by.at.as_micros())
    .bind(&by.name)
    .bind(action)
    .bind(&key.keyspace)
    .bind(&by.peer)
    .bind(to_json(changes)?)
    .bind(list_column(&key.rate_limits)?)
    .bind(credits_column(key.credits.as_ref())?)
    .bind(list_column(&key.allowed_cidrs)?)
    .execute(conn)
    .await?;
    one_row(saved.rows_affected())
}

/// Stores `secret` as the newest of `key`, whose `secrets` begin with it.
pub async fn insert_secret(conn: &mut PgConnection, key: &ApiKey, secret: &NewSecret) -> Result<(), StoreError> {
    let info = key.secrets.first().filter(|info| info.public_prefix == secret.public_prefix);
    let info = info.ok_or_else(|| StoreError::fault("the secret is not the key's newest"))?;
    let (kind, verifier) = verifier_columns(&secret.verifier);
    sqlx::query(
        "INSERT INTO api_key_secret
             (public_prefix, key_id, generation, verifier_kind, verifier, create_time_us, expire_time_us, has_mac)
         SELECT $1, $2, coalesce(max(generation), 0) + 1, $3, $4, $5, $6, $7 FROM api_key_secret WHERE key_id = $2",
    )
    .bind(secret.public_prefix.as_str())
    .bind(key.id.as_str())
    .bind(kind)
    .bind(verifier)
    .bind(info.create_time.as_micros())
    .bind(time(info.expire_time))
    .bind(secret.has_mac)
    .execute(conn)
    .await?;
    Ok(())
}

/// Brings the secrets of `before` to what they are in `after`, new ones apart.
async fn keep_secrets(conn: &mut PgConnection, before: &[SecretInfo], after: &ApiKey) -> Result<(), StoreError> {
    for secret in before {
        let kept = after.secrets.iter().find(|kept| kept.public_prefix == secret.public_prefix);
        let change = match kept {
            Some(kept) => {
                sqlx::query("UPDATE api_key_secret SET expire_time_us = $3 WHERE public_prefix = $1 AND key_id = $2")
                    .bind(secret.public_prefix.as_str())
                    .bind(after.id.as_str())
                    .bind(time(kept.expire_time))
            }
            None => sqlx::query("DELETE FROM api_key_secret WHERE public_prefix = $1 AND key_id = $2")
                .bind(secret.public_prefix.as_str())
                .bind(after.id.as_str()),
        };
        one_row(change.execute(&mut *conn).await?.rows_affected())?;
    }
    Ok(())
}

/// Refuses what leaves no root key that may do everything, or for a shorter time. Of two such changes at once, on whichever
/// replicas, the second waits here and sees what the first did. Keys are locked before keyspaces, by all.
async fn keep_admin(conn: &mut PgConnection, before: &ApiKey, after: Option<&ApiKey>, by: &Actor) -> Result<(), Stop> {
    let Some(until) = admin_needed(before, after, by) else { return Ok(()) };
    let turn = sqlx::query("SELECT FROM keyspace WHERE id = $1 FOR NO KEY UPDATE").bind(SYSTEM);
    turn.execute(&mut *conn).await?;
    let another = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM api_key WHERE keyspace = $1 AND id <> $2 AND strpos(scopes, $3) > 0 AND enabled
             AND revoke_time_us IS NULL AND (expire_time_us IS NULL OR expire_time_us >= $4))",
    );
    let another = another.bind(SYSTEM).bind(before.id.as_str()).bind(permission::ADMIN_IN_JSON);
    let another: bool = another.bind(until.as_micros()).fetch_one(conn).await?;
    if another { Ok(()) } else { Err(Refusal::LastAdminKey.into()) }
}

/// A change of a key that is there.
#[derive(Clone, Debug)]
pub enum Change {
    /// See [`crate::store::Store::update_key`].
    Update { patch: Patch, revision: Option<i64> },
    /// See [`crate::store::Store::rotate_key`].
    Rotate { newest: NewSecret, overlap: Duration },
    /// See [`crate::store::Store::revoke_key`].
    Revoke(Revocation),
    /// See [`crate::store::Store::delete_key`].
    Delete,
}

impl Change {
    /// Whether no secret of the key works any more then.
    pub fn ends_key(&self) -> bool {
        matches!(self, Self::Revoke(_) | Self::Delete)
    }
}

#[derive(sqlx::FromRow)]
struct LockedRow {
    /// As it was when the statement began; what is in `key` is as it is, its secrets apart.
    seen_revision: i64,
    #[sqlx(flatten)]
    key: KeyRow,
}

/// What to do about keys that somebody else has locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// Leave them out.
    Skip,
    /// Wait for them.
    Wait,
}

/// Which of these keys there are.
pub async fn existing(conn: &mut PgConnection, ids: &[&str]) -> Result<Vec<String>, StoreError> {
    let ids: Vec<_> = ids.iter().filter_map(|id| term(id)).collect();
    Ok(sqlx::query_scalar("SELECT id FROM api_key WHERE id = ANY ($1)").bind(ids).fetch_all(conn).await?)
}

/// These keys, which nobody else changes until the transaction ends.
pub async fn lock(conn: &mut PgConnection, ids: &[&str], busy: Busy) -> Result<Keys, StoreError> {
    let ids: Vec<_> = ids.iter().filter_map(|id| term(id)).collect();
    // In the order of their ids, as everybody does: two who lock at once must not wait for each other.
    macro_rules! statement {
        ($busy:literal) => {
            concat!(
                "WITH k AS MATERIALIZED (SELECT * FROM api_key WHERE id = ANY ($1) ORDER BY id FOR UPDATE ",
                $busy,
                ") SELECT (SELECT seen.revision FROM api_key seen WHERE seen.id = k.id) AS seen_revision, ",
                columns!(),
                " FROM k"
            )
        };
    }
    let query = sqlx::query_as(match busy {
        Busy::Skip => statement!("SKIP LOCKED"),
        Busy::Wait => statement!(""),
    });
    let rows: Vec<LockedRow> = query.bind(ids).fetch_all(&mut *conn).await?;
    let mut keys = Keys::new();
    for LockedRow { seen_revision, key } in rows {
        let key: ApiKey = key.try_into()?;
        if key.revision == seen_revision {
            keys.insert(key.id.clone(), key);
        } else if let Some(key) = find(conn, &key.id).await? {
            // Its lock had to be waited for, and it may have other secrets by now.
            keys.insert(key.id.clone(), key);
        }
    }
    Ok(keys)
}

/// Keys that are locked, as they are by now.
pub type Keys = BTreeMap<KeyId, ApiKey>;

/// Changes a key that is locked. The key as it is then or, if it is deleted, as it was. Nothing is written if it is
/// refused.
pub async fn change(
    conn: &mut PgConnection,
    keys: &mut Keys,
    id: &KeyId,
    change: &Change,
    by: &Actor,
) -> Result<ApiKey, Stop> {
    let mut key = by.reached(keys.get(id).cloned())?;
    match change {
        Change::Update { patch, revision } => {
            if revision.is_some_and(|revision| revision != key.revision) {
                return Err(Refusal::EtagMismatch.into());
            }
            if patch.credits.is_some() || patch.add_credits.is_some() {
                spending::lock_credits(conn, &mut key).await?;
            }
            let before = key.clone();
            let changes = key.update(patch, by.at).map_err(Refusal::CreditsNotAdded)?;
            if !changes.is_empty() {
                if changes.contains_key("scopes") {
                    hold_granted(conn, &key).await?;
                }
                keep_admin(conn, &before, Some(&key), by).await?;
                save(conn, &key, by, "UpdateApiKey", &changes).await?;
                if before.secrets.len() != key.secrets.len() {
                    keep_secrets(conn, &before.secrets, &key).await?;
                }
                spending::set_credits(conn, before.credits.as_ref(), &key).await?;
            }
        }
        Change::Rotate { newest, overlap } => {
            let before = key.secrets.clone();
            let ends_overlap = by.overrides.end_overlap;
            let changes =
                key.rotate(newest.public_prefix.clone(), *overlap, ends_overlap, by.at).map_err(Refusal::from)?;
            save(conn, &key, by, "RotateApiKey", &changes).await?;
            keep_secrets(conn, &before, &key).await?;
            insert_secret(conn, &key, newest).await?;
        }
        Change::Revoke(revocation) => {
            let before = key.clone();
            let changes = key.revoke(revocation);
            if !changes.is_empty() {
                keep_admin(conn, &before, Some(&key), by).await?;
                save(conn, &key, by, "RevokeApiKey", &changes).await?;
            }
        }
        Change::Delete => {
            keep_admin(conn, &key, None, by).await?;
            let deleted =
                sqlx::query("DELETE FROM api_key WHERE id = $1").bind(id.as_str()).execute(&mut *conn).await?;
            one_row(deleted.rows_affected())?;
            record(conn, by, "DeleteApiKey", &key, &key.audited(by.at)).await?;
            keys.remove(id);
            return Ok(key);
        }
    }
    keys.insert(id.clone(), key.clone());
    Ok(key)
}

/// Writes the event of what was done to a key.
pub async fn record(
    conn: &mut PgConnection,
    by: &Actor,
    action: &'static str,
    key: &ApiKey,
    changes: &Json,
) -> Result<(), Stop> {
    let deed = Deed { action, keyspace: &key.keyspace, key_id: Some(&key.id), changes };
    Ok(events::record(conn, by, deed).await?)
}
