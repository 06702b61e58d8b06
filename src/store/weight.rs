//! How many bytes a row holds in memory: what bounds a page.
//!
//! An estimate from above: of small values most is the allocator's and the maps' own. It is also more than the row is on
//! the wire.

use serde_json::Value;

use super::Event;
use crate::key::record::{ApiKey, Json};

/// What a text takes beyond its bytes: a pointer, two lengths and an allocation.
const TEXT: usize = 48;
/// A node of a map of texts: it has room for eleven entries, and half of them are used at least.
const LABEL_NODE: usize = 11 * 2 * 24 + 48;
/// A node of a JSON object.
const OBJECT_NODE: usize = 11 * (24 + 32) + 48;
/// Entries that a node of a map has at least.
const NODE_LEN_MIN: usize = 5;

/// The weight of a key.
pub(super) fn key(key: &ApiKey) -> usize {
    let labels = key.metadata.iter().map(|(name, value)| text(name) + text(value));
    let comment = key.revocation.as_ref().map_or(0, |revocation| text(&revocation.comment));
    size_of::<ApiKey>()
        + text(key.id.as_str())
        + [&key.keyspace, &key.name, &key.description, &key.subject, &key.created_by]
            .map(|field| text(field))
            .iter()
            .sum::<usize>()
        + key.scopes.iter().map(|scope| text(scope)).sum::<usize>()
        + nodes(key.metadata.len(), LABEL_NODE)
        + labels.sum::<usize>()
        + comment
        + json(&key.claims)
        + key.rate_limits.iter().map(|limit| text(&limit.name) + 64).sum::<usize>()
        + key.allowed_cidrs.len() * TEXT
        + key.secrets.iter().map(|secret| text(secret.public_prefix.as_str()) + 64).sum::<usize>()
}

/// The weight of an audit event.
pub(super) fn event(event: &Event) -> usize {
    let texts = [&event.id, &event.actor, &event.action, &event.keyspace, &event.peer].map(|field| text(field));
    let key_id = event.key_id.as_ref().map_or(0, |id| text(id.as_str()));
    size_of::<Event>() + texts.iter().sum::<usize>() + key_id + json(&event.changes)
}

fn json(object: &Json) -> usize {
    nodes(object.len(), OBJECT_NODE) + object.iter().map(|(name, of)| text(name) + value(of)).sum::<usize>()
}

fn value(of: &Value) -> usize {
    match of {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(of) => text(of),
        Value::Array(items) => TEXT + items.iter().map(|item| size_of::<Value>() + value(item)).sum::<usize>(),
        Value::Object(object) => json(object),
    }
}

fn nodes(entries: usize, node: usize) -> usize {
    entries.div_ceil(NODE_LEN_MIN) * node
}

fn text(of: &str) -> usize {
    TEXT + of.len()
}
