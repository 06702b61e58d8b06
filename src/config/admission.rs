//! The budgets of callers and keyspaces, as settings.

use clap::Args;

use super::Raw;
use crate::admission::{Budget, CALLS_MAX, CALLS_PER_SECOND, KEYSPACE_KEYS_MAX, Settings};

/// See the module.
#[derive(Args, Debug, Default)]
pub struct AdmissionFlags {
    /// Most calls in flight of one root key, streams among them and Verify apart: 1 to 1000000 [default: 1024]
    #[arg(long, value_name = "CALLS", env = "PORTCULLIS_CALLER_CALLS_MAX")]
    pub caller_calls_max: Option<String>,
    /// Most management calls a second of one root key, revocations apart: 1 to 1000000 [default: 5000]
    #[arg(long, value_name = "CALLS", env = "PORTCULLIS_CALLER_CALLS_PER_SECOND")]
    pub caller_calls_per_second: Option<String>,
    /// Most calls in flight that make or change keys of one keyspace: 1 to 1000000 [default: 1024]
    #[arg(long, value_name = "CALLS", env = "PORTCULLIS_KEYSPACE_CALLS_MAX")]
    pub keyspace_calls_max: Option<String>,
    /// Most calls a second that make or change keys of one keyspace: 1 to 1000000 [default: 5000]
    #[arg(long, value_name = "CALLS", env = "PORTCULLIS_KEYSPACE_CALLS_PER_SECOND")]
    pub keyspace_calls_per_second: Option<String>,
    /// Most keys in one keyspace, revoked ones too: 1 to 1000000000 [default: 10000000]
    #[arg(long, value_name = "KEYS", env = "PORTCULLIS_KEYSPACE_KEYS_MAX")]
    pub keyspace_keys_max: Option<String>,
}

impl AdmissionFlags {
    pub(super) fn resolve_from(self, raw: &mut Raw) -> Option<Settings> {
        let mut calls = |name, flag, default: u32| {
            raw.take(name, flag, &default.to_string(), "1 to 1000000", |text| {
                text.parse().ok().filter(|calls| (1..=1_000_000).contains(calls))
            })
        };
        let caller_calls_max = calls("caller-calls-max", self.caller_calls_max, CALLS_MAX);
        let caller_rate = calls("caller-calls-per-second", self.caller_calls_per_second, CALLS_PER_SECOND);
        let keyspace_calls_max = calls("keyspace-calls-max", self.keyspace_calls_max, CALLS_MAX);
        let keyspace_rate = calls("keyspace-calls-per-second", self.keyspace_calls_per_second, CALLS_PER_SECOND);
        let keys_max = KEYSPACE_KEYS_MAX.to_string();
        let keys_max = raw.take("keyspace-keys-max", self.keyspace_keys_max, &keys_max, "1 to 1000000000", |text| {
            text.parse().ok().filter(|keys| (1..=1_000_000_000).contains(keys))
        });
        Some(Settings {
            keyspace_keys_max: keys_max?,
            caller: Budget { calls_max: caller_calls_max?, calls_per_second: caller_rate? },
            keyspace: Budget { calls_max: keyspace_calls_max?, calls_per_second: keyspace_rate? },
        })
    }
}

/// The settings as they may be shown.
pub(super) fn shown(settings: &Settings) -> [(&'static str, String); 5] {
    let Settings { caller, keyspace, keyspace_keys_max } = settings;
    [
        ("caller-calls-max", caller.calls_max.to_string()),
        ("caller-calls-per-second", caller.calls_per_second.to_string()),
        ("keyspace-calls-max", keyspace.calls_max.to_string()),
        ("keyspace-calls-per-second", keyspace.calls_per_second.to_string()),
        ("keyspace-keys-max", keyspace_keys_max.to_string()),
    ]
}
