//! Keyspaces.

use super::{lines, value_name};
use crate::cli::limits;
use crate::cli::list::ListPage;
use crate::cli::output::{self, Shown};
use crate::grpc::pb;
use crate::key::keyspace;

/// Answers that are one keyspace.
macro_rules! one_keyspace {
    ($($message:ident)*) => {$(
        impl Shown for pb::$message {
            const NAME: &'static str = concat!("portcullis.v1.", stringify!($message));

            fn table(&self) -> String {
                self.keyspace.as_ref().map(table).unwrap_or_default()
            }

            fn quiet(&self) -> String {
                lines(self.keyspace.iter().map(|keyspace| keyspace.id.clone()))
            }
        }
    )*};
}

one_keyspace!(CreateKeyspaceResponse GetKeyspaceResponse UpdateKeyspaceResponse);

impl Shown for pb::DeleteKeyspaceResponse {
    const NAME: &'static str = "portcullis.v1.DeleteKeyspaceResponse";

    fn table(&self) -> String {
        "deleted\n".to_owned()
    }

    fn quiet(&self) -> String {
        String::new()
    }
}

impl ListPage for pb::ListKeyspacesResponse {
    const NAME: &'static str = "portcullis.v1.ListKeyspacesResponse";
    const ENTRIES: &'static str = "keyspaces";
    const HEADER: &'static [&'static str] =
        &["ID", "NAME", "PREFIX", "DEFAULT TTL", "MAX TTL", "HASH POLICY", "CREATED"];

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |keyspace: &pb::Keyspace| {
            vec![
                keyspace.id.clone(),
                keyspace.display_name.clone(),
                keyspace.key_prefix.clone(),
                span(keyspace.default_ttl),
                span(keyspace.max_ttl),
                hash_policy(keyspace),
                output::time(keyspace.create_time.as_ref(), ""),
            ]
        };
        self.keyspaces.iter().map(row).collect()
    }

    fn ids(&self) -> Vec<String> {
        self.keyspaces.iter().map(|keyspace| keyspace.id.clone()).collect()
    }

    fn next_page_token(&self) -> &str {
        &self.next_page_token
    }
}

fn table(keyspace: &pb::Keyspace) -> String {
    output::fields(&[
        ("ID", keyspace.id.clone()),
        ("Name", keyspace.display_name.clone()),
        ("Key prefix", keyspace.key_prefix.clone()),
        ("Subject types", keyspace.allowed_subject_types.join(" ")),
        ("Default TTL", span(keyspace.default_ttl)),
        ("Max TTL", span(keyspace.max_ttl)),
        ("Wildcards", if keyspace.allow_wildcard_scopes { "allowed" } else { "refused" }.to_owned()),
        ("Hash policy", hash_policy(keyspace)),
        ("Default rate", keyspace.default_rate_limit.as_ref().map_or_else(String::new, limits::in_words)),
        ("Limits", keyspace.limits.as_ref().map_or_else(String::new, own_limits)),
        ("Created", output::time(keyspace.create_time.as_ref(), "")),
        ("Updated", output::time(keyspace.update_time.as_ref(), "")),
        ("Etag", keyspace.etag.clone()),
    ])
}

fn own_limits(limits: &pb::KeyspaceLimits) -> String {
    let parts = [
        limits.calls_max.map(|calls| format!("{calls} calls at once")),
        limits.calls_per_second.map(|calls| format!("{calls} calls/s")),
        limits.keys_max.map(|keys| format!("{keys} keys")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn span(span: Option<prost_types::Duration>) -> String {
    span.and_then(|span| span.try_into().ok()).map(keyspace::in_words).unwrap_or_default()
}

fn hash_policy(keyspace: &pb::Keyspace) -> String {
    let name = pb::HashPolicy::try_from(keyspace.hash_policy).ok().map(|policy| policy.as_str_name());
    value_name(name, "HASH_POLICY_", keyspace.hash_policy)
}
