//! Permissions: the scopes of root keys, `permission` or `permission@keyspace`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::keyspace::{SYSTEM, is_keyspace_id};

/// What a root key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Get and list keys.
    KeysRead,
    /// Create, import, update and rotate keys.
    KeysWrite,
    /// Revoke and delete keys.
    KeysRevoke,
    /// Verify presented keys.
    KeysVerify,
    /// Get and list keyspaces.
    KeyspacesRead,
    /// Create, update and delete keyspaces.
    KeyspacesWrite,
    /// Query usage.
    UsageRead,
    /// Read the audit trail.
    AuditRead,
    /// All of it, and the keys of `system`.
    Admin,
}

impl Permission {
    const ALL: [(&'static str, Self); 9] = [
        ("keys:read", Self::KeysRead),
        ("keys:write", Self::KeysWrite),
        ("keys:revoke", Self::KeysRevoke),
        ("keys:verify", Self::KeysVerify),
        ("keyspaces:read", Self::KeyspacesRead),
        ("keyspaces:write", Self::KeyspacesWrite),
        ("usage:read", Self::UsageRead),
        ("audit:read", Self::AuditRead),
        ("admin", Self::Admin),
    ];

    /// Its name, as a scope has it.
    pub fn name(self) -> &'static str {
        let (name, _) = Self::ALL.iter().find(|(_, p)| *p == self).expect("ALL lists every permission");
        name
    }

    /// The names of all there are.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|(name, _)| *name)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A permission, in all keyspaces or in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What may be done.
    pub permission: Permission,
    /// Where; `None`: in every keyspace (in `system` only if the permission is [`Permission::Admin`]).
    pub keyspace: Option<String>,
}

/// Not a permission that can be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("be a permission, e.g. keys:verify, alone or followed by @ and the id of a keyspace other than system")]
pub struct GrantError;

impl FromStr for Grant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let (name, keyspace) = match text.split_once('@') {
            Some((name, keyspace)) => (name, Some(keyspace)),
            None => (text, None),
        };
        // Whoever may make root keys may do everything: a grant on `system` alone would only look like less.
        if keyspace.is_some_and(|id| id == SYSTEM || !is_keyspace_id(id)) {
            return Err(GrantError);
        }
        let (_, permission) = Permission::ALL.iter().find(|(n, _)| *n == name).ok_or(GrantError)?;
        Ok(Self { permission: *permission, keyspace: keyspace.map(str::to_owned) })
    }
}

/// The keyspaces that permissions name, without repeats.
pub fn named_keyspaces(scopes: &[String]) -> BTreeSet<&str> {
    scopes.iter().filter_map(|scope| named_keyspace(scope)).collect()
}

/// The keyspace that a permission names; `None`: it is for all.
pub fn named_keyspace(scope: &str) -> Option<&str> {
    scope.split_once('@').map(|(_, keyspace)| keyspace)
}

/// The permission to do everything, where it stands in JSON.
pub const ADMIN_IN_JSON: &str = "\"admin\"";

/// How a permission that names `keyspace` ends where it stands in JSON. No id of a keyspace has a character to escape.
pub fn end_in_json(keyspace: &str) -> String {
    format!("@{keyspace}\"")
}

/// What is left of permissions once those are ended that name `keyspace`.
pub fn without_keyspace(scopes: &[String], keyspace: &str) -> Vec<String> {
    scopes.iter().filter(|scope| named_keyspace(scope) != Some(keyspace)).cloned().collect()
}

/// In which keyspaces a caller may do a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// In all, `system` included.
    Everywhere,
    /// In all but `system`.
    AllButSystem,
    /// In these.
    Only(Vec<String>),
}

impl Reach {
    /// Whether `keyspace` is among them.
    pub fn includes(&self, keyspace: &str) -> bool {
        match self {
            Self::Everywhere => true,
            Self::AllButSystem => keyspace != SYSTEM,
            Self::Only(these) => these.iter().any(|id| id == keyspace),
        }
    }
}

/// Where `grants` allow `permission`; `None`: nowhere.
pub fn reach(grants: &[Grant], permission: Permission) -> Option<Reach> {
    let mut only = Vec::new();
    let mut all_but_system = false;
    for grant in grants {
        match (&grant.keyspace, grant.permission) {
            (None, Permission::Admin) => return Some(Reach::Everywhere),
            (None, granted) if granted == permission => all_but_system = true,
            (Some(id), granted) if granted == permission || granted == Permission::Admin => only.push(id.clone()),
            _ => {}
        }
    }
    if all_but_system {
        return Some(Reach::AllButSystem);
    }
    (!only.is_empty()).then_some(Reach::Only(only))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(scopes: &[&str], permission: Permission, expect: Option<&Reach>) {
        let grants: Vec<Grant> = scopes.iter().map(|s| s.parse().unwrap()).collect();
        assert_eq!(reach(&grants, permission).as_ref(), expect);
    }

    #[test]
    fn what_grants_reach() {
        use Permission::{Admin, KeysRead, KeysVerify};
        check(&[], KeysRead, None);
        check(&["keys:write"], KeysRead, None);
        check(&["keys:read"], KeysRead, Some(&Reach::AllButSystem));
        check(&["keys:read@prod", "keys:verify@dev"], KeysRead, Some(&Reach::Only(vec!["prod".into()])));
        check(&["keys:read@prod", "keys:read"], KeysRead, Some(&Reach::AllButSystem));
        check(&["admin"], KeysVerify, Some(&Reach::Everywhere));
        check(&["admin@prod"], KeysVerify, Some(&Reach::Only(vec!["prod".into()])));
        check(&["admin@prod"], Admin, Some(&Reach::Only(vec!["prod".into()])));
        assert!(!Reach::AllButSystem.includes(SYSTEM));
        assert!(!Reach::Only(vec!["prod".into()]).includes("dev"));
    }

    #[test]
    fn permissions_end_with_the_keyspace_that_they_name() {
        let scopes = ["keys:read@prod", "keys:read@prod-2", "admin", "audit:read@prod"].map(String::from);
        assert!(named_keyspaces(&scopes).into_iter().eq(["prod", "prod-2"]));
        assert_eq!(without_keyspace(&scopes, "prod"), ["keys:read@prod-2", "admin"]);
        assert_eq!(without_keyspace(&scopes, ""), scopes);
    }

    #[test]
    fn what_is_no_grant() {
        for bad in ["", "keys", "keys:read@", "keys:read@Prod", "keys:read@system", "admin@system", "*", "keys:*"] {
            assert_eq!(bad.parse::<Grant>(), Err(GrantError), "{bad}");
        }
    }
}
