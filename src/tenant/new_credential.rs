//! A credential as its creator asks for it, and as it replaces another one.

use super::jwks::Jwks;
use super::{Credential, CredentialKind, Permissions};
use crate::protocol::error::{Error, Result};
use crate::protocol::scopes::check_scopes;

/// How long a credential is valid if its creator asks for nothing else, in days.
pub const DEFAULT_LIFETIME_DAYS: u64 = 365;
/// The longest label, in bytes.
const MAX_LABEL_BYTES: usize = 100;

/// A credential to be issued.
#[derive(Debug, Clone)]
pub struct NewCredential {
    /// How it will be presented.
    pub kind: CredentialKind,
    /// Its name for people, 1 to 100 bytes. It is also the user name of a Basic credential.
    pub label: String,
    /// How long it is valid; without a limit if absent.
    pub lifetime_seconds: Option<u64>,
    /// Its own permissions. [`Permissions::All`] means the default: with a role, only the
    /// permissions of the role; with a user and no role, to read and change this user at `/Me`;
    /// otherwise everything.
    pub permissions: Permissions,
    /// The id of a role whose permissions it has in addition to its own.
    pub role: Option<String>,
    /// The id of the user that it belongs to, which is the resource at `/Me`.
    pub user: Option<String>,
    /// The public keys of a client that signs assertions. No other kind has any.
    pub jwks: Option<Jwks>,
}

/// How a credential is replaced.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// How long the old one stays valid, in seconds; with 0 it is revoked at once.
    pub grace_seconds: u64,
    /// How long the new one is valid, in seconds; without a limit if absent.
    pub lifetime_seconds: Option<u64>,
    /// Other public keys for a client that signs assertions; those of the old one if absent.
    pub jwks: Option<Jwks>,
}

impl NewCredential {
    /// Checks what can be checked without the tenant.
    ///
    /// # Errors
    /// `InvalidValue` for a label that cannot be presented, a permission that is not in the catalogue, or keys that the
    /// kind does not have.
    pub(super) fn check(&self) -> Result<()> {
        self.check_label()?;
        self.check_keys()?;
        match &self.permissions {
            Permissions::All => Ok(()),
            Permissions::Only(permissions) => check_scopes(permissions.iter().map(String::as_str)),
        }
    }

    fn check_label(&self) -> Result<()> {
        let label = self.label.as_str();
        // In Basic a colon ends the user name (RFC 7617 §2).
        let has_colon = self.kind == CredentialKind::Basic && label.contains(':');
        let fits = (1..=MAX_LABEL_BYTES).contains(&label.len());
        if fits && !has_colon && !label.contains(char::is_control) {
            return Ok(());
        }
        Err(Error::invalid_value(format!(
            "A label has 1 to {MAX_LABEL_BYTES} bytes, no control characters and, for Basic, no colon"
        )))
    }

    /// Checks that a client that signs assertions has keys, and nothing else has.
    ///
    /// # Errors
    /// `InvalidValue`.
    pub(super) fn check_keys(&self) -> Result<()> {
        match (self.kind, &self.jwks) {
            (CredentialKind::OAuthJwt, None) => Err(Error::invalid_value(
                "A client of the kind oauth-jwt has public keys, a JWK set",
            )),
            (CredentialKind::OAuthJwt, Some(_)) | (_, None) => Ok(()),
            (kind, Some(_)) => Err(Error::invalid_value(format!(
                "A credential of the kind {} has no keys of its own",
                kind.name()
            ))),
        }
    }

    /// The permissions that are stored. For a credential of a user the default is stored explicitly,
    /// because an earlier release, which does not know this default, would read no permissions as all of
    /// them.
    pub(super) fn kept_permissions(&self) -> Permissions {
        match (&self.permissions, &self.role, &self.user) {
            (Permissions::All, None, Some(_)) => Permissions::of_user(),
            (permissions, _, _) => permissions.clone(),
        }
    }
}

impl Rotation {
    /// The credential that takes the place of `old`.
    pub(super) fn of(&self, old: &Credential) -> NewCredential {
        NewCredential {
            kind: old.kind,
            label: old.label.clone(),
            lifetime_seconds: self.lifetime_seconds,
            // Those of the old one are taken over as they are stored.
            permissions: Permissions::All,
            role: old.role.clone(),
            user: old.user.clone(),
            jwks: self.jwks.clone().or_else(|| old.jwks.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(kind: CredentialKind, label: &str) -> NewCredential {
        NewCredential {
            kind,
            label: label.to_owned(),
            lifetime_seconds: None,
            permissions: Permissions::All,
            role: None,
            user: None,
            jwks: None,
        }
    }

    #[test]
    fn labels_can_be_presented() {
        fn check(kind: CredentialKind, label: &str, allowed: bool) {
            assert_eq!(new(kind, label).check_label().is_ok(), allowed, "{label:?}");
        }
        check(CredentialKind::Bearer, "okta: production", true);
        check(CredentialKind::Basic, "api@example.com", true);
        check(CredentialKind::Basic, "a:b", false);
        check(CredentialKind::Bearer, "", false);
        check(CredentialKind::Bearer, "a\nb", false);
        check(CredentialKind::Bearer, &"x".repeat(101), false);
    }
}
