//! What a store should answer, said as simply as possible: maps in memory, one caller, no SQL.
//!
//! Written from the contract, and on purpose without the functions by which the program changes keys.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use portcullis::clock::Timestamp;
use portcullis::key::field::folded;
use portcullis::key::id::{KeyId, KeyspaceUid};
use portcullis::key::keyspace::{Keyspace, KeyspacePatch};
use portcullis::key::permission::Reach;
use portcullis::key::record::{ApiKey, NewSecret, Patch, Revocation, SecretInfo};
use portcullis::key::verifier::Verifier;
use portcullis::store::{Actor, Event, EventQuery, Found, KeyPage, KeyQuery, NewKey, Refusal};

const DAY_US: i64 = 24 * 3600 * 1_000_000;

#[derive(Default)]
pub struct Reference {
    pub keyspaces: BTreeMap<String, Keyspace>,
    pub keys: BTreeMap<KeyId, ApiKey>,
    /// By public prefix; what belongs to no key any more stays, and is not found.
    verifiers: BTreeMap<String, Verifier>,
    /// By keyspace and request_id: when, and which key.
    requests: BTreeMap<(String, String), (Timestamp, KeyId)>,
    /// With the keyspace that each is of: its id may be another's by now.
    events: Vec<(KeyspaceUid, Trace)>,
}

/// An audit event, with only the names of what an update changed: how values are shown is for other tests.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    at: Timestamp,
    id: String,
    who: (String, String),
    action: String,
    keyspace: String,
    key_id: Option<KeyId>,
    updated: Vec<String>,
}

impl Trace {
    pub fn of(event: &Event) -> Self {
        let updated = match event.action.as_str() {
            "UpdateApiKey" => event.changes.keys().cloned().collect(),
            _ => vec![],
        };
        Self {
            at: event.at,
            id: event.id.clone(),
            who: (event.actor.clone(), event.peer.clone()),
            action: event.action.clone(),
            keyspace: event.keyspace.clone(),
            key_id: event.key_id.clone(),
            updated,
        }
    }
}

impl Reference {
    pub fn create_keyspace(&mut self, keyspace: Keyspace, by: &Actor) -> Result<(), Refusal> {
        if self.keyspaces.contains_key(&keyspace.id) {
            return Err(Refusal::KeyspaceExists);
        }
        let id = keyspace.id.clone();
        self.keyspaces.insert(id.clone(), keyspace);
        self.trace("CreateKeyspace", &id, None, vec![], by);
        Ok(())
    }

    pub fn update_keyspace(
        &mut self,
        id: &str,
        patch: &KeyspacePatch,
        revision: Option<i64>,
        by: &Actor,
    ) -> Result<Keyspace, Refusal> {
        let keyspace = self.keyspaces.get_mut(id).ok_or(Refusal::KeyspaceNotFound)?;
        if revision.is_some_and(|revision| revision != keyspace.revision) {
            return Err(Refusal::EtagMismatch);
        }
        let before = keyspace.clone();
        let patch = patch.clone();
        keyspace.display_name = patch.display_name.unwrap_or(before.display_name.clone());
        keyspace.allow_wildcard_scopes = patch.allow_wildcard_scopes.unwrap_or(before.allow_wildcard_scopes);
        keyspace.max_ttl = patch.max_ttl.unwrap_or(before.max_ttl);
        if *keyspace == before {
            return Ok(before);
        }
        keyspace.update_time = by.at;
        keyspace.revision += 1;
        let after = keyspace.clone();
        self.trace("UpdateKeyspace", id, None, vec![], by);
        Ok(after)
    }

    pub fn delete_keyspace(&mut self, id: &str, by: &Actor) -> Result<(), Refusal> {
        if !self.keyspaces.contains_key(id) {
            return Err(Refusal::KeyspaceNotFound);
        }
        if self.keys.values().any(|key| key.keyspace == id) {
            return Err(Refusal::KeyspaceNotEmpty);
        }
        self.trace("DeleteKeyspace", id, None, vec![], by);
        self.keyspaces.remove(id);
        self.requests.retain(|(keyspace, _), _| keyspace != id);
        Ok(())
    }

    pub fn create_key(&mut self, new: NewKey, by: &Actor) -> Result<(), Refusal> {
        let NewKey { key, secret, request_id, .. } = new;
        if !self.keyspaces.contains_key(&key.keyspace) {
            return Err(Refusal::KeyspaceNotFound);
        }
        if let Some(request_id) = request_id {
            let request = (key.keyspace.clone(), request_id);
            if let Some((made, id)) = self.requests.get(&request)
                && by.at.as_micros() - made.as_micros() < DAY_US
            {
                return Err(Refusal::RequestIdUsed(id.clone()));
            }
            self.requests.insert(request, (by.at, key.id.clone()));
        }
        self.trace("CreateApiKey", &key.keyspace, Some(&key.id), vec![], by);
        self.verifiers.insert(secret.public_prefix.as_str().into(), secret.verifier);
        self.keys.insert(key.id.clone(), key);
        Ok(())
    }

    pub fn update_key(
        &mut self,
        id: &KeyId,
        patch: &Patch,
        revision: Option<i64>,
        by: &Actor,
    ) -> Result<ApiKey, Refusal> {
        let key = self.keys.get_mut(id).ok_or(Refusal::KeyNotFound)?;
        if revision.is_some_and(|revision| revision != key.revision) {
            return Err(Refusal::EtagMismatch);
        }
        let before = key.clone();
        let Patch { name, description, scopes, claims, metadata, expire_time, enabled, .. } = patch.clone();
        key.name = name.unwrap_or(before.name.clone());
        key.description = description.unwrap_or(before.description.clone());
        key.scopes = scopes.unwrap_or(before.scopes.clone());
        key.claims = claims.unwrap_or(before.claims.clone());
        key.metadata = metadata.unwrap_or(before.metadata.clone());
        key.expire_time = expire_time.unwrap_or(before.expire_time);
        key.enabled = enabled.unwrap_or(before.enabled);
        let mut updated = vec![];
        for (name, differs) in [
            ("claims", key.claims != before.claims),
            ("description", key.description != before.description),
            ("enabled", key.enabled != before.enabled),
            ("expire_time", key.expire_time != before.expire_time),
            ("metadata", key.metadata != before.metadata),
            ("name", key.name != before.name),
            ("scopes", key.scopes != before.scopes),
        ] {
            if differs {
                updated.push(String::from(name));
            }
        }
        if updated.is_empty() {
            return Ok(before);
        }
        Ok(self.changed("UpdateApiKey", id, updated, by))
    }

    pub fn rotate_key(
        &mut self,
        id: &KeyId,
        newest: NewSecret,
        overlap: Duration,
        by: &Actor,
    ) -> Result<ApiKey, Refusal> {
        let key = self.keys.get_mut(id).ok_or(Refusal::KeyNotFound)?;
        if key.revocation.is_some() {
            return Err(Refusal::KeyRevoked);
        }
        if key.expire_time.is_some_and(|expires| expires <= by.at) {
            return Err(Refusal::KeyExpired);
        }
        // The newest secret that still works stays until the overlap is over, if there is one.
        let still_works = key.secrets.iter().find(|secret| secret.expire_time.is_none_or(|expires| expires > by.at));
        let previous = still_works.filter(|_| !overlap.is_zero()).cloned();
        let public_prefix = newest.public_prefix;
        self.verifiers.insert(public_prefix.as_str().into(), newest.verifier);
        key.secrets = vec![SecretInfo { public_prefix, create_time: by.at, expire_time: None }];
        if let Some(previous) = previous {
            let overlap = i64::try_from(overlap.as_micros()).expect("days");
            let until = Timestamp::from_micros(by.at.as_micros() + overlap);
            key.secrets.push(SecretInfo { expire_time: Some(until), ..previous });
        }
        Ok(self.changed("RotateApiKey", id, vec![], by))
    }

    pub fn revoke_key(&mut self, id: &KeyId, revocation: Revocation, by: &Actor) -> Result<ApiKey, Refusal> {
        let key = self.keys.get_mut(id).ok_or(Refusal::KeyNotFound)?;
        if key.revocation.is_some() {
            return Ok(key.clone());
        }
        key.revocation = Some(revocation);
        Ok(self.changed("RevokeApiKey", id, vec![], by))
    }

    pub fn delete_key(&mut self, id: &KeyId, by: &Actor) -> Result<(), Refusal> {
        let key = self.keys.remove(id).ok_or(Refusal::KeyNotFound)?;
        self.trace("DeleteApiKey", &key.keyspace, Some(id), vec![], by);
        Ok(())
    }

    pub fn record_uses(&mut self, uses: &[(KeyId, Timestamp)]) {
        for (id, used) in uses {
            if let Some(key) = self.keys.get_mut(id) {
                key.last_use_time = key.last_use_time.max(Some(*used));
            }
        }
    }

    pub fn find_secret(&self, public_prefix: &str) -> Option<Found> {
        for key in self.keys.values() {
            for secret in &key.secrets {
                if secret.public_prefix.as_str() == public_prefix {
                    return Some(Found {
                        verifier: self.verifiers[public_prefix].clone(),
                        secret_expire_time: secret.expire_time,
                        key: key.clone(),
                        wildcards: self.keyspaces[&key.keyspace].allow_wildcard_scopes,
                        default_rate_limits: vec![],
                        rates: vec![],
                        keyspace_revision: self.keyspaces[&key.keyspace].revision,
                        keyspace_uid: self.keyspaces[&key.keyspace].uid,
                    });
                }
            }
        }
        None
    }

    pub fn list_keys(&self, query: &KeyQuery) -> KeyPage {
        let mut keys: Vec<&ApiKey> = self.keys.values().filter(|key| matches(key, query)).collect();
        let total = keys.len() as u64;
        keys.sort_by_key(|key| Reverse((key.create_time, &key.id)));
        if let Some((time, id)) = &query.after {
            keys.retain(|key| (key.create_time, &key.id) < (*time, id));
        }
        let is_more = keys.len() > query.skip + query.limit;
        let keys: Vec<ApiKey> = keys.into_iter().skip(query.skip).take(query.limit).cloned().collect();
        let next = keys.last().filter(|_| is_more).map(|last| (last.create_time, last.id.clone()));
        KeyPage { keys, next, total, total_is_lower_bound: false }
    }

    /// The events of these keyspaces and this key, or of whatever ever had the id that is asked for.
    pub fn list_events(&self, query: &EventQuery) -> Vec<Trace> {
        let is_of = |uid: &KeyspaceUid, event: &Trace| match (&query.within, &query.keyspace) {
            (Reach::Only(ids), None) => {
                ids.iter().any(|id| self.keyspaces.get(id).is_some_and(|keyspace| keyspace.uid == *uid))
            }
            (Reach::Everywhere, Some(id)) => event.keyspace == *id,
            other => panic!("a case sees its own only, not {other:?}"),
        };
        let mut events: Vec<_> =
            self.events.iter().filter(|(uid, event)| is_of(uid, event)).map(|(_, event)| event).collect();
        events.retain(|event| query.key_id.is_none() || query.key_id == event.key_id);
        events.retain(|event| query.action.as_ref().is_none_or(|action| *action == event.action));
        events.sort_by_key(|event| Reverse((event.at, &event.id)));
        events.into_iter().take(query.limit).cloned().collect()
    }

    /// Notes that the key was changed; the key as it is then.
    fn changed(&mut self, action: &str, id: &KeyId, updated: Vec<String>, by: &Actor) -> ApiKey {
        let key = self.keys.get_mut(id).expect("it was changed");
        key.update_time = by.at;
        key.revision += 1;
        let key = key.clone();
        self.trace(action, &key.keyspace, Some(id), updated, by);
        key
    }

    fn trace(&mut self, action: &str, keyspace: &str, key_id: Option<&KeyId>, updated: Vec<String>, by: &Actor) {
        let trace = Trace {
            at: by.at,
            id: by.event_id.clone(),
            who: (by.name.clone(), by.peer.clone()),
            action: action.into(),
            keyspace: keyspace.into(),
            key_id: key_id.cloned(),
            updated,
        };
        self.events.push((self.keyspaces[keyspace].uid, trace));
    }
}

/// Whether the key is one of those asked for, wherever the page begins.
fn matches(key: &ApiKey, query: &KeyQuery) -> bool {
    let verifies = |now| key.revocation.is_none() && key.enabled && key.expire_time.is_none_or(|expires| expires > now);
    key.keyspace == query.keyspace
        && query.subject.as_ref().is_none_or(|subject| *subject == key.subject)
        && query.created_by.as_ref().is_none_or(|author| *author == key.created_by)
        && query.name_contains.as_ref().is_none_or(|part| folded(&key.name).contains(part))
        && query.metadata.iter().all(|(label, value)| key.metadata.get(label) == Some(value))
        && query.active_at.is_none_or(verifies)
        && query
            .unused_since
            .is_none_or(|since| key.create_time < since && key.last_use_time.is_none_or(|used| used < since))
}
