//! SQL of imports.

use sqlx::{PgConnection, PgExecutor};

use super::{keys, term};
use crate::key::id::KeyspaceUid;
use crate::key::imported::Form;
use crate::key::record::{ApiKey, NewSecret, SecretInfo};
use crate::key::token::PublicPrefix;
use crate::store::error::Stop;
use crate::store::import::{HOLDERS_MAX, Register, lookups};
use crate::store::row::{FormRow, HolderRow, all, form_columns};
use crate::store::{Actor, Holder, NewImport, Refusal, StoreError};

/// See [`crate::store::Store::holders`].
pub async fn holders(
    conn: impl PgExecutor<'_>,
    keyspace: &str,
    of: &[PublicPrefix],
) -> Result<Vec<Holder>, StoreError> {
    let names: Vec<&str> = of.iter().map(PublicPrefix::as_str).collect();
    let query = sqlx::query_as(
        "SELECT s.public_prefix, s.verifier_kind, s.verifier, s.key_id
         FROM api_key_secret s JOIN api_key k ON k.id = s.key_id
         WHERE s.public_prefix = ANY ($1) AND k.keyspace = $2",
    );
    all::<HolderRow, _>(query.bind(names).bind(term(keyspace)).fetch_all(conn).await?)
}

/// Those of these lookups that can be of no more keys.
async fn crowded(conn: &mut PgConnection, of: &[PublicPrefix]) -> Result<Vec<String>, StoreError> {
    let names: Vec<&str> = of.iter().map(PublicPrefix::as_str).collect();
    let query = sqlx::query_scalar(
        "SELECT public_prefix FROM api_key_secret WHERE public_prefix = ANY ($1)
         GROUP BY public_prefix HAVING count(*) >= $2",
    );
    Ok(query.bind(names).bind(HOLDERS_MAX).fetch_all(conn).await?)
}

/// See [`crate::store::Store::import_forms`].
pub async fn forms(conn: impl PgExecutor<'_>) -> Result<Vec<(String, Form)>, StoreError> {
    let query = sqlx::query_as("SELECT keyspace, kind, length FROM import_form ORDER BY keyspace, kind, length");
    all::<FormRow, _>(query.fetch_all(conn).await?)
}

/// See [`crate::store::Store::import_keys`].
pub async fn import(
    conn: &mut PgConnection,
    keyspace: &str,
    uid: Option<KeyspaceUid>,
    batch: &[NewImport],
    by: &Actor,
) -> Result<Vec<Result<ApiKey, Refusal>>, Stop> {
    // Held on to: it cannot be deleted any more.
    let kept = sqlx::query("SELECT FROM keyspace WHERE id = $1 AND uid = coalesce($2, uid) FOR KEY SHARE");
    let kept = kept.bind(keyspace).bind(uid.map(KeyspaceUid::number));
    kept.fetch_optional(&mut *conn).await?.ok_or(Refusal::KeyspaceNotFound)?;
    sqlx::query("INSERT INTO import_lock (keyspace) VALUES ($1) ON CONFLICT (keyspace) DO NOTHING")
        .bind(keyspace)
        .execute(&mut *conn)
        .await?;
    // After the keyspace: whoever deletes that locks it first.
    sqlx::query("SELECT FROM import_lock WHERE keyspace = $1 FOR UPDATE").bind(keyspace).execute(&mut *conn).await?;
    let lookups = lookups(batch);
    let holders = holders(&mut *conn, keyspace, &lookups).await?;
    let crowded = crowded(conn, &lookups).await?;
    let query = sqlx::query_as("SELECT keyspace, kind, length FROM import_form WHERE keyspace = $1").bind(keyspace);
    let forms: Vec<(String, Form)> = all::<FormRow, _>(query.fetch_all(&mut *conn).await?)?;
    let mut register = Register::new(holders, crowded, forms.into_iter().map(|(_, form)| form).collect());
    let mut results = Vec::with_capacity(batch.len());
    for new in batch {
        results.push(match import_one(conn, new, &mut register, by).await {
            Ok(key) => Ok(key),
            Err(Stop::Refused(refusal)) => Err(refusal),
            Err(failed) => return Err(failed),
        });
    }
    Ok(results)
}

/// Nothing is written if it is refused, so that the others of the batch go on.
async fn import_one(
    conn: &mut PgConnection,
    new: &NewImport,
    register: &mut Register,
    by: &Actor,
) -> Result<ApiKey, Stop> {
    let lookup = register.admit(new)?;
    let mut key = new.key.clone();
    key.secrets = vec![SecretInfo { public_prefix: lookup.clone(), create_time: key.create_time, expire_time: None }];
    if let Some(request_id) = &new.request_id {
        keys::claim(conn, request_id, &key, by.at).await?;
    }
    keys::insert(conn, &key, None).await?;
    let secret = NewSecret { public_prefix: lookup.clone(), verifier: new.verifier.clone(), has_mac: false };
    keys::insert_secret(conn, &key, &secret).await?;
    if let Some(form) = register.note(new, &lookup) {
        let (kind, length) = form_columns(form);
        let add = sqlx::query("INSERT INTO import_form (keyspace, kind, length) VALUES ($1, $2, $3)");
        add.bind(&key.keyspace).bind(kind).bind(length).execute(&mut *conn).await?;
    }
    let by = Actor { event_id: new.event_id.clone(), ..by.clone() };
    keys::record(conn, &by, "ImportApiKeys", &key, &key.audited(by.at)).await?;
    Ok(key)
}
