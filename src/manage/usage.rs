//! Telling how keys were used, a page at a time.

use std::time::Duration;

use super::list::{clamped, given};
use super::page::{Cursor, check_size};
use super::{Error, Management, Nanos, Page, Violations};
use crate::clock::Timestamp;
use crate::key::field;
use crate::key::id::{KeyId, KeyspaceUid};
use crate::key::keyspace::{DEFAULT, is_keyspace_id};
use crate::key::permission::Reach;
use crate::key::usage::Hour;
use crate::store::usage::{Span, UsageOf, UsagePlace, UsageQuery, UsageRow};
use crate::store::{HeldPage, Refusal};

/// How far back is told if the caller does not say.
const PAST_DEFAULT: Duration = Duration::from_hours(30 * 24);

/// What to tell, as the caller asked.
#[derive(Debug)]
pub struct QueryUsage {
    /// Empty: see the proto.
    pub keyspace: String,
    /// Only this key; empty: any.
    pub key_id: String,
    /// Only keys of this subject; empty: any.
    pub subject: String,
    /// From this time on, since the epoch.
    pub from: Option<Nanos>,
    /// Up to this time.
    pub until: Option<Nanos>,
    /// By what span; an error: a number that is none.
    pub span: Result<Span, i32>,
    /// By what; an error: a number that is none.
    pub group: Result<Group, i32>,
    /// How many rows; 0: the default.
    pub page_size: i32,
    /// Where the page begins.
    pub page_token: String,
}

/// By what usage is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// By key.
    Key,
    /// By subject.
    Subject,
    /// By keyspace.
    Keyspace,
}

/// Whose usage is told, and what all of it is called, if it is one group's that has another name than the store gives it.
struct Scope {
    of: UsageOf,
    called: Option<String>,
}

impl Management {
    /// A page of usage, by group, then by time.
    pub async fn query_usage(&self, asked: QueryUsage, reach: &Reach) -> Result<Page<UsageRow>, Error> {
        let mut bad = Violations::default();
        if !asked.keyspace.is_empty() && !is_keyspace_id(&asked.keyspace) {
            bad.must("keyspace", &asked.keyspace, Err("match [a-z][a-z0-9-]{0,39}"));
        }
        bad.refuse_secret("key_id", &asked.key_id);
        if !asked.subject.is_empty() {
            bad.must("subject", &asked.subject, field::reference(&asked.subject));
        }
        if let Err(number) = asked.span {
            bad.add("granularity", format!("must be HOUR, DAY or TOTAL; is {number}"));
        }
        if let Err(number) = asked.group {
            bad.add("group_by", format!("must be KEY, SUBJECT or KEYSPACE; is {number}"));
        }
        let until = asked.until.map_or_else(|| self.clock.now(), clamped);
        let from = asked.from.map_or_else(|| until.saturating_sub(PAST_DEFAULT), clamped);
        if from >= until {
            bad.add("end_time", format!("must be after start_time, {from}; is {until}"));
        }
        let size = check_size(asked.page_size, &mut bad);
        let uid = match given(&asked.keyspace) {
            Some(id) => self.store.keyspace(&id).await?.map(|keyspace| keyspace.uid),
            None => None,
        };
        let after = self.page_tokens.read(&asked.identity(uid), &asked.page_token, &mut bad);
        bad.check()?;
        let (Ok(span), Ok(group)) = (asked.span, asked.group) else { unreachable!("they were checked") };
        let Scope { of, called } = self.scope(&asked, group, reach).await?;
        let last = Timestamp::from_micros(until.as_micros().saturating_sub(1));
        let query = UsageQuery {
            of,
            from: Hour::of(from),
            until: Hour(Hour::of(last).0 + 1),
            span,
            after: after.map(|cursor| UsagePlace { group: cursor.id, hour: Hour(cursor.at.as_micros()) }),
            limit: size,
        };
        let HeldPage { mut page, place } = self.store.query_usage(&query).await?;
        let next_page_token = page.next.map_or_else(String::new, |next| {
            let cursor = Cursor { at: Timestamp::from_micros(next.hour.0), id: next.group };
            self.page_tokens.write(&asked.identity(uid), &cursor)
        });
        if let Some(called) = called {
            page.rows.iter_mut().for_each(|row| row.place.group.clone_from(&called));
        }
        Ok(Page { items: page.rows, next_page_token, total: 0, total_is_lower_bound: false, place })
    }

    async fn scope(&self, asked: &QueryUsage, group: Group, reach: &Reach) -> Result<Scope, Error> {
        if let Some(key_id) = given(&asked.key_id) {
            let key = self.get(&KeyId::from_text(key_id), reach).await?;
            let is_meant = |asked: &str, is: &str| asked.is_empty() || asked == is;
            if !is_meant(&asked.keyspace, &key.keyspace) || !is_meant(&asked.subject, &key.subject) {
                return Err(Error::Refused(Refusal::KeyNotFound));
            }
            let called = match group {
                Group::Key => None,
                Group::Subject => Some(key.subject),
                Group::Keyspace => Some(key.keyspace),
            };
            return Ok(Scope { of: UsageOf::Key(key.id), called });
        }
        let subject = given(&asked.subject);
        if asked.keyspace.is_empty() && group == Group::Keyspace && subject.is_none() {
            return Ok(Scope { of: UsageOf::Keyspaces(reach.clone()), called: None });
        }
        let keyspace = given(&asked.keyspace).unwrap_or_else(|| DEFAULT.to_owned());
        // One that the caller may not read is not there.
        let keyspace = self.get_keyspace(&keyspace, reach).await?.id;
        Ok(match group {
            Group::Key => Scope { of: UsageOf::Keys { keyspace, subject }, called: None },
            Group::Subject => Scope { of: UsageOf::Subjects { keyspace, subject }, called: None },
            Group::Keyspace if subject.is_some() => {
                Scope { called: Some(keyspace.clone()), of: UsageOf::Subjects { keyspace, subject } }
            }
            Group::Keyspace => Scope { of: UsageOf::Keyspaces(Reach::Only(vec![keyspace])), called: None },
        })
    }
}

impl QueryUsage {
    fn identity(&self, uid: Option<KeyspaceUid>) -> impl serde::Serialize + '_ {
        let micros = |at: Option<Nanos>| at.map(clamped).map(Timestamp::as_micros);
        let (span, group) = (format!("{:?}", self.span), format!("{:?}", self.group));
        ("usage", uid, &self.keyspace, &self.key_id, &self.subject, micros(self.from), micros(self.until), span, group)
    }
}
