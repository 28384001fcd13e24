//! `credential.create`.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ListedCredential, lifetime_seconds};
use crate::admin::{About, Admin, Asked, Failure, Operation};
use crate::identity::TenantId;
use crate::protocol::error::{Error, Result};
use crate::tenant::{CredentialKind, Issued, Jwks, NewCredential, Permissions};

/// The largest number of permissions in a request. The catalogue has fewer.
const MAX_PERMISSIONS: usize = 200;
/// The longest id of a role or a user, in bytes.
const MAX_ID_BYTES: usize = 200;

/// Issues a credential. The same request, repeated within ten minutes, revokes the credential that it has made,
/// whose answer was lost, and issues another.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateCredential {
    /// The tenant.
    pub tenant: TenantId,
    /// How clients present it.
    #[serde(default = "bearer")]
    pub kind: CredentialKind,
    /// Its name for people, 1 to 100 bytes. It is also the user name of a Basic credential.
    pub label: String,
    /// The number of days that it is valid, 1 to 36,500; 365 if neither this nor `never_expires` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u64>,
    /// Whether it never expires.
    #[serde(default)]
    pub never_expires: bool,
    /// What it permits, such as `users:read`; none for the default: with a role, what the role permits; with a user
    /// and no role, to read and change this user at `/Me`; otherwise everything.
    #[serde(default)]
    pub permissions: Vec<String>,
    /// The id of a role whose permissions it has in addition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The id of the user that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The public keys of a client that signs assertions (`oauth-jwt`): a JWK set of 1 to 4 keys. No other kind has
    /// any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
}

/// A new credential with what a client presents, which is not shown again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IssuedCredential {
    /// The credential.
    #[serde(flatten)]
    pub credential: ListedCredential,
    /// What a client presents: the token of a Bearer credential, the password of a Basic one, the key of a MAC one,
    /// the secret of an OAuth client. `None` for a client that signs assertions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The user name of a Basic credential, the key id of a MAC one, or the client id of an OAuth client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
}

impl Operation for CreateCredential {
    const NAME: &'static str = "credential.create";
    type Answer = IssuedCredential;

    fn about(&self) -> About<'_> {
        About::tenant(&self.tenant)
    }

    fn about_answer(answer: &IssuedCredential) -> About<'_> {
        About::credential(&answer.credential.id)
    }

    async fn perform(&self, admin: &Admin, asked: &Asked) -> Result<IssuedCredential, Failure> {
        let new = self.credential()?;
        admin.check_kept(&self.tenant).await?;
        admin
            .provider
            .check_new_credential(&self.tenant, &new)
            .await?;
        let issue = admin
            .issuer
            .create_once(&self.tenant, new, &asked.request_id);
        Ok((&issue.await?).into())
    }
}

impl CreateCredential {
    fn credential(&self) -> Result<NewCredential> {
        let texts = self.permissions.iter().chain(&self.role).chain(&self.user);
        let is_bounded = self.permissions.len() <= MAX_PERMISSIONS
            && texts.into_iter().all(|text| text.len() <= MAX_ID_BYTES);
        if !is_bounded {
            return Err(Error::invalid_value(format!(
                "There are at most {MAX_PERMISSIONS} permissions, and each of them, the role and the user have at most \
                 {MAX_ID_BYTES} bytes"
            )));
        }
        Ok(NewCredential {
            kind: self.kind,
            label: self.label.clone(),
            lifetime_seconds: lifetime_seconds(self.days, self.never_expires)?,
            permissions: match self.permissions.is_empty() {
                true => Permissions::All,
                false => Permissions::Only(self.permissions.iter().cloned().collect()),
            },
            role: self.role.clone(),
            user: self.user.clone(),
            jwks: self.jwks.as_ref().map(Jwks::of).transpose()?,
        })
    }
}

impl From<&Issued> for IssuedCredential {
    fn from(issued: &Issued) -> Self {
        Self {
            credential: (&issued.credential).into(),
            token: Some(issued.secret.clone()).filter(|token| !token.is_empty()),
            user_name: issued.user_name.clone(),
        }
    }
}

impl fmt::Debug for IssuedCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuedCredential({:?}, ..)", self.credential)
    }
}

fn bearer() -> CredentialKind {
    CredentialKind::Bearer
}
