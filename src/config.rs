//! Settings in two layers: raw, as flags, environment and file say them, and resolved, as the program uses them. All
//! that is wrong is reported at once.

mod admission;
mod reload;
mod retention;
mod secret_file;
mod store;
mod tls;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

pub use self::admission::AdmissionFlags;
pub use self::reload::LogSource;
pub use self::store::{StoreFlags, location, without_password};
use crate::admission::Settings as AdmissionSettings;
use crate::key::field;
use crate::key::rate_card::{RateCard, price};
use crate::key::secret::Secret;
use crate::memory_budget::MemoryBudget;
use crate::memory_limit;
use crate::store::usage::Retention;
use crate::store::{Hints, Schema};
use crate::telemetry::{self, LogFormat};
use crate::text_file;
use crate::transport::Origins;

/// The settings of the server as flags and environment say them: text, unchecked.
#[derive(Args, Debug, Default)]
pub struct Flags {
    /// A TOML file with settings; names are those of the flags, e.g. `listen = "127.0.0.1:50051"`
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_CONFIG")]
    pub config: Option<PathBuf>,
    /// The address to listen on; port 0 is any free one [default: 127.0.0.1:50051]
    #[arg(long, value_name = "ADDRESS:PORT", env = "PORTCULLIS_LISTEN")]
    pub listen: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub store: StoreFlags,
    /// Listen beyond loopback without TLS: something else encrypts
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          env = "PORTCULLIS_ALLOW_PLAINTEXT")]
    pub allow_plaintext: Option<String>,
    /// The certificate chain to serve TLS with, PEM
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_TLS_CERT")]
    pub tls_cert: Option<String>,
    /// The private key of the certificate, PEM
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_TLS_KEY")]
    pub tls_key: Option<String>,
    /// Over Postgres: how long a replica may answer from memory without hearing from the database, in milliseconds: 500
    /// to 60000. Longer outlasts longer outages of the database, and makes changes wait longer for a replica that does
    /// not answer: 1.25 times as long [default: 2400]
    #[arg(long, value_name = "MS", env = "PORTCULLIS_LEASE_MS")]
    pub lease_ms: Option<String>,
    /// Over Postgres: where to listen for hints at changes, `postgres://…`; `none`: nowhere, then changes are seen by
    /// looking. For databases behind a proxy that shares sessions [default: as --database-url]
    #[arg(long, value_name = "URL", env = "PORTCULLIS_NOTIFY_URL", hide_env_values = true)]
    pub notify_url: Option<String>,
    /// Read that URL from this file
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_NOTIFY_URL_FILE")]
    pub notify_url_file: Option<String>,
    /// Read the first root key of an empty store from this file instead of the variable PORTCULLIS_BOOTSTRAP_ROOT_KEY
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_BOOTSTRAP_ROOT_KEY_FILE")]
    pub bootstrap_root_key_file: Option<String>,
    /// Over Postgres: what to call this replica in lists and logs [default: HOST:PORT]
    #[arg(long, value_name = "NAME", env = "PORTCULLIS_REPLICA_NAME")]
    pub replica_name: Option<String>,
    /// Where to serve metrics over HTTP, at `/metrics`, to whoever asks; port 0 is any free one [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT", env = "PORTCULLIS_METRICS_LISTEN")]
    pub metrics_listen: Option<String>,
    /// Web pages that may call, by gRPC-Web or in JSON: their origins, separated by commas, e.g.
    /// `https://console.example.com` [default: none]
    #[arg(long, value_name = "ORIGINS", env = "PORTCULLIS_CORS_ORIGINS")]
    pub cors_origins: Option<String>,
    /// Who may ask which methods and messages there are, by gRPC reflection: open: anyone; authenticated: whoever has a root
    /// key; off: nobody [default: authenticated]
    #[arg(long, value_name = "WHO", env = "PORTCULLIS_REFLECTION")]
    pub reflection: Option<String>,
    /// How old a connection may get before its client is asked to connect anew, and so to see replicas that are new, in
    /// seconds: 1 to 86400, a tenth more or less; 0: as old as it likes [default: 600]
    #[arg(long, value_name = "SECONDS", env = "PORTCULLIS_CONNECTION_AGE_SECS")]
    pub connection_age_secs: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub admission: AdmissionFlags,
    /// How much memory this process may use, in MiB: 64 to 16777216. All that follows is a share of it [default: the
    /// limit of the control group, or of the machine]
    #[arg(long, value_name = "MIB", env = "PORTCULLIS_MEMORY_LIMIT_MIB")]
    pub memory_limit_mib: Option<String>,
    /// How much memory connections may take: their state, requests that were received and not handled, answers that
    /// were not sent; in MiB: 8 to 1048576 [default: a fifth of the limit]
    #[arg(long, value_name = "MIB", env = "PORTCULLIS_CONNECTIONS_MIB")]
    pub connections_mib: Option<String>,
    /// How much memory the keys may take that Verify answers from, in MiB: 1 to 1048576. About 3,000 keys fit into one
    /// [default: a fifth of the limit, and a quarter of a large one]
    #[arg(long, value_name = "MIB", env = "PORTCULLIS_CACHE_MIB")]
    pub cache_mib: Option<String>,
    /// What one key costs that is made, in usage reports: 0 to 1000, with at most 9 digits behind the point. In a file:
    /// `key_created` of the table `rate_card` [default: 0.001]
    #[arg(long, value_name = "PRICE", env = "PORTCULLIS_RATE_CARD_KEY_CREATED")]
    pub rate_card_key_created: Option<String>,
    /// What one verification costs. In a file: `verification` of the table `rate_card` [default: 0.0001]
    #[arg(long, value_name = "PRICE", env = "PORTCULLIS_RATE_CARD_VERIFICATION")]
    pub rate_card_verification: Option<String>,
    /// How many days usage is kept by the hour: 1 to 3660 [default: 90]
    #[arg(long, value_name = "DAYS", env = "PORTCULLIS_USAGE_HOURS_DAYS")]
    pub usage_hours_days: Option<String>,
    /// How many days usage is kept at all, by the day: 1 to 36600, and no fewer than that [default: 730]
    #[arg(long, value_name = "DAYS", env = "PORTCULLIS_USAGE_DAYS_DAYS")]
    pub usage_days_days: Option<String>,
    /// How many days audit events are kept: 1 to 36600; 0: for ever [default: 400]
    #[arg(long, value_name = "DAYS", env = "PORTCULLIS_AUDIT_DAYS")]
    pub audit_days: Option<String>,
    /// On SIGTERM, how long to go on serving after health says NOT_SERVING, in milliseconds [default: 3000]
    #[arg(long, value_name = "MS", env = "PORTCULLIS_SHUTDOWN_GRACE_MS")]
    pub shutdown_grace_ms: Option<String>,
    /// How long calls in flight may take to finish after that, in milliseconds [default: 20000]
    #[arg(long, value_name = "MS", env = "PORTCULLIS_DRAIN_TIMEOUT_MS")]
    pub drain_timeout_ms: Option<String>,
    /// What to log, e.g. `info` or `portcullis=debug,warn`. Of h2 and hyper, which log what strangers send, only errors
    /// unless they are named [default: info]
    #[arg(long, value_name = "FILTER", env = "PORTCULLIS_LOG")]
    pub log: Option<String>,
    /// How log lines look: text or json [default: text]
    #[arg(long, value_name = "FORMAT", env = "PORTCULLIS_LOG_FORMAT")]
    pub log_format: Option<String>,
}

const MIB: usize = 1024 * 1024;
/// Largest file with settings, in bytes.
const FILE_SIZE_MAX: u64 = 1024 * 1024;
/// What is logged if nothing says what.
const LOG_DEFAULT: &str = "info";

/// The variable that supplies the first root key. Only a variable: a flag would show in the process list.
pub const BOOTSTRAP_ROOT_KEY_VARIABLE: &str = "PORTCULLIS_BOOTSTRAP_ROOT_KEY";

/// The settings of the server.
#[derive(Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where keys are kept. May hold a password: see [`Config::settings`] for what may be shown.
    pub database_url: String,
    /// What to do about an older schema.
    pub schema: Schema,
    /// Listening beyond loopback without TLS is meant.
    pub allow_plaintext: bool,
    /// The first root key, if the operator chose it.
    pub bootstrap_root_key: Option<Secret>,
    /// Certificate chain and private key, PEM files.
    pub tls: Option<TlsFiles>,
    /// How long a replica answers without hearing from the database.
    pub lease: Duration,
    /// Where it is hinted at changes. May hold a password.
    pub hints: Hints,
    /// What to call this replica; `None`: by its host and port.
    pub replica_name: Option<String>,
    /// Where to serve metrics; `None`: nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// Web pages that may call.
    pub origins: Origins,
    /// Who may ask which methods there are.
    pub reflection: ReflectionAccess,
    /// How old a connection may get; `None`: as old as it likes.
    pub connection_age_max: Option<Duration>,
    /// The budgets of callers and keyspaces.
    pub admission: AdmissionSettings,
    /// How memory is divided.
    pub memory: MemoryBudget,
    /// What use costs.
    pub rate_card: RateCard,
    /// How long usage is kept.
    pub usage_retention: Retention,
    /// How long audit events are kept; `None`: for ever.
    pub audit_kept: Option<Duration>,
    /// How long to go on serving after saying NOT_SERVING.
    pub shutdown_grace: Duration,
    /// How long calls in flight may take to finish.
    pub drain_timeout: Duration,
    /// What to log, as [`telemetry::filter`] reads it.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
}

/// Who may ask which methods and messages there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReflectionAccess {
    /// Anyone.
    Open,
    /// Callers with a root key.
    Authenticated,
    /// Nobody.
    Off,
}

impl ReflectionAccess {
    fn named(name: &str) -> Option<Self> {
        [Self::Open, Self::Authenticated, Self::Off].into_iter().find(|access| access.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Authenticated => "authenticated",
            Self::Off => "off",
        }
    }
}

/// The files of a TLS identity.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// All that is wrong with the settings.
#[derive(Debug)]
pub struct ConfigErrors(Vec<String>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

impl Flags {
    /// The settings: flags and environment before the file, the file before the defaults.
    ///
    /// # Errors
    /// All that is wrong, each with the name of the setting, its value and what it must be.
    pub fn resolve(self, bootstrap_root_key: Option<String>) -> Result<Config, ConfigErrors> {
        let mut errors = Vec::new();
        let file = self.config.as_deref().map(|path| File::read(path, &mut errors)).unwrap_or_default();
        let mut raw = Raw { file, errors };

        let listen = raw.take("listen", self.listen, "127.0.0.1:50051", "ADDRESS:PORT", |text| text.parse().ok());
        let (database_url, schema) = self.store.resolve_from(&mut raw);
        let allow_plaintext = raw.take("allow-plaintext", self.allow_plaintext, "false", "true or false", boolean);
        let lease = raw.take("lease-ms", self.lease_ms, "2400", "500 to 60000", |text| millis(text, 500..=60_000));
        let notify_url = raw.secret("notify-url", self.notify_url, self.notify_url_file);
        let hints = store::hints(notify_url.as_deref(), &mut raw.errors);
        let replica_name = raw.given("replica-name", self.replica_name);
        if let Some(name) = &replica_name
            && let Err(rule) = field::name(name)
        {
            raw.errors.push(format!("replica-name: must {rule}; is {name:?}"));
        }
        let metrics_listen = raw.take("metrics-listen", self.metrics_listen, "", "ADDRESS:PORT", |text| {
            if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
        });
        let origins = raw.optional("cors-origins", self.cors_origins).unwrap_or_default();
        let origins = origins_of(&origins, &mut raw.errors);
        let rule = "open, authenticated or off";
        let reflection = raw.take("reflection", self.reflection, "authenticated", rule, ReflectionAccess::named);
        let connection_age = raw.take("connection-age-secs", self.connection_age_secs, "600", "0 to 86400", |text| {
            text.parse().ok().filter(|seconds| *seconds <= 86_400).map(Duration::from_secs)
        });
        let admission = self.admission.resolve_from(&mut raw);
        let memory_limit = raw.mib("memory-limit-mib", self.memory_limit_mib, 64..=16_777_216);
        let connections = raw.mib("connections-mib", self.connections_mib, 8..=1_048_576);
        let cache = raw.mib("cache-mib", self.cache_mib, 1..=1_048_576);
        let rule = "0 to 1000, with at most 9 digits behind the point";
        let key_created = raw.take("rate-card-key-created", self.rate_card_key_created, "0.001", rule, price);
        let verification = raw.take("rate-card-verification", self.rate_card_verification, "0.0001", rule, price);
        let usage_retention = raw.usage_retention(self.usage_hours_days, self.usage_days_days);
        let audit_kept = raw.audit_kept(self.audit_days);
        let shutdown_grace = raw
            .take("shutdown-grace-ms", self.shutdown_grace_ms, "3000", "0 to 600000", |text| millis(text, 0..=600_000));
        let drain_timeout = raw
            .take("drain-timeout-ms", self.drain_timeout_ms, "20000", "0 to 600000", |text| millis(text, 0..=600_000));
        let log = raw.take("log", self.log, LOG_DEFAULT, telemetry::FILTER_RULE, |text| {
            telemetry::filter(text).ok().map(|_| text.to_owned())
        });
        let log_format = raw.take("log-format", self.log_format, "text", "text or json", |text| match text {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        });
        let bootstrap_root_key = raw.bootstrap_root_key(bootstrap_root_key, self.bootstrap_root_key_file);
        let tls_cert = raw.given("tls-cert", self.tls_cert);
        let tls_key = raw.given("tls-key", self.tls_key);
        raw.file.refuse_rest(&mut raw.errors);
        let mut errors = raw.errors;

        let tls = tls::files(tls_cert, tls_key, &mut errors);
        if let (Some(listen), Some(Some(metrics))) = (listen, metrics_listen)
            && listen == metrics
            && SocketAddr::port(&listen) != 0
        {
            errors.push(format!("metrics-listen: must not be the address of listen; is {metrics}"));
        }
        if let (Some(listen), Some(false), None) = (listen, allow_plaintext, &tls)
            && !SocketAddr::ip(&listen).is_loopback()
        {
            errors.push(format!(
                "listen: must be loopback without TLS; is {listen}. Give tls-cert and tls-key, or allow-plaintext if \
                 something else encrypts"
            ));
        }
        if !errors.is_empty() {
            return Err(ConfigErrors(errors));
        }
        let all = "no errors, so every setting is there";
        Ok(Config {
            listen: listen.expect(all),
            database_url: database_url.expect(all),
            schema: schema.expect(all),
            allow_plaintext: allow_plaintext.expect(all),
            bootstrap_root_key,
            tls,
            lease: lease.expect(all),
            hints,
            replica_name,
            metrics_listen: metrics_listen.expect(all),
            origins,
            reflection: reflection.expect(all),
            connection_age_max: connection_age.filter(|age| !age.is_zero()),
            admission: admission.expect(all),
            memory: MemoryBudget::divide(memory_limit.unwrap_or_else(memory_limit::detect), cache, connections),
            rate_card: RateCard { key_created: key_created.expect(all), verification: verification.expect(all) },
            usage_retention: usage_retention.expect(all),
            audit_kept: audit_kept.filter(|kept| !kept.is_zero()),
            shutdown_grace: shutdown_grace.expect(all),
            drain_timeout: drain_timeout.expect(all),
            log: log.expect(all),
            log_format: log_format.expect(all),
        })
    }
}

fn origins_of(text: &str, errors: &mut Vec<String>) -> Origins {
    let origins = text.split(',').map(str::trim).filter(|origin| !origin.is_empty());
    Origins::new(origins).unwrap_or_else(|error| {
        errors.push(format!("cors-origins: {error}"));
        Origins::default()
    })
}

impl Config {
    /// The settings that hold a password, which [`Config::settings`] leaves out.
    pub fn passwords(&self) -> Vec<&'static str> {
        let notify_url = if let Hints::By(url) = &self.hints { store::has_password(url) } else { false };
        let found = [("database-url", store::has_password(&self.database_url)), ("notify-url", notify_url)];
        found.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
    }

    /// Every setting as it may be shown: no password, no root key. An empty one is not set.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let path = |file: Option<&PathBuf>| file.map(|file| file.display().to_string()).unwrap_or_default();
        let mut settings = vec![
            ("listen", self.listen.to_string()),
            ("database-url", without_password(&self.database_url)),
            ("auto-migrate", (self.schema == Schema::Migrate).to_string()),
            ("allow-plaintext", self.allow_plaintext.to_string()),
            ("tls-cert", path(self.tls.as_ref().map(|tls| &tls.cert))),
            ("tls-key", path(self.tls.as_ref().map(|tls| &tls.key))),
            ("lease-ms", self.lease.as_millis().to_string()),
            (
                "notify-url",
                match &self.hints {
                    Hints::SameWay => String::new(),
                    Hints::By(url) => without_password(url),
                    Hints::None => "none".to_owned(),
                },
            ),
            ("replica-name", self.replica_name.clone().unwrap_or_default()),
            ("metrics-listen", self.metrics_listen.map(|at| at.to_string()).unwrap_or_default()),
            ("cors-origins", self.origins.to_string()),
            ("reflection", self.reflection.name().to_owned()),
            ("connection-age-secs", self.connection_age_max.unwrap_or_default().as_secs().to_string()),
            ("memory-limit-mib", (self.memory.limit / MIB).to_string()),
            ("connections-mib", (self.memory.connections / MIB).to_string()),
            ("cache-mib", (self.memory.cache / MIB).to_string()),
            ("rate-card-key-created", self.rate_card.key_created.to_string()),
            ("rate-card-verification", self.rate_card.verification.to_string()),
            ("usage-hours-days", (self.usage_retention.hours.as_secs() / 86_400).to_string()),
            ("usage-days-days", (self.usage_retention.days.as_secs() / 86_400).to_string()),
            ("audit-days", (self.audit_kept.unwrap_or_default().as_secs() / 86_400).to_string()),
            ("shutdown-grace-ms", self.shutdown_grace.as_millis().to_string()),
            ("drain-timeout-ms", self.drain_timeout.as_millis().to_string()),
            ("log", self.log.clone()),
            ("log-format", format!("{:?}", self.log_format).to_lowercase()),
        ];
        settings.extend(admission::shown(&self.admission));
        settings
    }
}

/// What the flags leave open comes from the file; what is wrong is collected.
struct Raw {
    file: File,
    errors: Vec<String>,
}

impl Raw {
    /// The setting `name`, read by `parse`; `None` if it is bad, which is noted.
    fn take<T>(
        &mut self,
        name: &str,
        flag: Option<String>,
        default: &str,
        rule: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.optional(name, flag).unwrap_or_else(|| default.to_owned());
        let value = parse(&text);
        if value.is_none() {
            self.errors.push(format!("{name}: must be {rule}; is {text:?}"));
        }
        value
    }

    /// The size `name`, stated in MiB, in bytes; `None` if it is not set, or bad, which is noted.
    fn mib(&mut self, name: &str, flag: Option<String>, allowed: RangeInclusive<usize>) -> Option<usize> {
        let rule = format!("{} to {}", allowed.start(), allowed.end());
        let size = self.take(name, flag, "", &rule, |text| match text {
            "" => Some(None),
            text => text.parse().ok().filter(|mib| allowed.contains(mib)).map(|mib: usize| Some(mib * MIB)),
        });
        size.flatten()
    }

    /// The setting `name`, or what stands in the file that `NAME-file` names.
    fn secret(&mut self, name: &str, flag: Option<String>, file: Option<String>) -> Option<String> {
        let file_name = format!("{name}-file");
        let (value, file) = (self.optional(name, flag), self.optional(&file_name, file));
        if value.is_some() && file.is_some() {
            self.errors.push(format!("{file_name}: must not be given beside {name}"));
        }
        value.or_else(|| self.read_secret(&file_name, &file?))
    }

    fn bootstrap_root_key(&mut self, variable: Option<String>, file: Option<String>) -> Option<Secret> {
        const FILE: &str = "bootstrap-root-key-file";
        let file = self.optional(FILE, file);
        if variable.is_some() && file.is_some() {
            self.errors.push(format!("{FILE}: must not be given beside {BOOTSTRAP_ROOT_KEY_VARIABLE}"));
        }
        let key = Secret::new(variable.or_else(|| self.read_secret(FILE, &file?))?);
        if let Err(rule) = field::root_key_text(key.expose()) {
            let count = key.expose().chars().count();
            self.errors.push(format!("{BOOTSTRAP_ROOT_KEY_VARIABLE}: must {rule}; has {count}"));
        }
        Some(key)
    }

    fn read_secret(&mut self, name: &str, path: &str) -> Option<String> {
        let read = secret_file::read(path);
        read.map_err(|error| self.errors.push(format!("{name}: cannot read {path}: {error}"))).ok()
    }

    /// The setting `name`; an empty one is not set.
    fn given(&mut self, name: &str, flag: Option<String>) -> Option<String> {
        self.optional(name, flag).filter(|text| !text.is_empty())
    }

    fn optional(&mut self, name: &str, flag: Option<String>) -> Option<String> {
        let in_file = self.file.0.remove(name);
        flag.or(in_file)
    }
}

/// The settings of a file that were not taken yet, as text.
#[derive(Default)]
struct File(BTreeMap<String, String>);

impl File {
    fn read(path: &Path, errors: &mut Vec<String>) -> Self {
        let shown = path.display();
        let text = text_file::read(path, FILE_SIZE_MAX).map_err(|e| format!("config: cannot read {shown}: {e}"));
        let table = text.and_then(|text| {
            text.parse::<toml::Table>().map_err(|e| format!("config: {shown} is not TOML: {}", e.message()))
        });
        match table {
            Ok(table) => Self(table.into_iter().flat_map(|(name, value)| flat(name, value)).collect()),
            Err(error) => {
                errors.push(error);
                Self::default()
            }
        }
    }

    fn refuse_rest(&mut self, errors: &mut Vec<String>) {
        errors.extend(self.0.keys().map(|name| format!("{name}: is no setting; see `portcullis serve --help`")));
    }
}

/// A setting, or those of a table: what `price` is in the table `rate_card` is `rate-card-price`.
fn flat(name: String, value: toml::Value) -> Vec<(String, String)> {
    match value {
        toml::Value::Table(table) => {
            let name = name.replace('_', "-");
            table
                .into_iter()
                .map(|(part, value)| (format!("{name}-{}", part.replace('_', "-")), as_text(value)))
                .collect()
        }
        value => vec![(name, as_text(value))],
    }
}

fn as_text(value: toml::Value) -> String {
    match value {
        toml::Value::String(text) => text,
        other => other.to_string(),
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn millis(text: &str, allowed: RangeInclusive<u64>) -> Option<Duration> {
    text.parse().ok().filter(|millis| allowed.contains(millis)).map(Duration::from_millis)
}

#[cfg(test)]
mod tests;
