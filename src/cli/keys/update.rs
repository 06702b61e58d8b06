//! `keys update`

use clap::Args;
use prost_types::{Duration, FieldMask, Struct, Timestamp};

use crate::cli::exit::Error;
use crate::cli::limits::{self, Set};
use crate::cli::parse;
use crate::clock;
use crate::grpc::pb::{ApiKey, Credits, CreditsRefill, RateLimit, UpdateApiKeyRequest};

#[derive(Args, Debug)]
#[command(override_usage = "portcullis keys update [OPTIONS] <ID>")]
pub struct UpdateArgs {
    /// The id of the key
    #[arg(value_parser = parse::KeyIdParser)]
    id: String,
    #[command(flatten)]
    change: Change,
    /// Change the key even if it is the last admin key
    #[arg(long)]
    force: bool,
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
    /// How often the key may be used, in place of what holds now, e.g. 100/s, 100/s:burst=20 or daily=1000/day; may be
    /// repeated, then all hold; none: as the keyspace says. A limit that keeps its name keeps what was spent
    #[arg(long = "rate", value_name = "RATE", value_parser = limits::or_none(limits::rate))]
    rates: Vec<Set<RateLimit>>,
    /// How many credits the key has left; none: as many as it likes
    #[arg(long, value_name = "COUNT", value_parser = limits::or_none(limits::credits))]
    credits: Option<Set<i64>>,
    /// How many credits to add to those that are left; safe while the key is in use
    #[arg(long, value_name = "COUNT", value_parser = limits::credits, conflicts_with = "credits")]
    add_credits: Option<i64>,
    /// How many credits the key has at least at the beginning of each day, week or month in UTC, e.g. 1000/month; none:
    /// no new ones
    #[arg(long, value_name = "REFILL", value_parser = limits::or_none(limits::refill))]
    refill: Option<Set<CreditsRefill>>,
    /// A network from which the key may be used, in place of those it has, e.g. 10.0.0.0/8; may be repeated; none: from
    /// anywhere
    #[arg(long = "cidr", value_name = "CIDR", value_parser = limits::or_none(limits::cidr))]
    cidrs: Vec<Set<String>>,
    /// End a secret that still works after a rotation
    #[arg(long)]
    end_overlap: bool,
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
        let Self { id, change, force, etag } = self;
        let (credits_path, credits) = change_of_credits(change.credits, change.refill)?;
        let given = [
            ("name", change.name.is_some()),
            ("description", change.description.is_some()),
            ("scopes", !change.scopes.is_empty() || change.clear_scopes),
            ("claims", change.claims.is_some()),
            ("metadata", !change.metadata.is_empty() || change.clear_metadata),
            ("expire_time", change.expire_time.is_some() || change.ttl.is_some() || change.never_expires),
            ("enabled", change.enable || change.disable),
            ("rate_limit", !change.rates.is_empty()),
            (credits_path, !credits_path.is_empty()),
            ("allowed_cidrs", !change.cidrs.is_empty()),
        ];
        let paths = given.into_iter().filter(|(_, given)| *given).map(|(path, _)| path.to_owned()).collect();
        let api_key = ApiKey {
            id,
            name: change.name.unwrap_or_default(),
            description: change.description.unwrap_or_default(),
            scopes: change.scopes,
            claims: change.claims,
            metadata: parse::labels(change.metadata)?,
            expire_time: change.expire_time.or_else(|| change.ttl.map(|ttl| parse::after(now, ttl))),
            enabled: change.enable,
            rate_limit: limits::together(limits::all("--rate", change.rates)?),
            credits,
            allowed_cidrs: limits::all("--cidr", change.cidrs)?,
            etag: etag.unwrap_or_default(),
            ..ApiKey::default()
        };
        let add_credits = change.add_credits.unwrap_or_default();
        Ok(UpdateApiKeyRequest {
            api_key: Some(api_key),
            update_mask: Some(FieldMask { paths }),
            add_credits,
            end_overlap: change.end_overlap,
            allow_last_admin: force,
        })
    }
}

/// What to change about the credits, and its path: all of them, or the part that was given.
fn change_of_credits(
    credits: Option<Set<i64>>,
    refill: Option<Set<CreditsRefill>>,
) -> Result<(&'static str, Option<Credits>), Error> {
    let is_both = credits.is_some() && refill.is_some();
    let (remaining, refill) = match (credits, refill) {
        (None, None) => return Ok(("", None)),
        (Some(Set::Clear), None) => return Ok(("credits", None)),
        (Some(Set::Clear), Some(_)) => return Err(Error::Usage("--credits none goes without --refill".into())),
        (credits, refill) => (credits.and_then(Set::value), refill.and_then(Set::value)),
    };
    let path = match remaining {
        _ if is_both => "credits",
        Some(_) => "credits.remaining",
        None => "credits.refill",
    };
    Ok((path, Some(Credits { remaining, refill, ..Credits::default() })))
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
    fn limits_are_set_and_cleared() {
        let none = ApiKey::default;
        let key = |args: &[&str]| request(args).unwrap().0;
        let rates = &["--rate", "100/s", "--rate", "1000/day"];
        check(rates, &["rate_limit"], ApiKey { rate_limit: key(rates).rate_limit, ..none() });
        assert_eq!(limits::in_words(&key(rates).rate_limit.unwrap()), "100/s per-day=1000/day");
        check(&["--rate", "none"], &["rate_limit"], none());
        check(&["--cidr", "none"], &["allowed_cidrs"], none());
        let networks = vec!["10.0.0.0/8".into(), "::1".into()];
        check(
            &["--cidr", "10.0.0.0/8", "--cidr", "::1"],
            &["allowed_cidrs"],
            ApiKey { allowed_cidrs: networks, ..none() },
        );
    }

    #[test]
    fn the_mask_names_the_part_of_the_credits() {
        let refill = Some(limits::refill("10/day").unwrap());
        let of = |remaining, refill| ApiKey {
            credits: Some(Credits { remaining, refill, ..Credits::default() }),
            ..ApiKey::default()
        };
        check(&["--credits", "5"], &["credits.remaining"], of(Some(5), None));
        check(&["--refill", "10/day"], &["credits.refill"], of(None, refill));
        check(&["--refill", "none"], &["credits.refill"], of(None, None));
        check(&["--credits", "5", "--refill", "10/day"], &["credits"], of(Some(5), refill));
        check(&["--credits", "5", "--refill", "none"], &["credits"], of(Some(5), None));
        check(&["--credits", "none"], &["credits"], ApiKey::default());
    }

    #[test]
    fn credits_are_added() {
        let line = Line::try_parse_from(["update", "key_1", "--add-credits", "500"]).unwrap();
        let asked = line.args.request(NOW).unwrap();
        assert_eq!((asked.add_credits, asked.update_mask.unwrap().paths), (500, Vec::new()));
        for bad in [&["--add-credits", "-5"][..], &["--add-credits", "5", "--credits", "1"]] {
            assert!(request(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn none_goes_with_nothing_else() {
        for bad in [
            ["--credits", "none", "--refill", "1/day"],
            ["--rate", "none", "--rate", "1/s"],
            ["--cidr", "::1", "--cidr", "none"],
        ] {
            let line = Line::try_parse_from(["update", "key_1"].iter().chain(&bad)).unwrap();
            assert!(matches!(line.args.request(NOW), Err(Error::Usage(_))), "{bad:?}");
        }
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
            &["--rate", "100"],
            &["--credits", "-1"],
            &["--refill", "1/hour"],
        ] {
            assert!(request(bad).is_none(), "{bad:?}");
        }
    }
}
