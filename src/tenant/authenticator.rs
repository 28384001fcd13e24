//! Authenticates requests: finds the credential that a request presents. Authenticates OAuth clients, and
//! issues their access tokens.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::access_token::AccessToken;
use super::assertion::{self, AssertionUse};
use super::authorization::{Presented, is_hash_of, is_misplaced_token};
use super::cache::CachedSecrets;
use super::client_id::ClientId;
use super::date::{day, instant};
use super::mac::Signature;
use super::stack_secret::{NotSigned, StackSecret};
use super::{
    Credential, CredentialKind, Credentials, Permissions, RequestHead, SecretError, StackKeys,
    Token,
};
use crate::clock::Clock;
use crate::identity::{CredentialId, TenantId};
use crate::protocol::error::{Error, Result};

/// How long an access token is valid, in seconds, unless its client expires before.
const ACCESS_TOKEN_SECONDS: u64 = 60 * 60;

/// Authenticates requests and OAuth clients.
pub struct Authenticator {
    keys: Arc<StackKeys>,
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
    /// The scopes to which an access token was narrowed. What the credential may do beyond them is still to
    /// be taken away, after the permissions of its role were granted.
    pub scope: Option<BTreeSet<String>>,
    /// The id of the user that the credential belongs to, which is the resource at `/Me`.
    pub user: Option<String>,
    /// The signature of a signed request. The caller of the authenticator must still check that the
    /// signature covers the body, and that it has not been used before.
    pub signature: Option<Signature>,
    /// Whether the tenant has an OAuth client. Then discovery announces OAuth.
    pub has_oauth: bool,
}

/// How an OAuth client proves who it is.
#[derive(Clone, Copy)]
pub enum ClientProof<'r> {
    /// By its secret (RFC 6749 §2.3.1).
    Secret {
        /// The client id.
        id: &'r str,
        /// The secret.
        secret: &'r str,
    },
    /// By an assertion that it has signed (RFC 7523 §2.2).
    Assertion {
        /// The client id, which may be left out.
        id: Option<&'r str>,
        /// The JWT.
        jwt: &'r str,
    },
}

/// An authenticated OAuth client.
#[derive(Debug)]
pub struct Client {
    /// The caller that its access tokens will be.
    pub caller: Caller,
    /// The assertion that it has signed. The caller of the authenticator must still check that the assertion
    /// has not been used before.
    pub assertion: Option<AssertionUse>,
    /// When the client expires, in seconds since the Unix epoch.
    expires: Option<u64>,
}

/// An issued access token.
pub struct IssuedAccess {
    /// The token.
    pub token: String,
    /// How long it is valid, in seconds.
    pub seconds: u64,
}

/// Why a caller is not authenticated.
#[derive(Debug)]
pub struct Refusal {
    /// The error for the caller.
    pub error: Error,
    /// The credential with its tenant, if this stack has issued it and the tenant exists: it was revoked, has
    /// expired, or is of a kind that the tenant does not allow. `None` for everything that a stranger may send.
    pub known: Option<(TenantId, CredentialId)>,
}

impl Refusal {
    /// Of a credential that this stack has issued, and whose tenant exists.
    fn of(error: Error, (tenant, credential): (&TenantId, &CredentialId)) -> Self {
        Self {
            error,
            known: Some((tenant.clone(), credential.clone())),
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, known: None }
    }
}

/// What the tenant's secret says of a credential that the stack has signed.
enum Found {
    /// It is the presented one.
    Valid(Box<Credential>, HasOAuth),
    /// The tenant has no credential of this id.
    Gone,
    /// There is no such tenant.
    NoTenant,
    /// There is one of this id, but it is not the presented one.
    Other,
}

type HasOAuth = bool;

impl Authenticator {
    /// An authenticator with an empty cache.
    #[must_use]
    pub fn new(keys: Arc<StackKeys>, credentials: Credentials, clock: Arc<dyn Clock>) -> Self {
        Self {
            keys,
            secrets: CachedSecrets::new(credentials, Arc::clone(&clock)),
            clock,
        }
    }

    /// Looks whether the credentials of a tenant are in reach. While they are not, requests are still
    /// authenticated with those that were read before.
    ///
    /// # Errors
    /// `Backend` if they are out of reach, `Malformed` if they cannot be read.
    pub async fn look_at_secrets(&self, tenant: &TenantId) -> Result<(), SecretError> {
        self.secrets.look(tenant).await
    }

    /// Authenticates a request.
    ///
    /// Bearer tokens are always accepted. For credentials of another kind, `is_enabled` returns
    /// whether the tenant has switched the kind on. It is called only after the credential itself
    /// was found valid.
    ///
    /// # Errors
    /// `Unauthorized`: for a credential that this stack has issued, with what has become of it; for every
    /// other one with a text that depends only on the form of the header. `Unavailable` if the credential
    /// cannot be checked because secrets are out of reach; the errors of `is_enabled`.
    pub async fn authenticate<F, Fut>(
        &self,
        head: &RequestHead<'_>,
        is_enabled: F,
    ) -> std::result::Result<Caller, Refusal>
    where
        F: FnOnce(TenantId, CredentialKind) -> Fut,
        Fut: Future<Output = Result<bool>>,
    {
        let began = self.clock.now_millis();
        let now = began / 1000;
        let presented = self.signed(|keys| Presented::parse(keys, head, now)).await;
        let presented = presented.ok_or_else(|| refusal(head.authorization))?;
        if let Some(expires) = presented.expires().filter(|expires| *expires <= now) {
            let detail = format!(
                "The access token expired at {}; get another one from the token endpoint",
                instant(expires)
            );
            return Err(Error::unauthorized(detail).into());
        }
        let ids = (&presented.tenant, &presented.credential);
        let is_presented = |credential: &Credential| presented.matches(credential);
        let (credential, has_oauth) = match self.find(ids, began, is_presented).await? {
            Found::Valid(credential, has_oauth) => (*credential, has_oauth),
            Found::Gone => return Err(Refusal::of(revoked(presented.name()), ids)),
            Found::NoTenant => return Err(revoked(presented.name()).into()),
            Found::Other => return Err(unauthorized().into()),
        };
        // An access token may be made under a later key than its client, whose key was retired since.
        if self.keys.known().key(credential.key).is_none() {
            return Err(Refusal::of(revoked(presented.name()), ids));
        }
        check_expiry(&credential, presented.name(), now)
            .map_err(|error| Refusal::of(error, ids))?;
        let allowed = match credential.kind {
            CredentialKind::Bearer | CredentialKind::OAuth | CredentialKind::OAuthJwt => true,
            kind => is_enabled(presented.tenant.clone(), kind).await?,
        };
        if !allowed {
            return Err(Refusal::of(unauthorized(), ids));
        }
        let tenant = presented.tenant.clone();
        let (signature, scope) = presented.into_parts();
        Ok(Caller {
            signature,
            scope,
            ..caller(tenant, credential, has_oauth)
        })
    }

    /// Authenticates an OAuth client. `audiences` are the names by which an assertion may mean this service.
    ///
    /// # Errors
    /// `Unauthorized`: for a client that has proved who it is, with what is wrong; for every other one with
    /// the same text. `Unavailable` if the client cannot be checked because secrets are out of reach.
    pub async fn authenticate_client(
        &self,
        proof: ClientProof<'_>,
        audiences: &[String],
    ) -> std::result::Result<Client, Refusal> {
        let began = self.clock.now_millis();
        let now = began / 1000;
        let signed = self.signed(|keys| client_of(keys, proof)).await;
        let (id, hash) = signed.ok_or_else(unknown_client)?;
        let is_presented = |credential: &Credential| match &hash {
            Some(hash) => credential.kind == CredentialKind::OAuth && is_hash_of(credential, hash),
            None => credential.kind == CredentialKind::OAuthJwt,
        };
        let ids = (id.tenant(), id.credential());
        let (credential, has_oauth) = match self.find(ids, began, is_presented).await? {
            Found::Valid(credential, has_oauth) => (*credential, has_oauth),
            // Only a secret proves that the client was one. Client ids are known to others too.
            Found::Gone if hash.is_some() => return Err(Refusal::of(revoked("client"), ids)),
            Found::NoTenant if hash.is_some() => return Err(revoked("client").into()),
            Found::Gone | Found::NoTenant | Found::Other => return Err(unknown_client().into()),
        };
        let assertion = match (proof, &credential.jwks) {
            (ClientProof::Secret { .. }, _) => None,
            (ClientProof::Assertion { jwt, .. }, Some(keys)) => {
                let verified = assertion::verify(jwt, keys, id.as_str(), audiences, now);
                // Only with a reason was the assertion signed by the client.
                Some(verified.map_err(|reason| match reason {
                    Some(reason) => Refusal::of(reason, ids),
                    None => unknown_client().into(),
                })?)
            }
            (ClientProof::Assertion { .. }, None) => return Err(unknown_client().into()),
        };
        check_expiry(&credential, "client", now).map_err(|error| Refusal::of(error, ids))?;
        Ok(Client {
            expires: credential.expires,
            assertion,
            caller: caller(id.tenant().clone(), credential, has_oauth),
        })
    }

    /// Issues an access token to a client, for these scopes only or for all that the client can do.
    #[must_use]
    pub fn issue_access(&self, client: &Client, scope: Option<BTreeSet<String>>) -> IssuedAccess {
        let now = self.clock.now_seconds();
        let seconds = match client.expires {
            Some(expires) => ACCESS_TOKEN_SECONDS.min(expires.saturating_sub(now)),
            None => ACCESS_TOKEN_SECONDS,
        };
        let token = AccessToken {
            tenant: client.caller.tenant.clone(),
            credential: client.caller.credential.clone(),
            expires: now + seconds,
            scope,
        };
        let token = token.sign(&self.keys.signing());
        IssuedAccess { token, seconds }
    }

    /// Reads what a request presents by the keys of the stack. `None` if the stack has not signed it.
    ///
    /// A request that names an unknown key makes the keys be read again. One that the stack has signed also
    /// does so after a minute, and is then read by the new keys: a key may have been retired.
    async fn signed<T>(
        &self,
        read: impl Fn(&StackSecret) -> std::result::Result<T, NotSigned>,
    ) -> Option<T> {
        let mut keys = self.keys.known();
        let mut outcome = read(&keys);
        if let Err(NotSigned::UnknownKey) = outcome {
            keys = self.keys.reread().await;
            outcome = read(&keys);
        }
        let signed = outcome.ok()?;
        let recent = self.keys.recent().await;
        match Arc::ptr_eq(&keys, &recent) {
            true => Some(signed),
            false => read(&recent).ok(),
        }
    }

    /// Looks for a credential in its tenant's secret, for a request that began at `began`. A credential that is
    /// there keeps its kind and its hash for as long as it has its id, so another one of this id is no reason to
    /// read the secret again: a client may send an unsigned assertion that names another client.
    async fn find(
        &self,
        (tenant, id): (&TenantId, &CredentialId),
        began: u64,
        is_presented: impl Fn(&Credential) -> bool,
    ) -> Result<Found> {
        let read = self.secrets.for_request(tenant, id, began).await?;
        let secret = &read.secret;
        Ok(match secret.credential(id) {
            Some(credential) if is_presented(credential) => Found::Valid(
                Box::new(credential.clone()),
                secret.has_client(began / 1000),
            ),
            Some(_) => Found::Other,
            None if read.exists => Found::Gone,
            None => Found::NoTenant,
        })
    }
}

/// The client that a proof names, and the hash of the secret, if it is proved by one.
fn client_of(
    keys: &StackSecret,
    proof: ClientProof<'_>,
) -> std::result::Result<(ClientId, Option<String>), NotSigned> {
    match proof {
        ClientProof::Secret { id, secret } => {
            let id = ClientId::parse(keys, id)?;
            let token = Token::parse(keys, secret)?;
            let is_own = token.tenant() == id.tenant() && token.credential() == id.credential();
            match is_own {
                true => Ok((id, Some(token.sha256()))),
                false => Err(NotSigned::Forged),
            }
        }
        ClientProof::Assertion { id, jwt } => {
            if jwt.len() > assertion::MAX_BYTES {
                return Err(NotSigned::Forged);
            }
            let named = assertion::client_named_in(jwt).ok_or(NotSigned::Forged)?;
            if id.is_some_and(|id| id != named) {
                return Err(NotSigned::Forged);
            }
            Ok((ClientId::parse(keys, &named)?, None))
        }
    }
}

fn caller(tenant: TenantId, credential: Credential, has_oauth: bool) -> Caller {
    Caller {
        tenant,
        permissions: credential.permissions(),
        credential: credential.id,
        role: credential.role,
        scope: None,
        user: credential.user,
        signature: None,
        has_oauth,
    }
}

/// # Errors
/// `Unauthorized` with the day for a credential that has expired. Only its owner gets that far.
fn check_expiry(credential: &Credential, what: &str, now: u64) -> Result<()> {
    match credential.expires {
        Some(expires) if credential.is_expired(now) => Err(Error::unauthorized(format!(
            "The {what} expired on {}",
            day(expires)
        ))),
        _ => Ok(()),
    }
}

/// The error for what this stack has issued once, and does not have any more.
fn revoked(what: &str) -> Error {
    Error::unauthorized(format!("The {what} was revoked"))
}

/// The error of an OAuth client that has not proved who it is. Its text is the same for an unknown tenant,
/// an unknown client and a wrong secret.
fn unknown_client() -> Error {
    Error::unauthorized("The client is not known, or its secret or assertion is not valid")
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
