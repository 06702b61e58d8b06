//! SQL of keys and their secrets.

use std::time::Duration;

use sqlx::{QueryBuilder, SqliteConnection};

use super::events::{self, Deed};
use super::spending;
use crate::clock::Timestamp;
use crate::key::field::folded;
use crate::key::id::{IdSource, KeyId, KeyspaceUid};
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
        "k.id, k.keyspace, k.name, k.description, k.subject, k.scopes, k.claims, k.metadata, k.enabled, k.created_by, \
         k.create_time_us, k.update_time_us, k.expire_time_us, k.revoke_time_us, k.revocation_reason, \
         k.revocation_comment, k.last_use_time_us, k.rate_limit, k.credits, k.allowed_cidrs, k.revision, \
         (SELECT c.remaining FROM key_credits c WHERE c.key_id = k.id) AS credits_remaining, \
         (SELECT c.refill_time_us FROM key_credits c WHERE c.key_id = k.id) AS credits_refill_time_us, \
         (SELECT json_group_array(json_array(s.public_prefix, s.create_time_us, s.expire_time_us) \
          ORDER BY s.generation DESC) FROM api_key_secret s WHERE s.key_id = k.id) AS secrets"
    };
}
pub(super) use columns;

/// The key of this id.
pub async fn find(conn: &mut SqliteConnection, id: &KeyId) -> Result<Option<ApiKey>, StoreError> {
    let query = sqlx::query_as(concat!("SELECT ", columns!(), " FROM api_key k WHERE k.id = $1"));
    let row: Option<KeyRow> = query.bind(id.as_str()).fetch_optional(conn).await?;
    row.map(ApiKey::try_from).transpose()
}

/// See [`crate::store::Store::find_secret`].
pub async fn find_secret(conn: &mut SqliteConnection, public_prefix: &str) -> Result<Vec<Found>, StoreError> {
    let query = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        ", found.verifier_kind, found.verifier, found.expire_time_us AS secret_expire_time_us,
             keyspace.allow_wildcard_scopes, keyspace.default_rate_limit,
             keyspace.revision AS keyspace_revision, keyspace.uid AS keyspace_uid,
             (SELECT json_group_array(json_array(r.name, r.level, r.at_us, r.spent, r.asked))
              FROM key_rate r WHERE r.key_id = k.id) AS rates, NULL AS now_us
         FROM api_key_secret found JOIN api_key k ON k.id = found.key_id JOIN keyspace ON keyspace.id = k.keyspace
         WHERE found.public_prefix = $1 ORDER BY k.id"
    ));
    all::<FoundRow, _>(query.bind(public_prefix).fetch_all(conn).await?)
}

/// See [`crate::store::Store::bootstrap`].
pub async fn bootstrap(conn: &mut SqliteConnection, new: &NewKey, by: &Actor) -> Result<bool, Stop> {
    let first = note_root_key(conn).await?;
    if first {
        create(conn, new, by).await?;
    }
    Ok(first)
}

/// Notes that there is a root key. Whether it is the first that ever was.
async fn note_root_key(conn: &mut SqliteConnection) -> Result<bool, StoreError> {
    let noted = sqlx::query("UPDATE installation SET bootstrapped = true WHERE NOT bootstrapped");
    Ok(noted.execute(conn).await?.rows_affected() == 1)
}

/// See [`crate::store::Store::create_key`].
pub async fn create(conn: &mut SqliteConnection, new: &NewKey, by: &Actor) -> Result<(), Stop> {
    let NewKey { key, secret, request_id, keyspace_uid } = new;
    check_keyspace(conn, &key.keyspace, *keyspace_uid).await?;
    check_granted(conn, key).await?;
    if let Some(request_id) = request_id {
        claim(conn, request_id, key, by.at).await?;
    }
    if key.keyspace == SYSTEM {
        note_root_key(conn).await?;
    }
    insert(conn, key).await?;
    insert_labels(conn, key).await?;
    insert_secret(conn, key, secret).await?;
    record(conn, by, "CreateApiKey", key, &key.audited(by.at)).await
}

/// Refuses what is about a keyspace that is not there. SQLite does not name the constraint that a statement violates; one
/// writer need not let it come to that.
pub async fn check_keyspace(conn: &mut SqliteConnection, id: &str, uid: Option<KeyspaceUid>) -> Result<(), Stop> {
    let exists = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM keyspace WHERE id = $1 AND uid = coalesce($2, uid))");
    let exists = exists.bind(id).bind(uid.map(KeyspaceUid::number));
    if exists.fetch_one(conn).await? { Ok(()) } else { Err(Refusal::KeyspaceNotFound.into()) }
}

/// Refuses permissions for keyspaces that do not exist.
async fn check_granted(conn: &mut SqliteConnection, key: &ApiKey) -> Result<(), Stop> {
    let named = permission::named_keyspaces(&key.scopes);
    if key.keyspace != SYSTEM || named.is_empty() {
        return Ok(());
    }
    let missing = sqlx::query_scalar("SELECT value FROM json_each($1) WHERE value NOT IN (SELECT id FROM keyspace)");
    let missing: Vec<String> = missing.bind(to_json(&named)?).fetch_all(conn).await?;
    if missing.is_empty() { Ok(()) } else { Err(Refusal::GrantsNowhere(missing).into()) }
}

/// Ends the permissions of root keys that name `keyspace`, each with an event.
pub async fn end_grants(conn: &mut SqliteConnection, keyspace: &str, by: &Actor) -> Result<(), Stop> {
    let granted =
        sqlx::query_scalar("SELECT id FROM api_key WHERE keyspace = $1 AND instr(scopes, $2) > 0 ORDER BY id");
    let granted: Vec<String> =
        granted.bind(SYSTEM).bind(permission::end_in_json(keyspace)).fetch_all(&mut *conn).await?;
    let events = IdSource::default();
    for id in granted.into_iter().map(KeyId::from_text) {
        let mut key = find(conn, &id).await?.ok_or(Refusal::KeyNotFound)?;
        let scopes = permission::without_keyspace(&key.scopes, keyspace);
        let patch = Patch { scopes: Some(scopes), ..Patch::default() };
        let changes = key.update(&patch, by.at).map_err(Refusal::CreditsNotAdded)?;
        save(conn, &key).await?;
        let by = Actor { event_id: events.event(by.at), ..by.clone() };
        record(conn, &by, "DeleteKeyspace", &key, &changes).await?;
    }
    Ok(())
}

/// Takes `request_id` for `key`, and clears some that are forgotten away.
pub async fn claim(conn: &mut SqliteConnection, request_id: &str, key: &ApiKey, now: Timestamp) -> Result<(), Stop> {
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
             (SELECT keyspace, request_id FROM request_id WHERE create_time_us < $1 ORDER BY create_time_us LIMIT $2)",
    );
    prune.bind(forgotten).bind(PRUNED_MAX).execute(conn).await?;
    Ok(())
}

/// Writes a new key, its secrets apart.
pub async fn insert(conn: &mut SqliteConnection, key: &ApiKey) -> Result<(), StoreError> {
    let revocation = key.revocation.as_ref();
    sqlx::query(
        "INSERT INTO api_key (id, keyspace, name, name_folded, description, subject, scopes, claims, metadata, enabled,
             created_by, create_time_us, update_time_us, expire_time_us, revoke_time_us, revocation_reason,
             revocation_comment, last_use_time_us, revision, rate_limit, credits, allowed_cidrs)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
             $22)",
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
    .execute(&mut *conn)
    .await?;
    spending::set_credits(conn, None, key).await
}

/// Writes what can change about a key, its secrets and its last use apart.
async fn save(conn: &mut SqliteConnection, key: &ApiKey) -> Result<(), StoreError> {
    let revocation = key.revocation.as_ref();
    let saved = sqlx::query(
        "UPDATE api_key SET name = $2, name_folded = $3, description = $4, scopes = $5, claims = $6, metadata = $7,
             enabled = $8, update_time_us = $9, expire_time_us = $10, revoke_time_us = $11, revocation_reason = $12,
             revocation_comment = $13, revision = $14, rate_limit = $15, credits = $16, allowed_cidrs = $17
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
    .bind(list_column(&key.rate_limits)?)
    .bind(credits_column(key.credits.as_ref())?)
    .bind(list_column(&key.allowed_cidrs)?)
    .execute(conn)
    .await?;
    one_row(saved.rows_affected())
}

/// Writes the labels of a new key once more.
pub async fn insert_labels(conn: &mut SqliteConnection, key: &ApiKey) -> Result<(), StoreError> {
    if key.metadata.is_empty() {
        return Ok(());
    }
    let mut sql = QueryBuilder::new("INSERT INTO api_key_metadata (name, value, key_id) ");
    sql.push_values(&key.metadata, |mut row, (name, value)| {
        row.push_bind(name).push_bind(value).push_bind(key.id.as_str());
    });
    sql.build().execute(conn).await?;
    Ok(())
}

/// Stores `secret` as the newest of `key`, whose `secrets` begin with it.
pub async fn insert_secret(conn: &mut SqliteConnection, key: &ApiKey, secret: &NewSecret) -> Result<(), StoreError> {
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
async fn keep_secrets(conn: &mut SqliteConnection, before: &[SecretInfo], after: &ApiKey) -> Result<(), StoreError> {
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

/// Refuses what leaves no root key that may do everything, or for a shorter time. The one writer makes one change after
/// another, so that of two at once the second sees what the first did.
async fn keep_admin(
    conn: &mut SqliteConnection,
    before: &ApiKey,
    after: Option<&ApiKey>,
    by: &Actor,
) -> Result<(), Stop> {
    let Some(until) = admin_needed(before, after, by) else { return Ok(()) };
    let another = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM api_key WHERE keyspace = $1 AND id <> $2 AND instr(scopes, $3) > 0 AND enabled
             AND revoke_time_us IS NULL AND (expire_time_us IS NULL OR expire_time_us >= $4))",
    );
    let another = another.bind(SYSTEM).bind(before.id.as_str()).bind(permission::ADMIN_IN_JSON);
    let another: bool = another.bind(until.as_micros()).fetch_one(conn).await?;
    if another { Ok(()) } else { Err(Refusal::LastAdminKey.into()) }
}

/// See [`crate::store::Store::update_key`].
pub async fn update(
    conn: &mut SqliteConnection,
    id: &KeyId,
    patch: &Patch,
    revision: Option<i64>,
    by: &Actor,
) -> Result<ApiKey, Stop> {
    let before = by.reached(find(conn, id).await?)?;
    let mut key = before.clone();
    if revision.is_some_and(|revision| revision != key.revision) {
        return Err(Refusal::EtagMismatch.into());
    }
    let changes = key.update(patch, by.at).map_err(Refusal::CreditsNotAdded)?;
    if changes.is_empty() {
        return Ok(key);
    }
    if changes.contains_key("scopes") {
        check_granted(conn, &key).await?;
    }
    keep_admin(conn, &before, Some(&key), by).await?;
    save(conn, &key).await?;
    if before.secrets.len() != key.secrets.len() {
        keep_secrets(conn, &before.secrets, &key).await?;
    }
    spending::set_credits(conn, before.credits.as_ref(), &key).await?;
    if changes.contains_key("metadata") {
        let forget = sqlx::query("DELETE FROM api_key_metadata WHERE key_id = $1").bind(id.as_str());
        forget.execute(&mut *conn).await?;
        insert_labels(conn, &key).await?;
    }
    record(conn, by, "UpdateApiKey", &key, &changes).await?;
    Ok(key)
}

/// See [`crate::store::Store::rotate_key`].
pub async fn rotate(
    conn: &mut SqliteConnection,
    id: &KeyId,
    newest: &NewSecret,
    overlap: Duration,
    by: &Actor,
) -> Result<ApiKey, Stop> {
    let mut key = by.reached(find(conn, id).await?)?;
    let before = key.secrets.clone();
    let ends_overlap = by.overrides.end_overlap;
    let changes = key.rotate(newest.public_prefix.clone(), overlap, ends_overlap, by.at).map_err(Refusal::from)?;
    save(conn, &key).await?;
    keep_secrets(conn, &before, &key).await?;
    insert_secret(conn, &key, newest).await?;
    record(conn, by, "RotateApiKey", &key, &changes).await?;
    Ok(key)
}

/// See [`crate::store::Store::revoke_key`].
pub async fn revoke(
    conn: &mut SqliteConnection,
    id: &KeyId,
    revocation: &Revocation,
    by: &Actor,
) -> Result<ApiKey, Stop> {
    let before = by.reached(find(conn, id).await?)?;
    let mut key = before.clone();
    let changes = key.revoke(revocation);
    if !changes.is_empty() {
        keep_admin(conn, &before, Some(&key), by).await?;
        save(conn, &key).await?;
        record(conn, by, "RevokeApiKey", &key, &changes).await?;
    }
    Ok(key)
}

/// See [`crate::store::Store::delete_key`].
pub async fn delete(conn: &mut SqliteConnection, id: &KeyId, by: &Actor) -> Result<(), Stop> {
    let key = by.reached(find(conn, id).await?)?;
    keep_admin(conn, &key, None, by).await?;
    let deleted = sqlx::query("DELETE FROM api_key WHERE id = $1").bind(id.as_str()).execute(&mut *conn).await?;
    one_row(deleted.rows_affected())?;
    record(conn, by, "DeleteApiKey", &key, &key.audited(by.at)).await
}

/// Writes the event of what was done to a key.
pub async fn record(
    conn: &mut SqliteConnection,
    by: &Actor,
    action: &'static str,
    key: &ApiKey,
    changes: &Json,
) -> Result<(), Stop> {
    let deed = Deed { action, keyspace: &key.keyspace, key_id: Some(&key.id), changes };
    Ok(events::record(conn, by, deed).await?)
}
