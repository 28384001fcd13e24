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

use super::{Admin, Failure, Time};
use crate::identity::{CredentialId, TenantId};
use crate::protocol::error::{Error, Result};
use crate::store::{TenantStatus, TenantStore};
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
    /// When it was last used, right to the hour; `None` if it never was.
    pub last_used: Option<Time>,
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
            last_used: None,
        }
    }
}

impl Admin {
    /// The credentials of a tenant with their last use, and the tenant's status with the refusals since a time, in
    /// milliseconds since the Unix epoch. None for a tenant whose purge has removed them.
    pub(in crate::admin) async fn used_credentials(
        &self,
        tenant: &TenantId,
        store: &TenantStore,
        since: u64,
    ) -> Result<(Vec<ListedCredential>, TenantStatus), Failure> {
        // The status comes first. A credential that it names existed then, so one that is missing afterwards was
        // revoked and is not just new.
        let status = store.status().read(since).await.map_err(Error::from)?;
        let secret = self.credentials.read(tenant).await?.unwrap_or_default();
        let credentials: Vec<_> = secret.credentials().collect();
        let is_gone = |id: &&CredentialId| !credentials.iter().any(|known| known.id == **id);
        let gone: Vec<_> = status.used.keys().filter(is_gone).collect();
        store.status().forget(&gone).await.map_err(Error::from)?;
        let listed = credentials.into_iter().map(|credential| ListedCredential {
            last_used: status.used.get(&credential.id).copied().map(Time),
            ..ListedCredential::from(credential)
        });
        Ok((listed.collect(), status))
    }
}

/// How long a new credential is valid, in seconds, or `None` if it does not expire.
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
