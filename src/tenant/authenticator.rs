//! Authenticates requests: finds the credential that a request presents.

use std::sync::Arc;

use super::authorization::{Presented, is_misplaced_token};
use super::cache::CachedSecrets;
use super::mac::Signature;
use super::{Credential, CredentialKind, Credentials, Permissions, RequestHead, StackSecret};
use crate::cache::Freshness;
use crate::clock::Clock;
use crate::identity::{CredentialId, TenantId};
use crate::protocol::error::{Error, Result};

/// Authenticates requests.
pub struct Authenticator {
    stack: Arc<StackSecret>,
    secrets: CachedSecrets,
    clock: Arc<dyn Clock>,
}

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The caller's tenant, in which all of its requests are carried out.
    pub tenant: TenantId,
    /// The credential that the request presented.
    pub credential: CredentialId,
    /// The permissions of the credential. Those of its role are added later.
    pub permissions: Permissions,
    /// The id of the role whose permissions are still to be granted.
    pub role: Option<String>,
    /// The id of the user that the credential belongs to, which is the resource at `/Me`.
    pub user: Option<String>,
    /// The signature of a signed request. The caller of the authenticator must still check that the
    /// signature covers the body, and that it has not been used before.
    pub signature: Option<Signature>,
}

impl Authenticator {
    /// An authenticator with an empty cache.
    #[must_use]
    pub fn new(stack: Arc<StackSecret>, credentials: Credentials, clock: Arc<dyn Clock>) -> Self {
        Self {
            stack,
            secrets: CachedSecrets::new(credentials, Arc::clone(&clock)),
            clock,
        }
    }

    /// Authenticates a request.
    ///
    /// Bearer tokens are always accepted. For credentials of another kind, `is_enabled` returns
    /// whether the tenant has switched the kind on. It is called only after the credential itself
    /// was found valid.
    ///
    /// # Errors
    /// `Unauthorized`, with a text that depends only on the form of the header; `Unavailable` if the
    /// credential cannot be checked because secrets are out of reach; the errors of `is_enabled`.
    pub async fn authenticate<F, Fut>(
        &self,
        head: &RequestHead<'_>,
        is_enabled: F,
    ) -> Result<Caller>
    where
        F: FnOnce(TenantId, CredentialKind) -> Fut,
        Fut: Future<Output = Result<bool>>,
    {
        let began = self.clock.now_millis();
        let now = began / 1000;
        let presented = Presented::parse(&self.stack, head, now);
        let presented = presented.ok_or_else(|| refusal(head.authorization))?;
        let credential = self
            .find(&presented, began)
            .await?
            .ok_or_else(unauthorized)?;
        if credential.is_expired(now) {
            return Err(unauthorized());
        }
        let allowed = match credential.kind {
            CredentialKind::Bearer => true,
            kind => is_enabled(presented.tenant.clone(), kind).await?,
        };
        if !allowed {
            return Err(unauthorized());
        }
        Ok(Caller {
            tenant: presented.tenant.clone(),
            signature: presented.into_signature(),
            permissions: credential.permissions(),
            credential: credential.id,
            role: credential.role,
            user: credential.user,
        })
    }

    /// The credential that a request presents. If the cached secret does not have it, the credential
    /// may be new. Then the secret is read again, unless it was read after the request `began`.
    async fn find(&self, presented: &Presented, began: u64) -> Result<Option<Credential>> {
        for freshness in [Freshness::Usual, Freshness::Since(began)] {
            let secret = self.secrets.get(&presented.tenant, freshness).await?;
            let found = secret.credential(&presented.credential);
            if let Some(credential) = found.filter(|credential| presented.matches(credential)) {
                return Ok(Some(credential.clone()));
            }
        }
        Ok(None)
    }
}

/// The error of a refused request with this `Authorization` header.
///
/// Its text depends on the form of the header and on nothing else. For a token without `Bearer`
/// before it, or with it twice, the text shows the right form, whether or not the token and the
/// tenant exist.
#[must_use]
pub fn refusal(authorization: Option<&str>) -> Error {
    match authorization {
        Some(text) if is_misplaced_token(text) => Error::unauthorized(
            "The Authorization header is not of the form `Authorization: Bearer TOKEN`: \
             the word Bearer once, a blank, and the token",
        ),
        _ => unauthorized(),
    }
}

/// The error of a refused request whose header has the right form. Its text is the same for an
/// unknown tenant and for a mistyped token.
#[must_use]
pub fn unauthorized() -> Error {
    Error::unauthorized("The request has no Authorization header with a valid credential")
}

#[cfg(test)]
mod tests;
