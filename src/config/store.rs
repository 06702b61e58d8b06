//! Where the store is, and where its changes are hinted at.

use std::path::Path;

use clap::Args;

use super::{ConfigErrors, File, Raw, boolean};
use crate::store::{self, ConnectError, Hints, Schema};

/// The settings that say where the store is: also of commands that work on the store itself.
#[derive(Args, Debug, Default)]
pub struct StoreFlags {
    /// Where keys are kept: `sqlite://PATH` or `postgres://…` [default: sqlite://portcullis.db]
    #[arg(long, value_name = "URL", env = "PORTCULLIS_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Read that URL from this file: one with a password is then neither in the process list nor in the environment
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_DATABASE_URL_FILE")]
    pub database_url_file: Option<String>,
    /// Bring an older schema up to date at start [default: true for SQLite, false for Postgres]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          env = "PORTCULLIS_AUTO_MIGRATE")]
    pub auto_migrate: Option<String>,
}

impl StoreFlags {
    /// Where the store is, for a command that needs nothing else. The other settings of a file are not looked at.
    ///
    /// # Errors
    /// As [`Flags::resolve`].
    pub fn resolve(self, config: Option<&Path>) -> Result<(String, Schema), ConfigErrors> {
        let mut errors = Vec::new();
        let file = config.map(|path| File::read(path, &mut errors)).unwrap_or_default();
        let mut raw = Raw { file, errors };
        let (url, schema) = self.resolve_from(&mut raw);
        match (url, schema) {
            (Some(url), Some(schema)) if raw.errors.is_empty() => Ok((url, schema)),
            _ => Err(ConfigErrors(raw.errors)),
        }
    }

    pub(super) fn resolve_from(self, raw: &mut Raw) -> (Option<String>, Option<Schema>) {
        let url = raw.secret("database-url", self.database_url, self.database_url_file);
        let url = raw.take("database-url", url, "sqlite://portcullis.db", "", |url| Some(url.to_owned()));
        let url = url.filter(|url| {
            // The URL may hold a password, so it is not repeated.
            let checked = store::check_url(url);
            checked.map_err(|error| raw.errors.push(format!("database-url: {}", without_heading(&error)))).is_ok()
        });
        let own = if url.as_ref().is_some_and(|url| url.starts_with("sqlite:")) { "true" } else { "false" };
        let migrate = raw.take("auto-migrate", self.auto_migrate, own, "true or false", boolean);
        let schema = migrate.map(|migrate| if migrate { Schema::Migrate } else { Schema::MustBeCurrent });
        (url, schema)
    }
}

/// Where replicas are hinted at changes, as `notify-url` says it.
pub(super) fn hints(url: Option<&str>, errors: &mut Vec<String>) -> Hints {
    match url {
        None | Some("") => Hints::SameWay,
        Some("none") => Hints::None,
        Some(text) if text.starts_with("postgres") => {
            if let Err(error) = store::check_url(text) {
                errors.push(format!("notify-url: {}", without_heading(&error)));
            }
            Hints::By(text.to_owned())
        }
        Some(_) => {
            // It may hold a password, so it is not repeated.
            errors.push("notify-url: must start with postgres://, or be none".to_owned());
            Hints::None
        }
    }
}

/// Where a store is, as it may be shown: of a file the whole path, which says in which folder it is looked for.
pub fn location(url: &str) -> String {
    let shown = without_password(url);
    let Some(path) = shown.strip_prefix("sqlite:") else { return shown };
    let path = path.strip_prefix("//").unwrap_or(path);
    std::path::absolute(path).map_or_else(|_| shown.clone(), |path| format!("sqlite://{}", path.display()))
}

/// What is wrong, without what the name of the setting says already.
fn without_heading(error: &ConnectError) -> String {
    match error {
        ConnectError::Url(why) => why.clone(),
        error => error.to_string(),
    }
}

/// Whether a database URL holds a password.
pub(super) fn has_password(url: &str) -> bool {
    without_password(url) != url
}

/// A database URL as it may be shown: passwords stand before the last `@`, or among the parameters. Of those only such
/// are shown as are known to hold none.
pub fn without_password(url: &str) -> String {
    /// Parameters that hold no secret.
    const SHOWN: [&str; 14] = [
        "application_name",
        "dbname",
        "host",
        "hostaddr",
        "port",
        "ssl-ca",
        "ssl-cert",
        "ssl-mode",
        "ssl-root-cert",
        "sslcert",
        "sslmode",
        "sslrootcert",
        "statement-cache-capacity",
        "user",
    ];
    if url.starts_with("sqlite:") {
        return url.to_owned();
    }
    // What has no scheme is taken apart all the same: it may be a URL that was mistyped.
    let (scheme, rest) = match url.split_once(':') {
        Some((scheme, rest)) if scheme.starts_with("postgres") => (scheme, rest.strip_prefix("//").unwrap_or(rest)),
        _ => ("postgres", url),
    };
    let (before, after) = match rest.rsplit_once('@') {
        Some((login, host)) => (login.split([':', '?', '/']).next().unwrap_or_default(), host),
        None => ("", rest),
    };
    let at = if before.is_empty() { "" } else { "@" };
    let (host, parameters) = after.split_once('?').unwrap_or((after, ""));
    let is_shown = |parameter: &&str| {
        parameter.split_once('=').is_some_and(|(name, value)| SHOWN.contains(&name) && !value.contains('@'))
    };
    let parameters: Vec<_> = parameters.split('&').filter(is_shown).collect();
    let mark = if parameters.is_empty() { "" } else { "?" };
    format!("{scheme}://{before}{at}{host}{mark}{}", parameters.join("&"))
}
