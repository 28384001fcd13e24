//! What a caller may do to privileges: its own and those of others.
//!
//! Whether it may carry out a verb at all is decided by its permissions. Beyond that, a change must
//! not give more than the caller has:
//!
//! - A role gets only scopes that the caller has, and the role that the caller is bound to is left
//!   alone. Deleting it would only take rights away, but also lock out every credential that is
//!   bound to it, so that is refused as well.
//! - At `/Me` a user does not change what the directory's administrators decide by.
//!
//! Every view and bulk requests come through here, because all of them use the provider's verbs.

use serde_json::{Map, Value};

use super::role::{check_changeable, check_scopes_of, is_active, is_role, listed_scopes};
use crate::protocol::error::{Error, Result};
use crate::protocol::resource::Resource;
use crate::protocol::schema::ResourceType;
use crate::protocol::scopes::{Permission, Permissions};

/// Attributes of a user that `/Me` does not change. `groups`, which no client writes, is listed
/// because it is shown like the others.
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
    /// The target is `/Me`.
    pub(super) is_me: bool,
}

impl Grant<'_> {
    /// Checks that the caller may do this with resources of the type, or with its own user at `/Me`.
    ///
    /// # Errors
    /// `Forbidden`, naming the permission: `users:create`.
    pub fn check(&self, resource_type: &ResourceType, permission: Permission) -> Result<()> {
        if self.is_me {
            return self.permissions.check_me(permission);
        }
        self.permissions.check(&resource_type.endpoint, permission)
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

    /// Checks that the caller may change or delete this resource, whatever the change is.
    ///
    /// # Errors
    /// `Forbidden` for a role that belongs to the service or that the caller is bound to.
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

    /// Checks that the caller may make `new` of `existing`.
    ///
    /// # Errors
    /// `InvalidValue` as [`check_creation`](Self::check_creation); `Forbidden` for a role that gets
    /// a scope that the caller does not have, and at `/Me` for an attribute that others decide.
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

/// The scopes that a change of a role gives to those who are bound to it: those that come into its
/// list, and all of them when the role comes into use again.
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
    fn what_a_role_gets_is_what_it_did_not_permit_before() {
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
        // One that is out of use permits nothing until it is in use again.
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
