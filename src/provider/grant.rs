//! What a caller may do to privileges: its own and those of other callers.
//!
//! Its permissions decide whether the caller may carry out a verb at all. Beyond that, a change must
//! not grant more than the caller itself has:
//!
//! - The caller can give a role only scopes that it has itself. It can neither change nor delete the
//!   role that it is bound to. Deleting that role would grant nothing, but it would lock out every
//!   credential that is bound to it.
//! - At `/Me` a user cannot change the attributes by which administrators make decisions.
//!
//! All versions of the protocol and bulk requests are checked here, because all of them use the
//! provider's verbs.

use serde_json::{Map, Value};

use super::role::{check_changeable, check_scopes_of, is_active, is_role, listed_scopes};
use crate::protocol::error::{Error, Result};
use crate::protocol::resource::Resource;
use crate::protocol::schema::ResourceType;
use crate::protocol::scopes::{Permission, Permissions};

/// The attributes of a user that cannot be changed at `/Me`. No client can write `groups`, but it is
/// listed because the error names all attributes that are fixed.
const DECIDED_BY_OTHERS: [&str; 6] = [
    "userName",
    "active",
    "roles",
    "entitlements",
    "groups",
    "externalId",
];

/// What a caller may do.
#[derive(Debug, Clone, Copy)]
pub struct Grant<'s> {
    pub(super) permissions: &'s Permissions,
    /// The id of the role that the caller is bound to.
    pub(super) role: Option<&'s str>,
    /// Whether the target is `/Me`.
    pub(super) is_me: bool,
}

impl Grant<'_> {
    /// Checks that the caller has this permission for resources of the type, or at `/Me` for its own
    /// user.
    ///
    /// # Errors
    /// `Forbidden`, naming the permission: `users:create`.
    pub fn check(&self, resource_type: &ResourceType, permission: Permission) -> Result<()> {
        if self.is_me {
            return self.permissions.check_me(permission);
        }
        self.permissions.check(&resource_type.endpoint, permission)
    }

    /// Checks that the caller may read the feed of changes.
    ///
    /// # Errors
    /// `Forbidden`, naming `events:read`.
    pub fn check_events(&self) -> Result<()> {
        self.permissions.check_events()
    }

    /// Checks that the caller may create this resource.
    ///
    /// # Errors
    /// `InvalidValue` for a role with a scope that is not in the catalogue, `Forbidden` for one with
    /// a scope that the caller does not have.
    pub(super) fn check_creation(
        &self,
        resource_type: &ResourceType,
        new: &Resource,
    ) -> Result<()> {
        if is_role(resource_type) {
            check_scopes_of(new)?;
            let granted = listed_scopes(new.body());
            self.permissions.check_grant(granted)?;
        }
        Ok(())
    }

    /// Checks that the caller may change or delete this resource, independent of the change.
    ///
    /// # Errors
    /// `Forbidden` for a role of the service's own, and for the role that the caller is bound to.
    pub(super) fn check_target(
        &self,
        resource_type: &ResourceType,
        id: &str,
        existing: &Resource,
    ) -> Result<()> {
        check_changeable(resource_type, existing)?;
        if is_role(resource_type) && self.role == Some(id) {
            return Err(Error::forbidden(
                "The credential is bound to this role, and can neither change nor delete it",
            ));
        }
        Ok(())
    }

    /// Checks that the caller may change `existing` into `new`.
    ///
    /// # Errors
    /// `InvalidValue` as [`check_creation`](Self::check_creation); `Forbidden` for a role that gets
    /// a scope which the caller does not have, and at `/Me` for an attribute that only
    /// administrators change.
    pub(super) fn check_change(
        &self,
        resource_type: &ResourceType,
        existing: &Resource,
        new: &Resource,
    ) -> Result<()> {
        let (before, after) = (existing.body(), new.body());
        if is_role(resource_type) {
            check_scopes_of(new)?;
            self.permissions.check_grant(granted(before, after))?;
        }
        if !self.is_me {
            return Ok(());
        }
        let mut changed = DECIDED_BY_OTHERS
            .iter()
            .filter(|name| before.get(**name) != after.get(**name));
        changed.next().map_or(Ok(()), |name| {
            Err(Error::forbidden(format!(
                "`{name}` cannot be changed at /Me; fixed there are {}",
                DECIDED_BY_OTHERS.join(", ")
            )))
        })
    }
}

/// The scopes that a change of a role grants to the credentials that are bound to it: scopes that
/// are new in its list, and all of its scopes if the role becomes active again.
fn granted<'r>(
    before: &'r Map<String, Value>,
    after: &'r Map<String, Value>,
) -> impl Iterator<Item = &'r str> {
    let comes_into_use = !is_active(before) && is_active(after);
    listed_scopes(after)
        .filter(move |scope| comes_into_use || !listed_scopes(before).any(|had| had == *scope))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_of_a_role_grants_only_scopes_that_it_did_not_have() {
        fn check(before: &Value, after: &Value, expected: &[&str]) {
            let (before, after) = (before.as_object().unwrap(), after.as_object().unwrap());
            let found: Vec<_> = granted(before, after).collect();
            assert_eq!(found, expected, "{before:?} {after:?}");
        }
        let (read, both) = (json!(["users:read"]), json!(["users:read", "users:list"]));
        check(&json!({}), &json!({"scopes": read}), &["users:read"]);
        check(&json!({}), &json!({"name": "Reader"}), &[]);
        check(
            &json!({"scopes": read}),
            &json!({"scopes": both}),
            &["users:list"],
        );
        check(&json!({"scopes": both}), &json!({"scopes": read}), &[]);
        check(&json!({"scopes": both}), &json!({"scopes": both}), &[]);
        // A role that is not active grants nothing until it is active again.
        let out = json!({"scopes": both, "active": false});
        check(&out, &out, &[]);
        check(&json!({"scopes": both}), &out, &[]);
        check(
            &json!({"scopes": read, "active": false}),
            &out,
            &["users:list"],
        );
        let all = ["users:read", "users:list"];
        check(&out, &json!({"scopes": both}), &all);
        check(&out, &json!({"scopes": both, "active": true}), &all);
    }
}
