//! The operations `credential.*`: the tokens, passwords and keys with which a tenant's clients authenticate.
//!
//! All credentials of a tenant are in one secret, and a change is one write of it. So an operation is done or not
//! done, wherever its process dies. A secret of Secrets Manager takes few changes: an operation that comes too soon
//! after others, or at the same time, fails with `later`.
//!
//! What a client presents is answered once and stored nowhere. If that answer is lost, nothing can bring it back:
//! a repeat of the request replaces the credential that it has made.

mod create;
mod list;
mod revoke;
mod rotate;

use serde::{Deserialize, Serialize};

pub use create::{CreateCredential, IssuedCredential};
pub use list::{CredentialList, ListCredentials};
pub use revoke::{RevokeAllCredentials, RevokeCredential, RevokedCredential, RevokedCredentials};
pub use rotate::{RotateCredential, RotatedCredential};

use super::Time;
use crate::identity::CredentialId;
use crate::protocol::error::{Error, Result};
use crate::tenant::{Credential, DEFAULT_LIFETIME_DAYS, Permissions};

/// The longest time that a credential may be valid, in days.
const MAX_DAYS: u64 = 36_500;
const DAY_SECONDS: u64 = 86_400;

/// A credential as operators see it, without what a client presents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedCredential {
    /// Its id.
    pub id: CredentialId,
    /// How it is presented: `bearer`, `basic`, `mac`, `oauth`, `oauth-jwt`, or what a later version has.
    pub kind: String,
    /// Its name for people.
    pub label: String,
    /// When it was made.
    pub created: Time,
    /// When it expires; `None` if it never does.
    pub expires: Option<Time>,
    /// Its own permissions, in alphabetical order; `None` for everything.
    pub permissions: Option<Vec<String>>,
    /// The id of the role whose permissions it has in addition.
    pub role: Option<String>,
    /// The id of the user that it belongs to.
    pub user: Option<String>,
    /// The credential that it replaces, which a rotation has given an end.
    pub replaces: Option<CredentialId>,
}

impl From<&Credential> for ListedCredential {
    fn from(credential: &Credential) -> Self {
        let at = |seconds: u64| Time(seconds.saturating_mul(1000));
        Self {
            id: credential.id.clone(),
            kind: credential.kind.name().to_owned(),
            label: credential.label.clone(),
            created: at(credential.created),
            expires: credential.expires.map(at),
            permissions: match credential.permissions() {
                Permissions::All => None,
                Permissions::Only(listed) => Some(listed.into_iter().collect()),
            },
            role: credential.role.clone(),
            user: credential.user.clone(),
            replaces: credential.replaces.clone(),
        }
    }
}

/// How long a new credential is valid, in seconds; `None` for ever.
///
/// # Errors
/// `InvalidValue` for a number of days that is out of range, or for both a number and no end.
fn lifetime_seconds(days: Option<u64>, never_expires: bool) -> Result<Option<u64>> {
    match (days, never_expires) {
        (None, true) => Ok(None),
        (None, false) => Ok(Some(DEFAULT_LIFETIME_DAYS * DAY_SECONDS)),
        (Some(days @ 1..=MAX_DAYS), false) => Ok(Some(days * DAY_SECONDS)),
        (Some(_), false) => Err(Error::invalid_value(format!(
            "`days` is from 1 to {MAX_DAYS}"
        ))),
        (Some(_), true) => Err(Error::invalid_value(
            "Give either `days` or `neverExpires`, not both",
        )),
    }
}
