//! What a caller may do.

use std::collections::BTreeSet;

use crate::protocol::error::{Error, Result};

/// The permissions of a caller, such as `users:read`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permissions {
    /// Everything within the tenant.
    All,
    /// Nothing but these.
    Only(BTreeSet<String>),
}

impl Permissions {
    /// Passes if `permission` is among these.
    ///
    /// # Errors
    /// `Forbidden`, naming the permission that is missing.
    pub fn check(&self, permission: &str) -> Result<()> {
        match self {
            Self::All => Ok(()),
            Self::Only(permissions) if permissions.contains(permission) => Ok(()),
            Self::Only(_) => Err(Error::forbidden(format!(
                "The credential lacks the permission {permission}"
            ))),
        }
    }

    /// Adds permissions, as those of the role that a credential is bound to.
    pub fn grant(&mut self, permissions: impl IntoIterator<Item = String>) {
        match self {
            Self::All => {}
            Self::Only(own) => own.extend(permissions),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::error::ErrorKind;

    fn only(permissions: &[&str]) -> Permissions {
        Permissions::Only(permissions.iter().map(|&p| p.to_owned()).collect())
    }

    #[test]
    fn a_missing_permission_is_named() {
        let error = only(&["users:read"]).check("users:create").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Forbidden);
        assert!(error.detail().contains("users:create"), "{error}");
    }

    #[test]
    fn given_and_granted_permissions_pass() {
        let mut permissions = only(&["users:read"]);
        permissions.grant(["groups:read".to_owned()]);
        assert!(permissions.check("users:read").is_ok());
        assert!(permissions.check("groups:read").is_ok());
        assert!(Permissions::All.check("users:create").is_ok());
    }

    #[test]
    fn an_empty_set_permits_nothing() {
        assert!(only(&[]).check("users:read").is_err());
    }
}
