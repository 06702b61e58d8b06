//! `keys update`

use clap::Args;
use prost_types::{Duration, FieldMask, Struct, Timestamp};

use crate::cli::exit::Error;
use crate::cli::parse;
use crate::clock;
use crate::grpc::pb::{ApiKey, UpdateApiKeyRequest};

#[derive(Args, Debug)]
#[command(override_usage = "portcullis keys update [OPTIONS] <ID>")]
pub struct UpdateArgs {
    /// The id of the key
    id: String,
    #[command(flatten)]
    change: Change,
    /// Change the key only if this is still its etag
    #[arg(long)]
    etag: Option<String>,
}

/// What to change: at least one.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct Change {
    /// What people call the key
    #[arg(long)]
    name: Option<String>,
    /// Free text for people; '' clears it
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The rights of the key, in place of those it has; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Take all rights away
    #[arg(long, conflicts_with = "scopes")]
    clear_scopes: bool,
    /// A JSON object, or @FILE that holds one, in place of the claims the key has; {} clears them
    #[arg(long, value_name = "JSON", value_parser = parse::claims)]
    claims: Option<Struct>,
    /// The labels of the key, in place of those it has; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::label)]
    metadata: Vec<(String, String)>,
    /// Take all labels away
    #[arg(long, conflicts_with = "metadata")]
    clear_metadata: bool,
    /// From when on the key is invalid, e.g. 2030-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse::time, conflicts_with_all = ["ttl", "never_expires"])]
    expire_time: Option<Timestamp>,
    /// How long the key is valid from now by this machine's clock, e.g. 30d or 12h
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, conflicts_with = "never_expires")]
    ttl: Option<Duration>,
    /// Let the key be valid for ever
    #[arg(long)]
    never_expires: bool,
    /// Switch the key on
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// Switch the key off; --enable undoes it
    #[arg(long)]
    disable: bool,
}

impl UpdateArgs {
    /// The request: the mask names what was given.
    pub fn request(self, now: clock::Timestamp) -> Result<UpdateApiKeyRequest, Error> {
        let Self { id, change, etag } = self;
        let given = [
            ("name", change.name.is_some()),
            ("description", change.description.is_some()),
            ("scopes", !change.scopes.is_empty() || change.clear_scopes),
            ("claims", change.claims.is_some()),
            ("metadata", !change.metadata.is_empty() || change.clear_metadata),
            ("expire_time", change.expire_time.is_some() || change.ttl.is_some() || change.never_expires),
            ("enabled", change.enable || change.disable),
        ];
        let paths = given.into_iter().filter(|(_, given)| *given).map(|(path, _)| path.to_owned()).collect();
        let api_key = ApiKey {
            id,
            name: change.name.unwrap_or_default(),
            description: change.description.unwrap_or_default(),
            scopes: change.scopes,
            claims: change.claims,
            metadata: parse::labels(change.metadata)?,
            expire_time: change.expire_time.or_else(|| change.ttl.map(|ttl| after(now, ttl))),
            enabled: change.enable,
            etag: etag.unwrap_or_default(),
            ..ApiKey::default()
        };
        Ok(UpdateApiKeyRequest { api_key: Some(api_key), update_mask: Some(FieldMask { paths }) })
    }
}

fn after(now: clock::Timestamp, ttl: Duration) -> Timestamp {
    let span = std::time::Duration::try_from(ttl).unwrap_or_default();
    let micros = now.saturating_add(span).as_micros();
    let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1_000).expect("less than a billion");
    Timestamp { seconds: micros.div_euclid(1_000_000), nanos }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const NOW: clock::Timestamp = clock::Timestamp::from_micros(1_000_000_000_000_500);

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: UpdateArgs,
    }

    fn request(args: &[&str]) -> Option<(ApiKey, Vec<String>)> {
        let line = Line::try_parse_from(["update", "key_1"].iter().chain(args)).ok()?;
        let request = line.args.request(NOW).unwrap();
        Some((request.api_key.unwrap(), request.update_mask.unwrap().paths))
    }

    #[track_caller]
    fn check(args: &[&str], mask: &[&str], key: ApiKey) {
        let key = ApiKey { id: "key_1".into(), ..key };
        assert_eq!(request(args), Some((key, mask.iter().map(ToString::to_string).collect())));
    }

    #[test]
    fn the_mask_names_what_was_given() {
        let none = ApiKey::default;
        check(&["--name", "n"], &["name"], ApiKey { name: "n".into(), ..none() });
        check(&["--description", ""], &["description"], none());
        check(
            &["--scope", "a", "--scope", "b"],
            &["scopes"],
            ApiKey { scopes: vec!["a".into(), "b".into()], ..none() },
        );
        check(&["--clear-scopes"], &["scopes"], none());
        check(&["--claims", "{}"], &["claims"], ApiKey { claims: Some(Struct::default()), ..none() });
        check(&["--metadata", "a=b"], &["metadata"], ApiKey { metadata: [("a".into(), "b".into())].into(), ..none() });
        check(&["--clear-metadata"], &["metadata"], none());
        check(&["--never-expires"], &["expire_time"], none());
        check(&["--enable"], &["enabled"], ApiKey { enabled: true, ..none() });
        check(&["--disable"], &["enabled"], none());
        check(
            &["--disable", "--name", "n", "--etag", "e"],
            &["name", "enabled"],
            ApiKey { name: "n".into(), etag: "e".into(), ..none() },
        );
    }

    #[test]
    fn a_ttl_counts_from_now() {
        let at = |seconds, nanos| ApiKey { expire_time: Some(Timestamp { seconds, nanos }), ..ApiKey::default() };
        check(&["--ttl", "1h"], &["expire_time"], at(1_000_003_600, 500_000));
        check(&["--expire-time", "2030-01-01"], &["expire_time"], at(1_893_456_000, 0));
    }

    #[test]
    fn what_cannot_be_meant() {
        for bad in [
            &[][..],
            &["--etag", "e"],
            &["--enable", "--disable"],
            &["--scope", "a", "--clear-scopes"],
            &["--metadata", "a=b", "--clear-metadata"],
            &["--ttl", "1h", "--never-expires"],
            &["--ttl", "1h", "--expire-time", "2030-01-01"],
            &["--expire-time", "2030-01-01", "--never-expires"],
        ] {
            assert!(request(bad).is_none(), "{bad:?}");
        }
    }
}
